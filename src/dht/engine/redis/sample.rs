//! [`SamplePlace`]: which members of a large shard this node reads.

use std::time::{Duration, Instant};

use crate::sync::random_bits;
use crate::sync::unmodelled::Mutex;

/// How long the same members are read. Another place makes relays known that were not, at the
/// price of one look-up for each known relay that is no longer listed.
const LASTS: Duration = Duration::from_secs(600);

/// A random place in the order of the server's hash tables, by which each node reads other
/// members of a shard that is too large to be read whole.
pub(super) struct SamplePlace(Mutex<(u64, Instant)>);

impl SamplePlace {
    pub(super) fn new() -> Self {
        Self(Mutex::new((random(), Instant::now())))
    }

    /// The place: below 2^48, which a script has as a number without loss.
    pub(super) fn get(&self) -> u64 {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> u64 {
        let mut place = self.0.lock();
        if now.saturating_duration_since(place.1) >= LASTS {
            *place = (random(), now);
        }
        place.0
    }
}

fn random() -> u64 {
    random_bits() >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_stays_the_same_for_some_minutes() {
        let (place, now) = (SamplePlace::new(), Instant::now());
        let first = place.at(now);
        assert!(first < 1 << 48);
        assert_eq!(place.at(now + LASTS / 2), first);
        let places: Vec<u64> = (2..6).map(|at| place.at(now + LASTS * at)).collect();
        assert!(places.iter().any(|place| *place != first), "{places:?}");
        assert_ne!(SamplePlace::new().get(), SamplePlace::new().get());
    }
}

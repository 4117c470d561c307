//! [`SampleStart`]: which members of a large shard this node reads.

use std::time::{Duration, Instant};

use crate::sync::random_bits;
use crate::sync::unmodelled::Mutex;

/// How long the same members are read. Another start makes relays known that were not, at the
/// price of one look-up for each known relay that is no longer listed.
const LASTS: Duration = Duration::from_secs(600);

/// A random position in the order of the server's hash tables, by which each node reads other
/// members of a shard that is too large to be read whole.
pub(super) struct SampleStart(Mutex<(u64, Instant)>);

impl SampleStart {
    pub(super) fn new() -> Self {
        Self(Mutex::new((random(), Instant::now())))
    }

    /// The position: below 2^48, which a script has as a number without loss.
    pub(super) fn get(&self) -> u64 {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> u64 {
        let mut start = self.0.lock();
        if now.saturating_duration_since(start.1) >= LASTS {
            *start = (random(), now);
        }
        start.0
    }
}

fn random() -> u64 {
    random_bits() >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_stays_the_same_for_some_minutes() {
        let (start, now) = (SampleStart::new(), Instant::now());
        let first = start.at(now);
        assert!(first < 1 << 48);
        assert_eq!(start.at(now + LASTS / 2), first);
        let starts: Vec<u64> = (2..6).map(|at| start.at(now + LASTS * at)).collect();
        assert!(starts.iter().any(|start| *start != first), "{starts:?}");
        assert_ne!(SampleStart::new().get(), SampleStart::new().get());
    }
}

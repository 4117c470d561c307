//! A run of recent arrivals: append-only, readable while it grows.
//!
//! An arrival claims the next place with one atomic addition and then fills it
//! with one compare-and-swap. A merge *seals* the run: a bit in the claim
//! counter stops further claims, and places that were claimed but are still
//! empty are closed. An arrival that finds its place closed, or the run sealed
//! or full, goes to the next run; so a merge neither loses an arrival nor waits
//! for one.

use crate::sync::{AtomicU64, Ordering, Padded};
use crate::table::Handle;

/// The bit of the claim counter that stops claims.
const SEALED: u64 = 1 << 63;
/// A place not filled yet.
const EMPTY: u64 = 0;
/// A place that a merge closed before it was filled.
const CLOSED: u64 = u64::MAX;

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Run {
    claimed: Padded<AtomicU64>,
    places: Box<[AtomicU64]>,
}

impl Run {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            claimed: Padded(AtomicU64::default()),
            places: (0..capacity).map(|_| AtomicU64::new(EMPTY)).collect(),
        }
    }

    /// Adds an arrival; false when it must go to another run.
    pub(crate) fn push(&self, arrival: Handle) -> bool {
        // Relaxed: the place itself is what readers synchronise with. The
        // first look keeps the counter from running on in a finished run.
        if self.is_finished(self.claimed.load(Ordering::Relaxed)) {
            return false;
        }
        let claim = self.claimed.fetch_add(1, Ordering::Relaxed);
        if self.is_finished(claim) {
            return false;
        }
        // Release: readers see the record behind the handle.
        self.places[claim as usize]
            .compare_exchange(EMPTY, pack(arrival), Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }

    fn is_finished(&self, claimed: u64) -> bool {
        claimed >= self.places.len() as u64
    }

    /// Stops arrivals for good. Afterwards the content does not change.
    pub(crate) fn seal(&self) {
        // AcqRel: claims come before or after, none at once.
        let claimed = self.claimed.fetch_or(SEALED, Ordering::AcqRel);
        for place in &self.places[..self.bounded(claimed)] {
            // Acquire: with a filled place comes its record.
            let _ = place.compare_exchange(EMPTY, CLOSED, Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// How many places are claimed; some may be empty or closed.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        // Acquire: whoever's arrival was seen elsewhere is counted.
        self.bounded(self.claimed.load(Ordering::Acquire))
    }

    /// The arrival at a place below `len`, if it is filled.
    #[inline]
    pub(crate) fn get(&self, place: usize) -> Option<Handle> {
        // Acquire: with the handle comes its record.
        match self.places[place].load(Ordering::Acquire) {
            EMPTY | CLOSED => None,
            filled => Some(unpack(filled)),
        }
    }

    /// All arrivals so far.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Handle> {
        (0..self.len()).filter_map(|place| self.get(place))
    }

    #[inline]
    fn bounded(&self, claimed: u64) -> usize {
        ((claimed & !SEALED) as usize).min(self.places.len())
    }
}

/// Indices stay below 2^31, so neither `EMPTY` nor `CLOSED` is a handle.
fn pack(handle: Handle) -> u64 {
    u64::from(handle.generation) << 32 | u64::from(handle.index + 1)
}

fn unpack(place: u64) -> Handle {
    Handle {
        index: place as u32 - 1,
        generation: (place >> 32) as u32,
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    fn arrival(index: u32) -> Handle {
        Handle {
            index,
            generation: index ^ 0xffff_ffff,
        }
    }

    #[test]
    fn arrivals_are_kept_in_order_until_the_run_is_full() {
        let run = Run::new(3);
        assert!((0..3).all(|index| run.push(arrival(index))));
        assert!(!run.push(arrival(3)));
        let all: Vec<_> = run.iter().collect();
        assert_eq!(all, [arrival(0), arrival(1), arrival(2)]);
    }

    #[test]
    fn a_sealed_run_takes_nothing_more() {
        let run = Run::new(3);
        assert!(run.push(arrival(7)));
        run.seal();
        assert!(!run.push(arrival(8)));
        assert_eq!(run.iter().collect::<Vec<_>>(), [arrival(7)]);
    }

    #[test]
    fn a_place_closed_before_it_was_filled_is_skipped() {
        let run = Run::new(2);
        run.claimed.fetch_add(1, Ordering::Relaxed);
        run.seal();
        assert_eq!(run.len(), 1);
        assert_eq!(run.iter().count(), 0);
    }
}

//! The newest run of arrivals, for pinned threads.
//!
//! A registration needs no other part of the snapshot than this run, and a relay that departs soon
//! after it arrived is in it. So threads read it here by one load. To load the snapshot would cost
//! them two read-modify-writes.
//!
//! # Invariants
//!
//! - The pointer names a run that is or was the newest one of the current snapshot. A later run
//!   replaces an earlier one, and never the reverse.
//! - A run leaves the snapshots by a merge. The merge first has the pointer name a later run. Then
//!   it keeps the run until no thread is pinned that was pinned at that time: see
//!   [`Grace`](crate::sync::Grace).
//!
//! So what a pinned thread reads here is there while it stays pinned.

use crate::sync::epoch::Guard;
use crate::sync::{Arc, AtomicPtr, Ordering, Padded};
use crate::table::snapshot::run::Run;

/// See the module's description.
pub(super) struct NewestRun(Padded<AtomicPtr<Run>>);

impl NewestRun {
    /// Of the first snapshot.
    pub(super) fn new(run: &Arc<Run>) -> Self {
        Self(Padded(AtomicPtr::new(address(run))))
    }

    /// The newest run, or one that was that a moment ago.
    #[inline]
    pub(super) fn get<'g>(&'g self, _pinned: &'g Guard) -> &'g Run {
        // Acquire: with the pointer comes what it points to.
        let run = self.0.load(Ordering::Acquire);
        // SAFETY: the thread is pinned, so the run is kept; see the module.
        unsafe { &*run }
    }

    /// Has the pointer name this run, which is or was the newest one of the current snapshot; unless
    /// it names a later one.
    pub(super) fn advance(&self, run: &Arc<Run>, pinned: &Guard) {
        loop {
            let current = self.get(pinned);
            if !run.is_later_than(current) {
                return;
            }
            let current = std::ptr::from_ref(current).cast_mut();
            // AcqRel: publishes the run, and comes before the grace of those before it. Relaxed: on
            // failure the pointer is loaded again.
            let replaced =
                self.0
                    .compare_exchange(current, address(run), Ordering::AcqRel, Ordering::Relaxed);
            if replaced.is_ok() {
                return;
            }
        }
    }
}

fn address(run: &Arc<Run>) -> *mut Run {
    Arc::as_ptr(run).cast_mut()
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::sync::epoch;
    use crate::table::snapshot::leaves::Precision;
    use crate::table::snapshot::score::Bins;
    use std::iter;

    #[test]
    fn an_earlier_run_does_not_replace_a_later_one() {
        let precision = Precision {
            bins: Bins::FINE,
            most_free_units: 1,
        };
        // Numbers wrap around.
        let runs = [u32::MAX - 9, 7, 90].map(|first| {
            let run = Run::new(16, first, 1, precision, iter::empty());
            Arc::new(run)
        });
        let (newest, guard) = (NewestRun::new(&runs[0]), epoch::pin());
        for (advanced_to, expected) in [(1, 1), (0, 1), (1, 1), (2, 2), (1, 2)] {
            newest.advance(&runs[advanced_to], &guard);
            assert!(std::ptr::eq(newest.get(&guard), &*runs[expected]));
        }
    }
}

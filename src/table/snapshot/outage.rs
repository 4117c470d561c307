//! Whether failures are attributed to an outage of this node's own network.
//!
//! An outage begins with a failure by which more than a given share of the relays back off.
//! It ends with the first success of a relay that was failing: then all relays that failed
//! during the outage are put on trial.
//!
//! Back-offs that end reduce the share again, so failures within a time limit after the last
//! one beyond the share belong to the outage as well. After that limit they do not, or an
//! outage without a success would never end.
//!
//! # A failure at the moment at which the outage ends
//!
//! The thread that ends an outage looks for the relays that failed during it. A thread that
//! attributes a failure to the outage first marks the circuit, and then asks whether the
//! outage is over. Both do so by a read-modify-write of one word, so one of them is the
//! first. Either the thread that ends the outage sees the mark; or the other one sees that
//! the outage is over, and puts its relay on trial itself.

use crate::sync::{AtomicBool, AtomicU64, Ordering, Padded, Touch};
use crate::time::Tick;

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    /// One more than the tick of the last failure beyond the share; 0 if there is no outage.
    last: Padded<AtomicU64>,
    /// Whether relays that failed during an outage which is over may still back off.
    is_unfinished: AtomicBool,
}

impl Outage {
    /// Records a failure beyond the share.
    pub(crate) fn extend(&self, now: Tick) {
        let last = now.0 + 1;
        // Relaxed: a stale value costs one more write. Of many failures in a tick, most write
        // nothing.
        if self.last.load(Ordering::Relaxed) < last {
            // AcqRel: the thread that ends this outage sees the failures that began it.
            self.last.fetch_max(last, Ordering::AcqRel);
        }
    }

    /// Whether a failure within the share belongs to the outage, which lasts for `ticks`
    /// after the last failure beyond the share.
    pub(crate) fn includes(&self, now: Tick, ticks: u64) -> bool {
        // Relaxed: `is_over` decides, by a read-modify-write.
        match self.last.load(Ordering::Relaxed) {
            0 => false,
            last => now.0.saturating_sub(last - 1) <= ticks,
        }
    }

    /// Ends the outage; false if there was none.
    pub(crate) fn end(&self) -> bool {
        // Relaxed: mostly there is none, and then no cache line is written.
        if self.last.load(Ordering::Relaxed) == 0 {
            return false;
        }
        // AcqRel: this thread sees the circuits that were marked before `is_over`.
        self.last.swap(0, Ordering::AcqRel) != 0
    }

    /// Whether the outage is over; to be asked after a circuit was marked.
    pub(crate) fn is_over(&self) -> bool {
        // A read-modify-write: see the module's description.
        self.last.touch() == 0
    }

    /// Leaves the other relays that failed during the outage to the next maintenance pass.
    pub(crate) fn defer_rest(&self) {
        // Release: the pass sees what this thread saw.
        self.is_unfinished.store(true, Ordering::Release);
    }

    /// Whether relays were left to this pass.
    pub(crate) fn take_deferred(&self) -> bool {
        // Relaxed: a later pass sees it if this one does not. Acquire in the swap: sees the
        // marked circuits that the thread which deferred them saw. Release is not needed.
        self.is_unfinished.load(Ordering::Relaxed)
            && self.is_unfinished.swap(false, Ordering::AcqRel)
    }
}

#[cfg(all(test, relay_loom))]
mod models {
    use super::Outage;
    use crate::sync::{Arc, AtomicBool, Ordering, check};
    use crate::time::Tick;
    use loom::thread;

    /// Either the thread that ends an outage sees the mark of a failure, or the thread that made
    /// the mark sees that the outage is over.
    #[test]
    fn a_failure_in_an_outage_is_seen_by_its_end_or_sees_the_end() {
        check(3, || {
            let outage = Arc::new(Outage::default());
            outage.extend(Tick(0));
            let mark = Arc::new(AtomicBool::new(false));
            let (failing_in, marked) = (Arc::clone(&outage), Arc::clone(&mark));
            let failing = thread::spawn(move || {
                // Relaxed: the word of the outage orders it.
                marked.store(true, Ordering::Relaxed);
                failing_in.is_over()
            });
            assert!(outage.end());
            let sees_the_mark = mark.load(Ordering::Relaxed);
            assert!(failing.join().unwrap() || sees_the_mark);
        });
    }
}

//! Whether failures are taken for an outage of our own.
//!
//! An outage begins with a failure by which more relays than a share back off, and
//! ends with the first success of a relay that was failing: then all relays that failed
//! in it are on trial. Failures that come within a while after one beyond the share
//! belong to it as well, for back-offs that end take relays out of the share again.
//! Without that while, an outage that ends otherwise (as its relays leave) would
//! go on for ever.
//!
//! # A failure beside the end
//!
//! The thread that ends an outage looks for the relays that failed in it. A thread
//! that takes a failure for part of the outage marks the circuit, and only then asks
//! whether the outage is over. Both do so by a read-modify-write of one word, so one
//! comes first: either the thread that ends the outage finds the mark, or the other
//! finds that the outage is over, and puts its relay on trial itself.

use crate::sync::{AtomicBool, AtomicU64, Ordering, Padded};
use crate::time::Tick;

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    /// The tick after that of the last failure beyond the share; 0 while there is no
    /// outage.
    last: Padded<AtomicU64>,
    /// Whether relays that failed in an outage which is over may still be backing off.
    is_unfinished: AtomicBool,
}

impl Outage {
    /// Takes in a failure beyond the share.
    pub(crate) fn goes_on(&self, now: Tick) {
        let last = now.0 + 1;
        // Relaxed: a thread that asks whether it is over does so by a
        // read-modify-write. Not written twice in a tick.
        if self.last.load(Ordering::Relaxed) < last {
            self.last.fetch_max(last, Ordering::AcqRel);
        }
    }

    /// Whether a failure at this tick, within the share, belongs to it.
    pub(crate) fn includes(&self, now: Tick, ticks: u64) -> bool {
        // Relaxed: see `goes_on`.
        match self.last.load(Ordering::Relaxed) {
            0 => false,
            last => now.0.saturating_sub(last - 1) <= ticks,
        }
    }

    /// Ends it; whether there was one.
    pub(crate) fn end(&self) -> bool {
        // Relaxed: most of the time there is none, and no line is written.
        if self.last.load(Ordering::Relaxed) == 0 {
            return false;
        }
        // AcqRel: what failed in it before this is seen by the thread that ends it.
        self.last.swap(0, Ordering::AcqRel) != 0
    }

    /// Whether it is over, after a circuit was marked.
    pub(crate) fn is_over(&self) -> bool {
        // A read-modify-write: see the module's description.
        self.last.fetch_add(0, Ordering::AcqRel) == 0
    }

    /// Leaves the rest of the relays that failed in it to the next pass.
    pub(crate) fn leave_rest(&self) {
        // Release: the pass finds what this thread saw.
        self.is_unfinished.store(true, Ordering::Release);
    }

    /// Takes over what was left to this pass; whether anything was.
    pub(crate) fn take_rest(&self) -> bool {
        // Relaxed: seen by a later pass if not by this one.
        self.is_unfinished.load(Ordering::Relaxed)
            && self.is_unfinished.swap(false, Ordering::AcqRel)
    }
}

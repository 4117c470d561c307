//! How callers of the registry tell its distribution that there is something
//! to do: by one word, and at most by waking threads that sleep.
//!
//! The bell says only *that*; *what* is read from the registry by whoever
//! answers. So there is no queue that could fill up, and a change that comes
//! while an earlier one is being published is not lost: the caller changes the
//! registry first and rings then; whoever answers takes the ring first and
//! reads the registry then. Of a ring and an answer at once, either the answer
//! sees the change or the ring is heard again.

use std::sync::OnceLock;

use crate::sync::{AtomicU32, Ordering, Padded, Thread};

/// Rings, and who is woken by them.
#[derive(Debug)]
pub(crate) struct Bell {
    rings: Padded<AtomicU32>,
    /// Set once, when the threads have been started.
    sleepers: OnceLock<Box<[Thread]>>,
}

/// What has been rung since the last answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rings(u32);

impl Rings {
    const CHANGED: u32 = 1;
    const MISSED: u32 = 2;
    const WORK: u32 = 4;
    const STOP: u32 = 8;

    /// Only those who talk to the engine can do something about it.
    pub(super) fn are_for_the_engine(self) -> bool {
        self.0 & (Self::CHANGED | Self::MISSED) != 0
    }

    /// Somebody found no relay.
    pub(super) fn missed(self) -> bool {
        self.0 & Self::MISSED != 0
    }
}

impl Bell {
    pub(crate) fn new() -> Self {
        Self {
            rings: Padded(AtomicU32::new(0)),
            sleepers: OnceLock::new(),
        }
    }

    /// Whom to wake, from now on.
    pub(super) fn wakes(&self, sleepers: impl IntoIterator<Item = Thread>) {
        let _ = self.sleepers.set(sleepers.into_iter().collect());
    }

    /// What is to be published has changed, and can be read.
    pub(crate) fn changed(&self) {
        self.ring(Rings::CHANGED);
    }

    /// A caller found no relay. One load, if somebody said so before and was
    /// not answered yet.
    pub(crate) fn missed(&self) {
        // Relaxed: a hint that is lost is given again by the next miss.
        if self.rings.load(Ordering::Relaxed) & Rings::MISSED == 0 {
            self.ring(Rings::MISSED);
        }
    }

    /// One of the threads made work for others.
    pub(super) fn more_work(&self) {
        self.ring(Rings::WORK);
    }

    /// All is to end. This ring stays.
    pub(super) fn stop(&self) {
        self.ring(Rings::STOP);
    }

    pub(super) fn is_stopped(&self) -> bool {
        // Acquire: pairs with `ring`.
        self.rings.load(Ordering::Acquire) & Rings::STOP != 0
    }

    /// Whether nothing was rung; to be asked before falling asleep.
    pub(super) fn is_silent(&self) -> bool {
        // Acquire: pairs with `ring`.
        self.rings.load(Ordering::Acquire) == 0
    }

    /// Takes all rings; read what has changed after this.
    pub(super) fn answer(&self) -> Rings {
        // A read-modify-write, so that it and each ring are in one order; Acquire:
        // what was changed before a ring that this takes is seen.
        Rings(self.rings.fetch_and(Rings::STOP, Ordering::AcqRel))
    }

    fn ring(&self, ring: u32) {
        // Release: see `answer`. A read-modify-write also when the ring stands:
        // an answer that comes later must see what we changed.
        if self.rings.fetch_or(ring, Ordering::AcqRel) & ring == 0 {
            for sleeper in self.sleepers.get().into_iter().flatten() {
                sleeper.unpark();
            }
        }
    }
}

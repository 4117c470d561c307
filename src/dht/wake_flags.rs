//! The flags by which callers of the registry wake the threads of its distribution.
//!
//! A flag shows that there is work. The thread that takes the flag reads from the registry
//! which work it is. So there is no queue that could fill up.
//!
//! No change is lost while an earlier one is being published. The caller changes the
//! registry and then sets the flag. The thread takes the flag and then reads the
//! registry. Both are read-modify-writes of one word: if the thread takes the flags
//! before the caller sets one, it finds that flag the next time.

use crate::sync::unmodelled::OnceLock;
use crate::sync::{AtomicU32, Ordering, Padded, Thread};

/// The flags, and the threads that are woken when one is set.
#[derive(Debug)]
pub(crate) struct WakeFlags {
    flags: Padded<AtomicU32>,
    /// Set once, when the threads have been started.
    workers: OnceLock<Box<[Thread]>>,
}

/// The flags that were set since they were last taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags(u32);

impl Flags {
    const CHANGED: u32 = 1;
    const MISSED: u32 = 2;
    const WORK: u32 = 4;
    const STOP: u32 = 8;

    /// Whether the work needs a request to the engine.
    pub(super) fn need_engine(self) -> bool {
        self.0 & (Self::CHANGED | Self::MISSED) != 0
    }

    /// Whether a caller found no relay.
    pub(super) fn missed(self) -> bool {
        self.0 & Self::MISSED != 0
    }
}

impl WakeFlags {
    pub(crate) fn new() -> Self {
        Self {
            flags: Padded(AtomicU32::new(0)),
            workers: OnceLock::new(),
        }
    }

    /// Sets the threads that are woken from now on; once only.
    pub(super) fn set_workers(&self, workers: impl IntoIterator<Item = Thread>) {
        let _ = self.workers.set(workers.into_iter().collect());
    }

    /// Notes that this node's relay has changed. Call it after the change.
    pub(crate) fn notify_changed(&self) {
        self.set(Flags::CHANGED);
    }

    /// Notes that a caller found no relay. Costs one load while an earlier miss is pending.
    pub(crate) fn notify_miss(&self) {
        // Relaxed: a miss is a hint. If one is lost, the next one sets the flag.
        if self.flags.load(Ordering::Relaxed) & Flags::MISSED == 0 {
            self.set(Flags::MISSED);
        }
    }

    /// Notes that there is work for another thread.
    pub(super) fn notify_work(&self) {
        self.set(Flags::WORK);
    }

    /// Makes the threads end. [`take`](Self::take) does not clear this flag.
    pub(super) fn stop(&self) {
        self.set(Flags::STOP);
    }

    pub(super) fn is_stopped(&self) -> bool {
        // Acquire: pairs with `set`.
        self.flags.load(Ordering::Acquire) & Flags::STOP != 0
    }

    /// Whether no flag is set. A thread checks this before it sleeps.
    pub(super) fn is_clear(&self) -> bool {
        // Acquire: pairs with `set`.
        self.flags.load(Ordering::Acquire) == 0
    }

    /// Clears all flags except the stop flag, and returns them. Read what changed after this.
    pub(super) fn take(&self) -> Flags {
        // A read-modify-write, so that it and each `set` are in one order. Acquire: this
        // thread sees what changed before a flag that it takes.
        Flags(self.flags.fetch_and(Flags::STOP, Ordering::AcqRel))
    }

    fn set(&self, flag: u32) {
        // Release: see `take`. A read-modify-write also when the flag is set: the thread
        // that takes it later must see what this one changed.
        if self.flags.fetch_or(flag, Ordering::AcqRel) & flag == 0 {
            for worker in self.workers.get().into_iter().flatten() {
                worker.unpark();
            }
        }
    }
}

//! [`Saver`]: saves to a file, at intervals and at the end.
//!
//! With maintenance threads a thread of its own saves, so that neither the tick nor expiry waits
//! for a disk. The maintenance thread looks once a pass whether a save is due, which is one
//! comparison, and wakes it. Without these threads, [`Registry::maintain`] saves when it is due.
//!
//! The last save is made when the registry is closed or its last handle is dropped: by the thread
//! that saves, before it ends; without that thread, by the call. [`Registry::close`] has it begin
//! after the other threads have ended. Afterwards nothing is saved by itself:
//! another process may have taken over the file.
//!
//! [`Registry::maintain`]: crate::Registry::maintain
//! [`Registry::close`]: crate::Registry::close

use super::RestoreReport;
use super::file;
use super::save::SavedAt;
use crate::panics::catch_panic;
use crate::registry::dht_bridge::DhtMemory;
use crate::registry::inner::Inner;
use crate::sync::unmodelled::{AtomicBool, AtomicU64};
use crate::sync::{Arc, Mutex, Ordering};
use crate::time::{Clock, nanos};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where to save, and how often.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    pub(super) path: PathBuf,
    pub(super) every: Duration,
}

/// Saves one registry.
pub(in crate::registry) struct Saver {
    inner: Arc<Inner>,
    dht: DhtMemory,
    wall_clock: Arc<dyn Clock>,
    schedule: Option<Schedule>,
    restored: Option<RestoreReport>,
    /// When the next save is due, in nanoseconds of the registry's time.
    due_at: AtomicU64,
    /// Whether nothing more is saved by itself.
    is_over: AtomicBool,
    /// Held while a file is written: two saves to one file would write the same file beside it.
    /// No other call waits for it.
    writing: Mutex<()>,
    last_error: Mutex<Option<Arc<io::Error>>>,
}

impl Saver {
    pub(super) fn new(
        inner: Arc<Inner>,
        dht: DhtMemory,
        wall_clock: Arc<dyn Clock>,
        schedule: Option<Schedule>,
        restored: Option<RestoreReport>,
    ) -> Self {
        let saver = Self {
            inner,
            dht,
            wall_clock,
            schedule,
            restored,
            due_at: AtomicU64::new(u64::MAX),
            is_over: AtomicBool::new(false),
            writing: Mutex::new(()),
            last_error: Mutex::new(None),
        };
        saver.plan_next();
        saver
    }

    pub(super) fn restored(&self) -> Option<&RestoreReport> {
        self.restored.as_ref()
    }

    /// Writes a save. Neither pinned nor under a lock.
    pub(super) fn save(&self, out: impl Write) -> io::Result<()> {
        let at = SavedAt::read(&self.inner, &*self.wall_clock);
        self.inner.save(out, at, &self.dht)
    }

    /// Replaces a file by a save.
    pub(super) fn save_to(&self, path: &Path) -> io::Result<()> {
        // Before the lock: the clocks are the embedder's code.
        let at = SavedAt::read(&self.inner, &*self.wall_clock);
        let _writing = self.writing.lock();
        file::replace(path, |_| {}, |out| self.inner.save(out, at, &self.dht))
    }

    /// Whether a thread is needed for the saves.
    pub(in crate::registry) fn has_schedule(&self) -> bool {
        self.schedule.is_some()
    }

    /// Whether a save is due: one or two loads.
    pub(in crate::registry) fn is_due(&self) -> bool {
        // Relaxed, here and below: they order nothing. A save that is made twice does no harm.
        let due_at = self.due_at.load(Ordering::Relaxed);
        due_at != u64::MAX && self.inner.relays.timeline.elapsed_nanos() >= due_at
    }

    /// Saves if that is due.
    pub(in crate::registry) fn save_if_due(&self) {
        if self.is_due() && !self.is_over.load(Ordering::Relaxed) {
            self.save_as_scheduled();
            self.plan_next();
        }
    }

    /// The last save, unless it was made before.
    pub(in crate::registry) fn save_at_end(&self) {
        // AcqRel: of two threads, one saves. It sees what the registry did before.
        if !self.is_over.swap(true, Ordering::AcqRel) {
            self.save_as_scheduled();
        }
    }

    fn plan_next(&self) {
        if let Some(schedule) = &self.schedule {
            let now = self.inner.relays.timeline.elapsed_nanos();
            let due_at = now.saturating_add(nanos(schedule.every));
            self.due_at.store(due_at, Ordering::Relaxed);
        }
    }

    /// A panic can only come from the embedder's clocks.
    fn save_as_scheduled(&self) {
        let Some(schedule) = &self.schedule else {
            return;
        };
        let saved = catch_panic(|| self.save_to(&schedule.path));
        let saved = saved.unwrap_or_else(|| Err(io::Error::other("a clock panicked")));
        self.inner.relays.counters.count_save(saved.is_ok());
        *self.last_error.lock() = saved.err().map(Arc::new);
    }

    pub(super) fn last_error(&self) -> Option<Arc<io::Error>> {
        self.last_error.lock().clone()
    }
}

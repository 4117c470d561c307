//! The maintenance thread.
//!
//! It holds what the handles share, but no handle: the last handle that is
//! dropped stops and joins it.

use crate::registry::core::Core;
use crate::registry::housekeeping::Sorting;
use crate::registry::stats::add_one;
use crate::sync::{Arc, AtomicBool, Ordering, park_timeout};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{self, JoinHandle};

/// A running maintenance thread; dropping this ends it.
#[derive(Debug)]
pub(crate) struct Keeper {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread, which makes a pass at least once a tick.
    pub(super) fn start(core: Arc<Core>) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let told_to_stop = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("relay-registry".into())
            .spawn(move || keep(&core, &told_to_stop))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Has the next pass made now; lock-free.
    pub(super) fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

fn keep(core: &Core, stop: &AtomicBool) {
    // Acquire: pairs with the last handle's word to stop.
    while !stop.load(Ordering::Acquire) {
        // The clock is the embedder's and may panic; it is read before
        // anything changes, so the next pass goes on from a sound state.
        if catch_unwind(AssertUnwindSafe(|| core.maintain(Sorting::Paced))).is_err() {
            add_one(&core.counters.panics);
        }
        park_timeout(core.settings.tick);
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Release: the thread sees all that the handles did.
        self.stop.store(true, Ordering::Release);
        self.wake();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // A panic of its own was counted, and is nothing to pass on here.
            let _ = thread.join();
        }
    }
}

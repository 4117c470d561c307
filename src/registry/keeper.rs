//! The maintenance thread.
//!
//! It holds what the handles share, but no handle: the last handle that is
//! dropped stops and joins it.

use crate::registry::core::Core;
use crate::registry::housekeeping::Sorting;
use crate::registry::stats::add_one;
use crate::sync::{Arc, AtomicBool, Ordering, park_timeout};
use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{self, JoinHandle};

/// A running maintenance thread; dropping this ends it.
#[derive(Debug)]
pub(crate) struct Keeper {
    signals: Arc<Signals>,
    thread: Option<JoinHandle<()>>,
}

/// What the handles tell the thread.
#[derive(Debug, Default)]
struct Signals {
    stop: AtomicBool,
    woken: AtomicBool,
}

impl Keeper {
    /// Starts the thread, which makes a pass at least once a tick.
    pub(super) fn start(core: Arc<Core>) -> io::Result<Self> {
        let signals = Arc::new(Signals::default());
        let heard = Arc::clone(&signals);
        let thread = thread::Builder::new()
            .name("relay-registry".into())
            .spawn(move || keep(&core, &heard))?;
        Ok(Self {
            signals,
            thread: Some(thread),
        })
    }

    /// Has the next pass made now, unless that was asked already; lock-free.
    pub(super) fn wake(&self) {
        // Relaxed: at worst a pass is made too many, or a tick later.
        if !self.signals.woken.swap(true, Ordering::Relaxed) {
            self.unpark();
        }
    }

    fn unpark(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

fn keep(core: &Core, signals: &Signals) {
    // Acquire: pairs with the last handle's word to stop.
    while !signals.stop.load(Ordering::Acquire) {
        signals.woken.store(false, Ordering::Relaxed);
        // The clock is the embedder's and may panic; it is read before
        // anything changes, so the next pass goes on from a sound state.
        let pass = catch_unwind(AssertUnwindSafe(|| core.maintain(Sorting::Paced)));
        if let Err(payload) = pass {
            add_one(&core.counters.panics);
            let_go(payload);
        }
        park_timeout(core.settings.tick);
    }
}

/// Drops what a panic carried. That may panic again; what the second one carries
/// is left alone.
fn let_go(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Release: the thread sees all that the handles did.
        self.signals.stop.store(true, Ordering::Release);
        self.unpark();
        let others = |thread: &JoinHandle<()>| thread.thread().id() != thread::current().id();
        if let Some(thread) = self.thread.take().filter(others) {
            // A panic of its own was counted, and is nothing to pass on here.
            let _ = thread.join();
        }
    }
}

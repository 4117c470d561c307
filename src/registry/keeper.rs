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
use std::time::Duration;

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

impl Signals {
    /// Asks for a pass, and wakes the thread unless it was asked before.
    fn ask(&self, wake: impl FnOnce()) {
        // Release: see `heed`. A swap also when it was asked for already: a pass
        // that begins later must see what we did.
        if !self.woken.swap(true, Ordering::Release) {
            wake();
        }
    }

    /// Has the thread end after the pass that it is making.
    fn stop(&self, wake: impl FnOnce()) {
        // Release: the thread sees all that the handles did.
        self.stop.store(true, Ordering::Release);
        wake();
    }

    /// Makes a pass whenever one was asked for, and after each pause, to the end.
    fn heed(&self, pause: Duration, mut pass: impl FnMut()) {
        // Acquire: pairs with the last handle's word to stop.
        while !self.stop.load(Ordering::Acquire) {
            // Before the pass, and a swap, so that it and each that asks are in
            // one order. Acquire: what led to those before is seen; those after
            // wake us again.
            self.woken.swap(false, Ordering::Acquire);
            pass();
            park_timeout(pause);
        }
    }
}

impl Keeper {
    /// Starts the thread, which makes a pass at least once a tick.
    pub(super) fn start(core: Arc<Core>) -> io::Result<Self> {
        let signals = Arc::new(Signals::default());
        let heard = Arc::clone(&signals);
        let thread = thread::Builder::new()
            .name("relay-registry".into())
            .spawn(move || heard.heed(core.settings.tick, || make_a_pass(&core)))?;
        Ok(Self {
            signals,
            thread: Some(thread),
        })
    }

    /// Has the next pass made now, unless that was asked already; lock-free.
    pub(super) fn wake(&self) {
        self.signals.ask(|| self.unpark());
    }

    fn unpark(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

fn make_a_pass(core: &Core) {
    // The clock is the embedder's and may panic; it is read before anything
    // changes, so the next pass goes on from a sound state.
    let pass = catch_unwind(AssertUnwindSafe(|| core.maintain(Sorting::Paced)));
    if let Err(payload) = pass {
        add_one(&core.counters.panics);
        let_go(payload);
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
        self.signals.stop(|| self.unpark());
        let others = |thread: &JoinHandle<()>| thread.thread().id() != thread::current().id();
        if let Some(thread) = self.thread.take().filter(others) {
            // A panic of its own was counted, and is nothing to pass on here.
            let _ = thread.join();
        }
    }
}

#[cfg(all(test, relay_loom))]
mod models {
    //! Models of the thread's life: parked is parked there, so that whatever is
    //! not heard of at once is never heard of.

    use super::Signals;
    use crate::sync::{Arc, AtomicU32, Ordering, check, crossing};
    use loom::thread;
    use std::time::Duration;

    /// The last handle is dropped while the thread begins, makes a pass, is about
    /// to sleep, or sleeps: it ends, and not before it has seen all that was done.
    #[test]
    fn the_maintenance_thread_ends_when_told() {
        check(3, || {
            let signals = Arc::new(Signals::default());
            let done = Arc::new(AtomicU32::new(0));
            let (heard, read) = (Arc::clone(&signals), Arc::clone(&done));
            let keeper = thread::spawn(move || {
                heard.heed(Duration::MAX, crossing);
                crossing();
                // Relaxed: it is the word to stop that makes it seen.
                assert_eq!(read.load(Ordering::Relaxed), 1);
            });
            done.store(1, Ordering::Relaxed);
            signals.stop(|| {
                // To be woken would show all that the handles did, too.
                crossing();
                keeper.thread().unpark();
            });
            keeper.join().unwrap();
        });
    }

    /// A pass that is asked for is made, though one is being made already.
    #[test]
    fn a_pass_that_is_asked_for_is_made() {
        check(3, || {
            let signals = Arc::new(Signals::default());
            let wanted = Arc::new(AtomicU32::new(0));
            let (heard, read) = (Arc::clone(&signals), Arc::clone(&wanted));
            let keeper = thread::spawn(move || {
                heard.heed(Duration::MAX, || {
                    if read.load(Ordering::Relaxed) == 2 {
                        heard.stop(|| thread::current().unpark());
                    }
                });
            });
            for pass in 1..=2 {
                wanted.store(pass, Ordering::Relaxed);
                signals.ask(|| keeper.thread().unpark());
            }
            keeper.join().unwrap();
        });
    }
}

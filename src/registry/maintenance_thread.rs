//! The two maintenance threads, and the one that saves.
//!
//! One reads the clock and raises the tick, and does nothing else. So no relay is handed
//! out later than one tick after its deadline, however long the passes take. The other one
//! makes the maintenance passes. It also looks whether a save is due, and wakes the thread that
//! makes it, if the builder asked for saves.
//!
//! Both hold the [`Inner`] that the handles share, but no handle: [`Registry::close`] stops and
//! joins them, and the last handle that is dropped stops them. They free the memory then.
//!
//! [`Registry::close`]: crate::Registry::close

use crate::events::{Latch, Running};
use crate::registry::inner::Inner;
use crate::registry::maintenance::Pace;
use crate::registry::persistence::Saver;
use crate::sync::unmodelled::thread::{self, JoinHandle, Thread};
use crate::sync::{Arc, AtomicBool, Mutex, Ordering, park_timeout};
use std::io;
use std::time::Duration;

/// The running threads; dropping this ends them.
#[derive(Debug)]
pub(crate) struct MaintenanceThreads {
    ticker: Worker,
    maintainer: Worker,
    saving: Option<Worker>,
}

/// How long the thread that saves sleeps if it is not woken.
const SAVER_PAUSE: Duration = Duration::from_secs(3_600);

/// A thread that makes one pass after another; dropping this ends it.
#[derive(Debug)]
struct Worker {
    waker: Waker,
    /// Until one thread has waited for its end.
    handle: Mutex<Option<JoinHandle<()>>>,
}

/// Wakes such a thread, or ends it, from another one.
#[derive(Clone, Debug)]
struct Waker {
    signals: Arc<Signals>,
    thread: Thread,
}

/// Flags that other threads set for such a thread.
#[derive(Debug, Default)]
struct Signals {
    stop: AtomicBool,
    woken: AtomicBool,
}

impl Signals {
    /// Requests a pass, and wakes the thread unless a pass was requested before.
    fn request(&self, wake: impl FnOnce()) {
        // Release: see `run`. A swap also if it was set already: a pass that begins
        // later must see what this thread did.
        if !self.woken.swap(true, Ordering::Release) {
            wake();
        }
    }

    /// Ends the thread after the pass that it is making.
    fn stop(&self, wake: impl FnOnce()) {
        // Release: the thread sees all that the handles did.
        self.stop.store(true, Ordering::Release);
        wake();
    }

    /// Makes a pass whenever one is requested, and after each pause, until it is stopped.
    fn run(&self, pause: Duration, mut pass: impl FnMut()) {
        // Acquire: pairs with `stop`.
        while !self.stop.load(Ordering::Acquire) {
            // Before the pass, and a swap, so that it and each request are in one
            // order. Acquire: what led to earlier requests is seen; later requests
            // wake this thread again.
            self.woken.swap(false, Ordering::Acquire);
            pass();
            // The pause may not count the time that the machine was suspended. Then at
            // most one whole pause is left afterwards.
            park_timeout(pause);
        }
    }
}

impl MaintenanceThreads {
    /// Starts the threads. The tick is raised, and a pass made, once a tick.
    pub(super) fn start(
        inner: &Arc<Inner>,
        running: &Arc<Latch>,
        saver: &Arc<Saver>,
        saving: &Arc<Latch>,
    ) -> io::Result<Self> {
        let saving = saver
            .has_schedule()
            .then(|| start_saving(Arc::clone(saver), saving.enter()))
            .transpose()?;
        let tick = inner.relays.settings.tick;
        // A pass is requested once a tick, unless the clock hangs or panics.
        let pause = tick.saturating_mul(2);
        let (maintained, saves) = (Arc::clone(inner), Arc::clone(saver));
        let save_waker = saving.as_ref().map(|saving| saving.waker.clone());
        let pass = move || {
            run_pass(&maintained);
            if let Some(waker) = save_waker.as_ref().filter(|_| saves.is_due()) {
                waker.request();
            }
        };
        let maintainer = Worker::start("relay-registry", running.enter(), move |signals| {
            signals.run(pause, pass);
        })?;
        let waker = maintainer.waker.clone();
        let ticked = Arc::clone(inner);
        let raise = move || {
            if raise_tick(&ticked) {
                waker.request();
            }
        };
        let ticker = Worker::start("relay-clock", running.enter(), move |signals| {
            signals.run(tick, raise);
        })?;
        Ok(Self {
            ticker,
            maintainer,
            saving,
        })
    }

    /// Requests a pass now; lock-free.
    pub(super) fn wake(&self) {
        self.maintainer.waker.request();
    }

    /// Makes the maintenance threads end, after the passes that they are making.
    pub(super) fn stop(&self) {
        self.ticker.waker.stop();
        self.maintainer.waker.stop();
    }

    /// Waits until these have ended, also if another thread waits for them.
    pub(super) fn join(&self) {
        self.ticker.join();
        self.maintainer.join();
    }

    /// Makes the thread that saves end, after the last save.
    pub(super) fn stop_saving(&self) {
        if let Some(saving) = &self.saving {
            saving.waker.stop();
        }
    }

    /// Waits until that has ended.
    pub(super) fn join_saving(&self) {
        if let Some(saving) = &self.saving {
            saving.join();
        }
    }

    /// Whether this thread is one of them.
    pub(super) fn is_own_thread(&self) -> bool {
        let saving = self.saving.as_ref();
        self.ticker.is_current()
            || self.maintainer.is_current()
            || saving.is_some_and(Worker::is_current)
    }
}

impl Waker {
    fn request(&self) {
        self.signals.request(|| self.thread.unpark());
    }

    fn stop(&self) {
        self.signals.stop(|| self.thread.unpark());
    }
}

impl Worker {
    fn start(
        name: &str,
        running: Running,
        work: impl FnOnce(&Signals) + Send + 'static,
    ) -> io::Result<Self> {
        let signals = Arc::new(Signals::default());
        let received = Arc::clone(&signals);
        let handle = thread::Builder::new().name(name.into()).spawn(move || {
            work(&received);
            drop(running);
        })?;
        let thread = handle.thread().clone();
        Ok(Self {
            waker: Waker { signals, thread },
            handle: Mutex::new(Some(handle)),
        })
    }

    /// Waits until the thread has ended; not to be called by itself.
    fn join(&self) {
        // Locked while it waits, so that other threads wait for the same end. The thread
        // itself never takes the lock.
        if let Some(thread) = self.handle.lock().take() {
            // Its panic was counted already.
            let _ = thread.join();
        }
    }

    fn is_current(&self) -> bool {
        self.waker.thread.id() == thread::current().id()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.waker.stop();
    }
}

/// Starts the thread that saves whenever it is woken and a save is due, and at its end.
fn start_saving(saver: Arc<Saver>, running: Running) -> io::Result<Worker> {
    Worker::start("relay-save", running, move |signals| {
        signals.run(SAVER_PAUSE, || saver.save_if_due());
        saver.save_at_end();
    })
}

/// Raises the tick; whether the clock could be read.
fn raise_tick(inner: &Inner) -> bool {
    // The clock is read before anything changes, so the next pass goes on from a sound state.
    inner.relays.counters.catch_panic(|| {
        inner.relays.timeline.advance();
    })
}

fn run_pass(inner: &Inner) {
    inner.relays.counters.catch_panic(|| {
        inner.run_maintenance(inner.relays.timeline.tick(), Pace::Paced);
    });
}

#[cfg(all(test, relay_loom))]
mod models {
    //! Models of a maintenance thread. In a model a parked thread stays parked until it is
    //! woken, so a flag that it misses is missed for good.

    use super::Signals;
    use crate::sync::{Arc, AtomicU32, Ordering, check, yield_point};
    use loom::thread;
    use std::time::Duration;

    /// The last handle is dropped while the thread begins, makes a pass, is about
    /// to sleep, or sleeps: it ends, and not before it has seen all that was done.
    #[test]
    fn the_maintenance_thread_ends_when_stopped() {
        check(3, || {
            let signals = Arc::new(Signals::default());
            let done = Arc::new(AtomicU32::new(0));
            let (received, read) = (Arc::clone(&signals), Arc::clone(&done));
            let maintainer = thread::spawn(move || {
                received.run(Duration::MAX, yield_point);
                yield_point();
                // Relaxed: the load of `stop` makes it seen.
                assert_eq!(read.load(Ordering::Relaxed), 1);
            });
            done.store(1, Ordering::Relaxed);
            signals.stop(|| {
                // Waking would make all that the handles did seen, too.
                yield_point();
                maintainer.thread().unpark();
            });
            maintainer.join().unwrap();
        });
    }

    /// A requested pass is made, also if another pass is being made already.
    #[test]
    fn a_requested_pass_is_made() {
        check(3, || {
            let signals = Arc::new(Signals::default());
            let wanted = Arc::new(AtomicU32::new(0));
            let (received, read) = (Arc::clone(&signals), Arc::clone(&wanted));
            let maintainer = thread::spawn(move || {
                received.run(Duration::MAX, || {
                    if read.load(Ordering::Relaxed) == 2 {
                        received.stop(|| thread::current().unpark());
                    }
                });
            });
            for pass in 1..=2 {
                wanted.store(pass, Ordering::Relaxed);
                signals.request(|| maintainer.thread().unpark());
            }
            maintainer.join().unwrap();
        });
    }

    /// One thread requests passes of another one until both are stopped, as the last handle
    /// does: both end, at whatever step they are.
    #[test]
    fn a_thread_that_requests_passes_of_another_ends_with_it() {
        check(2, || {
            let (asking, asked) = (Arc::new(Signals::default()), Arc::new(Signals::default()));
            let received = Arc::clone(&asked);
            let maintainer = thread::spawn(move || received.run(Duration::MAX, yield_point));
            let sleeper = maintainer.thread().clone();
            let (received, waker) = (Arc::clone(&asking), Arc::clone(&asked));
            let ticker = thread::spawn(move || {
                received.run(Duration::MAX, || waker.request(|| sleeper.unpark()));
            });
            asking.stop(|| ticker.thread().unpark());
            asked.stop(|| maintainer.thread().unpark());
            ticker.join().unwrap();
            maintainer.join().unwrap();
        });
    }
}

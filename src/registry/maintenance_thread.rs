//! The two maintenance threads, and the one that saves.
//!
//! One reads the clock and raises the tick, and does nothing else. So no relay is handed
//! out later than one tick after its deadline, however long the passes take. The other one
//! makes the maintenance passes. It also looks whether a save is due, and wakes the thread that
//! makes it, if the builder asked for saves.
//!
//! All hold the [`Inner`] that the handles share, but no handle: [`Registry::close`], or the
//! last handle that is dropped, stops and joins them.
//!
//! [`Registry::close`]: crate::Registry::close

use crate::registry::inner::Inner;
use crate::registry::maintenance::Pace;
use crate::registry::persistence::Saver;
use crate::sync::unmodelled::thread::{self, JoinHandle, Thread};
use crate::sync::{Arc, AtomicBool, Mutex, Ordering, park_timeout};
use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// The running threads; dropping this ends them.
#[derive(Debug)]
pub(crate) struct MaintenanceThreads {
    ticker: Worker,
    maintainer: Worker,
    saver: Option<Worker>,
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
    pub(super) fn start(inner: Arc<Inner>, saver: &Arc<Saver>) -> io::Result<Self> {
        let saving = saver
            .has_schedule()
            .then(|| start_saving(Arc::clone(saver)))
            .transpose()?;
        let (saves, save_waker) = (
            Arc::clone(saver),
            saving.as_ref().map(|it| it.waker.clone()),
        );
        let tick = inner.relays.settings.tick;
        let maintained = Arc::clone(&inner);
        // A pass is requested once a tick, unless the clock hangs or panics.
        let pause = tick.saturating_mul(2);
        let maintainer = Worker::start("relay-registry", pause, move || {
            run_pass(&maintained);
            if let Some(waker) = save_waker.as_ref().filter(|_| saves.is_due()) {
                waker.request();
            }
        })?;
        let waker = maintainer.waker.clone();
        let ticker = Worker::start("relay-clock", tick, move || {
            if raise_tick(&inner) {
                waker.request();
            }
        })?;
        Ok(Self {
            ticker,
            maintainer,
            saver: saving,
        })
    }

    /// Requests a pass now; lock-free.
    pub(super) fn wake(&self) {
        self.maintainer.waker.request();
    }

    /// Makes the threads end, after the passes that they are making.
    pub(super) fn stop(&self) {
        self.ticker.waker.stop();
        self.maintainer.waker.stop();
        if let Some(saver) = &self.saver {
            saver.waker.stop();
        }
    }

    /// Waits until the threads have ended, also if another thread waits for them.
    pub(super) fn join(&self) {
        self.ticker.join();
        self.maintainer.join();
        if let Some(saver) = &self.saver {
            saver.join();
        }
    }

    /// Whether this thread is one of them.
    pub(super) fn is_own_thread(&self) -> bool {
        let is_saver = self.saver.as_ref().is_some_and(Worker::is_current);
        self.ticker.is_current() || self.maintainer.is_current() || is_saver
    }
}

impl Drop for MaintenanceThreads {
    fn drop(&mut self) {
        // Both, before either is waited for.
        self.stop();
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
    fn start(name: &str, pause: Duration, pass: impl FnMut() + Send + 'static) -> io::Result<Self> {
        let signals = Arc::new(Signals::default());
        let received = Arc::clone(&signals);
        let handle = thread::Builder::new()
            .name(name.into())
            .spawn(move || received.run(pause, pass))?;
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
        if !self.is_current() {
            self.join();
        }
    }
}

/// Starts the thread that saves whenever it is woken and a save is due.
fn start_saving(saver: Arc<Saver>) -> io::Result<Worker> {
    Worker::start("relay-save", SAVER_PAUSE, move || saver.save_if_due())
}

/// Raises the tick; whether the clock could be read.
fn raise_tick(inner: &Inner) -> bool {
    runs_without_panic(inner, || {
        inner.relays.timeline.advance();
    })
}

fn run_pass(inner: &Inner) {
    runs_without_panic(inner, || {
        inner.run_maintenance(inner.relays.timeline.tick(), Pace::Paced);
    });
}

/// Whether a pass ended without a panic, such as the embedder's clock may cause. It
/// is read before anything changes, so the next pass goes on from a sound state.
fn runs_without_panic(inner: &Inner, pass: impl FnOnce()) -> bool {
    match catch_unwind(AssertUnwindSafe(pass)) {
        Ok(()) => true,
        Err(payload) => {
            inner.relays.counters.count_panic();
            drop_payload(payload);
            false
        }
    }
}

/// Drops what a panic carried. That may panic again; what the second one carries
/// is left alone.
fn drop_payload(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
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

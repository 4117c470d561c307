//! The threads that keep a registry by themselves.
//!
//! One reads the clock and raises the tick, and does nothing else. So relays are
//! handed out to nobody a tick after their deadline at the latest, however long
//! anything else takes. The other does the housekeeping.
//!
//! Both hold what the handles share, but no handle: the last handle that is
//! dropped stops and joins them.

use crate::registry::core::Core;
use crate::registry::maintenance::Sorting;
use crate::registry::stats::add_one;
use crate::sync::unmodelled::thread::{self, JoinHandle, Thread};
use crate::sync::{Arc, AtomicBool, Ordering, park_timeout};
use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// The running threads; dropping this ends them.
#[derive(Debug)]
pub(crate) struct MaintenanceThreads {
    ticker: Worker,
    maintainer: Worker,
}

/// A thread that makes one pass after another; dropping this ends it.
#[derive(Debug)]
struct Worker {
    waker: Waker,
    handle: Option<JoinHandle<()>>,
}

/// Wakes such a thread, or ends it, from another one.
#[derive(Clone, Debug)]
struct Waker {
    signals: Arc<Signals>,
    thread: Thread,
}

/// What other threads tell it.
#[derive(Debug, Default)]
struct Signals {
    stop: AtomicBool,
    woken: AtomicBool,
}

impl Signals {
    /// Asks for a pass, and wakes the thread unless it was asked before.
    fn ask(&self, wake: impl FnOnce()) {
        // Release: see `run`. A swap also when it was asked for already: a pass
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
    fn run(&self, pause: Duration, mut pass: impl FnMut()) {
        // Acquire: pairs with the last handle's word to stop.
        while !self.stop.load(Ordering::Acquire) {
            // Before the pass, and a swap, so that it and each that asks are in
            // one order. Acquire: what led to those before is seen; those after
            // wake us again.
            self.woken.swap(false, Ordering::Acquire);
            pass();
            // The pause may leave out the time that the machine was suspended, but
            // no more than a whole pause is left of it afterwards.
            park_timeout(pause);
        }
    }
}

impl MaintenanceThreads {
    /// Starts the threads. The tick is raised, and a pass made, once a tick.
    pub(super) fn start(core: Arc<Core>) -> io::Result<Self> {
        let tick = core.settings.tick;
        let maintained = Arc::clone(&core);
        // It is asked for a pass once a tick, unless the clock hangs or panics.
        let pause = tick.saturating_mul(2);
        let maintainer = Worker::start("relay-registry", pause, move || run_pass(&maintained))?;
        let waker = maintainer.waker.clone();
        let ticker = Worker::start("relay-clock", tick, move || {
            if raise_tick(&core) {
                waker.ask();
            }
        })?;
        Ok(Self { ticker, maintainer })
    }

    /// Has the next pass made now, unless that was asked already; lock-free.
    pub(super) fn wake(&self) {
        self.maintainer.waker.ask();
    }
}

impl Drop for MaintenanceThreads {
    fn drop(&mut self) {
        // Both, before either is waited for.
        self.ticker.waker.stop();
        self.maintainer.waker.stop();
    }
}

impl Waker {
    fn ask(&self) {
        self.signals.ask(|| self.thread.unpark());
    }

    fn stop(&self) {
        self.signals.stop(|| self.thread.unpark());
    }
}

impl Worker {
    fn start(name: &str, pause: Duration, pass: impl FnMut() + Send + 'static) -> io::Result<Self> {
        let signals = Arc::new(Signals::default());
        let heard = Arc::clone(&signals);
        let handle = thread::Builder::new()
            .name(name.into())
            .spawn(move || heard.run(pause, pass))?;
        let thread = handle.thread().clone();
        Ok(Self {
            waker: Waker { signals, thread },
            handle: Some(handle),
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.waker.stop();
        let others = |thread: &JoinHandle<()>| thread.thread().id() != thread::current().id();
        if let Some(thread) = self.handle.take().filter(others) {
            // A panic of its own was counted, and is nothing to pass on here.
            let _ = thread.join();
        }
    }
}

/// Raises the tick; whether the clock could be read.
fn raise_tick(core: &Core) -> bool {
    runs_without_panic(core, || {
        core.timeline.advance();
    })
}

fn run_pass(core: &Core) {
    runs_without_panic(core, || {
        core.run_maintenance(core.timeline.tick(), Sorting::Paced);
    });
}

/// Whether a pass ended without a panic, such as the embedder's clock may cause. It
/// is read before anything changes, so the next pass goes on from a sound state.
fn runs_without_panic(core: &Core, pass: impl FnOnce()) -> bool {
    match catch_unwind(AssertUnwindSafe(pass)) {
        Ok(()) => true,
        Err(payload) => {
            add_one(&core.counters.panics);
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

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use crate::registry::Registry;
    use crate::relay::NodeId;
    use crate::time::ManualClock;
    use std::net::SocketAddr;
    use std::thread;
    use std::time::{Duration, Instant};

    const TTL: Duration = Duration::from_secs(5);

    fn relay() -> NodeId {
        NodeId::from([1; 32])
    }

    /// A registry kept by its threads, with a relay in it.
    fn registry() -> (Registry, ManualClock) {
        let clock = ManualClock::new();
        let registry = Registry::builder()
            .tick(Duration::from_millis(1))
            .ttl(TTL)
            .clock(clock.clone())
            .build()
            .unwrap();
        let endpoint = SocketAddr::from(([192, 0, 2, 1], 4433));
        registry.register(relay(), endpoint).unwrap();
        (registry, clock)
    }

    /// Moves the clock on to the deadline of the relay, in steps: a thread that raised the
    /// tick at one step and waits for something then raises it at no later one.
    #[track_caller]
    fn pass_the_deadline(registry: &Registry, clock: &ManualClock) {
        const STEPS: u32 = 50;
        let timeline = &registry.core().timeline;
        let attempts_left = Instant::now() + Duration::from_secs(30);
        for _ in 0..STEPS {
            let before = timeline.tick();
            clock.advance(TTL / STEPS);
            while timeline.tick() == before {
                assert!(Instant::now() < attempts_left, "the tick was not raised");
                thread::yield_now();
            }
        }
    }

    /// The right to sort is held for as long as a sort of any size would hold it, and
    /// there is something to sort.
    #[test]
    fn the_tick_is_raised_while_relays_are_sorted() {
        let (registry, clock) = registry();
        let sorting = registry.core().publication().merger();
        let other = NodeId::from([2; 32]);
        let endpoint = SocketAddr::from(([192, 0, 2, 2], 4433));
        registry.register(other, endpoint).unwrap();
        pass_the_deadline(&registry, &clock);
        assert!(!registry.is_relay(&relay()));
        assert!(registry.find_relay(&NodeId::from([9; 32])).is_err());
        drop(sorting);
    }

    /// The wheel is held for as long as any number of relays would take to expire.
    #[test]
    fn the_tick_is_raised_while_relays_are_swept() {
        let (registry, clock) = registry();
        let sweeping = registry.core().wheel.lock();
        pass_the_deadline(&registry, &clock);
        assert!(!registry.is_relay(&relay()));
        assert_eq!(registry.relay_count(), 0);
        drop(sweeping);
    }
}

#[cfg(all(test, relay_loom))]
mod models {
    //! Models of a thread's life: parked is parked there, so that whatever is
    //! not heard of at once is never heard of.

    use super::Signals;
    use crate::sync::{Arc, AtomicU32, Ordering, check, yield_point};
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
            let maintainer = thread::spawn(move || {
                heard.run(Duration::MAX, yield_point);
                yield_point();
                // Relaxed: it is the word to stop that makes it seen.
                assert_eq!(read.load(Ordering::Relaxed), 1);
            });
            done.store(1, Ordering::Relaxed);
            signals.stop(|| {
                // To be woken would show all that the handles did, too.
                yield_point();
                maintainer.thread().unpark();
            });
            maintainer.join().unwrap();
        });
    }

    /// A pass that is asked for is made, though one is being made already.
    #[test]
    fn a_pass_that_is_asked_for_is_made() {
        check(3, || {
            let signals = Arc::new(Signals::default());
            let wanted = Arc::new(AtomicU32::new(0));
            let (heard, read) = (Arc::clone(&signals), Arc::clone(&wanted));
            let maintainer = thread::spawn(move || {
                heard.run(Duration::MAX, || {
                    if read.load(Ordering::Relaxed) == 2 {
                        heard.stop(|| thread::current().unpark());
                    }
                });
            });
            for pass in 1..=2 {
                wanted.store(pass, Ordering::Relaxed);
                signals.ask(|| maintainer.thread().unpark());
            }
            maintainer.join().unwrap();
        });
    }

    /// One thread asks another for passes until both are told to end, as the last
    /// handle does: both end, whatever they are at.
    #[test]
    fn a_thread_that_asks_another_for_passes_ends_with_it() {
        check(2, || {
            let (asking, asked) = (Arc::new(Signals::default()), Arc::new(Signals::default()));
            let heard = Arc::clone(&asked);
            let maintainer = thread::spawn(move || heard.run(Duration::MAX, yield_point));
            let sleeper = maintainer.thread().clone();
            let (heard, waker) = (Arc::clone(&asking), Arc::clone(&asked));
            let ticker = thread::spawn(move || {
                heard.run(Duration::MAX, || waker.ask(|| sleeper.unpark()));
            });
            asking.stop(|| ticker.thread().unpark());
            asked.stop(|| maintainer.thread().unpark());
            ticker.join().unwrap();
            maintainer.join().unwrap();
        });
    }
}

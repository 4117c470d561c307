//! `close`: on any thread, beside other calls, and on the registry's own threads.

use crate::TIMEOUT;
use crate::common::*;
use relay_registry::{Clock, FindOptions, Maintenance, ManualClock, Registry};
use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

thread_local! {
    /// Dropped when the thread ends.
    static ALIVE: RefCell<Option<Alive>> = const { RefCell::new(None) };
}

/// Counts the threads that read a clock and have not ended.
struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A clock that counts the threads which read it, but for the test's own; with a registry, it
/// closes that on each of them.
struct Witness {
    time: ManualClock,
    home: ThreadId,
    readers: Arc<AtomicUsize>,
    closes: Mutex<Option<Registry>>,
    closed: AtomicUsize,
}

#[derive(Clone)]
struct SharedWitness(Arc<Witness>);

impl Clock for SharedWitness {
    fn now(&self) -> Duration {
        let witness = &*self.0;
        if thread::current().id() != witness.home {
            ALIVE.with_borrow_mut(|alive| {
                alive.get_or_insert_with(|| {
                    witness.readers.fetch_add(1, Ordering::SeqCst);
                    Alive(Arc::clone(&witness.readers))
                });
            });
            let closes = witness.closes.lock().unwrap().clone();
            if let Some(registry) = closes {
                registry.close();
                witness.closed.fetch_add(1, Ordering::SeqCst);
            }
        }
        witness.time.now()
    }
}

fn witnessed(tick: Duration) -> (Registry, SharedWitness) {
    let clock = SharedWitness(Arc::new(Witness {
        time: ManualClock::new(),
        home: thread::current().id(),
        readers: Arc::default(),
        closes: Mutex::default(),
        closed: AtomicUsize::default(),
    }));
    let registry = Registry::builder()
        .tick(tick)
        .maintenance(Maintenance::Thread)
        .clock(clock.clone())
        .build()
        .expect("a valid registry");
    (registry, clock)
}

/// Waits until a background thread has done something.
#[track_caller]
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_so() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::yield_now();
    }
}

#[test]
fn when_close_returns_the_threads_have_ended() {
    for _ in 0..20 {
        let (registry, clock) = witnessed(ms(1));
        registry.register(id(1), endpoint(1)).unwrap();
        eventually("the thread reads the clock", || {
            clock.0.readers.load(Ordering::SeqCst) == 1
        });
        registry.close();
        assert_eq!(clock.0.readers.load(Ordering::SeqCst), 0);
        let passes = registry.stats().maintenance_passes;
        clock.0.time.advance(TTL);
        assert!(!registry.is_relay(&id(1)), "read by this call");
        assert_eq!(registry.stats().maintenance_passes, passes);
    }
}

#[test]
fn threads_that_close_at_once_all_return_after_the_end() {
    for _ in 0..20 {
        let (registry, clock) = witnessed(ms(1));
        let start = Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..4 {
                let (registry, clock, start) = (registry.clone(), &clock, &start);
                scope.spawn(move || {
                    start.wait();
                    registry.close();
                    assert_eq!(clock.0.readers.load(Ordering::SeqCst), 0);
                });
            }
        });
    }
}

#[test]
fn a_clock_that_closes_its_registry_holds_up_nothing() {
    for _ in 0..20 {
        let (registry, clock) = witnessed(ms(1));
        *clock.0.closes.lock().unwrap() = Some(registry.clone());
        eventually("the clock closes the registry", || {
            clock.0.closed.load(Ordering::SeqCst) >= 1
        });
        registry.close();
        assert_eq!(clock.0.readers.load(Ordering::SeqCst), 0);
        *clock.0.closes.lock().unwrap() = None;
        registry.register(id(1), endpoint(1)).unwrap();
        assert!(registry.find_relay(&non_relay()).is_ok());
    }
}

#[test]
fn callers_go_on_while_a_registry_is_closed() {
    for _ in 0..20 {
        let (registry, _clock) = witnessed(ms(1));
        registry.register(id(0), endpoint(0)).unwrap();
        let start = Barrier::new(4);
        thread::scope(|scope| {
            for worker in 1..=2_u32 {
                let (registry, start) = (&registry, &start);
                scope.spawn(move || {
                    start.wait();
                    for n in 0..100 {
                        let relay = worker * 1_000 + n;
                        registry.register(id(relay), endpoint(relay)).unwrap();
                        assert!(registry.is_relay(&id(relay)));
                        assert!(registry.reserve(&non_relay(), &FindOptions::new()).is_ok());
                        assert!(registry.unregister(&id(relay)));
                    }
                });
            }
            let (registry, start) = (&registry, &start);
            scope.spawn(move || {
                start.wait();
                let found = registry.find_relay_wait(&id(0), &FindOptions::new(), ms(20));
                assert!(found.is_err() || found.unwrap().node_id() != id(0));
            });
            start.wait();
            registry.close();
        });
        assert_eq!(registry.relay_count(), 1);
    }
}

/// The thread sleeps for a tick of nearly an hour.
#[test]
fn a_slow_tick_does_not_delay_the_end() {
    let (registry, clock) = witnessed(TIMEOUT * 10);
    registry.close();
    assert_eq!(clock.0.readers.load(Ordering::SeqCst), 0);
}

//! The maintenance thread: it makes passes by itself, survives a panicking clock, and ends in time.

use crate::TIMEOUT;
use crate::common::*;
use relay_registry::{Clock, Maintenance, ManualClock, Registration, Registry, Stats};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// Waits until a background thread has done something.
#[track_caller]
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_so() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(ms(1));
    }
}

/// A manual clock that can panic on all threads but the test's own.
struct Fragile {
    time: ManualClock,
    home: ThreadId,
    broken: AtomicBool,
    /// The payload of its panics.
    payload: Arc<()>,
}

#[derive(Clone)]
struct SharedClock(Arc<Fragile>);

impl SharedClock {
    fn new() -> Self {
        Self(Arc::new(Fragile {
            time: ManualClock::new(),
            home: thread::current().id(),
            broken: AtomicBool::new(false),
            payload: Arc::new(()),
        }))
    }

    /// How many references to this clock there are, including the test's.
    fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    fn set_broken(&self, broken: bool) {
        self.0.broken.store(broken, Ordering::SeqCst);
    }
}

impl Clock for SharedClock {
    fn now(&self) -> Duration {
        let away = thread::current().id() != self.0.home;
        if away && self.0.broken.load(Ordering::SeqCst) {
            resume_unwind(Box::new(Arc::clone(&self.0.payload))); // as a panic, without a message
        }
        self.0.time.now()
    }
}

/// A registry that is maintained by its own thread, on a clock moved by the test.
fn maintained() -> (Registry, SharedClock) {
    let clock = SharedClock::new();
    let registry = Registry::builder()
        .tick(ms(2))
        .maintenance(Maintenance::Thread)
        .clock(clock.clone())
        .build()
        .expect("a valid registry");
    (registry, clock)
}

fn join(registry: &Registry, n: u32, life: Duration) {
    let outcome = registry.register_with(id(n), endpoint(n), &ttl(life));
    assert_eq!(outcome, Ok(Registration::New));
}

/// Waits until this many passes were made that began after this call.
#[track_caller]
fn await_passes(registry: &Registry, passes: u64) -> Stats {
    let wanted = registry.stats().maintenance_passes + passes + 1;
    eventually("more maintenance passes", || {
        registry.stats().maintenance_passes >= wanted
    });
    registry.stats()
}

#[test]
fn the_maintenance_thread_keeps_house_by_itself() {
    let (registry, clock) = maintained();
    join(&registry, 1, secs(10));
    join(&registry, 2, secs(20));
    await_passes(&registry, 2);
    assert_eq!(registry.relay_count(), 2, "no time has passed on the clock");

    clock.0.time.advance(secs(10));
    eventually("relay 1 expires", || !registry.is_relay(&id(1)));
    let stats = await_passes(&registry, 2);
    assert_eq!((stats.relays, stats.expirations), (1, 1));
    assert!(registry.is_relay(&id(2)));
    assert_eq!(stats.maintenance_panics, 0);
}

#[test]
fn the_last_handle_ends_the_maintenance_thread() {
    let (registry, clock) = maintained();
    let other = registry.clone();
    await_passes(&registry, 1);
    drop(registry);
    join(&other, 1, secs(10));
    await_passes(&other, 1); // it runs as long as there is a handle
    assert!(clock.holders() > 1);
    drop(other);
    eventually("the clock is let go", || clock.holders() == 1);
}

#[test]
fn a_lease_does_not_keep_the_registry_or_its_thread() {
    let (registry, clock) = maintained();
    join(&registry, 1, secs(10));
    let lease = registry.lease(&id(1)).expect("a free unit");
    drop(registry);
    eventually("the clock is let go", || clock.holders() == 1);
    assert_eq!(lease.relay().node_id(), id(1));
    drop(lease);
}

#[test]
fn the_last_handle_may_be_dropped_on_any_thread() {
    let (registry, clock) = maintained();
    let elsewhere = thread::spawn(move || drop(registry));
    elsewhere.join().expect("no panic");
    eventually("the clock is let go", || clock.holders() == 1);
}

#[test]
fn registries_end_as_fast_as_they_begin() {
    for _ in 0..50 {
        let (registry, clock) = maintained();
        drop(registry); // perhaps before its thread has begun
        eventually("the clock is let go", || clock.holders() == 1);
    }
}

#[test]
fn a_slow_tick_does_not_delay_the_end() {
    let clock = SharedClock::new();
    let registry = Registry::builder()
        .tick(TIMEOUT * 100)
        .ttl(TIMEOUT * 1_000)
        .clock(clock.clone())
        .build()
        .expect("a valid registry");
    drop(registry);
    eventually("the clock is let go", || clock.holders() == 1);
}

#[test]
fn the_maintenance_thread_survives_a_panicking_clock_and_says_so() {
    let (registry, clock) = maintained();
    join(&registry, 1, secs(10));
    clock.set_broken(true);
    eventually("a panic is counted", || {
        registry.stats().maintenance_panics >= 2
    });
    assert!(registry.is_relay(&id(1)));
    assert!(registry.find_relay(&non_relay()).is_ok());
    join(&registry, 2, secs(20));

    clock.set_broken(false);
    clock.0.time.advance(secs(10));
    eventually("relay 1 expires", || !registry.is_relay(&id(1)));
    let stats = await_passes(&registry, 2);
    assert_eq!((stats.relays, stats.expirations), (1, 1));
    drop(registry);
    eventually("the clock is let go", || clock.holders() == 1);
}

/// Once leaked: a clock that panics at every reading would have used up memory without bound.
#[test]
fn what_a_panic_of_the_clock_carries_is_freed() {
    let (registry, clock) = maintained();
    clock.set_broken(true);
    eventually("a panic is counted", || {
        registry.stats().maintenance_panics >= 3
    });
    clock.set_broken(false);
    eventually("what was carried is freed", || {
        Arc::strong_count(&clock.0.payload) == 1
    });
}

#[test]
fn a_broken_clock_does_not_keep_the_thread_from_ending() {
    let (registry, clock) = maintained();
    clock.set_broken(true);
    eventually("a panic is counted", || {
        registry.stats().maintenance_panics >= 1
    });
    drop(registry);
    eventually("the clock is let go", || clock.holders() == 1);
}

#[test]
fn without_a_maintenance_thread_nothing_happens_by_itself() {
    let clock = SharedClock::new();
    let registry = Registry::builder()
        .tick(ms(1))
        .maintenance(Maintenance::Manual)
        .clock(clock.clone())
        .build()
        .expect("a valid registry");
    clock.set_broken(true); // on any thread but this one
    let passes = registry.stats().maintenance_passes;
    thread::sleep(ms(50)); // fifty ticks, in which a thread would have made a pass
    registry.maintain();
    registry.maintain();
    let stats = registry.stats();
    assert_eq!(stats.maintenance_passes, passes + 2);
    assert_eq!(stats.maintenance_panics, 0);
    drop(registry);
    assert_eq!(clock.holders(), 1);
}

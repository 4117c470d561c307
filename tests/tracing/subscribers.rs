//! Subscribers that panic or call the registry, also in its threads.

use crate::common::*;
use crate::recorder::Recorder;
use relay_registry::{Clock, ManualClock, Registry};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A deadlock would never end, and a call that is pinned fails an assertion of the crate.
#[test]
fn a_subscriber_may_call_the_registry() {
    let recorder = Recorder::default();
    recorder.during(|| {
        let world = world_of(2);
        let registry = world.registry.clone();
        let (calls, counted) = (Arc::new(AtomicU32::new(0)), world.stats());
        let called = Arc::clone(&calls);
        recorder.set_hook(move || {
            called.fetch_add(1, Ordering::Relaxed);
            registry.maintain();
            let _ = registry.stats();
            let _ = registry.register(id(1), endpoint(1));
            let _ = registry.find_relay(&non_relay());
            registry.unregister(&id(1));
        });
        world.join(2);
        world.join(3);
        assert!(world.register(id(4), endpoint(4)).is_err());
        world.maintain();
        assert!(
            calls.load(Ordering::Relaxed) >= 5,
            "at each step of the spans"
        );
        let passes = world.stats().maintenance_passes - counted.maintenance_passes;
        assert!(passes >= 6, "{passes}");
        world.close();
        world.maintain();
    });
}

#[test]
fn a_subscriber_that_panics_keeps_no_call_from_its_end() {
    let recorder = Recorder::default();
    recorder.during(|| {
        recorder.set_broken(true);
        let world = world_of(2);
        world.join_with(1, &ttl(secs(10)));
        world.clock.advance(secs(11));
        assert_eq!(world.maintain().expired, 1);
        let panics = world.stats().maintenance_panics;
        assert!(panics >= 1, "they are counted");
        assert!(!recorder.is_within_a_span());
        recorder.set_broken(false);
        world.maintain();
        world.maintain();
        assert_eq!(world.stats().maintenance_panics, panics);
        let warnings = recorder.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!(warnings[0].target, "relay_registry::maintenance");
        assert_eq!(warnings[0].field("maintenance_panics"), panics.to_string());
        assert_eq!(warnings[0].field("suppressed"), (panics - 1).to_string());
    });
}

/// A handle may be dropped by a panic of the embedder's, and the subscriber panics then.
#[test]
fn a_subscriber_that_panics_during_a_panic_does_not_abort() {
    let recorder = Recorder::default();
    let outcome = recorder.during(|| {
        let world = world();
        recorder.set_broken(true);
        catch_unwind(AssertUnwindSafe(move || {
            let _dropped = world;
            panic!("the embedder's");
        }))
    });
    assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&"the embedder's"));
}

/// A clock that panics while it is broken.
#[derive(Clone)]
struct Breakable(ManualClock, Arc<AtomicBool>);

impl Clock for Breakable {
    fn now(&self) -> Duration {
        assert!(!self.1.load(Ordering::Relaxed), "broken");
        self.0.now()
    }
}

#[track_caller]
fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::yield_now();
    }
}

/// The threads have the global subscriber, which only this test sets; no other test has threads.
#[test]
fn the_threads_of_a_registry_survive_the_panics_of_clock_and_subscriber() {
    let recorder = Recorder::default();
    tracing::subscriber::set_global_default(recorder.clone()).unwrap();
    let clock = Breakable(ManualClock::new(), Arc::default());
    let builder = Registry::builder().tick(ms(1)).clock(clock.clone());
    let registry = builder.build().unwrap();
    eventually("passes are told of", || !recorder.spans("pass").is_empty());

    clock.1.store(true, Ordering::Relaxed);
    eventually("panics of the clock are warned of", || {
        let warnings = recorder.warnings();
        let is_it = |target: &str| target == "relay_registry::maintenance";
        warnings
            .iter()
            .any(|said| is_it(&said.target) && said.number("maintenance_panics") >= 1.0)
    });
    clock.1.store(false, Ordering::Relaxed);

    recorder.set_broken(true);
    let before = registry.stats().maintenance_passes;
    eventually("passes are made", || {
        registry.stats().maintenance_passes > before + 3
    });
    recorder.set_broken(false);
    let told = recorder.spans("pass").len();
    eventually("passes are told of again", || {
        recorder.spans("pass").len() > told
    });
    registry.close();
}

//! What a registry without a DHT says: spans, life and death, and warnings.

use crate::assert_is;
use crate::common::*;
use crate::recorder::{Recorder, Said};
use relay_registry::{Clock, LabelScope, Maintenance, RegisterError, Registry};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tracing::Level;

/// A clock that can go back.
#[derive(Clone, Default)]
struct Steerable(Arc<AtomicU64>);

impl Steerable {
    fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::Relaxed);
    }
}

impl Clock for Steerable {
    fn now(&self) -> Duration {
        secs(self.0.load(Ordering::Relaxed))
    }
}

/// The only warning since the last call of this.
#[track_caller]
fn only_warning(recorder: &Recorder) -> Said {
    let mut warnings = recorder.warnings();
    recorder.clear();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    warnings.remove(0)
}

#[test]
fn the_life_of_a_registry_is_told_at_the_level_info() {
    let recorder = Recorder::default();
    recorder.during(|| {
        let world = world_of(7);
        world.close();
        world.close();
    });
    let told = recorder.events_of(Level::INFO);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told.iter()
            .all(|said| said.target == "relay_registry::registry")
    );
    let [built, closes] = [&told[0], &told[1]];
    assert_eq!(
        (&*built.text, built.field("max_relays")),
        ("a registry was built", "7")
    );
    assert_eq!(built.number("ttl_seconds"), TTL.as_secs_f64());
    assert_eq!(built.number("tick_seconds"), TICK.as_secs_f64());
    assert_eq!(closes.text, "the registry closes");
    assert_eq!(closes.within.as_deref(), Some("close"));
    assert_eq!(recorder.spans("close").len(), 2);
}

#[test]
fn the_drop_of_the_last_handle_closes() {
    let recorder = Recorder::default();
    recorder.during(|| {
        let world = world();
        let other = world.registry.clone();
        drop(world);
        assert_eq!(recorder.events().len(), 1);
        drop(other);
    });
    let told = recorder.events_of(Level::INFO);
    assert_eq!(
        told.last().map(|said| &*said.text),
        Some("the registry closes")
    );
}

#[test]
fn a_span_tells_what_a_maintenance_pass_did() {
    let recorder = Recorder::default();
    recorder.during(|| {
        let world = world();
        world.join_with(1, &ttl(secs(10)));
        world.join_with(2, &ttl(secs(10)));
        world.join(3);
        world.maintain();
        world.clock.advance(secs(11));
        world.maintain();
        world.maintain();
    });
    let passes = recorder.spans("pass");
    let figures = passes.iter().map(|pass| {
        assert_eq!(
            (pass.level, &*pass.target),
            (Level::DEBUG, "relay_registry::maintenance")
        );
        assert_eq!(pass.field("awaiting_reclamation"), "0");
        (pass.field("expired"), pass.field("sorted"))
    });
    let expected = [("0", "true"), ("2", "true"), ("0", "false")];
    assert_eq!(figures.collect::<Vec<_>>(), expected);
    let sorts = recorder.spans("sort");
    assert!(
        sorts
            .iter()
            .all(|sort| sort.within.as_deref() == Some("pass"))
    );
    let sorted: Vec<_> = sorts.iter().map(|sort| sort.field("sorted")).collect();
    assert_eq!(sorted, ["true", "true", "false"]);
    assert!(!recorder.is_within_a_span());
}

#[test]
fn a_full_registry_is_warned_of_once_a_minute() {
    let recorder = Recorder::default();
    recorder.during(|| {
        let world = world_of(1);
        world.join(1);
        let refuse = |times: u32| {
            for _ in 0..times {
                let outcome = world.register(id(2), endpoint(2));
                assert_is!(outcome, Err(RegisterError::Full { max: 1, .. }));
            }
        };
        refuse(3);
        assert_eq!(recorder.warnings().len(), 0, "not in the call");
        world.maintain();
        let warning = only_warning(&recorder);
        assert_eq!(warning.target, "relay_registry::registry");
        assert!(
            warning.text.ends_with("the registry is full"),
            "{warning:?}"
        );
        assert_eq!(
            (warning.field("max_relays"), warning.field("suppressed")),
            ("1", "2")
        );

        refuse(1);
        world.clock.advance(secs(59));
        world.maintain();
        refuse(4);
        world.maintain();
        assert_eq!(recorder.warnings().len(), 0, "within the minute");
        world.clock.advance(secs(1));
        world.maintain();
        assert_eq!(recorder.warnings().len(), 0, "nothing happened");
        refuse(1);
        world.maintain();
        assert_eq!(only_warning(&recorder).field("suppressed"), "5");
    });
}

#[test]
fn kinds_of_warnings_are_limited_one_by_one() {
    let recorder = Recorder::default();
    recorder.during(|| {
        let world = world_of(100);
        let labels = |n: u32| (0..8).map(move |k| format!("{n}-{k}"));
        (0..8).for_each(|n| world.join_with(n, &options().labels(labels(n))));
        let outcome = world.register_with(id(8), endpoint(8), &options().labels(["more"]));
        assert_is!(
            outcome,
            Err(RegisterError::TooManyLabels {
                scope: LabelScope::Registry,
                ..
            })
        );
        // One relay with too many is its own affair.
        let many = (0..9).map(|k| format!("0-{k}"));
        let outcome = world.register_with(id(9), endpoint(9), &options().labels(many));
        assert_is!(
            outcome,
            Err(RegisterError::TooManyLabels {
                scope: LabelScope::Relay,
                ..
            })
        );
        world.maintain();
        let warning = only_warning(&recorder);
        assert_eq!(
            (warning.field("max_labels"), warning.field("suppressed")),
            ("64", "0")
        );

        (8..100).for_each(|n| world.join(n));
        assert!(world.register(id(100), endpoint(100)).is_err());
        world.maintain();
        assert_eq!(only_warning(&recorder).field("max_relays"), "100");
    });
}

#[test]
fn a_clock_that_goes_back_is_warned_of() {
    let recorder = Recorder::default();
    recorder.during(|| {
        let clock = Steerable::default();
        let registry = Registry::builder()
            .maintenance(Maintenance::Manual)
            .clock(clock.clone())
            .build()
            .unwrap();
        clock.set(100);
        registry.maintain();
        clock.set(100);
        registry.maintain();
        assert_eq!(recorder.warnings().len(), 0);
        clock.set(97);
        assert!(registry.find_relay(&non_relay()).is_err());
        registry.maintain();
        let warning = only_warning(&recorder);
        assert_eq!(warning.target, "relay_registry::clock");
        assert!(
            warning.text.starts_with("the clock went back"),
            "{warning:?}"
        );
        assert_eq!(warning.number("behind_seconds"), 3.0);
        assert_eq!(warning.field("suppressed"), "1");
        clock.set(99);
        registry.maintain();
        clock.set(161);
        registry.maintain();
        assert_eq!(
            recorder.warnings().len(),
            0,
            "within the minute, and ahead again"
        );
        clock.set(150);
        registry.maintain();
        let warning = only_warning(&recorder);
        assert_eq!(warning.number("behind_seconds"), 11.0);
        assert_eq!(warning.field("suppressed"), "1");
    });
}

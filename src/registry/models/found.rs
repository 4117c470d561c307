//! Models of finds beside what makes a relay available: what is available throughout
//! a call is found.

use super::*;
use crate::registry::Lease;
use crate::relay::{CircuitState, RelayInfo};
use crate::table::record::Failure;

/// A registry for two relays that live long and fail for a few ticks at most; no relay
/// is a last resort.
pub(super) fn registry_of_two() -> (ManualClock, Registry) {
    let (clock, builder) = builder();
    let builder = builder.max_relays(2).ttl(TTL * 100).max_ejected_share(1.0);
    (clock, builder.build().expect("valid settings"))
}

/// A way by which a relay becomes available.
#[derive(Clone, Copy)]
pub(super) struct Way {
    /// Has relay 1 held, or not, so that it is not available.
    pub(super) prepare: fn(&Registry) -> Option<Lease>,
    pub(super) change: fn(&Registry, Option<Lease>),
    /// Whether another thread sees that it is available.
    pub(super) is_seen: fn(&Registry) -> bool,
    pub(super) options: fn() -> FindOptions,
}

impl Way {
    fn finds(&self, registry: &Registry) -> bool {
        registry.find_relay_with(&id(9), &(self.options)()).is_ok()
    }
}

pub(super) fn relay(registry: &Registry) -> Option<RelayInfo> {
    registry.relay(&id(1))
}

fn has_room(registry: &Registry) -> bool {
    relay(registry).is_some_and(|relay| relay.current_load() < relay.capacity())
}

fn full(registry: &Registry) -> Option<Lease> {
    with_capacity(registry, 1);
    Some(registry.lease(&id(1)).expect("a unit"))
}

fn held(registry: &Registry, then: impl FnOnce(&Registry)) -> Option<Lease> {
    with_capacity(registry, 1);
    then(registry);
    None
}

const LIMIT: Duration = Duration::from_millis(50);

const RELEASED: Way = Way {
    prepare: full,
    change: |_, lease| drop(lease),
    is_seen: has_room,
    options: FindOptions::new,
};

const REGISTERED: Way = Way {
    prepare: |_| None,
    change: |registry, _| with_capacity(registry, 1),
    is_seen: |registry| registry.is_relay(&id(1)),
    ..RELEASED
};

const UNDRAINED: Way = Way {
    prepare: |registry| held(registry, |it| it.set_draining(&id(1), true).unwrap()),
    change: |registry, _| registry.set_draining(&id(1), false).unwrap(),
    is_seen: |registry| relay(registry).is_some_and(|relay| !relay.is_draining()),
    ..RELEASED
};

const UNBANNED: Way = Way {
    prepare: |registry| held(registry, |it| it.ban(&id(1), TTL).unwrap()),
    change: |registry, _| assert!(registry.unban(&id(1))),
    is_seen: |registry| relay(registry).is_some_and(|relay| !relay.is_banned()),
    ..RELEASED
};

/// Relay 1 does not answer; a lease that was taken after that.
fn failing(registry: &Registry) -> Option<Lease> {
    with_capacity(registry, 2);
    assert!(registry.report_failure(&id(1), Failure::TimedOut));
    Some(registry.lease(&id(1)).expect("a unit"))
}

const SUCCEEDED: Way = Way {
    prepare: failing,
    change: |_, lease| assert!(lease.is_some_and(|lease| lease.succeeded())),
    is_seen: |registry| {
        relay(registry).is_some_and(|relay| relay.circuit() == CircuitState::HalfOpen)
    },
    ..RELEASED
};

const ENLARGED: Way = Way {
    // The unit is out until the end of the model.
    prepare: full,
    change: |registry, lease| {
        with_capacity(registry, 2);
        std::mem::forget(lease);
    },
    ..RELEASED
};

const RELIEVED: Way = Way {
    prepare: |registry| held(registry, |it| assert!(it.report_load(&id(1), 1))),
    change: |registry, _| assert!(registry.report_load(&id(1), 0)),
    ..RELEASED
};

const COME_NEARER: Way = Way {
    prepare: |registry| held(registry, |it| assert!(it.record_rtt(&id(1), LIMIT * 2))),
    change: |registry, _| assert!(registry.record_rtt(&id(1), LIMIT)),
    is_seen: |registry| relay(registry).and_then(|relay| relay.latency()) == Some(LIMIT),
    options: || FindOptions::new().max_latency(LIMIT),
};

/// Makes a relay available, beside a thread that finds it if it sees that it is.
fn change_beside_a_look(way: Way, registry: &Registry, lease: Option<Lease>) {
    let (one, other) = (registry.clone(), registry.clone());
    let change = move || {
        (way.change)(&one, lease);
        yield_point();
    };
    let look = move || {
        yield_point();
        assert!(!(way.is_seen)(&other) || way.finds(&other));
    };
    at_once(change, look);
}

/// A thread that sees that a relay is available finds it.
pub(super) fn what_is_seen_is_found(way: Way) {
    check(1, move || {
        let (_, registry) = registry_of_two();
        let lease = (way.prepare)(&registry);
        assert!(!way.finds(&registry));
        change_beside_a_look(way, &registry, lease);
        assert!(way.finds(&registry));
    });
}

pub(super) fn merge(registry: &Registry) {
    registry.inner().relays.publication().mark_unsorted();
    registry.inner().sort();
}

/// Once it is available, a relay is found, whatever a merge is at.
pub(super) fn what_changed_is_found_beside_a_merge(way: Way) {
    check(1, move || {
        let (_, registry) = registry_of_two();
        let lease = (way.prepare)(&registry);
        let (one, other) = (registry.clone(), registry.clone());
        let change = move || {
            (way.change)(&one, lease);
            assert!(way.finds(&one));
        };
        at_once(change, move || merge(&other));
        assert!(way.finds(&registry));
    });
}

/// Two units are asked for, and the second one to be free is given back. The trees count free
/// units from the start.
const REGAINED: Way = Way {
    prepare: |registry| {
        with_capacity(registry, 2);
        let units_asked = &registry.inner().relays.publication().context.units_asked;
        units_asked.ask(2);
        units_asked.settle_now();
        merge(registry);
        Some(registry.lease(&id(1)).expect("a unit"))
    },
    is_seen: |registry| relay(registry).is_some_and(|relay| relay.current_load() == 0),
    // A preference, for without any condition a find would look at the record first.
    options: || FindOptions::new().units(2).prefer(id(2)),
    ..RELEASED
};

#[test]
fn a_relay_that_regains_units_is_found() {
    what_is_seen_is_found(REGAINED);
}

#[test]
fn a_relay_that_regains_units_is_found_beside_a_merge() {
    what_changed_is_found_beside_a_merge(REGAINED);
}

/// The merge makes the tree of free units.
#[test]
fn a_relay_that_regains_units_is_found_beside_the_first_count() {
    let uncounted = |registry: &Registry| {
        with_capacity(registry, 2);
        let lease = registry.lease(&id(1)).expect("a unit");
        let units_asked = &registry.inner().relays.publication().context.units_asked;
        units_asked.ask(2);
        units_asked.settle_now();
        Some(lease)
    };
    what_changed_is_found_beside_a_merge(Way {
        prepare: uncounted,
        ..REGAINED
    });
}

/// The capacity is raised to two units, and two are asked for.
#[test]
fn a_relay_of_a_raised_capacity_is_found_for_several_units() {
    what_is_seen_is_found(Way {
        prepare: |registry| {
            let unit = (REGAINED.prepare)(registry);
            with_capacity(registry, 1);
            drop(unit);
            None
        },
        change: |registry, _| with_capacity(registry, 2),
        is_seen: |registry| relay(registry).is_some_and(|relay| relay.capacity() == 2),
        ..REGAINED
    });
}

#[test]
fn a_released_relay_is_found() {
    what_is_seen_is_found(RELEASED);
}

#[test]
fn a_released_relay_is_found_beside_a_merge() {
    what_changed_is_found_beside_a_merge(RELEASED);
}

#[test]
fn a_registered_relay_is_found() {
    what_is_seen_is_found(REGISTERED);
}

#[test]
fn a_registered_relay_is_found_beside_a_merge() {
    let another = |registry: &Registry| {
        register(registry, 2).unwrap();
        registry.set_draining(&id(2), true).unwrap();
        None
    };
    what_changed_is_found_beside_a_merge(Way {
        prepare: another,
        ..REGISTERED
    });
}

#[test]
fn an_undrained_relay_is_found() {
    what_is_seen_is_found(UNDRAINED);
}

#[test]
fn an_undrained_relay_is_found_beside_a_merge() {
    what_changed_is_found_beside_a_merge(UNDRAINED);
}

#[test]
fn a_relay_whose_ban_was_lifted_is_found() {
    what_is_seen_is_found(UNBANNED);
}

#[test]
fn a_relay_whose_ban_was_lifted_is_found_beside_a_merge() {
    what_changed_is_found_beside_a_merge(UNBANNED);
}

/// It is handed out on trial, and only once.
#[test]
fn a_relay_that_was_used_with_success_is_found() {
    check(1, || {
        let (_, registry) = registry_of_two();
        let lease = (SUCCEEDED.prepare)(&registry);
        change_beside_a_look(SUCCEEDED, &registry, lease);
        let another = registry.lease(&id(1)).expect("a unit");
        assert!(another.succeeded() && is_found(&registry));
    });
}

#[test]
fn a_relay_of_a_raised_capacity_is_found() {
    what_is_seen_is_found(ENLARGED);
}

#[test]
fn a_relay_of_a_raised_capacity_is_found_beside_a_merge() {
    what_changed_is_found_beside_a_merge(ENLARGED);
}

#[test]
fn a_relay_that_reports_less_load_is_found() {
    what_is_seen_is_found(RELIEVED);
}

#[test]
fn a_relay_that_reports_less_load_is_found_beside_a_merge() {
    what_changed_is_found_beside_a_merge(RELIEVED);
}

#[test]
fn a_relay_that_came_within_reach_is_found() {
    what_is_seen_is_found(COME_NEARER);
}

#[test]
fn a_relay_that_came_within_reach_is_found_beside_a_merge() {
    what_changed_is_found_beside_a_merge(COME_NEARER);
}

/// A relay that is released is found beside another one that fills up.
#[test]
fn a_released_relay_is_found_beside_one_that_fills_up() {
    check(1, || {
        let (_, registry) = registry_of_two();
        let options = RegisterOptions::new().capacity(1);
        registry.register_with(id(2), endpoint(), &options).unwrap();
        let lease = full(&registry);
        registry.inner().sort();
        let (one, other) = (registry.clone(), registry.clone());
        let release = move || {
            drop(lease);
            assert!(is_found(&one));
        };
        // The unit is out until the end of the model.
        at_once(release, move || std::mem::forget(other.lease(&id(2))));
        assert_eq!(registry.find_relay(&id(9)).unwrap().node_id(), id(1));
    });
}

/// Has a tick pass.
fn pass(clock: &ManualClock, registry: &Registry) {
    clock.advance(TTL);
    registry.inner().relays.timeline.advance();
}

/// Of two that find a relay whose back-off has ended, one gets the trial; and when that
/// has ended, the next one does.
#[test]
fn of_two_that_wake_a_relay_one_gets_the_trial() {
    check(1, || {
        let (clock, registry) = registry_of_two();
        (SUCCEEDED.prepare)(&registry);
        pass(&clock, &registry);
        let other = registry.clone();
        let finding = thread::spawn(move || is_found(&other));
        let ours = is_found(&registry);
        assert!(ours ^ finding.join().unwrap());
        assert!(!is_found(&registry));
        pass(&clock, &registry);
        assert!(is_found(&registry));
    });
}

/// A relay whose ban has ended is found by both of two threads, whichever of them makes
/// it available and whatever the other one is at.
#[test]
fn of_two_that_wake_a_relay_both_find_it_after_a_ban() {
    check(1, || {
        let (clock, registry) = registry_of_two();
        (UNBANNED.prepare)(&registry);
        pass(&clock, &registry);
        let (one, other) = (registry.clone(), registry.clone());
        at_once(
            move || assert!(is_found(&one)),
            move || assert!(is_found(&other)),
        );
    });
}

/// A relay whose back-off has ended is found, also where the order of relays is
/// replaced during the call.
#[test]
fn a_relay_that_wakes_beside_a_merge_is_found() {
    check(1, || {
        let (clock, registry) = registry_of_two();
        (SUCCEEDED.prepare)(&registry);
        pass(&clock, &registry);
        let (one, other) = (registry.clone(), registry.clone());
        at_once(move || assert!(is_found(&one)), move || merge(&other));
    });
}

/// A relay that a find takes for expired, and that is renewed at that very tick, is
/// found afterwards.
#[test]
fn a_relay_that_is_renewed_beside_a_find_is_found() {
    check(1, || {
        let (clock, registry) = registry();
        register(&registry, 1).unwrap();
        // A renewal from now on has a later deadline.
        clock.advance(TTL / 2);
        let (one, other) = (registry.clone(), registry.clone());
        let renew = move || {
            assert!(register(&one, 1).is_ok());
        };
        let find = move || {
            pass(&clock, &other);
            let _ = is_found(&other);
        };
        at_once(renew, find);
        assert_eq!(registry.is_relay(&id(1)), is_found(&registry));
    });
}

/// The same, where a renewal that read an earlier tick is preempted: a caller to which the
/// relay is registered finds it.
#[test]
fn a_relay_that_is_renewed_after_it_was_left_out_is_found() {
    check(2, || {
        let (clock, registry) = registry();
        pass(&clock, &registry);
        register(&registry, 1).unwrap();
        clock.advance(TTL / 2);
        let (one, other) = (registry.clone(), registry.clone());
        let renewing = thread::spawn(move || {
            assert!(register(&one, 1).is_ok());
        });
        let finding = thread::spawn(move || {
            pass(&clock, &other);
            let _ = is_found(&other);
        });
        finding.join().unwrap();
        assert!(!registry.is_relay(&id(1)) || is_found(&registry));
        renewing.join().unwrap();
        assert_eq!(registry.is_relay(&id(1)), is_found(&registry));
    });
}

//! Models of whole operations against housekeeping and each other.

use super::{FindOptions, Lease, Registration, Registry, RegistryBuilder};
use crate::dht::{Announcement, Entry, Ground};
use crate::errors::LeaseError;
use crate::record::Failure;
use crate::registry::Maintenance;
use crate::relay::{CircuitState, Endpoint, NodeId, RegisterOptions, RelayInfo};
use crate::sync::{check, crossing};
use crate::time::ManualClock;
use loom::thread;
use std::time::Duration;

const TTL: Duration = Duration::from_secs(10);

fn id(n: u8) -> NodeId {
    NodeId::from([n; 32])
}

fn endpoint() -> Endpoint {
    std::net::SocketAddr::from(([192, 0, 2, 1], 4433)).into()
}

fn registry() -> (ManualClock, Registry) {
    let (clock, builder) = builder();
    (clock, builder.build().expect("valid settings"))
}

fn builder() -> (ManualClock, RegistryBuilder) {
    let clock = ManualClock::new();
    let builder = Registry::builder()
        .max_relays(1)
        .ttl(TTL)
        .tick(TTL)
        .maintenance(Maintenance::Manual)
        .clock(clock.clone());
    (clock, builder)
}

fn register(registry: &Registry, n: u8) -> Result<Registration, crate::RegisterError> {
    registry.register(id(n), endpoint())
}

fn with_capacity(registry: &Registry, capacity: u32) {
    let options = RegisterOptions::new().capacity(capacity);
    let registered = registry.register_with(id(1), endpoint(), &options);
    assert!(registered.is_ok(), "{registered:?}");
}

fn is_found(registry: &Registry) -> bool {
    registry
        .find_relay_with(&id(9), &FindOptions::new())
        .is_ok()
}

/// A renewal that raises the capacity and is held up does not let leases beyond
/// the lower one that a later renewal announced.
#[test]
fn the_capacity_in_force_is_the_one_announced() {
    check(1, || {
        let (_, registry) = registry();
        with_capacity(&registry, 1);
        let other = registry.clone();
        let raising = thread::spawn(move || with_capacity(&other, 3));
        with_capacity(&registry, 2);
        let leases: Vec<_> = (0..3).map_while(|_| registry.lease(&id(1)).ok()).collect();
        raising.join().unwrap();
        let announced = registry.relay(&id(1)).unwrap().capacity();
        assert!(leases.len() as u32 <= announced.max(2));
        if announced == 2 {
            assert_eq!(leases.len(), 2);
            assert!(registry.lease(&id(1)).is_err() && !is_found(&registry));
        }
    });
}

/// It has no room until it has moved, and some time after that.
#[test]
fn a_relay_is_found_on_terms_on_which_it_had_room() {
    check(1, || {
        let (_, registry) = registry();
        with_capacity(&registry, 1);
        let lease = registry.lease(&id(1)).unwrap();
        let moved: Endpoint = std::net::SocketAddr::from(([192, 0, 2, 2], 4433)).into();
        let (other, there) = (registry.clone(), moved.clone());
        let moving = thread::spawn(move || {
            other.register(id(1), there).unwrap();
            drop(lease);
            crossing();
        });
        crossing();
        let found = registry.find_relay(&id(9));
        assert!(found.is_err() || *found.unwrap().endpoint() == moved);
        moving.join().unwrap();
        assert!(is_found(&registry));
    });
}

/// There is room at the capacity that was announced first.
#[test]
fn a_refusal_names_the_capacity_at_which_the_relay_is_full() {
    check(1, || {
        let (_, registry) = registry();
        with_capacity(&registry, 2);
        let first = registry.lease(&id(1)).unwrap();
        let other = registry.clone();
        let lowering = thread::spawn(move || with_capacity(&other, 1));
        let refused = registry.lease(&id(1)).err();
        assert!(matches!(
            refused,
            None | Some(LeaseError::Full { capacity: 1 })
        ));
        lowering.join().unwrap();
        drop(first);
    });
}

/// A relay that is renewed at the very tick of its deadline is found, or is
/// gone, but not held without being found.
#[test]
fn a_relay_that_is_renewed_beside_housekeeping_is_found() {
    check(2, || {
        let (clock, registry) = registry();
        register(&registry, 1).unwrap();
        let other = registry.clone();
        let renewing = thread::spawn(move || register(&other, 1).is_ok());
        // Of a pass of housekeeping, what could lose a relay.
        clock.advance(TTL);
        registry.core().timeline.advance();
        registry.core().sort();
        assert!(renewing.join().unwrap());
        assert_eq!(registry.is_relay(&id(1)), is_found(&registry));
        registry.maintain();
        assert_eq!(registry.relay_count(), usize::from(is_found(&registry)));
    });
}

/// What is due is not counted, and makes room, whoever sweeps.
#[test]
fn a_relay_that_is_due_makes_room_beside_a_sweep() {
    check(1, || {
        let (clock, registry) = registry();
        register(&registry, 1).unwrap();
        clock.advance(TTL);
        let other = registry.clone();
        let sweeping = thread::spawn(move || other.maintain().expired);
        let registered = register(&registry, 2);
        assert_eq!(registered, Ok(Registration::New));
        sweeping.join().unwrap();
        assert_eq!(
            (registry.relay_count(), registry.is_relay(&id(1))),
            (1, false)
        );
        assert!(is_found(&registry));
    });
}

/// Whichever comes first, once both are done the relay is banned.
#[test]
fn a_ban_beside_a_registration_holds() {
    check(1, || {
        let (_, registry) = registry();
        let other = registry.clone();
        let registering = thread::spawn(move || register(&other, 1));
        assert_eq!(registry.ban(&id(1), TTL / 2), Ok(()));
        assert_eq!(registering.join().unwrap(), Ok(Registration::New));
        assert!(registry.relay(&id(1)).unwrap().is_banned());
        assert!(!is_found(&registry) && registry.lease(&id(1)).is_err());
    });
}

#[test]
fn a_ban_lifted_beside_a_registration_is_lifted() {
    check(1, || {
        let (_, registry) = registry();
        registry.ban(&id(1), TTL / 2).unwrap();
        let other = registry.clone();
        let registering = thread::spawn(move || register(&other, 1));
        assert!(registry.unban(&id(1)));
        assert_eq!(registering.join().unwrap(), Ok(Registration::New));
        assert!(!registry.relay(&id(1)).unwrap().is_banned());
        assert!(is_found(&registry));
    });
}

/// Of a ban and its end at once, the record and the list of bans agree which came last.
#[test]
fn a_record_agrees_with_the_bans() {
    check(1, || {
        let (_, registry) = registry();
        register(&registry, 1).unwrap();
        let other = registry.clone();
        let banning = thread::spawn(move || other.ban(&id(1), TTL / 2));
        registry.unban(&id(1));
        assert_eq!(banning.join().unwrap(), Ok(()));
        let is_banned = registry.relay(&id(1)).unwrap().is_banned();
        assert_eq!(is_banned, registry.banned().len() == 1);
    });
}

fn learn(registry: &Registry, n: u8) -> Entry {
    let said = Announcement::new(endpoint(), 1).unwrap();
    registry.core().enter(&id(n), &said, 1, TTL)
}

/// A relay that strangers tell of, beside a local registration of the same id:
/// what is held in the end is the local one.
#[test]
fn a_local_registration_holds_against_learning() {
    check(1, || {
        let registry = builder().1.build_to_learn();
        let other = registry.clone();
        let learning = thread::spawn(move || learn(&other, 1));
        register(&registry, 1).unwrap();
        assert!(registry.core().is_local(&id(1)));
        let entered = learning.join().unwrap();
        assert!(matches!(entered, Entry::Entered | Entry::HeldLocally));
        assert!(registry.core().is_local(&id(1)));
    });
}

/// A learned relay that is taken out, beside a local registration of the same
/// id: the local one stays.
#[test]
fn taking_out_a_learned_relay_never_hits_a_local_one() {
    check(1, || {
        let registry = builder().1.build_to_learn();
        assert_eq!(learn(&registry, 1), Entry::Entered);
        let other = registry.clone();
        let leaving = thread::spawn(move || other.core().leave(&id(1)));
        assert_eq!(register(&registry, 1), Ok(Registration::New));
        assert!(registry.core().is_local(&id(1)));
        leaving.join().unwrap();
        assert!(registry.core().is_local(&id(1)));
    });
}

/// A learned relay in the last place gives way to a local one, and to no other
/// learned one.
#[test]
fn a_learned_relay_gives_way_to_a_local_one() {
    check(1, || {
        let registry = builder().1.build_to_learn();
        let other = registry.clone();
        let learning = thread::spawn(move || learn(&other, 2));
        assert_eq!(register(&registry, 1), Ok(Registration::New));
        assert!(registry.is_relay(&id(1)));
        learning.join().unwrap();
        assert!(registry.is_relay(&id(1)) && !registry.is_relay(&id(2)));
    });
}

/// A registry for two relays that live long and fail for a few ticks at most; no relay
/// is a last resort.
fn registry_of_two() -> (ManualClock, Registry) {
    let (clock, builder) = builder();
    let builder = builder.max_relays(2).ttl(TTL * 100).max_ejected(1.0);
    (clock, builder.build().expect("valid settings"))
}

/// A way by which a relay becomes available.
#[derive(Clone, Copy)]
struct Way {
    /// Has relay 1 held, or not, so that it is not available.
    prepare: fn(&Registry) -> Option<Lease>,
    change: fn(&Registry, Option<Lease>),
    /// Whether another thread sees that it is available.
    is_seen: fn(&Registry) -> bool,
    options: fn() -> FindOptions,
}

impl Way {
    fn finds(&self, registry: &Registry) -> bool {
        registry.find_relay_with(&id(9), &(self.options)()).is_ok()
    }
}

fn relay(registry: &Registry) -> Option<RelayInfo> {
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
    prepare: |registry| held(registry, |it| assert!(it.set_draining(&id(1), true))),
    change: |registry, _| assert!(registry.set_draining(&id(1), false)),
    is_seen: |registry| relay(registry).is_some_and(|relay| !relay.is_draining()),
    ..RELEASED
};

const UNBANNED: Way = Way {
    prepare: |registry| held(registry, |it| it.ban(&id(1), TTL).unwrap()),
    change: |registry, _| assert!(registry.unban(&id(1))),
    is_seen: |registry| relay(registry).is_some_and(|relay| !relay.is_banned()),
    ..RELEASED
};

const SUCCEEDED: Way = Way {
    prepare: |registry| {
        held(registry, |it| {
            assert!(it.report_failure(&id(1), Failure::TimedOut))
        })
    },
    change: |registry, _| assert!(registry.report_success(&id(1))),
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

/// Two threads of which neither has to wait for the other: one preemption is enough
/// for all of the one to come between two steps of the other.
fn at_once(one: impl FnOnce() + Send + 'static, other: impl FnOnce() + Send + 'static) {
    let (one, other) = (thread::spawn(one), thread::spawn(other));
    one.join().unwrap();
    other.join().unwrap();
}

/// A thread that sees that a relay is available finds it.
fn what_is_seen_is_found(way: Way) {
    check(1, move || {
        let (_, registry) = registry_of_two();
        let lease = (way.prepare)(&registry);
        assert!(!way.finds(&registry));
        let (one, other) = (registry.clone(), registry.clone());
        let change = move || {
            (way.change)(&one, lease);
            crossing();
        };
        let look = move || {
            crossing();
            assert!(!(way.is_seen)(&other) || way.finds(&other));
        };
        at_once(change, look);
        assert!(way.finds(&registry));
    });
}

fn merge(registry: &Registry) {
    registry.core().publication().note_reordering();
    registry.core().sort();
}

/// Once it is available, a relay is found, whatever a merge is at.
fn what_changed_is_found_beside_a_merge(way: Way) {
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
        assert!(registry.set_draining(&id(2), true));
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
        (SUCCEEDED.prepare)(&registry);
        let (one, other) = (registry.clone(), registry.clone());
        let change = move || {
            (SUCCEEDED.change)(&one, None);
            crossing();
        };
        let look = move || {
            crossing();
            assert!(!(SUCCEEDED.is_seen)(&other) || SUCCEEDED.finds(&other));
        };
        at_once(change, look);
        assert!(registry.report_success(&id(1)) && is_found(&registry));
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
        registry.core().sort();
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
    registry.core().timeline.advance();
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

//! Relays that are late, or that left and return: their state, and the leases on them.

use crate::assert_is;
use crate::common::*;
use relay_registry::{
    CircuitState, Failure, FindError, LeaseError, NatType, Registration, RenewError,
};
use std::time::Duration;

const GRACE: Duration = secs(60);

pub fn world_with_grace() -> World {
    world_with(|builder| builder.return_grace(GRACE))
}

/// A name, and how relay 1 goes away.
pub type Way = (&'static str, fn(&World));

pub fn ways_to_be_away() -> [Way; 4] {
    [
        ("a heartbeat a tick late", |world| world.advance(secs(10))),
        ("a heartbeat a tick late, after a sweep", |world| {
            world.pass(secs(10));
        }),
        ("it left", |world| world.leave(1)),
        ("it left, and a minute passed", |world| {
            world.leave(1);
            world.pass(MINUTE - TICK);
        }),
    ]
}

const MINUTE: Duration = secs(60);

#[test]
fn capacity_is_counted_for_each_relay_and_not_for_each_registration() {
    for (way, be_away) in ways_to_be_away() {
        let world = world_with_grace();
        world.join_with(1, &capacity(2).ttl(secs(10)));
        let mut leases = world.take(1, 2);
        be_away(&world);
        assert!(!world.has(1), "{way}");
        let outcome = world.register_with(id(1), endpoint(1), &capacity(2));
        assert_eq!(outcome, Ok(Registration::Returned), "{way}");
        assert_eq!(world.load(1), 2, "{way}");
        assert_is!(
            world.lease(&id(1)),
            Err(LeaseError::Full { capacity: 2, .. })
        );
        assert!(world.found().is_none());
        leases.pop();
        leases.extend(world.take(1, 1));
        assert_is!(world.lease(&id(1)), Err(LeaseError::Full { .. }));
        drop(leases);
        assert_eq!(world.load(1), 0, "{way}");
    }
}

#[test]
fn leases_count_however_late_the_relay_comes_back() {
    let world = world_with_grace();
    world.join_with(1, &capacity(2));
    let leases = world.take(1, 2);
    for days in [1, 100, 1_000] {
        world.leave(1);
        world.pass(secs(86_400) * days);
        world.maintain();
        let outcome = world.register_with(id(1), endpoint(1), &capacity(2));
        assert_eq!(outcome, Ok(Registration::New));
        assert_eq!(world.load(1), 2);
        assert_is!(world.lease(&id(1)), Err(LeaseError::Full { .. }));
    }
    drop(leases);
    assert_eq!(world.load(1), 0);
}

#[test]
fn a_lease_that_ends_while_its_relay_is_away_gives_its_unit_back() {
    for be_gone_for in [secs(1), secs(86_400)] {
        let world = world_with_grace();
        world.join_with(1, &capacity(2));
        let mut leases = world.take(1, 2);
        world.leave(1);
        world.pass(be_gone_for);
        leases.pop();
        world.join_with(1, &capacity(2));
        assert_eq!(world.load(1), 1);
        drop(leases);
        assert_eq!(world.load(1), 0);
        drop(world.take(1, 2));
    }
}

#[test]
fn a_relay_that_lapsed_is_what_it_was() {
    for sweep in [false, true] {
        let world = world();
        let announced = capacity(7)
            .nat(NatType::FullCone)
            .failure_domain("rack-1")
            .ttl(secs(5));
        world.join_with(1, &announced);
        let first = world.info(1);
        world.measure(1, ms(11));
        world.report(1, 3);
        world.set_draining(&id(1), true).unwrap();
        world.advance(secs(5) + TICK);
        if sweep {
            world.maintain();
        }
        assert_eq!(
            world.register(id(1), endpoint(2)),
            Ok(Registration::Returned)
        );
        let relay = world.info(1);
        assert_eq!((relay.capacity(), relay.current_load()), (7, 3));
        assert_eq!(
            (relay.nat(), relay.latency()),
            (Some(NatType::FullCone), Some(ms(11)))
        );
        assert_eq!(relay.endpoint(), &endpoint(2));
        assert!(relay.is_draining());
        assert!(relay.registered_at() > first.registered_at());
        assert!(!world.pass(secs(4)).eq(&1) && world.has(1));
        world.pass(secs(1) + TICK);
        assert!(!world.has(1), "its TTL, too");
    }
}

#[test]
fn a_relay_that_left_announces_anew_and_is_known_all_the_same() {
    let world = world();
    world.join_with(1, &capacity(7).nat(NatType::FullCone));
    world.measure(1, ms(11));
    world.report(1, 3);
    world.report_failure(&id(1), Failure::TimedOut);
    world.leave(1);
    world.pass(TICK);
    assert_eq!(
        world.register(id(1), endpoint(1)),
        Ok(Registration::Returned)
    );
    let relay = world.info(1);
    assert_eq!((relay.capacity(), relay.nat()), (100, None));
    assert_eq!((relay.current_load(), relay.latency()), (3, Some(ms(11))));
    assert_eq!(relay.circuit(), CircuitState::Open);
}

#[test]
fn a_relay_that_comes_back_to_a_full_registry_is_refused_and_stays_remembered() {
    let world = world_of(2);
    world.join_with(1, &capacity(2));
    world.measure(1, ms(5));
    let lease = world.take(1, 1);
    world.leave(1);
    (2..4).for_each(|n| world.join(n));
    for _ in 0..3 {
        assert!(
            world
                .register_with(id(1), endpoint(1), &capacity(2))
                .is_err()
        );
    }
    world.leave(2);
    let outcome = world.register_with(id(1), endpoint(1), &capacity(2));
    assert_eq!(outcome, Ok(Registration::Returned));
    assert_eq!((world.load(1), world.info(1).latency()), (1, Some(ms(5))));
    assert_eq!(world.relay_count(), 2);
    drop(lease);
    assert_eq!(world.load(1), 0);
}

#[test]
fn a_relay_that_comes_back_is_found_listed_and_counted_once() {
    let world = world();
    world.join(1);
    for round in 0..300 {
        world.leave(1);
        assert_eq!((world.relay_count(), world.relays().len()), (0, 0));
        assert!(world.found().is_none());
        if round % 3 == 0 {
            world.maintain();
        }
        world.join(1);
        if round % 7 == 0 {
            world.maintain();
        }
        assert_eq!((world.relay_count(), world.relays().len()), (1, 1));
        assert_eq!(world.found(), Some(1));
        assert_eq!(world.ranking(), [1]);
    }
}

#[test]
fn a_report_that_is_late_neither_hides_nor_makes_load() {
    let world = world();
    world.join_with(1, &capacity(100));
    assert!(world.report_load_of_others(&id(1), 40));
    let leases = world.take(1, 60);
    assert!(
        world.report_load_of_others(&id(1), 40),
        "measured before the leases"
    );
    assert_eq!(world.load(1), 100);
    assert_is!(world.lease(&id(1)), Err(LeaseError::Full { .. }));
    drop(leases);
    assert!(
        world.report_load_of_others(&id(1), 40),
        "measured during the leases"
    );
    assert_eq!(world.load(1), 40);
    assert!(world.report_load_of_others(&id(1), u32::MAX));
    assert_eq!(world.load(1), relay_registry::MAX_CAPACITY);
    assert!(!world.report_load_of_others(&id(2), 1));
}

#[test]
fn no_report_makes_a_relay_look_emptier_than_its_leases() {
    let world = world();
    world.join_with(1, &capacity(10));
    let leases = world.take(1, 6);
    for total in [0, 3, 6, 9] {
        world.report_load(&id(1), total);
        assert_eq!(world.load(1), total.max(6));
        world.report_load_of_others(&id(1), 0);
        assert_eq!(world.load(1), 6);
    }
    drop(leases);
}

#[test]
fn renewing_by_id_moves_the_deadline_and_nothing_else() {
    let world = world();
    world.join_with(1, &capacity(7).nat(NatType::FullCone).ttl(secs(10)));
    world.report(1, 3);
    let before = world.info(1);
    for _ in 0..5 {
        world.pass(secs(9));
        assert_eq!(world.registry.renew(&id(1)), Ok(()));
    }
    let after = world.info(1);
    assert_eq!(after.capacity(), before.capacity());
    assert_eq!(after.current_load(), 3);
    assert_eq!(after.endpoint(), before.endpoint());
    assert_eq!(after.registered_at(), before.registered_at());
    let moved = after.expires_at().duration_since(before.expires_at());
    assert_eq!(moved.ok(), Some(secs(45)));
    world.advance(secs(10));
    assert_eq!(
        world.registry.renew(&id(1)),
        Err(RenewError::UnknownRelay),
        "it is late"
    );
    assert_eq!(world.registry.renew(&id(2)), Err(RenewError::UnknownRelay));
    assert_eq!(world.stats().renewals, 5);
    assert_is!(
        world.find_relay(&non_relay()),
        Err(FindError::NoRelaysAvailable { .. })
    );
}

#[test]
fn outcomes_reported_through_a_lease_read_the_clock_without_a_thread() {
    let world = world_with(|builder| builder.max_ejected_share(1.0));
    world.join_with(1, &ttl(secs(60)));
    let lease = world.lease(&id(1)).unwrap();
    world.advance(secs(30));
    assert!(lease.failed(Failure::TimedOut));
    assert_eq!(world.circuit(1), CircuitState::Open, "from now on");
    world.advance(secs(30));
    assert!(!lease.failed(Failure::TimedOut), "it is late");
    world.join(1);
    assert!(
        lease.failed(Failure::Refused),
        "it is back, and the lease with it"
    );
}

#[test]
fn round_trips_are_forgotten_also_of_a_relay_that_is_late() {
    for forget in [
        |world: &World| assert!(!world.forget_rtt(&id(1)), "it is not held"),
        |world: &World| world.forget_rtts(),
    ] {
        let world = world();
        world.join(1);
        world.measure(1, ms(5));
        world.leave(1);
        forget(&world);
        world.join(1);
        assert_eq!(world.info(1).latency(), None);
    }
}

#[test]
fn a_relay_that_was_away_when_an_outage_ended_is_on_trial() {
    let world = world();
    (1..=10).for_each(|n| world.join_with(n, &ttl(secs(3_600))));
    // Failures of its own, enough for a long back-off.
    for _ in 0..6 {
        while world.circuit(1) == CircuitState::Open {
            world.advance(secs(1));
        }
        world.fail(1, Failure::TimedOut);
    }
    while world.circuit(1) == CircuitState::Open {
        world.advance(secs(1));
    }
    (2..=10).for_each(|n| world.fail(n, Failure::TimedOut));
    world.fail(1, Failure::TimedOut);
    world.leave(1);
    world.advance(secs(5));
    let lease = world.reserve(&non_relay(), &relay_registry::FindOptions::new());
    assert!(lease.unwrap().succeeded());
    world.join(1);
    assert_eq!(world.circuit(1), CircuitState::HalfOpen);
}

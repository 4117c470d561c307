//! Relays that are late, left, restarted: what they were, and what is leased of them.

use crate::assert_is;
use crate::common::*;
use relay_registry::{
    CircuitState, Failure, FindError, LeaseError, NatType, Registration, RenewError,
};
use std::time::Duration;

const GRACE: Duration = secs(60);

fn world_with_grace() -> World {
    world_with(|builder| builder.return_grace(GRACE))
}

/// A name, and what takes relay 1 away.
type Way = (&'static str, fn(&World));

fn ways_to_be_away() -> [Way; 4] {
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
fn a_relay_that_restarted_has_no_leases_and_old_ones_give_nothing_back() {
    let restarted = || capacity(2).restarted(true);
    for (way, be_away) in ways_to_be_away() {
        let world = world_with_grace();
        world.join_with(1, &capacity(2).ttl(secs(10)));
        world.measure(1, ms(7));
        world.report_load_of_others(&id(1), 1);
        let old = world.take(1, 1);
        be_away(&world);
        world
            .register_with(id(1), endpoint(1), &restarted())
            .unwrap();
        assert_eq!(world.load(1), 0, "{way}");
        assert_eq!(world.info(1).latency(), Some(ms(7)), "{way}");
        let new = world.take(1, 2);
        drop(old);
        assert_eq!(world.load(1), 2, "{way}");
        assert_is!(world.lease(&id(1)), Err(LeaseError::Full { .. }));
        drop(new);
        assert_eq!(world.load(1), 0, "{way}");
    }
}

#[test]
fn a_live_relay_may_say_that_it_restarted() {
    let world = world();
    world.join_with(1, &capacity(3).nat(NatType::FullCone).ttl(secs(30)));
    world.measure(1, ms(7));
    world.report_load_of_others(&id(1), 1);
    let old = world.take(1, 2);
    let registered_at = world.info(1).registered_at();
    world.advance(secs(1));
    let outcome = world.register_with(id(1), endpoint(1), &options().restarted(true));
    assert_eq!(outcome, Ok(Registration::Renewed));
    let relay = world.info(1);
    assert_eq!((relay.capacity(), relay.current_load()), (3, 0));
    assert_eq!(
        (relay.nat(), relay.latency()),
        (Some(NatType::FullCone), Some(ms(7)))
    );
    assert_eq!(relay.registered_at(), registered_at);
    assert_eq!(world.relay_count(), 1);
    assert_eq!(world.relays().len(), 1);
    let new = world.take(1, 3);
    drop(old);
    assert_eq!(world.load(1), 3);
    drop(new);
    // Without leases nothing has to be void.
    world.report_load_of_others(&id(1), 2);
    world
        .register_with(id(1), endpoint(1), &options().restarted(true))
        .unwrap();
    assert_eq!(world.load(1), 0);
    world.maintain();
    assert_eq!(world.stats().leases, 0);
}

#[test]
fn a_relay_that_lapsed_is_what_it_was() {
    for sweep in [false, true] {
        let world = world();
        let told = capacity(7)
            .nat(NatType::FullCone)
            .failure_domain("rack-1")
            .ttl(secs(5));
        world.join_with(1, &told);
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
fn the_grace_is_the_ttl_of_the_relay_unless_it_is_set() {
    let cases = [
        (None, secs(5) - TICK, Registration::Returned),
        (None, secs(5), Registration::New),
        (Some(secs(20)), secs(20) - TICK, Registration::Returned),
        (Some(secs(20)), secs(20), Registration::New),
        (Some(Duration::ZERO), TICK, Registration::New),
        (
            Some(Duration::MAX),
            secs(86_400) * 365,
            Registration::Returned,
        ),
    ];
    for (grace, late_by, expected) in cases {
        for sweep in [false, true] {
            let world = world_with(|builder| match grace {
                Some(grace) => builder.return_grace(grace),
                None => builder,
            });
            world.join_with(1, &ttl(secs(5)));
            world.advance(secs(5) + late_by);
            if sweep {
                world.maintain();
            }
            let outcome = world.register(id(1), endpoint(1));
            assert_eq!(
                outcome,
                Ok(expected),
                "{grace:?}, {late_by:?} late, {sweep}"
            );
        }
    }
}

#[test]
fn as_many_are_remembered_as_may_be_held_and_the_longest_gone_are_forgotten_first() {
    let world = world_of(8);
    for n in 0..2_000 {
        world.join(n);
        world.leave(n);
    }
    assert_eq!(world.stats().remembered, 1_024);
    assert_eq!(
        world.register(id(1_999 - 1_023), endpoint(1)),
        Ok(Registration::Returned)
    );
    assert_eq!(
        world.register(id(1_999 - 1_024), endpoint(1)),
        Ok(Registration::New)
    );
    assert_eq!(world.relay_count(), 2);
}

#[test]
fn of_departures_that_housekeeping_hears_of_together_the_first_is_forgotten_first() {
    let world = world_of(2_000);
    for n in 0..2_000 {
        world.join(n);
    }
    for n in 0..2_000 {
        world.leave(n);
    }
    for n in 10_000..10_032 {
        world.join(n);
        world.leave(n);
    }
    assert_eq!(world.stats().remembered, 2_000);
    for (n, found) in [(31, Registration::New), (32, Registration::Returned)] {
        assert_eq!(world.register(id(n), endpoint(1)), Ok(found));
    }
}

#[test]
fn one_relay_that_flaps_makes_no_other_one_forgotten() {
    let world = world_of(8);
    world.join(1);
    world.leave(1);
    world.join(2);
    for _ in 0..5_000 {
        world.leave(2);
        world.join(2);
    }
    assert_eq!(
        world.register(id(1), endpoint(1)),
        Ok(Registration::Returned)
    );
}

#[test]
fn those_with_leases_are_remembered_beyond_the_bound_and_forgotten_with_the_last_one() {
    let world = world_of(8);
    let leases: Vec<_> = (0..3_000)
        .map(|n| {
            world.join_with(n, &capacity(1));
            let lease = world.take(n, 1);
            world.leave(n);
            lease
        })
        .collect();
    world.pass(secs(86_400));
    assert_eq!(world.stats().leases, 3_000);
    for n in [0, 1_500, 2_999] {
        world.join_with(n, &capacity(1));
        assert_is!(world.lease(&id(n)), Err(LeaseError::Full { .. }));
        world.leave(n);
    }
    drop(leases);
    world.pass(secs(86_400));
    for _ in 0..4 {
        world.maintain();
    }
    let stats = world.stats();
    assert_eq!((stats.leases, stats.remembered), (0, 0));
    // New relays are let in throughout.
    (5_000..5_008).for_each(|n| world.join(n));
    assert_is!(world.register(id(6_000), endpoint(1)), Err(_));
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
        world.find_relay(&stranger()),
        Err(FindError::NoRelaysAvailable { .. })
    );
}

#[test]
fn what_is_told_through_a_lease_goes_by_the_clock_without_a_thread() {
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
fn a_restart_keeps_its_place_in_a_full_registry() {
    let world = world_of(1);
    world.join_with(1, &capacity(2));
    world.ban_for(1, secs(60));
    assert!(world.register(id(2), endpoint(2)).is_err());
    world.unban(&id(1));
    let lease = world.take(1, 2);
    world.drain(1);
    let outcome = world.register_with(id(1), endpoint(1), &options().restarted(true));
    assert_eq!(outcome, Ok(Registration::Renewed));
    assert!(world.register(id(2), endpoint(2)).is_err());
    assert!(world.info(1).is_draining());
    assert_eq!((world.load(1), world.relay_count()), (0, 1));
    drop(lease);
    assert_eq!(world.load(1), 0);
    world.maintain();
    assert!(world.has(1) && world.ranking().is_empty());
}

#[test]
fn a_relay_that_was_away_when_an_outage_ended_is_on_trial() {
    let world = world();
    (1..=10).for_each(|n| world.join_with(n, &ttl(secs(3_600))));
    // A fault of its own, often enough for a long back-off.
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
    let lease = world.reserve(&stranger(), &relay_registry::FindOptions::new());
    assert!(lease.unwrap().succeeded());
    world.join(1);
    assert_eq!(world.circuit(1), CircuitState::HalfOpen);
}

/// One of many that are kept, and thousands that come and go, each in its turn.
#[test]
fn departures_beside_many_that_are_kept_are_remembered_in_order() {
    let world = world_of(4_000);
    let leases: Vec<_> = (0..3_000)
        .map(|n| {
            world.join_with(n, &capacity(1).ttl(secs(1)));
            world.take(n, 1)
        })
        .collect();
    world.pass(secs(1));
    world.pass(secs(1));
    assert_eq!(world.stats().remembered, 0, "all are kept for their leases");
    for n in 10_000..20_000 {
        world.join(n);
        world.leave(n);
    }
    world.maintain();
    assert_eq!(world.stats().remembered, 4_000);
    assert_eq!(
        world.register(id(15_999), endpoint(1)),
        Ok(Registration::New)
    );
    assert_eq!(
        world.register(id(16_001), endpoint(1)),
        Ok(Registration::Returned)
    );
    drop(leases);
}

#[test]
fn a_restart_that_is_refused_changes_nothing() {
    let world = world_of(2);
    world.join_with(1, &capacity(2));
    let lease = world.take(1, 1);
    world.set_draining(&id(1), true).unwrap();
    world.ban(&id(1), secs(86_400)).unwrap();
    world.leave(1);
    (2..4).for_each(|n| world.join(n));
    let restarted = capacity(2).restarted(true);
    assert!(world.register_with(id(1), endpoint(1), &restarted).is_err());
    assert_eq!(world.banned().len(), 1);
    world.leave(2);
    let outcome = world.register_with(id(1), endpoint(1), &capacity(2));
    assert_eq!(outcome, Ok(Registration::Returned));
    assert!(world.info(1).is_draining());
    assert_eq!(world.load(1), 1);
    drop(lease);
}

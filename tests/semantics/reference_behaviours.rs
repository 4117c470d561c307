//! The promises of the reference system, under the names of this crate.

use crate::assert_is;
use crate::common::*;
use relay_registry::{
    BuildError, FindError, FindOptions, Lease, MAX_RELAYS, Maintenance, NatType, RegisterError,
    Registration, Registry,
};
use std::collections::BTreeSet;

// --- registering, renewing, leaving -----------------------------------------------------------

#[test]
fn a_relay_registers() {
    let world = world();
    let outcome = world.register(id(1), endpoint(1));
    assert_eq!(outcome, Ok(Registration::New));
    assert!(world.is_relay(&id(1)));
}

#[test]
fn a_relay_registers_again_to_stay() {
    let world = world();
    world.join(1);
    world.pass(TTL - secs(1));
    let outcome = world.register(id(1), endpoint(1));
    assert_eq!(outcome, Ok(Registration::Renewed));
    world.pass(TTL - secs(1));
    assert!(world.is_relay(&id(1)));
    assert_eq!(world.relay_count(), 1);
}

#[test]
fn a_relay_leaves() {
    let world = world();
    world.join(1);
    world.join(2);
    assert!(world.unregister(&id(1)));
    assert!(!world.is_relay(&id(1)));
    assert!(world.is_relay(&id(2)));
    assert!(!world.unregister(&id(1)), "it has left already");
    assert!(!world.unregister(&id(3)), "it was never there");
}

#[test]
fn a_relay_that_left_may_come_back() {
    let world = world();
    world.join(1);
    world.leave(1);
    world.join(1);
    assert_eq!(world.found(), Some(1));
}

// --- counting, listing, membership ------------------------------------------------------------

#[test]
fn relays_are_counted() {
    let world = world();
    assert_eq!(world.relay_count(), 0);
    (0..10).for_each(|n| world.join(n));
    assert_eq!(world.relay_count(), 10);
    world.leave(3);
    assert_eq!(world.relay_count(), 9);
}

#[test]
fn relays_are_listed_with_all_that_is_known_of_them() {
    let world = world();
    assert_eq!(world.relays(), []);
    world.join_with(1, &capacity(20).latency(ms(30)).nat(NatType::FullCone));
    world.report(1, 4);
    let relays = world.relays();
    assert_eq!(relays.len(), 1);
    let relay = &relays[0];
    assert_eq!(relay.node_id(), id(1));
    assert_eq!(relay.endpoint(), &endpoint(1));
    assert_eq!((relay.capacity(), relay.current_load()), (20, 4));
    assert_eq!(relay.latency(), Some(ms(30)));
    assert_eq!(relay.nat(), Some(NatType::FullCone));
    assert!(!relay.is_draining());
    let life = relay.expires_at().duration_since(relay.registered_at());
    assert_eq!(life.ok(), Some(TTL));
}

#[test]
fn membership_tells_relays_from_others() {
    let world = world();
    world.join(1);
    assert!(world.is_relay(&id(1)));
    assert!(!world.is_relay(&id(2)));
    assert!(world.relay(&id(1)).is_some());
    assert_eq!(world.relay(&id(2)), None);
}

// --- finding ----------------------------------------------------------------------------------

#[test]
fn a_relay_is_found_for_a_target() {
    let world = world();
    world.join(1);
    let relay = world.find_relay(&non_relay()).expect("one relay");
    assert_eq!(relay.node_id(), id(1));
    assert_eq!(relay.endpoint(), &endpoint(1));
}

#[test]
fn a_target_is_never_its_own_relay() {
    let world = world();
    world.join(1);
    assert!(world.find_relay(&id(1)).is_err());
    world.join(2);
    (0..20).for_each(|_| {
        let relay = world.find_relay(&id(1)).expect("the other one");
        assert_eq!(relay.node_id(), id(2));
    });
}

#[test]
fn none_available_is_said_so() {
    let world = world();
    let nothing = world.find_relay(&non_relay());
    assert_is!(nothing, Err(FindError::NoRelaysAvailable { .. }));
    let nothing = world.reserve(&non_relay(), &FindOptions::new()).err();
    assert_is!(nothing, Some(FindError::NoRelaysAvailable { .. }));
    assert_eq!(world.find_relays(&non_relay(), &FindOptions::new()), []);
}

#[test]
fn full_relays_are_not_found() {
    let world = world();
    world.join_with(1, &capacity(2));
    world.report(1, 2);
    assert_eq!(world.found(), None);
}

#[test]
fn expired_relays_are_not_found() {
    let world = world();
    world.join(1);
    world.pass(TTL);
    assert_eq!(world.found(), None);
}

#[test]
fn excluded_relays_are_not_found() {
    let world = world();
    (1..=3).for_each(|n| world.join(n));
    assert_eq!(world.found_with(&excluding([1, 3])), Some(2));
    assert_eq!(world.found_with(&excluding([1, 2, 3])), None);
}

#[test]
fn far_relays_are_not_found_when_a_bound_is_given() {
    let world = world();
    world.join_with(1, &latency(ms(60)));
    assert_eq!(world.found_with(&within(ms(60))), Some(1));
    assert_eq!(world.found_with(&within(ms(59))), None);
}

#[test]
fn max_results_bounds_the_list() {
    let world = world();
    (0..10).for_each(|n| world.join(n));
    for (asked, given) in [(0, 0), (1, 1), (7, 7), (10, 10), (11, 10), (usize::MAX, 10)] {
        let options = FindOptions::new().max_results(asked);
        let relays = world.find_relays(&non_relay(), &options);
        assert_eq!(relays.len(), given, "asked for {asked}");
        let distinct: BTreeSet<u32> = numbers(&relays).into_iter().collect();
        assert_eq!(distinct.len(), given, "asked for {asked}");
    }
    let by_default = world.find_relays(&non_relay(), &FindOptions::new());
    assert_eq!(by_default.len(), 3);
}

#[test]
fn max_results_does_not_matter_to_a_search_for_one() {
    let world = world();
    world.join(1);
    let none_wanted = FindOptions::new().max_results(0);
    assert_eq!(world.found_with(&none_wanted), Some(1));
    assert!(world.reserve(&non_relay(), &none_wanted).is_ok());
}

// --- order ------------------------------------------------------------------------------------

#[test]
fn of_equally_near_relays_the_least_loaded_is_best() {
    let world = world();
    for (n, load) in [(1, 60), (2, 20), (3, 90), (4, 40)] {
        world.join_with(n, &latency(ms(50)));
        world.report(n, load);
    }
    world.maintain();
    assert_eq!(world.ranking(), [2, 4, 1, 3]);
    assert_eq!(world.found(), Some(2));
    world.report(2, 95);
    assert_eq!(world.found(), Some(4), "load counts at once");
}

#[test]
fn load_is_weighed_by_capacity() {
    let world = world();
    world.join_with(1, &capacity(1_000).latency(ms(50)));
    world.join_with(2, &capacity(20).latency(ms(50)));
    world.report(1, 100);
    world.report(2, 19);
    world.maintain();
    assert_eq!(world.ranking(), [1, 2]);
}

#[test]
fn of_equally_loaded_relays_the_nearest_is_best() {
    let world = world();
    for (n, rtt) in [(1, 70), (2, 30), (3, 110), (4, 50)] {
        world.join_with(n, &latency(ms(rtt)));
        world.report(n, 30);
    }
    world.maintain();
    assert_eq!(world.ranking(), [2, 4, 1, 3]);
    assert_eq!(world.found(), Some(2));
}

#[test]
fn a_nearly_full_relay_next_door_gives_way_to_an_idle_one_farther_away() {
    let world = world();
    world.join_with(1, &latency(ms(10)));
    world.join_with(2, &latency(ms(60)));
    world.maintain();
    // 110 ms against 160 ms, both with the assumed B leg; they tie at 1 - u^4 = 110/160.
    world.report(1, 74);
    assert_eq!(world.found(), Some(1));
    world.report(1, 75);
    assert_eq!(world.found(), Some(2));
}

#[test]
fn callers_are_not_all_sent_to_the_same_one_of_equal_relays() {
    let world = world();
    (0..4).for_each(|n| world.join(n));
    world.maintain();
    let found: BTreeSet<_> = (0..400).map(|_| world.found()).collect();
    assert_eq!(found.len(), 4, "{found:?}");
}

#[test]
fn reservations_spread_over_equal_relays() {
    let world = world();
    (0..8).for_each(|n| world.join(n));
    world.maintain();
    let reserve = |_| world.reserve(&non_relay(), &FindOptions::new());
    let leases: Vec<Lease> = (0..400)
        .map(reserve)
        .collect::<Result<_, _>>()
        .expect("room");
    for n in 0..8 {
        let load = world.load(n);
        assert!((25..=75).contains(&load), "relay {n} carries {load} of 400");
    }
    drop(leases);
}

// --- settings ---------------------------------------------------------------------------------

#[test]
fn the_capacity_is_a_hundred_unless_given() {
    let world = world();
    world.join(1);
    world.join_with(2, &capacity(7));
    assert_eq!(world.info(1).capacity(), 100);
    assert_eq!(world.info(2).capacity(), 7);
    let leases = world.take(1, 100);
    assert!(world.lease(&id(1)).is_err());
    drop(leases);
}

#[test]
fn the_default_ttl_is_ten_minutes() {
    let world = world();
    world.join(1);
    world.pass(secs(600) - ms(1));
    assert!(world.has(1));
    world.pass(ms(1));
    assert!(!world.has(1));
}

#[test]
fn the_ttl_may_be_set_for_all_relays_and_for_one() {
    let world = world_with(|builder| builder.ttl(secs(30)));
    world.join(1);
    world.join_with(2, &ttl(secs(60)));
    world.join_with(3, &ttl(secs(10)));
    let alive = || [1, 2, 3].map(|n| world.has(n));
    assert_eq!(alive(), [true, true, true]);
    world.pass(secs(10));
    assert_eq!(alive(), [true, true, false]);
    world.pass(secs(20));
    assert_eq!(alive(), [false, true, false]);
    world.pass(secs(30));
    assert_eq!(alive(), [false, false, false]);
}

#[test]
fn the_number_of_relays_is_bounded() {
    let world = world_of(5);
    (0..5).for_each(|n| world.join(n));
    assert_is!(
        world.register(id(5), endpoint(5)),
        Err(RegisterError::Full { max: 5, .. })
    );
    assert_eq!(world.relay_count(), 5);
}

#[test]
fn the_default_bound_is_a_thousand_relays() {
    let world = world();
    (0..1_000).for_each(|n| world.join(n));
    assert_is!(
        world.register(id(1_000), endpoint(1_000)),
        Err(RegisterError::Full { max: 1_000, .. })
    );
}

#[test]
fn settings_out_of_bounds_are_refused() {
    let builder = || Registry::builder().maintenance(Maintenance::Manual);
    for outside in [0, MAX_RELAYS + 1, usize::MAX] {
        assert_is!(
            builder().max_relays(outside).build().err(),
            Some(BuildError::InvalidMaxRelays { max_relays, .. }) if max_relays == outside
        );
    }
    assert_is!(
        builder().assumed_rtt(ms(0)).build().err(),
        Some(BuildError::InvalidAssumedRtt { .. })
    );
}

#[test]
fn the_smallest_registry_works() {
    let world = world_of(1);
    for n in 0..100 {
        world.join(n);
        assert_eq!(world.found(), Some(n));
        world.leave(n);
    }
}

// --- cleaning up ------------------------------------------------------------------------------

#[test]
fn cleaning_up_removes_what_lapsed_and_nothing_else() {
    let world = world();
    (0..6).for_each(|n| world.join_with(n, &ttl(secs(10))));
    (6..9).for_each(|n| world.join(n));
    assert_eq!(world.maintain().expired, 0);
    assert_eq!(world.pass(secs(10)), 6);
    assert_eq!(world.maintain().expired, 0, "once is enough");
    assert_eq!(world.relay_count(), 3);
    let mut left = world.ranking();
    left.sort_unstable();
    assert_eq!(left, [6, 7, 8]);
}

#[test]
fn handles_share_one_registry() {
    let world = world();
    let other = world.registry.clone();
    world.join(1);
    assert!(other.is_relay(&id(1)));
    assert!(other.unregister(&id(1)));
    assert!(!world.has(1));
}

#[test]
fn registries_share_nothing() {
    let (one, other) = (world(), world());
    one.join(1);
    other.join_with(1, &capacity(3));
    let _lease = one.take(1, 1);
    assert_eq!((one.load(1), other.load(1)), (1, 0));
    one.leave(1);
    assert!(other.has(1));
}

#[test]
fn a_registry_of_defaults_works() {
    for registry in [Registry::new(), Registry::default()] {
        let outcome = registry.register(id(1), endpoint(1));
        assert_eq!(outcome, Ok(Registration::New));
        assert!(registry.find_relay(&non_relay()).is_ok());
    }
}

//! How long relays that are gone are remembered, and how many of them.

use crate::assert_is;
use crate::common::*;
use relay_registry::{LeaseError, Registration};
use std::time::Duration;

/// Without maintenance, a thread that registers relays has so many more remembered at most, since
/// each 16th registration forgets those beyond the bound.
const MORE: usize = 16;

/// Without maintenance, so many departures of a thread at most are noted at once, shard by shard.
const NOTED_AT_ONCE: u32 = 64;

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
    let remembered = world.stats().remembered;
    assert!((1_024..=1_024 + MORE).contains(&remembered), "{remembered}");
    assert_eq!(
        world.register(id(1_999 - 1_023), endpoint(1)),
        Ok(Registration::Returned)
    );
    let forgotten = 1_999 - 1_024 - MORE as u32;
    assert_eq!(
        world.register(id(forgotten), endpoint(1)),
        Ok(Registration::New)
    );
    assert_eq!(world.relay_count(), 2);
    world.maintain();
    assert!(world.stats().remembered <= 1_024);
}

#[test]
fn departures_are_forgotten_in_order_but_for_those_that_were_noted_at_once() {
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
    let remembered = world.stats().remembered;
    assert!((2_000..=2_000 + MORE).contains(&remembered), "{remembered}");
    let is_returned = |n| match world.register(id(n), endpoint(1)) {
        Ok(Registration::Returned) => true,
        Ok(Registration::New) => false,
        other => panic!("relay {n}: {other:?}"),
    };
    assert!((NOTED_AT_ONCE..2_000).step_by(97).all(is_returned));
    let returned = (0..NOTED_AT_ONCE).filter(|&n| is_returned(n)).count();
    assert_eq!(NOTED_AT_ONCE as usize - returned, 2_032 - remembered);
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
    // New relays are still admitted.
    (5_000..5_008).for_each(|n| world.join(n));
    assert_is!(world.register(id(6_000), endpoint(1)), Err(_));
}

/// Many relays are kept for their leases, while thousands register and leave.
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
        world.register(id(16_000 - NOTED_AT_ONCE), endpoint(1)),
        Ok(Registration::New)
    );
    assert_eq!(
        world.register(id(16_000 + NOTED_AT_ONCE), endpoint(1)),
        Ok(Registration::Returned)
    );
    drop(leases);
}

//! Rule 3: only eligible relays are handed out.
//!
//! Each test has a near relay that is not eligible, and a far one that is.

use crate::common::*;
use relay_registry::{FindOptions, NodeId};
use std::time::Duration;

const NEAR: u32 = 1;
const FAR: u32 = 2;

/// A near and a far relay. Finds return the near one.
fn near_and_far() -> World {
    let world = world();
    world.join_with(NEAR, &latency(ms(5)).capacity(2));
    world.join_with(FAR, &latency(ms(300)).capacity(2));
    world.maintain();
    assert_eq!(world.ranking(), [NEAR, FAR]);
    world
}

/// A find, a reservation and a list must return only the far relay.
#[track_caller]
fn assert_only_far(world: &World, target: NodeId, options: &FindOptions) {
    let found = world
        .find_relay_with(&target, options)
        .expect("the far one");
    assert_eq!(number(found.node_id()), FAR);
    let list = world.find_relays(&target, &options.clone().max_results(9));
    assert_eq!(numbers(&list), [FAR]);
    let lease = world.reserve(&target, options).expect("the far one");
    assert_eq!(number(lease.relay().node_id()), FAR);
}

#[test]
fn s03_never_the_target() {
    let world = near_and_far();
    assert_only_far(&world, id(NEAR), &FindOptions::new());
    let found = world.find_relay(&id(NEAR)).expect("the far one");
    assert_eq!(number(found.node_id()), FAR);
}

#[test]
fn s03_never_this_node() {
    let world = world_with(|builder| builder.local_id(id(NEAR)));
    world.join_with(NEAR, &latency(ms(5)));
    world.join_with(FAR, &latency(ms(300)));
    assert!(world.has(NEAR), "this node may well be a relay for others");
    assert_only_far(&world, non_relay(), &FindOptions::new());
}

#[test]
fn s03_never_an_excluded_relay() {
    let world = near_and_far();
    assert_only_far(&world, non_relay(), &excluding([NEAR]));
}

#[test]
fn s03_exclusions_add_up() {
    let world = near_and_far();
    world.join_with(3, &latency(ms(6)));
    let both = excluding([NEAR]).exclude([id(3)]);
    assert_only_far(&world, non_relay(), &both);
}

#[test]
fn s03_many_exclusions_hold_all() {
    let world = world();
    (0..400).for_each(|n| world.join(n));
    let others = excluding((0..400).filter(|&n| n != FAR));
    assert_only_far(&world, non_relay(), &others);
}

#[test]
fn s03_never_a_full_relay() {
    let world = near_and_far();
    let leases = world.take(NEAR, 2);
    assert_only_far(&world, non_relay(), &FindOptions::new());
    drop(leases);
    world.report(NEAR, 2);
    assert_only_far(&world, non_relay(), &FindOptions::new());
    world.report(NEAR, 0);
    assert_eq!(world.found(), Some(NEAR));
}

#[test]
fn s03_never_a_draining_relay_until_it_stops_draining() {
    let world = near_and_far();
    world.drain(NEAR);
    assert!(world.info(NEAR).is_draining());
    assert_only_far(&world, non_relay(), &FindOptions::new());
    world.set_draining(&id(NEAR), false).unwrap();
    assert!(!world.info(NEAR).is_draining());
    assert_eq!(world.found(), Some(NEAR));
}

#[test]
fn s03_never_an_expired_relay() {
    let world = near_and_far();
    world.renew_with(NEAR, &ttl(secs(5)));
    world.pass(secs(5));
    assert_only_far(&world, non_relay(), &FindOptions::new());
}

#[test]
fn s03_never_a_relay_farther_than_asked_for() {
    let world = world();
    world.join_with(1, &latency(ms(80)));
    world.join(2);
    world.measure(2, ms(79));
    world.join_with(3, &latency(ms(81)));
    let found = |max: Duration| {
        let list = world.find_relays(&non_relay(), &all().max_latency(max));
        let mut found = numbers(&list);
        found.sort_unstable();
        found
    };
    assert_eq!(found(ms(81)), [1, 2, 3]);
    assert_eq!(found(ms(80)), [1, 2], "the bound itself is within");
    assert_eq!(found(ms(79)), [2]);
    assert_eq!(found(ms(78)), []);
    assert_eq!(world.found_with(&within(ms(79))), Some(2));
    assert_eq!(world.found_with(&within(ms(78))), None);
    assert!(world.reserve(&non_relay(), &within(ms(78))).is_err());
}

#[test]
fn s03_the_latency_bound_is_judged_by_what_was_measured_last() {
    let world = world();
    world.join(1);
    world.measure(1, ms(80));
    world.maintain();
    assert_eq!(world.found_with(&within(ms(50))), None);
    world.measure(1, ms(50));
    assert_eq!(
        world.found_with(&within(ms(50))),
        Some(1),
        "only order may lag"
    );
}

#[test]
fn s03_an_unmeasured_relay_meets_no_latency_bound_unless_allowed() {
    let world = world();
    world.join(1);
    let bound = within(secs(5));
    assert_eq!(world.found_with(&bound), None);
    assert!(world.find_relays(&non_relay(), &bound).is_empty());
    assert!(world.reserve(&non_relay(), &bound).is_err());
    assert_eq!(
        world.found_with(&bound.clone().allow_unmeasured(true)),
        Some(1)
    );
    assert_eq!(world.found_with(&bound.allow_unmeasured(false)), None);
    assert_eq!(world.found(), Some(1), "without a bound none is needed");
}

#[test]
fn s03_allowing_unmeasured_relays_does_not_lift_the_bound_for_measured_ones() {
    let world = world();
    world.join_with(1, &latency(ms(90)));
    let bound = within(ms(50)).allow_unmeasured(true);
    assert_eq!(world.found_with(&bound), None);
}

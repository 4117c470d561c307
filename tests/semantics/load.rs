//! Rule 5: load = own leases + (last reported total - own leases at that report, at least 0).

use crate::assert_is;
use crate::common::*;
use relay_registry::{MAX_CAPACITY, RegisterError};

#[test]
fn s05_a_report_counts_beyond_the_own_leases_it_includes() {
    let world = world();
    world.join(1);
    let mut leases = world.take(1, 3);
    world.report(1, 10);
    assert_eq!(world.load(1), 10, "three of the ten are ours");
    leases.extend(world.take(1, 2));
    assert_eq!(world.load(1), 12);
    leases.clear();
    assert_eq!(world.load(1), 7, "the others' share stays");
}

#[test]
fn s05_a_report_below_the_own_leases_counts_as_nothing_beyond_them() {
    let world = world();
    world.join(1);
    let mut leases = world.take(1, 5);
    world.report(1, 2);
    assert_eq!(world.load(1), 5);
    leases.truncate(1);
    assert_eq!(world.load(1), 1, "the shortfall must not turn into credit");
    leases.clear();
    assert_eq!(world.load(1), 0);
}

#[test]
fn s05_the_last_report_replaces_the_one_before() {
    let world = world();
    world.join(1);
    let leases = world.take(1, 2);
    world.report(1, 50);
    world.report(1, 9);
    assert_eq!(world.load(1), 9);
    world.report(1, 0);
    assert_eq!(world.load(1), 2);
    world.report(1, 2);
    drop(leases);
    assert_eq!(world.load(1), 0);
}

#[test]
fn s05_a_report_is_measured_against_the_leases_of_its_own_moment() {
    let world = world();
    world.join(1);
    world.report(1, 4);
    let leases = world.take(1, 6);
    world.report(1, 7);
    assert_eq!(world.load(1), 7);
    drop(leases);
    assert_eq!(world.load(1), 1);
}

#[test]
fn s05_a_report_may_exceed_the_capacity() {
    let world = world();
    world.join_with(1, &capacity(10));
    world.report(1, 25);
    assert_eq!(world.load(1), 25);
    assert_eq!(world.found(), None);
    world.renew_with(1, &capacity(26));
    assert_eq!(world.load(1), 25);
    assert_eq!(world.found(), Some(1));
}

#[test]
fn s05_the_greatest_report_fills_any_relay() {
    let world = world();
    world.join_with(1, &capacity(MAX_CAPACITY));
    let leases = world.take(1, 2);
    world.report(1, u32::MAX);
    assert!(world.load(1) >= MAX_CAPACITY);
    assert!(world.lease(&id(1)).is_err());
    assert_eq!(world.found(), None);
    world.report(1, 0);
    assert_eq!(world.load(1), 2, "the leases were not washed away");
    drop(leases);
    assert_eq!(world.load(1), 0);
}

#[test]
fn s05_every_holder_sees_the_same_load() {
    let world = world();
    world.join(1);
    world.report(1, 30);
    let lease = world.reserve(&non_relay(), &all()).expect("a free unit");
    let found = world.find_relay(&non_relay()).expect("one relay");
    assert_eq!(found.current_load(), 31);
    assert_eq!(world.relays()[0].current_load(), 31);
    drop(lease);
    assert_eq!(world.load(1), 30);
}

#[test]
fn s05_a_report_on_an_unknown_relay_is_refused() {
    let world = world();
    world.join(1);
    world.join_with(2, &ttl(secs(1)));
    world.leave(1);
    world.pass(secs(1));
    assert!(!world.report_load(&id(1), 5));
    assert!(!world.report_load(&id(2), 5));
    assert!(!world.report_load(&id(3), 5));
    world.join(1);
    assert_eq!(world.load(1), 0);
}

#[test]
fn s05_capacity_is_refused_outside_its_bounds() {
    let world = world();
    for outside in [0, MAX_CAPACITY + 1, u32::MAX] {
        assert_is!(
            world.register_with(id(1), endpoint(1), &capacity(outside)),
            Err(RegisterError::InvalidCapacity { capacity, .. }) if capacity == outside
        );
        assert!(!world.has(1));
    }
    for (n, inside) in [1, 2, MAX_CAPACITY].into_iter().enumerate() {
        world.join_with(n as u32, &capacity(inside));
        assert_eq!(world.info(n as u32).capacity(), inside);
    }
}

//! Rule 1: the registration of a held id renews it. The bound is strict, and only live relays count.

use crate::assert_is;
use crate::common::*;
use relay_registry::{FindOptions, NatType, RegisterError, Registration};

#[test]
fn s01_a_held_id_is_renewed() {
    let world = world();
    world.join(1);
    assert_eq!(
        world.register(id(1), endpoint(1)),
        Ok(Registration::Renewed)
    );
    assert_eq!(world.relay_count(), 1);
    let stats = world.stats();
    assert_eq!((stats.registrations, stats.renewals), (1, 1));
}

#[test]
fn s01_renewal_replaces_the_endpoint() {
    let world = world();
    world.join(1);
    assert_eq!(
        world.register(id(1), endpoint(77)),
        Ok(Registration::Renewed)
    );
    assert_eq!(world.info(1).endpoint(), &endpoint(77));
    let found = world.find_relay(&non_relay()).expect("one relay");
    assert_eq!(found.endpoint(), &endpoint(77));
}

#[test]
fn s01_renewal_replaces_the_deadline() {
    let world = world();
    world.join(1);
    let before = world.info(1);
    world.advance(secs(400));
    world.renew(1);
    let after = world.info(1);
    assert_eq!(after.registered_at(), before.registered_at());
    assert_eq!(
        after.expires_at().duration_since(before.expires_at()).ok(),
        Some(secs(400))
    );
    assert_eq!(world.pass(TTL - ms(1)), 0);
    assert!(world.has(1), "expired before its new deadline");
    assert_eq!(world.pass(TICK), 1);
    assert!(!world.has(1), "outlived its new deadline");
}

#[test]
fn s01_renewal_keeps_load_and_measured_rtt() {
    let world = world();
    world.join(1);
    world.measure(1, ms(40));
    let leases = world.take(1, 2);
    world.report(1, 7);
    world.renew_with(1, &latency(ms(5)).capacity(50));
    let info = world.info(1);
    assert_eq!(info.current_load(), 7);
    assert_eq!(info.latency(), Some(ms(40)));
    drop(leases);
    assert_eq!(world.load(1), 5);
}

#[test]
fn s01_renewal_changes_capacity_and_nat_only_where_the_options_set_them() {
    let world = world();
    world.join_with(1, &capacity(7).nat(NatType::FullCone));
    world.renew(1);
    let kept = world.info(1);
    assert_eq!((kept.capacity(), kept.nat()), (7, Some(NatType::FullCone)));
    world.renew_with(1, &capacity(9));
    let raised = world.info(1);
    assert_eq!(
        (raised.capacity(), raised.nat()),
        (9, Some(NatType::FullCone))
    );
    world.renew_with(1, &options().nat(NatType::PublicIp));
    let moved = world.info(1);
    assert_eq!(
        (moved.capacity(), moved.nat()),
        (9, Some(NatType::PublicIp))
    );
}

#[test]
fn s01_renewal_changes_the_ttl_only_where_the_options_set_it() {
    let world = world();
    world.join_with(1, &ttl(secs(60)));
    world.pass(secs(50));
    world.renew(1);
    world.pass(secs(59));
    assert!(world.has(1), "the renewal did not count from its own time");
    world.renew(1);
    world.pass(secs(61));
    assert!(!world.has(1), "the renewal fell back to the default TTL");
}

#[test]
fn s01_a_ttl_set_by_a_renewal_holds_for_the_next_one() {
    let world = world();
    world.join_with(1, &ttl(secs(60)));
    world.renew_with(1, &ttl(secs(20)));
    world.renew(1);
    assert_eq!(world.pass(secs(20) - ms(1)), 0);
    assert_eq!(world.pass(ms(1)), 1, "the first TTL came back");
}

#[test]
fn s01_renewal_leaves_a_draining_relay_draining() {
    let world = world();
    world.join(1);
    world.drain(1);
    world.renew(1);
    assert!(world.info(1).is_draining());
    assert_eq!(world.found(), None);
}

#[test]
fn s01_renewal_succeeds_when_the_table_is_full() {
    let world = world_of(3);
    (0..3).for_each(|n| world.join(n));
    (0..3).for_each(|n| world.renew(n));
    assert_eq!(world.relay_count(), 3);
}

#[test]
fn s01_a_refused_renewal_changes_nothing() {
    let world = world();
    world.join_with(1, &capacity(7));
    let before = world.info(1);
    world.advance(secs(100));
    let refused = world.register_with(id(1), endpoint(2), &capacity(0));
    assert_is!(
        refused,
        Err(RegisterError::InvalidCapacity { capacity: 0, .. })
    );
    let refused = world.register_with(id(1), endpoint(2), &options().nat(NatType::Symmetric));
    assert_is!(refused, Err(RegisterError::NotReachable { .. }));
    assert_eq!(world.info(1), before);
}

#[test]
fn s01_a_newcomer_at_the_bound_is_refused() {
    let world = world_of(2);
    world.join(1);
    world.join(2);
    let refused = world.register(id(3), endpoint(3));
    assert_is!(refused, Err(RegisterError::Full { max: 2, .. }));
    assert!(!world.has(3));
    assert_eq!(world.relay_count(), 2);
    assert_eq!(world.stats().refused, 1);

    world.leave(1);
    world.join(3);
    assert_is!(
        world.register(id(1), endpoint(1)),
        Err(RegisterError::Full { .. })
    );
}

#[test]
fn s01_every_refusal_is_counted() {
    let world = world_of(1);
    world.join(0);
    let refusals = [
        options(),
        capacity(0),
        ttl(ms(1)),
        latency(ms(0)),
        options().nat(NatType::Symmetric),
    ];
    for options in &refusals {
        assert!(world.register_with(id(1), endpoint(1), options).is_err());
    }
    let stats = world.stats();
    assert_eq!(stats.refused, refusals.len() as u64);
    assert_eq!((stats.registrations, stats.renewals), (1, 0));
}

#[test]
fn s01_relays_past_their_deadline_do_not_count_against_a_newcomer() {
    let world = world_of(3);
    (0..3).for_each(|n| world.join_with(n, &ttl(secs(10))));
    world.advance(secs(10));
    (3..6).for_each(|n| world.join(n));
    assert_is!(
        world.register(id(6), endpoint(6)),
        Err(RegisterError::Full { max: 3, .. })
    );
    assert_eq!(world.relay_count(), 3);
    world.maintain();
    assert_eq!(world.stats().expirations, 3);
}

#[test]
fn s01_a_deadline_brought_forward_by_a_renewal_makes_room_in_time() {
    let world = world_of(1);
    world.join(1);
    world.renew_with(1, &ttl(secs(1)));
    world.advance(secs(1));
    world.join(2);
    assert!(!world.has(1));
}

#[test]
fn s01_a_deadline_put_off_by_a_renewal_holds_the_place() {
    let world = world_of(1);
    world.join_with(1, &ttl(secs(1)));
    world.renew_with(1, &ttl(secs(60)));
    world.advance(secs(59));
    let refused = world.register(id(2), endpoint(2));
    assert_is!(refused, Err(RegisterError::Full { .. }));
    assert!(world.has(1));
}

#[test]
fn s01_a_relay_found_expired_at_the_bound_is_registered_anew() {
    let world = world_of(1);
    world.join_with(1, &ttl(secs(1)));
    world.advance(secs(1));
    world.join(1);
    assert_eq!(world.found_with(&FindOptions::new()), Some(1));
}

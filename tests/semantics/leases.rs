//! Rule 4: a lease is one unit, taken once and returned once, whatever happens to its relay.

use crate::assert_is;
use crate::common::*;
use relay_registry::{FindOptions, Lease, LeaseError, NodeId};

fn reserve(world: &World) -> Option<Lease> {
    world.reserve(&non_relay(), &FindOptions::new()).ok()
}

#[test]
fn s04_leases_never_exceed_the_capacity() {
    let world = world();
    world.join_with(1, &capacity(3));
    let leases = world.take(1, 3);
    assert_is!(
        world.lease(&id(1)),
        Err(LeaseError::Full { capacity: 3, .. })
    );
    assert!(reserve(&world).is_none());
    assert_eq!(world.load(1), 3);
    drop(leases);
    assert_eq!(world.load(1), 0);
}

#[test]
fn s04_reservations_use_every_unit_and_no_more() {
    let world = world();
    (1..=5).for_each(|n| world.join_with(n, &capacity(n)));
    let leases: Vec<_> = std::iter::from_fn(|| reserve(&world)).take(100).collect();
    assert_eq!(leases.len(), 1 + 2 + 3 + 4 + 5);
    (1..=5).for_each(|n| assert_eq!(world.load(n), n));
    assert_eq!(world.stats().leases, 15);
    drop(leases);
    (1..=5).for_each(|n| assert_eq!(world.load(n), 0));
    assert_eq!(world.stats().leases, 0);
}

#[test]
fn s04_load_known_from_reports_is_not_leased_again() {
    let world = world();
    world.join_with(1, &capacity(10));
    world.report(1, 8);
    let leases = world.take(1, 2);
    assert_is!(world.lease(&id(1)), Err(LeaseError::Full { .. }));
    assert!(reserve(&world).is_none());
    drop(leases);
}

#[test]
fn s04_lowering_the_capacity_revokes_nothing_and_refuses_new_leases() {
    let world = world();
    world.join_with(1, &capacity(5));
    let mut leases = world.take(1, 4);
    world.renew_with(1, &capacity(2));
    assert_eq!(world.load(1), 4, "nothing was revoked");
    while leases.len() >= 2 {
        assert_is!(
            world.lease(&id(1)),
            Err(LeaseError::Full { capacity: 2, .. })
        );
        assert!(reserve(&world).is_none());
        leases.pop();
    }
    leases.extend(world.take(1, 1));
    assert_eq!(world.load(1), 2);
}

#[test]
fn s04_raising_the_capacity_admits_more() {
    let world = world();
    world.join_with(1, &capacity(1));
    let mut leases = world.take(1, 1);
    world.renew_with(1, &capacity(3));
    leases.extend(reserve(&world));
    leases.extend(reserve(&world));
    assert_eq!(leases.len(), 3);
    assert!(reserve(&world).is_none());
}

#[test]
fn s04_a_lease_releases_once_after_a_renewal() {
    let world = world();
    world.join(1);
    let kept = world.take(1, 1);
    let lease = world.take(1, 1);
    world.renew_with(1, &capacity(5));
    drop(lease);
    assert_eq!(world.load(1), 1);
    drop(kept);
    assert_eq!(world.load(1), 0);
}

#[test]
fn s04_a_lease_tells_of_its_relay() {
    let world = world();
    world.join_with(1, &capacity(5));
    let lease = world.lease(&id(1)).expect("a free unit");
    assert_eq!(lease.relay().node_id(), id(1));
    assert_eq!(lease.relay().endpoint(), &endpoint(1));
    assert_eq!(lease.relay().capacity(), 5);
}

/// Relay 1 leaves or expires, registers again, and the old lease is dropped.
fn outlive(vanish: impl FnOnce(&World)) {
    let world = world();
    world.join_with(1, &capacity(3).ttl(secs(10)));
    let old = world.lease(&id(1)).expect("a free unit");
    let told = old.relay().clone();
    vanish(&world);
    assert!(!world.has(1));
    assert_eq!(old.relay(), &told, "the lease shows the same as before");

    world.join_with(1, &capacity(3));
    assert_eq!(world.load(1), 1, "the lease is a unit of the relay");
    let new = world.take(1, 2);
    assert_is!(world.lease(&id(1)), Err(LeaseError::Full { .. }));
    drop(old);
    assert_eq!(world.load(1), 2, "given back once");
    let last = world.take(1, 1);
    assert_is!(world.lease(&id(1)), Err(LeaseError::Full { .. }));
    drop((new, last));
    assert_eq!(world.load(1), 0);
}

#[test]
fn s04_a_lease_outlives_its_relay_and_releases_once() {
    outlive(|world| world.leave(1));
}

#[test]
fn s04_a_lease_outlives_the_expiry_of_its_relay() {
    outlive(|world| assert_eq!(world.pass(secs(10)), 1));
}

#[test]
fn s04_a_lease_outlives_a_thousand_returns_of_its_relay() {
    outlive(|world| {
        world.leave(1);
        for _ in 0..1_000 {
            world.join(1);
            world.leave(1);
        }
        world.maintain();
    });
}

#[test]
fn s04_a_lease_outlives_its_registry() {
    let world = world();
    world.join(1);
    let lease = world.lease(&id(1)).expect("a free unit");
    drop(world);
    assert_eq!(lease.relay().node_id(), id(1));
    assert_eq!(lease.relay().endpoint(), &endpoint(1));
    drop(lease);
}

#[test]
fn s04_a_draining_relay_is_not_leased_and_keeps_its_leases() {
    let world = world();
    world.join(1);
    let leases = world.take(1, 2);
    world.drain(1);
    assert_is!(world.lease(&id(1)), Err(LeaseError::Draining));
    assert!(reserve(&world).is_none());
    assert_eq!(world.load(1), 2);
    drop(leases);
    assert_eq!(world.load(1), 0);
    world.set_draining(&id(1), false).unwrap();
    assert!(world.lease(&id(1)).is_ok());
}

#[test]
fn s04_an_unknown_relay_is_not_leased() {
    let world = world();
    world.join_with(1, &ttl(secs(1)));
    world.join(2);
    world.leave(2);
    world.pass(secs(1));
    let unknown: [NodeId; 3] = [id(1), id(2), id(3)];
    for relay in &unknown {
        assert_is!(world.lease(relay), Err(LeaseError::UnknownRelay));
    }
}

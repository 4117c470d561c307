//! Relays that restarted, and so lost their sessions.

use crate::assert_is;
use crate::common::*;
use crate::returning::{ways_to_be_away, world_with_grace};
use relay_registry::{LeaseError, NatType, Registration};

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
    // Without leases, there is nothing to void.
    world.report_load_of_others(&id(1), 2);
    world
        .register_with(id(1), endpoint(1), &options().restarted(true))
        .unwrap();
    assert_eq!(world.load(1), 0);
    world.maintain();
    assert_eq!(world.stats().leases, 0);
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

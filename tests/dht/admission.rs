//! Which remote relays a registry admits, and how many.

use relay_registry::NodeId;
use relay_registry::dht::{OfferOutcome, RejectReason};

use crate::world::{World, home, id, secs};

#[test]
fn of_one_prefix_only_so_many_are_taken() {
    let world = World::new();
    let reader = world.node_with(world.options().max_per_ipv4_24(2).max_per_ipv6_48(1));
    let offer = |n: u8, endpoint: &str| reader.registry.offer_record(&world.says(n, endpoint));
    assert_eq!(offer(1, "5.6.7.1:1"), Ok(OfferOutcome::Candidate));
    assert_eq!(offer(2, "5.6.7.200:1"), Ok(OfferOutcome::Candidate));
    assert_eq!(offer(4, "[2a00:1:2:3::1]:1"), Ok(OfferOutcome::Candidate));
    assert_eq!(offer(6, "[2a00:1:3:4::1]:1"), Ok(OfferOutcome::Candidate));
    reader.work();
    assert_eq!(offer(3, "5.6.7.3:1"), Err(RejectReason::TooManyOfPrefix));
    assert_eq!(
        offer(5, "[2a00:1:2:4::1]:1"),
        Err(RejectReason::TooManyOfPrefix)
    );
    reader.work();
    assert_eq!(reader.registry.relay_count(), 4);
    assert_eq!(reader.stats().refused(RejectReason::TooManyOfPrefix), 2);
}

#[test]
fn private_addresses_and_names_are_for_those_who_ask_for_them() {
    let world = World::new();
    let wary = world.reader();
    let trusting = world.node_with(
        world
            .options()
            .trust_strangers_with_private_addresses(true)
            .accept_names_from_strangers(true),
    );
    for (n, endpoint, reason) in [
        (1, "127.0.0.1:1", RejectReason::PrivateAddress),
        (2, "10.1.2.3:1", RejectReason::PrivateAddress),
        (3, "[fd00::1]:1", RejectReason::PrivateAddress),
        (4, "relay.example.org:1", RejectReason::Name),
    ] {
        let record = world.says(n, endpoint);
        assert_eq!(wary.registry.offer_record(&record), Err(reason));
        assert_eq!(
            trusting.registry.offer_record(&record),
            Ok(OfferOutcome::Candidate)
        );
    }
}

#[test]
fn who_is_not_on_the_list_is_not_learned() {
    let world = World::new();
    let _relays: Vec<_> = (1..=3).map(|n| world.relay(n)).collect();
    let reader = world.node_with(world.options().allow_only([id(2)]));
    reader.work();
    assert_eq!(reader.registry.learned_relays(), [id(2)]);
    assert_eq!(reader.stats().refused(RejectReason::NotAllowed), 2);
}

#[test]
fn remote_relays_do_not_fill_the_places_of_local_relays() {
    let world = World::new();
    let dht = world.dht.connect();
    let options = world.options().local_reserve(8);
    let registry = world
        .builder()
        .max_relays(16)
        .dht(dht, options)
        .build()
        .unwrap();
    for n in 1..=16 {
        assert_eq!(
            registry.offer_record(&world.says(n, &format!("5.6.{n}.1:1"))),
            Ok(OfferOutcome::Candidate)
        );
    }
    registry.run_distribution();
    let stats = registry.stats().dht.unwrap();
    assert_eq!(
        (registry.relay_count(), stats.learned, stats.candidates),
        (8, 8, 8)
    );
    for n in 1..=8 {
        registry.register(NodeId::from([n; 32]), home(n)).unwrap();
    }
    assert_eq!(registry.relay_count(), 16, "no relay was removed");
    world.advance(secs(120));
    registry.run_distribution();
    assert!((1..=8).all(|n| registry.is_relay(&NodeId::from([n; 32]))));
}

#[test]
fn claims_rank_nothing_and_are_capped() {
    let world = World::new();
    let reader = world.node_with(world.options().max_claimed_capacity(5));
    reader
        .registry
        .offer_record(&world.says(1, "5.6.1.1:1"))
        .unwrap();
    reader.work();
    let learned = reader.registry.relay(&id(1)).unwrap();
    assert_eq!((learned.capacity(), learned.current_load()), (5, 0));
}

#[test]
fn a_relay_that_moves_is_not_handed_out_at_an_address_that_was_not_probed() {
    let world = World::new();
    let reader = world.reader();
    reader
        .registry
        .offer_record(&world.says(1, "5.6.1.1:1"))
        .unwrap();
    reader.work();
    assert!(reader.knows(1));
    world.advance(secs(1));
    reader
        .registry
        .offer_record(&world.says(1, "5.6.1.2:1"))
        .unwrap();
    assert!(!reader.knows(1));
    reader.work();
    let moved = reader.registry.relay(&id(1)).unwrap();
    assert_eq!(moved.endpoint(), &"5.6.1.2:1".parse().unwrap());
}

//! What is published is found by others, and what is withdrawn is not.

use std::time::Duration;

use relay_registry::dht::{
    DhtOptions, DhtOptionsError, Faults, Memory, OfferOutcome, RejectReason, RelayDht,
};
use relay_registry::{
    BuildError, CircuitState, FindOptions, NodeId, RegisterOptions, Registration, Registry,
};

use crate::world::{RTT, TTL, World, home, id, non_relay, secs, until};

#[test]
fn two_registries_find_each_others_relays() {
    let world = World::new();
    let (one, other) = (world.relay(1), world.relay(2));
    until(&world, &[&one, &other], || one.knows(2) && other.knows(1));
    assert_eq!((one.finds(), other.finds()), (Some(id(2)), Some(id(1))));
    let learned = one.registry.relay(&id(2)).unwrap();
    assert_eq!(learned.endpoint(), &home(2));
    assert_eq!(learned.latency(), Some(RTT));
    assert_eq!(one.registry.learned_relays(), [id(2)]);
}

#[test]
fn a_new_node_finds_all_relays_in_its_first_sweep() {
    let world = World::new();
    let relays: Vec<_> = (1..=20).map(|n| world.relay(n)).collect();
    let newcomer = world.reader();
    assert_eq!(newcomer.finds(), None);
    newcomer.work();
    assert_eq!(newcomer.registry.relay_count(), relays.len());
    let stats = newcomer.stats();
    assert_eq!(
        (stats.learned, stats.admitted, stats.candidates),
        (20, 20, 0)
    );
    assert!(!stats.publishes && stats.learns);
}

#[test]
fn a_candidate_is_invisible_until_a_probe_succeeded() {
    let world = World::new();
    let _relay = world.relay(1);
    world.breaks(1);
    let reader = world.reader();
    reader.work();
    assert_eq!(reader.stats().candidates, 1);
    assert!(!reader.knows(1) && reader.finds().is_none());
    assert!(reader.registry.relays().is_empty());
    world.broken.lock().unwrap().clear();
    world.advance(secs(60));
    reader.work();
    assert!(reader.knows(1));
}

#[test]
fn a_relay_that_fails_its_probes_is_not_handed_out_and_leaves() {
    let world = World::new();
    let relay = world.relay(1);
    let reader = world.reader();
    reader.work();
    assert_eq!(reader.finds(), Some(id(1)));
    world.breaks(1);
    world.advance(secs(60));
    reader.work();
    let failing = reader.registry.relay(&id(1)).unwrap();
    assert_eq!(failing.circuit(), CircuitState::Open);
    until(&world, &[&relay, &reader], || !reader.knows(1));
}

#[test]
fn a_withdrawn_relay_vanishes_and_stays_away_under_replay() {
    let world = World::new();
    let relay = world.relay(1);
    let reader = world.reader();
    reader.work();
    let replayed = relay.registry.own_record().unwrap();
    assert!(relay.registry.unregister(&id(1)));
    let took = until(&world, &[&relay, &reader], || !reader.knows(1));
    assert!(took <= secs(61), "by the next sweep: {took:?}");
    assert!(relay.stats().puts >= 2 && !relay.stats().published);

    // A peer offers the old record, and storage nodes without memory store it.
    world.dht.stop(0..8);
    world.dht.start(0..8);
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    world.dht.put(&replayed, deadline).unwrap();
    for shard in 0..8 {
        world.dht.join(shard, &replayed, deadline).unwrap();
    }
    assert_eq!(
        reader.registry.offer_record(&replayed),
        Err(RejectReason::Withdrawn)
    );
    let refused = reader.stats().refused(RejectReason::Withdrawn);
    for _ in 0..40 {
        world.advance(secs(30));
        reader.work();
        assert!(!reader.knows(1));
    }
    assert!(
        reader.stats().refused(RejectReason::Withdrawn) > refused,
        "it was offered"
    );
}

/// If most of a directory still lists a relay that left, readers get the relay's own record, and notice within
/// one refresh.
#[test]
fn a_withdrawal_that_most_nodes_missed_is_heard_within_a_refresh() {
    let refresh = secs(300);
    for reached in [0..1, 0..3, 0..8] {
        let world = World::new();
        let options = || world.options().refresh(refresh);
        let relay = world.node_with(options().key(crate::world::key(1)));
        relay.registry.register(id(1), home(1)).unwrap();
        let reader = world.node_with(options());
        until(&world, &[&relay, &reader], || reader.knows(1));
        relay
            .dht
            .set_faults(Faults::new().partition(reached.clone()));
        assert!(relay.registry.unregister(&id(1)));
        let took = until(&world, &[&relay, &reader], || !reader.knows(1));
        assert!(took <= refresh, "{reached:?}: {took:?}");
    }
}

/// To be asked again and to have nothing new to say is no absence.
#[test]
fn relays_that_are_known_are_asked_again_and_stay() {
    let world = World::new();
    let relays: Vec<_> = (1..=5).map(|n| world.relay(n)).collect();
    let options = world.options().refresh(secs(300));
    let reader = world.node_with(options.sweep_interval(secs(86_400)));
    reader.work();
    let fetches = reader.stats().fetches;
    for _ in 0..30 {
        world.advance(secs(10));
        reader.work();
        assert_eq!(
            (reader.registry.relay_count(), reader.stats().absent),
            (5, 0)
        );
    }
    let asked = reader.stats().fetches - fetches;
    assert!((5..=10).contains(&asked), "each once or twice: {asked}");
    drop(relays);
}

#[test]
fn a_relay_that_vanished_is_forgotten_with_its_record() {
    let world = World::new();
    drop(world.relay(1));
    let reader = world.reader();
    reader.work();
    assert!(reader.knows(1));
    world.advance(TTL);
    reader.work();
    assert!(!reader.knows(1));
    assert_eq!(reader.stats().learned, 0);
}

#[test]
fn a_relay_that_stays_is_known_for_longer_than_a_record_lasts() {
    let world = World::new();
    let relay = world.node(1);
    relay
        .registry
        .register_with(id(1), home(1), &RegisterOptions::new().ttl(secs(86_400)))
        .unwrap();
    let reader = world.reader();
    until(&world, &[&relay, &reader], || reader.knows(1));
    for _ in 0..400 {
        world.advance(secs(20));
        relay.work();
        reader.work();
        assert!(reader.knows(1));
    }
}

#[test]
fn a_relay_that_lapses_here_is_withdrawn() {
    let world = World::new();
    let relay = world.relay(1);
    world.advance(secs(601));
    relay.work();
    world.advance(secs(1));
    relay.work();
    assert!(!relay.stats().published);
    assert!(relay.registry.own_record().unwrap().is_tombstone());
}

#[test]
fn a_registry_without_a_key_publishes_nothing_and_says_so() {
    let world = World::new();
    let node = world.reader();
    node.registry.register(id(1), home(1)).unwrap();
    node.work();
    world.advance(secs(60));
    node.work();
    let stats = node.stats();
    assert!(!stats.publishes && !stats.published && !stats.pending);
    assert_eq!((stats.puts, node.registry.own_record()), (0, None));
}

#[test]
fn a_node_signs_for_itself_only() {
    let world = World::new();
    let node = world.node(1);
    node.registry.register(id(2), home(2)).unwrap();
    node.work();
    world.advance(secs(60));
    node.work();
    assert!(!node.stats().pending && node.registry.own_record().is_none());
}

#[test]
fn a_node_is_not_handed_out_to_itself() {
    let world = World::new();
    let node = world.relay(1);
    assert!(node.knows(1));
    assert_eq!(node.finds(), None);
}

#[test]
fn a_registry_without_a_probe_learns_nothing() {
    let world = World::new();
    let relay = world.relay(1);
    let options = DhtOptions::new().worker_threads(0);
    let deaf = world.node_with(options);
    deaf.work();
    assert!(!deaf.knows(1) && !deaf.stats().learns);
    let record = relay.registry.own_record().unwrap();
    assert_eq!(
        deaf.registry.offer_record(&record),
        Err(RejectReason::NotLearning)
    );
    assert!(!deaf.registry.request_record(&id(1)));
    let alone = Registry::new();
    assert_eq!(alone.offer_record(&record), Err(RejectReason::NotLearning));
    assert_eq!((alone.run_distribution(), alone.stats().dht), (0, None));
}

#[test]
fn a_record_that_a_peer_hands_over_is_as_good_as_any() {
    let world = World::new();
    let relay = world.relay(1);
    let reader = world.reader();
    reader.dht.set_faults(Faults::new().partition(0..0));
    reader.work();
    assert!(!reader.knows(1));
    let record = relay.registry.own_record().unwrap();
    assert_eq!(
        reader.registry.offer_record(&record),
        Ok(OfferOutcome::Candidate)
    );
    reader.work();
    assert!(reader.knows(1));
    assert_eq!(
        reader.registry.offer_record(&record),
        Ok(OfferOutcome::Known)
    );
}

#[test]
fn a_relay_can_be_asked_for_by_name() {
    let world = World::new();
    let deadline = std::time::Instant::now() + secs(5);
    // Stored, but in no directory.
    world
        .dht
        .put(&world.says(1, "5.6.1.1:1"), deadline)
        .unwrap();
    let reader = world.reader();
    reader.work();
    assert!(!reader.knows(1));
    assert!(reader.registry.request_record(&id(1)));
    reader.work();
    assert!(reader.knows(1));
}

#[test]
fn a_local_registration_replaces_what_was_learned() {
    let world = World::new();
    let _relay = world.relay(1);
    let reader = world.reader();
    reader.work();
    assert!(reader.knows(1));
    let lease = reader.registry.lease(&id(1)).unwrap();
    let endpoint: relay_registry::Endpoint = "10.0.0.7:1".parse().unwrap();
    let options = RegisterOptions::new().capacity(7);
    let registered = reader
        .registry
        .register_with(id(1), endpoint.clone(), &options);
    assert_eq!(registered, Ok(Registration::New));
    drop(lease);
    let held = reader.registry.relay(&id(1)).unwrap();
    assert_eq!(
        (held.endpoint(), held.capacity(), held.current_load()),
        (&endpoint, 7, 0)
    );
    // Records from the DHT are ignored from now on.
    world.advance(secs(1));
    assert_eq!(
        reader.registry.offer_record(&world.says(1, "5.6.1.9:1")),
        Err(RejectReason::HeldLocally)
    );
    world.advance(secs(1));
    assert_eq!(
        reader.registry.offer_record(&world.withdraws(1)),
        Ok(OfferOutcome::Withdrawn)
    );
    world.breaks(1);
    for _ in 0..10 {
        world.advance(secs(30));
        reader.work();
        assert_eq!(reader.registry.relay(&id(1)).unwrap().endpoint(), &endpoint);
    }
}

#[test]
fn a_local_registration_takes_the_place_of_a_learned_relay() {
    let world = World::new();
    let _relays: Vec<_> = (1..=6).map(|n| world.relay(n)).collect();
    let dht = world.dht.connect();
    let options = world.options().local_reserve(0);
    let registry = world
        .builder()
        .max_relays(6)
        .dht(dht, options)
        .build()
        .unwrap();
    registry.run_distribution();
    assert_eq!(registry.learned_relays().len(), 6);
    let local = |n: u8| NodeId::from([n; 32]);
    for n in 1..=6 {
        assert_eq!(registry.register(local(n), home(n)), Ok(Registration::New));
        assert_eq!(registry.relay_count(), 6);
    }
    assert!((1..=6).all(|n| registry.is_relay(&local(n))));
    assert!(
        registry.register(local(7), home(7)).is_err(),
        "of local ones none gives way"
    );
    for _ in 0..10 {
        world.advance(secs(30));
        registry.run_distribution();
        for n in 1..=6 {
            registry.register(local(n), home(n)).unwrap();
        }
        assert!((1..=6).all(|n| registry.is_relay(&local(n))));
    }
}

#[test]
fn a_miss_is_a_reason_to_look() {
    let world = World::new();
    let reader = world.reader();
    reader.work();
    let relay = world.relay(1);
    reader.work();
    let sweeps = reader.stats().sweeps;
    world.advance(secs(5));
    relay.work();
    reader.work();
    assert_eq!(reader.stats().sweeps, sweeps, "no sweep was asked for");
    assert!(reader.registry.find_relay(&non_relay()).is_err());
    reader.work();
    assert!(reader.stats().sweeps > sweeps && reader.knows(1));
}

#[test]
fn without_waiting_a_wait_is_a_find() {
    let registry = Registry::new();
    let options = FindOptions::new();
    assert!(
        registry
            .find_relay_wait(&non_relay(), &options, Duration::ZERO)
            .is_err()
    );
    registry.register(id(1), home(1)).unwrap();
    let found = registry.find_relay_wait(&non_relay(), &options, Duration::ZERO);
    assert_eq!(found.unwrap().node_id(), id(1));
}

#[test]
fn options_out_of_range_are_named() {
    let build = |options: DhtOptions| {
        let built = Registry::builder().dht(Memory::new(), options).build();
        match built.err() {
            Some(BuildError::InvalidDht(
                DhtOptionsError::Time { option, .. } | DhtOptionsError::Number { option, .. },
            )) => option,
            other => panic!("{other:?}"),
        }
    };
    let options = DhtOptions::new;
    assert_eq!(build(options().record_ttl(secs(90_000))), "record_ttl");
    assert_eq!(build(options().refresh(secs(1_000))), "refresh");
    assert_eq!(build(options().debounce(secs(61))), "debounce");
    assert_eq!(
        build(options().sweep_interval(Duration::ZERO)),
        "sweep_interval"
    );
    assert_eq!(build(options().load_interval(secs(0))), "load_interval");
    assert_eq!(build(options().probe_interval(secs(0))), "probe_interval");
    assert_eq!(build(options().probe_deadline(secs(0))), "probe_deadline");
    assert_eq!(build(options().max_failed_probes(0)), "max_failed_probes");
    assert_eq!(
        build(options().shutdown_timeout(secs(61))),
        "shutdown_timeout"
    );
    assert_eq!(build(options().local_reserve(1_001)), "local_reserve");
    assert_eq!(build(options().max_per_ipv4_24(0)), "max_per_ipv4_24");
    assert_eq!(build(options().worker_threads(65)), "worker_threads");
    assert_eq!(build(options().probe_threads(0)), "probe_threads");
    let keyed = options().key(crate::world::key(1));
    let other = Registry::builder()
        .local_id(id(2))
        .dht(Memory::new(), keyed)
        .build();
    assert!(matches!(
        other.err(),
        Some(BuildError::InvalidDht(DhtOptionsError::OtherLocalId { of_key, .. })) if of_key == id(1)
    ));
}

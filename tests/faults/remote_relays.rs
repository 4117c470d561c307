//! Remote relays that leave, expire or drain at a bad moment, and local relays beside them.

use crate::world::{NamesOnly, Node, RTT, TTL, World, home, id, key, secs, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use relay_registry::Clock;
use relay_registry::dht::{
    Announcement, DhtOptions, FailureDomain, Load, Memory, Network, OfferOutcome, RejectReason,
    RelayDht, RelayRecord, SecretKey, SignedRecord, next_sequence,
};
use relay_registry::{
    Endpoint, FindOptions, Maintenance, ManualClock, NodeId, RegisterOptions, Registration,
    Registry,
};

/// A registry that learns through this engine.
pub(super) fn reading(world: &World, engine: impl RelayDht, options: DhtOptions) -> Registry {
    world.builder().dht(engine, options).build().unwrap()
}

#[test]
fn a_relay_that_leaves_before_the_directory_is_read_again_is_gone_by_then() {
    let world = World::new();
    let relays: Vec<Node> = (1..=24).map(|n| world.relay(n)).collect();
    let reader = reading(&world, NamesOnly(world.dht.connect()), world.options());
    reader.run_distribution();
    assert_eq!(reader.relay_count(), 24);
    world.advance(secs(20));
    relays.iter().zip(1..).for_each(|(relay, n)| {
        assert!(relay.registry.unregister(&id(n)));
        relay.work();
    });
    let nodes: Vec<&Node> = relays.iter().collect();
    let took = until(&world, &nodes, || {
        reader.run_distribution();
        reader.relay_count() == 0
    });
    assert!(took <= secs(62), "by the next sweep: {took:?}");
}

#[test]
fn a_record_that_ends_within_a_tick_is_too_late_and_counts_as_no_offence() {
    let world = World::new();
    let reader = world.reader();
    let late = world.says(1, "5.6.1.1:1");
    let probed_too_late = world.says(2, "5.6.2.1:1");
    world.advance(TTL - Duration::from_millis(150));
    assert_eq!(
        reader.registry.offer_record(&probed_too_late),
        Ok(OfferOutcome::Candidate)
    );
    world.advance(Duration::from_millis(100));
    assert_eq!(
        reader.registry.offer_record(&late),
        Err(RejectReason::Expired)
    );
    reader.work();
    assert_eq!(reader.registry.relay_count(), 0);
    for n in [1, 2] {
        let next = world.says(n, &format!("5.6.{n}.1:1"));
        assert_eq!(
            reader.registry.offer_record(&next),
            Ok(OfferOutcome::Candidate)
        );
        reader.work();
        assert!(reader.knows(n));
    }
}

#[test]
fn a_record_that_ends_during_a_probe_counts_as_no_offence() {
    let world = World::new();
    let (clock, wall) = (world.clock.clone(), world.wall.clone());
    let is_slow = Arc::new(AtomicBool::new(false));
    let slow = Arc::clone(&is_slow);
    let options = world
        .options()
        .probe(move |_: &NodeId, _: &Endpoint, _: Duration| {
            if slow.swap(false, Ordering::Relaxed) {
                clock.advance(secs(120));
                wall.advance(secs(120));
            }
            Ok(RTT)
        });
    let reader = world.node_with(options);
    let offer = |record: &SignedRecord| reader.registry.offer_record(record);
    assert_eq!(
        offer(&world.says(1, "5.6.1.1:1")),
        Ok(OfferOutcome::Candidate)
    );
    reader.work();
    world.advance(TTL - secs(100));
    reader.work();
    assert!(reader.knows(1));
    is_slow.store(true, Ordering::Relaxed);
    let took = until(&world, &[&reader], || !is_slow.load(Ordering::Relaxed));
    assert!(took < secs(100), "the probe began while the record counted");
    assert!(!reader.knows(1));
    assert_eq!(
        offer(&world.says(1, "5.6.1.1:1")),
        Ok(OfferOutcome::Candidate)
    );
    reader.work();
    assert!(reader.knows(1));
}

#[test]
fn a_learned_relay_stays_for_as_long_as_its_record_counts() {
    let world = World::new();
    let dht = world.dht.connect();
    let builder = world.builder().tick(secs(10)).dht(dht, world.options());
    let registry = builder.build().unwrap();
    world.advance(secs(9));
    registry.offer_record(&world.says(1, "5.6.1.1:1")).unwrap();
    registry.run_distribution();
    world.advance(TTL - secs(1));
    assert!(registry.is_relay(&id(1)));
    world.advance(secs(11));
    assert!(!registry.is_relay(&id(1)));
}

#[test]
fn a_failure_domain_has_one_limit_here_and_in_records() {
    let label = "d".repeat(FailureDomain::MAX_LEN);
    let too_long = format!("{label}d");
    assert!(FailureDomain::new(&too_long).is_err());
    let world = World::new();
    let relay = world.node(1);
    let refused = relay.registry.register_with(
        id(1),
        home(1),
        &RegisterOptions::new().failure_domain(too_long),
    );
    assert!(refused.is_err());
    let options = RegisterOptions::new().failure_domain(label.clone());
    relay
        .registry
        .register_with(id(1), home(1), &options)
        .unwrap();
    world.advance(secs(1));
    until(&world, &[&relay], || relay.stats().published);
    let said = relay.registry.own_record().unwrap();
    let said = said.record().announcement().unwrap().failure_domain();
    assert_eq!(said.map(FailureDomain::as_str), Some(&label[..]));

    // Two near relays of one failure domain, and a farther one of another: the domain is used where the
    // relay was learned.
    let reader = world.reader();
    let labelled = |n: u8, label: &str| {
        let said = Announcement::new(home(n), 10)
            .unwrap()
            .with_failure_domain(FailureDomain::new(label).unwrap());
        let now = world.wall.now();
        let record = RelayRecord::announce(said, now.as_micros() as u64, now, TTL).unwrap();
        SignedRecord::sign(&record, &key(n), &Network::default()).unwrap()
    };
    for (n, label) in [(1, &label[..]), (2, &label[..]), (3, "elsewhere")] {
        let offered = reader.registry.offer_record(&labelled(n, label));
        assert_eq!(offered, Ok(OfferOutcome::Candidate));
    }
    reader.work();
    let found = reader.registry.find_relays(
        &crate::world::non_relay(),
        &FindOptions::new().max_results(2),
    );
    let found: Vec<NodeId> = found.iter().map(|relay| relay.node_id()).collect();
    assert!(found.contains(&id(3)), "{found:?}");
}

#[test]
fn an_own_relay_that_drains_or_is_banned_here_is_published_as_full() {
    let world = World::new();
    let relay = world.relay(1);
    let load = || {
        world.advance(secs(1));
        relay.work();
        let said = relay.registry.own_record().unwrap();
        said.record().announcement().unwrap().load()
    };
    assert_eq!(load(), Some(Load::IDLE));
    relay.registry.set_draining(&id(1), true).unwrap();
    relay.work();
    assert_eq!(load(), Some(Load::FULL));
    relay.registry.set_draining(&id(1), false).unwrap();
    relay.work();
    assert_eq!(load(), Some(Load::IDLE));
    relay.registry.ban(&id(1), secs(30)).unwrap();
    relay.work();
    assert_eq!(load(), Some(Load::FULL));
    assert!(relay.registry.unban(&id(1)));
    relay.work();
    assert_eq!(load(), Some(Load::IDLE));
    relay.registry.ban(&id(1), secs(30)).unwrap();
    relay.work();
    assert_eq!(load(), Some(Load::FULL));
    world.advance(secs(30));
    relay.work();
    assert_eq!(load(), Some(Load::IDLE), "a ban ends by itself");
}

/// A registry without DHT threads, and the time of day. Announced relays are admitted at once.
fn learner(max_relays: usize) -> (Registry, ManualClock, ManualClock) {
    let (clock, wall) = (ManualClock::new(), ManualClock::new());
    wall.advance(secs(1_800_000_000));
    let dht = Memory::builder().clock(clock.clone()).build();
    let options = DhtOptions::new()
        .worker_threads(0)
        .seed(1)
        .probe(|_: &NodeId, _: &Endpoint, _| Ok(RTT));
    let registry = Registry::builder()
        .max_relays(max_relays)
        .maintenance(Maintenance::Manual)
        .clock(clock.clone())
        .wall_clock(wall.clone())
        .dht(dht, options)
        .build();
    (registry.unwrap(), clock, wall)
}

fn announce(registry: &Registry, wall: &ManualClock, key: &SecretKey, endpoint: &Endpoint) {
    let now = wall.now();
    let said = Announcement::new(endpoint.clone(), 10).unwrap();
    let record = RelayRecord::announce(said, next_sequence(None, now), now, secs(1_800)).unwrap();
    let signed = SignedRecord::sign(&record, key, &Network::default()).unwrap();
    let _offered = registry.offer_record(&signed);
    registry.run_distribution();
}

#[test]
fn learning_goes_on_after_any_number_of_leases_on_relays_that_left() {
    let (registry, _clock, wall) = learner(64);
    let leases: Vec<_> = (0..3_000_u32)
        .map(|n| {
            let local = NodeId::from_bytes(&n.to_be_bytes()).unwrap();
            let endpoint: Endpoint = "5.6.7.9:4433".parse().unwrap();
            registry.register(local, endpoint).unwrap();
            let lease = registry.lease(&local).unwrap();
            assert!(registry.unregister(&local));
            lease
        })
        .collect();
    for round in [1, 2] {
        let endpoint: Endpoint = format!("5.6.{round}.1:4433").parse().unwrap();
        announce(&registry, &wall, &key(round), &endpoint);
        assert!(registry.is_relay(&key(round).node_id()), "round {round}");
        if round == 1 {
            // Their records are reused, the last one first.
            registry.maintain();
        }
    }
    drop(leases);
    registry.maintain();
    let endpoint: Endpoint = "5.6.3.1:4433".parse().unwrap();
    announce(&registry, &wall, &key(3), &endpoint);
    assert!(registry.is_relay(&key(3).node_id()));
}

#[test]
fn a_relay_that_is_registered_here_and_late_is_not_learned_and_comes_back_as_it_was() {
    let (registry, clock, wall) = learner(1_000);
    let key = key(1);
    let relay = key.node_id();
    let endpoint: Endpoint = "5.6.7.1:4433".parse().unwrap();
    let told = RegisterOptions::new().capacity(7).ttl(secs(60));
    registry
        .register_with(relay, endpoint.clone(), &told)
        .unwrap();
    registry.report_load_of_others(&relay, 3);
    for by in [secs(61), secs(1)] {
        clock.advance(by);
        wall.advance(by);
        registry.maintain();
    }
    announce(&registry, &wall, &key, &endpoint);
    let outcome = registry.register(relay, endpoint);
    assert_eq!(outcome, Ok(Registration::Returned));
    let info = registry.relay(&relay).unwrap();
    assert_eq!((info.capacity(), info.current_load()), (7, 3));
}

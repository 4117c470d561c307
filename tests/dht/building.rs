//! The options of the DHT, and their effects.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::error::Error;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use relay_registry::dht::{
    Answer, Candidate, CandidateError, CandidateSink, Coverage, DhtError, DhtOptions,
    DhtOptionsError, Kad, Limits, Member, MemberSink, Memory, Network, Put, RawMemory, RelayDht,
    SignedRecord,
};
use relay_registry::{
    BuildError, Clock, FindOptions, ManualClock, NodeId, RegisterOptions, Registry,
};

use crate::world::{NamesOnly, RTT, World, home, id, key, non_relay, secs, until};

#[test]
fn what_is_printed_of_options_tells_no_key() {
    let secret = format!("{:?}", [7_u8; 32]);
    let options = || DhtOptions::default().key(key(7));
    let builder = Registry::builder().dht(Memory::default(), options());
    let printed = format!("{:?}", options());
    assert!(
        printed.contains(&id(7).to_string()),
        "whose it is: {printed}"
    );
    for printed in [printed, format!("{builder:?}")] {
        assert!(
            !printed.contains(&secret[1..20]) && !printed.contains("070707"),
            "{printed}"
        );
    }
}

#[test]
fn an_error_in_the_options_is_the_source_of_the_one_in_building() {
    let options = DhtOptions::new().worker_threads(65);
    let refused = Registry::builder().dht(Memory::new(), options).build();
    let error = refused.unwrap_err();
    let source = error.source().expect("a source");
    assert!(source.is::<DhtOptionsError>(), "{source}");
    assert_eq!(
        error.to_string(),
        "the options of the DHT are not valid: worker_threads is 65, not 0 to 64"
    );
    let other = Registry::builder().max_relays(0).build().unwrap_err();
    assert!(matches!(other, BuildError::InvalidMaxRelays { .. }) && other.source().is_none());
}

#[test]
fn relays_of_another_network_are_none() {
    let world = World::new();
    let _relay = world.relay(1);
    let other = Network::new(b"other").unwrap();
    let reader = world.node_with(world.options().network(other));
    let friend = world.node_with(world.options().network(other).key(key(2)));
    friend.registry.register(id(2), home(2)).unwrap();
    until(&world, &[&friend, &reader], || reader.knows(2));
    assert!(!reader.knows(1));
}

/// Then nothing would be published or learned, and no error would say why.
#[test]
fn an_engine_of_another_network_is_not_built_with() {
    let staging = Network::new(b"staging").unwrap();
    let engine = || Kad::new(RawMemory::new(8), staging);
    let built = Registry::builder().dht(engine(), DhtOptions::new().network(staging));
    assert!(built.build().is_ok());
    for options in [DhtOptions::new(), DhtOptions::new().key(key(1))] {
        let refused = Registry::builder().dht(Arc::new(engine()), options).build();
        assert_eq!(
            refused.unwrap_err().source().expect("a source").to_string(),
            "the engine carries records of the network \"staging\", and the options name \"main\""
        );
    }
    // An engine that does not care carries all.
    let any = Registry::builder().dht(Memory::new(), DhtOptions::new().network(staging));
    assert!(any.build().is_ok());
}

/// A shard with more relays than a node learns, listed in the same order for all nodes.
#[test]
fn nodes_learn_other_relays_of_a_long_sorted_list() {
    struct Sorted;
    impl RelayDht for Sorted {
        fn limits(&self) -> Limits {
            Limits::new(1_000, 16, secs(3_600), 1)
        }
        fn put(&self, _: &SignedRecord, _: Instant) -> Result<Put, DhtError> {
            Ok(Put::new(1, 1))
        }
        fn get(
            &self,
            node: &NodeId,
            _: Option<u64>,
            _: Instant,
            _: &mut CandidateSink<'_>,
        ) -> Result<Answer, DhtError> {
            ASKED.with_borrow_mut(|asked| asked.push(*node));
            Ok(Answer::partial(1, 1))
        }
        fn members(
            &self,
            _: u16,
            _: Instant,
            sink: &mut MemberSink<'_>,
        ) -> Result<Answer, DhtError> {
            for number in 0..4_000_u16 {
                let mut node = [0; 32];
                node[..2].copy_from_slice(&number.to_be_bytes());
                let flow = sink(Member {
                    node: NodeId::from(node),
                    record: None,
                });
                assert!(flow.is_continue());
            }
            Ok(Answer::complete(1, 1))
        }
    }
    thread_local! {
        static ASKED: RefCell<Vec<NodeId>> = const { RefCell::new(Vec::new()) };
    }
    let world = World::new();
    let asked_by = |seed: u64| -> BTreeSet<NodeId> {
        let options = world.options().seed(seed);
        let registry = world.builder().dht(Sorted, options).build().unwrap();
        registry.run_distribution();
        ASKED.take().into_iter().collect()
    };
    let (one, other) = (asked_by(1), asked_by(2));
    assert_eq!((one.len(), other.len()), (1_024, 1_024));
    // By chance, a quarter of a quarter of 4,000.
    let both = one.intersection(&other).count();
    assert!((100..500).contains(&both), "{both}");
}

#[test]
fn no_more_wait_for_their_probe_than_there_is_room_for() {
    let world = World::new();
    let relays: Vec<_> = (1..=4).map(|n| world.relay(n)).collect();
    (1..=4).for_each(|n| world.breaks(n));
    let few = world.node_with(world.options().max_candidates(2));
    let many = world.reader();
    let mut most = 0;
    for _ in 0..120 {
        few.registry.run_distribution();
        many.registry.run_distribution();
        assert!(few.stats().candidates <= 2);
        most = most.max(many.stats().candidates);
        world.advance(secs(1));
    }
    assert!(most > 2);
    drop(relays);
}

/// The absence of a record is cached for a while.
#[test]
fn an_absence_is_remembered_for_as_long_as_is_said() {
    let world = World::new();
    let reader = world.node_with(world.options().negative_cache_ttl(secs(100)));
    let relay = world.node(1);
    assert!(reader.registry.request_record(&id(1)));
    reader.work();
    assert_eq!(reader.stats().absent, 1);
    world.advance(secs(99));
    assert!(!reader.registry.request_record(&id(1)));
    world.advance(secs(1));
    relay.registry.register(id(1), home(1)).unwrap();
    relay.work();
    assert!(reader.registry.request_record(&id(1)));
    until(&world, &[&relay, &reader], || reader.knows(1));
}

/// Relays of one failure domain fail together wherever they are known.
#[test]
fn a_failure_domain_is_published_and_learned() {
    let world = World::new();
    let nodes: Vec<_> = (1..=3).map(|n| world.node(n)).collect();
    for (n, node) in (1..).zip(&nodes) {
        let options = match n {
            3 => RegisterOptions::new(),
            _ => RegisterOptions::new().failure_domain("one-rack"),
        };
        node.registry
            .register_with(id(n), home(n), &options)
            .unwrap();
        node.work();
    }
    world.advance(secs(1));
    nodes.iter().for_each(|node| node.work());
    let reader = world.reader();
    until(&world, &[&reader], || (1..=3).all(|n| reader.knows(n)));
    for (n, percent) in [(1, 98), (2, 99)] {
        reader.registry.record_rtt(&id(n), RTT * percent / 100);
    }
    let options = FindOptions::new().max_results(2);
    let found = reader.registry.find_relays(&non_relay(), &options);
    let found: Vec<_> = found.iter().map(|relay| relay.node_id()).collect();
    assert_eq!(
        found,
        [id(1), id(3)],
        "two is nearer, and in the rack of one"
    );
}

/// A relay that works and finds no place waits for one.
#[test]
fn a_relay_without_a_slot_takes_the_next_that_is_free() {
    let world = World::new();
    let (one, two) = (world.relay(1), world.relay(2));
    let builder = world.builder().max_relays(1);
    let options = world.options().local_reserve(0).max_candidates(4);
    let reader = builder.dht(world.dht.connect(), options).build().unwrap();
    let has = |n| reader.is_relay(&id(n));
    for _ in 0..60 {
        reader.run_distribution();
        reader.maintain();
        world.advance(secs(1));
    }
    assert!(has(1) != has(2), "one place");
    let (held, waiting) = if has(1) { (&one, 2) } else { (&two, 1) };
    held.registry.unregister(&id(3 - waiting));
    for _ in 0..3_600 {
        held.work();
        reader.run_distribution();
        reader.maintain();
        if has(waiting) {
            return;
        }
        world.advance(secs(1));
    }
    panic!("not within an hour");
}

/// One registry publishes its relay, and the other learns it.
fn meet<D: RelayDht + 'static>(world: &World, engine: impl Fn() -> D) {
    let build = |options| world.builder().dht(engine(), options).build().unwrap();
    let relay = build(world.options().key(key(1)));
    relay.register(id(1), home(1)).unwrap();
    let reader = build(world.options());
    for _ in 0..600 {
        relay.run_distribution();
        reader.run_distribution();
        if reader.is_relay(&id(1)) {
            return;
        }
        world.advance(secs(1));
    }
    panic!("not within ten minutes");
}

#[test]
fn relays_are_found_over_a_raw_store() {
    let world = World::new();
    let raw = RawMemory::new(8);
    let engine = || Kad::new(raw.clone(), Network::default()).with_clock(world.wall.clone());
    assert_eq!(engine().raw().nodes(), 8);
    meet(&world, engine);
}

/// The record of each listed relay is requested.
#[test]
fn a_directory_of_names_is_as_good_as_one_of_records() {
    let world = World::new();
    meet(&world, || NamesOnly(world.dht.connect()));
}

/// A remote relay that was replaced by a local one publishes a new record, and is admitted once that has left.
#[test]
fn a_relay_that_finds_the_registry_full_enters_when_there_is_room() {
    let world = World::new();
    let options = world.options().local_reserve(0);
    let builder = world.builder().max_relays(1);
    let reader = builder.dht(world.dht.connect(), options).build().unwrap();
    let has = |n| reader.is_relay(&id(n));
    reader.offer_record(&world.says(1, "5.6.1.1:1")).unwrap();
    reader.run_distribution();
    assert!(has(1));
    reader.register(id(9), home(9)).unwrap();
    world.advance(secs(1));
    reader.offer_record(&world.says(1, "5.6.1.1:1")).unwrap();
    assert!(!has(1) && has(9));
    assert_eq!(reader.stats().dht.unwrap().candidates, 1);
    assert!(reader.unregister(&id(9)));
    for _ in 0..3_600 {
        reader.run_distribution();
        reader.maintain();
        if has(1) {
            return;
        }
        world.advance(secs(1));
    }
    panic!("not within an hour");
}

/// A clock of the embedder's that breaks for a while.
#[test]
fn a_panicking_clock_is_contained_and_counted() {
    struct Breaking(ManualClock, Arc<AtomicBool>);
    impl Clock for Breaking {
        fn now(&self) -> Duration {
            assert!(!self.1.load(Ordering::Relaxed), "a broken clock");
            self.0.now()
        }
    }
    let world = World::new();
    let _relay = world.relay(1);
    let is_broken = Arc::new(AtomicBool::new(false));
    let wall = Breaking(world.wall.clone(), Arc::clone(&is_broken));
    let node = world.node_of(world.builder().wall_clock(wall), world.options());
    is_broken.store(true, Ordering::Relaxed);
    world.advance(secs(120));
    node.work();
    assert!(
        node.stats().panics > 0 && !node.knows(1),
        "{:?}",
        node.stats()
    );
    is_broken.store(false, Ordering::Relaxed);
    until(&world, &[&node], || node.knows(1));
}

#[test]
fn an_engine_without_a_directory_says_so() {
    let limits = Limits::new(1_000, 1, secs(3_600), 0);
    let dht = Memory::builder().limits(limits).build();
    assert!(format!("{dht:?}").starts_with("Memory"));
    assert!(format!("{:?}", dht.faults()).starts_with("Faults"));
    struct Plain(Memory);
    impl RelayDht for Plain {
        fn limits(&self) -> Limits {
            self.0.limits()
        }
        fn put(&self, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
            self.0.put(record, deadline)
        }
        fn get(
            &self,
            node: &NodeId,
            newer_than: Option<u64>,
            deadline: Instant,
            sink: &mut CandidateSink<'_>,
        ) -> Result<Answer, DhtError> {
            self.0.get(node, newer_than, deadline, sink)
        }
    }
    let world = World::new();
    let (announced, withdrawn) = (world.says(1, "5.6.1.1:1"), world.withdraws(1));
    let plain = Plain(dht);
    let soon = Instant::now() + secs(60);
    let is_unsupported = |error| matches!(error, DhtError::Unsupported { .. });
    assert!(is_unsupported(plain.join(0, &announced, soon).unwrap_err()));
    assert!(is_unsupported(
        plain.leave(0, &withdrawn, soon).unwrap_err()
    ));
    let members = plain.members(0, soon, &mut |_| ControlFlow::Continue(()));
    assert!(is_unsupported(members.unwrap_err()));
    plain.put(&announced, soon).unwrap();
    let mut heard = 0;
    let answer = plain.get(&id(1), None, soon, &mut |candidate: Candidate<'_>| {
        heard += usize::from(candidate.verify(&id(1), &Network::default()).is_ok());
        let wrong = candidate.verify(&id(2), &Network::default()).unwrap_err();
        assert!(matches!(&wrong, CandidateError::WrongNode { node, .. } if *node == id(1)));
        assert!(wrong.source().is_none() && wrong.to_string().contains(&id(1).to_string()));
        let invalid = candidate.verify(&id(1), &Network::new(b"other").unwrap());
        let invalid = invalid.unwrap_err();
        assert!(invalid.source().is_some() && invalid.to_string().contains("valid"));
        ControlFlow::Continue(())
    });
    assert_eq!(answer.unwrap().coverage(), Coverage::Complete);
    assert_eq!(heard, 1);
}

/// With an engine or without.
#[test]
fn a_wait_that_is_over_is_a_miss() {
    let world = World::new();
    let options = FindOptions::new();
    for registry in [world.reader().registry, Registry::new()] {
        let longest = Duration::from_micros(1);
        let missed = registry.find_relay_wait(&non_relay(), &options, longest);
        assert!(missed.is_err());
    }
}

#[test]
fn refusals_say_what_is_wrong() {
    let refused = |options: DhtOptions, local: u8| {
        let builder = Registry::builder().local_id(id(local));
        let error = builder.dht(Memory::new(), options).build().unwrap_err();
        error.source().expect("a source").to_string()
    };
    let too_many = refused(DhtOptions::new().worker_threads(65), 1);
    assert_eq!(too_many, "worker_threads is 65, not 0 to 64");
    let too_long = refused(DhtOptions::new().negative_cache_ttl(Duration::MAX), 1);
    assert!(too_long.starts_with("negative_cache_ttl is "), "{too_long}");
    let other = refused(DhtOptions::new().key(key(2)), 1);
    assert!(other.contains(&id(2).to_string()), "{other}");

    let world = World::new();
    let reader = world.reader().registry;
    let withdrawn = world.withdraws(1);
    let unlearned = Registry::new().offer_record(&withdrawn).unwrap_err();
    assert_eq!(unlearned.to_string(), "the registry does not learn relays");
    let private = reader
        .offer_record(&world.says(1, "10.0.0.1:1"))
        .unwrap_err();
    assert!(private.to_string().contains("public"), "{private}");
}

//! Engines that fail, panic and return false records.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use relay_registry::dht::{
    Answer, CandidateSink, DhtError, DhtOptions, DhtOptionsError, Faults, Lie, Limits, MemberSink,
    Memory, ProbeError, Put, RejectReason, RelayDht, SignedRecord,
};
use relay_registry::{BuildError, FindOptions, NodeId, Registry};

use crate::world::{Node, World, home, id, key, non_relay, secs, until};

#[test]
fn a_failing_engine_is_left_alone_and_used_again_when_it_works() {
    let world = World::new();
    let node = world.node(1);
    node.dht
        .set_faults(Faults::new().fail(DhtError::Unreachable));
    node.registry.register(id(1), home(1)).unwrap();
    for _ in 0..120 {
        node.work();
        world.advance(secs(1));
    }
    let stats = node.stats();
    assert!(stats.pending && !stats.published && stats.breaker_open);
    assert!((5..60).contains(&stats.engine_failures), "{stats:?}");
    node.dht.set_faults(Faults::new());
    until(&world, &[&node], || node.stats().published);
    assert!(!node.stats().breaker_open);
}

/// Takes no writes while it is full, as a store without memory or a replica does.
struct Full(Memory, Arc<AtomicBool>);

impl Full {
    fn check(&self) -> Result<(), DhtError> {
        match self.1.load(Ordering::Relaxed) {
            true => Err(DhtError::unavailable("OOM command not allowed")),
            false => Ok(()),
        }
    }
}

impl RelayDht for Full {
    fn limits(&self) -> Limits {
        self.0.limits()
    }

    fn put(&self, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        self.check()?;
        self.0.put(record, deadline)
    }

    fn join(&self, shard: u16, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        self.check()?;
        self.0.join(shard, record, deadline)
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

    fn members(
        &self,
        shard: u16,
        deadline: Instant,
        sink: &mut MemberSink<'_>,
    ) -> Result<Answer, DhtError> {
        self.0.members(shard, deadline, sink)
    }
}

/// The breaker would stop the reads, too, which the engine serves.
#[test]
fn an_engine_that_takes_no_writes_is_read_and_gets_them_later() {
    let world = World::new();
    let is_full = Arc::new(AtomicBool::new(true));
    let engine = Full(world.dht.connect(), Arc::clone(&is_full));
    let builder = world.builder().dht(engine, world.options().key(key(1)));
    let node = Node {
        registry: builder.build().unwrap(),
        dht: world.dht.connect(),
    };
    node.registry.register(id(1), home(1)).unwrap();
    for _ in 0..60 {
        node.work();
        world.advance(secs(1));
        assert!(!node.stats().breaker_open);
    }
    let _other = world.relay(2);
    until(&world, &[&node], || node.knows(2));
    let stats = node.stats();
    assert!(stats.pending && !stats.published && !stats.breaker_open);
    // It is asked again after a back-off, not each second.
    assert!((5..60).contains(&stats.engine_failures), "{stats:?}");
    is_full.store(false, Ordering::Relaxed);
    until(&world, &[&node], || node.stats().published);
}

/// As a server that loads its data.
#[test]
fn an_engine_that_can_do_nothing_now_is_asked_after_a_back_off() {
    let world = World::new();
    let _other = world.relay(2);
    let node = world.node(1);
    let loading = DhtError::unavailable("LOADING the dataset");
    node.dht.set_faults(Faults::new().fail(loading));
    node.registry.register(id(1), home(1)).unwrap();
    for _ in 0..300 {
        node.work();
        world.advance(secs(1));
    }
    let stats = node.stats();
    assert!(!stats.published && !stats.breaker_open);
    // Eight shards and the record, each asked for some ten times.
    assert!((9..300).contains(&stats.engine_failures), "{stats:?}");
    node.dht.set_faults(Faults::new());
    until(&world, &[&node], || node.stats().published && node.knows(2));
}

/// As a server does that has another password. It answers, so no request pauses; an operator has to
/// see it all the same.
#[test]
fn an_engine_that_rejects_all_is_told_from_one_that_works() {
    let world = World::new();
    let _other = world.relay(2);
    let node = world.node(1);
    let wrong = DhtError::rejected("WRONGPASS: the password is wrong");
    node.dht.set_faults(Faults::new().fail(wrong.clone()));
    node.registry.register(id(1), home(1)).unwrap();
    assert_eq!(node.registry.last_engine_error(), None);
    for _ in 0..300 {
        node.work();
        world.advance(secs(1));
    }
    let stats = node.stats();
    assert!(stats.pending && !stats.published, "{stats:?}");
    // Eight shards and the record, each asked for some ten times.
    assert!((9..300).contains(&stats.engine_failures), "{stats:?}");
    assert_eq!((stats.sweeps, stats.learned), (0, 0));
    assert_eq!(node.registry.last_engine_error(), Some(wrong.clone()));
    node.dht.set_faults(Faults::new());
    until(&world, &[&node], || node.stats().published && node.knows(2));
    assert!(!node.stats().pending && node.stats().sweeps > 0);
    assert_eq!(node.registry.last_engine_error(), Some(wrong));
}

#[test]
fn an_engine_that_cannot_watch_although_it_says_so_is_a_failure() {
    let world = World::new();
    let limits = world.dht.limits().watching();
    let engine = Full(Memory::builder().limits(limits).build(), Arc::default());
    let builder = world.builder().dht(engine, world.options());
    let registry = builder.build().unwrap();
    registry.run_distribution();
    assert!(matches!(
        registry.last_engine_error(),
        Some(DhtError::Unsupported { .. })
    ));
}

#[test]
fn a_panicking_engine_is_contained_counted_and_used_again() {
    let world = World::new();
    let other = world.relay(2);
    let node = world.node(1);
    node.dht.set_faults(Faults::new().panic());
    node.registry.register(id(1), home(1)).unwrap();
    for _ in 0..60 {
        node.work();
        world.advance(secs(1));
    }
    assert!(node.stats().panics >= 5 && node.knows(1));
    node.dht.set_faults(Faults::new());
    until(&world, &[&node, &other], || {
        node.stats().published && node.knows(2)
    });
}

#[test]
fn a_panicking_probe_is_a_failed_one() {
    let world = World::new();
    let _relay = world.relay(1);
    let node = world.node_with(world.options().probe(
        |_: &_, _: &_, _| -> Result<_, relay_registry::dht::ProbeError> { panic!("a bad probe") },
    ));
    node.work();
    let stats = node.stats();
    assert_eq!(
        (stats.panics, stats.failed_probes, stats.learned),
        (1, 1, 0)
    );
}

/// It is repeated, as a request without any answer is.
#[test]
fn a_relay_that_would_not_serve_may_later() {
    let world = World::new();
    let _relay = world.relay(1);
    let refusals = AtomicU32::new(1);
    let node = world.node_with(world.options().probe(move |_: &_, _: &_, _| {
        let refuses = refusals.swap(0, Ordering::Relaxed) > 0;
        if refuses {
            Err(ProbeError::Refused)
        } else {
            Ok(Duration::from_millis(1))
        }
    }));
    node.work();
    assert_eq!((node.stats().failed_probes, node.stats().learned), (1, 0));
    until(&world, &[&node], || node.knows(1));
}

/// An engine that is asked for its limits while the registry is built.
#[test]
fn an_engine_that_panics_at_once_is_not_built_with() {
    struct Broken;
    impl RelayDht for Broken {
        fn limits(&self) -> Limits {
            panic!("no limits")
        }
        fn put(&self, _: &SignedRecord, _: Instant) -> Result<Put, DhtError> {
            Err(DhtError::Closed)
        }
        fn get(
            &self,
            _: &NodeId,
            _: Option<u64>,
            _: Instant,
            _: &mut CandidateSink<'_>,
        ) -> Result<Answer, DhtError> {
            Err(DhtError::Closed)
        }
    }
    let built = Registry::builder().dht(Broken, DhtOptions::new()).build();
    assert!(matches!(
        built.err(),
        Some(BuildError::InvalidDht(DhtOptionsError::EnginePanicked))
    ));
}

#[test]
fn a_partition_is_not_an_absence() {
    let world = World::new();
    let _relay = world.relay(1);
    let reader = world.reader();
    reader.dht.set_faults(Faults::new().partition(0..0));
    assert!(reader.registry.request_record(&id(1)));
    for _ in 0..10 {
        reader.work();
        world.advance(secs(1));
    }
    assert!(!reader.knows(1));
    assert_eq!(reader.stats().absent, 0);
    reader.dht.set_faults(Faults::new());
    assert!(
        reader.registry.request_record(&id(1)),
        "it may be there after all"
    );
    until(&world, &[&reader], || reader.knows(1));
}

#[test]
fn an_absence_is_remembered_for_a_while() {
    let world = World::new();
    let reader = world.reader();
    assert!(reader.registry.request_record(&id(1)));
    reader.work();
    assert_eq!(reader.stats().absent, 1);
    assert!(!reader.registry.request_record(&id(1)));
    world.advance(secs(30));
    assert!(reader.registry.request_record(&id(1)));
}

#[test]
fn no_lie_becomes_a_relay() {
    for lie in [Lie::Garbage, Lie::Forged, Lie::Foreign, Lie::Nothing] {
        let world = World::with_shards(1);
        let relays = [world.relay(1), world.relay(2)];
        let reader = world.reader();
        reader.dht.set_faults(Faults::new().lie(lie, 1.0));
        for _ in 0..20 {
            reader.registry.request_record(&id(1));
            reader.work();
            world.advance(secs(30));
        }
        assert_eq!(reader.registry.relays(), [], "{lie:?}");
        assert_eq!(reader.stats().accepted, 0);
        let refused = reader.stats().refused(RejectReason::Invalid)
            + reader.stats().refused(RejectReason::WrongNode);
        assert_eq!(refused > 0, lie != Lie::Nothing, "{lie:?}");
        reader.dht.set_faults(Faults::new());
        let nodes = [&relays[0], &relays[1], &reader];
        relays.iter().zip(1..).for_each(|(relay, n)| {
            relay.registry.register(id(n), home(n)).unwrap();
        });
        until(&world, &nodes, || reader.knows(1) && reader.knows(2));
    }
}

#[test]
fn a_flood_ends_the_read_and_not_the_reader() {
    let world = World::new();
    let _relay = world.relay(1);
    let options = world.options().request_deadline(secs(3_600));
    let reader = world.node_with(options);
    reader.dht.set_faults(Faults::new().lie(Lie::Flood, 1.0));
    reader.work(); // returns long before the deadline, or never
    let stats = reader.stats();
    assert!(stats.refused(RejectReason::Invalid) >= 64 && stats.learned == 0);
}

#[test]
fn storage_nodes_of_which_half_lie_hide_no_relay() {
    let world = World::new();
    let relays: Vec<_> = (1..=5).map(|n| world.relay(n)).collect();
    let reader = world.reader();
    reader
        .dht
        .set_faults(Faults::new().lie(Lie::Forged, 0.5).stale(0.2).loss(0.2));
    let nodes: Vec<_> = relays.iter().chain([&reader]).collect();
    until(&world, &nodes, || reader.registry.relay_count() == 5);
}

#[test]
fn stale_answers_do_not_replace_newer_ones() {
    let world = World::new();
    let relay = world.relay(1);
    let reader = world.reader();
    let moved: relay_registry::Endpoint = "5.6.1.2:1".parse().unwrap();
    relay.registry.register(id(1), moved.clone()).unwrap();
    until(&world, &[&relay, &reader], || {
        let known = reader.registry.relay(&id(1));
        known.is_some_and(|known| known.endpoint() == &moved)
    });
    reader.dht.set_faults(Faults::new().stale(1.0));
    for _ in 0..10 {
        reader.registry.request_record(&id(1));
        reader.work();
        world.advance(secs(20));
        let known = reader.registry.relay(&id(1));
        assert!(known.is_none_or(|known| known.endpoint() == &moved));
    }
    assert!(reader.stats().refused(RejectReason::Replayed) > 0);
}

#[test]
fn a_clock_that_went_back_does_not_silence_a_relay() {
    let world = World::new();
    let first = world.relay(1);
    let said = first.registry.own_record().unwrap().sequence();
    drop(first);
    // The process starts anew, four minutes in the past.
    let behind = relay_registry::ManualClock::new();
    behind.advance(crate::world::EPOCH - secs(240));
    let again = world.node_of(
        world.builder().wall_clock(behind),
        world.options().key(crate::world::key(1)),
    );
    again.registry.register(id(1), home(1)).unwrap();
    until(&world, &[&again], || again.stats().published);
    assert!(again.registry.own_record().unwrap().sequence() > said);
}

#[test]
fn a_panicking_waker_is_contained_and_counted() {
    struct Panicking;
    impl Wake for Panicking {
        fn wake(self: Arc<Self>) {
            panic!("a bad waker");
        }
    }
    let world = World::new();
    let _relay = world.relay(1);
    let node = world.reader();
    let (target, options) = (non_relay(), FindOptions::new());
    let mut search = pin!(node.registry.find_relay_async(&target, &options));
    let waker = Waker::from(Arc::new(Panicking));
    let polled = search.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    node.registry.run_distribution();
    assert_eq!(node.stats().panics, 1);
    node.work();
    assert!(node.knows(1));
    let polled = search.poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_ready());
}

//! `close` of a registry with a DHT: the relay is withdrawn, and nothing is published or learned
//! afterwards.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use relay_registry::dht::{
    Answer, CandidateSink, DhtError, DhtOptions, Limits, MemberSink, Memory, Network, ProbeError,
    Put, RejectReason, RelayDht, SignedRecord,
};
use relay_registry::{Endpoint, NodeId, Registry};

use crate::world::{RTT, World, home, id, key, non_relay, secs};

/// The newest record that the network has of a relay.
fn stored(dht: &Memory, n: u8) -> Option<SignedRecord> {
    let mut last = None;
    dht.get(&id(n), None, Instant::now() + secs(60), &mut |candidate| {
        last = candidate.verify(&id(n), &Network::default()).ok();
        ControlFlow::Continue(())
    })
    .unwrap();
    last
}

fn options() -> DhtOptions {
    DhtOptions::new()
        .key(key(1))
        .debounce(Duration::ZERO)
        .shutdown_timeout(secs(60))
        .probe(|_: &NodeId, _: &Endpoint, _| Ok(RTT))
}

/// An engine that closes a registry in each call, before it does what it should.
#[derive(Clone)]
struct Closing {
    dht: Memory,
    registry: Arc<Mutex<Option<Registry>>>,
    closed: Arc<AtomicUsize>,
}

impl Closing {
    fn new(dht: &Memory) -> Self {
        Self {
            dht: dht.connect(),
            registry: Arc::default(),
            closed: Arc::default(),
        }
    }

    fn set(&self, registry: Option<&Registry>) {
        *self.registry.lock().unwrap() = registry.cloned();
    }

    fn close(&self) {
        let registry = self.registry.lock().unwrap().clone();
        if let Some(registry) = registry {
            registry.close();
            self.closed.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl RelayDht for Closing {
    fn limits(&self) -> Limits {
        self.dht.limits()
    }

    fn put(&self, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        self.close();
        self.dht.put(record, deadline)
    }

    fn get(
        &self,
        node: &NodeId,
        newer_than: Option<u64>,
        deadline: Instant,
        sink: &mut CandidateSink<'_>,
    ) -> Result<Answer, DhtError> {
        self.close();
        self.dht.get(node, newer_than, deadline, sink)
    }

    fn join(&self, shard: u16, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        self.dht.join(shard, record, deadline)
    }

    fn leave(&self, shard: u16, gone: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        self.dht.leave(shard, gone, deadline)
    }

    fn members(
        &self,
        shard: u16,
        deadline: Instant,
        sink: &mut MemberSink<'_>,
    ) -> Result<Answer, DhtError> {
        self.dht.members(shard, deadline, sink)
    }
}

#[test]
fn closing_withdraws_the_relay_and_nothing_is_published_afterwards() {
    let dht = Memory::new();
    let registry = Registry::builder()
        .dht(dht.connect(), options())
        .build()
        .unwrap();
    registry.register(id(1), home(1)).unwrap();
    while registry.own_record().is_none() {
        std::thread::yield_now();
    }
    let other = registry.clone();
    registry.close();
    assert!(stored(&dht, 1).unwrap().is_tombstone());
    assert_eq!(registry.own_record(), None);
    assert!(!registry.stats().dht.unwrap().published);

    let withdrawn = stored(&dht, 1).unwrap();
    other.register(id(1), home(2)).unwrap();
    other.unregister(&id(1));
    other.register(id(1), home(3)).unwrap();
    assert!(other.find_relay(&non_relay()).is_err(), "it is this node");
    other.close();
    assert_eq!(other.run_distribution(), 0);
    drop(registry);
    drop(other);
    assert_eq!(stored(&dht, 1), Some(withdrawn));
}

#[test]
fn without_threads_closing_withdraws_the_relay_on_this_one() {
    let world = World::new();
    let node = world.relay(1);
    assert!(!stored(&node.dht, 1).unwrap().is_tombstone());
    node.registry.close();
    let withdrawn = stored(&node.dht, 1).unwrap();
    assert!(withdrawn.is_tombstone());

    node.registry.register(id(1), home(9)).unwrap();
    world.advance(secs(3_600));
    assert_eq!(node.registry.run_distribution(), 0);
    assert_eq!(stored(&node.dht, 1), Some(withdrawn));
}

#[test]
fn a_closed_registry_learns_nothing_and_learned_relays_expire() {
    let world = World::new();
    let (_relay, reader) = (world.relay(1), world.reader());
    crate::world::until(&world, &[&reader], || reader.knows(1));
    reader.registry.close();
    assert!(reader.knows(1));
    assert_eq!(reader.finds(), Some(id(1)));

    let record = world.says(2, "5.6.2.1:4433");
    let refused = reader.registry.offer_record(&record);
    assert_eq!(refused, Err(RejectReason::NotLearning));
    assert!(!reader.registry.request_record(&id(2)));
    let _other = world.relay(3);
    world.advance(secs(3_600));
    assert_eq!(reader.registry.run_distribution(), 0, "not even a sweep");
    assert!(!reader.knows(1), "it has expired");
    assert!(!reader.knows(3));
    assert_eq!(reader.finds(), None);
}

#[test]
fn an_engine_that_closes_its_registry_holds_up_nothing() {
    for _ in 0..20 {
        let dht = Memory::new();
        let engine = Closing::new(&dht);
        let registry = Registry::builder()
            .dht(engine.clone(), options())
            .build()
            .unwrap();
        engine.set(Some(&registry));
        registry.register(id(1), home(1)).unwrap();
        while engine.closed.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        registry.close();
        let stored = stored(&dht, 1);
        assert!(stored.is_none_or(|record| record.is_tombstone()));
        engine.set(None);
    }
}

#[test]
fn an_engine_may_close_its_registry_inside_run_distribution() {
    let world = World::new();
    let engine = Closing::new(&world.dht);
    let registry = world
        .builder()
        .dht(engine.clone(), world.options().key(key(1)))
        .build()
        .unwrap();
    registry.register(id(1), home(1)).unwrap();
    registry.run_distribution();
    world.advance(secs(1));
    engine.set(Some(&registry));
    registry.run_distribution();
    assert!(engine.closed.load(Ordering::SeqCst) >= 1);
    engine.set(None);
    assert!(stored(&world.dht, 1).unwrap().is_tombstone());
    assert_eq!(registry.run_distribution(), 0);
}

#[test]
fn a_probe_that_closes_its_registry_holds_up_nothing() {
    let world = World::new();
    let _relay = world.relay(2);
    let closes: Arc<Mutex<Option<Registry>>> = Arc::default();
    let probing = Arc::clone(&closes);
    let options = world.options().worker_threads(1);
    let options = options.probe(move |_: &NodeId, _: &Endpoint, _| {
        let registry = probing.lock().unwrap().clone();
        registry.inspect(Registry::close);
        Err(ProbeError::Unreachable)
    });
    let registry = world.builder().dht(world.dht.connect(), options);
    let registry = registry.build().unwrap();
    *closes.lock().unwrap() = Some(registry.clone());
    while registry.stats().dht.unwrap().failed_probes == 0 {
        std::thread::yield_now();
        world.advance(secs(1));
    }
    registry.close();
    *closes.lock().unwrap() = None;
    assert!(!registry.is_relay(&id(2)));
}

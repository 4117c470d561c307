//! Registries on one network, with a manual clock.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use relay_registry::dht::{
    Announcement, Answer, CandidateSink, DhtError, DhtOptions, DhtStats, Limits, MAX_VALUE_LEN,
    Member, MemberSink, Memory, Network, ProbeError, Put, RelayDht, RelayRecord, SecretKey,
    SignedRecord, next_sequence,
};
use relay_registry::{
    Endpoint, FindOptions, Maintenance, ManualClock, NodeId, Registry, RegistryBuilder,
};

pub const EPOCH: Duration = Duration::from_secs(1_800_000_000);
pub const RTT: Duration = Duration::from_millis(20);
pub const TTL: Duration = Duration::from_secs(1_800);

pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn key(n: u8) -> SecretKey {
    SecretKey::from_seed([n; 32])
}

pub fn id(n: u8) -> NodeId {
    key(n).node_id()
}

/// An address that shares no prefix with another node's.
pub fn home(n: u8) -> Endpoint {
    format!("5.6.{n}.1:4433").parse().unwrap()
}

pub fn non_relay() -> NodeId {
    NodeId::from([0xee; 32])
}

/// A directory that lists its members without their records.
pub struct NamesOnly(pub Memory);

impl RelayDht for NamesOnly {
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

    fn join(&self, shard: u16, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        self.0.join(shard, record, deadline)
    }

    fn leave(&self, shard: u16, gone: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        self.0.leave(shard, gone, deadline)
    }

    fn members(
        &self,
        shard: u16,
        deadline: Instant,
        sink: &mut MemberSink<'_>,
    ) -> Result<Answer, DhtError> {
        self.0.members(shard, deadline, &mut |member: Member<'_>| {
            sink(Member {
                record: None,
                ..member
            })
        })
    }
}

/// One network and one clock, with the relays that do not work.
pub struct World {
    pub dht: Memory,
    pub clock: ManualClock,
    pub wall: ManualClock,
    pub broken: Arc<Mutex<BTreeSet<NodeId>>>,
    pub probed: Arc<Mutex<Vec<NodeId>>>,
}

/// One registry with its connection to the network.
pub struct Node {
    pub registry: Registry,
    pub dht: Memory,
}

impl World {
    pub fn new() -> Self {
        Self::with_shards(8)
    }

    pub fn with_shards(shards: u16) -> Self {
        let limits = Limits::new(MAX_VALUE_LEN, 16, secs(3_600), shards);
        let (clock, wall) = (ManualClock::new(), ManualClock::new());
        wall.advance(EPOCH);
        Self {
            dht: Memory::builder()
                .clock(clock.clone())
                .limits(limits)
                .build(),
            clock,
            wall,
            broken: Arc::default(),
            probed: Arc::default(),
        }
    }

    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.wall.advance(by);
    }

    /// Options without threads, with a probe that succeeds for relays that work.
    pub fn options(&self) -> DhtOptions {
        let (broken, probed) = (Arc::clone(&self.broken), Arc::clone(&self.probed));
        DhtOptions::new()
            .worker_threads(0)
            .seed(1)
            .probe(move |relay: &NodeId, _: &Endpoint, _| {
                probed.lock().unwrap().push(*relay);
                if broken.lock().unwrap().contains(relay) {
                    Err(ProbeError::Unreachable)
                } else {
                    Ok(RTT)
                }
            })
    }

    pub fn builder(&self) -> RegistryBuilder {
        Registry::builder()
            .maintenance(Maintenance::Manual)
            .clock(self.clock.clone())
            .wall_clock(self.wall.clone())
    }

    pub fn node_with(&self, options: DhtOptions) -> Node {
        self.node_of(self.builder(), options)
    }

    /// A node whose registry has these settings.
    pub fn node_of(&self, builder: RegistryBuilder, options: DhtOptions) -> Node {
        let dht = self.dht.connect();
        let registry = builder.dht(dht.clone(), options).build().unwrap();
        Node { registry, dht }
    }

    /// A node that publishes and learns.
    pub fn node(&self, n: u8) -> Node {
        self.node_with(self.options().key(key(n)))
    }

    /// A node that only learns.
    pub fn reader(&self) -> Node {
        self.node_with(self.options())
    }

    /// A node whose relay is registered and published.
    pub fn relay(&self, n: u8) -> Node {
        let node = self.node(n);
        node.registry.register(id(n), home(n)).unwrap();
        node.work();
        self.advance(secs(1));
        node.work();
        assert!(node.stats().published && !node.stats().pending);
        node
    }

    /// The record that node `n` would publish now.
    pub fn says(&self, n: u8, endpoint: &str) -> SignedRecord {
        let announcement = Announcement::new(endpoint.parse().unwrap(), 10).unwrap();
        self.says_all(n, announcement)
    }

    pub fn says_all(&self, n: u8, announcement: Announcement) -> SignedRecord {
        let now = relay_registry::Clock::now(&self.wall);
        let record =
            RelayRecord::announce(announcement, next_sequence(None, now), now, TTL).unwrap();
        SignedRecord::sign(&record, &key(n), &Network::default()).unwrap()
    }

    pub fn withdraws(&self, n: u8) -> SignedRecord {
        let now = relay_registry::Clock::now(&self.wall);
        let (sequence, network) = (next_sequence(None, now), Network::default());
        SignedRecord::tombstone(sequence, now, TTL, &key(n), &network).unwrap()
    }

    pub fn breaks(&self, n: u8) {
        self.broken.lock().unwrap().insert(id(n));
    }
}

impl Node {
    /// Does all work that is due.
    pub fn work(&self) {
        self.registry.run_distribution();
        self.registry.maintain();
    }

    pub fn knows(&self, n: u8) -> bool {
        self.registry.is_relay(&id(n))
    }

    pub fn finds(&self) -> Option<NodeId> {
        let found = self
            .registry
            .find_relay_with(&non_relay(), &FindOptions::new());
        found.ok().map(|relay| relay.node_id())
    }

    pub fn stats(&self) -> DhtStats {
        self.registry.stats().dht.unwrap()
    }
}

/// Works and lets time pass until `is_done`, for an hour at most.
pub fn until(world: &World, nodes: &[&Node], is_done: impl Fn() -> bool) -> Duration {
    for second in 0..3_600 {
        nodes.iter().for_each(|node| node.work());
        if is_done() {
            return secs(second);
        }
        world.advance(secs(1));
    }
    panic!("not within an hour");
}

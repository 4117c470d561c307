//! [`Simulation`]: the relays, and the storage nodes that keep their directory.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::dht::engine::{
    Answer, Candidate, DhtError, Faults, Limits, Memory, Put, RawKad, RawMemory, RelayDht,
    ShardPath, ValueSink,
};
use crate::dht::publisher::{Placement, Upkeep};
use crate::dht::record::{
    Announcement, Network, RelayRecord, SecretKey, SignedRecord, next_sequence,
};
use crate::relay::NodeId;
use crate::sync::Arc;
use crate::time::{Clock, ManualClock};

pub(super) const REFRESH: Duration = Duration::from_secs(3_600);

/// Longer than a simulation: what ends is the directory's business here.
const TTL: Duration = Duration::from_secs(86_400);

const WALL: Duration = Duration::from_secs(1_800_000_000);

/// A refresh of all relays is spread over so many moments.
const SLICES: usize = 60;

struct Relay {
    record: SignedRecord,
    placement: Placement,
    dht: Arc<dyn RelayDht>,
}

pub(super) struct Simulation {
    storage: Memory,
    /// How relays and newcomers reach the storage nodes.
    dht: Arc<dyn RelayDht>,
    clock: ManualClock,
    relays: Vec<Relay>,
    records: BTreeMap<NodeId, Vec<u8>>,
    noise: u32,
    next_seed: u32,
    random: Rng,
    requests: RefCell<BTreeMap<ShardPath, u32>>,
}

impl Simulation {
    pub(super) fn new(capacity: usize) -> Self {
        let clock = ManualClock::new();
        let limits = Limits::new(900, 4, REFRESH, 8).dividing(16);
        let dht = Memory::builder()
            .nodes(3)
            .members(capacity)
            .limits(limits)
            .clock(clock.clone())
            .build();
        Self {
            dht: Arc::new(dht.clone()),
            storage: dht,
            clock,
            relays: Vec::new(),
            records: BTreeMap::new(),
            noise: 0,
            next_seed: 1,
            random: Rng::with_seed(7),
            requests: RefCell::default(),
        }
    }

    /// Relays that are added from now on, and newcomers, use another engine.
    pub(super) fn set_engine(&mut self, dht: impl RelayDht) {
        self.dht = Arc::new(dht);
    }

    pub(super) fn clock(&self) -> ManualClock {
        self.clock.clone()
    }

    pub(super) fn dht(&self) -> &dyn RelayDht {
        &*self.dht
    }

    pub(super) fn set_faults(&mut self, faults: &Faults) {
        self.storage.set_faults(faults.clone());
    }

    /// One storage node loses all that it has.
    pub(super) fn forget_a_node(&mut self) {
        let node = self.random.usize(..self.storage.nodes());
        self.storage.stop(node..node + 1);
        self.storage.start(node..node + 1);
    }

    /// Adds relays, which join one after the other.
    pub(super) fn add(&mut self, relays: u32) {
        for _ in 0..relays {
            let record = record(self.next_seed);
            self.next_seed += 1;
            self.records.insert(record.node_id(), record.encode());
            let dht = Arc::clone(&self.dht);
            let placement = Placement::new(dht.limits(), &record.node_id());
            self.relays.push(Relay {
                record,
                placement,
                dht,
            });
            self.refresh_relay(self.relays.len() - 1);
        }
    }

    /// Removes all relays but some. They do not leave: they are not refreshed.
    pub(super) fn keep(&mut self, relays: usize) {
        self.random.shuffle(&mut self.relays);
        self.relays.truncate(relays);
    }

    /// Lets a refresh interval pass, in which each relay joins again.
    pub(super) fn refresh(&mut self) {
        let mut order: Vec<usize> = (0..self.relays.len()).collect();
        self.random.shuffle(&mut order);
        let slice = order.len().div_ceil(SLICES).max(1);
        let mut slices = order.chunks(slice);
        for _ in 0..SLICES {
            self.clock.advance(REFRESH / SLICES as u32);
            for relay in slices.next().unwrap_or_default() {
                self.refresh_relay(*relay);
            }
        }
    }

    /// What a publisher does with a new record, once it is stored.
    fn refresh_relay(&mut self, index: usize) {
        let now = self.clock.now();
        let mut placement = self.relays[index].placement.clone();
        placement.begin(REFRESH * 2, now);
        while let Some(path) = placement.path() {
            placement.attempt(now);
            match self.join(path, index) {
                Ok(put) => {
                    placement.joined(&put, true, now, &mut self.random);
                    break;
                }
                Err(DhtError::Full { .. }) if placement.move_on() => {}
                Err(_) => break,
            }
        }
        while let Some(upkeep) = placement.upkeep() {
            let outcome = match upkeep {
                Upkeep::Climb(path) => self.join(path, index),
                Upkeep::Divide(path) => self.mark(path, index),
            };
            match (upkeep, outcome) {
                (Upkeep::Climb(_), Ok(put)) => placement.climbed(&put, now, &mut self.random),
                _ => placement.upkeep_ended(),
            }
        }
        self.relays[index].placement = placement;
    }

    fn join(&self, path: ShardPath, relay: usize) -> Result<Put, DhtError> {
        self.count_request(path);
        let relay = &self.relays[relay];
        relay.dht.join_at(path, &relay.record, far())
    }

    fn mark(&self, path: ShardPath, relay: usize) -> Result<Put, DhtError> {
        self.count_request(path);
        self.relays[relay].dht.divide(path, far())
    }

    /// A node that is not a relay marks a shard as divided.
    pub(super) fn divide(&self, path: ShardPath) {
        self.dht.divide(path, far()).expect("it is marked");
    }

    /// Signed records without relays fill a shard.
    pub(super) fn fill_with_noise(&mut self, path: ShardPath) {
        loop {
            self.noise += 1;
            let noise = record(u32::MAX - self.noise);
            if self.dht.join_at(path, &noise, far()).is_err() {
                return;
            }
        }
    }

    /// Whether a record is that of a relay here, so that it need not be verified.
    pub(super) fn is_genuine(&self, node: &NodeId, record: &Candidate<'_>) -> bool {
        let known = self.records.get(node);
        matches!(record, Candidate::Encoded(bytes) if known.is_some_and(|known| &known[..] == *bytes))
    }

    pub(super) fn count_request(&self, path: ShardPath) {
        *self.requests.borrow_mut().entry(path).or_default() += 1;
    }

    pub(super) fn forget_requests(&self) {
        self.requests.borrow_mut().clear();
    }

    /// By depth, the mean number of requests of its shards.
    pub(super) fn requests_per_shard(&self) -> BTreeMap<u8, f64> {
        let mut by_depth: BTreeMap<u8, (u32, u32)> = BTreeMap::new();
        for (path, requests) in &*self.requests.borrow() {
            let (shards, sum) = by_depth.entry(path.depth()).or_default();
            *shards += 1;
            *sum += requests;
        }
        let mean = |(depth, (shards, sum))| (depth, f64::from(sum) / f64::from(shards));
        by_depth.into_iter().map(mean).collect()
    }

    pub(super) fn relays(&self) -> BTreeSet<NodeId> {
        self.in_order_of_age().into_iter().collect()
    }

    pub(super) fn in_order_of_age(&self) -> Vec<NodeId> {
        let ids = self.relays.iter().map(|relay| relay.record.node_id());
        ids.collect()
    }

    /// The shards that relays are in.
    pub(super) fn shards(&self) -> BTreeSet<ShardPath> {
        let paths = self
            .relays
            .iter()
            .filter_map(|relay| relay.placement.path());
        paths.collect()
    }

    pub(super) fn mean_depth(&self) -> f64 {
        let depths = self
            .relays
            .iter()
            .filter_map(|relay| relay.placement.path());
        let sum: u32 = depths.map(|path| u32::from(path.depth())).sum();
        f64::from(sum) / self.relays.len() as f64
    }
}

/// How many relays are at which depth.
impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut by_depth: BTreeMap<u8, u32> = BTreeMap::new();
        let paths = self
            .relays
            .iter()
            .filter_map(|relay| relay.placement.path());
        paths.for_each(|path| *by_depth.entry(path.depth()).or_default() += 1);
        write!(f, "{by_depth:?}")
    }
}

/// A raw store whose values have room for some 28 records.
#[derive(Clone)]
pub(super) struct ShortLists(pub(super) RawMemory);

impl RawKad for ShortLists {
    fn max_value(&self) -> usize {
        6_000
    }

    fn store(&self, key: [u8; 32], value: &[u8], deadline: Instant) -> Result<Put, DhtError> {
        self.0.store(key, value, deadline)
    }

    fn find_value(
        &self,
        key: [u8; 32],
        deadline: Instant,
        sink: &mut ValueSink<'_>,
    ) -> Result<Answer, DhtError> {
        self.0.find_value(key, deadline, sink)
    }
}

/// The simulated calendar.
pub(super) struct SinceEpoch(pub(super) ManualClock);

impl Clock for SinceEpoch {
    fn now(&self) -> Duration {
        WALL + self.0.now()
    }
}

pub(super) fn far() -> Instant {
    Instant::now() + Duration::from_secs(600)
}

fn record(seed: u32) -> SignedRecord {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&seed.to_be_bytes());
    let key = SecretKey::from_seed(bytes);
    let announcement = Announcement::new("192.0.2.7:4433".parse().unwrap(), 100).unwrap();
    let record = RelayRecord::announce(announcement, next_sequence(None, WALL), WALL, TTL).unwrap();
    SignedRecord::sign(&record, &key, &Network::default()).unwrap()
}

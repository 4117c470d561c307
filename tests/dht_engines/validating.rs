//! `Kad` over storage nodes that check each write by a `KadValidator`.

use relay_registry::dht::{
    Announcement, Answer, DhtError, Kad, KadValidator, Network, Put, RawKad, Reconciled, RelayDht,
    RelayRecord, SecretKey, ShardPath, SignedRecord, ValueSink, conformance,
};
use relay_registry::{Clock, ManualClock, NodeId};
use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const NODES: usize = 3;
const WRITERS: u8 = 16;
const TTL: Duration = Duration::from_secs(600);
const REFRESH: Duration = Duration::from_secs(3_600);

/// Three storage nodes. Clones are handles to the same ones.
#[derive(Clone)]
struct Validating {
    validator: KadValidator,
    max_value: usize,
    /// The time since the Unix epoch.
    now: Arc<dyn Fn() -> Duration + Send + Sync>,
    nodes: Arc<[Mutex<Values>; NODES]>,
}

/// With the times at which they end.
type Values = HashMap<[u8; 32], (Vec<u8>, Duration)>;

impl Validating {
    fn new(validator: KadValidator, max_value: usize) -> Self {
        Self {
            validator: validator.with_max_list_len(max_value),
            max_value,
            now: Arc::new(wall_time),
            nodes: Arc::default(),
        }
    }

    fn with_clock(mut self, clock: &ManualClock) -> Self {
        let clock = clock.clone();
        self.now = Arc::new(move || clock.now());
        self
    }

    /// As if all values of a node were lost.
    fn empty(&self, node: usize) {
        self.nodes[node].lock().unwrap().clear();
    }

    fn value(&self, node: &Mutex<Values>, key: &[u8; 32]) -> Option<Vec<u8>> {
        let values = node.lock().unwrap();
        let value = values.get(key).filter(|(_, ends)| (self.now)() < *ends);
        value.map(|(value, _)| value.clone())
    }
}

impl RawKad for Validating {
    fn max_value(&self) -> usize {
        self.max_value
    }

    fn max_in_flight(&self) -> usize {
        WRITERS.into()
    }

    /// Confirms all writes, as libp2p does.
    fn store(&self, key: [u8; 32], value: &[u8], _: Instant) -> Result<Put, DhtError> {
        for node in self.nodes.iter() {
            // Locked until it is stored: a node takes one write at a time.
            let mut values = node.lock().unwrap();
            let now = (self.now)();
            let stored = values.get(&key).filter(|(_, ends)| now < *ends);
            let stored = stored.map(|(value, _)| value.as_slice());
            let reconciled = self.validator.reconcile(&key, stored, value, now);
            if let Ok(Reconciled::Store {
                value, expires_at, ..
            }) = reconciled
            {
                values.insert(key, (value, expires_at));
            }
        }
        Ok(Put::new(NODES as u32, NODES as u32))
    }

    fn find_value(
        &self,
        key: [u8; 32],
        _: Instant,
        sink: &mut ValueSink<'_>,
    ) -> Result<Answer, DhtError> {
        for node in self.nodes.iter() {
            let value = self.value(node, &key);
            if value.is_some_and(|value| sink(&value).is_break()) {
                return Ok(Answer::partial(3, 3));
            }
        }
        Ok(Answer::complete(3, 3))
    }
}

fn wall_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(120)
}

fn record(seed: u8, issued_at: Duration) -> SignedRecord {
    let announcement = Announcement::new("192.0.2.7:4433".parse().unwrap(), 100).unwrap();
    let sequence = issued_at.as_micros() as u64;
    let record = RelayRecord::announce(announcement, sequence, issued_at, TTL).unwrap();
    let key = SecretKey::from_seed([seed; 32]);
    SignedRecord::sign(&record, &key, &Network::default()).unwrap()
}

fn members(dht: &impl RelayDht, path: ShardPath) -> (BTreeSet<NodeId>, bool) {
    let mut members = BTreeSet::new();
    let answer = dht.members_at(path, soon(), &mut |member| {
        members.insert(member.node);
        ControlFlow::Continue(())
    });
    (members, answer.unwrap().is_divided())
}

/// All members below a shard, and whether it has divided at all.
fn members_below(dht: &impl RelayDht, path: ShardPath) -> (BTreeSet<NodeId>, bool) {
    let (mut found, is_divided) = members(dht, path);
    for child in [false, true].iter().filter(|_| is_divided) {
        found.extend(members_below(dht, path.child(*child).unwrap()).0);
    }
    (found, is_divided)
}

#[test]
fn kad_over_validating_nodes_conforms() {
    let network = Network::new(b"validating").unwrap();
    let raw = Validating::new(KadValidator::new(network, 8), 1 << 16);
    conformance::check(|| Kad::new(raw.clone(), network), &network);
}

#[test]
fn kad_over_validating_nodes_that_divides_once_conforms() {
    let network = Network::default();
    let validator = KadValidator::new(network, 1).with_max_depth(1);
    let raw = Validating::new(validator, 1 << 16);
    let make = || {
        Kad::new(raw.clone(), network)
            .with_shards(1)
            .with_max_depth(1)
    };
    conformance::check(make, &network);
}

#[test]
fn kad_over_validating_nodes_that_does_not_divide_conforms() {
    let network = Network::default();
    let raw = Validating::new(KadValidator::new(network, 8).with_max_depth(0), 1 << 16);
    conformance::check(
        || Kad::new(raw.clone(), network).with_max_depth(0),
        &network,
    );
}

/// Each writer has an engine of its own, as in a process of its own.
#[test]
fn a_race_of_writers_loses_no_entry() {
    let raw = Validating::new(KadValidator::new(Network::default(), 1), 1 << 16);
    let engine = || Kad::new(raw.clone(), Network::default()).with_shards(1);
    let now = wall_time();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let dht = engine();
            scope.spawn(move || {
                let joined = dht.join(0, &record(writer, now), soon());
                assert!(joined.is_ok(), "{joined:?}");
            });
        }
    });
    let expected: BTreeSet<_> = (0..WRITERS)
        .map(|writer| record(writer, now).node_id())
        .collect();
    assert_eq!(members(&engine(), ShardPath::root(0)).0, expected);
}

/// Relays go down by the hashes of their ids, as registries do, until a shard has room.
#[test]
fn a_directory_of_validating_nodes_divides() {
    let raw = Validating::new(KadValidator::new(Network::default(), 1), 1_400);
    let engine = || Kad::new(raw.clone(), Network::default()).with_shards(1);
    let now = wall_time();
    let mut expected = BTreeSet::new();
    let mut deepest = 0;
    for seed in 0..100 {
        let (dht, record) = (engine(), record(seed, now));
        let shard_of = |depth| ShardPath::of(&record.node_id(), &dht.limits(), depth).unwrap();
        let has_room = |depth: &u8| match dht.join_at(shard_of(*depth), &record, soon()) {
            Ok(_) => true,
            Err(DhtError::Full { .. }) => false,
            Err(error) => panic!("{error}"),
        };
        let depth = (0..=dht.limits().max_depth).find(has_room);
        deepest = deepest.max(depth.expect("some shard has room"));
        expected.insert(record.node_id());
    }
    assert!(deepest >= 3, "it divided {deepest} times");
    assert_eq!(members_below(&engine(), ShardPath::root(0)).0, expected);
}

/// Without this, the relays below a shard would be lost when the last storage node that knew of
/// its mark is gone: nodes that are new take no mark without a record.
#[test]
fn a_mark_that_is_renewed_reaches_new_storage_nodes_after_all_entries_beside_it_ended() {
    let clock = ManualClock::new();
    clock.advance(Duration::from_secs(1_800_000_000));
    let raw = Validating::new(KadValidator::new(Network::default(), 1), 1 << 16).with_clock(&clock);
    let engine = || {
        let dht = Kad::new(raw.clone(), Network::default()).with_shards(1);
        dht.with_clock(clock.clone())
    };
    let (dht, first) = (engine(), record(1, clock.now()));
    let shard_of = |depth| ShardPath::of(&first.node_id(), &dht.limits(), depth).unwrap();
    let (path, child) = (shard_of(1), shard_of(2));
    dht.join_at(path, &first, soon()).unwrap();
    dht.divide(path, soon()).unwrap();

    clock.advance(REFRESH);
    assert_eq!(members(&engine(), path), (BTreeSet::new(), true));
    let second = record(1, clock.now());
    dht.join_at(child, &second, soon()).unwrap();
    raw.empty(0);
    dht.divide(path, soon()).unwrap();
    (1..NODES).for_each(|node| raw.empty(node));
    assert!(members(&engine(), path).1, "the mark is lost");
}

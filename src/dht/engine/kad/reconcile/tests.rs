use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::*;
use crate::dht::engine::kad::{Kad, RawKad, ValueSink};
use crate::dht::engine::{Answer, DhtError, Put, RelayDht};
use crate::dht::record::{Announcement, RelayRecord, SecretKey};
use crate::sync::Arc;
use crate::sync::unmodelled::{Mutex, thread};

const NOW: Duration = Duration::from_secs(1_800_000_000);
const TTL: Duration = Duration::from_secs(600);
const WRITERS: u8 = 16;

fn validator() -> KadValidator {
    KadValidator::new(Network::default(), 4)
}

fn key(seed: u16) -> SecretKey {
    let mut bytes = [9; 32];
    bytes[..2].copy_from_slice(&seed.to_be_bytes());
    SecretKey::from_seed(bytes)
}

fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}

fn record(seed: u16, issued_at: Duration) -> SignedRecord {
    let announcement = Announcement::new("192.0.2.7:4433".parse().unwrap(), 100).unwrap();
    let record = RelayRecord::announce(announcement, micros(issued_at), issued_at, TTL).unwrap();
    SignedRecord::sign(&record, &key(seed), &Network::default()).unwrap()
}

fn tombstone(seed: u16, issued_at: Duration) -> SignedRecord {
    let network = Network::default();
    SignedRecord::tombstone(micros(issued_at), issued_at, TTL, &key(seed), &network).unwrap()
}

fn list(records: &[SignedRecord]) -> Vec<u8> {
    let mut list = List::default();
    for record in records {
        list.entries.insert(record.node_id(), record.clone());
    }
    list.bytes()
}

/// A record that is valid but for its signature.
fn forged(seed: u16) -> Vec<u8> {
    let mut bytes = record(seed, NOW).encode();
    let signature = 41..105;
    bytes[signature][0] ^= 1;
    bytes
}

fn list_of_encoded(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    for entry in entries {
        bytes.extend_from_slice(&(entry.len() as u16).to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    bytes
}

fn stored(result: Result<Reconciled, ReconcileError>) -> Vec<u8> {
    match result {
        Ok(Reconciled::Store { value, .. }) => value,
        other => panic!("nothing to store: {other:?}"),
    }
}

#[test]
fn a_record_is_stored_under_its_own_key_and_until_it_ends() {
    let record = record(1, NOW);
    let key = record_key(&record.node_id());
    let reconciled = validator().reconcile(&key, None, &record.encode(), NOW);
    let expected = Reconciled::Store {
        value: record.encode(),
        expires_at: NOW + TTL,
    };
    assert_eq!(reconciled, Ok(expected));

    let node = record.node_id();
    let elsewhere = validator().reconcile(&[7; 32], None, &record.encode(), NOW);
    assert_eq!(elsewhere, Err(ReconcileError::WrongKey { node }));
    let late = validator().reconcile(&key, None, &record.encode(), NOW + TTL);
    assert_eq!(late, Err(ReconcileError::NotCurrent));
    let early = validator().reconcile(&key, None, &record.encode(), NOW - TTL);
    assert_eq!(early, Err(ReconcileError::NotCurrent));
}

#[test]
fn a_newer_record_replaces_an_older_one_and_never_the_reverse() {
    let (old, new) = (record(1, NOW), tombstone(1, NOW + Duration::from_secs(1)));
    let key = record_key(&old.node_id());
    let now = NOW + Duration::from_secs(2);
    let [old, new] = [old, new].map(|record| record.encode());
    let validator = validator();
    let newer = validator.reconcile(&key, Some(&old), &new, now);
    assert_eq!(stored(newer), new);
    for older in [&old, &new] {
        let kept = validator.reconcile(&key, Some(&new), older, now);
        assert_eq!(kept, Ok(Reconciled::Keep));
    }
}

#[test]
fn noise_is_rejected_under_every_key() {
    let list_key = list_key(ShardPath::root(3));
    let validator = validator();
    let not_a_list = validator.reconcile(&list_key, None, b"noise", NOW);
    assert_eq!(not_a_list, Err(ReconcileError::NotAList));
    let forged = validator.reconcile(&record_key(&key(1).node_id()), None, &forged(1), NOW);
    let reason = RecordError::BadSignature;
    assert_eq!(forged, Err(ReconcileError::InvalidRecord(reason)));
    let too_long = validator.reconcile(&[7; 32], None, &[1; 901], NOW);
    let expected = ReconcileError::TooLarge { len: 901, max: 900 };
    assert_eq!(too_long, Err(expected));
}

#[test]
fn the_list_of_a_shard_that_does_not_exist_is_rejected() {
    let list = list(&[record(1, NOW)]);
    assert!(
        validator()
            .reconcile(&list_key(ShardPath::root(3)), None, &list, NOW)
            .is_ok()
    );
    let rejected = validator().reconcile(&list_key(ShardPath::root(4)), None, &list, NOW);
    assert!(matches!(rejected, Err(ReconcileError::InvalidRecord(_))));
}

#[test]
fn lists_are_merged_in_any_order_to_the_same_list() {
    let later = NOW + Duration::from_secs(1);
    let one = list(&[record(1, NOW), record(2, NOW)]);
    let other = list(&[tombstone(1, later), record(3, NOW)]);
    let merged = |stored_list: &[u8], incoming: &[u8]| {
        stored(validator().reconcile(
            &list_key(ShardPath::root(0)),
            Some(stored_list),
            incoming,
            later,
        ))
    };
    let expected = list(&[tombstone(1, later), record(2, NOW), record(3, NOW)]);
    assert_eq!(merged(&one, &other), expected);
    assert_eq!(merged(&other, &one), expected);
    let again = validator().reconcile(&list_key(ShardPath::root(0)), Some(&expected), &one, later);
    assert_eq!(again, Ok(Reconciled::Keep));
}

#[test]
fn an_entry_is_dropped_when_its_record_ends() {
    let later = NOW + TTL;
    let (old, new) = (list(&[record(1, NOW)]), list(&[record(2, later)]));
    let merged = validator().reconcile(&list_key(ShardPath::root(0)), Some(&old), &new, later);
    assert_eq!(stored(merged), new);
}

#[test]
fn a_full_list_keeps_its_announcements_and_drops_the_oldest_tombstones() {
    let later = NOW + Duration::from_secs(1);
    let full = list(&[record(1, NOW), tombstone(2, NOW), tombstone(3, later)]);
    let validator = validator().with_max_list_len(full.len() + 20);
    let reconcile = |stored_list: &[u8], incoming| {
        validator.reconcile(
            &list_key(ShardPath::root(0)),
            Some(stored_list),
            incoming,
            later,
        )
    };
    let joined = stored(reconcile(&full, &list(&[record(4, NOW)])));
    assert!(joined.len() <= full.len() + 20);
    let newest = &list(&[record(1, NOW), tombstone(3, later), record(4, NOW)]);
    let announcements = &list(&[record(1, NOW), record(4, NOW)]);
    assert!(joined == *newest || joined == *announcements);

    let small = KadValidator::new(Network::default(), 4).with_max_list_len(announcements.len());
    let crowded = list(&[record(5, later), record(6, later)]);
    let kept = small.reconcile(
        &list_key(ShardPath::root(0)),
        Some(announcements),
        &crowded,
        later,
    );
    assert_eq!(kept, Ok(Reconciled::Keep), "there is no room");
    let renewed = stored(small.reconcile(
        &list_key(ShardPath::root(0)),
        Some(announcements),
        &list(&[record(4, later)]),
        later,
    ));
    assert_eq!(renewed, list(&[record(1, NOW), record(4, later)]));
}

#[test]
fn a_list_of_noise_costs_a_bounded_number_of_checks() {
    let validator = validator();
    let noise: Vec<_> = (0..600).map(forged).collect();
    let mut merge = Merge::of_stored(&[], &validator, NOW);
    merge.add(&list_of_encoded(&noise)[1..]);
    assert_eq!(merge.checks, MAX_INVALID + 1);
    assert_eq!(merge.finish(), Reconciled::Keep);
}

#[test]
fn a_long_valid_list_is_taken_in_several_writes_and_known_entries_cost_nothing() {
    let validator = validator();
    let records: Vec<_> = (0..600).map(|seed| record(seed, NOW)).collect();
    let long = list(&records);
    let mut first = Merge::of_stored(&[], &validator, NOW);
    first.add(&long[1..]);
    assert_eq!(first.checks, MAX_CHECKS);
    let part = stored(Ok(first.finish()));

    let mut second = Merge::of_stored(&part, &validator, NOW);
    second.add(&long[1..]);
    assert_eq!(second.checks, records.len() - MAX_CHECKS);
    assert_eq!(stored(Ok(second.finish())), long);
}

/// Storage nodes that each pass a write through the validator.
#[derive(Clone)]
struct Validating {
    validator: KadValidator,
    nodes: Arc<[Mutex<HashMap<[u8; 32], Vec<u8>>>; 3]>,
}

impl RawKad for Validating {
    fn max_value(&self) -> usize {
        1 << 16
    }

    fn max_in_flight(&self) -> usize {
        WRITERS.into()
    }

    fn store(&self, key: [u8; 32], value: &[u8], _: Instant) -> Result<Put, DhtError> {
        for node in self.nodes.iter() {
            let mut values = node.lock();
            let stored = values.get(&key).map(Vec::as_slice);
            if let Ok(Reconciled::Store { value, .. }) =
                self.validator.reconcile(&key, stored, value, wall_time())
            {
                values.insert(key, value);
            }
        }
        Ok(Put::new(3, 3))
    }

    fn find_value(
        &self,
        key: [u8; 32],
        _: Instant,
        sink: &mut ValueSink<'_>,
    ) -> Result<Answer, DhtError> {
        for node in self.nodes.iter() {
            let value = node.lock().get(&key).cloned();
            if value.is_some_and(|value| sink(&value) == ControlFlow::Break(())) {
                return Ok(Answer::partial(3, 3));
            }
        }
        Ok(Answer::complete(3, 3))
    }
}

fn wall_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// Each writer has an engine of its own: a process of its own.
#[test]
fn a_race_of_writers_loses_no_entry() {
    let raw = Validating {
        validator: validator(),
        nodes: Arc::default(),
    };
    let deadline = Instant::now() + Duration::from_secs(120);
    let issued_at = wall_time();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let dht = Kad::new(raw.clone(), Network::default()).with_shards(4);
            scope.spawn(move || {
                let joined = dht.join(1, &record(writer.into(), issued_at), deadline);
                assert!(joined.is_ok(), "{joined:?}");
            });
        }
    });
    let expected: Vec<_> = (0..WRITERS)
        .map(|writer| record(writer.into(), issued_at))
        .collect();
    for node in raw.nodes.iter() {
        assert_eq!(
            node.lock().get(&list_key(ShardPath::root(1))),
            Some(&list(&expected))
        );
    }
}

use super::*;
use crate::dht::engine::kad::entry::{MARK_LEN, empty};
use crate::dht::record::{Announcement, RelayRecord, SecretKey};

mod divided;

const NOW: Duration = Duration::from_secs(1_800_000_000);
const TTL: Duration = Duration::from_secs(600);

/// All relays may be in any shard.
const LIMITS: Limits = Limits::new(900, 8, Duration::from_secs(3_600), 1);

/// All relays belong to it.
const ROOT: ShardPath = ShardPath::root(0);

fn validator() -> KadValidator {
    KadValidator::new(Network::default(), 1)
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
    list_at(ROOT, None, records)
}

fn list_at(path: ShardPath, mark: Option<Duration>, records: &[SignedRecord]) -> Vec<u8> {
    let mut list = List::new(path, LIMITS);
    list.divided_at = mark.map(|at| at.as_secs() as u32);
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
    let mut bytes = empty();
    for entry in entries {
        Entry::Record(entry).push_to(&mut bytes);
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
    let list_key = list_key(ROOT);
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
    let validator = KadValidator::new(Network::default(), 4);
    let list = list(&[record(1, NOW)]);
    let reconcile =
        |shard| validator.reconcile(&list_key(ShardPath::root(shard)), None, &list, NOW);
    assert!(reconcile(3).is_ok());
    let rejected = reconcile(4);
    assert!(matches!(rejected, Err(ReconcileError::InvalidRecord(_))));
}

#[test]
fn lists_are_merged_in_any_order_to_the_same_list() {
    let later = NOW + Duration::from_secs(1);
    let one = list(&[record(1, NOW), record(2, NOW)]);
    let other = list(&[tombstone(1, later), record(3, NOW)]);
    let merged = |stored_list: &[u8], incoming: &[u8]| {
        stored(validator().reconcile(&list_key(ROOT), Some(stored_list), incoming, later))
    };
    let expected = list(&[tombstone(1, later), record(2, NOW), record(3, NOW)]);
    assert_eq!(merged(&one, &other), expected);
    assert_eq!(merged(&other, &one), expected);
    let again = validator().reconcile(&list_key(ROOT), Some(&expected), &one, later);
    assert_eq!(again, Ok(Reconciled::Keep));
}

#[test]
fn an_entry_is_dropped_when_its_record_ends() {
    let later = NOW + TTL;
    let (old, new) = (list(&[record(1, NOW)]), list(&[record(2, later)]));
    let merged = validator().reconcile(&list_key(ROOT), Some(&old), &new, later);
    assert_eq!(stored(merged), new);
}

#[test]
fn a_full_list_keeps_its_announcements_and_drops_the_oldest_tombstones() {
    let later = NOW + Duration::from_secs(1);
    let full = list(&[record(1, NOW), tombstone(2, NOW), tombstone(3, later)]);
    let validator = validator().with_max_list_len(full.len() + 20);
    let reconcile = |stored_list: &[u8], incoming| {
        validator.reconcile(&list_key(ROOT), Some(stored_list), incoming, later)
    };
    let joined = stored(reconcile(&full, &list(&[record(4, NOW)])));
    assert!(joined.len() <= full.len() + 20);
    let newest = &list(&[record(1, NOW), tombstone(3, later), record(4, NOW)]);
    let announcements = &list(&[record(1, NOW), record(4, NOW)]);
    assert!(joined == *newest || joined == *announcements);

    let small =
        KadValidator::new(Network::default(), 1).with_max_list_len(announcements.len() + MARK_LEN);
    let crowded = list(&[record(5, later), record(6, later)]);
    let kept = small.reconcile(&list_key(ROOT), Some(announcements), &crowded, later);
    assert_eq!(kept, Ok(Reconciled::Keep), "there is no room");
    let renewed = stored(small.reconcile(
        &list_key(ROOT),
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
    let mut merge = Merge::of_stored(ROOT, &[], &validator, NOW);
    merge.add(&list_of_encoded(&noise));
    assert_eq!(merge.checks, MAX_INVALID + 1);
    assert_eq!(merge.finish(), Reconciled::Keep);
}

#[test]
fn a_long_valid_list_is_taken_in_several_writes_and_known_entries_cost_nothing() {
    let validator = validator();
    let records: Vec<_> = (0..600).map(|seed| record(seed, NOW)).collect();
    let long = list(&records);
    let mut first = Merge::of_stored(ROOT, &[], &validator, NOW);
    first.add(&long);
    assert_eq!(first.checks, MAX_CHECKS);
    let part = stored(Ok(first.finish()));

    let mut second = Merge::of_stored(ROOT, &part, &validator, NOW);
    second.add(&long);
    assert_eq!(second.checks, records.len() - MAX_CHECKS);
    assert_eq!(stored(Ok(second.finish())), long);
}

#[test]
fn a_record_that_does_not_fit_removes_no_withdrawal() {
    let (gone, stays) = (tombstone(1, NOW), record(2, NOW));
    let stored_list = list(&[gone.clone(), stays.clone()]);
    let longer = [record(3, NOW), record(4, NOW), record(5, NOW)];
    let max = stored_list.len() + MARK_LEN + 1;
    let validator = validator().with_max_list_len(max);
    // It has room for neither, nor would it if the tombstone went.
    assert!(entry_len(&longer[0]) > entry_len(&gone) + 1);
    let result = validator.reconcile(
        &list_key(ROOT),
        Some(&stored_list),
        &list(&longer[..1]),
        NOW,
    );
    assert_eq!(result, Ok(Reconciled::Keep));
}

use super::*;
use crate::dht::record::{Announcement, RelayRecord, SecretKey};

const NOW: Duration = Duration::from_secs(1_800_000_000);
const TTL: Duration = Duration::from_secs(600);
const AMPLE: usize = 100_000;
const PATH: ShardPath = ShardPath::root(0);
/// All relays may be in any shard.
const LIMITS: Limits = Limits::new(900, 8, Duration::from_secs(3_600), 1);

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}

fn announcement(seed: u8, issued_at: Duration) -> SignedRecord {
    let endpoint = "192.0.2.7:4433".parse().expect("an endpoint");
    let announcement = Announcement::new(endpoint, 100).expect("an announcement");
    let record =
        RelayRecord::announce(announcement, micros(issued_at), issued_at, TTL).expect("a record");
    SignedRecord::sign(&record, &key(seed), &Network::default()).expect("it is signed")
}

fn tombstone(seed: u8, issued_at: Duration) -> SignedRecord {
    SignedRecord::tombstone(
        micros(issued_at),
        issued_at,
        TTL,
        &key(seed),
        &Network::default(),
    )
    .expect("it is signed")
}

fn list_of(records: &[SignedRecord]) -> Vec<u8> {
    let mut list = List::new(PATH, LIMITS);
    for record in records {
        list.set_own(record).expect("no conflict");
    }
    list.bytes()
}

fn merged(lists: &[&[u8]], now: Duration) -> List {
    let mut merged = List::new(PATH, LIMITS);
    for list in lists {
        merged.merge(list, &Network::default(), now, |_| ());
    }
    merged
}

#[test]
fn merging_in_any_order_gives_the_same_list() {
    let later = NOW + Duration::from_secs(1);
    let a = list_of(&[announcement(1, NOW), announcement(2, NOW)]);
    let b = list_of(&[tombstone(1, later), announcement(3, NOW)]);
    let forwards = merged(&[&a, &b], later);
    let backwards = merged(&[&b, &a, &a], later);
    assert_eq!(forwards.bytes(), backwards.bytes());
    assert!(forwards.contains(&tombstone(1, later)));
    assert!(forwards.contains(&announcement(2, NOW)) && forwards.contains(&announcement(3, NOW)));
}

#[test]
fn an_entry_is_valid_while_its_record_is() {
    let list = list_of(&[announcement(1, NOW)]);
    assert!(merged(&[&list], NOW).contains(&announcement(1, NOW)));
    assert!(!merged(&[&list], NOW + TTL).contains(&announcement(1, NOW)));
    assert!(
        !merged(&[&list], NOW - MAX_SKEW - Duration::from_secs(1)).contains(&announcement(1, NOW)),
        "it was issued in the future"
    );
}

#[test]
fn a_flipped_bit_loses_entries_and_adds_none() {
    let records = [
        announcement(1, NOW),
        announcement(2, NOW),
        announcement(3, NOW),
    ];
    let list = list_of(&records);
    for at in (0..list.len()).step_by(13) {
        let mut damaged = list.clone();
        damaged[at] ^= 0x10;
        let read = merged(&[&damaged], NOW);
        assert!(read.entries.len() <= 2, "byte {at} had no effect");
        assert!(read.entries.values().all(|entry| records.contains(entry)));
        assert!(merged(&[&list[..at]], NOW).entries.len() <= 2);
    }
}

#[test]
fn a_list_is_ignored_after_too_many_invalid_entries() {
    let good = list_of(&[announcement(1, NOW)]);
    for (invalid, is_read) in [(MAX_INVALID, true), (MAX_INVALID + 1, false)] {
        let mut list = entry::empty();
        (0..invalid).for_each(|_| list.extend_from_slice(&[0, 1, 0xff]));
        list.extend_from_slice(&good[1..]);
        assert_eq!(
            merged(&[&list], NOW).contains(&announcement(1, NOW)),
            is_read
        );
    }
}

#[test]
fn an_older_record_and_a_second_one_with_the_same_sequence_are_rejected() {
    let later = NOW + Duration::from_secs(1);
    let mut list = merged(&[&list_of(&[tombstone(1, later)])], later);
    assert_eq!(
        list.set_own(&announcement(1, NOW)),
        Err(DhtError::Superseded {
            stored: Some(micros(later))
        })
    );
    assert_eq!(
        list.set_own(&announcement(1, later)),
        Err(DhtError::Conflict)
    );
    assert!(list.contains(&tombstone(1, later)));
}

#[test]
fn a_mark_lasts_and_the_latest_one_is_kept() {
    let mut early = List::new(PATH, LIMITS);
    early.divide(NOW);
    let mut late = List::new(PATH, LIMITS);
    late.divide(NOW + TTL);
    late.set_own(&announcement(1, NOW)).expect("no conflict");
    assert_eq!(late.bytes().len(), late.encoded_len());
    let future = NOW + TTL;
    for lists in [[early.bytes(), late.bytes()], [late.bytes(), early.bytes()]] {
        let [a, b] = &lists;
        let read = merged(&[a, b], future);
        assert!(read.is_divided_within(TTL, NOW + TTL * 2 - Duration::from_secs(1)));
        assert!(!read.is_divided_within(TTL, NOW + TTL * 2));
        let before = merged(&[a, b], NOW);
        assert!(before.is_divided_within(TTL, NOW));
        assert!(
            !before.is_divided_within(TTL, NOW + TTL),
            "a mark of the future counts"
        );
    }
    assert!(!List::new(PATH, LIMITS).is_divided_within(Duration::MAX, NOW));
}

#[test]
fn a_full_list_drops_tombstones_and_no_announcement() {
    let own = announcement(9, NOW);
    let mut list = merged(&[&list_of(&[announcement(1, NOW), tombstone(2, NOW)])], NOW);
    let max = list.encoded_len() + 100;
    let bytes = list.with_own(&own, max).expect("no conflict");
    assert!(bytes.expect("it fits").len() <= max);
    assert!(list.contains(&announcement(1, NOW)) && list.contains(&own));
    assert!(!list.contains(&tombstone(2, NOW)));

    let third = announcement(3, NOW);
    assert_eq!(list.with_own(&third, max), Ok(None));
    assert!(!list.contains(&third) && list.contains(&own));
    assert_eq!(list.full(), DhtError::Full { max: 2 });
    assert!(
        list.with_own(&third, AMPLE)
            .is_ok_and(|bytes| bytes.is_some())
    );
}

#[test]
fn a_full_list_has_room_for_a_mark() {
    let mut list = List::new(PATH, LIMITS);
    let max = 2_000;
    let mut seeds = 1..;
    while let Some(bytes) = list
        .with_own(&announcement(seeds.next().expect("a seed"), NOW), max)
        .expect("no conflict")
    {
        assert!(bytes.len() <= max);
    }
    list.divide(NOW);
    assert!(list.bytes().len() <= max);
}

/// The list of a shard below a root, with one relay and a mark.
fn list_at(path: ShardPath) -> Vec<u8> {
    let mut list = List::new(path, LIMITS);
    list.set_own(&announcement(1, NOW)).expect("no conflict");
    list.divide(NOW);
    assert_eq!(list.bytes().len(), list.encoded_len());
    list.bytes()
}

fn child(bit: bool) -> ShardPath {
    PATH.child(bit).expect("a root has children")
}

#[test]
fn a_list_below_a_root_begins_with_its_path_and_a_root_has_none() {
    let list = list_at(child(true));
    let path = [1, 0, 8, 0xd1, 0, 0, 1, 0, 0, 0, 1];
    assert_eq!(list[..path.len()], path);
    assert_eq!([&[1], &list[path.len()..]].concat(), list_at(PATH));
}

#[test]
fn a_list_of_another_shard_is_dropped_with_its_mark() {
    let list = list_at(child(true));
    for (path, is_read) in [(child(true), true), (child(false), false), (PATH, false)] {
        let mut read = List::new(path, LIMITS);
        read.merge(&list, &Network::default(), NOW, |_| ());
        assert_eq!(read.contains(&announcement(1, NOW)), is_read);
        assert_eq!(read.is_divided_within(TTL, NOW), is_read);
    }
    let mut read = List::new(child(true), LIMITS);
    read.merge(&list_at(PATH), &Network::default(), NOW, |_| ());
    assert!(
        read.contains(&announcement(1, NOW)),
        "a list without a path"
    );
}

//! [`List`]: the members of one shard, as whole signed records.
//!
//! A raw store keeps the last write. So if two relays read the same list and write
//! it back, then one of the two entries is lost. Lists can be *merged*, so the relay
//! whose entry was lost merges and writes again:
//!
//! - An entry is a relay's signed record, so a relay can only add itself, and an
//!   entry ends when its record does.
//! - Of two entries of one relay, the one with the higher sequence is kept.
//! - A relay that left has an entry too: its tombstone.
//!
//! Merging lists in any order gives the same list: a last-writer-wins map, as in
//! Shapiro et al., *A comprehensive study of convergent and commutative replicated
//! data types*, 2011. The encoding is:
//!
//! ```text
//! 01 | length (2 bytes, big-endian) | record | length | record | ..
//! ```
//!
//! The list of a shard that has divided has a mark as well, in the place of a record: `d0` and the
//! Unix time in seconds (4 bytes, big-endian) at which it divided, or at which a relay below it
//! renewed the mark. It is not signed. Of two marks the later one is kept.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use crate::dht::engine::DhtError;
use crate::dht::record::{MAX_SKEW, Network, SignedRecord};
use crate::relay::NodeId;

pub(super) const VERSION: u8 = 1;
pub(super) const LENGTH: usize = 2;

/// The first byte of a mark. No record begins with it.
const DIVIDED: u8 = 0xd0;
const MARK_LEN: usize = 5;

/// The number of invalid entries after which the rest of a list is ignored. Each
/// entry may cost the check of a signature.
pub(super) const MAX_INVALID: usize = 64;

/// The entries of one shard. They were verified, and valid at that time.
#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) entries: BTreeMap<NodeId, SignedRecord>,
    /// When the shard divided, in seconds since the Unix epoch.
    divided_at: Option<u32>,
}

impl List {
    /// Merges the entries of an untrusted list that are valid at `now`. Calls
    /// `on_update` for each entry that is new or newer.
    ///
    /// Ignores invalid entries, and the rest of the list after a wrong length or more
    /// than [`MAX_INVALID`] invalid entries.
    pub(super) fn merge(
        &mut self,
        bytes: &[u8],
        network: &Network,
        now: Duration,
        mut on_update: impl FnMut(&SignedRecord),
    ) {
        let Some((&VERSION, mut rest)) = bytes.split_first() else {
            return;
        };
        let mut invalid = 0;
        while let Some((entry, after)) = split_entry(rest) {
            rest = after;
            if let Some(divided_at) = decode_mark(entry) {
                self.merge_mark(divided_at, now);
                continue;
            }
            let Ok(record) = SignedRecord::decode(entry, network) else {
                invalid += 1;
                if invalid > MAX_INVALID {
                    return;
                }
                continue;
            };
            if is_valid(&record, now) && self.insert_if_newer(&record) {
                on_update(&record);
            }
        }
    }

    /// Ignores a mark of the future.
    fn merge_mark(&mut self, divided_at: u32, now: Duration) {
        if Duration::from_secs(divided_at.into()) <= now.saturating_add(MAX_SKEW) {
            self.divided_at = self.divided_at.max(Some(divided_at));
        }
    }

    /// Marks the shard as divided at `now`.
    pub(super) fn divide(&mut self, now: Duration) {
        let now = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
        self.divided_at = self.divided_at.max(Some(now));
    }

    /// Whether the shard was marked as divided less than `age` before `now`.
    pub(super) fn is_divided_within(&self, age: Duration, now: Duration) -> bool {
        let divided_at = self.divided_at.map(|at| Duration::from_secs(at.into()));
        divided_at.is_some_and(|at| now.saturating_sub(at) < age)
    }

    /// The number of entries, and how many of their mean length fit in `max` bytes.
    pub(super) fn fill(&self, max: usize) -> (usize, usize) {
        let entries = self.entries.len();
        (entries, entries.saturating_mul(max) / self.encoded_len())
    }

    /// Inserts `record` unless the entry of its node has the same or a higher rank.
    /// Returns whether it did.
    fn insert_if_newer(&mut self, record: &SignedRecord) -> bool {
        match self.entries.entry(record.node_id()) {
            Entry::Vacant(vacant) => {
                vacant.insert(record.clone());
                true
            }
            Entry::Occupied(mut entry) if rank(entry.get()) < rank(record) => {
                entry.insert(record.clone());
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// The encoding of the list with this node's own `record`, which may be a tombstone. If it
    /// exceeds `max` bytes, then the tombstones of other relays are removed, oldest first. If that
    /// is not enough, then the list is full: the own record is not added, and there is no
    /// encoding.
    pub(super) fn with_own(
        &mut self,
        record: &SignedRecord,
        max: usize,
    ) -> Result<Option<Vec<u8>>, DhtError> {
        let before = self.set_own(record)?;
        let own = record.node_id();
        while self.encoded_len() > max {
            let Some(oldest) = self.oldest_tombstone_but(&own) else {
                self.entries.remove(&own);
                self.entries.extend(before.map(|before| (own, before)));
                return Ok(None);
            };
            self.entries.remove(&oldest);
        }
        Ok(Some(self.bytes()))
    }

    /// Replaces the own entry, and returns the one before.
    fn set_own(&mut self, record: &SignedRecord) -> Result<Option<SignedRecord>, DhtError> {
        match self.entries.get(&record.node_id()) {
            Some(entry) if entry.sequence() > record.sequence() => Err(DhtError::Superseded {
                stored: Some(entry.sequence()),
            }),
            Some(entry) if entry.sequence() == record.sequence() && entry != record => {
                Err(DhtError::Conflict)
            }
            _ => Ok(self.entries.insert(record.node_id(), record.clone())),
        }
    }

    fn oldest_tombstone_but(&self, own: &NodeId) -> Option<NodeId> {
        self.entries
            .iter()
            .filter(|(node, record)| *node != own && record.is_tombstone())
            .min_by_key(|(_, record)| record.record().issued_at())
            .map(|(node, _)| *node)
    }

    /// Whether the entry of the relay is exactly this record.
    pub(super) fn contains(&self, record: &SignedRecord) -> bool {
        self.entries.get(&record.node_id()) == Some(record)
    }

    /// Why a relay was not added.
    pub(super) fn full(&self) -> DhtError {
        DhtError::Full {
            max: self.entries.len(),
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        let mut push = |entry: &[u8]| {
            // The cast is lossless: a record has at most 900 bytes.
            bytes.extend_from_slice(&(entry.len() as u16).to_be_bytes());
            bytes.extend_from_slice(entry);
        };
        if let Some(divided_at) = self.divided_at {
            push(&encode_mark(divided_at));
        }
        self.entries
            .values()
            .for_each(|record| push(&record.encode()));
        bytes
    }

    /// The length of the encoding, with room for a mark.
    fn encoded_len(&self) -> usize {
        let entry_len = |record: &SignedRecord| LENGTH + record.encode().len();
        1 + LENGTH + MARK_LEN + self.entries.values().map(entry_len).sum::<usize>()
    }
}

fn encode_mark(divided_at: u32) -> [u8; MARK_LEN] {
    let [a, b, c, d] = divided_at.to_be_bytes();
    [DIVIDED, a, b, c, d]
}

fn decode_mark(entry: &[u8]) -> Option<u32> {
    match *entry {
        [DIVIDED, a, b, c, d] => Some(u32::from_be_bytes([a, b, c, d])),
        _ => None,
    }
}

/// Of two records of one node, the one with the higher rank is kept. The signature
/// decides only between two records with one sequence, so that all readers keep the
/// same one.
pub(super) fn rank(record: &SignedRecord) -> (u64, &[u8; 64]) {
    (record.sequence(), record.signature())
}

/// Whether a record has not expired, and was not issued in the future.
pub(super) fn is_valid(record: &SignedRecord, now: Duration) -> bool {
    let record = record.record();
    record.issued_at() <= now.saturating_add(MAX_SKEW) && now < record.expires_at()
}

pub(super) fn split_entry(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dht::record::{Announcement, RelayRecord, SecretKey};

    const NOW: Duration = Duration::from_secs(1_800_000_000);
    const TTL: Duration = Duration::from_secs(600);
    const AMPLE: usize = 100_000;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed([seed; 32])
    }

    fn micros(time: Duration) -> u64 {
        time.as_micros() as u64
    }

    fn announcement(seed: u8, issued_at: Duration) -> SignedRecord {
        let endpoint = "192.0.2.7:4433".parse().expect("an endpoint");
        let announcement = Announcement::new(endpoint, 100).expect("an announcement");
        let record = RelayRecord::announce(announcement, micros(issued_at), issued_at, TTL)
            .expect("a record");
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
        let mut list = List::default();
        for record in records {
            list.set_own(record).expect("no conflict");
        }
        list.bytes()
    }

    fn merged(lists: &[&[u8]], now: Duration) -> List {
        let mut merged = List::default();
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
        assert!(
            forwards.contains(&announcement(2, NOW)) && forwards.contains(&announcement(3, NOW))
        );
    }

    #[test]
    fn an_entry_is_valid_while_its_record_is() {
        let list = list_of(&[announcement(1, NOW)]);
        assert!(merged(&[&list], NOW).contains(&announcement(1, NOW)));
        assert!(!merged(&[&list], NOW + TTL).contains(&announcement(1, NOW)));
        assert!(
            !merged(&[&list], NOW - MAX_SKEW - Duration::from_secs(1))
                .contains(&announcement(1, NOW)),
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
            let mut list = vec![VERSION];
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
        let mut early = List::default();
        early.divide(NOW);
        let mut late = List::default();
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
        assert!(!List::default().is_divided_within(Duration::MAX, NOW));
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
        let mut list = List::default();
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
}

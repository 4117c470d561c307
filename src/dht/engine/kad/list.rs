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

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use crate::dht::engine::DhtError;
use crate::dht::record::{MAX_SKEW, Network, SignedRecord};
use crate::relay::NodeId;

pub(super) const VERSION: u8 = 1;
pub(super) const LENGTH: usize = 2;

/// The number of invalid entries after which the rest of a list is ignored. Each
/// entry may cost the check of a signature.
pub(super) const MAX_INVALID: usize = 64;

/// The entries of one shard. They were verified, and valid at that time.
#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) entries: BTreeMap<NodeId, SignedRecord>,
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

    /// Adds this node's own `record`, which may be a tombstone.
    pub(super) fn set_own(&mut self, record: &SignedRecord) -> Result<(), DhtError> {
        match self.entries.get(&record.node_id()) {
            Some(entry) if entry.sequence() > record.sequence() => Err(DhtError::Superseded {
                stored: Some(entry.sequence()),
            }),
            Some(entry) if entry.sequence() == record.sequence() && entry != record => {
                Err(DhtError::Conflict)
            }
            _ => {
                self.entries.insert(record.node_id(), record.clone());
                Ok(())
            }
        }
    }

    /// Whether the entry of the relay is exactly this record.
    pub(super) fn contains(&self, record: &SignedRecord) -> bool {
        self.entries.get(&record.node_id()) == Some(record)
    }

    /// The encoding of the list. If it exceeds `max` bytes, then the tombstones of
    /// other relays are removed, oldest first; if that is not enough, then the list
    /// is [`Full`](DhtError::Full).
    pub(super) fn encode(&mut self, max: usize, own: &NodeId) -> Result<Vec<u8>, DhtError> {
        while self.encoded_len() > max {
            let oldest = self
                .entries
                .iter()
                .filter(|(node, record)| *node != own && record.is_tombstone())
                .min_by_key(|(_, record)| record.record().issued_at())
                .map(|(node, _)| *node);
            let Some(oldest) = oldest else {
                return Err(DhtError::Full {
                    max: self.entries.len().saturating_sub(1),
                });
            };
            self.entries.remove(&oldest);
        }
        Ok(self.bytes())
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        for record in self.entries.values() {
            let entry = record.encode();
            // The cast is lossless: a record has at most 900 bytes.
            bytes.extend_from_slice(&(entry.len() as u16).to_be_bytes());
            bytes.extend_from_slice(&entry);
        }
        bytes
    }

    fn encoded_len(&self) -> usize {
        let entry_len = |record: &SignedRecord| LENGTH + record.encode().len();
        1 + self.entries.values().map(entry_len).sum::<usize>()
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
    fn a_full_list_drops_tombstones_and_no_announcement() {
        let own = announcement(9, NOW);
        let mut list = merged(&[&list_of(&[announcement(1, NOW), tombstone(2, NOW)])], NOW);
        let len = list.encoded_len();
        list.set_own(&own).expect("no conflict");
        let bytes = list.encode(len + 100, &own.node_id()).expect("it fits");
        assert!(bytes.len() <= len + 100);
        assert!(list.contains(&announcement(1, NOW)) && list.contains(&own));
        assert!(!list.contains(&tombstone(2, NOW)));

        list.set_own(&announcement(3, NOW)).expect("no conflict");
        let full = list.encode(len + 100, &announcement(3, NOW).node_id());
        assert_eq!(full, Err(DhtError::Full { max: 2 }));
        assert!(list.encode(AMPLE, &own.node_id()).is_ok());
    }
}

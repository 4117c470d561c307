//! The list of a shard, as it is written: whole signed records.
//!
//! A raw store keeps whatever was written last, so two relays that read the
//! same list and write it back lose one of the two entries. What makes that
//! harmless is that lists can be *merged*: an entry is a relay's signed record,
//! of two entries of one relay that with the higher sequence counts, and a relay
//! that left is an entry too, its tombstone. Any lists merge to the same one in
//! any order (a last-writer-wins map, as in Shapiro et al., *A comprehensive
//! study of convergent and commutative replicated data types*, 2011), so
//! whoever lost merges and writes again. Nobody can enter another's name, and
//! nothing lives longer than its signature says.
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

const VERSION: u8 = 1;
const LENGTH: usize = 2;

/// So many entries that do not verify end the reading of a list: each costs a check
/// of a signature, and other lists are to be read in the same time.
const MAX_DAMAGED: usize = 64;

/// Entries of one shard, verified and in time when they came in.
#[derive(Debug, Default)]
pub(super) struct List {
    entries: BTreeMap<NodeId, SignedRecord>,
}

impl List {
    /// Takes in what is valid `now` in a list that a stranger may have written,
    /// and calls `news` for each entry that was not held before.
    ///
    /// What is damaged is left out; what follows a damaged length, or very much that
    /// is damaged, is lost.
    pub(super) fn merge(
        &mut self,
        bytes: &[u8],
        network: &Network,
        now: Duration,
        mut news: impl FnMut(&SignedRecord),
    ) {
        let Some((&VERSION, mut rest)) = bytes.split_first() else {
            return;
        };
        let mut damaged = 0;
        while let Some((entry, after)) = split_entry(rest) {
            rest = after;
            let Ok(record) = SignedRecord::decode(entry, network) else {
                damaged += 1;
                if damaged > MAX_DAMAGED {
                    return;
                }
                continue;
            };
            if is_valid(&record, now) && self.take(&record) {
                news(&record);
            }
        }
    }

    /// Keeps `record` if it is later than what is held of its node.
    fn take(&mut self, record: &SignedRecord) -> bool {
        match self.entries.entry(record.node_id()) {
            Entry::Vacant(place) => {
                place.insert(record.clone());
                true
            }
            Entry::Occupied(mut held) if rank(held.get()) < rank(record) => {
                held.insert(record.clone());
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// Enters the relay of `record`, or, with a tombstone, takes it out.
    pub(super) fn enter(&mut self, record: &SignedRecord) -> Result<(), DhtError> {
        match self.entries.get(&record.node_id()) {
            Some(held) if held.sequence() > record.sequence() => Err(DhtError::Superseded {
                stored: Some(held.sequence()),
            }),
            Some(held) if held.sequence() == record.sequence() && held != record => {
                Err(DhtError::Conflict)
            }
            _ => {
                self.entries.insert(record.node_id(), record.clone());
                Ok(())
            }
        }
    }

    /// Whether exactly this record is in.
    pub(super) fn holds(&self, record: &SignedRecord) -> bool {
        self.entries.get(&record.node_id()) == Some(record)
    }

    /// The list as it is stored, of at most `max` bytes. Those who left long ago
    /// are forgotten first; a list that is still too long is
    /// [`Full`](DhtError::Full), for nobody else's entry may be dropped.
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

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        for record in self.entries.values() {
            let entry = record.encode();
            // A record has 900 bytes at most.
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

/// Of two records of one node the one with the higher rank counts, on whatever
/// node they meet. Only a node that signs twice makes the signature matter.
fn rank(record: &SignedRecord) -> (u64, &[u8; 64]) {
    (record.sequence(), record.signature())
}

/// Whether a record has neither ended nor been issued in the future.
fn is_valid(record: &SignedRecord, now: Duration) -> bool {
    let record = record.record();
    record.issued_at() <= now.saturating_add(MAX_SKEW) && now < record.expires_at()
}

fn split_entry(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dht::record::{Announcement, RelayRecord, SecretKey};

    const NOW: Duration = Duration::from_secs(1_800_000_000);
    const TTL: Duration = Duration::from_secs(600);
    const ROOM: usize = 100_000;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed([seed; 32])
    }

    fn micros(time: Duration) -> u64 {
        time.as_micros() as u64
    }

    fn live(seed: u8, issued_at: Duration) -> SignedRecord {
        let endpoint = "192.0.2.7:4433".parse().expect("an endpoint");
        let announcement = Announcement::new(endpoint, 100).expect("an announcement");
        let record = RelayRecord::announce(announcement, micros(issued_at), issued_at, TTL)
            .expect("a record");
        SignedRecord::sign(&record, &key(seed), &Network::default()).expect("it is signed")
    }

    fn gone(seed: u8, issued_at: Duration) -> SignedRecord {
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
            list.enter(record).expect("they do not clash");
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
    fn lists_merge_to_the_same_in_any_order() {
        let later = NOW + Duration::from_secs(1);
        let a = list_of(&[live(1, NOW), live(2, NOW)]);
        let b = list_of(&[gone(1, later), live(3, NOW)]);
        let there = merged(&[&a, &b], later);
        let back = merged(&[&b, &a, &a], later);
        assert_eq!(there.bytes(), back.bytes());
        assert!(there.holds(&gone(1, later)));
        assert!(there.holds(&live(2, NOW)) && there.holds(&live(3, NOW)));
    }

    #[test]
    fn an_entry_ends_when_its_signature_says() {
        let list = list_of(&[live(1, NOW)]);
        assert!(merged(&[&list], NOW).holds(&live(1, NOW)));
        assert!(!merged(&[&list], NOW + TTL).holds(&live(1, NOW)));
        assert!(
            !merged(&[&list], NOW - MAX_SKEW - Duration::from_secs(1)).holds(&live(1, NOW)),
            "nor does it begin long before"
        );
    }

    #[test]
    fn damage_loses_what_it_hit_and_invents_nothing() {
        let records = [live(1, NOW), live(2, NOW), live(3, NOW)];
        let list = list_of(&records);
        for at in (0..list.len()).step_by(13) {
            let mut damaged = list.clone();
            damaged[at] ^= 0x10;
            let read = merged(&[&damaged], NOW);
            assert!(read.entries.len() <= 2, "byte {at} counted for nothing");
            assert!(read.entries.values().all(|entry| records.contains(entry)));
            assert!(merged(&[&list[..at]], NOW).entries.len() <= 2);
        }
    }

    #[test]
    fn what_is_all_damage_is_not_read_to_its_end() {
        let good = list_of(&[live(1, NOW)]);
        for (damaged, is_read) in [(MAX_DAMAGED, true), (MAX_DAMAGED + 1, false)] {
            let mut list = vec![VERSION];
            (0..damaged).for_each(|_| list.extend_from_slice(&[0, 1, 0xff]));
            list.extend_from_slice(&good[1..]);
            assert_eq!(merged(&[&list], NOW).holds(&live(1, NOW)), is_read);
        }
    }

    #[test]
    fn an_older_entry_and_a_second_one_are_refused() {
        let later = NOW + Duration::from_secs(1);
        let mut list = merged(&[&list_of(&[gone(1, later)])], later);
        assert_eq!(
            list.enter(&live(1, NOW)),
            Err(DhtError::Superseded {
                stored: Some(micros(later))
            })
        );
        assert_eq!(list.enter(&live(1, later)), Err(DhtError::Conflict));
        assert!(list.holds(&gone(1, later)));
    }

    #[test]
    fn a_full_list_forgets_those_who_left_and_nobody_else() {
        let own = live(9, NOW);
        let mut list = merged(&[&list_of(&[live(1, NOW), gone(2, NOW)])], NOW);
        let room = list.encoded_len();
        list.enter(&own).expect("a newcomer");
        let bytes = list.encode(room + 100, &own.node_id()).expect("it fits");
        assert!(bytes.len() <= room + 100);
        assert!(list.holds(&live(1, NOW)) && list.holds(&own));
        assert!(!list.holds(&gone(2, NOW)));

        list.enter(&live(3, NOW)).expect("a newcomer");
        let refused = list.encode(room + 100, &live(3, NOW).node_id());
        assert_eq!(refused, Err(DhtError::Full { max: 2 }));
        assert!(list.encode(ROOM, &own.node_id()).is_ok());
    }
}

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
//! 01 | length (2 bytes, big-endian) | entry | length | entry | ..
//! ```
//!
//! Besides records there are two other entries. Neither is signed:
//!
//! - `d0 | time (4 bytes)` marks a shard that has divided: the Unix time in seconds at which it
//!   divided, or at which a relay below it renewed the mark. Of two marks the later one is kept.
//! - `d1 | shard (2 bytes) | depth (1 byte) | bits (4 bytes)` is the path of the shard, the first
//!   entry of each list below a root. (A root's list has none, so its bytes are as they were
//!   before shards divided.) A storage node needs it because it cannot tell the path from the key,
//!   which is a hash. A reader drops a list whose path is not the one that it asked for: a copy of
//!   another shard's list says nothing about this shard, and would be merged and written back.
//!
//! All numbers are big-endian. Readers of an earlier version take both for invalid entries, and
//! skip them.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::time::Duration;

use super::entry::{self, EMPTY_LEN, Entry, MARK_LEN, PATH_LEN};
use crate::dht::engine::{DhtError, Limits, ShardPath};
use crate::dht::record::{MAX_SKEW, Network, Parts, SignedRecord, record_len};
use crate::relay::NodeId;

/// The number of invalid entries after which the rest of a list is ignored. Each
/// entry may cost the check of a signature.
pub(super) const MAX_INVALID: usize = 64;

/// The entries of one shard. They were verified, and valid at that time.
#[derive(Debug)]
pub(super) struct List {
    path: ShardPath,
    limits: Limits,
    pub(super) entries: BTreeMap<NodeId, SignedRecord>,
    /// When the shard divided, in seconds since the Unix epoch.
    pub(super) divided_at: Option<u32>,
}

impl List {
    /// The empty list of a shard of a directory with these limits.
    pub(super) fn new(path: ShardPath, limits: Limits) -> Self {
        Self {
            path,
            limits,
            entries: BTreeMap::new(),
            divided_at: None,
        }
    }

    /// Merges the entries of an untrusted list that are valid at `now`. Calls
    /// `on_update` for each entry that is new or newer.
    ///
    /// Ignores a list of another shard, invalid entries, and the rest of the list after a wrong
    /// length or more than [`MAX_INVALID`] invalid entries. Entries of relays of another shard are
    /// invalid: one storage node could fill each list with the same ones.
    pub(super) fn merge(
        &mut self,
        bytes: &[u8],
        network: &Network,
        now: Duration,
        mut on_update: impl FnMut(&SignedRecord),
    ) {
        if !self.is_path_of(bytes) {
            return;
        }
        let mut invalid = 0;
        for entry in entry::entries(bytes) {
            let record = match entry {
                Entry::Path(_) => continue,
                Entry::Mark(divided_at) => {
                    self.merge_mark(divided_at, now);
                    continue;
                }
                Entry::Record(record) => record,
            };
            let Some(record) = self.decode(record, network) else {
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

    /// The record of an entry, if it is valid, and of a relay of this shard.
    fn decode(&self, entry: &[u8], network: &Network) -> Option<SignedRecord> {
        let parts = Parts::split(entry).ok()?;
        if !self.belongs(&NodeId::from(*parts.public_key)) {
            return None;
        }
        SignedRecord::decode(entry, network).ok()
    }

    /// Whether a relay belongs to the shard. If shards do not divide, then it may be in any, as
    /// its own may be full.
    pub(super) fn belongs(&self, node: &NodeId) -> bool {
        self.limits.max_depth == 0 || self.path.is_of(node, &self.limits)
    }

    /// Whether an untrusted list names no path, or this one.
    fn is_path_of(&self, bytes: &[u8]) -> bool {
        entry::path_of(bytes).is_none_or(|path| path == self.path.to_bytes())
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
            btree_map::Entry::Vacant(vacant) => {
                vacant.insert(record.clone());
                true
            }
            btree_map::Entry::Occupied(mut entry) if rank(entry.get()) < rank(record) => {
                entry.insert(record.clone());
                true
            }
            btree_map::Entry::Occupied(_) => false,
        }
    }

    /// The encoding of the list with this node's own `record`, which may be a tombstone. If it
    /// exceeds `max` bytes, then the tombstones of other relays are removed, oldest first. If that
    /// is not enough, then the list is full: the own record is not added, nothing is removed, and
    /// there is no encoding.
    pub(super) fn with_own(
        &mut self,
        record: &SignedRecord,
        max: usize,
    ) -> Result<Option<Vec<u8>>, DhtError> {
        let before = self.set_own(record)?;
        let own = record.node_id();
        let excess = self.encoded_len().saturating_sub(max);
        if self.make_room(excess, &own).is_none() {
            self.entries.remove(&own);
            self.entries.extend(before.map(|before| (own, before)));
            return Ok(None);
        }
        Ok(Some(self.bytes()))
    }

    /// Removes the oldest tombstones of relays other than `except`, of at least so many bytes.
    /// Returns of how many; none, and removes nothing, if there are not enough.
    pub(super) fn make_room(&mut self, bytes: usize, except: &NodeId) -> Option<usize> {
        self.remove_oldest(bytes, |node, record| {
            node != except && record.is_tombstone()
        })
    }

    /// Removes entries until the encoding has at most `max` bytes: tombstones first, then the
    /// oldest. Together, the lists of several storage nodes may have more than fit, and storage
    /// nodes reject a longer value.
    pub(super) fn cut_to(&mut self, max: usize) {
        let excess = self.encoded_len().saturating_sub(max);
        if self.remove_oldest(excess, |_, _| true).is_none() {
            self.entries.clear();
        }
    }

    /// Removes entries of at least so many bytes, of those that may be removed: tombstones first,
    /// then the oldest. Returns of how many; none, and removes nothing, if there are not enough.
    fn remove_oldest(
        &mut self,
        bytes: usize,
        may_remove: impl Fn(&NodeId, &SignedRecord) -> bool,
    ) -> Option<usize> {
        if bytes == 0 {
            return Some(0);
        }
        let entries = self.entries.iter();
        let removable = entries.filter(|(node, record)| may_remove(node, record));
        let age = |record: &SignedRecord| (!record.is_tombstone(), record.record().issued_at());
        let mut oldest: Vec<_> = removable
            .map(|(node, record)| (age(record), *node, entry_len(record)))
            .collect();
        oldest.sort_unstable();
        let mut oldest = oldest.into_iter();
        let (mut freed, mut removed) = (0, Vec::new());
        while freed < bytes {
            let (_, node, len) = oldest.next()?;
            freed += len;
            removed.push(node);
        }
        for node in removed {
            self.entries.remove(&node);
        }
        Some(freed)
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
        let mut bytes = entry::empty();
        if self.path.depth() > 0 {
            Entry::Path(self.path.to_bytes()).push_to(&mut bytes);
        }
        if let Some(divided_at) = self.divided_at {
            Entry::Mark(divided_at).push_to(&mut bytes);
        }
        for record in self.entries.values() {
            Entry::Record(&record.encode()).push_to(&mut bytes);
        }
        bytes
    }

    /// The length of the encoding, with room for a mark.
    pub(super) fn encoded_len(&self) -> usize {
        let path_len = match self.path.depth() {
            0 => 0,
            _ => PATH_LEN,
        };
        EMPTY_LEN + path_len + MARK_LEN + self.entries.values().map(entry_len).sum::<usize>()
    }
}

/// The length of an entry.
pub(super) fn entry_len(record: &SignedRecord) -> usize {
    entry::record_entry_len(record_len(record.value().len()))
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

#[cfg(test)]
mod tests;

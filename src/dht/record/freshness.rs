//! [`SequenceMemory`]: protects against replayed records.
//!
//! A signature proves who signed a record, but not that the record is the latest.
//! A storage node can replay an old record for as long as it is valid: to direct
//! callers to an abandoned endpoint, or to bring back a withdrawn relay. So the
//! highest sequence of each node is kept until every record with a lower sequence
//! has expired.
//!
//! Sequences are times, which gives that moment. Every record has
//! `issue time <= sequence` (the codec rejects others) and a TTL of at most
//! [`MAX_TTL`]. So at `s + MAX_TTL` every record with a sequence below `s` has
//! expired. Sequences that are ahead by more than [`MAX_SKEW`] are rejected, which
//! bounds how long an entry is kept.
//!
//! Memory is bounded, and clocks may step. One rule handles both: entries are
//! evicted in the order of their sequences, and a node without an entry must show
//! a sequence *above every evicted one*. If an entry is evicted early, because the
//! memory is full or the clock was ahead, then the node may be invisible until its
//! next record. A replay is never accepted.

use std::collections::{BTreeMap, BTreeSet};
#[cfg(feature = "persistence")]
use std::ops::Bound;
use std::time::Duration;

use super::{MAX_SKEW, MAX_TTL, RelayRecord, SignedRecord, micros};
use crate::relay::NodeId;

/// How a record compares with the latest record of its node that was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Freshness {
    /// An announcement with a higher sequence than all records observed before.
    Fresh,
    /// A withdrawal with a higher sequence than all records observed before. Remove
    /// the relay.
    Withdrawn,
    /// The latest record again, still valid.
    Same,
    /// A record with a higher sequence was observed: this one is a replay or late.
    #[non_exhaustive]
    Stale {
        /// The highest sequence observed of the node.
        highest: u64,
        /// Whether the record with that sequence is a withdrawal.
        withdrawn: bool,
    },
    /// The memory has no entry for the node, and an evicted entry may have had a
    /// higher sequence. The node's next record will be accepted. (A caller that
    /// still holds the node's last record can compare the sequences.)
    #[non_exhaustive]
    Forgotten {
        /// The lowest sequence that is accepted of a node without an entry.
        floor: u64,
    },
    /// The record is no longer valid.
    Expired,
    /// The record was issued more than [`MAX_SKEW`] ahead of this node's time: one
    /// of the two clocks is wrong.
    #[non_exhaustive]
    FromTheFuture {
        /// How far the sequence is ahead of this node's time.
        ahead: Duration,
    },
    /// The node signed two different records with one sequence; the one observed
    /// first stays in force. The node is faulty, or two processes use its key.
    #[non_exhaustive]
    Conflict {
        /// The sequence.
        sequence: u64,
    },
}

impl Freshness {
    /// Whether the record is newer than all records observed of its node:
    /// [`Fresh`](Self::Fresh) or [`Withdrawn`](Self::Withdrawn).
    #[must_use]
    pub const fn is_update(self) -> bool {
        matches!(self, Self::Fresh | Self::Withdrawn)
    }
}

/// The highest sequence observed of each node, kept for as long as an older record
/// could be replayed: at most [`MAX_TTL`] plus [`MAX_SKEW`] after it was observed.
///
/// It holds a bounded number of nodes of one [network](super::Network), at about
/// 250 bytes each. If it is full, then the entry with the lowest sequence is
/// evicted, and from then on a node without an entry needs a record with a higher
/// sequence than the evicted one. So a flood of new nodes can delay the admission
/// of an unknown relay until the relay's next record. But an older record is never
/// accepted, and a withdrawn relay does not return by a replay. Choose a capacity
/// of several times the number of relays that the registry may learn.
///
/// The caller passes the time since the Unix epoch. If that clock steps ahead and
/// back, then valid records may be rejected, but no replay is accepted. The memory
/// is not persistent: after a restart the process accepts the newest valid record
/// that it observes. (What a registry remembers is part of its saves.)
///
/// A call costs two look-ups in ordered maps, plus one for each entry that it
/// evicts. Share a value behind a lock.
///
/// ```
/// use std::time::Duration;
/// use relay_registry::dht::{
///     Announcement, Network, RelayRecord, SecretKey, SequenceMemory, SignedRecord, Freshness,
///     next_sequence,
/// };
///
/// let (key, network) = (SecretKey::generate()?, Network::default());
/// let (now, ttl) = (Duration::from_secs(1_800_000_000), Duration::from_secs(600));
///
/// let first = next_sequence(None, now);
/// let announcement = Announcement::new("192.0.2.7:4433".parse()?, 100)?;
/// let live = RelayRecord::announce(announcement, first, now, ttl)?;
/// let live = SignedRecord::sign(&live, &key, &network)?;
/// let tombstone = SignedRecord::tombstone(next_sequence(Some(first), now), now, ttl, &key, &network)?;
///
/// let mut memory = SequenceMemory::new(10_000);
/// assert_eq!(memory.observe(&live, now), Freshness::Fresh);
/// assert_eq!(memory.observe(&tombstone, now), Freshness::Withdrawn);
/// assert!(matches!(memory.observe(&live, now), Freshness::Stale { withdrawn: true, .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SequenceMemory {
    capacity: usize,
    entries: BTreeMap<[u8; 32], LatestSequence>,
    /// The sequence and key of each entry, for eviction in order.
    by_sequence: BTreeSet<(u64, [u8; 32])>,
    /// Above the sequence of every evicted entry.
    floor: u64,
}

#[derive(Clone, Debug)]
struct LatestSequence {
    sequence: u64,
    withdrawn: bool,
    /// Identifies the content: finding other content with the same signature would
    /// break Ed25519.
    signature: [u8; 64],
}

impl SequenceMemory {
    /// An empty memory for at most `capacity` nodes.
    #[must_use]
    pub const fn new(capacity: usize) -> Self {
        Self {
            capacity,
            entries: BTreeMap::new(),
            by_sequence: BTreeSet::new(),
            floor: 0,
        }
    }

    /// Judges `record` at the time `now`, without remembering it.
    #[must_use]
    pub fn judge(&self, record: &SignedRecord, now: Duration) -> Freshness {
        let sequence = record.sequence();
        let latest = micros(now.saturating_add(MAX_SKEW));
        if sequence > latest {
            let ahead = sequence.saturating_sub(micros(now));
            return Freshness::FromTheFuture {
                ahead: Duration::from_micros(ahead),
            };
        }
        if now >= valid_until(record.record()) {
            return Freshness::Expired;
        }
        match self.entries.get(record.public_key()) {
            Some(latest) if sequence < latest.sequence => Freshness::Stale {
                highest: latest.sequence,
                withdrawn: latest.withdrawn,
            },
            Some(latest) if sequence == latest.sequence => {
                if latest.signature == *record.signature() {
                    Freshness::Same
                } else {
                    Freshness::Conflict { sequence }
                }
            }
            None if sequence < self.floor => Freshness::Forgotten { floor: self.floor },
            _ if record.is_tombstone() => Freshness::Withdrawn,
            _ => Freshness::Fresh,
        }
    }

    /// Judges `record` at the time `now`, and remembers it if it is an
    /// [update](Freshness::is_update).
    ///
    /// Remember every record that takes effect, and the withdrawal of every node
    /// that has an entry. If a record is rejected for another reason (a quota, an
    /// address), then only [judge](Self::judge) it, so that rejected records do not
    /// fill the memory.
    pub fn observe(&mut self, record: &SignedRecord, now: Duration) -> Freshness {
        self.forget_expired(now);
        let freshness = self.judge(record, now);
        if freshness.is_update() {
            self.remember(record);
        }
        freshness
    }

    /// Evicts each entry below which no record can still be valid at `now`.
    /// [`observe`](Self::observe) does the same.
    pub fn forget_expired(&mut self, now: Duration) {
        while self
            .by_sequence
            .first()
            .is_some_and(|&(sequence, _)| replayable_until(sequence) <= now)
        {
            self.evict_lowest();
        }
    }

    /// Remembers a record at any time, unless a higher sequence is remembered.
    pub(in crate::dht) fn remember_latest(&mut self, record: &SignedRecord) {
        let highest = self.highest(&record.node_id());
        if highest.is_none_or(|highest| highest < record.sequence()) {
            self.remember(record);
        }
    }

    fn remember(&mut self, record: &SignedRecord) {
        let key = *record.public_key();
        let latest = LatestSequence {
            sequence: record.sequence(),
            withdrawn: record.is_tombstone(),
            signature: *record.signature(),
        };
        self.insert(key, latest);
    }

    fn insert(&mut self, key: [u8; 32], latest: LatestSequence) {
        self.by_sequence.insert((latest.sequence, key));
        if let Some(previous) = self.entries.insert(key, latest) {
            self.by_sequence.remove(&(previous.sequence, key));
        }
        while self.entries.len() > self.capacity {
            self.evict_lowest();
        }
    }

    fn evict_lowest(&mut self) {
        if let Some((sequence, key)) = self.by_sequence.pop_first() {
            self.entries.remove(&key);
            self.floor = self.floor.max(sequence.saturating_add(1));
        }
    }

    /// The highest sequence observed of `node`, if it is remembered.
    #[must_use]
    pub fn highest(&self, node: &NodeId) -> Option<u64> {
        let key = <[u8; 32]>::try_from(node.as_bytes()).ok()?;
        self.entries.get(&key).map(|latest| latest.sequence)
    }

    /// The number of nodes that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no node is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// An entry of a [`SequenceMemory`].
#[cfg(feature = "persistence")]
#[derive(Clone, Debug)]
pub(crate) struct SavedSequence {
    pub(crate) key: [u8; 32],
    pub(crate) sequence: u64,
    pub(crate) withdrawn: bool,
    pub(crate) signature: [u8; 64],
}

#[cfg(feature = "persistence")]
impl SavedSequence {
    /// That of a record.
    pub(crate) fn of(record: &SignedRecord) -> Self {
        Self {
            key: *record.public_key(),
            sequence: record.sequence(),
            withdrawn: record.is_tombstone(),
            signature: *record.signature(),
        }
    }
}

#[cfg(feature = "persistence")]
impl SequenceMemory {
    /// The lowest sequence that is accepted of a node without an entry.
    pub(in crate::dht) fn floor(&self) -> u64 {
        self.floor
    }

    /// Raises that.
    pub(in crate::dht) fn raise_floor(&mut self, floor: u64) {
        self.floor = self.floor.max(floor);
    }

    /// Up to so many entries after a key, in the order of the keys.
    pub(in crate::dht) fn some_after(
        &self,
        key: Option<[u8; 32]>,
        most: usize,
    ) -> Vec<SavedSequence> {
        let after = key.map_or(Bound::Unbounded, Bound::Excluded);
        let entries = self.entries.range((after, Bound::Unbounded)).take(most);
        let saved = entries.map(|(key, latest)| {
            let &LatestSequence {
                sequence,
                withdrawn,
                signature,
            } = latest;
            SavedSequence {
                key: *key,
                sequence,
                withdrawn,
                signature,
            }
        });
        saved.collect()
    }

    /// Remembers an entry that was saved, unless a higher sequence is remembered.
    pub(in crate::dht) fn restore(&mut self, saved: SavedSequence) {
        let SavedSequence {
            key,
            sequence,
            withdrawn,
            signature,
        } = saved;
        let highest = self.entries.get(&key).map(|latest| latest.sequence);
        if highest.is_none_or(|highest| highest < sequence) {
            let latest = LatestSequence {
                sequence,
                withdrawn,
                signature,
            };
            self.insert(key, latest);
        }
    }
}

/// The time until which a record is accepted. A withdrawal is accepted for as long
/// as an announcement that it withdraws can be valid, even if its own TTL is
/// shorter.
fn valid_until(record: &RelayRecord) -> Duration {
    if record.is_tombstone() {
        record.issued_at().saturating_add(MAX_TTL)
    } else {
        record.expires_at()
    }
}

/// The time at which every record with a lower sequence has expired.
fn replayable_until(sequence: u64) -> Duration {
    Duration::from_micros(sequence).saturating_add(MAX_TTL)
}

/// The sequence of a node's next record: the greater of `now` in microseconds since
/// the Unix epoch and `last` plus 1.
///
/// If a node keeps its last sequence, then it never repeats one, even if its clock
/// steps back. A node that lost its last sequence may pass `None` if its clock is
/// past the time of its last record. If the clock ran ahead by more than
/// [`MAX_SKEW`], then readers reject the sequence as
/// [from the future](Freshness::FromTheFuture) until that time has come.
///
/// The result never exceeds [`RelayRecord::MAX_SEQUENCE`].
///
/// ```
/// use std::time::Duration;
/// use relay_registry::dht::next_sequence;
///
/// let now = Duration::from_secs(1_800_000_000);
/// assert_eq!(next_sequence(None, now), 1_800_000_000_000_000);
/// assert_eq!(next_sequence(Some(7), now), 1_800_000_000_000_000);
/// assert_eq!(next_sequence(Some(1_900_000_000_000_000), now), 1_900_000_000_000_001);
/// ```
#[must_use]
pub fn next_sequence(last: Option<u64>, now: Duration) -> u64 {
    let above = last.map_or(0, |last| last.saturating_add(1));
    above.max(micros(now)).min(RelayRecord::MAX_SEQUENCE)
}

//! [`SequenceMemory`]: which of a node's statements is its latest word.
//!
//! A signature says whose word it is, never when it was last meant. Whoever
//! stores or relays records can hand out an old one for as long as it is valid:
//! to send callers to an endpoint that was given up, or to bring back a relay
//! that was withdrawn. So the highest sequence heard of each node is kept until
//! nothing older could still be valid.
//!
//! That moment is known because sequences are times. Every record has
//! `issue time <= sequence` (the codec refuses others) and a TTL of at most
//! [`MAX_TTL`], so whatever has a lower sequence than `s` has expired at
//! `s + MAX_TTL`. And no sequence further ahead than [`MAX_SKEW`] is believed, so
//! nobody can make an entry stay longer than that.
//!
//! Memory is bounded, and clocks step. Both are met by one rule: entries are
//! forgotten in the order of their sequences, and of nodes that are not in the
//! memory nothing is believed that is not *newer than all that was ever
//! forgotten*. What is forgotten too early, because the memory is full or the
//! clock was ahead for a while, may cost a node its visibility until it signs
//! its next record. It never opens a replay.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{MAX_SKEW, MAX_TTL, RelayRecord, SignedRecord, micros};
use crate::relay::NodeId;

/// What a record is worth beside all that was heard of its node before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Freshness {
    /// The node's latest word: an announcement newer than all heard of it.
    Fresh,
    /// The node's latest word: a withdrawal newer than all heard of it. The
    /// relay is to be dropped.
    Withdrawn,
    /// The latest word once more, still valid.
    Same,
    /// Something newer was heard of the node: this is replayed or late.
    #[non_exhaustive]
    Stale {
        /// The highest sequence heard of the node.
        highest: u64,
        /// Whether that was a withdrawal.
        withdrawn: bool,
    },
    /// Nothing is remembered of the node, and this is too old to tell whether
    /// something newer was ever heard. The node's next record will do. (Who still
    /// holds the node's last record can compare sequences.)
    #[non_exhaustive]
    Forgotten {
        /// The lowest sequence that is believed of an unknown node.
        floor: u64,
    },
    /// Its time is over.
    Expired,
    /// It is issued in the future, by more than [`MAX_SKEW`]: one of the two
    /// clocks is wrong.
    #[non_exhaustive]
    FromTheFuture {
        /// By how much.
        ahead: Duration,
    },
    /// The node signed something else with the same sequence. What was heard
    /// first stays; the node is broken, or its key in two hands.
    #[non_exhaustive]
    Conflict {
        /// The sequence.
        sequence: u64,
    },
}

impl Freshness {
    /// Whether the record is the node's latest word and was not heard before:
    /// [`Fresh`](Self::Fresh) or [`Withdrawn`](Self::Withdrawn).
    #[must_use]
    pub const fn is_news(self) -> bool {
        matches!(self, Self::Fresh | Self::Withdrawn)
    }
}

/// The highest sequence heard of each node, for as long as anything older could
/// be replayed: at most [`MAX_TTL`] and [`MAX_SKEW`] from when it was heard.
///
/// It holds a bounded number of nodes, of one [network](super::Network). When it
/// is full, the entry with the lowest sequence is forgotten, and from then on
/// nodes that it does not hold must show a record newer than that one. So a
/// flood of strangers can delay how soon an unknown relay is believed (until the
/// relay's next record, and in the worst case in the order in which relays
/// sign), but an older record never wins, and a withdrawn one never returns.
/// Give it several times as many nodes as the registry may learn; each takes
/// about 250 bytes.
///
/// The time is passed in, as the time since the Unix epoch. Should that clock
/// step ahead and back again, records may be refused that a correct clock would
/// have let pass, and none is believed that it would have refused as older.
/// What is not kept is the memory itself: a process that starts anew has heard
/// nothing yet, and believes the newest of what is still valid.
///
/// Judging costs two look-ups in ordered maps. It is plain data, to be shared
/// behind a lock.
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
/// let gone = SignedRecord::tombstone(next_sequence(Some(first), now), now, ttl, &key, &network)?;
///
/// let mut memory = SequenceMemory::new(10_000);
/// assert_eq!(memory.observe(&live, now), Freshness::Fresh);
/// assert_eq!(memory.observe(&gone, now), Freshness::Withdrawn);
/// assert!(matches!(memory.observe(&live, now), Freshness::Stale { withdrawn: true, .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SequenceMemory {
    capacity: usize,
    heard: BTreeMap<[u8; 32], Heard>,
    /// The sequence and key of each entry of `heard`.
    by_sequence: BTreeSet<(u64, [u8; 32])>,
    /// Above every sequence that was ever forgotten.
    floor: u64,
}

#[derive(Clone, Debug)]
struct Heard {
    sequence: u64,
    withdrawn: bool,
    /// Stands for all that was signed with it: to find other content that goes
    /// with the same signature is to break Ed25519.
    signature: [u8; 64],
}

impl SequenceMemory {
    /// A memory of at most so many nodes, all of it to be filled yet.
    #[must_use]
    pub const fn new(capacity: usize) -> Self {
        Self {
            capacity,
            heard: BTreeMap::new(),
            by_sequence: BTreeSet::new(),
            floor: 0,
        }
    }

    /// What `record` is worth, heard at `now`, without remembering it.
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
        if now >= counts_until(record.record()) {
            return Freshness::Expired;
        }
        match self.heard.get(record.public_key()) {
            Some(heard) if sequence < heard.sequence => Freshness::Stale {
                highest: heard.sequence,
                withdrawn: heard.withdrawn,
            },
            Some(heard) if sequence == heard.sequence => {
                if heard.signature == *record.signature() {
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

    /// Judges `record`, heard at `now`, and remembers it if it is
    /// [news](Freshness::is_news).
    ///
    /// Whatever is acted upon must be remembered, and so must the withdrawal of a
    /// node that is. What is refused for another reason (a quota, an address) is
    /// better only [judged](Self::judge): nobody should fill the memory for free.
    pub fn observe(&mut self, record: &SignedRecord, now: Duration) -> Freshness {
        self.forget_expired(now);
        let verdict = self.judge(record, now);
        if verdict.is_news() {
            self.remember(record);
        }
        verdict
    }

    /// Forgets what nothing older than could be valid at `now`. So does
    /// [`observe`](Self::observe).
    pub fn forget_expired(&mut self, now: Duration) {
        while self
            .by_sequence
            .first()
            .is_some_and(|&(sequence, _)| replayable_until(sequence) <= now)
        {
            self.forget_lowest();
        }
    }

    /// Remembers a record that was the latest word of its node, whatever the time,
    /// unless something newer was heard.
    pub(in crate::dht) fn remember_latest(&mut self, record: &SignedRecord) {
        let highest = self.highest(&record.node_id());
        if highest.is_none_or(|highest| highest < record.sequence()) {
            self.remember(record);
        }
    }

    fn remember(&mut self, record: &SignedRecord) {
        let key = *record.public_key();
        let heard = Heard {
            sequence: record.sequence(),
            withdrawn: record.is_tombstone(),
            signature: *record.signature(),
        };
        self.by_sequence.insert((heard.sequence, key));
        if let Some(before) = self.heard.insert(key, heard) {
            self.by_sequence.remove(&(before.sequence, key));
        }
        while self.heard.len() > self.capacity {
            self.forget_lowest();
        }
    }

    fn forget_lowest(&mut self) {
        if let Some((sequence, key)) = self.by_sequence.pop_first() {
            self.heard.remove(&key);
            self.floor = self.floor.max(sequence.saturating_add(1));
        }
    }

    /// The highest sequence heard of a node, if it is remembered.
    #[must_use]
    pub fn highest(&self, node: &NodeId) -> Option<u64> {
        let key = <[u8; 32]>::try_from(node.as_bytes()).ok()?;
        self.heard.get(&key).map(|heard| heard.sequence)
    }

    /// How many nodes are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heard.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heard.is_empty()
    }
}

/// Until when a record is to be heeded. A withdrawal holds as long as anything
/// that it withdraws can be valid, however short its own TTL.
fn counts_until(record: &RelayRecord) -> Duration {
    if record.is_tombstone() {
        record.issued_at().saturating_add(MAX_TTL)
    } else {
        record.expires_at()
    }
}

/// From when on all with a lower sequence has expired.
fn replayable_until(sequence: u64) -> Duration {
    Duration::from_micros(sequence).saturating_add(MAX_TTL)
}

/// The sequence of a node's next statement: microseconds since the Unix epoch,
/// but always above its `last` one.
///
/// A node that keeps its last sequence never repeats one, whatever its clock
/// does; a node that forgot it goes on as long as its clock does not stand
/// further back than its last statement. A clock that ran ahead by more than
/// [`MAX_SKEW`] leaves a sequence that others refuse as
/// [from the future](Freshness::FromTheFuture) until the time has come.
///
/// The result is at most [`RelayRecord::MAX_SEQUENCE`], where it stays.
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

//! [`Kad`]: records and lists over a store that knows neither.

mod keys;
mod list;
#[cfg(any(test, feature = "conformance"))]
mod raw_memory;

use std::collections::HashSet;
use std::fmt;
use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::slots::RequestSlots;
use super::{
    Answer, Candidate, CandidateSink, DhtError, Limits, Member, MemberSink, NO_SUCH_SHARD, Put,
    RelayDht,
};
use crate::dht::record::{MAX_RECORD_LEN, MAX_VALUE_LEN, Network, SignedRecord};
use crate::relay::NodeId;
use crate::sync::unmodelled::thread;
use crate::time::Clock;
use list::List;

#[cfg(any(test, feature = "conformance"))]
pub use raw_memory::RawMemory;

/// Where [`RawKad::find_value`] puts what it finds. `Break` ends the search.
pub type ValueSink<'a> = dyn FnMut(&[u8]) -> ControlFlow<()> + 'a;

/// A raw Kademlia store: bytes under a key, the last write wins, and anybody
/// can write anything anywhere.
///
/// Give one to [`Kad`] and it is an engine.
pub trait RawKad: Send + Sync + 'static {
    /// The longest value that can be stored, in bytes. Should be several
    /// thousand: the list of a shard is one value and takes about 220 for each
    /// of its relays.
    fn max_value(&self) -> usize;

    /// How many requests may run at once. Default: 8.
    fn max_in_flight(&self) -> usize {
        8
    }

    /// How often a value must be stored again to be kept. Default: an hour, as
    /// Kademlia's paper has it.
    fn refresh(&self) -> Duration {
        Duration::from_secs(3_600)
    }

    /// Stores `value` under `key`, in place of what was there.
    ///
    /// # Errors
    ///
    /// As [`RelayDht::put`].
    fn store(&self, key: [u8; 32], value: &[u8], deadline: Instant) -> Result<Put, DhtError>;

    /// Looks for values under `key`, and hands those of all nodes that answer
    /// to `sink` as they arrive: no more than a few of one node, so that one that
    /// sends noise keeps no other from being heard.
    ///
    /// # Errors
    ///
    /// As [`RelayDht::get`].
    fn find_value(
        &self,
        key: [u8; 32],
        deadline: Instant,
        sink: &mut ValueSink<'_>,
    ) -> Result<Answer, DhtError>;
}

/// An engine over any [raw store](RawKad).
///
/// The keys are those of `macula_relay_registry`: a relay's record is stored
/// under SHA-256 of `relay.node.` and its id, the list of relays under SHA-256 of
/// `relay.list` (further shards under `relay.list.1` and so on).
///
/// The store keeps the last write, so the engine reads before it writes and
/// refuses to replace a newer record by an older one. Lists are written by many:
/// each entry is the relay's signed record, a relay that leaves is replaced by
/// its tombstone, what was read is merged with what is written, and what was
/// written is read back until it is there. Entries end when their records do.
/// So nobody can list another; but anybody can wipe a list or a record, and
/// relays put theirs back only when they look again or say it anew.
///
/// ```
/// use relay_registry::dht::{Kad, Network, RawMemory, RelayDht};
///
/// let dht = Kad::new(RawMemory::new(20), Network::default()).with_shards(4);
/// assert_eq!(dht.limits().shards, 4);
/// ```
pub struct Kad<K> {
    raw: K,
    network: Network,
    limits: Limits,
    slots: RequestSlots,
    /// Who writes a list: two at once would overwrite each other, and of those
    /// elsewhere there are enough.
    list_turn: RequestSlots,
    clock: Option<Box<dyn Clock>>,
}

/// How often an entry is written that others overwrite at the same time.
const ATTEMPTS: u32 = 6;

/// The longest pause before the second attempt; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// The longest list that is looked at, whatever a store lets in.
const MAX_LIST: usize = 1 << 18;

/// The most distinct values that are looked at in one read: many more than there
/// are nodes that hold one, so that those who send noise first do not end it for the
/// others.
const MAX_VALUES: usize = 1_024;

impl<K: RawKad> Kad<K> {
    /// An engine over `raw`, for the records of `network`, with 8 shards.
    #[must_use]
    pub fn new(raw: K, network: Network) -> Self {
        let header = MAX_RECORD_LEN - MAX_VALUE_LEN;
        let limits = Limits::new(
            raw.max_value().saturating_sub(header).min(MAX_VALUE_LEN),
            raw.max_in_flight(),
            raw.refresh(),
            8,
        )
        .clamped();
        Self {
            raw,
            network,
            limits,
            slots: RequestSlots::new(limits.max_in_flight),
            list_turn: RequestSlots::new(1),
            clock: None,
        }
    }

    /// The same with another number of shards, up to [`Limits::MAX_SHARDS`]; 0
    /// for no directory. Everyone on a network must use the same.
    #[must_use]
    pub fn with_shards(mut self, shards: u16) -> Self {
        self.limits.shards = shards;
        self.limits = self.limits.clamped();
        self
    }

    /// The same with another clock, which must count from the Unix epoch, to
    /// judge by whether an entry of a list is over. Default: the system's.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Box::new(clock));
        self
    }

    /// The store beneath.
    #[must_use]
    pub fn raw(&self) -> &K {
        &self.raw
    }

    fn now(&self) -> Duration {
        match &self.clock {
            Some(clock) => clock.now(),
            None => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }

    /// Refuses to write over a newer record, or a second one.
    fn check_newest(&self, record: &SignedRecord, deadline: Instant) -> Result<(), DhtError> {
        let node = record.node_id();
        let mut verdict = Ok(());
        self.find_distinct(keys::of_node(&node), MAX_RECORD_LEN, deadline, |bytes| {
            let Ok(stored) = Candidate::Encoded(bytes).open(&node, &self.network) else {
                return ControlFlow::Continue(());
            };
            if stored.sequence() > record.sequence() {
                verdict = Err(DhtError::Superseded {
                    stored: Some(stored.sequence()),
                });
                return ControlFlow::Break(());
            }
            if stored.sequence() == record.sequence() && stored != *record {
                verdict = Err(DhtError::Conflict);
            }
            ControlFlow::Continue(())
        })?;
        verdict
    }

    /// Merges `record` into the list of a shard until it is found there.
    fn enlist(
        &self,
        shard: u16,
        record: &SignedRecord,
        deadline: Instant,
    ) -> Result<Put, DhtError> {
        self.check_shard(shard)?;
        self.check_size(record)?;
        let _list_turn = self.list_turn.take(deadline)?;
        let _turn = self.slots.take(deadline)?;
        let key = keys::of_list(shard);
        let mut written = None;
        for attempt in 0..ATTEMPTS {
            let (list, answered) = self.read_list(key, deadline)?;
            if list.holds(record) {
                return Ok(written.unwrap_or_else(|| Put::new(answered, answered)));
            }
            written = Some(self.write_list(key, list, record, deadline)?);
            pause(attempt, deadline)?;
        }
        Err(DhtError::Conflict)
    }

    fn write_list(
        &self,
        key: [u8; 32],
        mut list: List,
        record: &SignedRecord,
        deadline: Instant,
    ) -> Result<Put, DhtError> {
        list.enter(record)?;
        let bytes = list.encode(self.max_list(), &record.node_id())?;
        self.raw.store(key, &bytes, deadline)
    }

    /// What the lists of all nodes that answer come to together, and how many
    /// did.
    fn read_list(&self, key: [u8; 32], deadline: Instant) -> Result<(List, u32), DhtError> {
        let mut list = List::default();
        let answer = self.read_lists(key, deadline, |bytes| {
            list.merge(bytes, &self.network, self.now(), |_| ());
            ControlFlow::Continue(())
        })?;
        // To write without having read would wipe what is there.
        if answer.answered() == 0 {
            return Err(DhtError::Unreachable);
        }
        Ok((list, answer.answered()))
    }

    /// Hands on each distinct list.
    fn read_lists(
        &self,
        key: [u8; 32],
        deadline: Instant,
        mut read: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<Answer, DhtError> {
        self.find_distinct(key, self.max_list(), deadline, |bytes| {
            // To verify a long list takes its time.
            if Instant::now() >= deadline {
                return ControlFlow::Break(());
            }
            read(bytes)
        })
    }

    /// Hands on each distinct value of up to `max_len` bytes, once.
    fn find_distinct(
        &self,
        key: [u8; 32],
        max_len: usize,
        deadline: Instant,
        mut read: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<Answer, DhtError> {
        let mut seen = HashSet::new();
        self.raw.find_value(key, deadline, &mut |bytes| {
            if seen.len() >= MAX_VALUES {
                return ControlFlow::Break(());
            }
            if bytes.len() > max_len || !seen.insert(keys::of_value(bytes)) {
                return ControlFlow::Continue(());
            }
            read(bytes)
        })
    }

    fn max_list(&self) -> usize {
        self.raw.max_value().min(MAX_LIST)
    }

    fn check_shard(&self, shard: u16) -> Result<(), DhtError> {
        if shard < self.limits.shards {
            Ok(())
        } else {
            Err(NO_SUCH_SHARD)
        }
    }

    fn check_size(&self, record: &SignedRecord) -> Result<(), DhtError> {
        let (size, max) = (record.value().len(), self.limits.max_value);
        if size > max {
            return Err(DhtError::TooLarge { size, max });
        }
        Ok(())
    }
}

impl<K: RawKad> RelayDht for Kad<K> {
    fn limits(&self) -> Limits {
        self.limits
    }

    fn put(&self, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        self.check_size(record)?;
        let _turn = self.slots.take(deadline)?;
        self.check_newest(record, deadline)?;
        let key = keys::of_node(&record.node_id());
        self.raw.store(key, &record.encode(), deadline)
    }

    /// A raw store does not know what is newer: all that it has comes back.
    fn get(
        &self,
        node: &NodeId,
        _newer_than: Option<u64>,
        deadline: Instant,
        sink: &mut CandidateSink<'_>,
    ) -> Result<Answer, DhtError> {
        let _turn = self.slots.take(deadline)?;
        self.find_distinct(keys::of_node(node), MAX_RECORD_LEN, deadline, |bytes| {
            sink(Candidate::Encoded(bytes))
        })
    }

    fn join(&self, shard: u16, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        self.enlist(shard, record, deadline)
    }

    fn leave(
        &self,
        shard: u16,
        tombstone: &SignedRecord,
        deadline: Instant,
    ) -> Result<Put, DhtError> {
        self.enlist(shard, tombstone, deadline)
    }

    fn members(
        &self,
        shard: u16,
        deadline: Instant,
        sink: &mut MemberSink<'_>,
    ) -> Result<Answer, DhtError> {
        self.check_shard(shard)?;
        let _turn = self.slots.take(deadline)?;
        let mut list = List::default();
        self.read_lists(keys::of_list(shard), deadline, |bytes| {
            let mut flow = ControlFlow::Continue(());
            list.merge(bytes, &self.network, self.now(), |record| {
                if flow.is_continue() && !record.is_tombstone() {
                    flow = sink(Member {
                        node: record.node_id(),
                        record: Some(Candidate::Encoded(&record.encode())),
                    });
                }
            });
            flow
        })
    }
}

impl<K> fmt::Debug for Kad<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kad")
            .field("network", &self.network)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Waits a random while, so that those who wrote at once do not again.
fn pause(attempt: u32, deadline: Instant) -> Result<(), DhtError> {
    if attempt == 0 {
        // Nobody is known to be in the way yet.
        return Ok(());
    }
    let longest = FIRST_PAUSE * (1 << attempt.min(6));
    let pause = longest.mul_f64(fastrand::f64());
    if pause > deadline.saturating_duration_since(Instant::now()) {
        return Err(DhtError::Conflict);
    }
    thread::sleep(pause);
    Ok(())
}

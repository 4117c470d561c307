//! [`Kad`]: an engine over a raw Kademlia store, which knows neither records nor
//! directories.

mod entry;
mod keys;
mod list;
mod raw;
#[cfg(any(test, feature = "conformance"))]
mod raw_memory;
mod reconcile;

use std::collections::HashSet;
use std::fmt;
use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::slots::RequestSlots;
use super::{
    Answer, Candidate, CandidateSink, DhtError, Limits, Member, MemberSink, NO_SUCH_SHARD, Put,
    RelayDht, ShardPath, check_record,
};
use crate::dht::record::{MAX_RECORD_LEN, MAX_VALUE_LEN, Network, SignedRecord};
use crate::relay::NodeId;
use crate::sync::unmodelled::{Mutex, thread};
use crate::time::Clock;
use keys::{list_key, record_key, sha256};
use list::List;

pub use raw::{RawKad, ValueSink};
#[cfg(any(test, feature = "conformance"))]
pub use raw_memory::RawMemory;
pub use reconcile::{KadValidator, ReconcileError, Reconciled};

/// An engine over any [raw store](RawKad).
///
/// A relay's record is stored under the SHA-256 of `relay.node.` and its id, the list of relays
/// under the SHA-256 of `relay.list` (further shards under `relay.list.1` and so on, their halves
/// under `relay.list.1/0` and `relay.list.1/1`, and so on). These keys are those of
/// `macula_relay_registry`.
///
/// The store keeps the last write. So the engine reads before it writes, and does
/// not replace a newer record by an older one.
///
/// A list has many writers. Each entry is a relay's signed record; the entry of a
/// relay that left is its tombstone. To join or leave, a relay reads the list,
/// merges its entry, writes the list, and reads it back, up to six times. An entry
/// ends when its record does.
///
/// A shard that has divided has a mark in its list, which relays in the shards below renew. A storage
/// node with a [`KadValidator`] keeps a list below a root only if it has an entry. So a relay that
/// renews the mark of such a list adds its own record if the list has none.
///
/// So a node cannot list another relay. But any node can erase a list or a record:
/// a relay writes its own again only at its next check or refresh. Storage nodes that
/// check writes by a [`KadValidator`] prevent both.
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
    /// One slot: two writers in this process would overwrite each other's list.
    list_writer: RequestSlots,
    /// The record of this relay that a list has. It vouches for marks.
    own: Mutex<Option<SignedRecord>>,
    clock: Option<Box<dyn Clock>>,
}

/// Readers skip entries of relays that belong to another shard.
const OTHER_SHARD: DhtError = DhtError::Unsupported {
    what: "a shard that the relay does not belong to",
};

/// How often an entry is written if concurrent writers overwrite it.
const ATTEMPTS: u32 = 6;

/// The maximum back-off after attempt `n` (from 0) is this times 2^n, except that
/// there is none after attempt 0.
const BASE_BACK_OFF: Duration = Duration::from_millis(20);

/// The default interval of refreshes.
const DEFAULT_REFRESH: Duration = Duration::from_secs(3_600);

/// How often a shard may divide. Eight shards hold 65,536 lists each then.
const DEFAULT_DEPTH: u8 = 16;

/// The maximum length of a list in bytes, even if the store accepts longer values.
const MAX_LIST_LEN: usize = 1 << 18;

/// A list that is merged from those of several storage nodes is at most so many times as long as
/// one. Few versions differ in much, unless nodes make entries up.
const MAX_MERGED: usize = 4;

/// The maximum number of distinct values of one read: many more than there are
/// replicas, so that nodes that send invalid values first do not end the read before
/// other nodes answer.
const MAX_VALUES: usize = 1_024;

impl<K: RawKad> Kad<K> {
    /// An engine over `raw` for the records of `network`, with 8 shards, which divide when a
    /// list is full.
    #[must_use]
    pub fn new(raw: K, network: Network) -> Self {
        let header = MAX_RECORD_LEN - MAX_VALUE_LEN;
        let limits = Limits::new(
            raw.max_value().saturating_sub(header).min(MAX_VALUE_LEN),
            raw.max_in_flight(),
            raw.refresh(),
            8,
        )
        .dividing(DEFAULT_DEPTH)
        .clamped();
        Self {
            raw,
            network,
            limits,
            slots: RequestSlots::new(limits.max_in_flight),
            list_writer: RequestSlots::new(1),
            own: Mutex::new(None),
            clock: None,
        }
    }

    /// Sets the number of shards, at most [`Limits::MAX_SHARDS`]; 0 for no
    /// directory. All nodes of a network must use the same number.
    #[must_use]
    pub fn with_shards(mut self, shards: u16) -> Self {
        self.limits.shards = shards;
        self.limits = self.limits.clamped();
        self
    }

    /// Sets the clock that decides whether an entry of a list has expired. It must
    /// count from the Unix epoch. Default: the system clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Box::new(clock));
        self
    }

    /// Sets how often a shard that is full may divide: at most [`Limits::MAX_DEPTH`] times, 0
    /// for never. Default: 16. Nodes with another number find each other only in the shards that
    /// both have.
    #[must_use]
    pub fn with_max_depth(mut self, max_depth: u8) -> Self {
        self.limits = self.limits.dividing(max_depth).clamped();
        self
    }

    /// The underlying store.
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

    /// Fails if a newer record is stored, or another one with the same sequence.
    fn check_newest(&self, record: &SignedRecord, deadline: Instant) -> Result<(), DhtError> {
        let node = record.node_id();
        let mut result = Ok(());
        self.find_distinct(record_key(&node), MAX_RECORD_LEN, deadline, |bytes| {
            let Ok(stored) = Candidate::Encoded(bytes).verify(&node, &self.network) else {
                return ControlFlow::Continue(());
            };
            if stored.sequence() > record.sequence() {
                result = Err(DhtError::Superseded {
                    stored: Some(stored.sequence()),
                });
                return ControlFlow::Break(());
            }
            if stored.sequence() == record.sequence() && stored != *record {
                result = Err(DhtError::Conflict);
            }
            ControlFlow::Continue(())
        })?;
        result
    }

    /// Writes `record` to the list of a shard until a read finds it there.
    fn update_list(
        &self,
        path: ShardPath,
        record: &SignedRecord,
        deadline: Instant,
    ) -> Result<Put, DhtError> {
        self.check_path(path)?;
        check_record(record, &self.network, &self.limits)?;
        let _list_writer = self.list_writer.acquire(deadline)?;
        let _slot = self.slots.acquire(deadline)?;
        *self.own.lock() = (!record.is_tombstone()).then(|| record.clone());
        let mut written = None;
        for attempt in 0..ATTEMPTS {
            let (mut list, answered) = self.read_list(path, deadline)?;
            if !record.is_tombstone() && self.sends_on(path, &list) {
                return Err(list.full());
            }
            if !list.belongs(&record.node_id()) {
                return match record.is_tombstone() {
                    true => Ok(Put::new(answered, answered)),
                    false => Err(OTHER_SHARD),
                };
            }
            if list.contains(record) {
                let put = written.unwrap_or_else(|| Put::new(answered, answered));
                let (members, max) = list.fill(self.max_list_len());
                return Ok(put.with_members(members, max));
            }
            match list.with_own(record, self.max_list_len())? {
                Some(bytes) => {
                    written = Some(self.raw.store(list_key(path), &bytes, deadline)?);
                }
                None if record.is_tombstone() => return Ok(Put::new(answered, answered)),
                None => return Err(self.divide_full(path, list, deadline)),
            }
            back_off(attempt, deadline)?;
        }
        Err(DhtError::Conflict)
    }

    /// Marks a full list as divided, if it may divide. Returns why it was not joined.
    fn divide_full(&self, path: ShardPath, mut list: List, deadline: Instant) -> DhtError {
        if self.check_divides(path).is_ok() {
            list.divide(self.now());
            let full = list.full();
            list.cut_to(self.max_list_len());
            let stored = self.raw.store(list_key(path), &list.bytes(), deadline);
            return stored.err().unwrap_or(full);
        }
        list.full()
    }

    /// Whether relays that join are sent on to the children. They are not if those below no
    /// longer renew the mark.
    fn sends_on(&self, path: ShardPath, list: &List) -> bool {
        let is_fresh = list.is_divided_within(self.mark_ttl() / 2, self.now());
        is_fresh && self.check_divides(path).is_ok()
    }

    fn mark_ttl(&self) -> Duration {
        mark_ttl(&self.limits)
    }

    /// Adds this relay to a list below a root that has no entry but a mark.
    fn vouch_for_mark(&self, path: ShardPath, list: &mut List) -> Result<(), DhtError> {
        if path.depth() == 0 || !list.entries.is_empty() {
            return Ok(());
        }
        let own = self.own.lock().clone();
        let own = own.filter(|own| list::is_valid(own, self.now()));
        if let Some(own) = own.filter(|own| path.is_of(&own.node_id(), &self.limits)) {
            list.with_own(&own, self.max_list_len())?;
        }
        Ok(())
    }

    /// The merged lists of all nodes that answer, and the number of these nodes.
    fn read_list(&self, path: ShardPath, deadline: Instant) -> Result<(List, u32), DhtError> {
        let mut list = List::new(path, self.limits);
        let max = self.max_list_len().saturating_mul(MAX_MERGED);
        let answer = self.read_lists(path, deadline, |bytes| {
            list.merge(bytes, &self.network, self.now(), |_| ());
            list.cut_to(max);
            ControlFlow::Continue(())
        })?;
        // A write without a read would erase the entries of other relays.
        if answer.answered() == 0 {
            return Err(DhtError::Unreachable);
        }
        Ok((list, answer.answered()))
    }

    /// Passes each distinct list to `read` until the deadline.
    fn read_lists(
        &self,
        path: ShardPath,
        deadline: Instant,
        mut read: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<Answer, DhtError> {
        self.find_distinct(list_key(path), self.max_list_len(), deadline, |bytes| {
            // Verifying a long list takes time.
            if Instant::now() >= deadline {
                return ControlFlow::Break(());
            }
            read(bytes)
        })
    }

    /// Passes each distinct value of at most `max_len` bytes to `read`, once.
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
            if bytes.len() > max_len || !seen.insert(sha256(&[bytes])) {
                return ControlFlow::Continue(());
            }
            read(bytes)
        })
    }

    fn max_list_len(&self) -> usize {
        self.raw.max_value().min(MAX_LIST_LEN)
    }

    fn check_path(&self, path: ShardPath) -> Result<(), DhtError> {
        match path.is_within(&self.limits) {
            true => Ok(()),
            false => Err(NO_SUCH_SHARD),
        }
    }

    /// Fails if the shard can have no children.
    fn check_divides(&self, path: ShardPath) -> Result<(), DhtError> {
        self.check_path(path.child(false).ok_or(NO_SUCH_SHARD)?)
    }
}

impl<K: RawKad> RelayDht for Kad<K> {
    fn limits(&self) -> Limits {
        self.limits
    }

    fn network(&self) -> Option<Network> {
        Some(self.network)
    }

    fn put(&self, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        check_record(record, &self.network, &self.limits)?;
        let _slot = self.slots.acquire(deadline)?;
        self.check_newest(record, deadline)?;
        let key = record_key(&record.node_id());
        self.raw.store(key, &record.encode(), deadline)
    }

    /// Ignores `newer_than`: a raw store does not know the sequences of its values.
    fn get(
        &self,
        node: &NodeId,
        _newer_than: Option<u64>,
        deadline: Instant,
        sink: &mut CandidateSink<'_>,
    ) -> Result<Answer, DhtError> {
        let _slot = self.slots.acquire(deadline)?;
        self.find_distinct(record_key(node), MAX_RECORD_LEN, deadline, |bytes| {
            sink(Candidate::Encoded(bytes))
        })
    }

    fn join(&self, shard: u16, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        self.join_at(ShardPath::root(shard), record, deadline)
    }

    fn leave(
        &self,
        shard: u16,
        tombstone: &SignedRecord,
        deadline: Instant,
    ) -> Result<Put, DhtError> {
        self.leave_at(ShardPath::root(shard), tombstone, deadline)
    }

    fn members(
        &self,
        shard: u16,
        deadline: Instant,
        sink: &mut MemberSink<'_>,
    ) -> Result<Answer, DhtError> {
        self.members_at(ShardPath::root(shard), deadline, sink)
    }

    fn join_at(
        &self,
        path: ShardPath,
        record: &SignedRecord,
        deadline: Instant,
    ) -> Result<Put, DhtError> {
        self.update_list(path, record, deadline)
    }

    fn leave_at(
        &self,
        path: ShardPath,
        tombstone: &SignedRecord,
        deadline: Instant,
    ) -> Result<Put, DhtError> {
        self.update_list(path, tombstone, deadline)
    }

    fn members_at(
        &self,
        path: ShardPath,
        deadline: Instant,
        sink: &mut MemberSink<'_>,
    ) -> Result<Answer, DhtError> {
        self.check_path(path)?;
        let _slot = self.slots.acquire(deadline)?;
        let mut list = List::new(path, self.limits);
        let answer = self.read_lists(path, deadline, |bytes| {
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
        })?;
        Ok(answer.with_divided(list.is_divided_within(self.mark_ttl(), self.now())))
    }

    fn divide(&self, path: ShardPath, deadline: Instant) -> Result<Put, DhtError> {
        self.check_divides(path)?;
        let _list_writer = self.list_writer.acquire(deadline)?;
        let _slot = self.slots.acquire(deadline)?;
        let (mut list, answered) = self.read_list(path, deadline)?;
        if list.is_divided_within(self.mark_ttl() / 4, self.now()) {
            return Ok(Put::new(answered, answered));
        }
        list.divide(self.now());
        self.vouch_for_mark(path, &mut list)?;
        list.cut_to(self.max_list_len());
        self.raw.store(list_key(path), &list.bytes(), deadline)
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

/// Waits for a random time, so that writers that collided do not collide again.
fn back_off(attempt: u32, deadline: Instant) -> Result<(), DhtError> {
    if attempt == 0 {
        // No collision is known yet.
        return Ok(());
    }
    let max = BASE_BACK_OFF * (1 << attempt.min(6));
    let wait = max.mul_f64(fastrand::f64());
    if wait > deadline.saturating_duration_since(Instant::now()) {
        return Err(DhtError::Conflict);
    }
    thread::sleep(wait);
    Ok(())
}

/// How long a mark lasts that is not renewed.
fn mark_ttl(limits: &Limits) -> Duration {
    limits.refresh * 2
}

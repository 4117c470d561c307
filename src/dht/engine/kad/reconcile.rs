//! [`KadValidator`]: what a storage node does with a write under a key of [`Kad`](super::Kad).

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::entry::{Entry, entries, is_list, path_of};
use super::keys::{list_key, record_key};
use super::list::{List, MAX_INVALID, entry_len, is_valid, rank};
use super::{DEFAULT_DEPTH, DEFAULT_REFRESH, MAX_LIST_LEN, mark_ttl};
use crate::dht::engine::{Limits, ShardPath};
use crate::dht::record::{
    MAX_RECORD_LEN, MAX_SKEW, MAX_VALUE_LEN, Network, Parts, RecordError, SignedRecord,
};
use crate::relay::NodeId;

/// The maximum number of signatures that one call checks. A longer list is read in part;
/// the rest is read at the writer's next attempt, for which known entries cost no check.
const MAX_CHECKS: usize = 512;

/// The rules of a storage node of [`Kad`](super::Kad): which writes it accepts, and what it
/// then stores.
///
/// A raw store that keeps the last write lets any node erase a record or a list. A storage
/// node that passes each incoming write through [`reconcile`](Self::reconcile) does not:
///
/// - Of two records of a relay it keeps the newer one.
/// - It merges lists, so two relays that join at once do not overwrite each other's entry. It
///   adds only entries of relays that belong to the list's shard, and keeps the later one of two
///   marks of a divided shard.
/// - It rejects all other keys, and values that are not valid for their key. The key of a list
///   below a root is a hash, so such a list names its shard.
///
/// # What it does not prevent
///
/// Keys cost an attacker a signature, not more: new identities are free. One identity makes one
/// record, one entry in each of the lists on the way down from its root (17 by default), and with
/// those entries these lists. Marks are not signed. A mark alone makes no list below a root, so
/// nothing is stored there that costs no signature; but anyone can mark a list that exists. So a
/// storage node needs a limit of its own for the number of values, and what it does at that limit
/// is not decided here. A storage node itself is not bound by these rules: it can withhold what
/// it stores.
///
/// Plain and validating storage nodes may be mixed: the engine needs none of this. Any
/// number of threads may call it at once; it has no state of its own.
///
/// ```
/// use relay_registry::dht::{KadValidator, Network, ReconcileError};
/// use std::time::Duration;
///
/// let validator = KadValidator::new(Network::default(), 8);
/// let now = Duration::from_secs(1_800_000_000);
/// let rejected = validator.reconcile(&[7; 32], None, b"noise", now);
/// assert!(matches!(rejected, Err(ReconcileError::InvalidRecord(_))));
/// ```
#[derive(Clone, Debug)]
pub struct KadValidator {
    network: Network,
    limits: Limits,
    /// By the keys of their lists.
    roots: BTreeMap<[u8; 32], ShardPath>,
    max_list_len: usize,
}

/// What a storage node does with a valid write.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reconciled {
    /// It stores this value in place of what it has.
    #[non_exhaustive]
    Store {
        /// The value: the incoming record, or the merged list.
        value: Vec<u8>,
        /// When the value ends, as a time since the Unix epoch.
        expires_at: Duration,
    },
    /// It keeps what it has: the write adds nothing, or there is no room for more entries.
    Keep,
}

/// Why a storage node rejects a write.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReconcileError {
    /// The value is longer than a value of its key may be. It was not read.
    #[non_exhaustive]
    TooLarge {
        /// The length of the value in bytes.
        len: usize,
        /// The maximum length in bytes.
        max: usize,
    },
    /// The key is not the key of a root's list, and the value is neither a record nor a list that
    /// names its shard. The
    /// [source](Error::source) has the reason.
    InvalidRecord(RecordError),
    /// The value is a valid record, whose key is another one.
    #[non_exhaustive]
    WrongKey {
        /// The node that signed the record.
        node: NodeId,
    },
    /// The record has expired, or was issued in the future.
    NotCurrent,
    /// The value is not a list of a version that this crate knows.
    NotAList,
    /// The value is the list of a shard, whose key is another one.
    #[non_exhaustive]
    WrongShard {
        /// The shard that the list names.
        path: ShardPath,
    },
    /// The value is the list of a shard that the directory does not have.
    #[non_exhaustive]
    NoSuchShard {
        /// The shard that the list names.
        path: ShardPath,
        /// The number of roots of the directory.
        shards: u16,
        /// How often they may divide.
        max_depth: u8,
    },
    /// The value is a list that names its shard by a path that no directory has: it is deeper than
    /// [`Limits::MAX_DEPTH`], or has more bits than its depth.
    InvalidPath,
}

impl KadValidator {
    /// The rules for the keys of `network` with so many shards: those of
    /// [`Kad::with_shards`](super::Kad::with_shards), at most [`Limits::MAX_SHARDS`].
    #[must_use]
    pub fn new(network: Network, shards: u16) -> Self {
        let limits = Limits::new(MAX_VALUE_LEN, 1, DEFAULT_REFRESH, shards)
            .dividing(DEFAULT_DEPTH)
            .clamped();
        let roots = (0..limits.shards).map(ShardPath::root);
        Self {
            network,
            limits,
            roots: roots.map(|root| (list_key(root), root)).collect(),
            max_list_len: MAX_LIST_LEN,
        }
    }

    /// Sets how often shards may divide: [`Kad::with_max_depth`](super::Kad::with_max_depth) of
    /// the engines, at most [`Limits::MAX_DEPTH`]. Default: 16. With 0, a relay may be in any of
    /// the lists.
    #[must_use]
    pub fn with_max_depth(mut self, max_depth: u8) -> Self {
        self.limits = self.limits.dividing(max_depth).clamped();
        self
    }

    /// Sets the [refresh interval](super::RawKad::refresh) of the engines, clamped to 1 second to
    /// 1 day. A mark lasts for two of them. Default: 1 hour.
    #[must_use]
    pub fn with_refresh(mut self, refresh: Duration) -> Self {
        self.limits.refresh = refresh;
        self.limits = self.limits.clamped();
        self
    }

    /// Sets the maximum length of a list in bytes, at most 256 KiB, which is the default. It
    /// should be the [`max_value`](super::RawKad::max_value) of the engines.
    #[must_use]
    pub fn with_max_list_len(mut self, bytes: usize) -> Self {
        self.max_list_len = bytes.min(MAX_LIST_LEN);
        self
    }

    /// Decides about a write of `incoming` under `key`, where `stored` is the value that
    /// this node has under the key. `now` is the time since the Unix epoch.
    ///
    /// `stored` must be what an earlier call returned: its signatures are not checked again.
    ///
    /// The result is never longer than the maximum length. If a list is full, then expired
    /// entries are removed first, then the oldest tombstones. Stored announcements keep their
    /// places, so new entries may be left out. A list below a root that has no entry but a mark
    /// is not stored.
    ///
    /// Checks at most 512 signatures, about 50 µs each, for a list, and one for a record. After
    /// 64 invalid entries the rest of a list is ignored; an entry of a relay of another shard is
    /// invalid, and costs no check. An entry that is stored, or older than
    /// the stored one, costs no check.
    ///
    /// # Errors
    ///
    /// A [`ReconcileError`]: the value must not be stored.
    ///
    /// ```
    /// # use relay_registry::dht::{Announcement, Kad, KadValidator, Network, RawKad, RawMemory};
    /// # use relay_registry::dht::{Reconciled, RelayDht, RelayRecord, SecretKey, SignedRecord};
    /// # use std::ops::ControlFlow;
    /// # use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
    /// # let network = Network::default();
    /// # let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    /// # let list_of_new_relay = || -> Result<_, Box<dyn std::error::Error>> {
    /// #     let (dht, key) = (Kad::new(RawMemory::new(1), network).with_shards(1), SecretKey::generate()?);
    /// #     let announcement = Announcement::new("192.0.2.7:4433".parse()?, 100)?;
    /// #     let sequence = now.as_micros() as u64;
    /// #     let record = RelayRecord::announce(announcement, sequence, now, Duration::from_secs(600))?;
    /// #     let deadline = Instant::now() + Duration::from_secs(9);
    /// #     dht.join(0, &SignedRecord::sign(&record, &key, &network)?, deadline)?;
    /// #     let (mut list, key) = (Vec::new(), LIST_KEY.parse::<relay_registry::NodeId>()?);
    /// #     dht.raw().find_value(key.as_bytes().try_into()?, deadline, &mut |value| {
    /// #         list = value.to_vec();
    /// #         ControlFlow::Break(())
    /// #     })?;
    /// #     Ok(list)
    /// # };
    /// # const LIST_KEY: &str = "89b03cfe63760002f96879b5bad239a706f0b8a286ae389684a03ae3c50047c4";
    /// # let key: [u8; 32] = LIST_KEY.parse::<relay_registry::NodeId>()?.as_bytes().try_into()?;
    /// // Two relays have read an empty list, and each writes a list of itself.
    /// let [one, other] = [list_of_new_relay()?, list_of_new_relay()?];
    /// let validator = KadValidator::new(network, 1);
    /// let Reconciled::Store { value, .. } = validator.reconcile(&key, Some(&one), &other, now)?
    /// else {
    ///     panic!("the entry is new");
    /// };
    /// assert_eq!(value.len(), one.len() + other.len() - 1, "it has both entries");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reconcile(
        &self,
        key: &[u8; 32],
        stored: Option<&[u8]>,
        incoming: &[u8],
        now: Duration,
    ) -> Result<Reconciled, ReconcileError> {
        match self.shard_of(key, incoming) {
            Ok(Some(path)) => self.merge(path, stored.unwrap_or_default(), incoming, now),
            Ok(None) => self.newer(key, stored, incoming, now),
            // The public key of a record may be such that the record looks like a list.
            Err(error) => self.newer(key, stored, incoming, now).map_err(|_| error),
        }
    }

    /// The shard whose list is stored under `key`; `None` if it is no key of a list.
    fn shard_of(
        &self,
        key: &[u8; 32],
        incoming: &[u8],
    ) -> Result<Option<ShardPath>, ReconcileError> {
        let Some(bytes) = path_of(incoming) else {
            return Ok(self.roots.get(key).copied());
        };
        let path = ShardPath::from_bytes(bytes).ok_or(ReconcileError::InvalidPath)?;
        if list_key(path) != *key {
            return Err(ReconcileError::WrongShard { path });
        }
        if !path.is_within(&self.limits) {
            return Err(ReconcileError::NoSuchShard {
                path,
                shards: self.limits.shards,
                max_depth: self.limits.max_depth,
            });
        }
        Ok(Some(path))
    }

    /// The newer one of two records.
    fn newer(
        &self,
        key: &[u8; 32],
        stored: Option<&[u8]>,
        incoming: &[u8],
        now: Duration,
    ) -> Result<Reconciled, ReconcileError> {
        check_len(incoming, MAX_RECORD_LEN)?;
        let record =
            SignedRecord::decode(incoming, &self.network).map_err(ReconcileError::InvalidRecord)?;
        let node = record.node_id();
        if record_key(&node) != *key {
            return Err(ReconcileError::WrongKey { node });
        }
        if !is_valid(&record, now) {
            return Err(ReconcileError::NotCurrent);
        }
        let stored = stored
            .and_then(|bytes| SignedRecord::decode_verified(bytes, &self.network).ok())
            .filter(|stored| is_valid(stored, now));
        match stored {
            Some(stored) if rank(&stored) >= rank(&record) => Ok(Reconciled::Keep),
            _ => Ok(Reconciled::Store {
                value: incoming.to_vec(),
                expires_at: record.record().expires_at(),
            }),
        }
    }

    fn merge(
        &self,
        path: ShardPath,
        stored: &[u8],
        incoming: &[u8],
        now: Duration,
    ) -> Result<Reconciled, ReconcileError> {
        check_len(incoming, self.max_list_len)?;
        if !is_list(incoming) {
            return Err(ReconcileError::NotAList);
        }
        let mut merge = Merge::of_stored(path, stored, self, now);
        merge.add(incoming);
        Ok(merge.finish())
    }
}

/// A list into which entries of another one are merged.
struct Merge<'a> {
    validator: &'a KadValidator,
    path: ShardPath,
    now: Duration,
    list: List,
    /// The length of the encoded list, with room for a mark.
    len: usize,
    has_changed: bool,
    checks: usize,
    invalid: usize,
}

impl<'a> Merge<'a> {
    /// The stored list without the entries that have expired.
    fn of_stored(
        path: ShardPath,
        stored: &[u8],
        validator: &'a KadValidator,
        now: Duration,
    ) -> Self {
        let list = List::new(path, validator.limits);
        let mut merge = Self {
            validator,
            path,
            now,
            len: list.encoded_len(),
            list,
            has_changed: false,
            checks: 0,
            invalid: 0,
        };
        for entry in entries(stored) {
            match entry {
                Entry::Path(_) => {}
                Entry::Mark(divided_at) => merge.add_mark(divided_at),
                Entry::Record(record) => merge.add_stored(record),
            }
        }
        merge.has_changed = false;
        merge
    }

    fn add_stored(&mut self, record: &[u8]) {
        if let Ok(record) = SignedRecord::decode_verified(record, &self.validator.network) {
            if is_valid(&record, self.now) {
                self.insert(record);
            }
        }
    }

    /// Adds entries of an untrusted list while the bounds on checks allow it.
    fn add(&mut self, incoming: &[u8]) {
        for entry in entries(incoming) {
            if self.checks >= MAX_CHECKS || self.invalid > MAX_INVALID {
                return;
            }
            match entry {
                Entry::Path(_) => {}
                Entry::Mark(divided_at) => self.add_mark(divided_at),
                Entry::Record(record) => self.add_record(record),
            }
        }
    }

    /// Keeps the later one of two marks, unless it has expired or is of the future.
    fn add_mark(&mut self, divided_at: u32) {
        let at = Duration::from_secs(divided_at.into());
        let is_current =
            at <= self.now.saturating_add(MAX_SKEW) && self.now < self.mark_end(divided_at);
        if is_current && self.list.divided_at < Some(divided_at) {
            self.list.divided_at = Some(divided_at);
            self.has_changed = true;
        }
    }

    /// When a mark ends.
    fn mark_end(&self, divided_at: u32) -> Duration {
        Duration::from_secs(divided_at.into()) + mark_ttl(&self.validator.limits)
    }

    fn add_record(&mut self, record: &[u8]) {
        match Parts::split(record) {
            Ok(parts) if self.is_known(&parts) => {}
            Ok(parts) if self.list.belongs(&NodeId::from(*parts.public_key)) => self.check(record),
            _ => self.invalid += 1,
        }
    }

    /// Whether an entry is stored, or would not replace the stored one.
    fn is_known(&self, parts: &Parts<'_>) -> bool {
        let stored = self.list.entries.get(&NodeId::from(*parts.public_key));
        let sequence = u64::try_from(parts.sequence).unwrap_or_default();
        stored.is_some_and(|stored| rank(stored) >= (sequence, parts.signature))
    }

    /// Verifies an entry, and adds it if there is room.
    fn check(&mut self, entry: &[u8]) {
        self.checks += 1;
        match SignedRecord::decode(entry, &self.validator.network) {
            Ok(record) if !is_valid(&record, self.now) => {}
            Ok(record) if self.make_room(&record) => {
                self.insert(record);
                self.has_changed = true;
            }
            Ok(_) => {}
            Err(_) => self.invalid += 1,
        }
    }

    /// Removes the oldest tombstones of other relays if `record` fits then; whether it does.
    fn make_room(&mut self, record: &SignedRecord) -> bool {
        let node = record.node_id();
        let replaced = self.list.entries.get(&node).map_or(0, entry_len);
        let len = self.len - replaced + entry_len(record);
        let excess = len.saturating_sub(self.validator.max_list_len);
        let freed = self.list.make_room(excess, &node);
        self.len -= freed.unwrap_or(0);
        freed.is_some()
    }

    fn insert(&mut self, record: SignedRecord) {
        self.len += entry_len(&record);
        if let Some(replaced) = self.list.entries.insert(record.node_id(), record) {
            self.len -= entry_len(&replaced);
        }
    }

    fn finish(self) -> Reconciled {
        let records = self.list.entries.values();
        let records = records.map(|record| record.record().expires_at());
        let mark = self.list.divided_at.map(|at| self.mark_end(at));
        match records.chain(mark).max() {
            Some(expires_at) if self.has_changed && self.is_kept() => Reconciled::Store {
                value: self.list.bytes(),
                expires_at,
            },
            _ => Reconciled::Keep,
        }
    }

    /// Marks are not signed, and there are 131,070 lists below each root by default. So a mark
    /// below a root is stored only beside a record.
    fn is_kept(&self) -> bool {
        self.path.depth() == 0 || !self.list.entries.is_empty()
    }
}

fn check_len(value: &[u8], max: usize) -> Result<(), ReconcileError> {
    match value.len() {
        len if len > max => Err(ReconcileError::TooLarge { len, max }),
        _ => Ok(()),
    }
}

impl fmt::Display for ReconcileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { len, max } => {
                write!(f, "the value has {len} bytes, more than {max}")
            }
            Self::InvalidRecord(reason) => {
                write!(
                    f,
                    "this is neither the key of a list nor a record: {reason}"
                )
            }
            Self::WrongKey { node } => write!(f, "this is the record of {node}, of another key"),
            Self::NotCurrent => f.write_str("the record has expired, or is of the future"),
            Self::NotAList => f.write_str("the value is not a list"),
            Self::WrongShard { path } => {
                write!(f, "this is the list of shard {path}, of another key")
            }
            Self::NoSuchShard {
                path,
                shards,
                max_depth,
            } => write!(
                f,
                "this is the list of shard {path}, but there are {shards} shards, which divide at \
                 most {max_depth} times"
            ),
            Self::InvalidPath => write!(
                f,
                "the list has a path that is deeper than {}, or has more bits than its depth",
                Limits::MAX_DEPTH
            ),
        }
    }
}

impl Error for ReconcileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::InvalidRecord(reason) => Some(reason),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;

//! [`KadValidator`]: what a storage node does with a write under a key of [`Kad`](super::Kad).

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::list::{LENGTH, List, MAX_INVALID, VERSION, is_valid, rank, split_entry};
use super::{MAX_LIST_LEN, list_key, record_key};
use crate::dht::engine::{Limits, ShardPath};
use crate::dht::record::{MAX_RECORD_LEN, Network, Parts, RecordError, SignedRecord, record_len};
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
/// - It merges lists, so two relays that join at once do not overwrite each other's entry.
/// - It rejects all other keys, and values that are not valid for their key.
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
    /// Sorted.
    list_keys: Box<[[u8; 32]]>,
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
    /// The key is not the key of a list, and the value is not a record. The
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
}

impl KadValidator {
    /// The rules for the keys of `network` with so many shards: those of
    /// [`Kad::with_shards`](super::Kad::with_shards), at most [`Limits::MAX_SHARDS`].
    #[must_use]
    pub fn new(network: Network, shards: u16) -> Self {
        let shards = shards.min(Limits::MAX_SHARDS);
        let mut list_keys: Box<[_]> = (0..shards)
            .map(|shard| list_key(ShardPath::root(shard)))
            .collect();
        list_keys.sort_unstable();
        Self {
            network,
            list_keys,
            max_list_len: MAX_LIST_LEN,
        }
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
    /// places, so new entries may be left out.
    ///
    /// Checks at most 512 signatures, about 50 µs each, for a list, and one for a record. After
    /// 64 invalid entries the rest of a list is ignored. An entry that is stored, or older than
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
        if self.list_keys.binary_search(key).is_ok() {
            check_len(incoming, self.max_list_len)?;
            return self.merge(stored.unwrap_or_default(), incoming, now);
        }
        check_len(incoming, MAX_RECORD_LEN)?;
        self.newer(key, stored, incoming, now)
    }

    /// The newer one of two records.
    fn newer(
        &self,
        key: &[u8; 32],
        stored: Option<&[u8]>,
        incoming: &[u8],
        now: Duration,
    ) -> Result<Reconciled, ReconcileError> {
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
        stored: &[u8],
        incoming: &[u8],
        now: Duration,
    ) -> Result<Reconciled, ReconcileError> {
        let Some((&VERSION, entries)) = incoming.split_first() else {
            return Err(ReconcileError::NotAList);
        };
        let mut merge = Merge::of_stored(stored, self, now);
        merge.add(entries);
        Ok(merge.finish())
    }
}

/// A list into which entries of another one are merged.
struct Merge<'a> {
    validator: &'a KadValidator,
    now: Duration,
    list: List,
    /// The length of the encoded list.
    len: usize,
    has_changed: bool,
    checks: usize,
    invalid: usize,
}

impl<'a> Merge<'a> {
    /// The stored list without the entries that have expired.
    fn of_stored(stored: &[u8], validator: &'a KadValidator, now: Duration) -> Self {
        let mut merge = Self {
            validator,
            now,
            list: List::default(),
            len: 1,
            has_changed: false,
            checks: 0,
            invalid: 0,
        };
        let mut rest = stored.get(1..).unwrap_or_default();
        while let Some((entry, after)) = split_entry(rest) {
            rest = after;
            match SignedRecord::decode_verified(entry, &validator.network) {
                Ok(record) if is_valid(&record, now) => merge.insert(record),
                _ => merge.has_changed = true,
            }
        }
        merge
    }

    /// Adds entries of an untrusted list while the bounds on checks allow it.
    fn add(&mut self, mut entries: &[u8]) {
        while let Some((entry, after)) = split_entry(entries) {
            entries = after;
            if self.checks >= MAX_CHECKS || self.invalid > MAX_INVALID {
                return;
            }
            let Ok(parts) = Parts::split(entry) else {
                self.invalid += 1;
                continue;
            };
            if !self.is_known(&parts) {
                self.check(entry);
            }
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

    /// Removes the oldest tombstones of other relays until `record` fits; whether it does.
    fn make_room(&mut self, record: &SignedRecord) -> bool {
        let node = record.node_id();
        let replaced = self.list.entries.get(&node).map_or(0, entry_len);
        let excess = |merge: &Self| {
            (merge.len - replaced + entry_len(record)).saturating_sub(merge.validator.max_list_len)
        };
        if excess(self) == 0 {
            return true;
        }
        for tombstone in self.tombstones(&node) {
            self.remove(&tombstone);
            if excess(self) == 0 {
                return true;
            }
        }
        false
    }

    /// The relays other than `except` that left, by when they did.
    fn tombstones(&self, except: &NodeId) -> Vec<NodeId> {
        let mut tombstones: Vec<_> = self
            .list
            .entries
            .iter()
            .filter(|(node, record)| *node != except && record.is_tombstone())
            .map(|(node, record)| (record.record().issued_at(), *node))
            .collect();
        tombstones.sort_unstable();
        tombstones.into_iter().map(|(_, node)| node).collect()
    }

    fn insert(&mut self, record: SignedRecord) {
        self.len += entry_len(&record);
        if let Some(replaced) = self.list.entries.insert(record.node_id(), record) {
            self.len -= entry_len(&replaced);
        }
    }

    fn remove(&mut self, node: &NodeId) {
        if let Some(removed) = self.list.entries.remove(node) {
            self.len -= entry_len(&removed);
            self.has_changed = true;
        }
    }

    fn finish(self) -> Reconciled {
        let records = self.list.entries.values();
        let expires_at = records.map(|record| record.record().expires_at()).max();
        match expires_at {
            Some(expires_at) if self.has_changed => Reconciled::Store {
                value: self.list.bytes(),
                expires_at,
            },
            _ => Reconciled::Keep,
        }
    }
}

/// The length of an entry of a list.
fn entry_len(record: &SignedRecord) -> usize {
    LENGTH + record_len(record.value().len())
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

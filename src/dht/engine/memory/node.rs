//! [`Node`]: a storage node. It keeps the record with the highest sequence, rejects
//! conflicts, and evicts the least recently used record.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::dht::engine::{DhtError, Put};
use crate::dht::record::SignedRecord;
use crate::relay::NodeId;
use crate::sync::Arc;

/// The reply of a node to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteReply {
    Stored,
    /// The node has a record with this higher sequence.
    Superseded(u64),
    /// The node has another value under the same sequence.
    Conflict,
    /// The node or the shard is full.
    Full,
}

/// One version of one relay's record.
#[derive(Clone, Debug)]
struct Version {
    sequence: u64,
    bytes: Arc<[u8]>,
}

impl Version {
    fn of(record: &SignedRecord) -> Self {
        Self {
            sequence: record.sequence(),
            bytes: record.encode().into(),
        }
    }

    /// The reply to a write of `incoming` over this version.
    fn reply_to(&self, incoming: &Self) -> WriteReply {
        if self.sequence > incoming.sequence {
            WriteReply::Superseded(self.sequence)
        } else if self.sequence == incoming.sequence && self.bytes != incoming.bytes {
            WriteReply::Conflict
        } else {
            WriteReply::Stored
        }
    }
}

#[derive(Debug)]
struct StoredRecord {
    version: Version,
    previous: Option<Version>,
    last_use: u64,
}

/// A relay in the directory. A relay that left is kept too, so that an old record
/// does not bring it back.
#[derive(Debug)]
struct Membership {
    version: Version,
    left: bool,
    refreshed_at: Duration,
}

/// The bounds of a node, and how long a membership lasts without a refresh.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodeLimits {
    pub(super) max_records: usize,
    /// For each shard.
    pub(super) max_members: usize,
    pub(super) membership_ttl: Duration,
}

#[derive(Debug)]
pub(super) struct Node {
    limits: NodeLimits,
    records: HashMap<NodeId, StoredRecord>,
    by_last_use: BTreeMap<u64, NodeId>,
    uses: u64,
    shards: Vec<BTreeMap<NodeId, Membership>>,
}

impl Node {
    pub(super) fn new(limits: NodeLimits, shards: u16) -> Self {
        Self {
            limits,
            records: HashMap::new(),
            by_last_use: BTreeMap::new(),
            uses: 0,
            shards: (0..shards).map(|_| BTreeMap::new()).collect(),
        }
    }

    pub(super) fn put(&mut self, record: &SignedRecord) -> WriteReply {
        let id = record.node_id();
        let version = Version::of(record);
        let stored = self.records.get(&id);
        let reply = stored.map_or(WriteReply::Stored, |stored| {
            stored.version.reply_to(&version)
        });
        if reply == WriteReply::Stored {
            self.store(id, version);
        }
        reply
    }

    fn store(&mut self, id: NodeId, version: Version) {
        let replaced = self.records.remove(&id);
        if let Some(replaced) = &replaced {
            self.by_last_use.remove(&replaced.last_use);
        } else if self.records.len() >= self.limits.max_records {
            self.evict_one();
        }
        let previous = replaced.and_then(|replaced| {
            if replaced.version.sequence < version.sequence {
                Some(replaced.version)
            } else {
                replaced.previous
            }
        });
        self.uses += 1;
        self.by_last_use.insert(self.uses, id);
        self.records.insert(
            id,
            StoredRecord {
                version,
                previous,
                last_use: self.uses,
            },
        );
    }

    fn evict_one(&mut self) {
        if let Some((_, oldest)) = self.by_last_use.pop_first() {
            self.records.remove(&oldest);
        }
    }

    /// The sequence and the record of `id`. Marks the record as used.
    pub(super) fn get(&mut self, id: &NodeId) -> Option<(u64, Arc<[u8]>)> {
        let stored = self.records.get_mut(id)?;
        self.uses += 1;
        self.by_last_use.remove(&stored.last_use);
        self.by_last_use.insert(self.uses, *id);
        stored.last_use = self.uses;
        Some((stored.version.sequence, Arc::clone(&stored.version.bytes)))
    }

    /// The sequence and the record of `id` before the current one.
    pub(super) fn previous(&self, id: &NodeId) -> Option<(u64, Arc<[u8]>)> {
        let previous = self.records.get(id)?.previous.as_ref()?;
        Some((previous.sequence, Arc::clone(&previous.bytes)))
    }

    /// The record of some node other than `id`.
    pub(super) fn foreign(&self, id: &NodeId) -> Option<Arc<[u8]>> {
        self.records
            .iter()
            .find(|(other, _)| *other != id)
            .map(|(_, stored)| Arc::clone(&stored.version.bytes))
    }

    /// Adds the relay of `record` to `shard`, or marks it as `left`. A shard that is
    /// full drops members that left or expired.
    pub(super) fn set_membership(
        &mut self,
        shard: u16,
        record: &SignedRecord,
        left: bool,
        now: Duration,
    ) -> WriteReply {
        let limits = self.limits;
        let Some(members) = self.shards.get_mut(usize::from(shard)) else {
            return WriteReply::Full;
        };
        let id = record.node_id();
        let version = Version::of(record);
        let reply = members
            .get(&id)
            .map(|member| member.version.reply_to(&version));
        match reply {
            Some(WriteReply::Stored) => {}
            Some(rejection) => return rejection,
            None => {
                if members.len() >= limits.max_members {
                    members.retain(|_, member| !member.left && limits.is_live(member, now));
                }
                if members.len() >= limits.max_members {
                    return WriteReply::Full;
                }
            }
        }
        members.insert(
            id,
            Membership {
                version,
                left,
                refreshed_at: now,
            },
        );
        WriteReply::Stored
    }

    pub(super) fn members(&self, shard: u16, now: Duration) -> Vec<(NodeId, Arc<[u8]>)> {
        self.shards
            .get(usize::from(shard))
            .into_iter()
            .flatten()
            .filter(|(_, member)| !member.left && self.limits.is_live(member, now))
            .map(|(id, member)| (*id, Arc::clone(&member.version.bytes)))
            .collect()
    }
}

impl NodeLimits {
    fn is_live(&self, member: &Membership, now: Duration) -> bool {
        now.saturating_sub(member.refreshed_at) < self.membership_ttl
    }
}

/// The replies of all nodes to a write.
#[derive(Default)]
pub(super) struct ReplyTally {
    stored: u32,
    highest: Option<u64>,
    conflict: bool,
    full: bool,
}

impl ReplyTally {
    pub(super) fn count(&mut self, reply: WriteReply) {
        match reply {
            WriteReply::Stored => self.stored += 1,
            WriteReply::Superseded(stored) => self.highest = self.highest.max(Some(stored)),
            WriteReply::Conflict => self.conflict = true,
            WriteReply::Full => self.full = true,
        }
    }

    /// The result of the write. It fails if a single node has a newer record or a
    /// conflicting one, even if others stored it.
    pub(super) fn result(self, asked: usize, limits: NodeLimits) -> Result<Put, DhtError> {
        match self {
            Self {
                highest: Some(_), ..
            } => Err(DhtError::Superseded {
                stored: self.highest,
            }),
            Self { conflict: true, .. } => Err(DhtError::Conflict),
            Self { stored: 1.., .. } => Ok(Put::new(
                u32::try_from(asked).unwrap_or(u32::MAX),
                self.stored,
            )),
            Self { full: true, .. } => Err(DhtError::Full {
                max: limits.max_members,
            }),
            _ => Err(DhtError::Unreachable),
        }
    }
}

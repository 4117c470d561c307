//! [`Node`]: a storage node. It keeps the record with the highest sequence, rejects
//! conflicts, and evicts the least recently used record.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::dht::engine::{DhtError, Put, ShardPath};
use crate::dht::record::SignedRecord;
use crate::relay::NodeId;
use crate::sync::Arc;

/// The reply of a node to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteReply {
    Stored,
    /// The node lists the relay, and so many in all.
    Joined(usize),
    /// The node has a record with this higher sequence.
    Superseded(u64),
    /// The node has another value under the same sequence.
    Conflict,
    /// The shard is full, or has divided.
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

/// One shard of the directory.
#[derive(Debug, Default)]
struct Shard {
    members: BTreeMap<NodeId, Membership>,
    divided_at: Option<Duration>,
}

/// The bounds of a node, and how long a membership lasts without a refresh.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodeLimits {
    pub(super) max_records: usize,
    /// For each shard.
    pub(super) max_members: usize,
    /// How often a shard that is full divides.
    pub(super) max_depth: u8,
    /// Also of the mark that a shard has divided.
    pub(super) membership_ttl: Duration,
}

#[derive(Debug)]
pub(super) struct Node {
    limits: NodeLimits,
    records: HashMap<NodeId, StoredRecord>,
    by_last_use: BTreeMap<u64, NodeId>,
    uses: u64,
    shards: HashMap<ShardPath, Shard>,
}

impl Node {
    pub(super) fn new(limits: NodeLimits) -> Self {
        Self {
            limits,
            records: HashMap::new(),
            by_last_use: BTreeMap::new(),
            uses: 0,
            shards: HashMap::new(),
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

    /// Adds the relay of `record` to a shard. One that is full divides.
    pub(super) fn join(
        &mut self,
        path: ShardPath,
        record: &SignedRecord,
        now: Duration,
    ) -> WriteReply {
        let limits = self.limits;
        let shard = self.shards.entry(path).or_default();
        let has_children = path.depth() < limits.max_depth;
        // Those below no longer renew an older mark.
        if has_children && shard.is_divided_within(limits.membership_ttl / 2, now) {
            return WriteReply::Full;
        }
        match shard.set(record, false, limits, now) {
            WriteReply::Stored => WriteReply::Joined(shard.live(limits, now).count()),
            WriteReply::Full if has_children => {
                shard.divided_at = Some(now);
                WriteReply::Full
            }
            reply => reply,
        }
    }

    /// Marks the relay of `tombstone` as one that left. If there is no room for the mark, then
    /// the relay is not listed anyway.
    pub(super) fn leave(
        &mut self,
        path: ShardPath,
        tombstone: &SignedRecord,
        now: Duration,
    ) -> WriteReply {
        let limits = self.limits;
        let shard = self.shards.entry(path).or_default();
        match shard.set(tombstone, true, limits, now) {
            WriteReply::Full => WriteReply::Stored,
            reply => reply,
        }
    }

    pub(super) fn divide(&mut self, path: ShardPath, now: Duration) -> WriteReply {
        self.shards.entry(path).or_default().divided_at = Some(now);
        WriteReply::Stored
    }

    pub(super) fn is_divided(&self, path: ShardPath, now: Duration) -> bool {
        let shard = self.shards.get(&path);
        let ttl = self.limits.membership_ttl;
        shard.is_some_and(|shard| shard.is_divided_within(ttl, now))
    }

    pub(super) fn members(&self, path: ShardPath, now: Duration) -> Vec<(NodeId, Arc<[u8]>)> {
        self.shards
            .get(&path)
            .into_iter()
            .flat_map(|shard| shard.live(self.limits, now))
            .map(|(id, member)| (*id, Arc::clone(&member.version.bytes)))
            .collect()
    }
}

impl Shard {
    fn live(
        &self,
        limits: NodeLimits,
        now: Duration,
    ) -> impl Iterator<Item = (&NodeId, &Membership)> {
        let is_live = move |member: &Membership| !member.left && limits.is_live(member, now);
        self.members
            .iter()
            .filter(move |(_, member)| is_live(member))
    }

    fn is_divided_within(&self, age: Duration, now: Duration) -> bool {
        let is_within = |since| now.saturating_sub(since) < age;
        self.divided_at.is_some_and(is_within)
    }

    /// Adds the relay of `record`, or marks it as `left`. If the shard is full, then it drops
    /// members that left or expired.
    fn set(
        &mut self,
        record: &SignedRecord,
        left: bool,
        limits: NodeLimits,
        now: Duration,
    ) -> WriteReply {
        let id = record.node_id();
        let version = Version::of(record);
        let known = self.members.get(&id);
        match known.map(|member| member.version.reply_to(&version)) {
            Some(WriteReply::Stored) => {}
            Some(rejection) => return rejection,
            None => {
                if self.members.len() >= limits.max_members {
                    let keeps = |member: &Membership| !member.left && limits.is_live(member, now);
                    self.members.retain(|_, member| keeps(member));
                }
                if self.members.len() >= limits.max_members {
                    return WriteReply::Full;
                }
            }
        }
        let member = Membership {
            version,
            left,
            refreshed_at: now,
        };
        self.members.insert(id, member);
        WriteReply::Stored
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
    /// The most that a node lists.
    members: usize,
    highest: Option<u64>,
    conflict: bool,
    full: u32,
}

impl ReplyTally {
    pub(super) fn count(&mut self, reply: WriteReply) {
        match reply {
            WriteReply::Stored => self.stored += 1,
            WriteReply::Joined(members) => {
                self.stored += 1;
                self.members = self.members.max(members);
            }
            WriteReply::Superseded(stored) => self.highest = self.highest.max(Some(stored)),
            WriteReply::Conflict => self.conflict = true,
            WriteReply::Full => self.full += 1,
        }
    }

    /// The result of the write. It fails if a single node has a newer record or a
    /// conflicting one, even if others stored it. The shard is full if most of the nodes that
    /// have room for the relay or none say so.
    pub(super) fn result(self, asked: usize, limits: NodeLimits) -> Result<Put, DhtError> {
        match self {
            Self {
                highest: Some(_), ..
            } => Err(DhtError::Superseded {
                stored: self.highest,
            }),
            Self { conflict: true, .. } => Err(DhtError::Conflict),
            Self { full, stored, .. } if full > stored => Err(DhtError::Full {
                max: limits.max_members,
            }),
            Self { stored: 1.., .. } => {
                let asked = u32::try_from(asked).unwrap_or(u32::MAX);
                let put = Put::new(asked, self.stored);
                Ok(match self.members {
                    0 => put,
                    members => put.with_members(members, limits.max_members),
                })
            }
            _ => Err(DhtError::Unreachable),
        }
    }
}

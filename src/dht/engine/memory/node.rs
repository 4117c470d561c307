//! One storage node: keeps the newest, refuses conflicts, forgets the least
//! recently used.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::dht::engine::{DhtError, Put};
use crate::dht::record::SignedRecord;
use crate::relay::NodeId;
use crate::sync::Arc;

/// What a node says to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteReply {
    Stored,
    /// It has this higher sequence.
    Superseded(u64),
    /// It has another value under the same sequence.
    Conflict,
    /// It has no room.
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

    /// What this says to a newcomer in its place.
    fn judge(&self, newcomer: &Self) -> WriteReply {
        if self.sequence > newcomer.sequence {
            WriteReply::Superseded(self.sequence)
        } else if self.sequence == newcomer.sequence && self.bytes != newcomer.bytes {
            WriteReply::Conflict
        } else {
            WriteReply::Stored
        }
    }
}

#[derive(Debug)]
struct Kept {
    version: Version,
    previous: Option<Version>,
    last_use: u64,
}

/// A relay in the directory, or one that left it and is remembered for that.
#[derive(Debug)]
struct Membership {
    version: Version,
    left: bool,
    since: Duration,
}

/// The bounds of a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) records: usize,
    pub(super) members: usize,
    /// How long a membership lasts that is not renewed.
    pub(super) membership: Duration,
}

#[derive(Debug)]
pub(super) struct Node {
    room: Room,
    records: HashMap<NodeId, Kept>,
    by_last_use: BTreeMap<u64, NodeId>,
    uses: u64,
    shards: Vec<BTreeMap<NodeId, Membership>>,
}

impl Node {
    pub(super) fn new(room: Room, shards: u16) -> Self {
        Self {
            room,
            records: HashMap::new(),
            by_last_use: BTreeMap::new(),
            uses: 0,
            shards: (0..shards).map(|_| BTreeMap::new()).collect(),
        }
    }

    pub(super) fn put(&mut self, record: &SignedRecord) -> WriteReply {
        let id = record.node_id();
        let version = Version::of(record);
        let held = self.records.get(&id);
        let verdict = held.map_or(WriteReply::Stored, |kept| kept.version.judge(&version));
        if verdict == WriteReply::Stored {
            self.store(id, version);
        }
        verdict
    }

    fn store(&mut self, id: NodeId, version: Version) {
        let before = self.records.remove(&id);
        if let Some(before) = &before {
            self.by_last_use.remove(&before.last_use);
        } else if self.records.len() >= self.room.records {
            self.forget_one();
        }
        let previous = before.and_then(|before| {
            if before.version.sequence < version.sequence {
                Some(before.version)
            } else {
                before.previous
            }
        });
        self.uses += 1;
        self.by_last_use.insert(self.uses, id);
        self.records.insert(
            id,
            Kept {
                version,
                previous,
                last_use: self.uses,
            },
        );
    }

    fn forget_one(&mut self) {
        if let Some((_, oldest)) = self.by_last_use.pop_first() {
            self.records.remove(&oldest);
        }
    }

    /// The record of `id` and its sequence, and that it was used.
    pub(super) fn get(&mut self, id: &NodeId) -> Option<(u64, Arc<[u8]>)> {
        let kept = self.records.get_mut(id)?;
        self.uses += 1;
        self.by_last_use.remove(&kept.last_use);
        self.by_last_use.insert(self.uses, *id);
        kept.last_use = self.uses;
        Some((kept.version.sequence, Arc::clone(&kept.version.bytes)))
    }

    /// What was stored for `id` before its present record.
    pub(super) fn previous(&self, id: &NodeId) -> Option<(u64, Arc<[u8]>)> {
        let previous = self.records.get(id)?.previous.as_ref()?;
        Some((previous.sequence, Arc::clone(&previous.bytes)))
    }

    /// The record of any node but `id`.
    pub(super) fn foreign(&self, id: &NodeId) -> Option<Arc<[u8]>> {
        self.records
            .iter()
            .find(|(other, _)| *other != id)
            .map(|(_, kept)| Arc::clone(&kept.version.bytes))
    }

    /// Enters or takes out the relay of `record`. What left is remembered for
    /// as long as a membership lasts, lest an old record bring it back.
    pub(super) fn enlist(
        &mut self,
        shard: u16,
        record: &SignedRecord,
        left: bool,
        now: Duration,
    ) -> WriteReply {
        let room = self.room;
        let Some(members) = self.shards.get_mut(usize::from(shard)) else {
            return WriteReply::Full;
        };
        let id = record.node_id();
        let version = Version::of(record);
        match members.get(&id).map(|held| held.version.judge(&version)) {
            Some(WriteReply::Stored) => {}
            Some(refusal) => return refusal,
            None => {
                if members.len() >= room.members {
                    members.retain(|_, entry| !entry.left && room.lasts(entry, now));
                }
                if members.len() >= room.members {
                    return WriteReply::Full;
                }
            }
        }
        members.insert(
            id,
            Membership {
                version,
                left,
                since: now,
            },
        );
        WriteReply::Stored
    }

    pub(super) fn members(&self, shard: u16, now: Duration) -> Vec<(NodeId, Arc<[u8]>)> {
        self.shards
            .get(usize::from(shard))
            .into_iter()
            .flatten()
            .filter(|(_, entry)| !entry.left && self.room.lasts(entry, now))
            .map(|(id, entry)| (*id, Arc::clone(&entry.version.bytes)))
            .collect()
    }
}

impl Room {
    fn lasts(&self, entry: &Membership, now: Duration) -> bool {
        now.saturating_sub(entry.since) < self.membership
    }
}

/// What the nodes said to a write.
#[derive(Default)]
pub(super) struct ReplyTally {
    stored: u32,
    newest: Option<u64>,
    conflict: bool,
    full: bool,
}

impl ReplyTally {
    pub(super) fn count(&mut self, reply: WriteReply) {
        match reply {
            WriteReply::Stored => self.stored += 1,
            WriteReply::Superseded(stored) => self.newest = self.newest.max(Some(stored)),
            WriteReply::Conflict => self.conflict = true,
            WriteReply::Full => self.full = true,
        }
    }

    /// A single node that knows better outweighs those that do not.
    pub(super) fn sum_up(self, asked: usize, room: Room) -> Result<Put, DhtError> {
        match self {
            Self {
                newest: Some(_), ..
            } => Err(DhtError::Superseded {
                stored: self.newest,
            }),
            Self { conflict: true, .. } => Err(DhtError::Conflict),
            Self { stored: 1.., .. } => Ok(Put::new(
                u32::try_from(asked).unwrap_or(u32::MAX),
                self.stored,
            )),
            Self { full: true, .. } => Err(DhtError::Full { max: room.members }),
            _ => Err(DhtError::Unreachable),
        }
    }
}

//! [`Memory`]: storage nodes within the process, and simulated faults.
//!
//! Faults are for tests: their types and methods are public only with the feature
//! `conformance`.

mod builder;
#[cfg_attr(
    not(any(test, feature = "conformance")),
    allow(dead_code, unreachable_pub)
)]
mod faults;
mod link;
mod node;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::ControlFlow;
use std::time::Instant;

use super::slots::RequestSlots;
use super::{
    Answer, Candidate, CandidateSink, DhtError, Limits, Member, MemberSink, NO_SUCH_SHARD, Put,
    RelayDht, ShardPath,
};
use crate::dht::record::SignedRecord;
use crate::relay::NodeId;
use crate::sync::unmodelled::{AtomicU64, Mutex};
use crate::sync::{Arc, Ordering};
use crate::time::Clock;
use link::{Delivery, Link};
use node::{Node, NodeLimits, ReplyTally, WriteReply};

pub use builder::MemoryBuilder;
#[cfg(not(any(test, feature = "conformance")))]
use faults::Lie;
#[cfg(any(test, feature = "conformance"))]
pub use faults::{Faults, Hang, Lie};

/// A DHT within the process: storage nodes that follow BEP 44, shared by all
/// registries that [connect](Self::connect) to it.
///
/// A node keeps the record with the highest sequence, rejects a different value
/// under the same sequence, and evicts the least recently used record when it is
/// full. Each request goes to all nodes. A read is complete if more than half of
/// the nodes answered.
///
/// Use it if all registries are in one process, and in tests. With the feature
/// `conformance`, each handle has its own `Faults`, which can be changed while it is
/// in use, and nodes can be stopped. Cloning a handle costs two reference counts;
/// clones share their faults.
///
/// ```
/// use relay_registry::dht::{Memory, RelayDht};
/// use relay_registry::NodeId;
/// use std::ops::ControlFlow;
/// use std::time::{Duration, Instant};
///
/// let dht = Memory::new();
/// let deadline = Instant::now() + Duration::from_secs(1);
/// let unknown = NodeId::from([7; 32]);
/// let answer = dht.get(&unknown, None, deadline, &mut |_| ControlFlow::Continue(()))?;
/// assert!(answer.is_complete()); // so the record is absent
/// # Ok::<(), relay_registry::dht::DhtError>(())
/// ```
#[derive(Clone)]
pub struct Memory {
    shared: Arc<Shared>,
    link: Arc<Link>,
}

/// The state that all handles of one network share.
struct Shared {
    limits: Limits,
    /// `None` for a node that is stopped.
    nodes: Vec<Mutex<Option<Node>>>,
    node_limits: NodeLimits,
    slots: RequestSlots,
    clock: Box<dyn Clock>,
    seed: u64,
    /// The number of handles so far: each has another seed.
    handles: AtomicU64,
}

/// The maximum length of a false answer in bytes: more than that of a record.
const MAX_RANDOM_BYTES: usize = 2_000;

/// How many members of one node are passed on before those of the next.
const MEMBERS_PER_TURN: usize = 256;

impl Memory {
    /// A network with the defaults of [`MemoryBuilder`]: 8 nodes.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A builder for a network.
    pub fn builder() -> MemoryBuilder {
        MemoryBuilder::default()
    }

    /// A new handle to the same network, without faults.
    #[must_use]
    pub fn connect(&self) -> Self {
        Self::new_handle(&self.shared)
    }

    fn new_handle(shared: &Arc<Shared>) -> Self {
        // Relaxed: only a unique number is needed.
        let number = shared.handles.fetch_add(1, Ordering::Relaxed);
        Self {
            shared: Arc::clone(shared),
            link: Arc::new(Link::new(shared.seed.wrapping_add(number))),
        }
    }

    /// The number of nodes, stopped ones included.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.shared.nodes.len()
    }

    /// Sends a write to every node.
    fn write(
        &self,
        record: &SignedRecord,
        deadline: Instant,
        write: impl Fn(&mut Node) -> WriteReply,
    ) -> Result<Put, DhtError> {
        self.check_size(record)?;
        self.write_all(deadline, write)
    }

    fn write_all(
        &self,
        deadline: Instant,
        write: impl Fn(&mut Node) -> WriteReply,
    ) -> Result<Put, DhtError> {
        let _slot = self.shared.slots.acquire(deadline)?;
        self.link.begin_request(deadline)?;
        let mut tally = ReplyTally::default();
        for index in self.link.random_order(self.nodes()) {
            if self.link.delivery(index) == Delivery::Lost {
                continue;
            }
            if let Some(node) = self.shared.nodes[index].lock().as_mut() {
                tally.count(write(node));
            }
        }
        tally.result(self.nodes(), self.shared.node_limits)
    }

    /// Reads from the nodes in turns: once from each node, then again from those that
    /// have more values. So a node that answers without end does not displace the
    /// others. `read_node` gets the index of a node and the delivery of the message,
    /// and returns whether the node has more values; `Break` ends the read.
    fn read(
        &self,
        deadline: Instant,
        mut read_node: impl FnMut(usize, Delivery) -> ControlFlow<(), bool>,
    ) -> Result<Answer, DhtError> {
        let _slot = self.shared.slots.acquire(deadline)?;
        self.link.begin_request(deadline)?;
        let (mut asked, mut answered) = (0, 0);
        let mut unfinished = Vec::new();
        for index in self.link.random_order(self.nodes()) {
            asked += 1;
            let delivery = self.link.delivery(index);
            if delivery == Delivery::Lost || self.shared.nodes[index].lock().is_none() {
                continue;
            }
            answered += 1;
            match read_node(index, delivery) {
                ControlFlow::Break(()) => return Ok(Answer::partial(asked, answered)),
                ControlFlow::Continue(true) => unfinished.push((index, delivery)),
                ControlFlow::Continue(false) => {}
            }
        }
        while !unfinished.is_empty() && Instant::now() < deadline {
            let mut still_unfinished = Vec::new();
            for (index, delivery) in unfinished {
                match read_node(index, delivery) {
                    ControlFlow::Break(()) => return Ok(Answer::partial(asked, answered)),
                    ControlFlow::Continue(true) => still_unfinished.push((index, delivery)),
                    ControlFlow::Continue(false) => {}
                }
            }
            unfinished = still_unfinished;
        }
        Ok(if answered > asked / 2 && unfinished.is_empty() {
            Answer::complete(asked, answered)
        } else {
            Answer::partial(asked, answered)
        })
    }

    /// The record of `id` that a node answers with, given the `delivery` of the
    /// message.
    fn version(
        &self,
        node: &Mutex<Option<Node>>,
        delivery: Delivery,
        id: &NodeId,
        newer_than: Option<u64>,
    ) -> Option<Arc<[u8]>> {
        let mut node = node.lock();
        let node = node.as_mut()?;
        match delivery {
            Delivery::Answered => node
                .get(id)
                .filter(|(sequence, _)| newer_than.is_none_or(|bound| *sequence > bound))
                .map(|(_, bytes)| bytes),
            // A stale node ignores `newer_than`.
            Delivery::AnsweredStale => node.previous(id).map(|(_, bytes)| bytes),
            Delivery::AnsweredWith(Lie::Garbage | Lie::Flood) => {
                Some(self.link.random_bytes(MAX_RANDOM_BYTES).into())
            }
            Delivery::AnsweredWith(Lie::Forged) => {
                let stored = node.get(id).map(|(_, bytes)| bytes);
                Some(self.link.flip_bit(stored.as_deref()).into())
            }
            Delivery::AnsweredWith(Lie::Foreign) => node.foreign(id),
            Delivery::AnsweredWith(Lie::Nothing) | Delivery::Lost => None,
        }
    }

    /// The members that a node answers with, given the `delivery` of the message.
    fn listed(
        &self,
        node: &Mutex<Option<Node>>,
        delivery: Delivery,
        path: ShardPath,
    ) -> Vec<(NodeId, Arc<[u8]>)> {
        let stored = || {
            node.lock()
                .as_ref()
                .map(|node| node.members(path, self.shared.clock.now()))
                .unwrap_or_default()
        };
        match delivery {
            Delivery::Answered | Delivery::AnsweredStale => stored(),
            Delivery::AnsweredWith(Lie::Garbage | Lie::Flood) => vec![self.random_member()],
            Delivery::AnsweredWith(Lie::Forged) => stored()
                .into_iter()
                .map(|(id, bytes)| (id, self.link.flip_bit(Some(&bytes)).into()))
                .collect(),
            // Each record under the node id of the next one.
            Delivery::AnsweredWith(Lie::Foreign) => {
                let (mut ids, records): (Vec<_>, Vec<_>) = stored().into_iter().unzip();
                let shift = ids.len().min(1);
                ids.rotate_left(shift);
                ids.into_iter().zip(records).collect()
            }
            Delivery::AnsweredWith(Lie::Nothing) | Delivery::Lost => Vec::new(),
        }
    }

    /// A random node id with random bytes as its record.
    fn random_member(&self) -> (NodeId, Arc<[u8]>) {
        let mut id = [0; 32];
        for (to, from) in id.iter_mut().zip(self.link.random_bytes(MAX_RANDOM_BYTES)) {
            *to = from;
        }
        (
            NodeId::from(id),
            self.link.random_bytes(MAX_RANDOM_BYTES).into(),
        )
    }

    /// Whether a node answers that a shard has divided.
    fn says_divided(
        &self,
        node: &Mutex<Option<Node>>,
        delivery: Delivery,
        path: ShardPath,
    ) -> bool {
        let stored = || {
            let now = self.shared.clock.now();
            node.lock()
                .as_ref()
                .is_some_and(|node| node.is_divided(path, now))
        };
        match delivery {
            Delivery::Answered | Delivery::AnsweredStale => stored(),
            Delivery::AnsweredWith(Lie::Nothing) | Delivery::Lost => false,
            Delivery::AnsweredWith(_) => self.link.random_bool(),
        }
    }

    fn check_size(&self, record: &SignedRecord) -> Result<(), DhtError> {
        let (size, max) = (record.value().len(), self.shared.limits.max_value);
        if size > max {
            return Err(DhtError::TooLarge { size, max });
        }
        Ok(())
    }

    fn check_path(&self, path: ShardPath) -> Result<(), DhtError> {
        match path.is_within(&self.shared.limits) {
            true => Ok(()),
            false => Err(NO_SUCH_SHARD),
        }
    }
}

impl RelayDht for Memory {
    fn limits(&self) -> Limits {
        self.shared.limits
    }

    fn put(&self, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        self.write(record, deadline, |node| node.put(record))
    }

    fn get(
        &self,
        id: &NodeId,
        newer_than: Option<u64>,
        deadline: Instant,
        sink: &mut CandidateSink<'_>,
    ) -> Result<Answer, DhtError> {
        let mut passed_on = HashSet::new();
        self.read(deadline, |index, delivery| {
            let is_flood = delivery == Delivery::AnsweredWith(Lie::Flood);
            let version = self.version(&self.shared.nodes[index], delivery, id, newer_than);
            match version {
                Some(bytes) if is_flood || passed_on.insert(Arc::clone(&bytes)) => {
                    sink(Candidate::Encoded(&bytes))?;
                }
                _ => {}
            }
            ControlFlow::Continue(is_flood)
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
        self.check_path(path)?;
        let now = self.shared.clock.now();
        self.write(record, deadline, |node| node.join(path, record, now))
    }

    fn leave_at(
        &self,
        path: ShardPath,
        tombstone: &SignedRecord,
        deadline: Instant,
    ) -> Result<Put, DhtError> {
        self.check_path(path)?;
        let now = self.shared.clock.now();
        self.write(tombstone, deadline, |node| node.leave(path, tombstone, now))
    }

    fn members_at(
        &self,
        path: ShardPath,
        deadline: Instant,
        sink: &mut MemberSink<'_>,
    ) -> Result<Answer, DhtError> {
        self.check_path(path)?;
        let mut unsent = HashMap::new();
        let mut is_divided = false;
        let answer = self.read(deadline, |index, delivery| {
            let node = &self.shared.nodes[index];
            is_divided |= self.says_divided(node, delivery, path);
            let is_flood = delivery == Delivery::AnsweredWith(Lie::Flood);
            let listed = || self.listed(node, delivery, path).into_iter();
            let mut list = unsent.remove(&index).unwrap_or_else(listed);
            for (id, bytes) in list.by_ref().take(MEMBERS_PER_TURN) {
                sink(Member {
                    node: id,
                    record: Some(Candidate::Encoded(&bytes)),
                })?;
            }
            let has_more = list.len() > 0;
            if has_more {
                unsent.insert(index, list);
            }
            ControlFlow::Continue(has_more || is_flood)
        })?;
        Ok(answer.with_divided(is_divided))
    }

    fn divide(&self, path: ShardPath, deadline: Instant) -> Result<Put, DhtError> {
        let below = path.child(false).ok_or(NO_SUCH_SHARD)?;
        self.check_path(below)?;
        let now = self.shared.clock.now();
        self.write_all(deadline, |node| node.divide(path, now))
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("limits", &self.shared.limits)
            .field("nodes", &self.nodes())
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

//! [`Memory`]: storage nodes within the process, and faults on the way to them.
//!
//! Only tests choose faults: their types and methods are public with the feature
//! `conformance` alone.

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
    RelayDht,
};
use crate::dht::record::SignedRecord;
use crate::relay::NodeId;
use crate::sync::unmodelled::{AtomicU64, Mutex};
use crate::sync::{Arc, Ordering};
use crate::time::Clock;
use link::{Delivery, Link};
use node::{Node, ReplyTally, Room, WriteReply};

pub use builder::MemoryBuilder;
#[cfg(not(any(test, feature = "conformance")))]
use faults::Lie;
#[cfg(any(test, feature = "conformance"))]
pub use faults::{Faults, Hang, Lie};

/// A DHT within the process: a few storage nodes that behave as good nodes of
/// BitTorrent's DHT do, shared by as many registries as
/// [connect](Self::connect) to it.
///
/// Each node keeps the record of the highest sequence, refuses another value
/// under the same one, and forgets the least recently used when it is full.
/// Every node is asked for everything, so what one of them misses the others
/// have. A read is complete when more than half of the nodes answered.
///
/// Use it where all registries are in one process, and in tests. With the feature
/// `conformance` every handle has its own `Faults`, which can be switched while it is in
/// use, and nodes can be stopped. A handle is cheap to clone; clones share their faults.
///
/// ```
/// use relay_registry::dht::{Memory, RelayDht};
/// use relay_registry::NodeId;
/// use std::ops::ControlFlow;
/// use std::time::{Duration, Instant};
///
/// let dht = Memory::new();
/// let deadline = Instant::now() + Duration::from_secs(1);
/// let stranger = NodeId::from([7; 32]);
/// let answer = dht.get(&stranger, None, deadline, &mut |_| ControlFlow::Continue(()))?;
/// assert!(answer.is_complete()); // so there is nothing
/// # Ok::<(), relay_registry::dht::DhtError>(())
/// ```
#[derive(Clone)]
pub struct Memory {
    net: Arc<Net>,
    link: Arc<Link>,
}

/// What all handles of one network share.
struct Net {
    limits: Limits,
    nodes: Vec<Mutex<Option<Node>>>,
    room: Room,
    slots: RequestSlots,
    clock: Box<dyn Clock>,
    seed: u64,
    handles: AtomicU64,
}

/// The longest noise that a lying node sends: longer than any record.
const MAX_NOISE: usize = 2_000;

/// How many members a node names before the others are heard.
const MEMBERS_AT_A_TIME: usize = 256;

impl Memory {
    /// A network of eight nodes with all defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// To build a network with other figures.
    pub fn builder() -> MemoryBuilder {
        MemoryBuilder::default()
    }

    /// Another handle to the same network.
    #[must_use]
    pub fn connect(&self) -> Self {
        Self::to(&self.net)
    }

    fn to(net: &Arc<Net>) -> Self {
        // Relaxed: it only tells handles apart.
        let number = net.handles.fetch_add(1, Ordering::Relaxed);
        Self {
            net: Arc::clone(net),
            link: Arc::new(Link::new(net.seed.wrapping_add(number))),
        }
    }

    /// How many nodes the network was built with.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.net.nodes.len()
    }

    /// Asks every node to write, and sums up what they say.
    fn write(
        &self,
        record: &SignedRecord,
        deadline: Instant,
        write: impl Fn(&mut Node) -> WriteReply,
    ) -> Result<Put, DhtError> {
        let (size, max) = (record.value().len(), self.net.limits.max_value);
        if size > max {
            return Err(DhtError::TooLarge { size, max });
        }
        let _turn = self.net.slots.take(deadline)?;
        self.link.pass(deadline)?;
        let mut tally = ReplyTally::default();
        for number in self.link.order(self.nodes()) {
            if self.link.delivery(number) == Delivery::Lost {
                continue;
            }
            if let Some(node) = self.net.nodes[number].lock().as_mut() {
                tally.count(write(node));
            }
        }
        tally.sum_up(self.nodes(), self.net.room)
    }

    /// Asks one node after the other, and then those again that have more to say,
    /// until `ask` breaks off: as over a network, one that talks without end keeps
    /// no other from being heard. `ask` says what the node of this number answers
    /// to a message of that delivery, and whether it has more.
    fn read(
        &self,
        deadline: Instant,
        mut ask: impl FnMut(usize, Delivery) -> ControlFlow<(), bool>,
    ) -> Result<Answer, DhtError> {
        let _turn = self.net.slots.take(deadline)?;
        self.link.pass(deadline)?;
        let (mut asked, mut answered) = (0, 0);
        let mut talking = Vec::new();
        for number in self.link.order(self.nodes()) {
            asked += 1;
            let delivery = self.link.delivery(number);
            if delivery == Delivery::Lost || self.net.nodes[number].lock().is_none() {
                continue;
            }
            answered += 1;
            match ask(number, delivery) {
                ControlFlow::Break(()) => return Ok(Answer::partial(asked, answered)),
                ControlFlow::Continue(true) => talking.push((number, delivery)),
                ControlFlow::Continue(false) => {}
            }
        }
        while !talking.is_empty() && Instant::now() < deadline {
            let mut still_talking = Vec::new();
            for (number, delivery) in talking {
                match ask(number, delivery) {
                    ControlFlow::Break(()) => return Ok(Answer::partial(asked, answered)),
                    ControlFlow::Continue(true) => still_talking.push((number, delivery)),
                    ControlFlow::Continue(false) => {}
                }
            }
            talking = still_talking;
        }
        Ok(if answered > asked / 2 && talking.is_empty() {
            Answer::complete(asked, answered)
        } else {
            Answer::partial(asked, answered)
        })
    }

    /// What a node answers for `id` when the message has this `delivery`.
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
                .filter(|(sequence, _)| newer_than.is_none_or(|least| *sequence > least))
                .map(|(_, bytes)| bytes),
            // A node that lags behind does not know that the reader is ahead.
            Delivery::AnsweredStale => node.previous(id).map(|(_, bytes)| bytes),
            Delivery::AnsweredWith(Lie::Garbage | Lie::Flood) => {
                Some(self.link.noise(MAX_NOISE).into())
            }
            Delivery::AnsweredWith(Lie::Forged) => {
                let truth = node.get(id).map(|(_, bytes)| bytes);
                Some(self.link.forge(truth.as_deref()).into())
            }
            Delivery::AnsweredWith(Lie::Foreign) => node.foreign(id),
            Delivery::AnsweredWith(Lie::Nothing) | Delivery::Lost => None,
        }
    }

    /// Whom a node lists when the message has this `delivery`.
    fn listed(
        &self,
        node: &Mutex<Option<Node>>,
        delivery: Delivery,
        shard: u16,
    ) -> Vec<(NodeId, Arc<[u8]>)> {
        let truth = || {
            node.lock()
                .as_ref()
                .map(|node| node.members(shard, self.net.clock.now()))
                .unwrap_or_default()
        };
        match delivery {
            Delivery::Answered | Delivery::AnsweredStale => truth(),
            Delivery::AnsweredWith(Lie::Garbage | Lie::Flood) => vec![self.invented()],
            Delivery::AnsweredWith(Lie::Forged) => truth()
                .into_iter()
                .map(|(id, bytes)| (id, self.link.forge(Some(&bytes)).into()))
                .collect(),
            // Everyone under the name of the next.
            Delivery::AnsweredWith(Lie::Foreign) => {
                let (mut ids, records): (Vec<_>, Vec<_>) = truth().into_iter().unzip();
                let one = ids.len().min(1);
                ids.rotate_left(one);
                ids.into_iter().zip(records).collect()
            }
            Delivery::AnsweredWith(Lie::Nothing) | Delivery::Lost => Vec::new(),
        }
    }

    /// A relay that never was.
    fn invented(&self) -> (NodeId, Arc<[u8]>) {
        let mut id = [0; 32];
        for (to, from) in id.iter_mut().zip(self.link.noise(MAX_NOISE)) {
            *to = from;
        }
        (NodeId::from(id), self.link.noise(MAX_NOISE).into())
    }

    fn check_shard(&self, shard: u16) -> Result<(), DhtError> {
        if shard < self.net.limits.shards {
            Ok(())
        } else {
            Err(NO_SUCH_SHARD)
        }
    }
}

impl RelayDht for Memory {
    fn limits(&self) -> Limits {
        self.net.limits
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
        let mut given = HashSet::new();
        self.read(deadline, |number, delivery| {
            let is_flood = delivery == Delivery::AnsweredWith(Lie::Flood);
            let version = self.version(&self.net.nodes[number], delivery, id, newer_than);
            match version {
                Some(bytes) if is_flood || given.insert(Arc::clone(&bytes)) => {
                    sink(Candidate::Encoded(&bytes))?;
                }
                _ => {}
            }
            ControlFlow::Continue(is_flood)
        })
    }

    fn join(&self, shard: u16, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        self.check_shard(shard)?;
        let now = self.net.clock.now();
        self.write(record, deadline, |node| {
            node.enlist(shard, record, false, now)
        })
    }

    fn leave(
        &self,
        shard: u16,
        tombstone: &SignedRecord,
        deadline: Instant,
    ) -> Result<Put, DhtError> {
        self.check_shard(shard)?;
        let now = self.net.clock.now();
        self.write(tombstone, deadline, |node| {
            node.enlist(shard, tombstone, true, now)
        })
    }

    fn members(
        &self,
        shard: u16,
        deadline: Instant,
        sink: &mut MemberSink<'_>,
    ) -> Result<Answer, DhtError> {
        self.check_shard(shard)?;
        let mut unsaid = HashMap::new();
        self.read(deadline, |number, delivery| {
            let is_flood = delivery == Delivery::AnsweredWith(Lie::Flood);
            let listed = || {
                self.listed(&self.net.nodes[number], delivery, shard)
                    .into_iter()
            };
            let mut list = unsaid.remove(&number).unwrap_or_else(listed);
            for (id, bytes) in list.by_ref().take(MEMBERS_AT_A_TIME) {
                sink(Member {
                    node: id,
                    record: Some(Candidate::Encoded(&bytes)),
                })?;
            }
            let has_more = list.len() > 0;
            if has_more {
                unsaid.insert(number, list);
            }
            ControlFlow::Continue(has_more || is_flood)
        })
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
            .field("limits", &self.net.limits)
            .field("nodes", &self.nodes())
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

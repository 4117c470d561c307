//! [`Faults`]: failures between a handle and the storage nodes.

use std::ops::Range;
use std::time::Duration;

#[cfg(any(test, feature = "conformance"))]
use super::{Memory, node::Node};
use crate::dht::engine::DhtError;

/// The faults of one `Memory` handle, for tests. Default: none.
///
/// A share is a probability from 0 to 1. The handle's seeded generator decides for
/// each request and node.
///
/// ```
/// use relay_registry::dht::{Faults, Lie, Memory};
///
/// let dht = Memory::new();
/// dht.set_faults(Faults::new().loss(0.3).lie(Lie::Forged, 0.5));
/// dht.set_faults(Faults::new()); // no faults again
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    pub(super) delay: Duration,
    pub(super) loss: f64,
    pub(super) stale: f64,
    pub(super) lie: Option<(Lie, f64)>,
    pub(super) partition: Option<Range<usize>>,
    pub(super) hang: Option<Hang>,
    pub(super) failure: Option<DhtError>,
    pub(super) panic: bool,
}

/// A false answer of a storage node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lie {
    /// Answers that it has no value.
    Nothing,
    /// Answers with random bytes, or lists a random node id as a member.
    Garbage,
    /// Answers with its record after flipping one bit, or with random bytes if it
    /// has no record.
    Forged,
    /// Answers with the record of another node.
    Foreign,
    /// Answers with random bytes repeatedly, until the deadline or until the sink
    /// returns `Break`.
    Flood,
}

/// When a call that hangs returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hang {
    /// At its deadline.
    UntilDeadline,
    /// This long after its deadline, against the rules of an engine.
    Past(Duration),
    /// When the faults are changed, whatever the deadline.
    UntilReleased,
}

impl Faults {
    /// No faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Delays each request by this time.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Loses this share of the messages to nodes.
    #[must_use]
    pub fn loss(mut self, share: f64) -> Self {
        self.loss = share;
        self
    }

    /// Replaces this share of answers by the value stored before the current one.
    #[must_use]
    pub fn stale(mut self, share: f64) -> Self {
        self.stale = share;
        self
    }

    /// Replaces this share of answers by a false one.
    #[must_use]
    pub fn lie(mut self, lie: Lie, share: f64) -> Self {
        self.lie = Some((lie, share));
        self
    }

    /// Makes only the nodes with these indices reachable. With an empty range, no
    /// node is reachable.
    #[must_use]
    pub fn partition(mut self, reachable: Range<usize>) -> Self {
        self.partition = Some(reachable);
        self
    }

    /// Makes calls hang. They return at the latest when the faults change.
    #[must_use]
    pub fn hang(mut self, hang: Hang) -> Self {
        self.hang = Some(hang);
        self
    }

    /// Makes every call fail with `failure`.
    #[must_use]
    pub fn fail(mut self, failure: DhtError) -> Self {
        self.failure = Some(failure);
        self
    }

    /// Makes every call panic.
    #[must_use]
    pub fn panic(mut self) -> Self {
        self.panic = true;
        self
    }
}

#[cfg(any(test, feature = "conformance"))]
impl Memory {
    /// Replaces the faults of this handle and its clones. Calls that hang return.
    pub fn set_faults(&self, faults: Faults) {
        self.link.set_faults(faults);
    }

    /// The faults of this handle.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.link.faults()
    }

    /// Stops the nodes with these indices, for all handles. Their records and
    /// members are lost.
    pub fn stop(&self, nodes: Range<usize>) {
        for node in self.shared.nodes.iter().take(nodes.end).skip(nodes.start) {
            *node.lock() = None;
        }
    }

    /// Starts the stopped nodes among those with these indices. They are empty.
    pub fn start(&self, nodes: Range<usize>) {
        for node in self.shared.nodes.iter().take(nodes.end).skip(nodes.start) {
            node.lock()
                .get_or_insert_with(|| Node::new(self.shared.node_limits));
        }
    }
}

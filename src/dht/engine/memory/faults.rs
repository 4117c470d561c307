//! What can go wrong on the way: [`Faults`].

use std::ops::Range;
use std::time::Duration;

#[cfg(any(test, feature = "conformance"))]
use super::{Memory, node::Node};
use crate::dht::engine::DhtError;

/// What goes wrong between one `Memory` handle and the nodes,
/// for tests: nothing by default.
///
/// Shares are probabilities from 0 to 1, drawn for each node and request from
/// the handle's seeded generator.
///
/// ```
/// use relay_registry::dht::{Faults, Lie, Memory};
///
/// let dht = Memory::new();
/// dht.set_faults(Faults::new().loss(0.3).lie(Lie::Forged, 0.5));
/// dht.set_faults(Faults::new()); // and all is well again
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

/// How a node lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lie {
    /// WriteReply that there is nothing.
    Nothing,
    /// Answers with noise; as members, with nodes that never were.
    Garbage,
    /// Answers with the record after one bit of it was changed, or with noise
    /// where it has none.
    Forged,
    /// Answers with the record of another node.
    Foreign,
    /// Answers with noise over and over, until the deadline or until the sink
    /// breaks off.
    Flood,
}

/// How long a call does not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hang {
    /// Until its deadline.
    UntilDeadline,
    /// Until this long after its deadline, which no engine should.
    Past(Duration),
    /// Until the faults are changed, whatever the deadline.
    UntilReleased,
}

impl Faults {
    /// Nothing goes wrong.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Each request takes this long.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// This share of messages to and from nodes is lost.
    #[must_use]
    pub fn loss(mut self, share: f64) -> Self {
        self.loss = share;
        self
    }

    /// This share of answers gives the value before the present one.
    #[must_use]
    pub fn stale(mut self, share: f64) -> Self {
        self.stale = share;
        self
    }

    /// This share of answers is a lie.
    #[must_use]
    pub fn lie(mut self, lie: Lie, share: f64) -> Self {
        self.lie = Some((lie, share));
        self
    }

    /// Only the nodes of these numbers can be reached; an empty range cuts the
    /// handle off altogether.
    #[must_use]
    pub fn partition(mut self, reachable: Range<usize>) -> Self {
        self.partition = Some(reachable);
        self
    }

    /// Calls do not come back for a while. They do when the faults change.
    #[must_use]
    pub fn hang(mut self, hang: Hang) -> Self {
        self.hang = Some(hang);
        self
    }

    /// Every call fails with this.
    #[must_use]
    pub fn fail(mut self, failure: DhtError) -> Self {
        self.failure = Some(failure);
        self
    }

    /// Every call panics.
    #[must_use]
    pub fn panic(mut self) -> Self {
        self.panic = true;
        self
    }
}

#[cfg(any(test, feature = "conformance"))]
impl Memory {
    /// Changes what goes wrong for this handle and its clones, also for calls
    /// that hang at this moment: they come back.
    pub fn set_faults(&self, faults: Faults) {
        self.link.set_faults(faults);
    }

    /// What goes wrong for this handle.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.link.faults()
    }

    /// Stops the nodes of these numbers, for all handles. What they had is
    /// lost.
    pub fn stop(&self, nodes: Range<usize>) {
        for node in self.net.nodes.iter().take(nodes.end).skip(nodes.start) {
            *node.lock() = None;
        }
    }

    /// Starts those of these nodes that are stopped, empty.
    pub fn start(&self, nodes: Range<usize>) {
        for node in self.net.nodes.iter().take(nodes.end).skip(nodes.start) {
            node.lock()
                .get_or_insert_with(|| Node::new(self.net.room, self.net.limits.shards));
        }
    }
}

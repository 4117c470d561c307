//! Building a [`Memory`] network.

use std::fmt;
use std::time::Duration;

use super::node::{Node, Room};
use super::{Limits, Memory, Net, RequestSlots};
use crate::dht::record::MAX_VALUE_LEN;
use crate::sync::Arc;
use crate::sync::unmodelled::{AtomicU64, Mutex};
use crate::time::{Clock, MonotonicClock};

/// Builds a [`Memory`] network; figures beyond reason are brought within it.
#[must_use = "a builder does nothing until it builds"]
pub struct MemoryBuilder {
    nodes: usize,
    records: usize,
    members: usize,
    limits: Limits,
    clock: Box<dyn Clock>,
    seed: u64,
}

impl Default for MemoryBuilder {
    fn default() -> Self {
        Self {
            nodes: 8,
            records: 65_536,
            members: 8_192,
            limits: Limits::new(MAX_VALUE_LEN, 16, Duration::from_secs(3_600), 8),
            clock: Box::new(MonotonicClock::new()),
            seed: 0,
        }
    }
}

impl MemoryBuilder {
    /// How many storage nodes there are, 1 to 1,000. Default: 8.
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes.clamp(1, 1_000);
        self
    }

    /// How many records each node keeps, at least 1. Default: 65,536.
    pub fn records(mut self, records: usize) -> Self {
        self.records = records.max(1);
        self
    }

    /// How many members each shard has room for, at least 1, those included
    /// that left of late. Default: 8,192.
    pub fn members(mut self, members: usize) -> Self {
        self.members = members.max(1);
        self
    }

    /// What the engine declares and keeps to; see [`Limits::clamped`]. A
    /// membership lasts for two periods of refresh. Default: records of any
    /// length, 16 requests at once, a refresh every hour, 8 shards.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits.clamped();
        self
    }

    /// By which clock memberships end. Default: the monotonic system clock.
    /// Deadlines of calls follow the system's clock all the same.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// What the random numbers of the faults start from. Default: 0.
    #[cfg(any(test, feature = "conformance"))]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Builds the network and the first handle to it.
    #[must_use]
    pub fn build(self) -> Memory {
        let room = Room {
            records: self.records,
            members: self.members,
            membership: self.limits.refresh * 2,
        };
        let nodes = (0..self.nodes)
            .map(|_| Mutex::new(Some(Node::new(room, self.limits.shards))))
            .collect();
        Memory::to(&Arc::new(Net {
            limits: self.limits,
            nodes,
            room,
            slots: RequestSlots::new(self.limits.max_in_flight),
            clock: self.clock,
            seed: self.seed,
            handles: AtomicU64::new(0),
        }))
    }
}

impl fmt::Debug for MemoryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBuilder")
            .field("nodes", &self.nodes)
            .field("limits", &self.limits)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

//! [`MemoryBuilder`].

use std::fmt;
use std::time::Duration;

use super::node::{Node, NodeLimits};
use super::{Limits, Memory, RequestSlots, Shared};
use crate::dht::record::MAX_VALUE_LEN;
use crate::sync::Arc;
use crate::sync::unmodelled::{AtomicU64, Mutex};
use crate::time::{Clock, MonotonicClock};

/// Builds a [`Memory`] network. Values out of range are clamped.
#[must_use = "a builder does nothing until it builds"]
pub struct MemoryBuilder {
    nodes: usize,
    max_records: usize,
    max_members: usize,
    limits: Limits,
    clock: Box<dyn Clock>,
    seed: u64,
}

impl Default for MemoryBuilder {
    fn default() -> Self {
        Self {
            nodes: 8,
            max_records: 65_536,
            max_members: 8_192,
            limits: Limits::new(MAX_VALUE_LEN, 16, Duration::from_secs(3_600), 8).dividing(16),
            clock: Box::new(MonotonicClock::new()),
            seed: 0,
        }
    }
}

impl MemoryBuilder {
    /// Sets the number of storage nodes, 1 to 1,000. Default: 8.
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes.clamp(1, 1_000);
        self
    }

    /// Sets how many records each node keeps, at least 1. Default: 65,536.
    pub fn records(mut self, records: usize) -> Self {
        self.max_records = records.max(1);
        self
    }

    /// Sets how many members each shard holds before it divides, at least 1. A relay that left
    /// counts until its membership would have ended. Default: 8,192.
    pub fn members(mut self, members: usize) -> Self {
        self.max_members = members.max(1);
        self
    }

    /// Sets the [clamped](Limits::clamped) limits that the engine declares and
    /// enforces. A membership lasts for two refresh intervals. Default: records of
    /// any length, 16 requests in flight, a refresh interval of 1 hour, 8 shards that divide up to
    /// 16 times.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits.clamped();
        self
    }

    /// Sets the clock by which memberships end; it does not affect the deadlines of
    /// calls. Default: the monotonic system clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Sets the seed of the random numbers that decide on faults. Default: 0.
    #[cfg(any(test, feature = "conformance"))]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Builds the network, and returns the first handle to it.
    #[must_use]
    pub fn build(self) -> Memory {
        let node_limits = NodeLimits {
            max_records: self.max_records,
            max_members: self.max_members,
            max_depth: self.limits.max_depth,
            membership_ttl: self.limits.refresh * 2,
        };
        let nodes = (0..self.nodes)
            .map(|_| Mutex::new(Some(Node::new(node_limits))))
            .collect();
        Memory::new_handle(&Arc::new(Shared {
            limits: self.limits,
            nodes,
            node_limits,
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

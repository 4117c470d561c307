//! Storage nodes within the process. All writes go through the engine.

use std::sync::Arc;

use relay_registry::NodeId;
use relay_registry::dht::{Limits, MAX_VALUE_LEN, Memory, RelayDht};

use super::Net;
use super::infiltrated::Infiltrated;
use crate::attack::AttackRecords;
use crate::error::Failure;
use crate::intervals::Intervals;

/// How many relays a shard of the directory lists before it divides: a few, so that many do.
const MAX_MEMBERS: usize = 64;

/// How many requests all nodes may have in flight together.
const MAX_IN_FLIGHT: usize = 64;

/// How often a shard may divide.
const MAX_DEPTH: u8 = 16;

pub struct MemoryNet {
    dht: Memory,
    attack_records: Arc<AttackRecords>,
}

impl MemoryNet {
    pub fn start(
        nodes: usize,
        intervals: Intervals,
        seed: u64,
        attack_records: Arc<AttackRecords>,
    ) -> Self {
        let limits =
            Limits::new(MAX_VALUE_LEN, MAX_IN_FLIGHT, intervals.refresh, 8).dividing(MAX_DEPTH);
        let dht = Memory::builder()
            .nodes(nodes)
            .limits(limits)
            .members(MAX_MEMBERS)
            .seed(seed)
            .build();
        Self {
            dht,
            attack_records,
        }
    }
}

impl Net for MemoryNet {
    fn join(&self) -> Result<Arc<dyn RelayDht>, Failure> {
        let engine = self.dht.connect();
        Ok(Arc::new(Infiltrated::new(engine, &self.attack_records)))
    }

    fn infiltrate(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn store_raw(&self, _: &NodeId, _: &[u8]) -> Option<bool> {
        None
    }

    fn kill_half(&mut self) -> Result<usize, Failure> {
        let half = self.dht.nodes() / 2;
        self.dht.stop(0..half);
        Ok(half)
    }
}

//! A raw Kademlia store within the process. Any node can write anything anywhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use relay_registry::NodeId;
use relay_registry::dht::{Kad, Network, RawKad, RawMemory, RelayDht};
use sha2::{Digest, Sha256};

use super::Net;
use super::infiltrated::Infiltrated;
use crate::attack::AttackRecords;
use crate::error::Failure;

pub struct KadNet {
    raw: RawMemory,
    network: Network,
    attack_records: Arc<AttackRecords>,
}

impl KadNet {
    pub fn start(nodes: usize, network: Network, attack_records: Arc<AttackRecords>) -> Self {
        Self {
            raw: RawMemory::new(nodes),
            network,
            attack_records,
        }
    }
}

impl Net for KadNet {
    fn join(&self) -> Result<Arc<dyn RelayDht>, Failure> {
        let engine = Kad::new(self.raw.clone(), self.network);
        Ok(Arc::new(Infiltrated::new(engine, &self.attack_records)))
    }

    fn infiltrate(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// Every node stores it in place of the valid record. The relay restores that at its next refresh.
    fn store_raw(&self, node: &NodeId, bytes: &[u8]) -> Option<bool> {
        let mut key = Sha256::new();
        key.update(b"relay.node.");
        key.update(node.as_bytes());
        let deadline = Instant::now() + Duration::from_secs(1);
        let stored = self.raw.store(key.finalize().into(), bytes, deadline);
        Some(stored.is_ok())
    }

    fn kill_half(&mut self) -> usize {
        let half = self.raw.nodes() / 2;
        self.raw.stop(0..half);
        half
    }
}

//! A raw Kademlia store within the process. Any node can write anything anywhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use relay_registry::NodeId;
use relay_registry::dht::{
    Answer, DhtError, Kad, Network, Put, RawKad, RawMemory, RelayDht, ValueSink,
};
use sha2::{Digest, Sha256};

use super::Net;
use super::infiltrated::Infiltrated;
use crate::attack::AttackRecords;
use crate::error::Failure;

/// The longest value that the engine writes: some 37 relays in a list. A packet of libp2p's Kademlia has
/// 16 KiB at most.
const MAX_VALUE: usize = 8 << 10;

pub struct KadNet {
    raw: RawMemory,
    network: Network,
    attack_records: Arc<AttackRecords>,
}

/// The store with shorter values, as over a network.
struct Packets(RawMemory);

impl RawKad for Packets {
    fn max_value(&self) -> usize {
        MAX_VALUE
    }

    fn store(&self, key: [u8; 32], value: &[u8], deadline: Instant) -> Result<Put, DhtError> {
        self.0.store(key, value, deadline)
    }

    fn find_value(
        &self,
        key: [u8; 32],
        deadline: Instant,
        sink: &mut ValueSink<'_>,
    ) -> Result<Answer, DhtError> {
        self.0.find_value(key, deadline, sink)
    }
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
        let engine = Kad::new(Packets(self.raw.clone()), self.network);
        Ok(Arc::new(Infiltrated::new(engine, &self.attack_records)))
    }

    /// Writers of one list overwrite each other, and each write takes some milliseconds of computing.
    fn writers(&self) -> usize {
        2
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

    fn kill_half(&mut self) -> Result<usize, Failure> {
        let half = self.raw.nodes() / 2;
        self.raw.stop(0..half);
        Ok(half)
    }
}

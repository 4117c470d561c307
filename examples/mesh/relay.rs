//! Relays: each a key, an address at which a service answers for it, and a registry that publishes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use relay_registry::dht::{RelayDht, SecretKey, SignedRecord};
use relay_registry::{Maintenance, NodeId, RegisterOptions, Registry};

use crate::error::Failure;
use crate::intervals::Intervals;

/// The capacity of each relay at first.
pub const CAPACITY: u32 = 100;

/// Longer than any run.
const TTL: Duration = Duration::from_secs(86_400);

/// It has no threads: it publishes when it is [driven](Self::drive).
pub struct Relay {
    id: NodeId,
    address: SocketAddr,
    registry: Registry,
}

impl Relay {
    pub fn start(
        key: &Arc<SecretKey>,
        address: SocketAddr,
        engine: Arc<dyn RelayDht>,
        intervals: &Intervals,
        seed: u64,
    ) -> Result<Self, Failure> {
        let options = intervals
            .options(seed)
            .worker_threads(0)
            .key(Arc::clone(key));
        let registry = Registry::builder()
            .max_relays(16)
            .maintenance(Maintenance::Manual)
            .dht(engine, options)
            .build()
            .map_err(Failure::registry)?;
        let relay = Self {
            id: key.node_id(),
            address,
            registry,
        };
        relay.announce(CAPACITY)?;
        Ok(relay)
    }

    pub fn id(&self) -> NodeId {
        self.id
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Registers the relay, or publishes a changed capacity.
    pub fn announce(&self, capacity: u32) -> Result<(), Failure> {
        let options = RegisterOptions::new().capacity(capacity).ttl(TTL);
        self.registry
            .register_with(self.id, self.address(), &options)
            .map(|_| ())
            .map_err(Failure::registry)
    }

    /// Unregisters the relay. It still answers probes.
    pub fn withdraw(&self) {
        self.registry.unregister(&self.id);
    }

    /// Publishes what is due, on this thread.
    pub fn drive(&self) {
        self.registry.run_distribution();
        self.registry.maintain();
    }

    /// Whether the DHT has its latest record, and the directory lists it.
    pub fn is_published(&self) -> bool {
        let dht = self.registry.stats().dht;
        dht.is_some_and(|dht| dht.published && !dht.pending)
    }

    /// Its latest record, which every node can read in the DHT.
    pub fn last_record(&self) -> Option<SignedRecord> {
        self.registry.own_record()
    }
}

/// A key that is the same for the same seed.
pub fn key(seed: u64) -> SecretKey {
    let mut bytes = [0; 32];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    SecretKey::from_seed(bytes)
}

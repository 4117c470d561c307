//! Relays: each a key, a service at an address, and a registry that publishes.

use std::net::SocketAddr;
use std::sync::Arc;

use relay_registry::dht::{SecretKey, SignedRecord};
use relay_registry::{NodeId, RegisterOptions, Registry};

use crate::error::Failure;
use crate::intervals::Intervals;
use crate::net::Net;
use crate::service::Service;

/// The capacity of each relay at first.
pub const CAPACITY: u32 = 100;

pub struct Relay {
    id: NodeId,
    service: Service,
    registry: Registry,
}

impl Relay {
    pub fn start(net: &dyn Net, intervals: Intervals, seed: u64) -> Result<Self, Failure> {
        let key = Arc::new(key(seed));
        let service = Service::start(&key).map_err(Failure::system("a relay"))?;
        let options = intervals
            .options(seed)
            .worker_threads(1)
            .key(Arc::clone(&key));
        let registry = Registry::builder()
            .max_relays(16)
            .dht(net.join()?, options)
            .build()
            .map_err(Failure::registry)?;
        let relay = Self {
            id: key.node_id(),
            service,
            registry,
        };
        relay.announce(CAPACITY)?;
        Ok(relay)
    }

    pub fn id(&self) -> NodeId {
        self.id
    }

    pub fn address(&self) -> SocketAddr {
        self.service.address()
    }

    /// Registers the relay, or publishes a changed capacity.
    pub fn announce(&self, capacity: u32) -> Result<(), Failure> {
        let options = RegisterOptions::new()
            .capacity(capacity)
            .ttl(std::time::Duration::from_secs(3_600));
        self.registry
            .register_with(self.id, self.address(), &options)
            .map(|_| ())
            .map_err(Failure::registry)
    }

    /// Unregisters the relay. It still answers probes.
    pub fn withdraw(&self) {
        self.registry.unregister(&self.id);
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

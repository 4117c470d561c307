//! The intervals of the DHT, much shorter than in production: a run takes seconds, not hours.

use std::time::Duration;

use relay_registry::dht::{DhtOptions, Network};

use crate::args::Engine;

/// The intervals of all nodes in this run.
#[derive(Clone, Copy, Debug)]
pub struct Intervals {
    pub network: Network,
    /// How often relays publish again; 15 minutes in production.
    pub refresh: Duration,
    /// How long a record is valid. Joining nodes ask again after half of it.
    pub ttl: Duration,
    /// How often joining nodes read the directory; one minute in production.
    pub sweep: Duration,
}

impl Intervals {
    /// Longer for an engine that uses sockets.
    pub fn of(engine: Engine, network: Network) -> Self {
        let seconds = match engine {
            Engine::Memory | Engine::Kad => [5.0, 60.0, 1.5],
            Engine::Mainline => [10.0, 60.0, 2.0],
        };
        let [refresh, ttl, sweep] = seconds.map(Duration::from_secs_f64);
        Self {
            network,
            refresh,
            ttl,
            sweep,
        }
    }

    pub fn options(&self, seed: u64) -> DhtOptions {
        DhtOptions::new()
            .network(self.network)
            .seed(seed)
            .record_ttl(self.ttl)
            .refresh(self.refresh)
            .sweep_interval(self.sweep)
            .debounce(Duration::from_millis(100))
            .negative_cache_ttl(Duration::from_secs(1))
            // A lost probe is soon repeated.
            .probe_interval(Duration::from_secs(20))
            .probe_deadline(Duration::from_secs(1))
            .request_deadline(Duration::from_secs(5))
            .shutdown_timeout(Duration::from_millis(500))
            // Relays publish every few seconds.
            .max_updates_per_minute(120)
            // All relays are on loopback, which is one /24.
            .trust_strangers_with_private_addresses(true)
            .max_per_ipv4_24(1_000)
    }
}

//! How often each node does what: far more often than in earnest, so that what
//! takes hours there can be seen within seconds.

use std::time::Duration;

use relay_registry::dht::{DhtOptions, Network};

use crate::args::Engine;

/// The intervals of all nodes in this run.
#[derive(Clone, Copy, Debug)]
pub struct Intervals {
    pub network: Network,
    /// How often relays say again that they are there: a quarter of an hour in
    /// earnest.
    pub refresh: Duration,
    /// For how long what they say is valid. Newcomers ask again after half of it.
    pub ttl: Duration,
    /// How often newcomers read the directory: a minute in earnest.
    pub sweep: Duration,
}

impl Intervals {
    /// Where requests go through sockets, everything takes longer.
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

    /// What a registry is told of the DHT.
    pub fn options(&self, seed: u64) -> DhtOptions {
        DhtOptions::new()
            .network(self.network)
            .seed(seed)
            .record_ttl(self.ttl)
            .refresh(self.refresh)
            .sweep_interval(self.sweep)
            .debounce(Duration::from_millis(100))
            .negative_cache_ttl(Duration::from_secs(1))
            // One that was lost is soon made up for.
            .probe_interval(Duration::from_secs(20))
            .probe_deadline(Duration::from_secs(1))
            .request_deadline(Duration::from_secs(5))
            .shutdown_timeout(Duration::from_millis(500))
            // They say something new every few seconds.
            .max_updates_per_minute(120)
            // All relays are on loopback, which is one /24.
            .trust_strangers_with_private_addresses(true)
            .max_per_ipv4_24(1_000)
    }
}

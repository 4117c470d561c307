//! How often everybody does what: far more often than in earnest, so that what
//! takes hours there can be seen within seconds.

use std::time::Duration;

use relay_registry::dht::{DhtOptions, Network};

/// How often relays say again that they are there: half an hour in earnest.
pub const REFRESH: Duration = Duration::from_secs(5);

/// For how long what they say is valid. Newcomers ask again after half of it.
pub const TTL: Duration = Duration::from_secs(20);

/// How often newcomers read the directory: a minute in earnest.
pub const SWEEP: Duration = Duration::from_millis(1_500);

/// What everybody's registry is told of the DHT.
pub fn options(network: Network, seed: u64) -> DhtOptions {
    DhtOptions::new()
        .network(network)
        .seed(seed)
        .record_ttl(TTL)
        .refresh(REFRESH)
        .sweep_interval(SWEEP)
        .debounce(Duration::from_millis(100))
        .absent_for(Duration::from_secs(1))
        .probe_deadline(Duration::from_secs(1))
        .request_deadline(Duration::from_secs(5))
        .farewell(Duration::from_millis(500))
        // They say something new every few seconds.
        .max_news_per_minute(120)
        // All relays are on loopback, which is one /24.
        .trust_strangers_with_private_addresses(true)
        .max_per_ipv4_24(1_000)
}

//! The intervals of the DHT, much shorter than in production: a run takes seconds, not hours.

use std::time::Duration;

use relay_registry::dht::{DhtOptions, Network};

use crate::args::Engine;

/// So many relays, or fewer, have the shortest intervals.
const FEW: usize = 200;

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
    /// Longer for an engine that uses sockets, and for many relays.
    pub fn of(engine: Engine, relays: usize, network: Network) -> Self {
        let seconds = match engine {
            Engine::Memory | Engine::Kad | Engine::Redis => [5.0, 1.5],
            Engine::Mainline => [10.0, 2.0],
        };
        let [refresh, sweep] = seconds.map(Duration::from_secs_f64);
        let growth = 1.0 + more_time(engine, relays).div_duration_f64(refresh);
        let refresh = refresh.mul_f64(growth);
        Self {
            network,
            refresh,
            ttl: Duration::from_secs(60).max(refresh * 4),
            sweep: sweep.mul_f64(growth),
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
            .probe_interval(Duration::from_secs(20).max(self.refresh))
            .probe_deadline(Duration::from_secs(1))
            .request_deadline(Duration::from_secs(5))
            .shutdown_timeout(Duration::from_millis(500))
            // Relays publish every few seconds.
            .max_updates_per_minute(120)
            .trust_strangers_with_private_addresses(true)
    }
}

/// The deadline of so many relays, unless another one is given.
pub fn default_deadline(engine: Engine, relays: usize) -> Duration {
    Duration::from_secs(60) + more_time(engine, relays) * 4
}

/// How much longer a refresh takes if there are many relays. Two cores need about a quarter of that to
/// publish them.
fn more_time(engine: Engine, relays: usize) -> Duration {
    let each = Duration::from_millis(match engine {
        Engine::Memory | Engine::Redis => 4,
        Engine::Kad => 25,
        Engine::Mainline => 150,
    });
    let many = relays.saturating_sub(FEW);
    each.saturating_mul(u32::try_from(many).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_grow_in_proportion_beyond_a_few_relays() {
        for engine in Engine::ALL {
            let of = |relays| Intervals::of(engine, relays, Network::default());
            let (few, many) = (of(2), of(20_000));
            assert_eq!(of(FEW).refresh, few.refresh);
            assert!(many.refresh > few.refresh * 4, "{many:?}");
            let ratio = |it: &Intervals| it.refresh.div_duration_f64(it.sweep);
            assert!((ratio(&many) - ratio(&few)).abs() < 1e-6, "{many:?}");
            assert!(many.ttl >= many.refresh * 4, "{many:?}");
            assert!(default_deadline(engine, 20_000) > many.refresh * 2);
        }
    }
}

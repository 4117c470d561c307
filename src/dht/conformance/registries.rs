//! The case that takes registries.

use std::time::Duration;

use super::Suite;
use crate::dht::engine::RelayDht;
use crate::dht::options::DhtOptions;
use crate::dht::record::SecretKey;
use crate::registry::{Maintenance, Registry};
use crate::relay::Endpoint;
use crate::sync::Arc;
use crate::time::ManualClock;

/// A quarter of the time for which records last, so that none ends by itself.
const HOUR: Duration = Duration::from_secs(3_600);

/// A registry reads all that it knows of again after half of this time, and the directory every
/// minute.
const STEPS: u32 = 120;

/// A registry without threads, at its own time.
struct Node {
    registry: Registry,
    clock: ManualClock,
}

impl Suite {
    /// A registry learns a relay from the directory, and sees that it withdraws, before it would
    /// read the relay's record again. If there is no directory, or that is a large one, then it
    /// learns the relay from its record, and sees the withdrawal when it reads that again.
    pub fn a_relay_that_withdraws_between_sweeps_is_forgotten(&self) {
        let key = SecretKey::generate().expect("a random key");
        let id = key.node_id();
        let relay = self.node(&self.writer, |options| options.key(key));
        let reader = self.node(&self.reader, |options| {
            options
                .probe(|_: &_, _: &_, _| Ok(Duration::from_millis(20)))
                .trust_strangers_with_private_addresses(true)
        });
        let endpoint = Endpoint::from(([192, 0, 2, 7], fastrand::u16(1..)));
        (relay.registry.register(id, endpoint)).expect("a relay registers");
        relay.settle();
        let is_learned = || reader.registry.is_relay(&id);
        let is_listed = reader.goes_on_until(HOUR / 8, is_learned);
        if !is_listed {
            reader.registry.request_record(&id);
            let is_found = reader.goes_on_until(HOUR / 8, is_learned);
            assert!(is_found, "a registry does not learn the relay");
        }
        relay.registry.unregister(&id);
        relay.settle();
        let leaves_its_shard = is_listed && !self.writer.limits().lazy_leave;
        let longest = if leaves_its_shard { HOUR / 4 } else { HOUR };
        let is_forgotten = reader.goes_on_until(longest, || !is_learned());
        assert!(
            is_forgotten,
            "a registry does not see that the relay withdrew"
        );
    }

    fn node(&self, dht: &Arc<dyn RelayDht>, set: impl FnOnce(DhtOptions) -> DhtOptions) -> Node {
        let options = DhtOptions::new()
            .network(self.network)
            .request_deadline(self.request_timeout.min(HOUR))
            .record_ttl(HOUR * 4)
            .refresh(HOUR / 2)
            .max_per_ipv4_24(4_096)
            .worker_threads(0);
        let clock = ManualClock::new();
        let registry = Registry::builder()
            .max_relays(4_096)
            .ttl(HOUR * 8)
            .maintenance(Maintenance::Manual)
            .clock(clock.clone())
            .dht(Arc::clone(dht), set(options))
            .build()
            .expect("a registry over the engine");
        Node { registry, clock }
    }
}

impl Node {
    fn goes_on_until(&self, longest: Duration, is_done: impl Fn() -> bool) -> bool {
        (0..STEPS).any(|_| {
            self.registry.run_distribution();
            self.registry.maintain();
            let done = is_done();
            self.clock.advance(longest / STEPS);
            done
        })
    }

    /// Publishes what is to be published.
    fn settle(&self) {
        let is_pending = || self.registry.stats().dht.is_some_and(|dht| dht.pending);
        let settled = self.goes_on_until(HOUR / 8, || !is_pending());
        assert!(
            settled,
            "a registry does not publish its relay, or its withdrawal"
        );
    }
}

//! Newcomers: registries that know one address, and find all relays.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use relay_registry::dht::DhtStats;
use relay_registry::{FindOptions, NodeId, Registry};

use crate::error::Failure;
use crate::intervals::Intervals;
use crate::net::Net;
use crate::service;

/// How often it is looked whether all were found.
const LOOK: Duration = Duration::from_millis(5);

pub struct Newcomer {
    pub registry: Registry,
    /// How long it took to be handed a relay.
    pub first: Option<Duration>,
    /// How long it took to find them all.
    pub all: Option<Duration>,
    /// How many of the relays it found.
    pub found: usize,
}

/// How newcomers look for relays.
pub struct Search {
    pub intervals: Intervals,
    pub deadline: Duration,
    pub newcomers: usize,
}

impl Search {
    /// All newcomers arrive at once, and each of them looks for these.
    pub fn by_newcomers(
        &self,
        relays: &BTreeSet<NodeId>,
        net: &dyn Net,
        seed: u64,
    ) -> Result<Vec<Newcomer>, Failure> {
        thread::scope(|scope| {
            let arrivals: Vec<_> = (0..self.newcomers as u64)
                .map(|number| {
                    let seed = seed.wrapping_add(number);
                    scope.spawn(move || self.arrive(relays, net, seed))
                })
                .collect();
            let panicked = |_| Err(Failure::registry("a newcomer panicked"));
            arrivals
                .into_iter()
                .map(|arrival| arrival.join().unwrap_or_else(panicked))
                .collect()
        })
    }

    /// The clock starts before the newcomer has so much as a socket.
    fn arrive(
        &self,
        relays: &BTreeSet<NodeId>,
        net: &dyn Net,
        seed: u64,
    ) -> Result<Newcomer, Failure> {
        let begun = Instant::now();
        let options = self
            .intervals
            .options(seed)
            .worker_threads(4)
            .probe_threads(4)
            .probe(service::probe);
        let registry = Registry::builder()
            .max_relays(1_000)
            .dht(net.join()?, options)
            .build()
            .map_err(Failure::registry)?;
        let target = NodeId::from([0xee; 32]);
        let found = registry.find_relay_wait(&target, &FindOptions::new(), self.deadline);
        let first = found.is_ok().then(|| begun.elapsed());
        let mut newcomer = Newcomer {
            registry,
            first,
            all: None,
            found: 0,
        };
        while newcomer.all.is_none() && begun.elapsed() < self.deadline {
            newcomer.found = newcomer.count(relays);
            if newcomer.found == relays.len() {
                newcomer.all = Some(begun.elapsed());
            } else {
                thread::sleep(LOOK);
            }
        }
        Ok(newcomer)
    }
}

impl Newcomer {
    fn count(&self, relays: &BTreeSet<NodeId>) -> usize {
        let is_found = |relay: &&NodeId| self.registry.is_relay(relay);
        relays.iter().filter(is_found).count()
    }

    pub fn stats(&self) -> DhtStats {
        self.registry.stats().dht.unwrap_or_default()
    }
}

//! Joining nodes: registries that know one bootstrap address, and find all relays.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use relay_registry::dht::DhtStats;
use relay_registry::{FindOptions, NodeId, Registry};

use crate::error::Failure;
use crate::intervals::Intervals;
use crate::net::Net;
use crate::service;

/// How often the relays found are counted.
const POLL: Duration = Duration::from_millis(5);

pub struct JoiningNode {
    pub registry: Registry,
    /// Time until a find returned a relay.
    pub first: Option<Duration>,
    /// Time until all relays were found.
    pub all: Option<Duration>,
    /// How many relays it found.
    pub found: usize,
}

/// How joining nodes find relays.
pub struct Search {
    pub intervals: Intervals,
    pub deadline: Duration,
    pub nodes: usize,
}

impl Search {
    /// All nodes join at once.
    pub fn by_joining_nodes(
        &self,
        relays: &BTreeSet<NodeId>,
        net: &dyn Net,
        seed: u64,
    ) -> Result<Vec<JoiningNode>, Failure> {
        thread::scope(|scope| {
            let joining: Vec<_> = (0..self.nodes as u64)
                .map(|number| {
                    let seed = seed.wrapping_add(number);
                    scope.spawn(move || self.join(relays, net, seed))
                })
                .collect();
            let panicked = |_| Err(Failure::registry("a joining node panicked"));
            joining
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(panicked))
                .collect()
        })
    }

    /// Time is measured from before the node opens a socket.
    fn join(
        &self,
        relays: &BTreeSet<NodeId>,
        net: &dyn Net,
        seed: u64,
    ) -> Result<JoiningNode, Failure> {
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
        let mut node = JoiningNode {
            registry,
            first,
            all: None,
            found: 0,
        };
        while node.all.is_none() && begun.elapsed() < self.deadline {
            node.found = node.count(relays);
            if node.found == relays.len() {
                node.all = Some(begun.elapsed());
            } else {
                thread::sleep(POLL);
            }
        }
        Ok(node)
    }
}

impl JoiningNode {
    fn count(&self, relays: &BTreeSet<NodeId>) -> usize {
        let is_found = |relay: &&NodeId| self.registry.is_relay(relay);
        relays.iter().filter(is_found).count()
    }

    pub fn stats(&self) -> DhtStats {
        self.registry.stats().dht.unwrap_or_default()
    }
}

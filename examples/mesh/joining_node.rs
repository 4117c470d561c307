//! Joining nodes: registries that know one bootstrap address, and find as many relays as they want.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use relay_registry::dht::DhtStats;
use relay_registry::{FindOptions, NodeId, Registry, RelayInfo};

use crate::error::Failure;
use crate::intervals::Intervals;
use crate::net::{Counted, Net};
use crate::outcome::Cost;
use crate::service;

/// How often the relays found are counted.
const POLL: Duration = Duration::from_millis(5);

pub struct JoiningNode {
    pub registry: Registry,
    /// Time until a find returned a relay.
    pub first: Option<Duration>,
    /// Time until it knew as many relays as it wants, and what that took.
    pub enough: Option<(Duration, Cost)>,
    /// How many relays it found, of those that it wants.
    pub found: usize,
}

/// How joining nodes find relays.
pub struct Search {
    pub intervals: Intervals,
    pub deadline: Duration,
    pub nodes: usize,
    /// How many relays there may be: a node has room for all.
    pub relays: usize,
    /// How many relays each node wants.
    pub wanted: usize,
    /// How many more it looks for: an impostor's record counts as a relay that is known, until a probe
    /// has failed.
    pub spare: usize,
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
        let engine = Arc::new(Counted::new(net.join()?));
        let room = self.relays + 100;
        let options = self
            .intervals
            .options(seed)
            .worker_threads(4)
            .probe_threads(4)
            .wanted_relays(self.wanted + self.spare)
            .max_candidates(room)
            // All relays are on loopback, which is one /24.
            .max_per_ipv4_24(room.max(1_000))
            .local_reserve(0)
            .probe(service::probe);
        let registry = Registry::builder()
            .max_relays(room)
            .dht(Arc::clone(&engine), options)
            .build()
            .map_err(Failure::registry)?;
        let target = NodeId::from([0xee; 32]);
        let found = registry.find_relay_wait(&target, &FindOptions::new(), self.deadline);
        let first = found.is_ok().then(|| begun.elapsed());
        let mut node = JoiningNode {
            registry,
            first,
            enough: None,
            found: 0,
        };
        while node.enough.is_none() && begun.elapsed() < self.deadline {
            node.found = node.count(relays).min(self.wanted);
            if node.found == self.wanted {
                node.enough = Some((begun.elapsed(), engine.cost()));
            } else {
                thread::sleep(POLL);
            }
        }
        Ok(node)
    }
}

impl JoiningNode {
    fn count(&self, relays: &BTreeSet<NodeId>) -> usize {
        let known = self.registry.relays();
        let is_found = |relay: &&RelayInfo| relays.contains(&relay.node_id());
        known.iter().filter(is_found).count()
    }

    pub fn stats(&self) -> DhtStats {
        self.registry.stats().dht.unwrap_or_default()
    }
}

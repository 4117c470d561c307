//! The ground truth: which relays exist, and which false ones the joining nodes held.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use relay_registry::{Endpoint, FindOptions, NodeId, Registry};

use crate::args::MAX_RELAYS;

pub struct GroundTruth {
    relays: BTreeMap<NodeId, Endpoint>,
    /// Each joining node that held a false relay, with the id of that relay.
    false_relays: BTreeSet<(usize, NodeId)>,
}

impl GroundTruth {
    pub fn of(relays: impl IntoIterator<Item = (NodeId, SocketAddr)>) -> Self {
        Self {
            relays: relays
                .into_iter()
                .map(|(id, address)| (id, Endpoint::from(address)))
                .collect(),
            false_relays: BTreeSet::new(),
        }
    }

    /// Notes relays in this registry that do not exist or have another endpoint.
    pub fn check(&mut self, node: usize, registry: &Registry) {
        for relay in registry.relays() {
            let id = relay.node_id();
            if self.relays.get(&id) != Some(relay.endpoint()) {
                self.false_relays.insert((node, id));
            }
        }
    }

    pub fn false_relays(&self) -> usize {
        self.false_relays.len()
    }
}

/// Whether a registry hands out this relay.
pub fn hands_out(registry: &Registry, relay: &NodeId) -> bool {
    // A find of all relays takes long if there are many.
    if !registry.is_relay(relay) {
        return false;
    }
    let target = NodeId::from([0xee; 32]);
    let all = FindOptions::new().max_results(MAX_RELAYS);
    registry
        .find_relays(&target, &all)
        .iter()
        .any(|found| found.node_id() == *relay)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn unknown_relays_and_wrong_endpoints_are_noted() {
        let [here, moved, unknown] = [1, 2, 3].map(|n| NodeId::from([n; 32]));
        let mut ground_truth = GroundTruth::of([(here, at(1)), (moved, at(2))]);
        let registry = Registry::new();
        for (id, port) in [(here, 1), (moved, 9), (unknown, 3)] {
            registry.register(id, at(port)).expect("there is room");
        }
        ground_truth.check(0, &registry);
        ground_truth.check(0, &registry);
        assert_eq!(ground_truth.false_relays(), 2);
        assert!(hands_out(&registry, &unknown));
        registry.unregister(&unknown);
        assert!(!hands_out(&registry, &unknown));
    }
}

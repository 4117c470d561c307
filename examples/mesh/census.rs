//! Who is a relay in truth, and what newcomers believe beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use relay_registry::{Endpoint, FindOptions, NodeId, Registry};

/// The relays there are, and every false belief that was ever seen.
pub struct Census {
    relays: BTreeMap<NodeId, Endpoint>,
    /// Which newcomer held whom.
    strays: BTreeSet<(usize, NodeId)>,
}

impl Census {
    pub fn of(relays: impl IntoIterator<Item = (NodeId, SocketAddr)>) -> Self {
        Self {
            relays: relays
                .into_iter()
                .map(|(id, address)| (id, Endpoint::from(address)))
                .collect(),
            strays: BTreeSet::new(),
        }
    }

    /// Looks for relays that are none, or are elsewhere.
    pub fn look_for_strays(&mut self, newcomer: usize, registry: &Registry) {
        for relay in registry.relays() {
            let id = relay.node_id();
            if self.relays.get(&id) != Some(relay.endpoint()) {
                self.strays.insert((newcomer, id));
            }
        }
    }

    pub fn strays(&self) -> usize {
        self.strays.len()
    }
}

/// Whether a registry hands out this relay.
pub fn hands_out(registry: &Registry, relay: &NodeId) -> bool {
    let stranger = NodeId::from([0xee; 32]);
    let all = FindOptions::new().max_results(1_000);
    registry
        .find_relays(&stranger, &all)
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
    fn strangers_and_those_who_are_elsewhere_are_strays() {
        let [here, elsewhere, stranger] = [1, 2, 3].map(|n| NodeId::from([n; 32]));
        let mut census = Census::of([(here, at(1)), (elsewhere, at(2))]);
        let registry = Registry::new();
        for (id, port) in [(here, 1), (elsewhere, 9), (stranger, 3)] {
            registry.register(id, at(port)).expect("there is room");
        }
        census.look_for_strays(0, &registry);
        census.look_for_strays(0, &registry);
        assert_eq!(census.strays(), 2);
        assert!(hands_out(&registry, &stranger));
        registry.unregister(&stranger);
        assert!(!hands_out(&registry, &stranger));
    }
}

//! Relays as the page lists them.

use relay_registry::{CircuitState, Coordinate, NodeId, Registry, RelayInfo};
use serde::Serialize;

#[derive(Serialize)]
pub struct Relays {
    /// How many relays there are, if not all are listed.
    pub total: usize,
    pub relays: Vec<Row>,
}

#[derive(Serialize)]
pub struct Row {
    id: NodeId,
    endpoint: String,
    state: &'static str,
    tier: u8,
    cost: f64,
    capacity: u32,
    load: u32,
    utilisation: f64,
    rtt_seconds: Option<f64>,
    circuit: CircuitState,
    failure_domain: Option<String>,
    labels: Vec<String>,
    coordinate: Option<Coordinate>,
    expires_in_seconds: f64,
}

/// The first relays in the order of their ids, `most` at most. Visits all records.
pub fn all(registry: &Registry, most: usize) -> Relays {
    let mut relays = registry.relays();
    relays.sort_unstable_by_key(RelayInfo::node_id);
    Relays {
        total: relays.len(),
        relays: relays
            .iter()
            .take(most)
            .map(|relay| Row::of(registry, relay))
            .collect(),
    }
}

impl Row {
    fn of(registry: &Registry, relay: &RelayInfo) -> Self {
        Self {
            id: relay.node_id(),
            endpoint: relay.endpoint().to_string(),
            state: state(relay),
            tier: relay.tier(),
            cost: relay.cost(),
            capacity: relay.capacity(),
            load: relay.current_load(),
            utilisation: f64::from(relay.current_load()) / f64::from(relay.capacity().max(1)),
            rtt_seconds: relay.latency().map(|rtt| rtt.as_secs_f64()),
            circuit: relay.circuit(),
            failure_domain: relay.failure_domain().map(str::to_owned),
            labels: relay.labels().map(str::to_owned).collect(),
            // The latest one, which the next merge brings to searches if it is precise enough.
            coordinate: registry.relay_coordinate(&relay.node_id()),
            expires_in_seconds: relay.expires_in().as_secs_f64(),
        }
    }
}

/// In the words and the order of `RelayStates`.
fn state(relay: &RelayInfo) -> &'static str {
    if relay.is_banned() {
        "banned"
    } else if relay.circuit() == CircuitState::Open {
        "failing"
    } else if relay.is_draining() {
        "draining"
    } else if relay.current_load() >= relay.capacity() {
        "full"
    } else {
        "eligible"
    }
}

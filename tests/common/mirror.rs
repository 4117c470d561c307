//! A copy of a registry's relays that follows its events.

use relay_registry::{
    CircuitState, Endpoint, Event, Events, NatType, NodeId, RecvError, Registry, RelayInfo,
};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// What of a relay changes with an event only.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    endpoint: Endpoint,
    capacity: u32,
    registered_at: SystemTime,
    ttl: Duration,
    tier: u8,
    cost: f64,
    labels: Vec<String>,
    also_at: Vec<Endpoint>,
    payload: Option<Vec<u8>>,
    failure_domain: Option<String>,
    nat: Option<NatType>,
    is_draining: bool,
    is_failing: bool,
}

impl Standing {
    pub fn of(relay: &RelayInfo) -> Self {
        Self {
            endpoint: relay.endpoint().clone(),
            capacity: relay.capacity(),
            registered_at: relay.registered_at(),
            ttl: relay.ttl(),
            tier: relay.tier(),
            cost: relay.cost(),
            labels: relay.labels().map(str::to_owned).collect(),
            also_at: relay.also_at().to_vec(),
            payload: relay.payload().map(<[u8]>::to_vec),
            failure_domain: relay.failure_domain().map(str::to_owned),
            nat: relay.nat(),
            is_draining: relay.is_draining(),
            is_failing: relay.circuit() != CircuitState::Closed,
        }
    }
}

pub type Standings = BTreeMap<NodeId, Standing>;

pub fn standings(registry: &Registry) -> Standings {
    let relays = registry.relays();
    let standing = |relay: &RelayInfo| (relay.node_id(), Standing::of(relay));
    relays.iter().map(standing).collect()
}

pub struct Mirror {
    events: Events,
    pub relays: Standings,
    /// How many events were missed.
    pub missed: u64,
}

impl Mirror {
    pub fn of(registry: &Registry) -> Self {
        let events = registry.events();
        Self {
            relays: standings(registry),
            events,
            missed: 0,
        }
    }

    /// Applies all events that there are.
    pub fn follow(&mut self, registry: &Registry) {
        loop {
            match self.events.try_recv() {
                Ok(event) => self.apply(&event, registry),
                Err(RecvError::Empty | RecvError::Closed) => return,
            }
        }
    }

    fn apply(&mut self, event: &Event, registry: &Registry) {
        match event {
            Event::Missed(missed) => {
                self.missed += missed;
                self.relays = standings(registry);
            }
            Event::Left { id, .. } | Event::Expired { id, .. } => _ = self.relays.remove(id),
            _ => {
                let relay = event.relay();
                let standing = relay.map(|relay| (relay.node_id(), Standing::of(relay)));
                self.relays.extend(standing);
            }
        }
    }
}

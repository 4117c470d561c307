//! [`Protocols`]: what a node speaks.

use std::time::Duration;

use libp2p::identity::Keypair;
use libp2p::kad::Mode;
use libp2p::relay::client;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{Swarm, SwarmBuilder, identify, noise, ping, relay, tcp, yamux};
use relay_registry::Registry;

use super::{NodeConfig, RelayConfig, StartError, keep_alive};
use crate::autorelay;
use crate::ids::node_of;
use crate::kademlia::{self, Kademlia};

/// The protocol version that `identify` states.
const IDENTIFY: &str = "/relay-registry/1.0.0";

/// How long a circuit may last, and how much it may carry. (libp2p's defaults are two minutes
/// and 128 KiB: relays are meant for hole punching.)
const MAX_CIRCUIT: (Duration, u64) = (Duration::from_secs(3_600), 1 << 30);

#[derive(NetworkBehaviour)]
pub(super) struct Protocols {
    pub(super) identify: identify::Behaviour,
    pub(super) ping: ping::Behaviour,
    pub(super) kad: Kademlia,
    pub(super) relay: Toggle<relay::Behaviour>,
    pub(super) relay_client: client::Behaviour,
    pub(super) autorelay: Toggle<autorelay::Behaviour>,
    pub(super) keep_alive: keep_alive::Behaviour,
}

/// A swarm over TCP, Noise and Yamux, and over relays.
pub(super) fn swarm(
    keypair: Keypair,
    config: &NodeConfig,
    registry: &Registry,
) -> Result<Swarm<Protocols>, StartError> {
    let autorelay = config.autorelay.clone().map(|mut autorelay| {
        autorelay.max_silence = config.timing.max_silence;
        autorelay::Behaviour::new(registry.clone(), autorelay)
    });
    let autorelay = autorelay.transpose()?;
    let tcp = tcp::Config::new().nodelay(true);
    let idle = config.timing.idle;
    let transport = |error: &dyn std::error::Error| StartError::Transport(error.to_string());
    let swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp, noise::Config::new, yamux::Config::default)
        .map_err(|error| transport(&error))?
        .with_relay_client(noise::Config::new, yamux::Config::default)
        .map_err(|error| transport(&error))?
        .with_behaviour(|key, client| protocols(key, client, config, autorelay))
        .unwrap_or_else(|never| match never {})
        .with_swarm_config(|swarm| swarm.with_idle_connection_timeout(idle))
        .build();
    Ok(swarm)
}

fn protocols(
    keypair: &Keypair,
    relay_client: client::Behaviour,
    config: &NodeConfig,
    autorelay: Option<autorelay::Behaviour>,
) -> Protocols {
    let local = keypair.public().to_peer_id();
    let mut kad = kademlia::behaviour(local, config.timing.request);
    let mode = match config.stores_records {
        true => Mode::Server,
        false => Mode::Client,
    };
    kad.set_mode(Some(mode));
    let identify = identify::Config::new(IDENTIFY.to_owned(), keypair.public());
    let ping = ping::Config::new()
        .with_interval(config.timing.ping)
        // An answer that is late is one. Silence is measured elsewhere.
        .with_timeout(config.timing.max_silence / 2);
    let relay = config.relay.as_ref().map(|relay| {
        let mut relay = relay::Behaviour::new(local, relay_config(relay));
        // libp2p would wait until the external address is confirmed.
        relay.set_status(Some(relay::Status::Enable));
        relay
    });
    Protocols {
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping),
        kad,
        relay: relay.into(),
        relay_client,
        autorelay: autorelay.into(),
        keep_alive: keep_alive::Behaviour,
    }
}

/// Without rate limits by address: all peers of a demonstration have one.
fn relay_config(relay: &RelayConfig) -> relay::Config {
    let (max_circuit_duration, max_circuit_bytes) = MAX_CIRCUIT;
    relay::Config {
        max_reservations: relay.max_reservations,
        max_reservations_per_peer: 2,
        reservation_duration: relay.reservation_duration,
        reservation_rate_limiters: Vec::new(),
        max_circuits: relay.max_reservations.saturating_mul(4),
        max_circuits_per_peer: 16,
        max_circuit_duration,
        max_circuit_bytes,
        circuit_src_rate_limiters: Vec::new(),
    }
}

impl Protocols {
    /// Records the round trip to a relay, and tells the reservations of a ping.
    pub(super) fn on_ping(&mut self, event: &ping::Event, registry: &Registry) {
        match (self.autorelay.as_mut(), &event.result, node_of(&event.peer)) {
            (Some(autorelay), _, _) => autorelay.on_ping(event),
            (None, Ok(rtt), Some(node)) => {
                registry.record_rtt(&node, *rtt);
            }
            _ => {}
        }
    }
}

//! The registry of a node, over Kademlia: its engine, its probe, and its own relay.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use libp2p::PeerId;
use relay_registry::dht::{DhtOptions, Kad, ProbeError};
use relay_registry::{
    AddressPolicy, BuildError, Endpoint, NodeId, RegisterError, RegisterOptions, Registry,
};
use tokio::sync::mpsc::{self, error::TrySendError};

use super::task::Command;
use super::{NodeConfig, RelayConfig};
use crate::ids::address_of;
use crate::kademlia::{KademliaClient, Progress, Request, SendError, circuits};

/// How long the registration of this node's own relay lasts. It is renewed in time.
const OWN_TTL: Duration = Duration::from_secs(600);

/// How long a look-up of circuit addresses may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// The maximum number of values of one look-up: one of each storage node.
const MAX_VALUES: usize = 64;

/// A registry that publishes and learns through the task of the swarm.
pub(super) fn registry(
    config: &NodeConfig,
    commands: &mpsc::Sender<Command>,
) -> Result<Registry, BuildError> {
    let builder = Registry::builder()
        .local_id(config.key.node_id())
        .address_policy(AddressPolicy::Any);
    if !config.learns && config.relay.is_none() {
        return builder.build();
    }
    let raw = client(commands, config.timing.refresh);
    let engine = Kad::new(raw, config.network).with_shards(config.shards);
    builder.dht(engine, options(config, commands)).build()
}

/// A raw store that sends its requests to the task of the swarm.
pub(super) fn client(commands: &mpsc::Sender<Command>, refresh: Duration) -> KademliaClient {
    let commands = commands.clone();
    let send = move |request| {
        let sent = commands.try_send(Command::Query(request));
        sent.map_err(|error| match error {
            TrySendError::Full(_) => SendError::Full,
            TrySendError::Closed(_) => SendError::Closed,
        })
    };
    KademliaClient::new(send, refresh)
}

fn options(config: &NodeConfig, commands: &mpsc::Sender<Command>) -> DhtOptions {
    let timing = &config.timing;
    let mut options = DhtOptions::new()
        .key(config.key.clone())
        .network(config.network)
        .sweep_interval(timing.sweep)
        .probe_interval(timing.probe)
        .request_deadline(timing.request)
        .debounce(Duration::from_millis(50))
        .learned_tier(0)
        .worker_threads(1)
        // With fewer, some relays at once are more than can be probed in an interval, and then a
        // first probe gets a quarter of its time: too little on a busy machine.
        .probe_threads(4)
        // All nodes are on this machine.
        .trust_strangers_with_private_addresses(true)
        .max_per_ipv4_24(256);
    if config.learns {
        let commands = commands.clone();
        options = options.probe(move |relay: &NodeId, endpoint: &Endpoint, deadline| {
            probe(&commands, relay, endpoint, deadline)
        });
    }
    options
}

/// Connects to the relay, and waits until it said that it relays, and answered a ping.
fn probe(
    commands: &mpsc::Sender<Command>,
    relay: &NodeId,
    endpoint: &Endpoint,
    timeout: Duration,
) -> Result<Duration, ProbeError> {
    let address = address_of(relay, endpoint).ok_or(ProbeError::Refused)?;
    let (reply, answer) = sync_channel(1);
    let command = Command::Probe {
        address,
        deadline: Instant::now() + timeout,
        reply,
    };
    let sent = commands.try_send(command);
    sent.map_err(|_| ProbeError::Unreachable)?;
    let answer = answer.recv_timeout(timeout);
    answer.unwrap_or(Err(ProbeError::Unreachable))
}

/// Registers the relay of this node, which the registry then publishes.
pub(super) fn register(
    registry: &Registry,
    config: &NodeConfig,
    relay: &RelayConfig,
    listen: SocketAddr,
) -> Result<(), RegisterError> {
    let capacity = u32::try_from(relay.max_reservations).unwrap_or(u32::MAX);
    let mut options = RegisterOptions::new()
        .capacity(capacity.max(1))
        .ttl(OWN_TTL);
    if let Some(domain) = &relay.failure_domain {
        options = options.failure_domain(domain.as_str());
    }
    registry.register_with(config.key.node_id(), listen, &options)?;
    Ok(())
}

/// The relays at which `peer` says that it has a reservation.
pub(super) async fn relays_of(commands: &mpsc::Sender<Command>, peer: PeerId) -> Vec<PeerId> {
    let (sender, mut receiver) = mpsc::channel(MAX_VALUES);
    let request = Request::Find {
        key: circuits::key_of(&peer),
        deadline: Instant::now() + LOOKUP_TIMEOUT,
        report: Box::new(move |progress| {
            let sent = match progress {
                Progress::Value(value) => sender.try_send(value).is_ok(),
                Progress::Done { .. } => false,
            };
            match sent {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        }),
    };
    if commands.send(Command::Query(request)).await.is_err() {
        return Vec::new();
    }
    let mut values = Vec::new();
    // It ends when the query does, which drops the sender.
    while let Some(value) = receiver.recv().await {
        values.push(value);
    }
    circuits::newest_relays(&peer, &values)
}

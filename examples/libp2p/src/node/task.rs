//! [`Task`]: the task that runs the swarm of a node.

use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use futures::StreamExt;
use libp2p::kad::{self, InboundRequest};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, identify, ping};
use relay_registry::{NodeId, Registry};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::circuit::{Circuits, DialFailure, Reply};
use super::probes::{ProbeReply, Probes, probe_error};
use super::protocols::{Protocols, ProtocolsEvent};
use super::{NodeConfig, Status};
use crate::autorelay;
use crate::ids::relay_of;
use crate::kademlia::{self, PROTOCOL, Progress, Queries, Request, StorageNode, circuits};

/// How often deadlines are checked.
const TICK: Duration = Duration::from_millis(200);

/// The wait before circuit addresses are stored again if no storage node confirmed them.
const RETRY: Duration = Duration::from_secs(1);

/// What the task is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// A query of the DHT.
    Query(Request),
    /// The check of a relay that the registry learned.
    Probe {
        address: Multiaddr,
        deadline: Instant,
        reply: ProbeReply,
    },
    /// A connection to a peer through a relay.
    Dial {
        address: Multiaddr,
        peer: PeerId,
        deadline: Instant,
        reply: Reply,
    },
    /// The end of all connections to a peer.
    Disconnect(PeerId),
}

pub(super) struct Task {
    swarm: Swarm<Protocols>,
    keypair: libp2p::identity::Keypair,
    registry: Registry,
    /// This node, if it relays.
    own_relay: Option<NodeId>,
    commands: mpsc::Receiver<Command>,
    status: watch::Sender<Status>,
    events: broadcast::Sender<autorelay::Event>,
    storage: Option<StorageNode>,
    queries: Queries,
    probes: Probes,
    circuits: Circuits,
    publisher: Publisher,
    ticks: Interval,
    /// After how many ticks without an answer a circuit counts as dead.
    max_silent_ticks: u32,
}

/// When the circuit addresses of this node are stored next.
struct Publisher {
    refresh: Duration,
    next: Option<Instant>,
    /// Counts the changes of the addresses, so that the result of an earlier one is known as such.
    version: u64,
    results: (mpsc::Sender<Published>, mpsc::Receiver<Published>),
}

/// So many storage nodes confirmed the addresses of this version.
struct Published {
    version: u64,
    stored: u32,
}

impl Task {
    pub(super) fn new(
        mut swarm: Swarm<Protocols>,
        config: &NodeConfig,
        registry: Registry,
        commands: mpsc::Receiver<Command>,
        (status, events): (watch::Sender<Status>, broadcast::Sender<autorelay::Event>),
    ) -> Self {
        let kad = &mut swarm.behaviour_mut().kad;
        for address in &config.bootstrap {
            if let Some(Protocol::P2p(peer)) = address.iter().last() {
                kad.add_address(&peer, address.clone());
            }
        }
        // It fails if there is no address, as for the first node.
        let _ = kad.bootstrap();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            swarm,
            keypair: crate::ids::keypair_of(&config.key),
            registry,
            own_relay: config.relay.as_ref().map(|_| config.key.node_id()),
            commands,
            status,
            events,
            storage: config
                .stores_records
                .then(|| StorageNode::new(config.network, config.shards, config.timing.refresh)),
            queries: Queries::default(),
            probes: Probes::default(),
            circuits: Circuits::default(),
            publisher: Publisher {
                refresh: config.timing.refresh,
                next: None,
                version: 0,
                results: mpsc::channel(8),
            },
            ticks,
            max_silent_ticks: config.timing.max_silence.div_duration_f64(TICK) as u32,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                command = self.commands.recv() => match command {
                    Some(command) => self.on_command(command),
                    None => return,
                },
                Some(published) = self.publisher.results.1.recv() => self.on_published(&published),
                _ = self.ticks.tick() => self.on_tick(),
            }
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Query(request) => {
                self.queries
                    .start(&mut self.swarm.behaviour_mut().kad, request);
            }
            Command::Probe {
                address,
                deadline,
                reply,
            } => self.probe(address, deadline, reply),
            Command::Dial {
                address,
                peer,
                deadline,
                reply,
            } => self.dial(address, peer, deadline, reply),
            Command::Disconnect(peer) => {
                let _ = self.swarm.disconnect_peer_id(peer);
            }
        }
    }

    fn probe(&mut self, address: Multiaddr, deadline: Instant, reply: ProbeReply) {
        let Some(Protocol::P2p(peer)) = address.iter().last() else {
            return;
        };
        let (id, dialled) = self.connect(peer, address);
        match dialled {
            Ok(()) => self.probes.start(id, reply, deadline),
            Err(error) => {
                let _ = reply.try_send(Err(probe_error(&error)));
            }
        }
    }

    fn dial(&mut self, address: Multiaddr, peer: PeerId, deadline: Instant, reply: Reply) {
        let (id, dialled) = self.connect(peer, address);
        match dialled {
            Ok(()) => self.circuits.dial(id, peer, deadline, reply),
            Err(error) => {
                let _ = reply.send(Err(DialFailure::of(&error)));
            }
        }
    }

    /// Dials a new connection, also if there is one.
    fn connect(
        &mut self,
        peer: PeerId,
        address: Multiaddr,
    ) -> (ConnectionId, Result<(), DialError>) {
        let opts = DialOpts::peer_id(peer)
            .condition(PeerCondition::Always)
            .addresses(vec![address])
            .build();
        (opts.connection_id(), self.swarm.dial(opts))
    }

    fn on_event(&mut self, event: SwarmEvent<ProtocolsEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_protocol(event),
            SwarmEvent::NewListenAddr { address, .. } => self.on_listening(address),
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                error,
                ..
            } => {
                self.probes.on_failed(connection_id, &error);
                self.circuits
                    .on_failed(connection_id, DialFailure::of(&error));
            }
            SwarmEvent::ConnectionClosed { connection_id, .. } => {
                self.probes.on_closed(connection_id);
                self.circuits.on_closed(connection_id);
            }
            SwarmEvent::ExternalAddrConfirmed { .. } | SwarmEvent::ExternalAddrExpired { .. } => {
                self.on_addresses_changed();
            }
            _ => {}
        }
    }

    fn on_protocol(&mut self, event: ProtocolsEvent) {
        match event {
            ProtocolsEvent::Identify(event) => self.on_identify(event),
            ProtocolsEvent::Ping(event) => {
                self.on_ping(&event);
            }
            ProtocolsEvent::Kad(event) => self.on_kad(event),
            ProtocolsEvent::Autorelay(event) => self.on_autorelay(event),
            ProtocolsEvent::Relay(_) | ProtocolsEvent::RelayClient(_) => {}
            ProtocolsEvent::KeepAlive(never) => match never {},
        }
    }

    fn on_ping(&mut self, event: &ping::Event) {
        if let Ok(rtt) = event.result {
            self.probes.on_ping(event.connection, rtt);
            self.circuits.on_answer(event.connection, rtt);
        }
        self.swarm.behaviour_mut().on_ping(event, &self.registry);
    }

    fn on_identify(&mut self, event: identify::Event) {
        let identify::Event::Received {
            connection_id,
            peer_id,
            info,
        } = event
        else {
            return;
        };
        self.probes.on_identified(connection_id, &info.protocols);
        if info.protocols.contains(&PROTOCOL) {
            let kad = &mut self.swarm.behaviour_mut().kad;
            kademlia::learn(kad, &peer_id, info.listen_addrs);
        }
    }

    fn on_kad(&mut self, event: kad::Event) {
        let kad = &mut self.swarm.behaviour_mut().kad;
        match event {
            kad::Event::InboundRequest {
                request:
                    InboundRequest::PutRecord {
                        record: Some(record),
                        source,
                        ..
                    },
            } => {
                let Some(storage) = &self.storage else {
                    return;
                };
                if let Err(reason) = storage.put(kad.store_mut(), record) {
                    tracing::debug!(%source, %reason, "a record was rejected");
                }
            }
            event => self.queries.on_event(kad, event),
        }
    }

    fn on_autorelay(&mut self, event: autorelay::Event) {
        tracing::debug!(?event, "reservations");
        let reservations = self.swarm.behaviour().autorelay.as_ref();
        let reservations = reservations.map(autorelay::Behaviour::reservations);
        self.status
            .send_modify(|status| status.reservations = reservations.unwrap_or_default());
        // It fails if there is no subscriber.
        let _ = self.events.send(event);
    }

    fn on_listening(&mut self, address: Multiaddr) {
        let Some(listen) = socket_addr(&address) else {
            return;
        };
        // A relay without an external address gives reservations without an address, which
        // clients reject.
        self.swarm.add_external_address(address);
        self.status
            .send_modify(|status| status.listen = Some(listen));
    }

    fn on_addresses_changed(&mut self) {
        let external: Vec<_> = self.swarm.external_addresses().cloned().collect();
        self.status.send_modify(|status| {
            status.external = external;
            status.published = 0;
        });
        if self.swarm.behaviour().autorelay.is_enabled() {
            self.publisher.version += 1;
            self.publisher.next = Some(Instant::now());
            self.publish_if_due();
        }
    }

    fn on_tick(&mut self) {
        let now = Instant::now();
        self.queries
            .expire(&mut self.swarm.behaviour_mut().kad, now);
        self.probes.expire(now);
        for connection in self.circuits.tick(now, self.max_silent_ticks) {
            self.swarm.close_connection(connection);
        }
        if let Some(own) = &self.own_relay {
            // A renewal that changes nothing is one write.
            let _ = self.registry.renew(own);
        }
        self.publish_if_due();
    }

    /// Stores the circuit addresses of this node in the DHT.
    fn publish_if_due(&mut self) {
        let now = Instant::now();
        if self.publisher.next.is_none_or(|next| next > now) {
            return;
        }
        self.publisher.next = Some(now + self.publisher.refresh);
        let addresses = self.swarm.external_addresses();
        let addresses = addresses.filter(|address| relay_of(address).is_some());
        let Ok(value) = circuits::sign(&self.keypair, addresses.cloned().collect()) else {
            return;
        };
        let (results, version) = (self.publisher.results.0.clone(), self.publisher.version);
        let request = Request::Store {
            key: circuits::key_of(self.swarm.local_peer_id()),
            value,
            deadline: now + Duration::from_secs(5),
            report: Box::new(move |progress| {
                if let Progress::Done { answered, .. } = progress {
                    let stored = answered;
                    let _ = results.try_send(Published { version, stored });
                }
                ControlFlow::Continue(())
            }),
        };
        self.queries
            .start(&mut self.swarm.behaviour_mut().kad, request);
    }

    fn on_published(&mut self, published: &Published) {
        if published.version != self.publisher.version {
            return;
        }
        if published.stored == 0 {
            self.publisher.next = Some(Instant::now() + RETRY);
        }
        let stored = published.stored;
        self.status.send_modify(|status| status.published = stored);
    }
}

fn socket_addr(address: &Multiaddr) -> Option<SocketAddr> {
    let mut protocols = address.iter();
    let ip = match protocols.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    match (protocols.next()?, protocols.next()) {
        (Protocol::Tcp(port), None) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

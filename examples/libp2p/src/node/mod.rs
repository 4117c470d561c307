//! [`Node`]: a node of a network of relays, in any role.
//!
//! The swarm runs in a task of its own. The registry's threads, and the methods of [`Node`],
//! send it commands.

mod circuit;
mod config;
mod directory;
mod keep_alive;
mod probes;
mod protocols;
mod task;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId, TransportError};
use relay_registry::{BuildError, RegisterError, Registry};
use thiserror::Error;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::autorelay;
use crate::ids::tcp_address;
use crate::kademlia::KademliaClient;
pub use circuit::{Circuit, DialFailure, Ended};
pub use config::{NodeConfig, RelayConfig, Timing};
pub(crate) use task::Command;

/// The maximum number of commands that wait for the swarm.
const MAX_COMMANDS: usize = 256;

/// The maximum number of events that wait for a slow subscriber, which then misses some.
const MAX_EVENTS: usize = 256;

/// A running node. Dropping it ends the node at once, as a crash would, and so does
/// [`kill`](Self::kill). To withdraw its relay from the DHT before, [`close`](Self::close) it.
#[derive(Debug)]
pub struct Node {
    peer: PeerId,
    registry: Registry,
    commands: mpsc::Sender<Command>,
    refresh: Duration,
    status: watch::Receiver<Status>,
    events: broadcast::Sender<autorelay::Event>,
    task: JoinHandle<()>,
}

/// What a node reports about itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// The TCP address on which it listens.
    pub listen: Option<SocketAddr>,
    /// The addresses at which others reach it, as far as it knows.
    pub external: Vec<Multiaddr>,
    /// The relays at which it has a reservation, the home first.
    pub reservations: Vec<PeerId>,
    /// The number of storage nodes that have its circuit addresses as they are now. 0 until they are
    /// stored.
    pub published: u32,
}

/// Why a node did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// A transport could not be built.
    #[error("no transport: {0}")]
    Transport(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The reason.
        source: TransportError<io::Error>,
    },
    /// The task ended before it listened.
    #[error("the node ended before it listened on {0}")]
    Ended(SocketAddr),
    /// The registry could not be built.
    #[error(transparent)]
    Registry(#[from] BuildError),
    /// The relay of this node could not be registered.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The configuration of the reservations is not valid.
    #[error(transparent)]
    AutoRelay(#[from] autorelay::ConfigError),
}

impl Node {
    /// Starts a node. Returns when it listens, if it should.
    ///
    /// # Errors
    ///
    /// A [`StartError`].
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn start(config: NodeConfig) -> Result<Self, StartError> {
        let keypair = crate::ids::keypair_of(&config.key);
        let peer = keypair.public().to_peer_id();
        let (commands, receiver) = mpsc::channel(MAX_COMMANDS);
        let registry = directory::registry(&config, &commands)?;
        let mut swarm = protocols::swarm(keypair, &config, &registry)?;
        if let Some(address) = config.listen {
            let listening = swarm.listen_on(tcp_address(address));
            listening.map_err(|source| StartError::Listen { address, source })?;
        }
        let (sender, status) = watch::channel(Status::default());
        let events = broadcast::Sender::new(MAX_EVENTS);
        let reports = (sender, events.clone());
        let task = task::Task::new(swarm, &config, registry.clone(), receiver, reports);
        let mut node = Self {
            peer,
            registry,
            commands,
            refresh: config.timing.refresh,
            status,
            events,
            task: tokio::spawn(task.run()),
        };
        if let Some(address) = config.listen {
            let listening = node.status.wait_for(|status| status.listen.is_some()).await;
            listening.map_err(|_| StartError::Ended(address))?;
        }
        if let (Some(relay), Some(listen)) = (&config.relay, node.listen()) {
            directory::register(&node.registry, &config, relay, listen)?;
        }
        Ok(node)
    }

    /// The peer id.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// The registry of this node.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The TCP address on which it listens.
    #[must_use]
    pub fn listen(&self) -> Option<SocketAddr> {
        self.status.borrow().listen
    }

    /// The address for other nodes to [bootstrap](NodeConfig::bootstrap) from.
    #[must_use]
    pub fn address(&self) -> Option<Multiaddr> {
        let peer = libp2p::multiaddr::Protocol::P2p(self.peer);
        Some(tcp_address(self.listen()?).with(peer))
    }

    /// What the node reports about itself, now and later.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// What happens to its reservations from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<autorelay::Event> {
        self.events.subscribe()
    }

    /// Dials a peer through a relay, and waits until a ping over the circuit was answered, at most
    /// for `timeout`.
    ///
    /// # Errors
    ///
    /// A [`DialFailure`] that says whose fault it was.
    pub async fn dial(
        &self,
        circuit: Multiaddr,
        peer: PeerId,
        timeout: Duration,
    ) -> Result<Circuit, DialFailure> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Dial {
            address: circuit,
            peer,
            deadline: Instant::now() + timeout,
            reply,
        })
        .await;
        answer.await.unwrap_or(Err(DialFailure::Ended))
    }

    /// A raw store over this node. Its methods block, so they must not be called on a thread of
    /// the runtime.
    #[must_use]
    pub fn kademlia(&self) -> KademliaClient {
        directory::client(&self.commands, self.refresh)
    }

    /// The relays at which a peer says that it has a reservation, by the DHT.
    pub async fn relays_of(&self, peer: PeerId) -> Vec<PeerId> {
        directory::relays_of(&self.commands, peer).await
    }

    /// Closes all connections to a peer, such as circuits to it.
    pub async fn disconnect(&self, peer: PeerId) {
        self.command(Command::Disconnect(peer)).await;
    }

    /// Withdraws the relay of this node from the DHT, and ends the node.
    pub async fn close(self) {
        let registry = self.registry.clone();
        // It waits for threads.
        let _ = tokio::task::spawn_blocking(move || registry.close()).await;
    }

    /// Ends the node at once, as a crash would, and returns when its sockets are closed.
    pub async fn kill(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    async fn command(&self, command: Command) {
        // If the task has ended, then nothing answers, which the caller sees.
        let _ = self.commands.send(command).await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

//! [`Network`]: a network on 127.0.0.1, for tests and demonstrations.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};
use relay_registry::dht::KeyError;
use thiserror::Error;
use tokio::time::{sleep, timeout};

use crate::autorelay;
use crate::broker::{Broker, ReachError, Session};
use crate::ids::node_of;
use crate::node::{Node, NodeConfig, RelayConfig, StartError, Status, Timing};

/// Storage nodes and relays, to which peers and brokers can be added.
#[derive(Debug)]
pub struct Network {
    storage: Vec<Node>,
    relays: Vec<Relay>,
    timing: Timing,
}

/// A relay that may be down.
#[derive(Debug)]
struct Relay {
    /// As it was when it started, with its port.
    config: NodeConfig,
    peer: PeerId,
    node: Option<Node>,
}

/// Why a demonstration could not go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// A node did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The system has no randomness.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A peer was not reached.
    #[error("{peer} was not reached")]
    Reach {
        /// The peer.
        peer: PeerId,
        /// The reason.
        source: Box<ReachError>,
    },
    /// Something did not happen in time.
    #[error("it took more than {limit:?}: {what}")]
    TooSlow {
        /// What was waited for.
        what: String,
        /// The limit.
        limit: Duration,
    },
    /// There is no such relay.
    #[error("{0} is no relay of this network, or is down")]
    NoSuchRelay(PeerId),
}

/// How long the death of a relay was felt.
#[derive(Clone, Copy, Debug)]
pub struct Failover {
    /// Until the broker's circuit had ended.
    pub noticed: Duration,
    /// Until the broker had reached the peer again.
    pub reached: Duration,
    /// Until the peer had all its reservations again.
    pub restored: Duration,
}

/// How long anything may take: far more than it does, on a machine with much else to do.
pub const LIMIT: Duration = Duration::from_secs(120);

impl Network {
    /// Starts so many storage nodes and no relay.
    ///
    /// # Errors
    ///
    /// A [`NetworkError`].
    pub async fn start(storage: usize) -> Result<Self, NetworkError> {
        let mut network = Self {
            storage: Vec::new(),
            relays: Vec::new(),
            timing: Timing::default(),
        };
        for _ in 0..storage.max(1) {
            let mut config = network.config()?.on_loopback();
            config.stores_records = true;
            config.learns = false;
            network.storage.push(Node::start(config).await?);
        }
        Ok(network)
    }

    /// The configuration of a further node.
    ///
    /// # Errors
    ///
    /// If the system has no randomness.
    pub fn config(&self) -> Result<NodeConfig, KeyError> {
        let mut config = NodeConfig::new()?;
        config.bootstrap = self.bootstrap();
        config.timing = self.timing;
        Ok(config)
    }

    /// Two storage nodes: the others are learned from them.
    fn bootstrap(&self) -> Vec<Multiaddr> {
        self.storage
            .iter()
            .take(2)
            .filter_map(Node::address)
            .collect()
    }

    /// The storage nodes.
    #[must_use]
    pub fn storage(&self) -> &[Node] {
        &self.storage
    }

    /// Adds a relay that publishes itself.
    ///
    /// # Errors
    ///
    /// A [`NetworkError`].
    pub async fn add_relay(&mut self, relay: RelayConfig) -> Result<PeerId, NetworkError> {
        let mut config = self.config()?.on_loopback();
        config.relay = Some(relay);
        config.learns = false;
        let node = Node::start(config.clone()).await?;
        let peer = node.peer();
        // So that a restart is at the same address.
        config.listen = node.listen();
        self.relays.push(Relay {
            config,
            peer,
            node: Some(node),
        });
        Ok(peer)
    }

    /// The relays that run.
    #[must_use]
    pub fn relays(&self) -> Vec<PeerId> {
        let running = self.relays.iter().filter(|relay| relay.node.is_some());
        running.map(|relay| relay.peer).collect()
    }

    /// Kills a relay: it withdraws nothing, and closes no connection in order.
    ///
    /// # Errors
    ///
    /// [`NetworkError::NoSuchRelay`].
    pub async fn kill(&mut self, relay: PeerId) -> Result<(), NetworkError> {
        self.take(relay)?.kill().await;
        Ok(())
    }

    /// Withdraws a relay from the DHT, and ends it.
    ///
    /// # Errors
    ///
    /// [`NetworkError::NoSuchRelay`].
    pub async fn close(&mut self, relay: PeerId) -> Result<(), NetworkError> {
        self.take(relay)?.close().await;
        Ok(())
    }

    fn take(&mut self, relay: PeerId) -> Result<Node, NetworkError> {
        let mut relays = self.relays.iter_mut();
        let found = relays.find(|other| other.peer == relay);
        let node = found.and_then(|relay| relay.node.take());
        node.ok_or(NetworkError::NoSuchRelay(relay))
    }

    /// The address of a relay that runs.
    #[must_use]
    pub fn address(&self, relay: PeerId) -> Option<SocketAddr> {
        let relay = self.relays.iter().find(|other| other.peer == relay)?;
        relay.node.as_ref()?.listen()
    }

    /// Starts a relay again that was killed, with its key and at its address.
    ///
    /// # Errors
    ///
    /// A [`NetworkError`].
    pub async fn restart(&mut self, relay: PeerId) -> Result<(), NetworkError> {
        let mut relays = self.relays.iter_mut();
        let found = relays.find(|other| other.peer == relay && other.node.is_none());
        let relay = found.ok_or(NetworkError::NoSuchRelay(relay))?;
        relay.node = Some(Node::start(relay.config.clone()).await?);
        Ok(())
    }

    /// Adds a peer behind a NAT: it listens nowhere but at relays. Returns when it has all its
    /// reservations, and the DHT has its addresses.
    ///
    /// # Errors
    ///
    /// A [`NetworkError`].
    pub async fn add_natted(&self, autorelay: autorelay::Config) -> Result<Node, NetworkError> {
        let node = self.start_natted(autorelay).await?;
        is_reachable(&node).await?;
        Ok(node)
    }

    /// As [`add_natted`](Self::add_natted), but returns at once.
    ///
    /// # Errors
    ///
    /// A [`NetworkError`].
    pub async fn start_natted(&self, autorelay: autorelay::Config) -> Result<Node, NetworkError> {
        let mut config = self.config()?;
        config.autorelay = Some(autorelay);
        Ok(Node::start(config).await?)
    }

    /// Adds a broker. Returns when it has learned all relays that run.
    ///
    /// # Errors
    ///
    /// A [`NetworkError`].
    pub async fn add_broker(&self) -> Result<Broker, NetworkError> {
        let broker = Broker::new(Node::start(self.config()?).await?);
        let relays: Vec<_> = self.relays().iter().filter_map(node_of).collect();
        let registry = broker.node().registry();
        let is_known = || relays.iter().all(|relay| registry.is_relay(relay));
        eventually("the broker learns the relays", is_known).await?;
        Ok(broker)
    }

    /// Kills the relay of a session, and measures how long that is felt.
    ///
    /// # Errors
    ///
    /// A [`NetworkError`].
    pub async fn fail_over(
        &mut self,
        broker: &Broker,
        peer: &Node,
        mut session: Session,
    ) -> Result<(Failover, Session), NetworkError> {
        let (dead, wanted) = (session.relay, peer.status().borrow().reservations.len());
        let begun = Instant::now();
        self.kill(dead).await?;
        within("the circuit ends", session.ended()).await?;
        let noticed = begun.elapsed();
        let again = async {
            let session = reach(broker, peer.peer()).await?;
            Ok::<_, NetworkError>((begun.elapsed(), session))
        };
        let restored = async {
            until(peer, "the reservation is replaced", |status| {
                status.reservations.len() == wanted && !status.reservations.contains(&dead)
            })
            .await?;
            Ok(begun.elapsed())
        };
        let ((reached, again), restored) = futures::future::try_join(again, restored).await?;
        let failover = Failover {
            noticed,
            reached,
            restored,
        };
        Ok((failover, again))
    }
}

/// Reaches a peer, within [`LIMIT`].
///
/// # Errors
///
/// [`NetworkError::Reach`].
pub async fn reach(broker: &Broker, peer: PeerId) -> Result<Session, NetworkError> {
    let reached = broker.reach(peer, LIMIT).await;
    reached.map_err(|source| NetworkError::Reach {
        peer,
        source: Box::new(source),
    })
}

/// Waits until a peer has a reservation, and the DHT has its addresses as they are.
///
/// # Errors
///
/// [`NetworkError::TooSlow`].
pub async fn is_reachable(peer: &Node) -> Result<(), NetworkError> {
    until(
        peer,
        "a peer has reservations and has published them",
        |status| !status.reservations.is_empty() && status.published > 0,
    )
    .await
}

/// Waits for a status of a node, within [`LIMIT`].
///
/// # Errors
///
/// [`NetworkError::TooSlow`].
pub async fn until(
    node: &Node,
    what: &str,
    is_so: impl FnMut(&Status) -> bool,
) -> Result<(), NetworkError> {
    let mut status = node.status();
    let waited = timeout(LIMIT, status.wait_for(is_so)).await;
    match waited {
        Ok(Ok(_)) => Ok(()),
        _ => Err(too_slow(&format!(
            "{what}; it is {:?}",
            node.status().borrow()
        ))),
    }
}

/// Waits until a condition holds, within [`LIMIT`].
///
/// # Errors
///
/// [`NetworkError::TooSlow`].
pub async fn eventually(what: &str, is_so: impl Fn() -> bool) -> Result<(), NetworkError> {
    let begun = Instant::now();
    while !is_so() {
        if begun.elapsed() > LIMIT {
            return Err(too_slow(what));
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Waits for a future, within [`LIMIT`].
async fn within<T>(what: &str, future: impl Future<Output = T>) -> Result<T, NetworkError> {
    timeout(LIMIT, future).await.map_err(|_| too_slow(what))
}

fn too_slow(what: &str) -> NetworkError {
    NetworkError::TooSlow {
        what: what.to_owned(),
        limit: LIMIT,
    }
}

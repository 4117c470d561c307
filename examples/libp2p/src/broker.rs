//! [`Broker`]: reaches peers behind NATs through the best relay, and another one if that fails.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use libp2p::PeerId;
use libp2p::multiaddr::Protocol;
use relay_registry::{CircuitState, Failure, FindOptions, Lease, NodeId, Registry};
use thiserror::Error;

use crate::ids::{address_of, node_of, peer_of};
use crate::node::{Circuit, DialFailure, Ended, Node};

/// The waits between two look-ups of a peer that is not reached: the first, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(400));

/// For how long relays that failed lately are left out, if the peer has no others. It needs that
/// time to replace such a relay itself.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a relay and a peer may take to answer, at first. Later it is half of the time that was
/// waited already: on a slow machine or path, the same short limit would fail for ever.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// A node that reaches peers through relays which its registry chooses.
#[derive(Debug)]
pub struct Broker {
    node: Node,
}

/// A circuit to a peer, and the unit of the relay's capacity that it takes.
#[derive(Debug)]
pub struct Session {
    /// The circuit.
    pub circuit: Circuit,
    /// The relay.
    pub relay: PeerId,
    /// How many relays were tried before.
    pub failed: u32,
    lease: Lease,
}

impl Session {
    /// Returns when the circuit has ended. If it ended without a word, then the relay counts as
    /// failed until it has shown that it is not.
    pub async fn ended(&mut self) {
        if self.circuit.ended().await == Ended::Silent {
            self.lease.failed(Failure::TimedOut);
        }
    }
}

/// Why a peer was not reached in time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReachError {
    /// The DHT has no circuit addresses of the peer.
    #[error("the DHT has no circuit addresses of {0}")]
    NotFound(PeerId),
    /// None of its relays is known here and in order.
    #[error("none of the {0} relays of the peer is eligible here")]
    NoRelay(usize),
    /// All of its relays were tried.
    #[error("the last relay that was tried: {0}")]
    Dial(#[from] DialFailure),
    /// The peer has no Ed25519 key.
    #[error("{0} has no Ed25519 key")]
    NoNodeId(PeerId),
}

/// An attempt to reach a peer through each of its relays once.
struct Attempt {
    target: NodeId,
    peer: PeerId,
    /// Whether relays that failed lately are left out.
    is_patient: bool,
    /// For each relay.
    timeout: Duration,
}

impl Broker {
    /// A broker on top of a node that learns relays.
    #[must_use]
    pub fn new(node: Node) -> Self {
        Self { node }
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Reaches a peer through the best of the relays at which it has a reservation. Tries the
    /// others if that fails, and looks the peer up again, until `limit` has passed.
    ///
    /// # Errors
    ///
    /// The reason for which the last attempt failed.
    pub async fn reach(&self, peer: PeerId, limit: Duration) -> Result<Session, ReachError> {
        let target = node_of(&peer).ok_or(ReachError::NoNodeId(peer))?;
        let (begun, mut wait) = (Instant::now(), RETRY.0);
        loop {
            let relays = self.node.relays_of(peer).await;
            let attempt = Attempt {
                target,
                peer,
                is_patient: begun.elapsed() < PATIENCE.min(limit / 2),
                timeout: ANSWER_TIMEOUT.max(begun.elapsed() / 2),
            };
            let error = match self.try_relays(&attempt, &relays).await {
                Ok(session) => return Ok(session),
                Err(error) => error,
            };
            if begun.elapsed() + wait > limit {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY.1);
        }
    }

    /// Tries the relays of a peer, best first, each once.
    async fn try_relays(
        &self,
        attempt: &Attempt,
        relays: &[PeerId],
    ) -> Result<Session, ReachError> {
        if relays.is_empty() {
            return Err(ReachError::NotFound(attempt.peer));
        }
        let mut candidates: HashSet<NodeId> = relays.iter().filter_map(node_of).collect();
        self.learn(&candidates);
        if attempt.is_patient {
            candidates.retain(|relay| !self.is_failing(relay));
        }
        let (mut failed, mut last) = (0, ReachError::NoRelay(relays.len()));
        while let Some(lease) = self.reserve(&attempt.target, &candidates) {
            candidates.remove(&lease.relay().node_id());
            match self.dial(&lease, attempt).await {
                Ok((relay, circuit)) => {
                    lease.succeeded();
                    return Ok(Session {
                        circuit,
                        relay,
                        failed,
                        lease,
                    });
                }
                Err(failure) => {
                    report(&lease, &failure);
                    last = failure.into();
                    failed += 1;
                }
            }
        }
        Err(last)
    }

    /// Asks the DHT for relays that the peer uses and this node does not know.
    fn learn(&self, relays: &HashSet<NodeId>) {
        let registry = self.registry();
        for relay in relays.iter().filter(|relay| !registry.is_relay(relay)) {
            registry.request_record(relay);
        }
    }

    fn is_failing(&self, relay: &NodeId) -> bool {
        let relay = self.registry().relay(relay);
        relay.is_some_and(|relay| relay.circuit() == CircuitState::Open)
    }

    /// The best of the candidates, by the registry.
    fn reserve(&self, target: &NodeId, candidates: &HashSet<NodeId>) -> Option<Lease> {
        if candidates.is_empty() {
            return None;
        }
        let relays = self.registry().relays();
        let others = relays.iter().map(|relay| relay.node_id());
        let others = others.filter(|relay| !candidates.contains(relay));
        let options = FindOptions::new().exclude(others);
        let lease = self.registry().reserve(target, &options).ok()?;
        // A relay may have been learned since.
        candidates
            .contains(&lease.relay().node_id())
            .then_some(lease)
    }

    /// Dials the address at which the relay was probed, not one that the peer states.
    async fn dial(
        &self,
        lease: &Lease,
        attempt: &Attempt,
    ) -> Result<(PeerId, Circuit), DialFailure> {
        let peer = attempt.peer;
        let relay = lease.relay();
        let node = relay.node_id();
        let target = peer_of(&node).zip(address_of(&node, relay.endpoint()));
        let (id, address) = target.ok_or_else(|| DialFailure::Relay("it has no address".into()))?;
        let circuit = address.with(Protocol::P2pCircuit).with(Protocol::P2p(peer));
        let circuit = self.node.dial(circuit, peer, attempt.timeout).await?;
        Ok((id, circuit))
    }

    fn registry(&self) -> &Registry {
        self.node.registry()
    }
}

/// Tells the registry of a failure, if it was the relay's.
fn report(lease: &Lease, failure: &DialFailure) {
    match failure {
        DialFailure::Relay(_) => lease.failed(Failure::TimedOut),
        DialFailure::Refused => lease.failed(Failure::Refused),
        // The relay answered.
        DialFailure::NoReservation | DialFailure::Peer => lease.succeeded(),
        DialFailure::Ended => false,
    };
}

//! [`Circuit`]: a connection through a relay, and why one could not be had.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use libp2p::relay::client::transport;
use libp2p::relay::outbound::hop::ConnectError;
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{PeerId, TransportError};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::causes;

/// A connection to a peer through a relay. It stays open until either side or the relay ends
/// it.
#[derive(Debug)]
pub struct Circuit {
    /// The peer.
    pub peer: PeerId,
    /// The round trip over the circuit.
    pub rtt: Duration,
    ended: oneshot::Receiver<Ended>,
}

/// How a circuit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The peer, the relay or this node closed it, or one of them died.
    Closed,
    /// The peer answered no pings over it: it, or the relay, vanished without a word.
    Silent,
}

impl Circuit {
    /// Returns when the connection has ended.
    pub async fn ended(&mut self) -> Ended {
        // The sender is dropped with the connection.
        (&mut self.ended).await.unwrap_or(Ended::Closed)
    }
}

/// Why a peer was not reached through a relay.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DialFailure {
    /// The relay could not be reached, or broke off. It is the relay's fault.
    #[error("the relay could not be reached: {0}")]
    Relay(String),
    /// The relay has no room for the circuit.
    #[error("the relay refused the circuit")]
    Refused,
    /// The peer has no reservation at the relay. That is not the relay's fault.
    #[error("the peer has no reservation at this relay")]
    NoReservation,
    /// The relay could not reach the peer, or the peer did not answer. Not the relay's fault.
    #[error("the peer did not answer through the relay")]
    Peer,
    /// This node has ended.
    #[error("this node has ended")]
    Ended,
}

impl DialFailure {
    pub(super) fn of(error: &DialError) -> Self {
        let DialError::Transport(attempts) = error else {
            return match error {
                DialError::WrongPeerId { .. } => Self::Peer,
                other => Self::Relay(other.to_string()),
            };
        };
        let answers = attempts.iter().filter_map(|(_, error)| match error {
            TransportError::Other(error) => connect_error(error),
            TransportError::MultiaddrNotSupported(_) => None,
        });
        match answers.last() {
            Some(ConnectError::NoReservation) => Self::NoReservation,
            Some(ConnectError::ConnectionFailed) => Self::Peer,
            Some(ConnectError::ResourceLimitExceeded | ConnectError::PermissionDenied) => {
                Self::Refused
            }
            Some(other) => Self::Relay(other.to_string()),
            None => Self::Relay(error.to_string()),
        }
    }
}

/// The answer of the relay inside the error of a transport.
fn connect_error(error: &io::Error) -> Option<&ConnectError> {
    causes::find(error, |error| match error {
        transport::Error::Connect(found) => Some(found),
        _ => None,
    })
}

/// The circuits that were asked for, until they end.
#[derive(Debug, Default)]
pub(super) struct Circuits {
    dialling: HashMap<ConnectionId, Dialling>,
    open: HashMap<ConnectionId, Open>,
}

#[derive(Debug)]
struct Open {
    /// The ticks since the last answer to a ping. Ticks, not time: if this process was stopped
    /// meanwhile, then it has heard of nothing.
    silent_ticks: u32,
    end: oneshot::Sender<Ended>,
}

#[derive(Debug)]
struct Dialling {
    peer: PeerId,
    reply: Reply,
    deadline: Instant,
}

pub(super) type Reply = oneshot::Sender<Result<Circuit, DialFailure>>;

impl Circuits {
    pub(super) fn dial(&mut self, id: ConnectionId, peer: PeerId, deadline: Instant, reply: Reply) {
        let dialling = Dialling {
            peer,
            reply,
            deadline,
        };
        self.dialling.insert(id, dialling);
    }

    /// The peer answered a ping over this connection.
    pub(super) fn on_answer(&mut self, id: ConnectionId, rtt: Duration) {
        if let Some(open) = self.open.get_mut(&id) {
            open.silent_ticks = 0;
        }
        if let Some(dialling) = self.dialling.remove(&id) {
            let (end, ended) = oneshot::channel();
            let peer = dialling.peer;
            if dialling
                .reply
                .send(Ok(Circuit { peer, rtt, ended }))
                .is_ok()
            {
                let silent_ticks = 0;
                self.open.insert(id, Open { silent_ticks, end });
            }
        }
    }

    pub(super) fn on_failed(&mut self, id: ConnectionId, failure: DialFailure) {
        if let Some(dialling) = self.dialling.remove(&id) {
            let _ = dialling.reply.send(Err(failure));
        }
    }

    pub(super) fn on_closed(&mut self, id: ConnectionId) {
        self.open.remove(&id);
        self.on_failed(id, DialFailure::Peer);
    }

    /// Gives up circuits that took too long, or were silent for so many calls. Returns their
    /// connections.
    pub(super) fn tick(&mut self, now: Instant, max_silent_ticks: u32) -> Vec<ConnectionId> {
        let slow = self
            .dialling
            .iter()
            .filter(|(_, dialling)| dialling.deadline <= now);
        let mut given_up: Vec<_> = slow.map(|(id, _)| *id).collect();
        for id in &given_up {
            self.on_failed(
                *id,
                DialFailure::Relay("it did not answer in time".to_owned()),
            );
        }
        let is_silent = |_: &ConnectionId, open: &mut Open| {
            open.silent_ticks += 1;
            open.silent_ticks > max_silent_ticks
        };
        for (id, open) in self.open.extract_if(is_silent) {
            let _ = open.end.send(Ended::Silent);
            given_up.push(id);
        }
        given_up
    }
}

//! What [`Behaviour`](super::Behaviour) reports, and why a reservation ended.

use std::io;
use std::time::Duration;

use libp2p::relay::client::transport;
use libp2p::relay::outbound::hop::ReserveError;
use libp2p::{Multiaddr, PeerId};
use relay_registry::Failure;
use thiserror::Error;

use crate::causes;

/// An event of [`Behaviour`](super::Behaviour).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A relay accepted a reservation: peers reach this node at `address`.
    ReservationAccepted {
        /// The relay.
        relay: PeerId,
        /// The circuit address.
        address: Multiaddr,
    },
    /// An attempt to make a reservation failed. Another relay is tried.
    ReservationFailed {
        /// The relay.
        relay: PeerId,
        /// The reason.
        reason: Lost,
    },
    /// A reservation was lost. Another relay is tried at once.
    ReservationLost {
        /// The relay.
        relay: PeerId,
        /// The reason.
        reason: Lost,
    },
    /// A reservation is given up, because another relay is better.
    ReservationReleased {
        /// The relay.
        relay: PeerId,
    },
    /// A lost reservation was replaced.
    Replaced {
        /// The relay that was lost.
        lost: PeerId,
        /// The relay that accepted a reservation instead.
        by: PeerId,
        /// The time from the loss to the acceptance.
        after: Duration,
    },
    /// The home relay changed. `None` while there is no reservation.
    HomeChanged {
        /// The home before.
        from: Option<PeerId>,
        /// The home now.
        to: Option<PeerId>,
    },
    /// No relay is eligible for a further reservation. Reported once until one is accepted.
    NoRelay {
        /// How many reservations are held.
        held: usize,
        /// How many should be held.
        wanted: usize,
    },
}

/// Why a reservation was lost, or an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Lost {
    /// The connection to the relay ended, or could not be made.
    #[error("the connection to the relay ended or failed")]
    Connection,
    /// The relay refused the reservation, or has no room for it.
    #[error("the relay refused the reservation")]
    Refused,
    /// The peer does not speak the relay protocol.
    #[error("the peer does not speak the relay protocol")]
    Unsupported,
    /// The relay took longer than [`Config::reservation_timeout`](super::Config).
    #[error("the relay did not answer in time")]
    TimedOut,
    /// The relay broke the protocol. A relay without a confirmed external address does: its
    /// reservations have no address.
    #[error("the relay broke the protocol: {0}")]
    Protocol(String),
    /// The address of the relay cannot be dialled by this node.
    #[error("the address of the relay cannot be dialled: {0}")]
    Address(String),
}

impl Lost {
    /// What the registry is told.
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Refused | Self::Unsupported | Self::Protocol(_) | Self::Address(_) => {
                Failure::Refused
            }
            Self::Connection | Self::TimedOut => Failure::TimedOut,
        }
    }

    /// The reason for which libp2p closed a listener. It closes one without an error if the
    /// connection ended, and also if the dial failed.
    pub(super) fn of_closed_listener(reason: Result<(), &io::Error>) -> Self {
        match reason {
            Ok(()) => Self::Connection,
            Err(error) => reserve_error(error).map_or(Self::Connection, Self::of_reserve_error),
        }
    }

    fn of_reserve_error(error: &ReserveError) -> Self {
        match error {
            ReserveError::Refused | ReserveError::ResourceLimitExceeded => Self::Refused,
            ReserveError::Unsupported => Self::Unsupported,
            ReserveError::Io(error) if error.kind() == io::ErrorKind::TimedOut => Self::TimedOut,
            ReserveError::Io(_) => Self::Connection,
            ReserveError::Protocol(violation) => Self::Protocol(violation.to_string()),
        }
    }
}

/// The answer of the relay inside the error of a transport.
fn reserve_error(error: &io::Error) -> Option<&ReserveError> {
    causes::find(error, |error| match error {
        transport::Error::Reservation(found) => Some(found),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_the_relay_is_found_inside_boxes() {
        let answer = transport::Error::Reservation(ReserveError::ResourceLimitExceeded);
        let boxed = io::Error::other(io::Error::other(answer));
        assert_eq!(Lost::of_closed_listener(Err(&boxed)), Lost::Refused);
        let other = io::Error::other("another error");
        assert_eq!(Lost::of_closed_listener(Err(&other)), Lost::Connection);
        assert_eq!(Lost::of_closed_listener(Ok(())), Lost::Connection);
    }
}

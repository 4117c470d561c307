//! [`Probe`]: the embedder's check that a remote relay works.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::dht::record::Announcement;
use crate::relay::{Endpoint, NodeId};

/// Checks that a relay which another node announced is reachable, holds its key, and relays.
///
/// The registry speaks no network protocol, so the embedder supplies the check. A probe
/// connects to the endpoint and makes the peer prove that it holds the private key of
/// `relay` (a node id is an Ed25519 public key). The best probes also relay some data. A
/// learned relay is handed out only after a probe succeeded. It is probed again at intervals,
/// and removed when [`max_failed_probes`](crate::dht::DhtOptions::max_failed_probes) in a row
/// fail.
///
/// Any `Fn(&NodeId, &Endpoint, Duration) -> Result<Duration, ProbeError>` is a probe.
///
/// Several threads call it at once. It should return within `deadline`; a probe that takes
/// longer delays other probes and nothing else. A panic counts as
/// [`ProbeError::Unreachable`]. A probe must not own a [`Registry`](crate::Registry) handle
/// of its own registry: neither would ever be dropped.
///
/// ```
/// use relay_registry::{Endpoint, NodeId};
/// use relay_registry::dht::ProbeError;
/// use std::net::TcpStream;
/// use std::time::{Duration, Instant};
///
/// /// Checks only that the port accepts a connection. A probe for production also
/// /// checks the identity.
/// fn probe(_: &NodeId, endpoint: &Endpoint, deadline: Duration) -> Result<Duration, ProbeError> {
///     let address = endpoint.socket_addr().ok_or(ProbeError::Unreachable)?;
///     let begun = Instant::now();
///     TcpStream::connect_timeout(&address, deadline).map_err(|_| ProbeError::Unreachable)?;
///     Ok(begun.elapsed())
/// }
/// # let _ = relay_registry::dht::DhtOptions::new().probe(probe);
/// ```
pub trait Probe: Send + Sync + 'static {
    /// Probes the relay at `endpoint`, and returns the round-trip time to it.
    ///
    /// A time above [`MAX_RTT`](crate::MAX_RTT) counts as [`ProbeError::Unreachable`].
    ///
    /// # Errors
    ///
    /// The reason for which the relay must not be handed out.
    fn probe(
        &self,
        relay: &NodeId,
        endpoint: &Endpoint,
        deadline: Duration,
    ) -> Result<Duration, ProbeError>;

    /// The same for a probe that needs more than the endpoint: the registry calls this one. By
    /// default it calls [`probe`](Self::probe) with the main endpoint.
    ///
    /// The announcement has what the relay signed: [further
    /// endpoints](Announcement::also_at), [payload](Announcement::payload), labels, and so on. If
    /// an endpoint or the payload changes, the relay is withdrawn from callers and probed anew. So
    /// a probe may check that the payload is true, such as a fingerprint that the relay presents.
    ///
    /// All of it is a claim. The registry limits how often it probes the prefix of the main
    /// endpoint, and no other. So dial a further endpoint only after the peer at the main one has
    /// proved that it holds the key: otherwise anyone can direct probes at a victim.
    ///
    /// # Errors
    ///
    /// As [`probe`](Self::probe).
    ///
    /// ```
    /// use relay_registry::{Endpoint, NodeId};
    /// use relay_registry::dht::{Announcement, DhtOptions, Probe, ProbeError};
    /// use std::time::Duration;
    ///
    /// /// Checks that the relay presents the fingerprint that its payload names.
    /// struct ByFingerprint;
    ///
    /// # fn dial(_: &Endpoint, _: Duration) -> Result<(Duration, Vec<u8>), ProbeError> {
    /// #     Err(ProbeError::Unreachable)
    /// # }
    /// impl Probe for ByFingerprint {
    ///     fn probe(&self, _: &NodeId, _: &Endpoint, _: Duration) -> Result<Duration, ProbeError> {
    ///         Err(ProbeError::Refused) // without a payload there is nothing to compare with
    ///     }
    ///
    ///     fn probe_announced(
    ///         &self,
    ///         _: &NodeId,
    ///         announced: &Announcement,
    ///         deadline: Duration,
    ///     ) -> Result<Duration, ProbeError> {
    ///         let (rtt, fingerprint) = dial(announced.endpoint(), deadline)?;
    ///         match announced.payload() == Some(&fingerprint[..]) {
    ///             true => Ok(rtt),
    ///             false => Err(ProbeError::WrongIdentity),
    ///         }
    ///     }
    /// }
    /// # let _ = DhtOptions::new().probe(ByFingerprint);
    /// ```
    fn probe_announced(
        &self,
        relay: &NodeId,
        announcement: &Announcement,
        deadline: Duration,
    ) -> Result<Duration, ProbeError> {
        self.probe(relay, announcement.endpoint(), deadline)
    }
}

impl<F> Probe for F
where
    F: Fn(&NodeId, &Endpoint, Duration) -> Result<Duration, ProbeError> + Send + Sync + 'static,
{
    fn probe(
        &self,
        relay: &NodeId,
        endpoint: &Endpoint,
        deadline: Duration,
    ) -> Result<Duration, ProbeError> {
        self(relay, endpoint, deadline)
    }
}

/// Why a probe did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProbeError {
    /// No answer within the deadline. The probe is repeated after a back-off.
    Unreachable,
    /// The relay answered and declined to serve. The probe is repeated after a back-off.
    Refused,
    /// The peer does not hold the relay's key. The relay is removed at once, and its records
    /// are rejected for two probe intervals.
    WrongIdentity,
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "nothing answered within the deadline",
            Self::Refused => "the relay answered and declined to serve",
            Self::WrongIdentity => "the peer does not hold the key of the relay",
        })
    }
}

impl Error for ProbeError {}

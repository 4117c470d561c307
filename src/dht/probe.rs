//! [`Probe`]: how the embedder finds out whether a stranger's relay is one.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::relay::{Endpoint, NodeId};

/// Finds out whether a relay that a stranger announced is there, is who it says
/// and relays.
///
/// The registry cannot know how: it speaks no protocol. An embedder's probe
/// connects to the endpoint, has the peer prove that it holds the key of
/// `relay` (the node id is its Ed25519 public key), and best has it relay
/// something. Nothing that was learned from others is ever handed out before a
/// probe of it succeeded, and what fails them later leaves.
///
/// Any `Fn(&NodeId, &Endpoint, Duration) -> Result<Duration, ProbeError>` is a
/// probe.
///
/// It is called from worker threads, several at once. It should return within
/// `deadline`; one that does not holds up other probes and nothing else. A panic
/// counts as a failure. A probe must not keep a strong handle of the registry
/// that it serves: the two would keep each other alive.
///
/// ```
/// use relay_registry::{Endpoint, NodeId};
/// use relay_registry::dht::ProbeError;
/// use std::net::TcpStream;
/// use std::time::{Duration, Instant};
///
/// /// That something listens: too little for the real thing, which must check
/// /// who it is.
/// fn probe(_: &NodeId, endpoint: &Endpoint, deadline: Duration) -> Result<Duration, ProbeError> {
///     let address = endpoint.socket_addr().ok_or(ProbeError::Unreachable)?;
///     let begun = Instant::now();
///     TcpStream::connect_timeout(&address, deadline).map_err(|_| ProbeError::Unreachable)?;
///     Ok(begun.elapsed())
/// }
/// # let _ = relay_registry::dht::DhtOptions::new().probe(probe);
/// ```
pub trait Probe: Send + Sync + 'static {
    /// Tries out the relay at `endpoint`; the round trip to it, if it is one.
    ///
    /// # Errors
    ///
    /// A [`ProbeError`] that says what was wrong.
    fn probe(
        &self,
        relay: &NodeId,
        endpoint: &Endpoint,
        deadline: Duration,
    ) -> Result<Duration, ProbeError>;
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
    /// Nothing answered in time, or at all. It is tried again.
    Unreachable,
    /// It answered, and would not serve now. It is tried again.
    RejectReason,
    /// Who answered is not the relay: it has not its key. What was announced is
    /// wrong, and not tried again before the relay announces anew.
    WrongIdentity,
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "nothing answered",
            Self::RejectReason => "the relay would not serve",
            Self::WrongIdentity => "who answered is not the relay",
        })
    }
}

impl Error for ProbeError {}

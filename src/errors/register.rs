//! Why a relay was not registered.

use crate::limits::{MAX_CAPACITY, MAX_RTT};
use crate::relay::{EndpointError, NatType};
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why a relay was not registered. A relay already held stays as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// The registry holds as many live relays as it was built for. Try again
    /// when one has left, or build a larger registry. Renewals are never
    /// refused for this.
    #[non_exhaustive]
    Full {
        /// How many relays the registry was built for.
        max: usize,
    },
    /// Strangers cannot reach the peer, so it cannot serve as a relay: its NAT
    /// keeps them out, or it claims to have a public address and gives another.
    /// Register it when its network has changed.
    #[non_exhaustive]
    NotReachable {
        /// What the peer declared.
        nat: NatType,
    },
    /// The endpoint cannot be dialled, or the address policy does not admit
    /// it; the [source](Error::source) says why. Register another endpoint.
    InvalidEndpoint(EndpointError),
    /// The capacity is 0 or above [`MAX_CAPACITY`]. Declare one within.
    #[non_exhaustive]
    InvalidCapacity {
        /// What was declared.
        capacity: u32,
    },
    /// The TTL is shorter than a tick, or too long to be counted in ticks.
    /// Choose one between.
    #[non_exhaustive]
    InvalidTtl {
        /// What was asked for.
        ttl: Duration,
    },
    /// The latency is above [`MAX_RTT`]. Leave it unset if it is unknown.
    #[non_exhaustive]
    InvalidLatency {
        /// What was declared.
        latency: Duration,
    },
    /// Relays left, or changed what they announce, faster than the memory could
    /// be reclaimed, and the bound on it is reached: a thread is stalled inside a
    /// call. Try again shortly. A renewal that changes nothing but the deadline
    /// is never refused for this.
    #[non_exhaustive]
    Backlogged {
        /// How many departed relays and replaced announcements hold memory.
        awaiting_reclamation: usize,
    },
    /// The failure domain's label is empty or above 63 bytes. Shorten it.
    #[non_exhaustive]
    InvalidFailureDomain {
        /// How many bytes it has.
        len: usize,
    },
    /// The clock stands so late that the deadline is beyond what ticks can
    /// count. Only a faulty clock gets there; build a registry with another.
    ClockExhausted,
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { max } => write!(f, "the registry is full with {max} live relays"),
            Self::NotReachable {
                nat: NatType::PublicIp,
            } => f.write_str("the address of a relay declared public-ip is not public"),
            Self::NotReachable { nat } => {
                write!(f, "a {nat} NAT keeps strangers from reaching the relay")
            }
            Self::InvalidEndpoint(_) => f.write_str("the endpoint is not acceptable"),
            Self::InvalidCapacity { capacity } => {
                write!(f, "the capacity is {capacity}, not 1 to {MAX_CAPACITY}")
            }
            Self::InvalidTtl { ttl } => write!(
                f,
                "the TTL is {ttl:?}, which is under one tick or beyond what ticks can count"
            ),
            Self::InvalidLatency { latency } => {
                write!(f, "the latency is {latency:?}, above {MAX_RTT:?}")
            }
            Self::Backlogged {
                awaiting_reclamation,
            } => write!(
                f,
                "{awaiting_reclamation} departed or renewed records await the reclamation of their memory"
            ),
            Self::InvalidFailureDomain { len } => {
                write!(f, "the failure domain's label has {len} bytes, not 1 to 63")
            }
            Self::ClockExhausted => f.write_str("the clock has no room left for a deadline"),
        }
    }
}

impl Error for RegisterError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::InvalidEndpoint(reason) => Some(reason),
            _ => None,
        }
    }
}

impl From<EndpointError> for RegisterError {
    fn from(reason: EndpointError) -> Self {
        Self::InvalidEndpoint(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn register_errors_explain_themselves() {
        for (error, says) in [
            (
                RegisterError::Full { max: 1000 },
                "the registry is full with 1000 live relays",
            ),
            (
                RegisterError::NotReachable {
                    nat: NatType::Symmetric,
                },
                "a symmetric NAT keeps strangers from reaching the relay",
            ),
            (
                RegisterError::NotReachable {
                    nat: NatType::PublicIp,
                },
                "the address of a relay declared public-ip is not public",
            ),
            (
                RegisterError::InvalidEndpoint(EndpointError::ZeroPort),
                "the endpoint is not acceptable",
            ),
            (
                RegisterError::InvalidCapacity { capacity: 0 },
                "the capacity is 0, not 1 to 1048575",
            ),
            (
                RegisterError::InvalidTtl {
                    ttl: Duration::from_millis(5),
                },
                "the TTL is 5ms, which is under one tick or beyond what ticks can count",
            ),
            (
                RegisterError::InvalidLatency {
                    latency: Duration::from_secs(11),
                },
                "the latency is 11s, above 10s",
            ),
            (
                RegisterError::Backlogged {
                    awaiting_reclamation: 3024,
                },
                "3024 departed or renewed records await the reclamation of their memory",
            ),
            (
                RegisterError::ClockExhausted,
                "the clock has no room left for a deadline",
            ),
        ] {
            assert_eq!(error.to_string(), says);
        }
    }

    #[test]
    fn an_endpoint_error_is_the_source_of_a_register_error() {
        let error = RegisterError::from(EndpointError::Multicast);
        assert_eq!(
            error,
            RegisterError::InvalidEndpoint(EndpointError::Multicast)
        );
        let source = error.source().and_then(<dyn Error>::downcast_ref);
        assert_eq!(source, Some(&EndpointError::Multicast));
        assert!(RegisterError::ClockExhausted.source().is_none());
    }
}

//! Why a relay was not registered or renewed.

use crate::limits::{MAX_CAPACITY, MAX_DOMAIN_LEN, MAX_LABEL_LEN, MAX_RTT};
use crate::relay::{Endpoint, EndpointError, NatType, NodeId};
use crate::sync::Arc;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why a relay was not registered. A relay that is registered already stays as it was.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RegisterError {
    /// The registry holds as many live relays as it was built for. Try again when one has
    /// left, or build a larger registry. No renewal is refused for this.
    #[non_exhaustive]
    Full {
        /// The number of relays that the registry was built for.
        max: usize,
    },
    /// Other peers cannot reach the relay: its NAT admits no unsolicited packets, or it
    /// declared a public address and gave another. Register it when its network has
    /// changed.
    #[non_exhaustive]
    NotReachable {
        /// The type of NAT that it declared.
        nat: NatType,
    },
    /// The endpoint cannot be dialled, or the address policy does not admit it. The
    /// [source](Error::source) says why, and so does the message. Register another
    /// endpoint.
    InvalidEndpoint(EndpointError),
    /// The capacity is 0 or above [`MAX_CAPACITY`]. Declare one within.
    #[non_exhaustive]
    InvalidCapacity {
        /// The capacity that was declared.
        capacity: u32,
    },
    /// The TTL is shorter than a tick, or longer than ticks can count. Choose one between.
    #[non_exhaustive]
    InvalidTtl {
        /// The TTL that was asked for.
        ttl: Duration,
        /// The shortest, which is the registry's tick.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// The latency is above [`MAX_RTT`]. Leave it unset if it is unknown.
    #[non_exhaustive]
    InvalidLatency {
        /// The latency that was declared.
        latency: Duration,
    },
    /// Relays left, or changed what they announce, while a thread inside a call did not run:
    /// it is stalled, or the machine is busy. So their memory cannot be reclaimed, and the
    /// bound on it is reached. Try again shortly, and look for a stalled thread if it lasts.
    /// A renewal that changes nothing but the deadline is not refused for this.
    #[non_exhaustive]
    Backlogged {
        /// The number of departed relays and replaced announcements that hold memory.
        awaiting_reclamation: usize,
    },
    /// The name of the failure domain is empty, longer than 63 bytes, or has a control
    /// character. Choose one of 1 to 63 bytes without such characters.
    #[non_exhaustive]
    InvalidFailureDomain {
        /// The length of the name, in bytes.
        len: usize,
    },
    /// The cost is out of range, or not a number. Choose one within.
    #[non_exhaustive]
    InvalidCost {
        /// The cost that was given.
        cost: f64,
        /// The least cost.
        min: f64,
        /// The greatest cost.
        max: f64,
    },
    /// A label is empty, longer than 32 bytes, or has a control character. Choose one of 1
    /// to 32 bytes without such characters.
    #[non_exhaustive]
    InvalidLabel {
        /// The label.
        label: Arc<str>,
        /// The length of the longest label, in bytes.
        max: usize,
    },
    /// There are too many labels: of this relay, or of all relays that are registered here, or
    /// expired and may return. Use fewer, or those that other relays have.
    #[non_exhaustive]
    TooManyLabels {
        /// Whose labels are too many.
        scope: LabelScope,
        /// How many different ones there would be.
        count: usize,
        /// The most.
        max: usize,
    },
    /// The payload is too long. Shorten it, or give a reference to it.
    #[non_exhaustive]
    PayloadTooLong {
        /// The length of the payload, in bytes.
        len: usize,
        /// The length of the longest, in bytes.
        max: usize,
    },
    /// There are too many further endpoints. Give fewer.
    #[non_exhaustive]
    TooManyEndpoints {
        /// How many there are, the main one and duplicates not counted.
        count: usize,
        /// The most.
        max: usize,
    },
    /// A further endpoint cannot be dialled, or the address policy does not admit it. The
    /// [source](Error::source) says why, and so does the message. Leave it out.
    #[non_exhaustive]
    InvalidFurtherEndpoint {
        /// The endpoint.
        endpoint: Endpoint,
        /// What is wrong with it.
        reason: EndpointError,
    },
    /// This node's own relay is published through a DHT, and its record would be
    /// too long. Shorten its payload, or give fewer labels or further endpoints.
    TooLargeToPublish {
        /// The length that the record could have, in bytes.
        len: usize,
        /// The length of the longest, in bytes.
        max: usize,
    },
    /// Another live relay has this endpoint, and the registry admits
    /// [one relay for each](crate::RegistryBuilder::one_id_per_endpoint). Register another
    /// endpoint, or wait until that relay has left or expired.
    #[non_exhaustive]
    EndpointTaken {
        /// The endpoint that both have.
        endpoint: Endpoint,
        /// The relay that is there.
        by: NodeId,
    },
    /// The clock reads so late that ticks cannot count the deadline. Only a faulty clock
    /// does: build a registry with another.
    ClockExhausted,
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { max } => write!(
                f,
                "the registry is full with {max} live relays: its max_relays allows no more"
            ),
            Self::NotReachable {
                nat: NatType::PublicIp,
            } => f.write_str("the relay declared public-ip, but its address is not public"),
            Self::NotReachable { nat } => {
                write!(f, "other peers cannot reach the relay behind a {nat} NAT")
            }
            Self::InvalidEndpoint(reason) => {
                write!(f, "the endpoint is not acceptable: {reason}")
            }
            Self::InvalidCapacity { capacity } => {
                write!(f, "the capacity is {capacity}, not 1 to {MAX_CAPACITY}")
            }
            Self::InvalidTtl { ttl, min, max } => write_invalid_ttl(f, *ttl, *min, *max),
            Self::InvalidLatency { latency } => {
                write!(
                    f,
                    "the latency is {latency:?}, longer than {MAX_RTT:?}: leave it unset"
                )
            }
            Self::Backlogged {
                awaiting_reclamation,
            } => write_backlogged(f, *awaiting_reclamation),
            Self::InvalidFailureDomain { len } if (1..=MAX_DOMAIN_LEN).contains(len) => {
                f.write_str("the name of the failure domain has a control character")
            }
            Self::InvalidFailureDomain { len } => {
                write!(
                    f,
                    "the name of the failure domain has {len} bytes, not 1 to {MAX_DOMAIN_LEN}"
                )
            }
            Self::InvalidCost { cost, min, max } => {
                write!(f, "the cost is {cost}, not {min} to {max}")
            }
            Self::InvalidLabel { label, max } => write_invalid_label(f, label, *max),
            Self::TooManyLabels { scope, count, max } => match scope {
                LabelScope::Relay => {
                    write!(
                        f,
                        "the relay has {count} labels, and may have at most {max}"
                    )
                }
                LabelScope::Registry => write!(
                    f,
                    "the relays would have {count} different labels, and may have at most {max}"
                ),
            },
            Self::PayloadTooLong { len, max } => {
                write!(f, "the payload has {len} bytes, and may have at most {max}")
            }
            Self::TooManyEndpoints { count, max } => write!(
                f,
                "the relay has {count} further endpoints, and may have at most {max}"
            ),
            Self::InvalidFurtherEndpoint { endpoint, reason } => {
                write!(
                    f,
                    "the further endpoint {endpoint} is not acceptable: {reason}"
                )
            }
            Self::TooLargeToPublish { len, max } => write!(
                f,
                "the record of the relay could have {len} bytes, and a DHT carries at most {max}"
            ),
            Self::EndpointTaken { endpoint, by } => {
                write!(f, "the live relay {by} has the endpoint {endpoint} already")
            }
            Self::ClockExhausted => f.write_str(
                "the clock reads so late that ticks cannot count the deadline: build a registry \
                 with another clock",
            ),
        }
    }
}

/// Whose labels are [too many](RegisterError::TooManyLabels).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LabelScope {
    /// Those of one relay.
    Relay,
    /// The different ones of all relays that are registered locally, or expired and may return.
    Registry,
}

/// Writes what is wrong with a label, of which it shows the beginning.
fn write_invalid_label(f: &mut fmt::Formatter<'_>, label: &str, max: usize) -> fmt::Result {
    let len = label.len();
    if (1..=MAX_LABEL_LEN).contains(&len) {
        return write!(f, "the label {label:?} has a control character");
    }
    let shown: String = label.chars().take(max).collect();
    let more = if shown.len() < len { "..." } else { "" };
    write!(
        f,
        "the label {shown:?}{more} has {len} bytes, not 1 to {max}"
    )
}

impl Error for RegisterError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::InvalidEndpoint(reason) => Some(reason),
            Self::InvalidFurtherEndpoint { reason, .. } => Some(reason),
            _ => None,
        }
    }
}

impl From<EndpointError> for RegisterError {
    fn from(reason: EndpointError) -> Self {
        Self::InvalidEndpoint(reason)
    }
}

/// Writes why a TTL of a relay, or the default of a registry, is not valid.
pub(crate) fn write_invalid_ttl(
    f: &mut fmt::Formatter<'_>,
    ttl: Duration,
    min: Duration,
    max: Duration,
) -> fmt::Result {
    if ttl < min {
        write!(f, "the TTL is {ttl:?}, shorter than the tick of {min:?}")
    } else {
        write!(
            f,
            "the TTL is {ttl:?}, longer than the {max:?} that ticks can count"
        )
    }
}

/// Why a relay was not renewed by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RenewError {
    /// No such relay is registered here, or it has expired. Register it: if it is only
    /// late, it is then [what it was](crate::Registration::Returned).
    UnknownRelay,
}

impl fmt::Display for RenewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownRelay => {
                f.write_str("the relay is not registered, or has expired: register it")
            }
        }
    }
}

impl Error for RenewError {}

pub(super) fn write_backlogged(f: &mut fmt::Formatter<'_>, awaiting: usize) -> fmt::Result {
    write!(
        f,
        "{awaiting} departed relays and replaced announcements still hold memory, because a thread \
         inside a call has not run for long: it is stalled, or the machine is busy; try again \
         shortly"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

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

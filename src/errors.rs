//! Why a registry could not do what it was asked.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::dht::DhtOptionsError;
use crate::limits::{MAX_CAPACITY, MAX_RELAYS, MAX_RTT};
use crate::relay::{EndpointError, NatType};
use crate::rtt::Coordinate;

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
    /// The latency is 0 or above [`MAX_RTT`]. Leave it unset if it is unknown.
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
            Self::InvalidLatency { latency } => write!(
                f,
                "the latency is {latency:?}, not above zero and up to {MAX_RTT:?}"
            ),
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

/// Why no relay was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindError {
    /// No relay held meets the conditions. The counts say which condition to
    /// relax; where they are all zero, no relay is held at all.
    #[non_exhaustive]
    NoRelaysAvailable {
        /// How many relays were passed over, by reason.
        passed_over: PassedOver,
    },
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::NoRelaysAvailable { passed_over } = self;
        f.write_str("no relay is available")?;
        let mut separator = ": ";
        for (count, reason) in passed_over.reasons() {
            if count != 0 {
                write!(f, "{separator}{count} {reason}")?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

impl Error for FindError {}

/// How many relays were passed over, by the reason that ruled each out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PassedOver {
    /// Unregistered or expired, but not yet merged away.
    pub departed: usize,
    /// At their capacity.
    pub full: usize,
    /// Draining: they take no new leases.
    pub draining: usize,
    /// Failed lately, and not yet due for a trial.
    pub backing_off: usize,
    /// Banned by the operator.
    pub banned: usize,
    /// The target, this node, and those excluded by the options.
    pub excluded: usize,
    /// Measured, and beyond the maximum latency.
    pub too_far: usize,
    /// Not measured, where a maximum latency was given.
    pub unmeasured: usize,
}

impl PassedOver {
    /// How many relays were passed over for any reason.
    #[must_use]
    pub fn total(&self) -> usize {
        self.reasons()
            .into_iter()
            .fold(0, |total, (count, _)| total.saturating_add(count))
    }

    fn reasons(&self) -> [(usize, &'static str); 8] {
        [
            (self.departed, "departed"),
            (self.full, "full"),
            (self.draining, "draining"),
            (self.backing_off, "backing off"),
            (self.banned, "banned"),
            (self.excluded, "excluded"),
            (self.too_far, "too far"),
            (self.unmeasured, "unmeasured"),
        ]
    }
}

/// Why a named relay could not be leased. Each reason is one to try another
/// relay for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseError {
    /// No such relay is registered, or it has expired.
    UnknownRelay,
    /// The relay is at its capacity. A lease may succeed when another has been
    /// dropped.
    #[non_exhaustive]
    Full {
        /// The relay's capacity.
        capacity: u32,
    },
    /// The relay is draining: it serves the leases it has and takes no more.
    Draining,
    /// The relay is banned for the time being.
    Banned,
}

impl fmt::Display for LeaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownRelay => f.write_str("the relay is not registered"),
            Self::Full { capacity } => {
                write!(f, "the relay is full at its capacity of {capacity}")
            }
            Self::Draining => f.write_str("the relay is draining"),
            Self::Banned => f.write_str("the relay is banned"),
        }
    }
}

impl Error for LeaseError {}

/// Why a peer's view was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerViewError {
    /// The round trip is 0 or above [`MAX_RTT`]. Leave the relay out.
    #[non_exhaustive]
    InvalidRtt {
        /// What was given.
        rtt: Duration,
    },
    /// The view holds as many relays as it can. Give the nearest ones.
    Full,
}

impl fmt::Display for PeerViewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidRtt { rtt } => {
                write!(
                    f,
                    "the RTT is {rtt:?}, not above zero and up to {MAX_RTT:?}"
                )
            }
            Self::Full => f.write_str("the view holds three relays already"),
        }
    }
}

impl Error for PeerViewError {}

/// Why a relay was not banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BanError {
    /// The end of the ban is beyond what ticks can count. Choose a nearer one.
    #[non_exhaustive]
    TooLong {
        /// What was asked for.
        duration: Duration,
    },
    /// As many relays are banned as the registry keeps in mind. Lift a ban.
    #[non_exhaustive]
    TooMany {
        /// How many those are.
        max: usize,
    },
}

impl fmt::Display for BanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { duration } => {
                write!(f, "a ban of {duration:?} is beyond what ticks can count")
            }
            Self::TooMany { max } => write!(f, "{max} relays are banned already"),
        }
    }
}

impl Error for BanError {}

/// Why a registry was not built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// The number of relays is 0 or above [`MAX_RELAYS`]. Choose one within.
    #[non_exhaustive]
    InvalidMaxRelays {
        /// What was asked for.
        max_relays: usize,
    },
    /// The tick is shorter than a millisecond, or too long to be counted in
    /// nanoseconds. Choose one between.
    #[non_exhaustive]
    InvalidTick {
        /// What was asked for.
        tick: Duration,
    },
    /// The default TTL is shorter than a tick, or too long to be counted in
    /// ticks. Choose one between.
    #[non_exhaustive]
    InvalidTtl {
        /// What was asked for.
        ttl: Duration,
    },
    /// The assumed round trip is 0 or above [`MAX_RTT`]. Choose one within.
    #[non_exhaustive]
    InvalidAssumedRtt {
        /// What was asked for.
        assumed_rtt: Duration,
    },
    /// The share of relays that may be ejected at once is not within 0 and 1.
    /// Choose one within.
    InvalidMaxEjected,
    /// The memory for tables of this size is not to be had. Choose fewer relays.
    OutOfMemory,
    /// The operating system did not start a thread. Try again, or choose manual
    /// maintenance and no workers, and do without threads.
    #[non_exhaustive]
    Thread {
        /// What the operating system said.
        kind: io::ErrorKind,
    },
    /// The options of the distribution are not taken; the
    /// [source](Error::source) says why not.
    InvalidDht(DhtOptionsError),
}

impl From<DhtOptionsError> for BuildError {
    fn from(reason: DhtOptionsError) -> Self {
        Self::InvalidDht(reason)
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidMaxRelays { max_relays } => write!(
                f,
                "the registry is to hold {max_relays} relays, not 1 to {MAX_RELAYS}"
            ),
            Self::InvalidTick { tick } => write!(
                f,
                "the tick is {tick:?}, which is under 1ms or too long to be counted"
            ),
            Self::InvalidTtl { ttl } => write!(
                f,
                "the TTL is {ttl:?}, which is under one tick or beyond what ticks can count"
            ),
            Self::InvalidAssumedRtt { assumed_rtt } => write!(
                f,
                "the assumed RTT is {assumed_rtt:?}, not above zero and up to {MAX_RTT:?}"
            ),
            Self::InvalidMaxEjected => {
                f.write_str("the share of relays ejected at once is not within 0 and 1")
            }
            Self::OutOfMemory => f.write_str("there is no memory for tables of this size"),
            Self::Thread { kind } => write!(f, "a thread did not start: {kind}"),
            Self::InvalidDht(_) => f.write_str("the options of the distribution are not valid"),
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::InvalidDht(reason) => Some(reason),
            _ => None,
        }
    }
}

/// Why numbers are not a coordinate: the first part that is not a number or is
/// out of its range. Take nothing from the node that sent it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum CoordinateError {
    /// An axis of the position is further than [`MAX_RTT`] from 0.
    #[non_exhaustive]
    Position {
        /// Which axis, from 0.
        axis: usize,
        /// What was given, in microseconds.
        value: f32,
    },
    /// The height is below 0 or above [`MAX_RTT`].
    #[non_exhaustive]
    Height {
        /// What was given, in microseconds.
        value: f32,
    },
    /// The adjustment is further than [`MAX_RTT`] from 0.
    #[non_exhaustive]
    Adjustment {
        /// What was given, in microseconds.
        value: f32,
    },
    /// The error is below 0 or above [`Coordinate::MAX_ERROR`].
    #[non_exhaustive]
    Error {
        /// What was given.
        value: f32,
    },
}

impl fmt::Display for CoordinateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = MAX_RTT.as_micros();
        match self {
            Self::Position { axis, value } => write!(
                f,
                "axis {axis} of the position is {value} us, not -{most} to {most}"
            ),
            Self::Height { value } => write!(f, "the height is {value} us, not 0 to {most}"),
            Self::Adjustment { value } => {
                write!(f, "the adjustment is {value} us, not -{most} to {most}")
            }
            Self::Error { value } => {
                write!(
                    f,
                    "the error is {value}, not 0 to {}",
                    Coordinate::MAX_ERROR
                )
            }
        }
    }
}

impl Error for CoordinateError {}

/// Why a round trip does not count towards a coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ObserveError {
    /// The round trip is 0 or above [`MAX_RTT`]. Nothing measured that.
    #[non_exhaustive]
    InvalidRtt {
        /// What was given.
        rtt: Duration,
    },
    /// The round trip is further from the estimate than those before it give
    /// reason to expect: the peer lies, or the network has changed. Go on; if it
    /// has changed, later samples will be taken.
    #[non_exhaustive]
    Outlier {
        /// What was measured.
        rtt: Duration,
        /// What was estimated.
        expected: Duration,
    },
}

impl ObserveError {
    pub(crate) fn outlier(micros: u32, expected: u32) -> Self {
        Self::Outlier {
            rtt: Duration::from_micros(micros.into()),
            expected: Duration::from_micros(expected.into()),
        }
    }
}

impl fmt::Display for ObserveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidRtt { rtt } => write!(
                f,
                "the round trip is {rtt:?}, not above zero and up to {MAX_RTT:?}"
            ),
            Self::Outlier { rtt, expected } => write!(
                f,
                "the round trip is {rtt:?} where about {expected:?} was expected"
            ),
        }
    }
}

impl Error for ObserveError {}

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
                "the latency is 11s, not above zero and up to 10s",
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

    #[test]
    fn find_errors_name_only_what_counts() {
        let say = |passed_over| FindError::NoRelaysAvailable { passed_over }.to_string();
        assert_eq!(say(PassedOver::default()), "no relay is available");
        let some = PassedOver {
            full: 2,
            too_far: 1,
            ..PassedOver::default()
        };
        assert_eq!(say(some), "no relay is available: 2 full, 1 too far");
        let all = PassedOver {
            departed: 1,
            full: 2,
            draining: 3,
            excluded: 4,
            too_far: 5,
            unmeasured: 6,
            backing_off: 7,
            banned: 8,
        };
        assert_eq!(
            say(all),
            "no relay is available: 1 departed, 2 full, 3 draining, 7 backing off, 8 banned, \
             4 excluded, 5 too far, 6 unmeasured"
        );
        assert_eq!(all.total(), 36);
    }

    #[test]
    fn totals_do_not_overflow() {
        let passed_over = PassedOver {
            departed: usize::MAX,
            full: 1,
            ..PassedOver::default()
        };
        assert_eq!(passed_over.total(), usize::MAX);
    }

    #[test]
    fn view_and_ban_errors_explain_themselves() {
        let rtt = Duration::from_secs(11);
        assert_eq!(
            PeerViewError::InvalidRtt { rtt }.to_string(),
            "the RTT is 11s, not above zero and up to 10s"
        );
        assert_eq!(
            PeerViewError::Full.to_string(),
            "the view holds three relays already"
        );
        assert_eq!(
            BanError::TooLong { duration: rtt }.to_string(),
            "a ban of 11s is beyond what ticks can count"
        );
        assert_eq!(
            BanError::TooMany { max: 7 }.to_string(),
            "7 relays are banned already"
        );
    }

    #[test]
    fn lease_errors_explain_themselves() {
        for (error, says) in [
            (LeaseError::Banned, "the relay is banned"),
            (LeaseError::UnknownRelay, "the relay is not registered"),
            (
                LeaseError::Full { capacity: 8 },
                "the relay is full at its capacity of 8",
            ),
            (LeaseError::Draining, "the relay is draining"),
        ] {
            assert_eq!(error.to_string(), says);
        }
    }

    #[test]
    fn build_errors_explain_themselves() {
        for (error, says) in [
            (
                BuildError::InvalidMaxRelays { max_relays: 0 },
                "the registry is to hold 0 relays, not 1 to 8000000",
            ),
            (
                BuildError::InvalidTick {
                    tick: Duration::from_micros(1),
                },
                "the tick is 1µs, which is under 1ms or too long to be counted",
            ),
            (
                BuildError::InvalidTtl {
                    ttl: Duration::ZERO,
                },
                "the TTL is 0ns, which is under one tick or beyond what ticks can count",
            ),
            (
                BuildError::InvalidAssumedRtt {
                    assumed_rtt: Duration::ZERO,
                },
                "the assumed RTT is 0ns, not above zero and up to 10s",
            ),
            (
                BuildError::Thread {
                    kind: io::ErrorKind::WouldBlock,
                },
                "a thread did not start: operation would block",
            ),
        ] {
            assert_eq!(error.to_string(), says);
        }
    }

    #[test]
    fn coordinate_errors_name_the_part_and_the_value() {
        for (error, says) in [
            (
                CoordinateError::Position {
                    axis: 7,
                    value: f32::NAN,
                },
                "axis 7 of the position is NaN us, not -10000000 to 10000000",
            ),
            (
                CoordinateError::Height { value: -1.0 },
                "the height is -1 us, not 0 to 10000000",
            ),
            (
                CoordinateError::Adjustment { value: 2e7 },
                "the adjustment is 20000000 us, not -10000000 to 10000000",
            ),
            (
                CoordinateError::Error { value: 2.0 },
                "the error is 2, not 0 to 1.5",
            ),
        ] {
            assert_eq!(error.to_string(), says);
        }
    }

    #[test]
    fn observe_errors_tell_what_was_expected() {
        for (error, says) in [
            (
                ObserveError::InvalidRtt {
                    rtt: Duration::ZERO,
                },
                "the round trip is 0ns, not above zero and up to 10s",
            ),
            (
                ObserveError::outlier(900_000, 30_500),
                "the round trip is 900ms where about 30.5ms was expected",
            ),
        ] {
            assert_eq!(error.to_string(), says);
        }
    }
}

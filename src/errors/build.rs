//! Why a registry was not built.

#[cfg(feature = "dht")]
use crate::dht::DhtOptionsError;
use crate::limits::{MAX_RELAYS, MAX_RTT};
use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

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
    /// A round trip is to be forgotten within less than a second. Choose a second or
    /// more.
    #[non_exhaustive]
    InvalidRttLifetime {
        /// What was asked for.
        rtt_lifetime: Duration,
    },
    /// The share of relays that may be ejected at once is not within 0 and 1.
    /// Choose one within.
    InvalidMaxEjected,
    /// The shortest back-off is zero or above the longest, or the longest is beyond what
    /// ticks can count. Choose two spans in order.
    #[non_exhaustive]
    InvalidBackOff {
        /// The shortest that was asked for.
        min: Duration,
        /// The longest that was asked for.
        max: Duration,
    },
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
    #[cfg(feature = "dht")]
    InvalidDht(DhtOptionsError),
}

#[cfg(feature = "dht")]
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
            Self::InvalidRttLifetime { rtt_lifetime } => {
                write!(f, "the RTT lifetime is {rtt_lifetime:?}, which is under 1s")
            }
            Self::InvalidMaxEjected => {
                f.write_str("the share of relays ejected at once is not within 0 and 1")
            }
            Self::InvalidBackOff { min, max } => write!(
                f,
                "back-offs are to take {min:?} to {max:?}, not from above zero up to as long or longer, within what ticks can count"
            ),
            Self::OutOfMemory => f.write_str("there is no memory for tables of this size"),
            Self::Thread { kind } => write!(f, "a thread did not start: {kind}"),
            #[cfg(feature = "dht")]
            Self::InvalidDht(_) => f.write_str("the options of the distribution are not valid"),
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            #[cfg(feature = "dht")]
            Self::InvalidDht(reason) => Some(reason),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
                BuildError::InvalidRttLifetime {
                    rtt_lifetime: Duration::from_millis(999),
                },
                "the RTT lifetime is 999ms, which is under 1s",
            ),
            (
                BuildError::InvalidBackOff {
                    min: Duration::from_secs(2),
                    max: Duration::from_secs(1),
                },
                "back-offs are to take 2s to 1s, not from above zero up to as long or longer, within what ticks can count",
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
}

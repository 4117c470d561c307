//! Why a registry was not built.

#[cfg(feature = "dht")]
use crate::dht::DhtOptionsError;
use crate::errors::write_invalid_ttl;
use crate::limits::{MAX_PEERS, MAX_RELAYS, MAX_RTT};
use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

/// The shortest tick.
pub(super) const MIN_TICK: Duration = Duration::from_millis(1);

/// The longest name of a registry, in bytes.
pub(super) const MAX_NAME_LEN: usize = 64;

/// Why a registry was not built.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum BuildError {
    /// The number of relays is 0 or above [`MAX_RELAYS`]. Choose one within.
    #[non_exhaustive]
    InvalidMaxRelays {
        /// The number that was asked for.
        max_relays: usize,
    },
    /// The tick is shorter than a millisecond, or longer than the 584 years that can be
    /// counted in nanoseconds. Choose one between.
    #[non_exhaustive]
    InvalidTick {
        /// The tick that was asked for.
        tick: Duration,
    },
    /// The default TTL is shorter than a tick, or longer than ticks can count. Choose one
    /// between.
    #[non_exhaustive]
    InvalidTtl {
        /// The TTL that was asked for.
        ttl: Duration,
        /// The shortest, which is the tick.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// The assumed round trip is 0 or above [`MAX_RTT`]. Choose one within.
    #[non_exhaustive]
    InvalidAssumedRtt {
        /// The round trip that was asked for.
        assumed_rtt: Duration,
    },
    /// The lifetime of a measured round trip is under a second. Choose a second or more.
    #[non_exhaustive]
    InvalidRttLifetime {
        /// The lifetime that was asked for.
        rtt_lifetime: Duration,
    },
    /// The share of relays that may be ejected at once is not 0 to 1. Choose one within.
    #[non_exhaustive]
    InvalidMaxEjectedShare {
        /// The share that was asked for.
        share: f64,
    },
    /// The shortest back-off is zero or above the longest, or the longest is more than
    /// ticks can count. Choose two in order.
    #[non_exhaustive]
    InvalidBackOff {
        /// The shortest that was asked for.
        min: Duration,
        /// The longest that was asked for.
        max: Duration,
        /// The longest that ticks can count.
        countable: Duration,
    },
    /// The number of peers whose views are remembered is above [`MAX_PEERS`]. Choose one
    /// within.
    #[non_exhaustive]
    InvalidMaxPeers {
        /// The number that was asked for.
        max_peers: usize,
    },
    /// The number of events that are kept for subscribers is 0, or above the most. Choose one
    /// between.
    #[non_exhaustive]
    InvalidEventCapacity {
        /// The number that was asked for.
        capacity: usize,
        /// The most.
        max: usize,
    },
    /// The time for which the view of a peer is remembered is zero, or longer than ticks can
    /// count. Choose one between. To remember no views, choose no peers.
    #[non_exhaustive]
    InvalidPeerTtl {
        /// The time that was asked for.
        ttl: Duration,
        /// The longest.
        max: Duration,
    },
    /// The [name](crate::RegistryBuilder::name) of the registry is empty, or longer than 64
    /// bytes. Choose a shorter one, or none.
    #[non_exhaustive]
    InvalidName {
        /// Its length in bytes.
        len: usize,
    },
    /// The interval of saves is zero. Choose one above.
    #[non_exhaustive]
    InvalidSaveInterval {
        /// The interval that was asked for.
        every: Duration,
    },
    /// There is no memory for tables of this size. Choose fewer relays.
    OutOfMemory,
    /// The operating system did not start a thread. Try again, or choose
    /// [`Maintenance::Manual`](crate::Maintenance::Manual) and no worker threads.
    #[non_exhaustive]
    Thread {
        /// The error of the operating system.
        kind: io::ErrorKind,
    },
    /// One of the options of the DHT is not valid. The [source](Error::source) says
    /// which, and so does the message.
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
            Self::InvalidMaxRelays { max_relays } => {
                write!(f, "max_relays is {max_relays}, not 1 to {MAX_RELAYS}")
            }
            Self::InvalidTick { tick } if *tick < MIN_TICK => {
                write!(f, "the tick is {tick:?}, shorter than {MIN_TICK:?}")
            }
            Self::InvalidTick { tick } => write!(
                f,
                "the tick is {tick:?}, longer than the 584 years that nanoseconds can count"
            ),
            Self::InvalidTtl { ttl, min, max } => write_invalid_ttl(f, *ttl, *min, *max),
            Self::InvalidAssumedRtt { assumed_rtt } => write!(
                f,
                "the assumed RTT is {assumed_rtt:?}, not above zero and up to {MAX_RTT:?}"
            ),
            Self::InvalidSaveInterval { every } => {
                write!(
                    f,
                    "the interval of saves is {every:?}: choose one above zero"
                )
            }
            Self::InvalidRttLifetime { rtt_lifetime } => {
                write!(f, "the RTT lifetime is {rtt_lifetime:?}, shorter than 1s")
            }
            Self::InvalidMaxEjectedShare { share } => write!(
                f,
                "the share of relays that may be ejected at once is {share}, not 0 to 1"
            ),
            Self::InvalidBackOff { min, .. } if min.is_zero() => {
                f.write_str("the shortest back-off is 0ns: choose one above zero")
            }
            Self::InvalidBackOff { min, max, .. } if min > max => write!(
                f,
                "the shortest back-off is {min:?}, longer than the longest of {max:?}"
            ),
            Self::InvalidBackOff { max, countable, .. } => write!(
                f,
                "the longest back-off is {max:?}, longer than the {countable:?} that ticks can count"
            ),
            Self::InvalidMaxPeers { max_peers } => {
                write!(f, "max_peers is {max_peers}, not 0 to {MAX_PEERS}")
            }
            Self::InvalidEventCapacity { capacity, max } => {
                write!(f, "event_capacity is {capacity}, not 1 to {max}")
            }
            Self::InvalidPeerTtl { ttl, max } if ttl > max => write!(
                f,
                "the TTL of peers is {ttl:?}, longer than the {max:?} that ticks can count"
            ),
            Self::InvalidPeerTtl { .. } => f.write_str(
                "the TTL of peers is 0ns: choose one above zero, or max_peers of 0 to remember \
                 none",
            ),
            Self::InvalidName { len } => write!(
                f,
                "the name of the registry has {len} bytes, not 1 to {MAX_NAME_LEN}"
            ),
            Self::OutOfMemory => {
                f.write_str("there is no memory for tables of this size: choose fewer relays")
            }
            Self::Thread { kind } => write!(
                f,
                "a thread did not start ({kind}): try again, or choose Maintenance::Manual"
            ),
            #[cfg(feature = "dht")]
            Self::InvalidDht(reason) => {
                write!(f, "the options of the DHT are not valid: {reason}")
            }
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

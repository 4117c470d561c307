//! The ranges of the options, and [`DhtOptionsError`].

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::DhtOptions;
use crate::dht::record::{MAX_TTL, Network};
use crate::limits::MAX_CAPACITY;
use crate::relay::NodeId;

/// The most threads for the engine, and for probes.
const MAX_THREADS: usize = 64;

impl DhtOptions {
    /// Checks the options for a registry of `max_relays`.
    pub(crate) fn check(&self, max_relays: usize) -> Result<(), DhtOptionsError> {
        const DAY: Duration = Duration::from_secs(86_400);
        const HOUR: Duration = Duration::from_secs(3_600);
        const MINUTE: Duration = Duration::from_secs(60);
        let nanosecond = Duration::from_nanos(1);
        let times = [
            ("record_ttl", self.ttl, Duration::from_secs(1), MAX_TTL),
            ("refresh", self.refresh_interval(), nanosecond, self.ttl / 2),
            ("debounce", self.debounce, Duration::ZERO, MINUTE),
            (
                "load_interval",
                self.load_interval,
                Duration::from_secs(1),
                DAY,
            ),
            ("sweep_interval", self.sweep_interval, nanosecond, DAY),
            (
                "negative_cache_ttl",
                self.negative_cache_ttl,
                Duration::ZERO,
                DAY,
            ),
            ("probe_interval", self.probe_interval, nanosecond, DAY),
            ("probe_deadline", self.probe_deadline, nanosecond, HOUR),
            ("request_deadline", self.request_deadline, nanosecond, HOUR),
            (
                "shutdown_timeout",
                self.shutdown_timeout,
                Duration::ZERO,
                MINUTE,
            ),
        ];
        for (option, given, least, most) in times {
            if !(least..=most).contains(&given) {
                return Err(DhtOptionsError::Time {
                    option,
                    given,
                    least,
                    most,
                });
            }
        }
        let most = usize::MAX;
        let numbers = [
            ("max_per_ipv4_24", self.max_per_ipv4_24, 1, most),
            ("max_per_ipv6_48", self.max_per_ipv6_48, 1, most),
            (
                "max_updates_per_minute",
                self.max_updates_per_minute as usize,
                1,
                most,
            ),
            (
                "local_reserve",
                self.local_reserve_of(max_relays),
                0,
                max_relays,
            ),
            (
                "max_candidates",
                self.max_candidates_of(max_relays),
                1,
                1 << 20,
            ),
            (
                "wanted_relays",
                self.wanted_relays_of(max_relays),
                1,
                1 << 20,
            ),
            (
                "max_claimed_capacity",
                self.max_capacity as usize,
                1,
                MAX_CAPACITY as usize,
            ),
            (
                "max_failed_probes",
                self.max_failed_probes as usize,
                1,
                most,
            ),
            ("worker_threads", self.worker_threads, 0, MAX_THREADS),
            ("probe_threads", self.probe_threads, 1, MAX_THREADS),
        ];
        for (option, given, least, most) in numbers {
            if !(least..=most).contains(&given) {
                return Err(DhtOptionsError::Number {
                    option,
                    given,
                    least,
                    most,
                });
            }
        }
        Ok(())
    }

    /// Checks the network for an engine that carries records of one alone.
    pub(crate) fn check_network(&self, engine: Option<Network>) -> Result<(), DhtOptionsError> {
        match engine {
            Some(engine) if engine != self.network => Err(DhtOptionsError::OtherNetwork {
                engine,
                options: self.network,
            }),
            _ => Ok(()),
        }
    }
}

/// Why [`DhtOptions`] are rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DhtOptionsError {
    /// A duration is out of its range.
    #[non_exhaustive]
    Time {
        /// The name of the option.
        option: &'static str,
        /// The given value.
        given: Duration,
        /// The least allowed value.
        least: Duration,
        /// The greatest allowed value.
        most: Duration,
    },
    /// A number is out of its range.
    #[non_exhaustive]
    Number {
        /// The name of the option.
        option: &'static str,
        /// The given value.
        given: usize,
        /// The least allowed value.
        least: usize,
        /// The greatest allowed value.
        most: usize,
    },
    /// The engine panicked in [`RelayDht::limits`](crate::dht::RelayDht::limits) or
    /// [`RelayDht::network`](crate::dht::RelayDht::network).
    EnginePanicked,
    /// The options name another network than the engine: nothing would be published or learned.
    #[non_exhaustive]
    OtherNetwork {
        /// The network of the engine.
        engine: Network,
        /// The network of the options, which is [`Network::default`] unless it was set.
        options: Network,
    },
    /// The registry's [`local_id`](crate::RegistryBuilder::local_id) is set, and is not the
    /// key's node id.
    #[non_exhaustive]
    OtherLocalId {
        /// The key's node id.
        of_key: NodeId,
    },
}

impl fmt::Display for DhtOptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time {
                option,
                given,
                least,
                most,
            } => write!(f, "{option} is {given:?}, not {least:?} to {most:?}"),
            Self::Number {
                option,
                given,
                least,
                most,
            } => write!(f, "{option} is {given}, not {least} to {most}"),
            Self::EnginePanicked => {
                f.write_str("the engine panicked when asked for its limits or its network")
            }
            Self::OtherNetwork { engine, options } => write!(
                f,
                "the engine carries records of the network \"{}\", and the options name \"{}\"",
                engine.tag().escape_ascii(),
                options.tag().escape_ascii()
            ),
            Self::OtherLocalId { of_key } => {
                write!(
                    f,
                    "local_id is not {of_key}, the node id of the key: leave it unset"
                )
            }
        }
    }
}

impl Error for DhtOptionsError {}

//! Whether options can be had, and [`DhtOptionsError`].

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::DhtOptions;
use crate::dht::record::MAX_TTL;
use crate::limits::MAX_CAPACITY;
use crate::relay::NodeId;

/// The most threads of one kind.
const MAX_THREADS: usize = 64;

impl DhtOptions {
    /// Judges the options for a registry of `max_relays`.
    pub(crate) fn check(&self, max_relays: usize) -> Result<(), DhtOptionsError> {
        const DAY: Duration = Duration::from_secs(86_400);
        const HOUR: Duration = Duration::from_secs(3_600);
        const MINUTE: Duration = Duration::from_secs(60);
        let nanosecond = Duration::from_nanos(1);
        let times = [
            ("record_ttl", self.ttl, Duration::from_secs(1), MAX_TTL),
            ("refresh", self.refresh_every(), nanosecond, self.ttl / 2),
            ("debounce", self.debounce, Duration::ZERO, MINUTE),
            (
                "load_interval",
                self.load_every,
                Duration::from_secs(1),
                DAY,
            ),
            ("sweep_interval", self.sweep_every, nanosecond, DAY),
            (
                "negative_cache_ttl",
                self.negative_cache_ttl,
                Duration::ZERO,
                DAY,
            ),
            ("probe_interval", self.probe_every, nanosecond, DAY),
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
            ("max_per_ipv4_24", self.per_v4, 1, most),
            ("max_per_ipv6_48", self.per_v6, 1, most),
            (
                "max_updates_per_minute",
                self.news_per_minute as usize,
                1,
                most,
            ),
            ("local_reserve", self.reserve(max_relays), 0, max_relays),
            ("max_candidates", self.candidates(max_relays), 1, 1 << 20),
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
}

/// Why [`DhtOptions`] are not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DhtOptionsError {
    /// A span of time is out of its range.
    #[non_exhaustive]
    Time {
        /// The option.
        option: &'static str,
        /// What was given.
        given: Duration,
        /// The least it may be.
        least: Duration,
        /// The most it may be.
        most: Duration,
    },
    /// A number is out of its range.
    #[non_exhaustive]
    Number {
        /// The option.
        option: &'static str,
        /// What was given.
        given: usize,
        /// The least it may be.
        least: usize,
        /// The most it may be.
        most: usize,
    },
    /// The engine panicked when it was asked for its limits.
    EnginePanicked,
    /// The registry's local id is set, and not the key's node id.
    #[non_exhaustive]
    OtherLocalId {
        /// The key's.
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
            Self::EnginePanicked => f.write_str("the engine panicked when asked for its limits"),
            Self::OtherLocalId { of_key } => {
                write!(f, "the local id is not {of_key}, as the key has it")
            }
        }
    }
}

impl Error for DhtOptionsError {}

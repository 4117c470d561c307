//! [`DhtOptions`]: how a registry distributes and learns.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::admission::{PerPrefix, Terms};
use super::{Limits, MAX_TTL, Network, Probe, SecretKey, discovery, publisher};
use crate::limits::MAX_CAPACITY;
use crate::relay::{AddressPolicy, NodeId};
use crate::sync::Arc;
use crate::time::Clock;

/// How a registry publishes the relay that this node is, and learns of others;
/// see [`RegistryBuilder::dht`](crate::RegistryBuilder::dht).
///
/// Without a [key](Self::key) it publishes nothing, without a
/// [probe](Self::probe) it learns nothing;
/// [`Stats::dht`](crate::Stats::dht) says so.
///
/// ```
/// use relay_registry::Registry;
/// use relay_registry::dht::{DhtOptions, Memory, Network, SecretKey};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// let options = DhtOptions::new()
///     .key(Arc::new(SecretKey::generate()?))
///     .network(Network::new(b"staging")?)
///     .probe(|_: &_, _: &_, _| Ok(Duration::from_millis(20))); // connect, in earnest
/// let registry = Registry::builder().dht(Memory::new(), options).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "options do nothing until they are given to a builder"]
pub struct DhtOptions {
    pub(super) key: Option<Arc<SecretKey>>,
    pub(super) network: Network,
    pub(super) probe: Option<Arc<dyn Probe>>,
    allowed: Option<BTreeSet<NodeId>>,
    addresses: AddressPolicy,
    names: bool,
    per_v4: usize,
    per_v6: usize,
    news_per_minute: u32,
    reserve: Option<usize>,
    max_candidates: Option<usize>,
    max_capacity: u32,
    ttl: Duration,
    refresh: Option<Duration>,
    debounce: Duration,
    load_every: Duration,
    sweep_every: Duration,
    absent_for: Duration,
    probe_every: Duration,
    max_failed_probes: u32,
    pub(super) probe_deadline: Duration,
    pub(super) request_deadline: Duration,
    pub(super) farewell: Duration,
    pub(super) workers: usize,
    pub(super) probers: usize,
    pub(super) wall_clock: Box<dyn Clock>,
    pub(super) seed: Option<u64>,
}

/// The operating system's calendar, as the time since the Unix epoch.
#[derive(Debug)]
struct Calendar;

impl Clock for Calendar {
    fn now(&self) -> Duration {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
    }
}

/// The most threads of one kind.
const MAX_THREADS: usize = 64;

impl Default for DhtOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl DhtOptions {
    /// Options that leave everything at its default.
    pub fn new() -> Self {
        Self {
            key: None,
            network: Network::default(),
            probe: None,
            allowed: None,
            addresses: AddressPolicy::PublicOnly,
            names: false,
            per_v4: 4,
            per_v6: 4,
            news_per_minute: 6,
            reserve: None,
            max_candidates: None,
            max_capacity: 1_000,
            ttl: Duration::from_secs(1_800),
            refresh: None,
            debounce: Duration::from_millis(500),
            load_every: Duration::from_secs(60),
            sweep_every: Duration::from_secs(60),
            absent_for: Duration::from_secs(30),
            probe_every: Duration::from_secs(60),
            max_failed_probes: 3,
            probe_deadline: Duration::from_secs(5),
            request_deadline: Duration::from_secs(10),
            farewell: Duration::from_secs(1),
            workers: 2,
            probers: 2,
            wall_clock: Box::new(Calendar),
            seed: None,
        }
    }

    /// The key of this node. The relay whose id is the key's
    /// [node id](SecretKey::node_id) is published while it is registered here;
    /// a node cannot sign for others. It is also the registry's
    /// [`local_id`](crate::RegistryBuilder::local_id), unless that is set to
    /// the same. By default there is none, and nothing is published.
    pub fn key(mut self, key: impl Into<Arc<SecretKey>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Whose records count. Default: [`Network::default`].
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// What finds out whether a stranger's relay is one. By default there is
    /// none, and nothing is learned.
    pub fn probe(mut self, probe: impl Probe) -> Self {
        self.probe = Some(Arc::new(probe));
        self
    }

    /// The only relays that are learned of. Default: any.
    pub fn allow_only(mut self, relays: impl IntoIterator<Item = NodeId>) -> Self {
        self.allowed = Some(relays.into_iter().collect());
        self
    }

    /// Lets strangers name loopback and private addresses, so that they can make
    /// this node connect to whatever is inside its own network: for tests, and
    /// for networks where everybody is trusted. Default: off.
    pub fn trust_strangers_with_private_addresses(mut self, trusted: bool) -> Self {
        self.addresses = if trusted {
            AddressPolicy::Any
        } else {
            AddressPolicy::PublicOnly
        };
        self
    }

    /// Lets strangers announce DNS names, which can resolve to anything, private
    /// addresses included: a probe, and whoever dials, must check what they
    /// resolve to. Default: off.
    pub fn accept_names_from_strangers(mut self, accepted: bool) -> Self {
        self.names = accepted;
        self
    }

    /// How many relays of one IPv4 /24 may be known, at least 1; as many of
    /// names that share their last two labels. Default: 4.
    pub fn max_per_ipv4_24(mut self, relays: usize) -> Self {
        self.per_v4 = relays;
        self
    }

    /// How many relays of one IPv6 /48 may be known, at least 1. Default: 4.
    pub fn max_per_ipv6_48(mut self, relays: usize) -> Self {
        self.per_v6 = relays;
        self
    }

    /// How many new records of one relay are heeded within a minute, at least 1;
    /// withdrawals always are. Default: 6.
    pub fn max_news_per_minute(mut self, records: u32) -> Self {
        self.news_per_minute = records;
        self
    }

    /// How many places of the registry's
    /// [`max_relays`](crate::RegistryBuilder::max_relays) are kept for local
    /// registrations, at most all of them. Those that are not in use stay
    /// empty. Local registrations beyond them take the places of learned
    /// relays. Default: a quarter.
    pub fn reserve_for_local(mut self, places: usize) -> Self {
        self.reserve = Some(places);
        self
    }

    /// How many relays can wait for their first probe to succeed, at least 1.
    /// Default: as many as the registry has places, within 64 and 4,096.
    pub fn max_candidates(mut self, relays: usize) -> Self {
        self.max_candidates = Some(relays);
        self
    }

    /// The most units of capacity that a stranger is believed to have: 1 to
    /// [`MAX_CAPACITY`]. Default: 1,000.
    pub fn max_claimed_capacity(mut self, units: u32) -> Self {
        self.max_capacity = units;
        self
    }

    /// For how long what this node signs is valid: 1 s to [`MAX_TTL`]. As long
    /// can others believe in a relay that died without a word. Default: 30
    /// minutes.
    pub fn record_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How often it is signed and stored anew, up to a quarter earlier at
    /// random: above zero, at most half of the TTL. An engine that forgets
    /// sooner is told sooner. Default: half of the TTL.
    pub fn refresh(mut self, interval: Duration) -> Self {
        self.refresh = Some(interval);
        self
    }

    /// How long a change of this node's relay rests before it is published, so
    /// that a few changes make one record: at most a minute. Default: 500 ms.
    pub fn debounce(mut self, rest: Duration) -> Self {
        self.debounce = rest;
        self
    }

    /// How often a change of load alone is reason enough to publish: at least
    /// 1 s. Default: a minute.
    pub fn load_interval(mut self, interval: Duration) -> Self {
        self.load_every = interval;
        self
    }

    /// How often each shard of the directory is read, up to a quarter earlier at
    /// random: above zero, at most a day. Default: a minute.
    pub fn sweep_interval(mut self, interval: Duration) -> Self {
        self.sweep_every = interval;
        self
    }

    /// How long it is remembered that a relay has no record: at most a day. Only
    /// complete answers say so. Default: 30 s.
    pub fn absent_for(mut self, span: Duration) -> Self {
        self.absent_for = span;
        self
    }

    /// How often each learned relay is probed, up to a quarter earlier at random:
    /// above zero, at most a day. Default: a minute.
    pub fn probe_interval(mut self, interval: Duration) -> Self {
        self.probe_every = interval;
        self
    }

    /// How many probes in a row may fail until a relay leaves, at least 1.
    /// Default: 3.
    pub fn max_failed_probes(mut self, failures: u32) -> Self {
        self.max_failed_probes = failures;
        self
    }

    /// How long a probe may take: above zero, at most an hour. Default: 5 s.
    pub fn probe_deadline(mut self, deadline: Duration) -> Self {
        self.probe_deadline = deadline;
        self
    }

    /// How long a request to the engine may take: above zero, at most an hour.
    /// Default: 10 s.
    pub fn request_deadline(mut self, deadline: Duration) -> Self {
        self.request_deadline = deadline;
        self
    }

    /// How long whoever drops the last handle of the registry waits for the
    /// withdrawal of its relay and for its threads, at most; what still hangs
    /// then is left to itself. At most a minute. Default: 1 s.
    pub fn farewell(mut self, longest: Duration) -> Self {
        self.farewell = longest;
        self
    }

    /// How many threads talk to the engine, at most as many as it
    /// [carries](Limits::max_in_flight) and 64. With none, nothing happens until
    /// [`Registry::distribute`](crate::Registry::distribute) is called, probes
    /// included, and dropping the registry withdraws nothing. Default: 2.
    pub fn workers(mut self, threads: usize) -> Self {
        self.workers = threads;
        self
    }

    /// How many threads probe: 1 to 64. Default: 2.
    pub fn probers(mut self, threads: usize) -> Self {
        self.probers = threads;
        self
    }

    /// The calendar: a clock that reads the time since the Unix epoch. What is
    /// signed and what has expired goes by it; all else by the registry's own
    /// clock. Default: that of the operating system.
    pub fn wall_clock(mut self, clock: impl Clock) -> Self {
        self.wall_clock = Box::new(clock);
        self
    }

    /// What jitter and random order start from, to repeat a test. Default:
    /// something random.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

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
            ("absent_for", self.absent_for, Duration::ZERO, DAY),
            ("probe_interval", self.probe_every, nanosecond, DAY),
            ("probe_deadline", self.probe_deadline, nanosecond, HOUR),
            ("request_deadline", self.request_deadline, nanosecond, HOUR),
            ("farewell", self.farewell, Duration::ZERO, MINUTE),
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
                "max_news_per_minute",
                self.news_per_minute as usize,
                1,
                most,
            ),
            ("reserve_for_local", self.reserve(max_relays), 0, max_relays),
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
            ("workers", self.workers, 0, MAX_THREADS),
            ("probers", self.probers, 1, MAX_THREADS),
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

    fn refresh_every(&self) -> Duration {
        self.refresh.unwrap_or(self.ttl / 2)
    }

    fn reserve(&self, max_relays: usize) -> usize {
        self.reserve.unwrap_or(max_relays / 4)
    }

    fn candidates(&self, max_relays: usize) -> usize {
        self.max_candidates
            .unwrap_or_else(|| max_relays.clamp(64, 4_096))
    }

    /// The identity of this node, if it has a key.
    pub(crate) fn own(&self) -> Option<NodeId> {
        self.key.as_ref().map(|key| key.node_id())
    }

    pub(super) fn publisher_rhythm(&self, limits: Limits) -> publisher::Rhythm {
        publisher::Rhythm {
            debounce: self.debounce,
            ttl: self.ttl,
            refresh: self.refresh_every().min(limits.refresh),
            load_every: self.load_every,
            patience: self.request_deadline.saturating_mul(2),
        }
    }

    pub(super) fn discovery_rhythm(&self) -> discovery::Rhythm {
        discovery::Rhythm {
            sweep_every: self.sweep_every,
            hurry: self.sweep_every.min(Duration::from_secs(2)),
            absent_for: self.absent_for,
            patience: self.request_deadline.saturating_mul(2),
        }
    }

    pub(super) fn terms(&self, max_relays: usize, limits: Limits) -> Terms {
        Terms {
            network: self.network,
            own: self.own(),
            allowed: self.allowed.clone(),
            addresses: self.addresses,
            names: self.names,
            max_relays,
            reserve: self.reserve(max_relays),
            max_candidates: self.candidates(max_relays),
            max_capacity: self.max_capacity,
            news_per_minute: self.news_per_minute,
            probe_every: self.probe_every,
            // The rest of a refresh is for the way there and back.
            ask_every: self.refresh_every().min(limits.refresh) * 3 / 4,
            patience: self.max_failed_probes,
        }
    }

    /// So far from now.
    pub(super) fn deadline(&self, span: Duration) -> Instant {
        // Spans are an hour at most.
        Instant::now() + span
    }

    pub(super) const fn per_prefix(&self) -> PerPrefix {
        PerPrefix {
            v4: self.per_v4,
            v6: self.per_v6,
        }
    }
}

impl fmt::Debug for DhtOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DhtOptions")
            .field("own", &self.own())
            .field("network", &self.network)
            .field("probe", &self.probe.is_some())
            .field("ttl", &self.ttl)
            .field("workers", &self.workers)
            .finish_non_exhaustive()
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

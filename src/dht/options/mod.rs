//! [`DhtOptions`]: how a registry distributes and learns.

mod check;
mod derived;

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::probe::Probe;
use super::record::{Network, SecretKey};
use crate::relay::{AddressPolicy, NodeId};
use crate::sync::Arc;
use crate::time::Clock;

pub use check::DhtOptionsError;

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
    negative_cache_ttl: Duration,
    probe_every: Duration,
    max_failed_probes: u32,
    pub(super) probe_deadline: Duration,
    pub(super) request_deadline: Duration,
    pub(super) shutdown_timeout: Duration,
    pub(super) worker_threads: usize,
    pub(super) probe_threads: usize,
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
            negative_cache_ttl: Duration::from_secs(30),
            probe_every: Duration::from_secs(60),
            max_failed_probes: 3,
            probe_deadline: Duration::from_secs(5),
            request_deadline: Duration::from_secs(10),
            shutdown_timeout: Duration::from_secs(1),
            worker_threads: 2,
            probe_threads: 2,
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
    /// names that share their last two labels. It also bounds how often strangers
    /// can have a prefix probed: see [`probe_interval`](Self::probe_interval).
    /// Default: 4.
    pub fn max_per_ipv4_24(mut self, relays: usize) -> Self {
        self.per_v4 = relays;
        self
    }

    /// How many relays of one IPv6 /48 may be known, and how often it is probed, as
    /// for [IPv4](Self::max_per_ipv4_24); at least 1. Default: 4.
    pub fn max_per_ipv6_48(mut self, relays: usize) -> Self {
        self.per_v6 = relays;
        self
    }

    /// How many new records of one relay are heeded within a minute, at least 1,
    /// also where it withdraws in between; withdrawals always are. Default: 6.
    pub fn max_updates_per_minute(mut self, records: u32) -> Self {
        self.news_per_minute = records;
        self
    }

    /// How many places of the registry's
    /// [`max_relays`](crate::RegistryBuilder::max_relays) are kept for local
    /// registrations, at most all of them. Those that are not in use stay
    /// empty. Local registrations beyond them take the places of learned
    /// relays. Default: a quarter.
    pub fn local_reserve(mut self, places: usize) -> Self {
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
    /// [`MAX_CAPACITY`](crate::MAX_CAPACITY). Default: 1,000.
    pub fn max_claimed_capacity(mut self, units: u32) -> Self {
        self.max_capacity = units;
        self
    }

    /// For how long what this node signs is valid: 1 s to [`MAX_TTL`](super::MAX_TTL). As long
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
    pub fn negative_cache_ttl(mut self, span: Duration) -> Self {
        self.negative_cache_ttl = span;
        self
    }

    /// How often each learned relay is probed, up to a quarter earlier at random:
    /// above zero, at most a day. Default: a minute.
    ///
    /// It also bounds how often strangers can have an address probed at which no
    /// relay was found yet. Whatever keys say and however many there are, endpoints
    /// of one prefix that are not in the registry are probed as often at once as
    /// there [may be relays](Self::max_per_ipv4_24) of it, and then one each half
    /// interval divided by that number: by default 4, and then one each 7.5 s. After
    /// a probe that failed the next waits as long.
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

    /// How long a probe may take: above zero, at most an hour. While more strangers
    /// wait for their first probe than can be probed within a probe interval, that
    /// one is given a quarter of it. Default: 5 s.
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
    pub fn shutdown_timeout(mut self, longest: Duration) -> Self {
        self.shutdown_timeout = longest;
        self
    }

    /// How many threads talk to the engine, at most as many as it
    /// [carries](super::Limits::max_in_flight) and 64. With none, nothing happens until
    /// [`Registry::run_distribution`](crate::Registry::run_distribution) is called, probes
    /// included, and dropping the registry withdraws nothing. Default: 2.
    pub fn worker_threads(mut self, threads: usize) -> Self {
        self.worker_threads = threads;
        self
    }

    /// How many threads probe: 1 to 64. Default: 2.
    pub fn probe_threads(mut self, threads: usize) -> Self {
        self.probe_threads = threads;
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
}

impl fmt::Debug for DhtOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DhtOptions")
            .field("own", &self.own())
            .field("network", &self.network)
            .field("probe", &self.probe.is_some())
            .field("ttl", &self.ttl)
            .field("worker_threads", &self.worker_threads)
            .finish_non_exhaustive()
    }
}

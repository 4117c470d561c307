//! [`DhtOptions`]: how a registry publishes its relay and learns others.

mod check;
mod derived;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::probe::Probe;
use super::record::{Network, SecretKey};
use crate::relay::{AddressPolicy, NodeId};
use crate::sync::Arc;

pub use check::DhtOptionsError;

/// How a registry publishes this node's relay and learns others; see
/// [`RegistryBuilder::dht`](crate::RegistryBuilder::dht).
///
/// Without a [key](Self::key) it publishes nothing. Without a [probe](Self::probe) it learns
/// nothing. [`DhtStats`](super::DhtStats) shows both.
///
/// [`RegistryBuilder::build`](crate::RegistryBuilder::build) checks the ranges, and returns a
/// [`DhtOptionsError`] for a value outside.
///
/// Intervals that a method calls *jittered* are shortened by up to a quarter, at random.
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
///     .probe(|_: &_, _: &_, _| Ok(Duration::from_millis(20))); // a real probe connects
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
    accept_names: bool,
    max_per_ipv4_24: usize,
    max_per_ipv6_48: usize,
    max_updates_per_minute: u32,
    local_reserve: Option<usize>,
    max_candidates: Option<usize>,
    wanted_relays: Option<usize>,
    max_capacity: u32,
    learned_tier: u8,
    ttl: Duration,
    refresh: Option<Duration>,
    debounce: Duration,
    load_interval: Duration,
    sweep_interval: Duration,
    negative_cache_ttl: Duration,
    probe_interval: Duration,
    max_failed_probes: u32,
    pub(super) probe_deadline: Duration,
    pub(super) request_deadline: Duration,
    pub(super) shutdown_timeout: Duration,
    pub(super) worker_threads: usize,
    pub(super) probe_threads: usize,
    pub(super) seed: Option<u64>,
}

impl Default for DhtOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl DhtOptions {
    /// Creates options with all defaults.
    pub fn new() -> Self {
        Self {
            key: None,
            network: Network::default(),
            probe: None,
            allowed: None,
            addresses: AddressPolicy::PublicOnly,
            accept_names: false,
            max_per_ipv4_24: 4,
            max_per_ipv6_48: 4,
            max_updates_per_minute: 6,
            local_reserve: None,
            max_candidates: None,
            wanted_relays: None,
            max_capacity: 1_000,
            learned_tier: 1,
            ttl: Duration::from_secs(1_800),
            refresh: None,
            debounce: Duration::from_millis(500),
            load_interval: Duration::from_secs(60),
            sweep_interval: Duration::from_secs(60),
            negative_cache_ttl: Duration::from_secs(30),
            probe_interval: Duration::from_secs(60),
            max_failed_probes: 3,
            probe_deadline: Duration::from_secs(5),
            request_deadline: Duration::from_secs(10),
            shutdown_timeout: Duration::from_secs(1),
            worker_threads: 2,
            probe_threads: 2,
            seed: None,
        }
    }

    /// The key of this node, which signs its records. While the relay with the key's
    /// [node id](SecretKey::node_id) is registered locally, it is published. The node id also
    /// becomes the registry's [`local_id`](crate::RegistryBuilder::local_id); another
    /// `local_id` is an error. Default: none, and nothing is published.
    pub fn key(mut self, key: impl Into<Arc<SecretKey>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The network. Records of other networks are rejected. Default: [`Network::default`].
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// The check that a remote relay works. Default: none, and nothing is learned.
    pub fn probe(mut self, probe: impl Probe) -> Self {
        self.probe = Some(Arc::new(probe));
        self
    }

    /// Learns only these relays. Default: any.
    pub fn allow_only(mut self, relays: impl IntoIterator<Item = NodeId>) -> Self {
        self.allowed = Some(relays.into_iter().collect());
        self
    }

    /// Accepts loopback and private addresses from other nodes. If true, any node can make
    /// this one connect to any address inside its own network. It is meant for tests, and for
    /// networks in which all nodes are trusted. Default: false.
    pub fn trust_strangers_with_private_addresses(mut self, trusted: bool) -> Self {
        self.addresses = if trusted {
            AddressPolicy::Any
        } else {
            AddressPolicy::PublicOnly
        };
        self
    }

    /// Accepts DNS names from other nodes. A name may resolve to any address, also a private
    /// one. If true, the probe and each caller that connects must check the resolved address.
    /// Default: false.
    pub fn accept_names_from_strangers(mut self, accepted: bool) -> Self {
        self.accept_names = accepted;
        self
    }

    /// The most remote relays of one IPv4 /24, at least 1. The same limit holds for DNS names
    /// that share their last two labels. It also limits the rate of probes: see
    /// [`probe_interval`](Self::probe_interval). Default: 4.
    pub fn max_per_ipv4_24(mut self, relays: usize) -> Self {
        self.max_per_ipv4_24 = relays;
        self
    }

    /// The most remote relays of one IPv6 /48, at least 1. It also limits the rate of probes:
    /// see [`probe_interval`](Self::probe_interval). Default: 4.
    pub fn max_per_ipv6_48(mut self, relays: usize) -> Self {
        self.max_per_ipv6_48 = relays;
        self
    }

    /// The most new announcements of one relay that are accepted within a minute, at least 1.
    /// Withdrawals are always accepted, and do not reset the count. Default: 6.
    pub fn max_updates_per_minute(mut self, records: u32) -> Self {
        self.max_updates_per_minute = records;
        self
    }

    /// How much of the registry's [`max_relays`](crate::RegistryBuilder::max_relays) is
    /// reserved for local registrations, at most all of it. Learned relays do not use the
    /// reserve, also while it is empty. Local registrations beyond it evict learned relays.
    /// Default: a quarter of `max_relays`.
    pub fn local_reserve(mut self, places: usize) -> Self {
        self.local_reserve = Some(places);
        self
    }

    /// The most candidates: remote relays that are known and not registered. 1 to 1,048,576.
    /// Default: [`max_relays`](crate::RegistryBuilder::max_relays), but at least 64 and at
    /// most 4,096.
    pub fn max_candidates(mut self, relays: usize) -> Self {
        self.max_candidates = Some(relays);
        self
    }

    /// How many relays this node wants to know of, candidates included: 1 to 1,048,576.
    /// A directory that has [divided](super::Limits::max_depth) is read until so many are known,
    /// at random, and from then on what was read is read again. A directory that has not is read
    /// whole. A caller that finds no relay makes the node look for more. Default:
    /// [`max_relays`](crate::RegistryBuilder::max_relays), but at most 512.
    pub fn wanted_relays(mut self, relays: usize) -> Self {
        self.wanted_relays = Some(relays);
        self
    }

    /// The most units of capacity that a learned relay is registered with, if it announces
    /// more: 1 to [`MAX_CAPACITY`](crate::MAX_CAPACITY). Default: 1,000.
    pub fn max_claimed_capacity(mut self, units: u32) -> Self {
        self.max_capacity = units;
        self
    }

    /// The [tier](crate::RegisterOptions::tier) of learned relays: they are handed out only if
    /// no relay of a lower tier is eligible. 0 ranks them with the relays that are registered
    /// here without a tier. Default: 1. Their [cost](crate::RegisterOptions::cost) is 1.
    ///
    /// ```
    /// use relay_registry::Registry;
    /// use relay_registry::dht::{DhtOptions, Memory};
    ///
    /// // Relays of other nodes are as good as our own.
    /// let options = DhtOptions::new().learned_tier(0);
    /// let registry = Registry::builder().dht(Memory::new(), options).build()?;
    /// # Ok::<(), relay_registry::BuildError>(())
    /// ```
    pub fn learned_tier(mut self, tier: u8) -> Self {
        self.learned_tier = tier;
        self
    }

    /// The TTL of the records that this node signs: 1 s to [`MAX_TTL`](super::MAX_TTL). If
    /// this node stops without a withdrawal, others may keep its record for so long.
    /// Default: 30 minutes.
    pub fn record_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How often this node's record is signed and stored again, jittered: above zero, at most
    /// half of the TTL. If the engine's [`Limits::refresh`](super::Limits::refresh) is
    /// shorter, that applies. Default: half of the TTL.
    pub fn refresh(mut self, interval: Duration) -> Self {
        self.refresh = Some(interval);
        self
    }

    /// The delay between a change of this node's relay and its publication, at most a minute.
    /// Changes within the delay make one record. Default: 500 ms.
    pub fn debounce(mut self, delay: Duration) -> Self {
        self.debounce = delay;
        self
    }

    /// The shortest interval between two records that differ only in load: 1 s to a day.
    /// Default: a minute.
    pub fn load_interval(mut self, interval: Duration) -> Self {
        self.load_interval = interval;
        self
    }

    /// How often each shard of the directory is read, jittered: above zero, at most a day. Shards
    /// that have divided are read more seldom. Default: a minute.
    pub fn sweep_interval(mut self, interval: Duration) -> Self {
        self.sweep_interval = interval;
        self
    }

    /// How long a relay without a record is not looked up again: at most a day. Only a
    /// [complete](super::Coverage::Complete) answer shows that there is no record.
    /// Default: 30 s.
    pub fn negative_cache_ttl(mut self, span: Duration) -> Self {
        self.negative_cache_ttl = span;
        self
    }

    /// How often each learned relay is probed, jittered: above zero, at most a day.
    /// Default: a minute.
    ///
    /// It also limits probes of endpoints at which no probe has succeeded. The limit is per
    /// network prefix, whatever the number of keys, because keys cost an attacker nothing. It
    /// is a token bucket. The bucket holds as many tokens as there
    /// [may be relays](Self::max_per_ipv4_24) of the prefix, and refills within half an
    /// interval: by default 4 probes at once, then one each 7.5 s. A probe that fails empties
    /// the bucket.
    pub fn probe_interval(mut self, interval: Duration) -> Self {
        self.probe_interval = interval;
        self
    }

    /// After how many failed probes in a row a relay is removed, at least 1. Default: 3.
    pub fn max_failed_probes(mut self, failures: u32) -> Self {
        self.max_failed_probes = failures;
        self
    }

    /// The deadline of a probe: above zero, at most an hour. While more relays wait for their
    /// first probe than can be probed within a probe interval, the deadline of first probes
    /// is a quarter of it. Default: 5 s.
    pub fn probe_deadline(mut self, deadline: Duration) -> Self {
        self.probe_deadline = deadline;
        self
    }

    /// The deadline of a request to the engine: above zero, at most an hour. Default: 10 s.
    pub fn request_deadline(mut self, deadline: Duration) -> Self {
        self.request_deadline = deadline;
        self
    }

    /// The longest time that the withdrawal of this node's relay may take at the end, and for which
    /// [`Registry::close`](crate::Registry::close) waits for that and for the end of the threads:
    /// at most a minute. Threads that still run then are detached. Default: 1 s.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// The number of threads that call the engine: at most 64. No more than the engine's
    /// [`Limits::max_in_flight`](super::Limits::max_in_flight) are started. With 0, requests
    /// and probes are made by
    /// [`Registry::run_distribution`](crate::Registry::run_distribution) only, and the drop
    /// of the registry withdraws nothing ([`Registry::close`](crate::Registry::close) does).
    /// Default: 2.
    pub fn worker_threads(mut self, threads: usize) -> Self {
        self.worker_threads = threads;
        self
    }

    /// The number of threads that call the probe: 1 to 64. Default: 2.
    pub fn probe_threads(mut self, threads: usize) -> Self {
        self.probe_threads = threads;
        self
    }

    /// The seed of jitter and random order, for reproducible tests. Default: random.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }
}

/// By the names of the methods. Of the key, only the node id is shown.
impl fmt::Debug for DhtOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trusted = self.addresses == AddressPolicy::Any;
        f.debug_struct("DhtOptions")
            .field("key", &self.own())
            .field("network", &self.network)
            .field("probe", &self.probe.as_ref().map(|_| ".."))
            .field("allow_only", &self.allowed)
            .field("trust_strangers_with_private_addresses", &trusted)
            .field("accept_names_from_strangers", &self.accept_names)
            .field("max_per_ipv4_24", &self.max_per_ipv4_24)
            .field("max_per_ipv6_48", &self.max_per_ipv6_48)
            .field("max_updates_per_minute", &self.max_updates_per_minute)
            .field("local_reserve", &self.local_reserve)
            .field("max_candidates", &self.max_candidates)
            .field("wanted_relays", &self.wanted_relays)
            .field("max_claimed_capacity", &self.max_capacity)
            .field("learned_tier", &self.learned_tier)
            .field("record_ttl", &self.ttl)
            .field("refresh", &self.refresh)
            .field("debounce", &self.debounce)
            .field("load_interval", &self.load_interval)
            .field("sweep_interval", &self.sweep_interval)
            .field("negative_cache_ttl", &self.negative_cache_ttl)
            .field("probe_interval", &self.probe_interval)
            .field("max_failed_probes", &self.max_failed_probes)
            .field("probe_deadline", &self.probe_deadline)
            .field("request_deadline", &self.request_deadline)
            .field("shutdown_timeout", &self.shutdown_timeout)
            .field("worker_threads", &self.worker_threads)
            .field("probe_threads", &self.probe_threads)
            .field("seed", &self.seed)
            .finish()
    }
}

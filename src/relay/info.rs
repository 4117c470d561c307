//! [`RelayInfo`]: what the registry tells of a relay.

use super::{Cost, Details, Endpoint, Label, NatType, NodeId};
use crate::coordinates::Coordinate;
use crate::sync::Arc;
use crate::time::calendar_time;
use std::fmt;
use std::time::{Duration, SystemTime};

/// A relay as it was when the registry was asked: a plain copy.
///
/// Endpoint, capacity and expiry come from one registration. Load and latency were read
/// beside them and may have changed since. If the relay left and returned during the call,
/// they may be those after its return. So the latency may be unknown although the call
/// asked for a maximum latency. A clone does not allocate: an IP address is held inline; a
/// DNS name, and what else has no fixed size, is shared.
///
/// ```
/// use relay_registry::{Endpoint, NodeId, RegisterOptions, Registry};
/// use std::time::Duration;
///
/// let registry = Registry::new();
/// let relay = NodeId::from([1; 32]);
/// let over_v6: Endpoint = "[2001:db8::1]:4433".parse()?;
/// let options = RegisterOptions::new()
///     .ttl(Duration::from_secs(120))
///     .tier(1)
///     .cost(1.5)
///     .labels(["udp", "eu"])
///     .also_at([over_v6.clone()])
///     .failure_domain("rack-7")
///     .payload(b"https://relay.example./");
/// registry.register_with(relay, "192.0.2.1:4433".parse::<Endpoint>()?, &options)?;
///
/// let relay = registry.relay(&relay).expect("it is live");
/// assert_eq!(relay.ttl(), Duration::from_secs(120));
/// assert_eq!((relay.tier(), relay.cost()), (1, 1.5));
/// assert!(relay.labels().eq(["eu", "udp"]) && relay.has_label("udp"));
/// assert_eq!(relay.also_at(), [over_v6]);
/// assert_eq!(relay.failure_domain(), Some("rack-7"));
/// assert_eq!(relay.payload(), Some(&b"https://relay.example./"[..]));
/// assert_eq!((relay.latency_age(), relay.coordinate()), (None, None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// Held as the registry holds it: durations and times are computed when they are asked for.
#[derive(Clone, PartialEq)]
pub struct RelayInfo {
    pub(crate) node_id: NodeId,
    pub(crate) endpoint: Endpoint,
    pub(crate) capacity: u32,
    pub(crate) current_load: u32,
    pub(crate) rtt_micros: Option<u32>,
    /// In which second from `origin` on `rtt_micros` was measured last, if it is known.
    pub(crate) rtt_second: u64,
    /// When the registry was built, on the calendar.
    pub(crate) origin: SystemTime,
    /// In nanoseconds from `origin`.
    pub(crate) registered_at: u64,
    /// In nanoseconds from `origin`.
    pub(crate) expires_at: u64,
    /// When the registry was asked, in nanoseconds from `origin`.
    pub(crate) asked_at: AskedAt,
    pub(crate) ttl_nanos: u64,
    /// The operator's, or else the announced one.
    pub(crate) tier: u8,
    /// The operator's, or else the announced one.
    pub(crate) cost: Cost,
    pub(crate) details: Option<Arc<Details>>,
    pub(crate) coordinate: Option<Coordinate>,
    pub(crate) nat: Option<NatType>,
    pub(crate) draining: bool,
    pub(crate) banned: bool,
    pub(crate) circuit: CircuitState,
    pub(crate) last_resort: bool,
}

/// A moment that does not count in a comparison: two descriptions of the same state are equal,
/// whenever the registry was asked.
#[derive(Clone, Copy)]
pub(crate) struct AskedAt(pub(crate) u64);

impl PartialEq for AskedAt {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// The state of a relay's circuit breaker.
///
/// The order is from the most trusted to the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CircuitState {
    /// The relay has not failed lately.
    Closed,
    /// The relay failed, and its back-off is over or it was used with success since. It is
    /// on trial: one caller at a time gets it. Three [successes](crate::Lease::succeeded)
    /// close the circuit; one of these may be that of a probe.
    HalfOpen,
    /// The relay failed, and its back-off is not over. It is handed out only as a last
    /// resort, if no other relay is eligible.
    Open,
}

impl fmt::Display for CircuitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        })
    }
}

impl RelayInfo {
    /// The relay's id.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.node_id
    }

    /// Where the relay listens.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// How many units the relay has: the most that all leases on it may have at a time.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// The relay's load: the units in this registry's leases on it, and what others put there as
    /// of the last report.
    ///
    /// It exceeds the capacity only if a report says so, or after a renewal that lowered the
    /// capacity.
    #[must_use]
    pub fn current_load(&self) -> u32 {
        self.current_load
    }

    /// The round-trip time from here: the least of the measurements within the five
    /// minutes up to the latest one. Before the first measurement, it is what was given at
    /// registration. `None` if it is not known, and once nothing was measured for
    /// [`rtt_lifetime`](crate::RegistryBuilder::rtt_lifetime).
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.rtt_micros
            .map(|micros| Duration::from_micros(micros.into()))
    }

    /// The age of [`latency`](Self::latency): the time since the latest measurement, or
    /// since it was given at registration. `None` if the latency is `None`.
    ///
    /// It is counted in ticks of the registry, and rounded up by less than a second.
    #[must_use]
    pub fn latency_age(&self) -> Option<Duration> {
        self.rtt_micros
            .map(|_| Duration::from_nanos(self.asked_at.0))
            // What was measured by a later reading of the clock is as good as new.
            .map(|asked_at| asked_at.saturating_sub(Duration::from_secs(self.rtt_second)))
    }

    /// When the relay was registered, not counting renewals, by the calendar as it was when
    /// the registry was built.
    #[must_use]
    pub fn registered_at(&self) -> SystemTime {
        calendar_time(self.origin, self.registered_at)
    }

    /// When the relay expires unless it is renewed, rounded up to the registry's tick, by
    /// the calendar as it was when the registry was built.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        calendar_time(self.origin, self.expires_at)
    }

    /// How long the relay stays registered from a renewal on: what it
    /// [announced](crate::RegisterOptions::ttl), or else the registry's own TTL. A relay that
    /// was learned from a DHT has what is left of its record when it was last registered.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        Duration::from_nanos(self.ttl_nanos)
    }

    /// How long the relay had left, when the registry was asked, until it expires unless it
    /// is renewed: in ticks of the registry.
    ///
    /// ```
    /// use relay_registry::{Maintenance, ManualClock, NodeId, RegisterOptions, Registry};
    /// # use std::net::SocketAddr;
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let registry = Registry::builder()
    ///     .maintenance(Maintenance::Manual)
    ///     .clock(clock.clone())
    ///     .build()?;
    /// let relay = NodeId::from([1; 32]);
    /// let options = RegisterOptions::new().ttl(Duration::from_secs(60));
    /// registry.register_with(relay, SocketAddr::from(([192, 0, 2, 1], 4433)), &options)?;
    ///
    /// clock.advance(Duration::from_secs(20));
    /// let info = registry.relay(&relay).unwrap();
    /// assert_eq!(info.ttl(), Duration::from_secs(60));
    /// assert_eq!(info.expires_in(), Duration::from_secs(40));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn expires_in(&self) -> Duration {
        Duration::from_nanos(self.expires_at.saturating_sub(self.asked_at.0))
    }

    /// The tier of the relay: what the operator [set](crate::Registry::set_tier), else what its
    /// registration gave, by default 0. A relay of a lower tier is handed out first.
    #[must_use]
    pub fn tier(&self) -> u8 {
        self.tier
    }

    /// The cost of the relay, a factor on its score: what the operator
    /// [set](crate::Registry::set_cost), else what its registration gave, by default 1. It is
    /// kept to a thousandth.
    #[must_use]
    pub fn cost(&self) -> f64 {
        self.cost.factor()
    }

    /// The labels of the relay, in the order of their bytes.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.label_slice().iter().map(|label| &*label.name)
    }

    /// Whether the relay has a label.
    #[must_use]
    pub fn has_label(&self, label: &str) -> bool {
        self.labels().any(|own| own == label)
    }

    fn label_slice(&self) -> &[Label] {
        let labels = self.details.as_ref().map(|it| it.labels.as_deref());
        labels.flatten().unwrap_or_default()
    }

    /// The further endpoints of the relay, without the [main one](Self::endpoint), in the
    /// order in which the relay gave them.
    #[must_use]
    pub fn also_at(&self) -> &[Endpoint] {
        let also_at = self.details.as_ref().map(|it| it.also_at.as_deref());
        also_at.flatten().unwrap_or_default()
    }

    /// The payload of the relay, if it has one: bytes that the registry does not interpret.
    #[must_use]
    pub fn payload(&self) -> Option<&[u8]> {
        self.details.as_ref()?.payload.as_deref()
    }

    /// The failure domain that the relay named, if it did. Its network, which counts as a
    /// failure domain as well, is not meant.
    #[must_use]
    pub fn failure_domain(&self) -> Option<&str> {
        self.details.as_ref()?.failure_domain.as_deref()
    }

    /// Where the relay is, as of the registry's last merge, as
    /// [searches](crate::Registry::find_relay_with) use it. `None` if that is not known, and in
    /// a registry that keeps no positions.
    /// [`relay_coordinate`](crate::Registry::relay_coordinate) returns the latest one.
    #[must_use]
    pub fn coordinate(&self) -> Option<Coordinate> {
        self.coordinate
    }

    /// The kind of NAT that the relay declared, if it did.
    #[must_use]
    pub fn nat(&self) -> Option<NatType> {
        self.nat
    }

    /// Whether the relay takes no new leases.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// Whether the operator banned the relay.
    #[must_use]
    pub fn is_banned(&self) -> bool {
        self.banned
    }

    /// The state of the relay's circuit breaker.
    #[must_use]
    pub fn circuit(&self) -> CircuitState {
        self.circuit
    }

    /// Whether the relay was handed out although its back-off is not over, because all
    /// relays that would be eligible are in back-off. Of these it is the
    /// [preferred](crate::FindOptions::prefer) one, or else the one that has been in back-off
    /// for longest.
    #[must_use]
    pub fn is_last_resort(&self) -> bool {
        self.last_resort
    }
}

impl fmt::Debug for RelayInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            node_id,
            endpoint,
            capacity,
            current_load,
            rtt_micros: _,
            rtt_second: _,
            origin: _,
            registered_at: _,
            expires_at: _,
            asked_at: _,
            ttl_nanos: _,
            tier,
            cost: _,
            details: _,
            coordinate,
            nat,
            draining,
            banned,
            circuit,
            last_resort,
        } = self;
        f.debug_struct("RelayInfo")
            .field("node_id", node_id)
            .field("endpoint", endpoint)
            .field("capacity", capacity)
            .field("current_load", current_load)
            .field("latency", &self.latency())
            .field("latency_age", &self.latency_age())
            .field("registered_at", &self.registered_at())
            .field("expires_at", &self.expires_at())
            .field("expires_in", &self.expires_in())
            .field("ttl", &self.ttl())
            .field("tier", tier)
            .field("cost", &self.cost())
            .field("labels", &self.labels().collect::<Vec<_>>())
            .field("also_at", &self.also_at())
            .field("payload_len", &self.payload().map(<[u8]>::len))
            .field("failure_domain", &self.failure_domain())
            .field("coordinate", coordinate)
            .field("nat", nat)
            .field("draining", draining)
            .field("banned", banned)
            .field("circuit", circuit)
            .field("last_resort", last_resort)
            .finish()
    }
}

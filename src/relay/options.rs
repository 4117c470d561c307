//! [`RegisterOptions`]: what a relay declares besides its endpoint.

use super::{DetailOptions, Endpoint, Label, NatType};
use crate::sync::Arc;
use std::time::Duration;

/// What a relay declares when it registers, besides its id and endpoint.
///
/// An option that is not set takes its default if the relay is new. If the relay is
/// renewed, or [returns](crate::Registration::Returned) after it expired, it stays as it
/// was. If the relay left and returns, the option takes its default again.
///
/// [`latency`](Self::latency) and [`restarted`](Self::restarted) concern one call only. A failure
/// domain, a NAT type and a TTL can be replaced by a renewal, and not be removed.
/// `register_with` checks the values.
///
/// ```
/// use std::time::Duration;
/// use relay_registry::{NatType, RegisterOptions};
///
/// let options = RegisterOptions::new()
///     .capacity(250)
///     .nat(NatType::FullCone)
///     .ttl(Duration::from_secs(120));
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct RegisterOptions {
    pub(crate) capacity: Option<u32>,
    pub(crate) latency: Option<Duration>,
    pub(crate) nat: Option<NatType>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) restarted: bool,
    /// What few relays set: unset, it costs a null pointer.
    pub(crate) details: Option<Box<DetailOptions>>,
}

impl RegisterOptions {
    /// Options that leave everything at its default.
    pub const fn new() -> Self {
        Self {
            capacity: None,
            latency: None,
            nat: None,
            ttl: None,
            restarted: false,
            details: None,
        }
    }

    /// How many units the relay has, which is the most that all [leases](crate::Lease) on it may
    /// have at a time: 1 to [`MAX_CAPACITY`](crate::MAX_CAPACITY), by default 100. A lease takes
    /// one unit, or [several](crate::FindOptions::units).
    ///
    /// Other values are refused with
    /// [`RegisterError::InvalidCapacity`](crate::RegisterError::InvalidCapacity).
    /// A renewal that lowers the capacity below the present load revokes no lease.
    pub const fn capacity(mut self, units: u32) -> Self {
        self.capacity = Some(units);
        self
    }

    /// The round trip to the relay, if it is known already: up to
    /// [`MAX_RTT`](crate::MAX_RTT). It is kept to the microsecond, and zero as one
    /// microsecond. It counts until the first measurement, or until its
    /// [lifetime](crate::RegistryBuilder::rtt_lifetime) is over.
    ///
    /// It must come from this node, such as from a probe or an earlier run. Never pass on
    /// what a relay says of itself: near relays are chosen, so relays would lie. By default
    /// the latency is unknown, and the relay ranks at the registry's assumed round trip.
    /// Other values are refused with
    /// [`RegisterError::InvalidLatency`](crate::RegisterError::InvalidLatency).
    pub const fn latency(mut self, rtt: Duration) -> Self {
        self.latency = Some(rtt);
        self
    }

    /// The kind of address translation in front of the relay, by default unknown.
    ///
    /// One that admits no unsolicited packets, or [`NatType::PublicIp`] with an address that
    /// is not public, is refused with
    /// [`RegisterError::NotReachable`](crate::RegisterError::NotReachable).
    pub const fn nat(mut self, nat: NatType) -> Self {
        self.nat = Some(nat);
        self
    }

    /// How long the relay stays registered without being renewed: one tick of
    /// the registry or longer, by default the registry's own TTL.
    ///
    /// Other values are refused with
    /// [`RegisterError::InvalidTtl`](crate::RegisterError::InvalidTtl).
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// The failure domain of the relay, such as the name of its rack, site or operator: 1 to 63
    /// bytes without control characters. Relays of one domain may fail together. By default a relay
    /// has no such name.
    ///
    /// If a find asks for several relays, it prefers those in different domains and networks: see
    /// [`FindOptions::max_spread_cost`](crate::FindOptions::max_spread_cost). A call can
    /// [exclude](crate::FindOptions::exclude_domains) domains by these names. Other values are
    /// refused with
    /// [`RegisterError::InvalidFailureDomain`](crate::RegisterError::InvalidFailureDomain).
    ///
    /// ```
    /// use relay_registry::{FindOptions, NodeId, RegisterOptions, Registry};
    /// # use std::net::SocketAddr;
    /// use std::time::Duration;
    ///
    /// let registry = Registry::new();
    /// let [near, beside, elsewhere, target] = [1, 2, 3, 9].map(|n| NodeId::from([n; 32]));
    /// for (relay, net, rack, ms) in
    ///     [(near, 1, "rack-7", 10), (beside, 2, "rack-7", 11), (elsewhere, 3, "rack-8", 20)]
    /// {
    ///     let options = RegisterOptions::new().failure_domain(rack);
    ///     registry.register_with(relay, SocketAddr::from(([198, 51, net, 1], 4433)), &options)?;
    ///     registry.record_rtt(&relay, Duration::from_millis(ms));
    /// }
    /// // The standby is in another rack, although that is a few milliseconds farther away.
    /// let found = registry.find_relays(&target, &FindOptions::new().max_results(2));
    /// assert_eq!(found.iter().map(|it| it.node_id()).collect::<Vec<_>>(), [near, elsewhere]);
    /// # Ok::<(), relay_registry::RegisterError>(())
    /// ```
    pub fn failure_domain(mut self, name: impl Into<Arc<str>>) -> Self {
        self.details_mut().failure_domain = Some(name.into());
        self
    }

    /// Whether the relay lost its sessions since its last registration, by default not.
    ///
    /// If so, all leases on it are void: they no longer count, and dropping one gives
    /// nothing back. The load from elsewhere counts as zero. Set this when the relay's
    /// process has restarted. Otherwise its old leases keep their units until they are
    /// dropped. A relay that is registered and has leases is absent while the call moves
    /// it to another record, also if the call then fails.
    pub const fn restarted(mut self, restarted: bool) -> Self {
        self.restarted = restarted;
        self
    }

    /// The tier of the relay, 0 to 255, by default 0. A relay is handed out only if none of a lower
    /// tier is eligible, whatever their scores and [costs](Self::cost) are: own relays first, those
    /// of others in need.
    ///
    /// Not distributed: each registry has its own order of relays. One that learns relays from
    /// a DHT gives them a tier by the options of its DHT, by default 1.
    /// [`Registry::set_tier`](crate::Registry::set_tier) overrides this.
    ///
    /// Use few tiers. Each has [search trees](crate::guide::choosing#search-trees) of its own,
    /// which take memory. For as long as the registry lives, each search that finds no relay of a
    /// lower tier looks at each tier that any relay ever had.
    ///
    /// ```
    /// use relay_registry::{FindOptions, NodeId, RegisterOptions, Registry};
    /// # use std::net::SocketAddr;
    ///
    /// let registry = Registry::new();
    /// let [own, rented, target] = [1, 2, 9].map(|n| NodeId::from([n; 32]));
    /// let at = |host| SocketAddr::from(([192, 0, 2, host], 4433));
    /// registry.register_with(own, at(1), &RegisterOptions::new().capacity(1))?;
    /// registry.register_with(rented, at(2), &RegisterOptions::new().tier(1))?;
    ///
    /// let first = registry.reserve(&target, &FindOptions::new())?;
    /// let second = registry.reserve(&target, &FindOptions::new())?;
    /// assert_eq!((first.relay().node_id(), second.relay().node_id()), (own, rented));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tier(mut self, tier: u8) -> Self {
        self.details_mut().tier = Some(tier);
        self
    }

    /// The cost of the relay: a factor on its score, 0.1 to 10, by default 1. It is kept to a
    /// thousandth. With 2.0 the relay is chosen as if each path over it took twice as long.
    ///
    /// Other values are refused with
    /// [`RegisterError::InvalidCost`](crate::RegisterError::InvalidCost). Not distributed:
    /// relays that are learned from a DHT have a cost of 1.
    ///
    /// ```
    /// use relay_registry::{NodeId, RegisterError, RegisterOptions, Registry};
    /// # use std::net::SocketAddr;
    ///
    /// let registry = Registry::new();
    /// let relay = NodeId::from([1; 32]);
    /// let at = SocketAddr::from(([192, 0, 2, 1], 4433));
    /// registry.register_with(relay, at, &RegisterOptions::new().cost(2.5))?;
    /// assert_eq!(registry.relay(&relay).unwrap().cost(), 2.5);
    ///
    /// let refused = registry.register_with(relay, at, &RegisterOptions::new().cost(0.0));
    /// assert!(matches!(refused, Err(RegisterError::InvalidCost { cost: 0.0, .. })));
    /// # Ok::<(), RegisterError>(())
    /// ```
    pub fn cost(mut self, factor: f64) -> Self {
        self.details_mut().cost = Some(factor);
        self
    }

    /// The labels of the relay, by default none: up to 8, each of 1 to 32 bytes without control
    /// characters. A label that is given twice counts once. An empty list removes the labels.
    ///
    /// Other labels are refused with
    /// [`RegisterError::InvalidLabel`](crate::RegisterError::InvalidLabel), and too many with
    /// [`RegisterError::TooManyLabels`](crate::RegisterError::TooManyLabels). The relays that
    /// are registered here, and those that expired and may [return](crate::Registration::Returned),
    /// have up to 64 different labels together. Labels of relays that are learned from a DHT do
    /// not count. When a relay replaces its labels, the old ones and the new ones count together.
    ///
    /// A registration that sets labels takes a lock that only such registrations take, unless it
    /// renews a relay, changes nothing and gives no latency. The thread that has the lock may visit
    /// all records, up to 8 times: it does so if there would be too many labels by those that were
    /// ever used, to see which are still in use.
    ///
    /// ```
    /// use relay_registry::{NodeId, RegisterOptions, Registry};
    /// # use std::net::SocketAddr;
    ///
    /// let registry = Registry::new();
    /// let relay = NodeId::from([1; 32]);
    /// let options = RegisterOptions::new().labels(["eu", "udp"]);
    /// registry.register_with(relay, SocketAddr::from(([192, 0, 2, 1], 4433)), &options)?;
    /// assert!(registry.relay(&relay).unwrap().has_label("udp"));
    /// # Ok::<(), relay_registry::RegisterError>(())
    /// ```
    pub fn labels(mut self, labels: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.details_mut().labels = Some(Label::set(labels));
        self
    }

    /// Further endpoints of the same relay, by default none: up to 8, such as one of the other
    /// address family, or another port or transport. The endpoint that the relay is registered
    /// at is left out, and so is one that is given twice. An empty list removes them.
    ///
    /// A registry that learns of the relay through a DHT admits it only if it admits all of its
    /// endpoints: by default, only if all are public addresses.
    ///
    /// Each is checked like the main one, and refused with
    /// [`RegisterError::InvalidFurtherEndpoint`](crate::RegisterError::InvalidFurtherEndpoint).
    /// More than 8 are refused with
    /// [`RegisterError::TooManyEndpoints`](crate::RegisterError::TooManyEndpoints).
    ///
    /// ```
    /// use relay_registry::{Endpoint, NodeId, RegisterOptions, Registry};
    ///
    /// let registry = Registry::new();
    /// let relay = NodeId::from([1; 32]);
    /// let v4: Endpoint = "192.0.2.1:4433".parse()?;
    /// let v6: Endpoint = "[2001:db8::1]:4433".parse()?;
    /// let options = RegisterOptions::new().also_at([v6.clone()]);
    /// registry.register_with(relay, v4, &options)?;
    /// assert_eq!(registry.relay(&relay).unwrap().also_at(), [v6]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn also_at(mut self, endpoints: impl IntoIterator<Item = impl Into<Endpoint>>) -> Self {
        let endpoints = endpoints.into_iter().map(Into::into).collect();
        self.details_mut().also_at = Some(endpoints);
        self
    }

    /// Up to 512 bytes that are kept with the relay and distributed through a DHT with it, by
    /// default none. The registry does not interpret them: they may be a certificate's
    /// fingerprint, a multiaddress or a URL. An empty payload removes it.
    ///
    /// A longer one is refused with
    /// [`RegisterError::PayloadTooLong`](crate::RegisterError::PayloadTooLong). A relay without
    /// a payload costs no memory for it. What a payload says is a claim of its relay.
    ///
    /// ```
    /// use relay_registry::{NodeId, RegisterOptions, Registry};
    /// # use std::net::SocketAddr;
    ///
    /// let registry = Registry::new();
    /// let relay = NodeId::from([1; 32]);
    /// let options = RegisterOptions::new().payload(b"https://relay.example./");
    /// registry.register_with(relay, SocketAddr::from(([192, 0, 2, 1], 4433)), &options)?;
    /// assert_eq!(registry.payload(&relay).as_deref(), Some(&b"https://relay.example./"[..]));
    /// # Ok::<(), relay_registry::RegisterError>(())
    /// ```
    pub fn payload(mut self, payload: impl AsRef<[u8]>) -> Self {
        self.details_mut().payload = Some(payload.as_ref().into());
        self
    }

    fn details_mut(&mut self) -> &mut DetailOptions {
        self.details.get_or_insert_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_set_at_first() {
        assert_eq!(RegisterOptions::new(), RegisterOptions::default());
        let RegisterOptions {
            capacity,
            latency,
            nat,
            ttl,
            restarted,
            details,
        } = RegisterOptions::new();
        assert_eq!((capacity, latency, nat, ttl), (None, None, None, None));
        assert_eq!((restarted, details), (false, None));
    }

    #[test]
    fn each_setter_sets_its_own_field_and_the_last_call_wins() {
        let options = RegisterOptions::new()
            .capacity(1)
            .capacity(2)
            .latency(Duration::from_millis(3))
            .nat(NatType::Symmetric)
            .ttl(Duration::from_secs(4));
        assert_eq!(options.capacity, Some(2));
        assert_eq!(options.latency, Some(Duration::from_millis(3)));
        assert_eq!(options.nat, Some(NatType::Symmetric));
        assert_eq!(options.ttl, Some(Duration::from_secs(4)));
    }
}

//! [`RegisterOptions`]: what a relay declares besides its endpoint.

use super::NatType;
use crate::sync::Arc;
use std::time::Duration;

/// What a relay declares when it registers, besides its id and endpoint.
///
/// An option that is not set takes its default if the relay is new. If the relay is
/// renewed, or [returns](crate::Registration::Returned) after it expired, it stays as it
/// was. `register_with` checks the values.
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
    pub(crate) failure_domain: Option<Arc<str>>,
    pub(crate) restarted: bool,
}

impl RegisterOptions {
    /// Options that leave everything at its default.
    pub const fn new() -> Self {
        Self {
            capacity: None,
            latency: None,
            nat: None,
            ttl: None,
            failure_domain: None,
            restarted: false,
        }
    }

    /// How many leases the relay serves at a time: 1 to
    /// [`MAX_CAPACITY`](crate::MAX_CAPACITY), by default 100.
    ///
    /// Other values are refused with
    /// [`RegisterError::InvalidCapacity`](crate::RegisterError::InvalidCapacity).
    /// A renewal that lowers the capacity below the present load revokes no lease.
    pub const fn capacity(mut self, leases: u32) -> Self {
        self.capacity = Some(leases);
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

    /// The failure domain of the relay, such as the name of its rack, site or operator: 1
    /// to 63 bytes. Relays of one domain may fail together. By default it is
    /// only the relay's network.
    ///
    /// If a find asks for several relays, it prefers those in different domains: see
    /// [`FindOptions::max_spread_cost`](crate::FindOptions::max_spread_cost). Other values
    /// are refused with
    /// [`RegisterError::InvalidFailureDomain`](crate::RegisterError::InvalidFailureDomain).
    /// A DHT carries only names of visible ASCII characters. Any other name, such as one
    /// with a space, is known to this registry only.
    pub fn failure_domain(mut self, name: impl Into<Arc<str>>) -> Self {
        self.failure_domain = Some(name.into());
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
            failure_domain,
            restarted,
        } = RegisterOptions::new();
        assert_eq!((capacity, latency, nat, ttl), (None, None, None, None));
        assert_eq!((failure_domain, restarted), (None, false));
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

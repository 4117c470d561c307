//! [`RegisterOptions`]: what a relay declares besides its endpoint.

use std::time::Duration;

use super::NatType;
use crate::sync::Arc;

/// What is said of a relay when it registers, besides its identity and endpoint.
///
/// What is not set takes its default for a new relay, and stays as it is when
/// a relay is renewed, or comes back soon after it [lapsed](crate::Registration::Returned).
/// Values are judged by `register_with`, not here.
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
    /// Others are refused with
    /// [`RegisterError::InvalidCapacity`](crate::RegisterError::InvalidCapacity).
    /// A renewal that lowers it below the present load revokes no lease.
    pub const fn capacity(mut self, leases: u32) -> Self {
        self.capacity = Some(leases);
        self
    }

    /// The round trip to the relay, as far as it is known beforehand: up to
    /// [`MAX_RTT`](crate::MAX_RTT). It is kept to the microsecond, zero as one, and
    /// counts until the first measurement, or until it
    /// [lapses](crate::RegistryBuilder::rtt_lifetime).
    ///
    /// It must come from this node, such as a probe or an earlier run: never
    /// pass on a relay's own word, for the nearest are chosen. By default the
    /// latency is unknown, and the relay ranks at the
    /// registry's assumed round trip. Others are refused with
    /// [`RegisterError::InvalidLatency`](crate::RegisterError::InvalidLatency).
    pub const fn latency(mut self, rtt: Duration) -> Self {
        self.latency = Some(rtt);
        self
    }

    /// What kind of address translation the relay sits behind, by default
    /// unknown.
    ///
    /// One that keeps strangers out, or [`NatType::PublicIp`] with an address
    /// that is not public, is refused with
    /// [`RegisterError::NotReachable`](crate::RegisterError::NotReachable).
    pub const fn nat(mut self, nat: NatType) -> Self {
        self.nat = Some(nat);
        self
    }

    /// How long the relay stays registered without being renewed: one tick of
    /// the registry or longer, by default the registry's own TTL.
    ///
    /// Others are refused with
    /// [`RegisterError::InvalidTtl`](crate::RegisterError::InvalidTtl).
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// What the relay may fail together with, such as the name of its rack, site
    /// or operator: 1 to 63 bytes, by default nothing beyond its network.
    ///
    /// Of several relays asked for, those in different domains are preferred;
    /// see [`FindOptions::max_spread_cost`](crate::FindOptions::max_spread_cost). Others
    /// are refused with
    /// [`RegisterError::InvalidFailureDomain`](crate::RegisterError::InvalidFailureDomain).
    /// A DHT carries labels of visible ASCII characters only: one with a space in it is
    /// known to this registry alone.
    pub fn failure_domain(mut self, label: impl Into<Arc<str>>) -> Self {
        self.failure_domain = Some(label.into());
        self
    }

    /// Whether the relay lost its sessions since it was last heard of, by default not.
    ///
    /// If so, all leases that are held on it are void: they count no more, and dropping
    /// one gives nothing back. The load that others put there counts as zero. Say so when a
    /// relay process started anew; else its old leases keep their units until they are
    /// dropped. Where a relay that is held has leases, it is not found for a moment, but
    /// keeps its place.
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

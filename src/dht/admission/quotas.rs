//! Limits the number of remote relays per network prefix.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::relay::{Endpoint, Host};

/// A range in which one operator can easily have many addresses: an IPv4 /24, an IPv6 /48, or
/// the last two labels of a DNS name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Prefix {
    V4([u8; 3]),
    V6([u8; 6]),
    Domain(Box<str>),
}

/// The first 12 bytes of `64:ff9b::/96` (RFC 6052). The other 4 bytes are an IPv4 address.
const NAT64: [u8; 12] = [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];

impl Prefix {
    pub(crate) fn of(endpoint: &Endpoint) -> Self {
        match endpoint.host() {
            Host::Ip(IpAddr::V4(ip)) => {
                let [a, b, c, _] = ip.octets();
                Self::V4([a, b, c])
            }
            // NAT64: the packets reach that IPv4 host, so its prefix counts.
            Host::Ip(IpAddr::V6(ip)) if ip.octets()[..12] == NAT64 => {
                let [.., a, b, c, _] = ip.octets();
                Self::V4([a, b, c])
            }
            Host::Ip(IpAddr::V6(ip)) => {
                let mut prefix = [0; 6];
                prefix.copy_from_slice(&ip.octets()[..6]);
                Self::V6(prefix)
            }
            Host::Name(name) => {
                let from = name
                    .rmatch_indices('.')
                    .nth(1)
                    .map_or(0, |(dot, _)| dot + 1);
                Self::Domain(name[from..].into())
            }
        }
    }
}

/// The most relays per prefix. DNS names have the limit of IPv4.
#[derive(Clone, Copy, Debug)]
pub(in crate::dht) struct PerPrefix {
    pub(in crate::dht) v4: usize,
    pub(in crate::dht) v6: usize,
}

/// The number of remote relays of each prefix.
#[derive(Debug)]
pub(super) struct Quotas {
    limits: PerPrefix,
    counts: BTreeMap<Prefix, usize>,
}

impl Quotas {
    pub(super) const fn new(limits: PerPrefix) -> Self {
        Self {
            limits,
            counts: BTreeMap::new(),
        }
    }

    pub(super) fn has_room(&self, prefix: &Prefix) -> bool {
        self.counts.get(prefix).copied().unwrap_or(0) < self.limit_of(prefix)
    }

    pub(super) const fn limit_of(&self, prefix: &Prefix) -> usize {
        match prefix {
            Prefix::V4(_) | Prefix::Domain(_) => self.limits.v4,
            Prefix::V6(_) => self.limits.v6,
        }
    }

    pub(super) fn add(&mut self, prefix: &Prefix) {
        *self.counts.entry(prefix.clone()).or_default() += 1;
    }

    pub(super) fn remove(&mut self, prefix: &Prefix) {
        if let Some(count) = self.counts.get_mut(prefix) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(prefix);
            }
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    fn prefix(endpoint: &str) -> Prefix {
        Prefix::of(&endpoint.parse().unwrap())
    }

    #[test]
    fn neighbours_share_a_prefix() {
        for (one, other, alike) in [
            ("1.2.3.4:1", "1.2.3.250:2", true),
            ("1.2.3.4:1", "1.2.4.4:1", false),
            ("[2a00:1:2:3::1]:1", "[2a00:1:2:9::7]:1", true),
            ("[2a00:1:2:3::1]:1", "[2a00:1:3:3::1]:1", false),
            ("[64:ff9b::1.2.3.4]:1", "1.2.3.250:2", true),
            ("[64:ff9b::1.2.3.4]:1", "[64:ff9b::1.2.4.4]:1", false),
            ("a.b.example.org:1", "example.org:1", true),
            ("example.org:1", "other.org:1", false),
        ] {
            assert_eq!(prefix(one) == prefix(other), alike, "{one} {other}");
        }
    }

    #[test]
    fn places_are_given_back() {
        let mut quotas = Quotas::new(PerPrefix { v4: 2, v6: 1 });
        let block = prefix("1.2.3.4:1");
        quotas.add(&block);
        quotas.add(&block);
        assert!(!quotas.has_room(&block) && quotas.has_room(&prefix("1.2.4.4:1")));
        quotas.remove(&block);
        assert!(quotas.has_room(&block));
        quotas.remove(&block);
        assert!(quotas.counts.is_empty());
    }
}

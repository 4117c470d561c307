//! Which addresses and names can be reached across the internet.
//!
//! The tables follow the IANA special-purpose address registries (RFC 6890 and
//! RFC 8190). Where a registry calls a block globally reachable although no
//! host in it can be a relay, the block is refused nevertheless and the reason
//! stands beside it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 blocks that are not public: network and prefix length.
const NOT_PUBLIC_V4: [(Ipv4Addr, u32); 15] = [
    // "This network": RFC 791, RFC 1122.
    (Ipv4Addr::UNSPECIFIED, 8),
    // Private use: RFC 1918.
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    // Shared by the customers of a carrier-grade NAT: RFC 6598.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    // Loopback: RFC 1122.
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Link-local: RFC 3927.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    // Protocol assignments: RFC 6890. The two addresses in it that are global
    // (RFC 7723, RFC 8155) are anycast: they name a service, not a host.
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    // Documentation: RFC 5737.
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Anycast to the former 6to4 relays: RFC 7526.
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    // Benchmarking: RFC 2544.
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    // Multicast: RFC 5771.
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    // Reserved: RFC 1112; with it, limited broadcast: RFC 919.
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Blocks whose addresses mean something only behind the NAT or within the host
/// or site that uses them.
const PRIVATE_V4: [(Ipv4Addr, u32); 6] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),     // RFC 1918
    (Ipv4Addr::new(172, 16, 0, 0), 12),  // RFC 1918
    (Ipv4Addr::new(192, 168, 0, 0), 16), // RFC 1918
    (Ipv4Addr::new(100, 64, 0, 0), 10),  // RFC 6598
    (Ipv4Addr::new(127, 0, 0, 0), 8),    // RFC 1122
    (Ipv4Addr::new(169, 254, 0, 0), 16), // RFC 3927
];

/// As [`PRIVATE_V4`].
const PRIVATE_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::LOCALHOST, 128),                       // RFC 4291
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),  // RFC 4193
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10), // RFC 4291
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10), // RFC 3879
];

/// The only IPv6 block from which unicast addresses are allocated: RFC 4291,
/// section 2.4, and the IANA registry of that space.
///
/// Outside it lie, among others, loopback, unique local (RFC 4193), link-local
/// and site-local addresses, the discard prefix (RFC 6666), and all that wrap
/// an IPv4 address: mapped and compatible ones (RFC 4291) and those for
/// NAT64 (RFC 6052, RFC 8215), which would be translated into a private one
/// as readily as into a public one.
const GLOBAL_UNICAST_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Blocks inside [`GLOBAL_UNICAST_V6`] that are not public all the same.
const NOT_PUBLIC_V6: [(Ipv6Addr, u32); 4] = [
    // Protocol assignments: RFC 2928. In it are Teredo (RFC 4380), which wraps
    // IPv4 addresses, benchmarking (RFC 5180) and ORCHID (RFC 7343). What is
    // global in it is anycast, or an identifier that cannot be routed to.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    // Documentation: RFC 3849, RFC 9637.
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    // 6to4, which wraps IPv4 addresses: RFC 3056.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
];

/// Domains whose names mean something only within a host or a site.
const LOCAL_DOMAINS: [&str; 4] = [
    "localhost", // RFC 6761
    "local",     // RFC 6762
    "home.arpa", // RFC 8375
    "internal",  // reserved by ICANN for private use, in 2024
];

/// Whether a host at `ip` can be reached across the internet.
pub(super) fn is_public_ip(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !NOT_PUBLIC_V4.iter().any(|&block| is_in_v4(ip, block)),
        IpAddr::V6(ip) => {
            is_in_v6(ip, GLOBAL_UNICAST_V6)
                && !NOT_PUBLIC_V6.iter().any(|&block| is_in_v6(ip, block))
        }
    }
}

/// Whether `ip` means something only behind a NAT, or within a host or site.
pub(super) fn is_private_ip(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => PRIVATE_V4.iter().any(|&block| is_in_v4(ip, block)),
        IpAddr::V6(ip) => PRIVATE_V6.iter().any(|&block| is_in_v6(ip, block)),
    }
}

/// Whether `name`, in lower case, can mean the same host everywhere. A single
/// label cannot: resolvers complete it from their own search list.
pub(super) fn is_public_name(name: &str) -> bool {
    name.contains('.')
        && !LOCAL_DOMAINS
            .iter()
            .any(|domain| is_in_domain(name, domain))
}

/// Prefix lengths are 1 to 32, so the shift is in range.
fn is_in_v4(ip: Ipv4Addr, (network, prefix_len): (Ipv4Addr, u32)) -> bool {
    (ip.to_bits() ^ network.to_bits()) >> (32 - prefix_len) == 0
}

/// Prefix lengths are 1 to 128, so the shift is in range.
fn is_in_v6(ip: Ipv6Addr, (network, prefix_len): (Ipv6Addr, u32)) -> bool {
    (ip.to_bits() ^ network.to_bits()) >> (128 - prefix_len) == 0
}

fn is_in_domain(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_private_is_not_public() {
        for ip in [
            "10.1.2.3",
            "172.31.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.1.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "fec0::1",
        ] {
            let ip = ip.parse().unwrap();
            assert!(is_private_ip(ip) && !is_public_ip(ip), "{ip}");
        }
        for ip in [
            "8.8.8.8",
            "203.0.113.7",
            "172.32.0.1",
            "2001:db8::1",
            "2606:4700::1",
        ] {
            assert!(!is_private_ip(ip.parse().unwrap()), "{ip}");
        }
    }

    fn is_public(ip: &str) -> bool {
        is_public_ip(ip.parse().unwrap())
    }

    #[test]
    fn each_ipv4_block_ends_where_its_rfc_says() {
        for (before, first, last, after) in [
            ("", "0.0.0.0", "0.255.255.255", "1.0.0.0"),
            ("9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"),
            (
                "100.63.255.255",
                "100.64.0.0",
                "100.127.255.255",
                "100.128.0.0",
            ),
            (
                "126.255.255.255",
                "127.0.0.0",
                "127.255.255.255",
                "128.0.0.0",
            ),
            (
                "169.253.255.255",
                "169.254.0.0",
                "169.254.255.255",
                "169.255.0.0",
            ),
            (
                "172.15.255.255",
                "172.16.0.0",
                "172.31.255.255",
                "172.32.0.0",
            ),
            ("191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"),
            ("192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"),
            (
                "192.88.98.255",
                "192.88.99.0",
                "192.88.99.255",
                "192.88.100.0",
            ),
            (
                "192.167.255.255",
                "192.168.0.0",
                "192.168.255.255",
                "192.169.0.0",
            ),
            (
                "198.17.255.255",
                "198.18.0.0",
                "198.19.255.255",
                "198.20.0.0",
            ),
            (
                "198.51.99.255",
                "198.51.100.0",
                "198.51.100.255",
                "198.51.101.0",
            ),
            (
                "203.0.112.255",
                "203.0.113.0",
                "203.0.113.255",
                "203.0.114.0",
            ),
            ("223.255.255.255", "224.0.0.0", "255.255.255.255", ""),
        ] {
            for public in [before, after].into_iter().filter(|ip| !ip.is_empty()) {
                assert!(is_public(public), "{public}");
            }
            assert!(!is_public(first), "{first}");
            assert!(!is_public(last), "{last}");
        }
    }

    #[test]
    fn ordinary_ipv6_addresses_are_public() {
        for ip in [
            "2000::",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2001:db7:ffff::1",
            "2001:db9::1",
            "2003::1",
            "2606:4700:4700::1111",
            "3ffe:ffff::1",
            "3fff:1000::1",
        ] {
            assert!(is_public(ip), "{ip}");
        }
    }

    #[test]
    fn special_ipv6_addresses_are_not() {
        for ip in [
            "::",
            "::1",
            "::8.8.8.8",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::10.0.0.1",
            "100::1",
            "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:db8::1",
            "2002:808:808::1",
            "3fff::1",
            "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
            "4000::",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(ip), "{ip}");
        }
    }

    #[test]
    fn names_confined_to_a_host_or_site_are_not_public() {
        for name in [
            "localhost",
            "a.localhost",
            "printer.local",
            "a.b.internal",
            "home.arpa",
            "nas.home.arpa",
            "relay",
        ] {
            assert!(!is_public_name(name), "{name}");
        }
        for name in [
            "relay.example.com",
            "local.example.com",
            "notlocal.com",
            "a.notlocal",
            "myhome.arpa",
            "internal.net",
        ] {
            assert!(is_public_name(name), "{name}");
        }
    }

    proptest! {
        /// The standard library's stable predicates, wherever it has one.
        #[test]
        fn what_std_calls_special_is_not_public(bits: u32) {
            let ip = Ipv4Addr::from_bits(bits);
            let special = ip.is_private() || ip.is_loopback() || ip.is_link_local()
                || ip.is_documentation() || ip.is_multicast() || ip.is_broadcast();
            prop_assert!(!(special && is_public_ip(ip.into())), "{}", ip);
        }
    }
}

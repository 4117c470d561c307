//! The special-purpose address registries of IANA, whole, as of October 2025:
//! <https://www.iana.org/assignments/iana-ipv4-special-registry> and
//! <https://www.iana.org/assignments/iana-ipv6-special-registry> (RFC 6890, RFC 8190).
//! The tables also have the blocks of the address space that are not unicast, or not
//! allocated.
//!
//! Of the rows that contain an address, the one with the longest prefix counts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the addresses of a block lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Hosts that can be reached from everywhere: "Globally Reachable" is true.
    Public,
    /// The nearest server of some service, so no particular host, although IANA calls it
    /// globally reachable.
    Anycast,
    /// The host of the IPv4 address in the lowest bits, through a translator.
    Translated,
    /// No host that can be reached from everywhere: "Globally Reachable" is false, or not
    /// applicable.
    NotPublic,
}

use Reach::{Anycast, NotPublic, Public, Translated};

/// The network, the length of its prefix, and what it leads to.
type Row<A> = (A, u32, Reach);

const fn v4(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

/// The address with these first groups, and then zeros.
const fn v6(a: u16, b: u16, c: u16, d: u16) -> Ipv6Addr {
    Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)
}

const IPV4: [Row<Ipv4Addr>; 28] = [
    // All that is in no other row.
    (v4(0, 0, 0, 0), 0, Public),
    // "This network": RFC 791, section 3.2.
    (v4(0, 0, 0, 0), 8, NotPublic),
    // "This host on this network": RFC 1122, section 3.2.1.3.
    (v4(0, 0, 0, 0), 32, NotPublic),
    // Private use: RFC 1918.
    (v4(10, 0, 0, 0), 8, NotPublic),
    // Shared address space, behind a carrier's NAT: RFC 6598.
    (v4(100, 64, 0, 0), 10, NotPublic),
    // Loopback: RFC 1122, section 3.2.1.3.
    (v4(127, 0, 0, 0), 8, NotPublic),
    // Link local: RFC 3927.
    (v4(169, 254, 0, 0), 16, NotPublic),
    // Private use: RFC 1918.
    (v4(172, 16, 0, 0), 12, NotPublic),
    // IETF protocol assignments: RFC 6890, section 2.1.
    (v4(192, 0, 0, 0), 24, NotPublic),
    // IPv4 service continuity prefix: RFC 7335.
    (v4(192, 0, 0, 0), 29, NotPublic),
    // IPv4 dummy address: RFC 7600.
    (v4(192, 0, 0, 8), 32, NotPublic),
    // Port Control Protocol: RFC 7723.
    (v4(192, 0, 0, 9), 32, Anycast),
    // Traversal Using Relays around NAT: RFC 8155.
    (v4(192, 0, 0, 10), 32, Anycast),
    // NAT64 and DNS64 discovery: RFC 8880, RFC 7050, section 2.2.
    (v4(192, 0, 0, 170), 32, NotPublic),
    (v4(192, 0, 0, 171), 32, NotPublic),
    // Documentation, TEST-NET-1: RFC 5737.
    (v4(192, 0, 2, 0), 24, NotPublic),
    // AS112: RFC 7535.
    (v4(192, 31, 196, 0), 24, Anycast),
    // Automatic multicast tunnelling: RFC 7450.
    (v4(192, 52, 193, 0), 24, Anycast),
    // 6to4 relays, deprecated: RFC 7526.
    (v4(192, 88, 99, 0), 24, NotPublic),
    // 6a44 relays: RFC 6751.
    (v4(192, 88, 99, 2), 32, NotPublic),
    // Private use: RFC 1918.
    (v4(192, 168, 0, 0), 16, NotPublic),
    // AS112 by direct delegation: RFC 7534.
    (v4(192, 175, 48, 0), 24, Anycast),
    // Benchmarking: RFC 2544.
    (v4(198, 18, 0, 0), 15, NotPublic),
    // Documentation, TEST-NET-2 and TEST-NET-3: RFC 5737.
    (v4(198, 51, 100, 0), 24, NotPublic),
    (v4(203, 0, 113, 0), 24, NotPublic),
    // Multicast: RFC 5771; a row of the IPv4 address space.
    (v4(224, 0, 0, 0), 4, NotPublic),
    // Reserved: RFC 1112, section 4.
    (v4(240, 0, 0, 0), 4, NotPublic),
    // Limited broadcast: RFC 8190, RFC 919, section 7.
    (v4(255, 255, 255, 255), 32, NotPublic),
];

const IPV6: [Row<Ipv6Addr>; 27] = [
    // All from which no unicast addresses are allocated: RFC 4291, section 2.4, and the
    // IPv6 address space of IANA.
    (Ipv6Addr::UNSPECIFIED, 0, NotPublic),
    // Global unicast: RFC 4291; a row of the IPv6 address space.
    (v6(0x2000, 0, 0, 0), 3, Public),
    // Loopback, and the unspecified address: RFC 4291.
    (Ipv6Addr::LOCALHOST, 128, NotPublic),
    (Ipv6Addr::UNSPECIFIED, 128, NotPublic),
    // IPv4-mapped: RFC 4291. No endpoint has one.
    (Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(), 96, NotPublic),
    // IPv4 translation: RFC 6052, section 3.1 of which excludes IPv4 addresses that are not
    // public.
    (v6(0x64, 0xff9b, 0, 0), 96, Translated),
    // The same within a site: RFC 8215.
    (v6(0x64, 0xff9b, 1, 0), 48, NotPublic),
    // Discard only: RFC 6666.
    (v6(0x100, 0, 0, 0), 64, NotPublic),
    // Dummy prefix: RFC 9780.
    (v6(0x100, 0, 0, 1), 64, NotPublic),
    // IETF protocol assignments: RFC 2928.
    (v6(0x2001, 0, 0, 0), 23, NotPublic),
    // Teredo, whose addresses embed those of a server and a NAT: RFC 4380, RFC 8190.
    (v6(0x2001, 0, 0, 0), 32, NotPublic),
    // Port Control Protocol: RFC 7723.
    (Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 1), 128, Anycast),
    // Traversal Using Relays around NAT: RFC 8155.
    (Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 2), 128, Anycast),
    // Registration of DNS services: RFC 9665.
    (Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 3), 128, Anycast),
    // Benchmarking: RFC 5180.
    (v6(0x2001, 2, 0, 0), 48, NotPublic),
    // Automatic multicast tunnelling: RFC 7450.
    (v6(0x2001, 3, 0, 0), 32, Anycast),
    // AS112: RFC 7535.
    (v6(0x2001, 4, 0x112, 0), 48, Anycast),
    // ORCHID, deprecated: RFC 4843.
    (v6(0x2001, 0x10, 0, 0), 28, NotPublic),
    // ORCHID, version 2: RFC 7343.
    (v6(0x2001, 0x20, 0, 0), 28, Public),
    // Entity tags of drones: RFC 9374.
    (v6(0x2001, 0x30, 0, 0), 28, Public),
    // Documentation: RFC 3849.
    (v6(0x2001, 0xdb8, 0, 0), 32, NotPublic),
    // 6to4, whose addresses embed an IPv4 one: RFC 3056.
    (v6(0x2002, 0, 0, 0), 16, NotPublic),
    // AS112 by direct delegation: RFC 7534.
    (v6(0x2620, 0x4f, 0x8000, 0), 48, Anycast),
    // Documentation: RFC 9637.
    (v6(0x3fff, 0, 0, 0), 20, NotPublic),
    // Identifiers of segment routing: RFC 9602.
    (v6(0x5f00, 0, 0, 0), 16, NotPublic),
    // Unique local: RFC 4193, RFC 8190.
    (v6(0xfc00, 0, 0, 0), 7, NotPublic),
    LINK_LOCAL_V6,
];

/// Link-local unicast: RFC 4291.
const LINK_LOCAL_V6: Row<Ipv6Addr> = (v6(0xfe80, 0, 0, 0), 10, NotPublic);

/// Whether `ip` leads to one particular host from everywhere on the internet.
pub(in crate::relay) fn is_public_ip(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => of(&IPV4, ip) == Public,
        IpAddr::V6(ip) => match of(&IPV6, ip) {
            Public => true,
            Translated => of(&IPV4, Ipv4Addr::from_bits(ip.to_bits() as u32)) == Public,
            Anycast | NotPublic => false,
        },
    }
}

/// Whether `ip` is an IPv6 address that has a meaning only together with an interface.
pub(in crate::relay) fn is_link_local_v6(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if contains(&LINK_LOCAL_V6, ip))
}

trait Address: Copy {
    /// How many bits two addresses have in common before the first that differs.
    fn common_bits(self, other: Self) -> u32;
}

impl Address for Ipv4Addr {
    fn common_bits(self, other: Self) -> u32 {
        (self.to_bits() ^ other.to_bits()).leading_zeros()
    }
}

impl Address for Ipv6Addr {
    fn common_bits(self, other: Self) -> u32 {
        (self.to_bits() ^ other.to_bits()).leading_zeros()
    }
}

/// What the row with the longest prefix says.
fn of<A: Address>(rows: &[Row<A>], ip: A) -> Reach {
    let containing = rows.iter().filter(|row| contains(row, ip));
    let narrowest = containing.max_by_key(|&&(_, prefix_len, _)| prefix_len);
    narrowest.map_or(NotPublic, |&(_, _, reach)| reach)
}

fn contains<A: Address>(&(network, prefix_len, _): &Row<A>, ip: A) -> bool {
    network.common_bits(ip) >= prefix_len
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_public(ip: &str) -> bool {
        is_public_ip(ip.parse().unwrap())
    }

    /// The first and the last address of each row are judged as the row says, and the
    /// addresses around it as some other row says.
    #[test]
    fn each_row_begins_and_ends_where_its_source_says() {
        for (block, reach, first, last) in [
            ("0.0.0.0/8", false, "0.0.0.0", "0.255.255.255"),
            ("1.0.0.0/8", true, "1.0.0.0", "1.255.255.255"),
            ("9.0.0.0/8", true, "9.0.0.0", "9.255.255.255"),
            ("10.0.0.0/8", false, "10.0.0.0", "10.255.255.255"),
            ("11.0.0.0/8", true, "11.0.0.0", "11.255.255.255"),
            ("100.0.0.0/10", true, "100.0.0.0", "100.63.255.255"),
            ("100.64.0.0/10", false, "100.64.0.0", "100.127.255.255"),
            ("100.128.0.0/9", true, "100.128.0.0", "126.255.255.255"),
            ("127.0.0.0/8", false, "127.0.0.0", "127.255.255.255"),
            ("128.0.0.0/8", true, "128.0.0.0", "169.253.255.255"),
            ("169.254.0.0/16", false, "169.254.0.0", "169.254.255.255"),
            ("169.255.0.0/16", true, "169.255.0.0", "172.15.255.255"),
            ("172.16.0.0/12", false, "172.16.0.0", "172.31.255.255"),
            ("172.32.0.0/11", true, "172.32.0.0", "191.255.255.255"),
            ("192.0.0.0/24", false, "192.0.0.0", "192.0.0.255"),
            ("192.0.0.0/29", false, "192.0.0.0", "192.0.0.7"),
            ("192.0.0.8/32", false, "192.0.0.8", "192.0.0.8"),
            ("192.0.0.9/32", false, "192.0.0.9", "192.0.0.9"),
            ("192.0.0.10/32", false, "192.0.0.10", "192.0.0.10"),
            ("192.0.0.170/31", false, "192.0.0.170", "192.0.0.171"),
            ("192.0.1.0/24", true, "192.0.1.0", "192.0.1.255"),
            ("192.0.2.0/24", false, "192.0.2.0", "192.0.2.255"),
            ("192.0.3.0/24", true, "192.0.3.0", "192.31.195.255"),
            ("192.31.196.0/24", false, "192.31.196.0", "192.31.196.255"),
            ("192.31.197.0/24", true, "192.31.197.0", "192.52.192.255"),
            ("192.52.193.0/24", false, "192.52.193.0", "192.52.193.255"),
            ("192.52.194.0/23", true, "192.52.194.0", "192.88.98.255"),
            ("192.88.99.0/24", false, "192.88.99.0", "192.88.99.255"),
            ("192.88.99.2/32", false, "192.88.99.2", "192.88.99.2"),
            ("192.88.100.0/22", true, "192.88.100.0", "192.167.255.255"),
            ("192.168.0.0/16", false, "192.168.0.0", "192.168.255.255"),
            ("192.169.0.0/16", true, "192.169.0.0", "192.175.47.255"),
            ("192.175.48.0/24", false, "192.175.48.0", "192.175.48.255"),
            ("192.175.49.0/24", true, "192.175.49.0", "198.17.255.255"),
            ("198.18.0.0/15", false, "198.18.0.0", "198.19.255.255"),
            ("198.20.0.0/14", true, "198.20.0.0", "198.51.99.255"),
            ("198.51.100.0/24", false, "198.51.100.0", "198.51.100.255"),
            ("198.51.101.0/24", true, "198.51.101.0", "203.0.112.255"),
            ("203.0.113.0/24", false, "203.0.113.0", "203.0.113.255"),
            ("203.0.114.0/23", true, "203.0.114.0", "223.255.255.255"),
            ("224.0.0.0/4", false, "224.0.0.0", "239.255.255.255"),
            ("240.0.0.0/4", false, "240.0.0.0", "255.255.255.254"),
            (
                "255.255.255.255/32",
                false,
                "255.255.255.255",
                "255.255.255.255",
            ),
            ("::/128", false, "::", "::"),
            ("::1/128", false, "::1", "::1"),
            ("compatible", false, "::8.8.8.8", "::ffff:0"),
            (
                "64:ff9b:1::/48",
                false,
                "64:ff9b:1::",
                "64:ff9b:1:ffff:ffff:ffff:808:808",
            ),
            ("100::/64", false, "100::", "100::ffff:ffff:ffff:ffff"),
            (
                "100:0:0:1::/64",
                false,
                "100:0:0:1::",
                "100::1:ffff:ffff:ffff:ffff",
            ),
            (
                "before 2000::/3",
                false,
                "101::",
                "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "2000::/16",
                true,
                "2000::",
                "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "2001::/32",
                false,
                "2001::",
                "2001:0:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            ("2001:1::1/128", false, "2001:1::1", "2001:1::1"),
            ("2001:1::2/128", false, "2001:1::2", "2001:1::2"),
            ("2001:1::3/128", false, "2001:1::3", "2001:1::3"),
            (
                "2001:2::/48",
                false,
                "2001:2::",
                "2001:2:0:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "2001:3::/32",
                false,
                "2001:3::",
                "2001:3:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "2001:4:112::/48",
                false,
                "2001:4:112::",
                "2001:4:112:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "2001:10::/28",
                false,
                "2001:10::",
                "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "2001:20::/28",
                true,
                "2001:20::",
                "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "2001:30::/28",
                true,
                "2001:30::",
                "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "2001::/23",
                false,
                "2001:40::",
                "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "2001:200::/23",
                true,
                "2001:200::",
                "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "2001:db8::/32",
                false,
                "2001:db8::",
                "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "2001:db9::/32",
                true,
                "2001:db9::",
                "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "2002::/16",
                false,
                "2002::",
                "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "2003::/16",
                true,
                "2003::",
                "2620:4f:7fff:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "2620:4f:8000::/48",
                false,
                "2620:4f:8000::",
                "2620:4f:8000:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "2620:4f:8001::/48",
                true,
                "2620:4f:8001::",
                "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "3fff::/20",
                false,
                "3fff::",
                "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "3fff:1000::/20",
                true,
                "3fff:1000::",
                "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "beyond 2000::/3",
                false,
                "4000::",
                "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "5f00::/16",
                false,
                "5f00::",
                "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "fc00::/7",
                false,
                "fc00::",
                "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "fe80::/10",
                false,
                "fe80::",
                "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "fec0::/10",
                false,
                "fec0::",
                "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "ff00::/8",
                false,
                "ff00::",
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
        ] {
            assert_eq!(is_public(first), reach, "{first} of {block}");
            assert_eq!(is_public(last), reach, "{last} of {block}");
        }
    }

    /// Of an address that a translator or the socket interface turns into an IPv4 one,
    /// that one counts.
    #[test]
    fn what_becomes_an_ipv4_address_is_judged_as_one() {
        for (ip, expected) in [
            ("8.8.8.8", true),
            ("10.0.0.1", false),
            ("192.31.196.1", false),
        ] {
            for wrapped in [format!("64:ff9b::{ip}"), format!("::ffff:{ip}")] {
                assert_eq!(is_public(&wrapped), expected, "{wrapped}");
            }
        }
    }

    #[test]
    fn link_local_ends_where_rfc_4291_says() {
        let is_link_local = |ip: &str| is_link_local_v6(ip.parse().unwrap());
        for ip in ["fe80::1", "febf:ffff::"] {
            assert!(is_link_local(ip), "{ip}");
        }
        for ip in ["fe7f::", "fec0::1", "169.254.0.1", "::1"] {
            assert!(!is_link_local(ip), "{ip}");
        }
    }

    /// A row whose network has bits beyond its prefix would not say what it shows.
    #[test]
    fn networks_are_as_long_as_their_prefixes() {
        for (network, prefix_len, _) in IPV4 {
            assert!(
                network.to_bits().trailing_zeros() >= 32 - prefix_len,
                "{network}"
            );
        }
        for (network, prefix_len, _) in IPV6 {
            assert!(
                network.to_bits().trailing_zeros() >= 128 - prefix_len,
                "{network}"
            );
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

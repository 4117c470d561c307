//! Which endpoints and NAT types are accepted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Nat {
    PublicIp,
    FullCone,
    RestrictedCone,
    PortRestrictedCone,
    Symmetric,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressFault {
    ZeroPort,
    Unspecified,
    Multicast,
    Broadcast,
    LinkLocal,
    NotPublic,
}

/// The parts of an endpoint that the address rules use.
pub trait Address: Clone + PartialEq {
    fn ip(&self) -> Option<IpAddr>;
    fn port(&self) -> u16;
}

pub(super) fn can_relay(nat: Nat, endpoint: &impl Address) -> bool {
    match nat {
        Nat::PublicIp => endpoint.ip().is_none_or(is_public),
        Nat::FullCone => true,
        Nat::RestrictedCone | Nat::PortRestrictedCone | Nat::Symmetric => false,
    }
}

pub(super) fn address_fault(endpoint: &impl Address, public_only: bool) -> Option<AddressFault> {
    if endpoint.port() == 0 {
        return Some(AddressFault::ZeroPort);
    }
    match endpoint.ip()?.to_canonical() {
        ip if ip.is_unspecified() => Some(AddressFault::Unspecified),
        ip if ip.is_multicast() => Some(AddressFault::Multicast),
        IpAddr::V4(Ipv4Addr::BROADCAST) => Some(AddressFault::Broadcast),
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Some(AddressFault::LinkLocal),
        ip if public_only && !is_public(ip) => Some(AddressFault::NotPublic),
        _ => None,
    }
}

fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    // AS112, twice; multicast tunnels; 6to4 relays.
    let anycast = [
        (192, 31, 196),
        (192, 175, 48),
        (192, 52, 193),
        (192, 88, 99),
    ];
    let shared = a == 100 && (64..128).contains(&b);
    let benchmarking = a == 198 && (18..20).contains(&b);
    let protocol = (a, b, c) == (192, 0, 0);
    let reserved = a == 0 || a >= 224;
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || shared
        || benchmarking
        || protocol
        || anycast.contains(&(a, b, c))
        || reserved)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let documentation = ip.segments()[..2] == [0x2001, 0x0db8];
    !(ip.is_loopback()
        || ip.is_unspecified()
        || ip.is_multicast()
        || ip.is_unique_local()
        || ip.is_unicast_link_local()
        || documentation)
}

//! The relays of the soak: their ids and endpoints.
//!
//! The port of an endpoint has the capacity that was announced with it, and the incarnation of the relay.
//! A restart begins the next incarnation. Every other relay has a hostname instead of an address, which
//! is an allocation that must be freed.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use fastrand::Rng;
use relay_registry::{Endpoint, IpFamily, NodeId, RegisterOptions, RelayInfo};

use crate::ledger::{INCARNATIONS, Ledger};

/// The number of permanent relays: far away and never full, so that one can always be found.
pub const PERMANENT: u32 = 3;
/// The capacities, in rising order. The last is more than all threads together hold.
pub const CAPACITIES: [u32; 4] = [2, 5, 9, 100_000];
/// The number of the first transient relay.
pub const TRANSIENTS: u32 = 1 << 20;
/// The number of the first peer, and how many there are: more than the registry remembers.
const FIRST_PEER: u32 = 1 << 24;
pub const PEERS: u32 = 500;
pub const MAX_PEERS: usize = 64;
/// The failure domain that every relay announces.
pub const DOMAIN: &str = "soak";
/// The labels by which clients ask.
pub const LABELS: [&str; 2] = ["even", "odd"];
/// The number of sites; the relays of a site fail together.
pub const SITES: u32 = 8;
pub const LARGE: u16 = 3;
/// The capacity of permanent relays.
pub const BOUNDLESS: u32 = relay_registry::MAX_CAPACITY;

/// Whether a relay keeps its first capacity and reports no load, so that only leases use it.
pub const fn is_plain(relay: u32) -> bool {
    relay % 4 == 0
}

/// Whether a relay is in no moment of tier 0. Permanent relays always are.
pub const fn is_in_reserve(relay: u32) -> bool {
    PERMANENT <= relay && relay < TRANSIENTS && relay % 7 == 6
}

/// The labels that clients ask for, of those that a relay has.
pub fn labels(relay: u32) -> &'static [&'static str] {
    match relay {
        TRANSIENTS.. => &[],
        _ if relay % 2 == 0 => &LABELS[..1],
        _ => &LABELS[1..],
    }
}

/// Whether a relay can be reached over a family: by its address, its further one or its name.
pub fn is_over(relay: u32, family: IpFamily) -> bool {
    family == IpFamily::V4 || relay % 2 == 1 || has_further_endpoint(relay)
}

const fn has_further_endpoint(relay: u32) -> bool {
    relay < TRANSIENTS && relay % 4 == 2
}

/// What a relay announces beside its capacity, always the same or as its endpoint says.
pub fn options(relay: u32, announced: Announced) -> RegisterOptions {
    let over_v6 = |_| {
        let [high, low] = [(relay >> 16) as u16, relay as u16];
        let address = Ipv6Addr::new(0x2a00, 1, 2, 3, 4, 5, high, low);
        Endpoint::from(SocketAddr::from((address, port(announced))))
    };
    let further = has_further_endpoint(relay).then_some(()).map(over_v6);
    let options = RegisterOptions::new().labels(labels(relay));
    let options = options.also_at(further);
    match payload(relay, port(announced)) {
        Some(payload) => options.payload(payload),
        None => options,
    }
}

/// The payload that is announced with a port, by some relays.
pub fn payload(relay: u32, port: u16) -> Option<[u8; 8]> {
    let payload = u64::from(relay) << 16 | u64::from(port);
    (relay < TRANSIENTS && relay % 3 == 1).then_some(payload.to_be_bytes())
}

/// A peer that is no relay.
pub fn peer(rng: &mut Rng) -> u32 {
    peers().start + rng.u32(..PEERS)
}

pub const fn peers() -> std::ops::Range<u32> {
    FIRST_PEER..FIRST_PEER + PEERS
}

const FIRST_PORT: u16 = 1024;

const fn port(announced: Announced) -> u16 {
    FIRST_PORT + announced.capacity_index * INCARNATIONS + announced.incarnation
}

/// What the port of an endpoint says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    pub incarnation: u16,
    /// An index into [`CAPACITIES`].
    pub capacity_index: u16,
}

pub fn id(relay: u32) -> NodeId {
    let mut bytes = [0x5a; 32];
    bytes[..4].copy_from_slice(&relay.to_be_bytes());
    NodeId::from(bytes)
}

pub fn number(id: &NodeId) -> u32 {
    let head = id.as_bytes().first_chunk().copied().unwrap_or_default();
    u32::from_be_bytes(head)
}

/// The relay that is the local node.
pub fn local(ledger: &Ledger) -> u32 {
    ledger.relays() - 1
}

/// A node that is no relay.
pub fn non_relay() -> NodeId {
    id(u32::MAX)
}

/// A round trip to a relay: for two of three relays always below `NEAR`, for the others always above.
pub fn rtt(relay: u32, rng: &mut Rng) -> Duration {
    let least = if relay % 3 == 0 {
        200
    } else {
        10 + u64::from(relay % 40)
    };
    Duration::from_micros(1_000 * least + rng.u64(..20_000))
}

pub const NEAR: Duration = Duration::from_millis(100);

pub fn name(relay: u32) -> String {
    format!("relay {relay}")
}

pub fn endpoint(relay: u32, announced: Announced) -> Endpoint {
    let port = port(announced);
    let [_, a, b, c] = relay.to_be_bytes();
    let by_address = || Endpoint::from(SocketAddr::from(([9, a, b, c], port)));
    if relay % 2 == 0 {
        return by_address();
    }
    let host = format!("relay-{relay}.soak.example");
    Endpoint::from_name(&host, port).unwrap_or_else(|_| by_address())
}

pub fn announced(info: &RelayInfo) -> Announced {
    let said = info.endpoint().port().saturating_sub(FIRST_PORT);
    Announced {
        incarnation: said % INCARNATIONS,
        capacity_index: said / INCARNATIONS,
    }
}

/// The capacity announced with an endpoint of this relay.
pub fn capacity(relay: u32, capacity_index: u16) -> Option<u32> {
    if relay < PERMANENT {
        return Some(BOUNDLESS);
    }
    CAPACITIES.get(usize::from(capacity_index)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_tells_incarnation_and_capacity() {
        let registry = relay_registry::Registry::new();
        for (relay, incarnation, capacity_index) in [(7, INCARNATIONS - 1, 2), (8, 0, 0), (9, 1, 1)]
        {
            let announced = Announced {
                incarnation,
                capacity_index,
            };
            let registered = registry.register(id(relay), endpoint(relay, announced));
            assert!(registered.is_ok());
            let info = registry.relay(&id(relay)).unwrap();
            assert_eq!(super::announced(&info), announced);
            assert_eq!(number(&info.node_id()), relay);
        }
    }
}

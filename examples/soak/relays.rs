//! The relays of the soak: their names, and what their endpoints tell.
//!
//! A port tells under which capacity an endpoint was announced, and in which life of the
//! relay: the next one begins when it says that it restarted. Every other relay has a name
//! instead of an address, which is memory of its own to be freed.

use std::net::SocketAddr;

use std::time::Duration;

use fastrand::Rng;
use relay_registry::{Endpoint, NodeId, RelayInfo};

use crate::ledger::{LIVES, Ledger};

/// Relays that stay throughout, far away and never full: there is always one.
pub const PERMANENT: u32 = 3;
/// What relays may announce, in rising order; the last is more than all threads together
/// hold.
pub const CAPACITIES: [u32; 4] = [2, 5, 9, 100_000];
/// Transients-by, which come once or twice, have numbers from here on.
pub const TRANSIENTS: u32 = 1 << 20;
/// Relays that fail together: as many sites as this.
pub const SITES: u32 = 8;
pub const ROOMY: u16 = 3;
/// What permanent relays announce, on the port of life 0.
pub const BOUNDLESS: u32 = relay_registry::MAX_CAPACITY;

/// Whether a relay keeps to its first terms and never reports a load: its capacity is
/// used up by leases alone.
pub const fn is_plain(relay: u32) -> bool {
    relay % 4 == 0
}

const FIRST_PORT: u16 = 1024;

/// What an endpoint tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    pub life: u16,
    /// Which of the capacities.
    pub terms: u16,
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

/// The relay that is the embedding node itself.
pub fn local(ledger: &Ledger) -> u32 {
    ledger.relays() - 1
}

/// A node that is no relay.
pub fn non_relay() -> NodeId {
    id(u32::MAX)
}

/// A round trip to a relay: below `NEAR` for two in three, and above it for the
/// others, always.
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
    let port = FIRST_PORT + announced.terms * LIVES + announced.life;
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
        life: said % LIVES,
        terms: said / LIVES,
    }
}

/// The capacity announced with an endpoint of this relay.
pub fn capacity(relay: u32, terms: u16) -> Option<u32> {
    if relay < PERMANENT {
        return Some(BOUNDLESS);
    }
    CAPACITIES.get(usize::from(terms)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_tells_life_and_terms() {
        let registry = relay_registry::Registry::new();
        for (relay, life, terms) in [(7, LIVES - 1, 2), (8, 0, 0), (9, 1, 1)] {
            let announced = Announced { life, terms };
            let registered = registry.register(id(relay), endpoint(relay, announced));
            assert!(registered.is_ok());
            let info = registry.relay(&id(relay)).unwrap();
            assert_eq!(super::announced(&info), announced);
            assert_eq!(number(&info.node_id()), relay);
        }
    }
}

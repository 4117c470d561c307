//! What peers need to know to dial a relay, and the registry does not, travels with the relay: a
//! multiaddress of libp2p, or the URL of an iroh relay.
//!
//! A node publishes its relay, another one learns it, and a caller gets the payload with its lease.
//! The registry neither parses the payload nor depends on the libraries that do.
//!
//! Run it with `cargo run --example payload`.

use relay_registry::dht::{Announcement, DhtOptions, Memory, Probe, ProbeError, SecretKey};
use relay_registry::{Endpoint, FindOptions, NodeId, RegisterOptions, Registry};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// How a peer reaches the relay, as the payload says it: the first line names the kind.
enum Dial<'a> {
    /// For libp2p's `Multiaddr`, with the peer id of the relay.
    Libp2p(&'a str),
    /// For iroh's `RelayUrl`.
    Iroh(&'a str),
}

impl<'a> Dial<'a> {
    fn to_payload(&self) -> String {
        match self {
            Self::Libp2p(multiaddr) => format!("libp2p\n{multiaddr}"),
            Self::Iroh(url) => format!("iroh\n{url}"),
        }
    }

    /// A payload is a claim of a stranger: whatever it is, this refuses it or returns text that is
    /// still to be parsed by the library that dials.
    fn from_payload(payload: &'a [u8]) -> Option<Self> {
        match std::str::from_utf8(payload).ok()?.split_once('\n')? {
            ("libp2p", multiaddr) if multiaddr.starts_with('/') => Some(Self::Libp2p(multiaddr)),
            ("iroh", url) if url.starts_with("https://") => Some(Self::Iroh(url)),
            _ => None,
        }
    }
}

/// Admits only relays whose payload this node can use.
struct Usable;

impl Probe for Usable {
    fn probe(&self, _: &NodeId, _: &Endpoint, _: Duration) -> Result<Duration, ProbeError> {
        Err(ProbeError::Refused) // without a payload
    }

    fn probe_announced(
        &self,
        _: &NodeId,
        announced: &Announcement,
        _: Duration,
    ) -> Result<Duration, ProbeError> {
        let payload = announced.payload().unwrap_or_default();
        Dial::from_payload(payload).ok_or(ProbeError::Refused)?;
        // A real probe connects here, and has the peer prove that it holds the key.
        Ok(Duration::from_millis(20))
    }
}

/// A node that serves as a relay, and publishes that.
fn relay(dht: &Memory, endpoint: &str, dial: &Dial<'_>) -> Result<Registry, Box<dyn Error>> {
    let key = Arc::new(SecretKey::generate()?);
    let options = DhtOptions::new()
        .key(Arc::clone(&key))
        .debounce(Duration::ZERO);
    let registry = Registry::builder().dht(dht.connect(), options).build()?;
    let announced = RegisterOptions::new().payload(dial.to_payload());
    registry.register_with(key.node_id(), endpoint.parse::<Endpoint>()?, &announced)?;
    Ok(registry)
}

fn main() -> Result<(), Box<dyn Error>> {
    let dht = Memory::new();
    let libp2p = Dial::Libp2p(
        "/ip4/5.6.1.1/udp/4001/quic-v1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN",
    );
    let iroh = Dial::Iroh("https://relay.example.org./");
    let relays = [
        relay(&dht, "5.6.1.1:4001", &libp2p)?,
        relay(&dht, "5.6.2.1:443", &iroh)?,
    ];

    let options = DhtOptions::new()
        .probe(Usable)
        .sweep_interval(Duration::from_millis(100));
    let registry = Registry::builder().dht(dht.connect(), options).build()?;
    let target = NodeId::from([9; 32]);
    let mut used: Vec<NodeId> = Vec::new();
    for _ in &relays {
        let others = FindOptions::new().exclude(used.iter().copied());
        let found = registry.find_relay_wait(&target, &others, Duration::from_secs(10))?;
        let lease = registry.lease(&found.node_id())?;
        match lease.payload().and_then(Dial::from_payload) {
            Some(Dial::Libp2p(multiaddr)) => println!("libp2p dials {multiaddr}"),
            Some(Dial::Iroh(url)) => println!("iroh uses {url}"),
            None => println!("a peer dials {}", lease.relay().endpoint()),
        }
        used.push(found.node_id());
    }
    Ok(())
}

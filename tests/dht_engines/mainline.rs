//! BitTorrent's DHT, on nodes of its own on this machine.

use mainline::{Dht, Testnet};
use relay_registry::dht::{Mainline, Network, conformance};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Nodes on loopback that know only each other.
struct Net {
    nodes: Vec<Dht>,
    bootstrap: Vec<String>,
}

impl Net {
    fn new() -> Self {
        let testnet = Testnet::builder(16)
            .seeded(false)
            .build()
            .expect("sockets on loopback");
        Self {
            nodes: testnet.nodes,
            bootstrap: testnet.bootstrap,
        }
    }

    fn join(&self, network: Network) -> Mainline {
        Mainline::builder(network)
            .bootstrap(&self.bootstrap)
            .bind_address(Ipv4Addr::LOCALHOST)
            .port(0)
            .request_timeout(Duration::from_millis(300))
            .server_mode()
            .build()
            .expect("a socket on loopback")
    }
}

#[test]
fn mainline_conforms() {
    let net = Net::new();
    let network = Network::new(b"conformance").expect("a short tag");
    conformance::check(|| net.join(network), &network);
    assert_eq!(net.nodes.len(), 16);
}

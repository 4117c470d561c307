//! The two names of one Ed25519 key: the registry's [`NodeId`] and libp2p's [`PeerId`].
//!
//! A node id is the 32 bytes of the public key. A peer id of such a key has the key inside
//! (identity multihash), so both directions need no look-up.

use std::net::{IpAddr, SocketAddr};

use libp2p::identity::{Keypair, PublicKey, ed25519};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use relay_registry::dht::SecretKey;
use relay_registry::{Endpoint, NodeId};

/// The code of the identity multihash: the digest is the encoded public key itself.
const IDENTITY: u64 = 0;

/// The peer id of a node. `None` if the node id is not an Ed25519 public key.
#[must_use]
pub fn peer_of(node: &NodeId) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(node.as_bytes()).ok()?;
    Some(PeerId::from_public_key(&PublicKey::from(key)))
}

/// The node id of a peer. `None` if its key is not an Ed25519 key.
#[must_use]
pub fn node_of(peer: &PeerId) -> Option<NodeId> {
    let multihash = peer.as_ref();
    if multihash.code() != IDENTITY {
        return None;
    }
    let key = PublicKey::try_decode_protobuf(multihash.digest()).ok()?;
    Some(NodeId::from(key.try_into_ed25519().ok()?.to_bytes()))
}

/// The key pair of libp2p with the same seed, so that both names are of one key.
#[must_use]
pub fn keypair_of(key: &SecretKey) -> Keypair {
    let mut seed = *key.expose_seed();
    // It zeroizes its argument. It fails only for another length than 32 bytes.
    Keypair::ed25519_from_bytes(&mut seed).expect("a seed has 32 bytes")
}

/// The TCP address of an endpoint with an IP address, and with the peer id of its relay.
/// `None` for a DNS name: this package has no resolver.
#[must_use]
pub fn address_of(relay: &NodeId, endpoint: &Endpoint) -> Option<Multiaddr> {
    let peer = peer_of(relay)?;
    Some(tcp_address(endpoint.socket_addr()?).with(Protocol::P2p(peer)))
}

/// The TCP address of a socket address.
#[must_use]
pub fn tcp_address(address: SocketAddr) -> Multiaddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) => Protocol::Ip4(ip),
        IpAddr::V6(ip) => Protocol::Ip6(ip),
    };
    Multiaddr::empty()
        .with(ip)
        .with(Protocol::Tcp(address.port()))
}

/// The relay of a circuit address: the peer before `/p2p-circuit`.
#[must_use]
pub fn relay_of(circuit: &Multiaddr) -> Option<PeerId> {
    let mut relay = None;
    for protocol in circuit {
        match protocol {
            Protocol::P2p(peer) => relay = Some(peer),
            Protocol::P2pCircuit => return relay,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_two_names_that_map_to_each_other() {
        for seed in 0..50 {
            let key = SecretKey::from_seed([seed; 32]);
            let peer = keypair_of(&key).public().to_peer_id();
            assert_eq!(node_of(&peer), Some(key.node_id()));
            assert_eq!(peer_of(&key.node_id()), Some(peer));
        }
    }

    #[test]
    fn a_peer_with_another_kind_of_key_has_no_node_id() {
        let sha256 = PeerId::from_multihash(
            libp2p::multihash::Multihash::wrap(0x12, &[7; 32]).expect("it fits"),
        );
        assert_eq!(node_of(&sha256.expect("a peer id")), None);
        let short = NodeId::from_bytes(b"abc").expect("a short id is an id");
        assert_eq!(peer_of(&short), None);
    }

    #[test]
    fn the_relay_of_a_circuit_is_the_peer_before_it() {
        let key = SecretKey::from_seed([1; 32]);
        let endpoint = "127.0.0.1:4001".parse().expect("an endpoint");
        let relay = address_of(&key.node_id(), &endpoint).expect("an address");
        let target = PeerId::random();
        let circuit = relay
            .clone()
            .with(Protocol::P2pCircuit)
            .with(Protocol::P2p(target));
        assert_eq!(relay_of(&circuit), peer_of(&key.node_id()));
        assert_eq!(relay_of(&relay), None);
    }
}

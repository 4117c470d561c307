//! [`learn`]: the addresses that peers state.

use libp2p::{Multiaddr, PeerId};

use super::Kademlia;
use crate::ids::relay_of;

/// The most addresses of one peer. It states what it likes, as often as it likes, and all are
/// dialled.
const MAX_ADDRESSES: usize = 8;

/// Tells Kademlia the addresses that `peer` states, except those through relays. libp2p does not do
/// that itself, and keeps all that it is told.
pub fn learn(kad: &mut Kademlia, peer: &PeerId, stated: impl IntoIterator<Item = Multiaddr>) {
    let known = known(kad, peer);
    let room = MAX_ADDRESSES.saturating_sub(known.len());
    let is_new = |address: &Multiaddr| {
        let with_peer = address.clone().with_p2p(*peer);
        with_peer.is_ok_and(|address| !known.contains(&address))
    };
    let direct = stated
        .into_iter()
        .filter(|address| relay_of(address).is_none() && is_new(address));
    for address in direct.take(room) {
        kad.add_address(peer, address);
    }
}

/// The addresses of a peer that Kademlia has.
fn known(kad: &mut Kademlia, peer: &PeerId) -> Vec<Multiaddr> {
    let Some(bucket) = kad.kbucket(*peer) else {
        return Vec::new();
    };
    let entry = bucket
        .iter()
        .find(|entry| entry.node.key.preimage() == peer);
    let addresses = entry.map(|entry| entry.node.value.iter().cloned().collect());
    addresses.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_peer_that_states_ever_more_addresses_fills_no_memory_and_directs_no_dials_to_them() {
        let mut kad = super::super::behaviour(PeerId::random(), Duration::from_secs(1));
        let peer = PeerId::random();
        for message in 0..10 {
            let stated = (1..=200).map(|port: u16| {
                let address = format!("/ip4/192.0.2.{message}/tcp/{port}");
                address.parse().expect("an address")
            });
            learn(&mut kad, &peer, stated);
        }
        let known = known(&mut kad, &peer);
        assert_eq!(known.len(), MAX_ADDRESSES);
        let first = format!("/ip4/192.0.2.0/tcp/1/p2p/{peer}");
        assert_eq!(known[0].to_string(), first);
    }
}

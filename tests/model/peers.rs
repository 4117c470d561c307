//! The views of peers that are remembered.

use super::{Address, Model};
use std::collections::BTreeMap;
use std::time::Duration;

/// The round trips to relays that a peer measured.
pub type View<K> = BTreeMap<K, Duration>;

#[derive(Clone, Debug)]
pub(super) struct Remembered<K> {
    peer: K,
    view: View<K>,
    /// The first tick at which it no longer counts.
    until: u64,
}

impl<K: Copy + Ord, E: Address> Model<K, E> {
    /// An empty view forgets the peer.
    pub fn update_peer(&mut self, peer: K, view: View<K>) {
        self.keeps_positions = true;
        self.forget_peer(&peer);
        if view.is_empty() || self.settings.max_peers == 0 {
            return;
        }
        if self.peers.len() == self.settings.max_peers {
            self.peers.remove(0);
        }
        let tick = self.settings.tick.as_nanos();
        // The update may be of any moment of this tick.
        let ticks = self.settings.peer_ttl.as_nanos().div_ceil(tick) as u64 + 1;
        let until = self.tick + ticks;
        self.peers.push(Remembered { peer, view, until });
    }

    /// Whether a view was remembered.
    pub fn forget_peer(&mut self, peer: &K) -> bool {
        self.forget_old_peers();
        let before = self.peers.len();
        self.peers.retain(|it| it.peer != *peer);
        self.peers.len() < before
    }

    fn forget_old_peers(&mut self) {
        let tick = self.tick;
        self.peers.retain(|it| tick < it.until);
    }

    pub(super) fn view_of(&self, peer: &K) -> Option<View<K>> {
        let known = self.peers.iter().filter(|it| self.tick < it.until);
        let mut views = known.filter(|it| it.peer == *peer);
        views.next().map(|it| it.view.clone())
    }

    /// Whether any call has had the registry keep positions of relays.
    pub fn keeps_positions(&self) -> bool {
        self.keeps_positions
    }
}

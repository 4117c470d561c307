//! Where the relays of one registry are, and where the registry itself is.

use super::ObserveError;
use super::{Coordinate, Landmark, Vivaldi};
use crate::relay::NodeId;
use crate::sync::random_hasher;
use std::collections::HashMap;

/// The positions of one registry's relays, and the coordinate of the node it is
/// on, all in one frame.
///
/// Relays and those who measure them form a bipartite net of springs: a node
/// finds itself by the relays' positions, the relays are found by the nodes'.
/// From nothing, all at the origin, both unfold together; none of it is a
/// relay's own claim.
///
/// A relay that left may come back, most likely to where it was: its position
/// is kept until there are too many. One that came back elsewhere is found
/// again, as one that moved is.
#[derive(Debug)]
pub(crate) struct CoordinateMap {
    own: Vivaldi,
    relays: HashMap<NodeId, Landmark, ahash::RandomState>,
}

impl CoordinateMap {
    pub(crate) fn new() -> Self {
        Self {
            own: Vivaldi::new(),
            relays: HashMap::with_hasher(random_hasher()),
        }
    }

    /// Where this node is, as far as it knows.
    pub(crate) fn own(&self) -> Coordinate {
        self.own.coordinate()
    }

    /// This node measured a sane round trip to the relay: both move, the node
    /// only if the sample is no outlier among its own.
    pub(crate) fn measured(&mut self, relay: &NodeId, micros: u32) -> Result<(), ObserveError> {
        let own = self.own.coordinate();
        let landmark = self.relays.entry(*relay).or_default();
        let at = landmark
            .provisional()
            .copied()
            .unwrap_or(Coordinate::ORIGIN);
        landmark.measure(&own, micros);
        self.own.take_in(&at, micros)
    }

    /// A peer at `peer` says that it measured a sane round trip to the relay,
    /// which moves if that is no outlier.
    pub(crate) fn update_peer(
        &mut self,
        relay: &NodeId,
        peer: &Coordinate,
        micros: u32,
    ) -> Result<(), ObserveError> {
        let landmark = self.relays.entry(*relay).or_default();
        landmark.hear(peer, micros)
    }

    /// Where the relay is, once that is known well enough to choose by.
    pub(crate) fn position(&self, relay: &NodeId) -> Option<&Coordinate> {
        self.relays.get(relay)?.settled()
    }

    /// Where the relay is to the best of what is known, for nodes to find
    /// themselves by; the error tells them how much to make of it.
    pub(crate) fn provisional(&self, relay: &NodeId) -> Option<&Coordinate> {
        self.relays.get(relay)?.provisional()
    }

    /// Forgets relays that are gone, when there are more than `most` in all.
    pub(crate) fn limit(&mut self, most: usize, is_there: impl Fn(&NodeId) -> bool) {
        if self.relays.len() > most {
            self.relays.retain(|relay, _| is_there(relay));
        }
    }
}

impl Default for CoordinateMap {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    fn relay(n: u32) -> NodeId {
        NodeId::from_bytes(&n.to_be_bytes()).unwrap()
    }

    /// A point of a plane, in us, and the height above it.
    type Site = (f32, f32, f32);

    fn rtt(a: Site, b: Site) -> u32 {
        ((a.0 - b.0).hypot(a.1 - b.1) + a.2 + b.2) as u32
    }

    fn sites(count: usize, seed: u64) -> Vec<Site> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut site = || {
            let mut micros = |most: f32| rng.f32() * most;
            (
                micros(150_000.0),
                micros(100_000.0),
                500.0 + micros(5_000.0),
            )
        };
        (0..count).map(|_| site()).collect()
    }

    #[test]
    fn a_world_unfolds_from_the_origin() {
        fastrand::seed(1);
        let (relays, peers) = (sites(12, 1), sites(30, 2));
        let (own_site, mut own) = ((40_000.0, 60_000.0, 1_000.0), CoordinateMap::new());
        let mut nodes = vec![Vivaldi::new(); peers.len()];
        for round in 0..400 {
            for (node, &site) in nodes.iter_mut().zip(&peers) {
                let probed = fastrand::usize(..relays.len());
                let micros = rtt(site, relays[probed]);
                let handle = relay(probed as u32);
                if let Some(at) = own.provisional(&handle) {
                    let _ = node.take_in(at, micros);
                }
                let _ = own.update_peer(&handle, &node.coordinate(), micros);
            }
            let probed = round % relays.len();
            let _ = own.measured(&relay(probed as u32), rtt(own_site, relays[probed]));
        }
        let mut errors: Vec<f32> = Vec::new();
        for (index, &at) in relays.iter().enumerate() {
            let position = own.position(&relay(index as u32)).expect("settled");
            let mut compare = |from: &Coordinate, truth: u32| {
                errors.push(position.micros_to(from).abs_diff(truth) as f32 / truth as f32);
            };
            compare(&own.own(), rtt(own_site, at));
            for (node, &site) in nodes.iter().zip(&peers) {
                compare(&node.coordinate(), rtt(site, at));
            }
        }
        errors.sort_by(f32::total_cmp);
        assert!(
            errors[errors.len() / 2] < 0.03,
            "{}",
            errors[errors.len() / 2]
        );
        assert!(
            errors[errors.len() * 9 / 10] < 0.12,
            "{}",
            errors[errors.len() * 9 / 10]
        );
    }

    #[test]
    fn relays_that_are_gone_are_forgotten_when_there_are_many() {
        let mut atlas = CoordinateMap::new();
        for n in 0..10 {
            atlas.measured(&relay(n), 20_000).unwrap();
        }
        atlas.limit(10, |_| false);
        assert!(atlas.provisional(&relay(3)).is_some());
        atlas.limit(9, |id| *id == relay(3));
        assert!(atlas.provisional(&relay(3)).is_some());
        assert!(atlas.provisional(&relay(4)).is_none());
    }

    #[test]
    fn what_was_never_measured_has_no_position() {
        let mut atlas = CoordinateMap::new();
        assert_eq!(atlas.own(), Coordinate::ORIGIN);
        atlas.measured(&relay(5), 20_000).unwrap();
        for never in [0, 4, 6, u32::MAX] {
            assert_eq!(atlas.provisional(&relay(never)), None);
            assert_eq!(atlas.position(&relay(never)), None);
        }
        assert_ne!(atlas.own(), Coordinate::ORIGIN);
    }

    #[test]
    fn strangers_do_not_move_this_node() {
        let mut atlas = CoordinateMap::new();
        atlas
            .update_peer(&relay(0), &Coordinate::ORIGIN, 20_000)
            .unwrap();
        assert_eq!(atlas.own(), Coordinate::ORIGIN);
    }
}

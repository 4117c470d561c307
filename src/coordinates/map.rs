//! The coordinates of one registry's relays, and of its own node.

use super::ObserveError;
use super::{Coordinate, Landmark, Vivaldi};
use crate::footprint::Footprint;
use crate::relay::NodeId;
use crate::sync::random_hasher;
use std::collections::HashMap;

/// The coordinates of one registry's relays, and of the node that it runs on, in one frame.
///
/// Relays and the nodes that measure them form a bipartite graph of springs. The relays'
/// coordinates give those of the nodes, and the nodes' coordinates give those of the
/// relays. All start at the origin and converge together. No relay says where it is.
///
/// A relay that left may return, most likely to where it was. So its coordinate is kept
/// until there are too many. If it returns elsewhere, it converges again, as does a relay
/// that moved.
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

    pub(crate) fn footprint(&self) -> Footprint {
        Footprint::of_hash_map::<(NodeId, Landmark)>(self.relays.capacity())
    }

    /// This node's coordinate.
    pub(crate) fn own(&self) -> Coordinate {
        self.own.coordinate()
    }

    /// Adds a round trip, checked by [`sane_micros`](crate::rtt::sane_micros), that this
    /// node measured to the relay. Both move; the node only if the sample is no outlier
    /// among its own.
    pub(crate) fn measured(&mut self, relay: &NodeId, micros: u32) -> Result<(), ObserveError> {
        let own = self.own.coordinate();
        let landmark = self.relays.entry(*relay).or_default();
        let at = landmark
            .provisional()
            .copied()
            .unwrap_or(Coordinate::ORIGIN);
        landmark.observe_own(&own, micros);
        self.own.observe_micros(&at, micros)
    }

    /// Adds a round trip that a peer at `peer` says it measured to the relay, which
    /// moves if the sample is no outlier.
    pub(crate) fn reported(
        &mut self,
        relay: &NodeId,
        peer: &Coordinate,
        micros: u32,
    ) -> Result<(), ObserveError> {
        let landmark = self.relays.entry(*relay).or_default();
        landmark.observe_micros(peer, micros)
    }

    /// The relay's coordinate, once it is precise enough to choose by.
    pub(crate) fn position(&self, relay: &NodeId) -> Option<&Coordinate> {
        self.relays.get(relay)?.converged()
    }

    /// The relay's coordinate after a first sample, for nodes that compute their own from
    /// it. Its error is the weight that it gets.
    pub(crate) fn provisional(&self, relay: &NodeId) -> Option<&Coordinate> {
        self.relays.get(relay)?.provisional()
    }

    /// If there are more than `max` relays, forgets those that are not held.
    pub(crate) fn limit(&mut self, max: usize, is_held: impl Fn(&NodeId) -> bool) {
        if self.relays.len() > max {
            self.relays.retain(|relay, _| is_held(relay));
        }
    }
}

#[cfg(feature = "persistence")]
impl CoordinateMap {
    /// The relays that have a coordinate, in no order.
    pub(crate) fn relays(&self) -> Vec<NodeId> {
        self.relays.keys().copied().collect()
    }

    pub(crate) fn landmark(&self, relay: &NodeId) -> Option<&Landmark> {
        self.relays.get(relay)
    }

    pub(crate) fn vivaldi(&self) -> &Vivaldi {
        &self.own
    }

    pub(crate) fn restore(&mut self, relay: NodeId, landmark: Landmark) {
        self.relays.insert(relay, landmark);
    }

    pub(crate) fn restore_own(&mut self, own: Vivaldi) {
        self.own = own;
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
    fn coordinates_converge_from_the_origin() {
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
                    let _ = node.observe_micros(at, micros);
                }
                let _ = own.reported(&handle, &node.coordinate(), micros);
            }
            let probed = round % relays.len();
            let _ = own.measured(&relay(probed as u32), rtt(own_site, relays[probed]));
        }
        let mut errors: Vec<f32> = Vec::new();
        for (index, &at) in relays.iter().enumerate() {
            let position = own
                .position(&relay(index as u32))
                .expect("it has converged");
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
    fn relays_that_are_gone_are_forgotten_if_there_are_too_many() {
        let mut map = CoordinateMap::new();
        for n in 0..10 {
            map.measured(&relay(n), 20_000).unwrap();
        }
        map.limit(10, |_| false);
        assert!(map.provisional(&relay(3)).is_some());
        map.limit(9, |id| *id == relay(3));
        assert!(map.provisional(&relay(3)).is_some());
        assert!(map.provisional(&relay(4)).is_none());
    }

    #[test]
    fn a_relay_that_was_not_measured_has_no_coordinate() {
        let mut map = CoordinateMap::new();
        assert_eq!(map.own(), Coordinate::ORIGIN);
        map.measured(&relay(5), 20_000).unwrap();
        for never in [0, 4, 6, u32::MAX] {
            assert_eq!(map.provisional(&relay(never)), None);
            assert_eq!(map.position(&relay(never)), None);
        }
        assert_ne!(map.own(), Coordinate::ORIGIN);
    }

    #[test]
    fn reports_of_peers_do_not_move_this_node() {
        let mut map = CoordinateMap::new();
        map.reported(&relay(0), &Coordinate::ORIGIN, 20_000)
            .unwrap();
        assert_eq!(map.own(), Coordinate::ORIGIN);
    }
}

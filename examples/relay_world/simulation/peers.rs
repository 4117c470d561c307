//! The nodes without a registry: they measure relays, compute their coordinates, and publish both.
//!
//! A node probes relays of a random registry, and updates its coordinate with the coordinates that this
//! registry has of the relays. It then publishes its coordinate and a few of its round trips to every
//! registry, from which the registries learn where the relays are. Random numbers are from a generator of
//! its own, so the relays, requests and sessions do not depend on what targets publish.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use relay_registry::{Coordinate, PeerView, RelayInfo, Vivaldi};

use super::{Event, Rule, Simulation, exponential};

const PROBE_EVERY: f64 = 20.0;
/// How many relays are probed at a time, besides those nearest to the node.
const PROBED: usize = 16;
/// How many round trips one view has.
const PUBLISHED: usize = 3;
/// The mean queueing delay in a measured round trip, in seconds.
pub(super) const MEAN_QUEUEING: f64 = 0.001;

/// What targets publish, from which the leg from a relay to them is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Views {
    /// Nothing.
    None,
    /// Their network coordinates.
    Coordinates,
    /// Their network coordinates, and their round trips to the relays nearest to them.
    Published,
}

impl Views {
    pub const ALL: [Self; 3] = [Self::None, Self::Coordinates, Self::Published];

    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Coordinates => "coordinates",
            Self::Published => "published",
        }
    }
}

/// What one node measured.
#[derive(Debug, Clone, Default)]
struct Peer {
    vivaldi: Vivaldi,
    /// Round trips to the relays that answered the last probe.
    measured: BTreeMap<usize, Duration>,
}

pub(super) struct Peers {
    nodes: Vec<Peer>,
    rng: Rng,
}

impl Peers {
    pub fn new(nodes: usize, seed: u64) -> Self {
        Self {
            nodes: vec![Peer::default(); nodes],
            rng: Rng::with_seed(seed.rotate_left(1)),
        }
    }
}

impl Simulation<'_> {
    /// Starts the probes of all nodes.
    pub(super) fn begin_probing(&mut self) {
        if self.views() == Views::None {
            return;
        }
        for node in 0..self.world.nodes() {
            if self.world.home_at(node).is_none() {
                let delay = self.peers.rng.f64() * PROBE_EVERY;
                self.after(delay, Event::Probe(node));
            }
        }
    }

    /// The views that are used. Rules other than the registry's use none.
    fn views(&self) -> Views {
        match self.args.rule {
            Rule::Registry => self.args.views,
            _ => Views::None,
        }
    }

    pub(super) fn probe(&mut self, node: usize) {
        let registry = self.peers.rng.usize(..self.registries.len());
        let mut answered = Vec::new();
        for (relay, info) in self.relays_to_probe(node, registry) {
            let position = self.registries[registry].relay_coordinate(&info.node_id());
            let rtt = self.ask(node, relay, position);
            answered.extend(rtt.map(|rtt| (relay, rtt)));
        }
        self.publish(node, &answered);
        self.after(PROBE_EVERY, Event::Probe(node));
    }

    /// Random relays that the registry knows, and those nearest to the node.
    fn relays_to_probe(&mut self, node: usize, registry: usize) -> Vec<(usize, RelayInfo)> {
        let mut relays = self.relays_of(registry);
        relays.retain(|(relay, _)| self.world.relays[*relay].node != node);
        self.peers.rng.shuffle(&mut relays);
        let nearest = nearest(&self.peers.nodes[node].measured);
        let mut place = 0..;
        relays.retain(|(relay, _)| {
            let probed = place.next().is_some_and(|place| place < PROBED);
            probed || nearest.iter().any(|(near, _)| near == relay)
        });
        relays
    }

    /// Measures the round trip to a relay, unless it does not answer.
    fn ask(&mut self, node: usize, relay: usize, position: Option<Coordinate>) -> Option<Duration> {
        let queueing = exponential(&mut self.peers.rng, MEAN_QUEUEING);
        let peer = &mut self.peers.nodes[node];
        let answered = self.relays[relay].is_up();
        let Some(rtt) = self.world.measured(node, relay).filter(|_| answered) else {
            peer.measured.remove(&relay);
            return None;
        };
        let rtt = rtt + Duration::from_secs_f64(queueing);
        peer.measured.insert(relay, rtt);
        if let Some(position) = position {
            // The coordinate ignores outliers.
            let _ = peer.vivaldi.observe(&position, rtt);
        }
        Some(rtt)
    }

    /// Publishes random round trips: with the nearest relays alone, a relay that is near no node would
    /// have no position.
    fn publish(&self, node: usize, answered: &[(usize, Duration)]) {
        let coordinate = self.peers.nodes[node].vivaldi.coordinate();
        let view = PeerView::new().coordinate(coordinate);
        let view = self.with_round_trips(view, answered);
        for registry in &self.registries {
            registry.update_peer(&self.world.id(node), view);
        }
    }

    /// What a target publishes.
    pub(super) fn view_of(&self, target: usize) -> Option<PeerView> {
        let with_coordinate = || PeerView::new().coordinate(self.coordinate_of(target));
        match self.views() {
            Views::None => None,
            Views::Coordinates => Some(with_coordinate()),
            Views::Published => {
                let nearest = self.nearest_to(target);
                Some(self.with_round_trips(with_coordinate(), &nearest))
            }
        }
    }

    fn coordinate_of(&self, node: usize) -> Coordinate {
        match self.world.home_at(node) {
            Some(home) => self.registries[home].coordinate(),
            None => self.peers.nodes[node].vivaldi.coordinate(),
        }
    }

    /// The nearest relays to a node, by its own measurements.
    fn nearest_to(&self, node: usize) -> Vec<(usize, Duration)> {
        let Some(home) = self.world.home_at(node) else {
            return nearest(&self.peers.nodes[node].measured);
        };
        let relays = self.relays_of(home);
        let measured = relays.iter();
        nearest(
            &measured
                .filter_map(|(relay, info)| Some((*relay, info.latency()?)))
                .collect(),
        )
    }

    fn with_round_trips(&self, view: PeerView, round_trips: &[(usize, Duration)]) -> PeerView {
        let published = round_trips.iter().take(PUBLISHED);
        published.fold(view, |view, &(relay, rtt)| {
            // A round trip beyond the limit is left out.
            let more = view.measured(self.world.relay_id(relay), rtt);
            more.unwrap_or(view)
        })
    }
}

/// The nearest few, nearest first.
fn nearest(measured: &BTreeMap<usize, Duration>) -> Vec<(usize, Duration)> {
    let mut nearest: Vec<_> = measured.iter().map(|(&relay, &rtt)| (relay, rtt)).collect();
    nearest.sort_by_key(|&(_, rtt)| rtt);
    nearest.truncate(PUBLISHED);
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Args;
    use crate::simulation::Outcome;
    use crate::simulation::tests::{args, simulate};

    fn with_views(views: Views) -> Outcome {
        simulate(&Args {
            views,
            seconds: 150,
            ..args(5, 0.3)
        })
    }

    #[test]
    fn the_same_seed_gives_the_same_figures_with_views() {
        assert_eq!(with_views(Views::Published), with_views(Views::Published));
    }

    #[test]
    fn the_more_targets_publish_the_shorter_the_paths() {
        let [none, coordinates, published] = Views::ALL.map(with_views);
        for outcome in [&coordinates, &published] {
            assert_eq!(outcome.churn, none.churn);
            assert_eq!(outcome.requests.made, none.requests.made);
        }
        let p90 = |outcome: &Outcome| outcome.requests.stretch(0.9);
        assert!(p90(&published) < p90(&coordinates));
        assert!(p90(&coordinates) < p90(&none));
    }
}

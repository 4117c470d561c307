//! The nodes without a registry: they measure relays, find their own coordinates
//! by them, and publish what they found.
//!
//! A node probes relays that some registry tells it of, and moves its coordinate
//! by the positions that this registry gives. What it then publishes reaches every
//! registry: its coordinate and a few of its round trips, by which the registries
//! learn where the relays are. Chance comes from a generator of its own, so that
//! the relays, requests and sessions are the same whatever targets tell of
//! themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use relay_registry::{Coordinate, PeerView, RelayInfo, Vivaldi};

use super::{Event, Rule, Simulation, Views, exponential};

const PROBE_EVERY: f64 = 20.0;
/// Relays that are probed at a time, besides the ones to be told of.
const PROBED: usize = 16;
/// Round trips that go into one view.
const TOLD: usize = 3;
/// What queues add to a measured round trip in seconds, on average.
pub(super) const MEAN_QUEUEING: f64 = 0.001;

/// What one node knows of itself.
#[derive(Debug, Clone, Default)]
struct Peer {
    vivaldi: Vivaldi,
    /// Round trips to the relays that answered when last asked.
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
    /// From now on the nodes probe, one after the other.
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

    /// The views that are made use of: rules other than the registry's ask for none.
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

    /// Random relays of those that a registry knows, and those that are nearest.
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
            // An outlier is rightly left out.
            let _ = peer.vivaldi.observe(&position, rtt);
        }
        Some(rtt)
    }

    /// Any of the round trips will do: those to the nearest relays alone would
    /// leave relays unknown that are near to no node.
    fn publish(&self, node: usize, answered: &[(usize, Duration)]) {
        let coordinate = self.peers.nodes[node].vivaldi.coordinate();
        let view = PeerView::new().coordinate(coordinate);
        let view = self.with_round_trips(view, answered);
        for registry in &self.registries {
            registry.update_peer(&self.world.id(node), &view);
        }
    }

    /// What a target tells of itself, for the leg from a relay to it.
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
        let told = round_trips.iter().take(TOLD);
        told.fold(view, |view, &(relay, rtt)| {
            // One that is too long to be true is not told.
            let more = view.measured(self.world.relay_id(relay), rtt);
            more.unwrap_or(view)
        })
    }
}

/// The nearest few, nearest first.
fn nearest(measured: &BTreeMap<usize, Duration>) -> Vec<(usize, Duration)> {
    let mut nearest: Vec<_> = measured.iter().map(|(&relay, &rtt)| (relay, rtt)).collect();
    nearest.sort_by_key(|&(_, rtt)| rtt);
    nearest.truncate(TOLD);
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
    fn the_more_targets_tell_the_shorter_the_ways() {
        let [none, coordinates, published] = Views::ALL.map(with_views);
        for outcome in [&coordinates, &published] {
            assert_eq!(outcome.comings, none.comings);
            assert_eq!(outcome.requests.made, none.requests.made);
        }
        let p90 = |outcome: &Outcome| outcome.requests.stretch(0.9);
        assert!(p90(&published) < p90(&coordinates));
        assert!(p90(&coordinates) < p90(&none));
    }
}

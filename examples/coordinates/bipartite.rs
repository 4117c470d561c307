//! A tenth of the nodes are relays. The others probe them and publish the round trips. The result is the
//! quality of the relays that are chosen by these.

use std::time::Duration;

use fastrand::Rng;
use relay_registry::{Coordinate, Landmark, Vivaldi};

use crate::liars::Liars;
use crate::matrix::Matrix;
use crate::round_trip;
use crate::rule::{RULES, View};

/// The fewest nodes with two relays and enough peers.
pub const LEAST_NODES: usize = 20;
/// How many round trips a target publishes.
const PUBLISHED: usize = 3;

#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    pub liars: f64,
    pub probes: usize,
    pub rounds: usize,
    /// How many pairs of peers ask for a relay in the end.
    pub requests: usize,
    pub seed: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// For each of [`RULES`], path over shortest path of each request, ascending.
    pub stretches: Vec<Vec<f32>>,
    /// Of each honest peer and relay, |estimate - rtt| / rtt, ascending.
    pub errors: Vec<f32>,
    /// The share of samples for relays that were refused.
    pub refused: f64,
}

/// The nodes by role. `landmarks` are the coordinates that a registry has of the relays.
struct World<'a> {
    matrix: &'a Matrix,
    relays: Vec<usize>,
    peers: Vec<usize>,
    liars: Liars,
    landmarks: Vec<Landmark>,
    coordinates: Vec<Vivaldi>,
    samples: usize,
    refused: usize,
}

pub fn run(matrix: &Matrix, setting: &Setting) -> Outcome {
    let mut rng = Rng::with_seed(setting.seed);
    fastrand::seed(setting.seed);
    let mut world = World::new(matrix, setting.liars, &mut rng);
    let probed = world.probed(setting.probes, &mut rng);
    for _ in 0..setting.rounds {
        for (peer, relays) in probed.iter().enumerate() {
            let relay = relays[rng.usize(..relays.len())];
            world.probe(peer, relay, &mut rng);
        }
    }
    Outcome {
        stretches: world.stretches(setting.requests, &mut rng),
        errors: world.errors(),
        refused: world.refused as f64 / world.samples as f64,
    }
}

impl<'a> World<'a> {
    fn new(matrix: &'a Matrix, liars: f64, rng: &mut Rng) -> Self {
        let mut nodes: Vec<usize> = (0..matrix.nodes()).collect();
        rng.shuffle(&mut nodes);
        let peers = nodes.split_off(matrix.nodes() / 10);
        Self {
            matrix,
            liars: Liars::new(peers.len(), liars, rng),
            landmarks: vec![Landmark::new(); nodes.len()],
            coordinates: vec![Vivaldi::new(); peers.len()],
            relays: nodes,
            peers,
            samples: 0,
            refused: 0,
        }
    }

    /// Which relays each peer probes.
    fn probed(&self, probes: usize, rng: &mut Rng) -> Vec<Vec<usize>> {
        let all: Vec<usize> = (0..self.relays.len()).collect();
        let drawn = self.peers.iter().map(|_| {
            let mut relays = all.clone();
            rng.shuffle(&mut relays);
            relays.truncate(probes);
            relays
        });
        drawn.collect()
    }

    fn rtt(&self, peer: usize, relay: usize) -> Option<Duration> {
        round_trip::between(self.matrix, self.peers[peer], self.relays[relay])
    }

    /// A peer probes a relay and publishes the result. Both coordinates change.
    fn probe(&mut self, peer: usize, relay: usize, rng: &mut Rng) {
        let Some(rtt) = self.rtt(peer, relay) else {
            return;
        };
        let coordinate = &mut self.coordinates[peer];
        if let Some(at) = self.landmarks[relay].coordinate() {
            let _ = coordinate.observe(&at, rtt);
        }
        let claim = self.liars.claim(peer, coordinate.coordinate(), rng);
        let rtt = self.liars.report(peer, rtt, rng);
        self.samples += 1;
        if !claim.is_ok_and(|at| self.landmarks[relay].observe(&at, rtt).is_ok()) {
            self.refused += 1;
        }
    }

    fn places(&self) -> Vec<Coordinate> {
        let nowhere = Vivaldi::new().coordinate();
        let places = self.landmarks.iter().map(Landmark::coordinate);
        places.map(|place| place.unwrap_or(nowhere)).collect()
    }

    fn honest(&self) -> Vec<usize> {
        let peers = 0..self.peers.len();
        peers.filter(|&peer| self.liars.is_honest(peer)).collect()
    }

    fn view(&self, peer: usize) -> View {
        let relays = 0..self.relays.len();
        let mut nearest: Vec<_> = relays
            .filter_map(|relay| Some((relay, self.rtt(peer, relay)?)))
            .collect();
        nearest.sort_by_key(|&(_, rtt)| rtt);
        nearest.truncate(PUBLISHED);
        View {
            coordinate: self.coordinates[peer].coordinate(),
            nearest,
        }
    }

    /// For random pairs of honest peers and each rule: the path over the chosen relay divided by the
    /// shortest path.
    fn stretches(&self, requests: usize, rng: &mut Rng) -> Vec<Vec<f32>> {
        let places = self.places();
        let honest = self.honest();
        let views: Vec<View> = honest.iter().map(|&peer| self.view(peer)).collect();
        let mut stretches = vec![Vec::new(); RULES.len()];
        for _ in 0..requests {
            let (from, to) = (rng.usize(..honest.len()), rng.usize(..honest.len()));
            let legs: Vec<_> = (0..self.relays.len())
                .filter_map(|relay| {
                    let near = self.rtt(honest[from], relay)?;
                    Some((relay, near, self.rtt(honest[to], relay)?))
                })
                .collect();
            let best = legs.iter().map(|(_, near, far)| *near + *far).min();
            let Some(best) = best.filter(|_| from != to) else {
                continue;
            };
            for (rule, stretches) in RULES.iter().zip(&mut stretches) {
                let expected = |relay, near| near + rule.estimate(relay, &views[to], &places);
                let chosen = legs
                    .iter()
                    .min_by_key(|(relay, near, _)| expected(*relay, *near));
                if let Some((_, near, far)) = chosen {
                    stretches.push((*near + *far).div_duration_f32(best));
                }
            }
        }
        for stretches in &mut stretches {
            stretches.sort_by(f32::total_cmp);
        }
        stretches
    }

    fn errors(&self) -> Vec<f32> {
        let places = self.places();
        let mut errors = Vec::new();
        for peer in self.honest() {
            let coordinate = self.coordinates[peer].coordinate();
            for (relay, place) in places.iter().enumerate() {
                if let Some(rtt) = self.rtt(peer, relay) {
                    let off = coordinate.rtt_to(place).abs_diff(rtt);
                    errors.push(off.div_duration_f32(rtt));
                }
            }
        }
        errors.sort_by(f32::total_cmp);
        errors
    }
}

//! Every node probes random others. The result is the error of the estimates among honest nodes.

use fastrand::Rng;
use relay_registry::Vivaldi;

use crate::liars::Liars;
use crate::matrix::Matrix;
use crate::round_trip;

#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Of each pair of honest nodes, |estimate - rtt| / rtt, ascending.
    pub errors: Vec<f32>,
    /// Share of the samples at honest nodes that were refused.
    pub refused: f64,
}

pub fn run(matrix: &Matrix, liars: f64, rounds: usize, seed: u64) -> Outcome {
    let mut rng = Rng::with_seed(seed);
    let liars = Liars::new(matrix.nodes(), liars, &mut rng);
    settle(matrix, &liars, rounds, &mut rng)
}

/// The same with given liars.
pub fn settle(matrix: &Matrix, liars: &Liars, rounds: usize, rng: &mut Rng) -> Outcome {
    fastrand::seed(rng.u64(..));
    let mut nodes = vec![Vivaldi::new(); matrix.nodes()];
    let (mut samples, mut refused) = (0, 0);
    for _ in 0..rounds {
        for node in 0..nodes.len() {
            let peer = rng.usize(..nodes.len());
            if peer == node || !liars.is_honest(node) {
                continue;
            }
            let Some(rtt) = round_trip::between(matrix, node, peer) else {
                continue;
            };
            let rtt = liars.delay(peer, rtt, rng);
            let claim = liars.claim(peer, nodes[peer].coordinate(), rng);
            samples += 1;
            if !claim.is_ok_and(|peer| nodes[node].observe(&peer, rtt).is_ok()) {
                refused += 1;
            }
        }
    }
    Outcome {
        errors: errors(matrix, liars, &nodes),
        refused: f64::from(refused) / f64::from(samples),
    }
}

fn errors(matrix: &Matrix, liars: &Liars, nodes: &[Vivaldi]) -> Vec<f32> {
    let honest: Vec<usize> = (0..nodes.len()).filter(|&n| liars.is_honest(n)).collect();
    let mut errors = Vec::new();
    for (rank, &a) in honest.iter().enumerate() {
        for &b in &honest[..rank] {
            if let Some(rtt) = round_trip::between(matrix, a, b) {
                let estimate = nodes[a].coordinate().rtt_to(&nodes[b].coordinate());
                errors.push(estimate.abs_diff(rtt).div_duration_f32(rtt));
            }
        }
    }
    errors.sort_by(f32::total_cmp);
    errors
}

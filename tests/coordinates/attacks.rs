//! Every node probes every other. Some nodes report false coordinates or delays.

use crate::all_to_all::{self, Outcome};
use crate::liars::{LIES, Liars, Lie};
use crate::matrix::Matrix;
use crate::{cities, quantile};
use fastrand::Rng;

fn settled(matrix: &Matrix, share: f64, lies: &[Lie]) -> Outcome {
    let mut rng = Rng::with_seed(1);
    let liars = Liars::telling(matrix.nodes(), share, lies, &mut rng);
    all_to_all::settle(matrix, &liars, 500, &mut rng)
}

/// Every fifth site, which leaves some of each kind.
fn small_world() -> Matrix {
    let whole = cities::matrix();
    let rtt = |a: usize, b: usize| whole.rtt_ms(5 * a, 5 * b).unwrap_or_default();
    Matrix::from_fn(whole.nodes() / 5, rtt)
}

#[test]
fn honest_nodes_converge_and_refuse_little() {
    let outcome = settled(&cities::matrix(), 0.0, &LIES);
    assert!(quantile(&outcome.errors, 0.5) < 0.10);
    assert!(quantile(&outcome.errors, 0.9) < 0.25);
    assert!(outcome.refused < 0.05, "{}", outcome.refused);
}

#[test]
fn the_same_seed_gives_the_same_coordinates() {
    let run = |seed| all_to_all::run(&small_world(), 0.1, 30, seed);
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_mixture_of_liars_does_little_harm() {
    let matrix = cities::matrix();
    for (share, bound) in [(0.1, 0.10), (0.3, 0.11)] {
        let outcome = settled(&matrix, share, &LIES);
        let median = quantile(&outcome.errors, 0.5);
        assert!(median < bound, "{share}: {median}");
        assert!(
            outcome.refused > share * 0.7,
            "{share}: {}",
            outcome.refused
        );
    }
}

#[test]
fn each_kind_of_liar_alone_does_little_harm() {
    let matrix = small_world();
    for lie in LIES {
        for (share, bound) in [(0.1, 0.10), (0.3, 0.12)] {
            let outcome = settled(&matrix, share, &[lie]);
            let median = quantile(&outcome.errors, 0.5);
            assert!(median < bound, "{share} {lie:?}: {median}");
        }
    }
}

//! Regret in an optimised build: the score of the chosen relay divided by the best eligible score, in every
//! state, from two relays to a hundred thousand. The scenes are those of the test `regret`.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml --bin regret
//! ```

#[allow(dead_code, reason = "shared with the tests")]
#[path = "../../../../tests/regret/bars.rs"]
mod bars;
#[path = "../../../../tests/common/mod.rs"]
mod common;
#[allow(dead_code, reason = "shared with the tests")]
#[path = "../../../../tests/regret/question.rs"]
mod question;
#[allow(dead_code, reason = "shared with the tests")]
#[path = "../../../../tests/regret/scene.rs"]
mod scene;
#[allow(dead_code, reason = "shared with the tests")]
#[path = "../../../../tests/regret/states.rs"]
mod states;
#[allow(dead_code, reason = "shared with the tests")]
#[path = "../../../../tests/regret/topology.rs"]
mod topology;

use bars::Regrets;
use relay_registry_peers::results;
use states::{LARGE, SIZES, State};
use topology::{Targets, Topology, Views};

const STATES: [State; 5] = [
    State::Idle,
    State::Elsewhere(0.6),
    State::Equilibrium(0.3),
    State::Equilibrium(0.6),
    State::Equilibrium(0.85),
];
const PAIR_SIZES: [usize; 7] = [2, 10, 65, 257, 1_000, 2_000, LARGE];

fn main() {
    println!("the score of the chosen over the best: p50 / p99 / worst");
    for state in STATES {
        for relays in SIZES.into_iter().chain([LARGE]) {
            let group = format!("regret: {}", state.name());
            keep(&group, relays, &state.plain_regrets(relays));
        }
    }
    for state in STATES {
        for_pairs(state, Targets::Anywhere, "anywhere");
    }
    for_pairs(State::Equilibrium(0.24), Targets::OnePlace, "in one place");
    for_pairs(State::Equilibrium(0.6), Targets::OnePlace, "in one place");
}

fn for_pairs(state: State, targets: Targets, place: &str) {
    for relays in PAIR_SIZES {
        let group = format!("regret of pairs {place}: {}", state.name());
        keep(&group, relays, &pair_regrets(state, targets, relays));
    }
}

fn pair_regrets(state: State, targets: Targets, relays: usize) -> Regrets {
    let (instances, capacity) = match relays {
        0..=300 => (10, 8),
        301..=10_000 => (3, 8),
        _ => (1, 2),
    };
    let mut regrets = Regrets::default();
    for seed in 0..instances {
        let mut topology = Topology::new(relays, capacity, seed);
        for views in [Views::Coordinate, Views::Both] {
            let questions = topology.questions(views, targets, 8);
            regrets.extend(state.regrets(&mut topology.scene, &questions, 64));
            topology.scene.end_all();
        }
    }
    regrets
}

fn keep(group: &str, relays: usize, regrets: &Regrets) {
    let figures = regrets.figures();
    println!("  {group}, {relays} relays: {figures}");
    for (name, figure) in [
        ("p50", figures.p50),
        ("p99", figures.p99),
        ("worst", figures.worst),
    ] {
        results::keep(group, relays, name, figure, 1.0);
    }
}

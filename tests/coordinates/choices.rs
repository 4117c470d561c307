//! Relays get coordinates from the measurements of peers, and are chosen by them.

use crate::bipartite::{self, Outcome, Setting};
use crate::rule::{RULES, Rule};
use crate::{cities, quantile};

fn settled(liars: f64) -> Outcome {
    let setting = Setting {
        liars,
        probes: 16,
        rounds: 400,
        requests: 2_000,
        seed: 1,
    };
    bipartite::run(&cities::matrix(), &setting)
}

/// Path over shortest path: median and p90.
fn stretch(outcome: &Outcome, rule: Rule) -> (f32, f32) {
    let index = RULES.iter().position(|r| *r == rule).unwrap();
    let stretches = &outcome.stretches[index];
    (quantile(stretches, 0.5), quantile(stretches, 0.9))
}

#[test]
fn relays_are_chosen_well_whether_a_third_of_the_peers_lie_or_none() {
    for liars in [0.0, 0.1, 0.3] {
        let outcome = settled(liars);
        assert!(quantile(&outcome.errors, 0.5) < 0.11, "{liars}");
        for (rule, most) in [
            (Rule::Coordinates, (1.02, 1.20)),
            (Rule::Published, (1.01, 1.14)),
            (Rule::RightAngles, (1.01, 1.18)),
        ] {
            let (median, tail) = stretch(&outcome, rule);
            assert!(median <= most.0, "{liars} {rule:?}: {median}");
            assert!(tail <= most.1, "{liars} {rule:?}: {tail}");
        }
        assert!(
            outcome.refused > liars * 0.7,
            "{liars}: {}",
            outcome.refused
        );
    }
}

#[test]
fn more_than_the_first_leg_pays() {
    let outcome = settled(0.0);
    let tail = |rule| stretch(&outcome, rule).1;
    assert!(tail(Rule::Coordinates) < tail(Rule::OneSided) - 0.1);
    assert!(tail(Rule::Published) < tail(Rule::Coordinates));
    assert!(tail(Rule::RightAngles) < tail(Rule::Detour));
}

//! Homes: by this node's own leg alone, measured relays first.

use crate::bars::{Regrets, Report, SINGLE};
use crate::common::*;
use crate::question::{ASSUMED_MICROS, Question};
use crate::scene::{Relay, Scene};
use crate::states::{LARGE, SIZES, State, capacities, extent};
use relay_registry::FindOptions;
use std::time::Duration;

/// The score of a relay as a home, and whether it is measured; `None` if it is not eligible.
fn judge(relay: &Relay, within: Option<Duration>) -> Option<(bool, f64)> {
    let is_measured = relay.rtt_micros.is_some();
    let micros = relay.rtt_micros.unwrap_or(ASSUMED_MICROS);
    let is_near = |most: Duration| is_measured && u128::from(micros) <= most.as_micros();
    if relay.load >= relay.capacity || !within.is_none_or(is_near) {
        return None;
    }
    let utilisation = f64::from(relay.load) / f64::from(relay.capacity);
    let score = f64::from(micros) / (1.0 - utilisation.powi(4));
    Some((is_measured, score))
}

/// The regret of one call; `None` if no relay is eligible.
#[track_caller]
fn regret(scene: &Scene, within: Option<Duration>) -> Option<f64> {
    let judged = scene.relays.iter().filter_map(|relay| judge(relay, within));
    let judged: Vec<_> = judged.collect();
    let measured: Vec<_> = judged.iter().copied().filter(|it| it.0).collect();
    let eligible = if measured.is_empty() {
        &judged
    } else {
        &measured
    };
    let scores = eligible.iter().map(|it| it.1);
    let options = match within {
        Some(most) => FindOptions::new().max_latency(most),
        None => FindOptions::new(),
    };
    let found = scene.world.find_home_relay(&options);
    let Some(best) = scores.min_by(f64::total_cmp) else {
        assert!(found.is_err(), "{found:?} is not eligible");
        return None;
    };
    let found = &scene.relays[number(found.expect("one will do").node_id()) as usize];
    let (is_measured, score) = judge(found, within).expect("one that is eligible");
    assert_eq!(
        is_measured,
        !measured.is_empty(),
        "measured ones come first"
    );
    Some(score / best)
}

/// The limits are in the middle of the distances, and below all of them.
fn regrets(scene: &Scene, calls: usize) -> Regrets {
    let mut regrets = Regrets::default();
    let limits = [None, Some(ms(180)), Some(ms(70)), Some(ms(1))];
    for limit in limits.into_iter().cycle().take(calls) {
        if let Some(regret) = regret(scene, limit) {
            regrets.push(regret);
        }
    }
    regrets
}

#[track_caller]
fn assert_met(sizes: &[usize], states: &[State]) {
    let mut report = Report::new(SINGLE);
    for &state in states {
        for &relays in sizes {
            let (instances, calls) = extent(relays);
            let mut all = Regrets::default();
            for seed in 0..instances {
                let mut scene = Scene::random(relays, capacities(relays), seed);
                // Brings it into the state; the answers to plain calls are judged elsewhere.
                state.regrets(&mut scene, &[Question::plain()], 1);
                all.extend(regrets(&scene, calls));
            }
            report.add(&format!("a home, {}", state.name()), relays, &all);
        }
    }
    report.assert_met();
}

#[test]
fn of_idle_relays_the_best_home_is_found() {
    assert_met(&SIZES, &[State::Idle]);
}

#[test]
fn under_loads_from_elsewhere_the_best_home_is_found() {
    assert_met(&SIZES, &[State::Elsewhere(0.6), State::Elsewhere(0.9)]);
}

#[test]
fn in_an_equilibrium_the_best_home_is_found() {
    assert_met(&SIZES, &[State::Equilibrium(0.6), State::Equilibrium(0.85)]);
}

#[test]
fn of_a_hundred_thousand_relays_the_best_home_is_found() {
    assert_met(&[LARGE], &[State::Idle, State::Elsewhere(0.6)]);
}

/// Relays that were not measured differ by their load alone.
#[test]
fn without_measurements_the_least_loaded_is_found() {
    let mut report = Report::new(SINGLE);
    for relays in SIZES {
        let unmeasured = |_| Relay {
            rtt_micros: None,
            ..Relay::new(ms(1), 20)
        };
        let mut scene = Scene::of((0..relays).map(unmeasured).collect(), relays as u64);
        scene.load_from_elsewhere(0.7);
        let mut all = Regrets::default();
        (0..20).for_each(|_| all.extend(regrets(&scene, 1)));
        report.add("a home, none measured", relays, &all);
    }
    report.assert_met();
}

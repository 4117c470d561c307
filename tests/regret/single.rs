//! Single answers: finds and reservations, by this node's leg alone.

use crate::bars::{ROUNDING, Regrets, Report, SINGLE};
use crate::common::*;
use crate::question::Question;
use crate::scene::{Relay, Scene};
use crate::states::{LARGE, SIZES, State, capacities, extent};
use relay_registry::Verdict;
use std::time::Duration;

/// The bar is met in a state at each size.
#[track_caller]
fn assert_met_in(state: State) {
    let mut report = Report::new(SINGLE);
    for relays in SIZES {
        report.add(&state.name(), relays, &state.plain_regrets(relays));
    }
    report.assert_met();
}

#[test]
fn of_idle_relays_the_best_is_handed_out() {
    assert_met_in(State::Idle);
}

#[test]
fn under_loads_from_elsewhere_the_best_is_handed_out() {
    assert_met_in(State::Elsewhere(0.6));
}

#[test]
fn in_its_own_equilibrium_at_0_3_the_best_is_handed_out() {
    assert_met_in(State::Equilibrium(0.3));
}

#[test]
fn in_its_own_equilibrium_at_0_6_the_best_is_handed_out() {
    assert_met_in(State::Equilibrium(0.6));
}

#[test]
fn in_its_own_equilibrium_at_0_85_the_best_is_handed_out() {
    assert_met_in(State::Equilibrium(0.85));
}

#[test]
fn of_a_hundred_thousand_relays_the_best_is_handed_out_in_every_state() {
    let states = [
        State::Idle,
        State::Elsewhere(0.6),
        State::Equilibrium(0.3),
        State::Equilibrium(0.6),
        State::Equilibrium(0.85),
    ];
    let mut all = states.map(|state| (state, Regrets::default()));
    let (instances, calls) = extent(LARGE);
    for seed in 0..instances {
        let mut scene = Scene::random(LARGE, capacities(LARGE), seed);
        for (state, regrets) in &mut all {
            regrets.extend(state.regrets(&mut scene, &[Question::plain()], calls));
            if let State::Elsewhere(_) = state {
                scene.unload();
            }
        }
    }
    let mut report = Report::new(SINGLE);
    for (state, regrets) in &all {
        report.add(&state.name(), LARGE, regrets);
    }
    report.assert_met();
}

/// The scene agrees with `explain` about the best relay.
#[test]
fn the_model_and_explain_agree_on_the_best() {
    for relays in SIZES {
        let mut scene = Scene::random(relays, (4, 10), 9);
        scene.load_from_elsewhere(0.6);
        let plain = Question::plain();
        let (best, _) = scene.ranking(&plain)[0];
        for question in [
            plain.clone(),
            plain.excluding(&[best]),
            Question::plain().within(ms(200)),
        ] {
            let ranking = scene.ranking(&question);
            let explanation = scene.world.explain(&question.target, &question.options);
            let scores = explanation.relays().iter();
            let scores =
                scores.filter(|it| it.verdict.is_handed_out() || it.verdict == Verdict::Worse);
            let explained: Vec<f64> = scores.map(|it| it.score_ms() * 1e3).collect();
            assert_eq!(explained.len(), ranking.len(), "eligible of {relays}");
            for (explained, (n, score)) in explained.iter().zip(&ranking) {
                let is_near = (explained / score - 1.0).abs() < ROUNDING;
                assert!(is_near, "relay {n}: {explained}, by the model {score}");
            }
        }
    }
}

#[test]
fn a_near_band_that_is_nearly_full_is_used_to_the_last_unit() {
    const NEAR: u32 = 64;
    let near = (0..NEAR).map(|n| Relay::new(Duration::from_micros(5_000 + u64::from(n)), 1));
    let far = (0..1_000).map(|_| Relay::new(ms(500), 1));
    let mut scene = Scene::of(near.chain(far).collect(), 1);
    for n in 0..NEAR * 9 / 10 {
        let lease = scene.world.lease(&id(n)).expect("a free unit");
        scene.hold(lease);
    }
    let question = Question::plain();
    let mut regrets = Regrets::default();
    for call in 0..200 {
        if (0..NEAR).all(|n| scene.relays[n as usize].load == 1) {
            scene.end_one();
        }
        regrets.push(scene.find(&question));
        let (regret, lease) = scene.reserve(&question);
        regrets.push(regret);
        let n = scene.hold(lease);
        assert!(n < NEAR, "call {call} was sent 500 ms away");
    }
    let mut report = Report::new(SINGLE);
    report.add("a near band nearly full", scene.relays.len(), &regrets);
    report.assert_met();
}

#[test]
fn after_a_call_for_the_best_relay_itself_the_next_calls_find_it() {
    let mut report = Report::new(SINGLE);
    for relays in SIZES {
        let mut regrets = Regrets::default();
        for seed in 0..4 {
            let mut scene = Scene::random(relays, (10, 10), seed);
            scene.load_from_elsewhere(0.3);
            let plain = Question::plain();
            let (best, _) = scene.ranking(&plain)[0];
            for _ in 0..10 {
                regrets.push(scene.find(&Question::towards_relay(best)));
                regrets.extend(scene.measure(std::slice::from_ref(&plain), 4));
            }
        }
        report.add("after a call for the best", relays, &regrets);
    }
    report.assert_met();
}

#[test]
fn equal_relays_are_filled_evenly() {
    let mut report = Report::new(SINGLE);
    for relays in SIZES {
        let equal = vec![Relay::new(ms(20), 5); relays];
        let mut scene = Scene::of(equal, relays as u64);
        let questions = [Question::plain()];
        let mut regrets = scene.measure(&questions, 20);
        for share in [0.3, 0.6, 0.85] {
            scene.settle(share, 1, &questions);
            regrets.extend(scene.measure_in_motion(&questions, 50));
        }
        report.add("all equal", relays, &regrets);
    }
    report.assert_met();
}

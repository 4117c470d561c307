//! Single answers: finds and reservations, by this node's leg alone.

use crate::bars::{Regrets, Report, SINGLE};
use crate::common::*;
use crate::question::Question;
use crate::scene::{Relay, Scene};
use crate::states::{LARGE, SIZES, State};
use std::time::Duration;

/// The bar is met in a state at each of these sizes.
#[track_caller]
fn assert_met_in(state: State, sizes: &[usize]) {
    let mut report = Report::new(SINGLE);
    for &relays in sizes {
        report.add(&state.name(), relays, &state.plain_regrets(relays));
    }
    report.assert_met();
}

#[test]
fn of_idle_relays_the_best_is_handed_out() {
    assert_met_in(State::Idle, &SIZES);
}

#[test]
fn under_loads_from_elsewhere_the_best_is_handed_out() {
    assert_met_in(State::Elsewhere(0.6), &SIZES);
}

#[test]
fn in_its_own_equilibrium_at_0_3_the_best_is_handed_out() {
    assert_met_in(State::Equilibrium(0.3), &SIZES);
}

#[test]
fn in_its_own_equilibrium_at_0_6_the_best_is_handed_out() {
    assert_met_in(State::Equilibrium(0.6), &SIZES);
}

#[test]
fn in_its_own_equilibrium_at_0_85_the_best_is_handed_out() {
    assert_met_in(State::Equilibrium(0.85), &SIZES);
}

#[test]
fn of_a_hundred_thousand_idle_relays_the_best_is_handed_out() {
    assert_met_in(State::Idle, &[LARGE]);
}

#[test]
fn of_a_hundred_thousand_relays_under_load_the_best_is_handed_out() {
    assert_met_in(State::Elsewhere(0.6), &[LARGE]);
}

#[test]
fn of_a_hundred_thousand_relays_in_equilibrium_the_best_is_handed_out() {
    assert_met_in(State::Equilibrium(0.6), &[LARGE]);
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
        for share in [0.3, 0.3, 0.25] {
            scene.settle(share, 1, &questions);
            regrets.extend(scene.measure_in_motion(&questions, 50));
        }
        report.add("all equal", relays, &regrets);
    }
    report.assert_met();
}

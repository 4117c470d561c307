//! Lists: best first, by the same scores as single answers.

use crate::bars::{Regrets, Report, SINGLE};
use crate::common::*;
use crate::question::Question;
use crate::scene::{Relay, Scene};
use crate::states::{SIZES, State, capacities};
use std::collections::HashSet;
use std::time::Duration;

const LENGTHS: [usize; 4] = [1, 3, 16, 64];

/// The regret of each place: the score of what is there over that of the exact
/// list. Asserts that the list is complete, and ascends up to the tolerance.
fn regrets_of(scene: &Scene, length: usize) -> Regrets {
    let question = Question::plain().of_many(length);
    let listed = scene.list(&question);
    let exact = scene.ranking(&question);
    assert_eq!(listed.len(), exact.len().min(length), "a list's length");
    let different: HashSet<_> = listed.iter().map(|relay| relay.node_id()).collect();
    assert_eq!(different.len(), listed.len(), "a relay is listed twice");
    let scores: Vec<f64> = listed
        .iter()
        .map(|relay| scene.score_of(&question, relay.node_id()))
        .collect();
    let mut regrets = Regrets::default();
    let mut worst_before = 0.0_f64;
    for (score, (_, exact)) in scores.iter().zip(&exact) {
        let is_ascending = *score * SINGLE.worst >= worst_before;
        assert!(is_ascending, "{worst_before} before {score}");
        worst_before = worst_before.max(*score);
        regrets.push(score / exact);
    }
    regrets
}

#[track_caller]
fn assert_lists_in(state: State) {
    let mut report = Report::new(SINGLE);
    for relays in SIZES {
        let mut regrets = Regrets::default();
        for seed in 0..if relays < 1_000 { 10 } else { 2 } {
            let mut scene = Scene::random(relays, capacities(relays), seed);
            state.regrets(&mut scene, &[Question::plain()], 1);
            for length in LENGTHS {
                for _ in 0..3 {
                    regrets.extend(regrets_of(&scene, length));
                }
            }
        }
        report.add(&format!("lists, {}", state.name()), relays, &regrets);
    }
    report.assert_met();
}

#[test]
fn of_idle_relays_a_list_holds_the_best_in_order() {
    assert_lists_in(State::Idle);
}

#[test]
fn under_loads_from_elsewhere_a_list_holds_the_best_in_order() {
    assert_lists_in(State::Elsewhere(0.6));
}

#[test]
fn in_its_own_equilibrium_at_0_3_a_list_holds_the_best_in_order() {
    assert_lists_in(State::Equilibrium(0.3));
}

#[test]
fn in_its_own_equilibrium_at_0_6_a_list_holds_the_best_in_order() {
    assert_lists_in(State::Equilibrium(0.6));
}

#[test]
fn in_its_own_equilibrium_at_0_85_a_list_holds_the_best_in_order() {
    assert_lists_in(State::Equilibrium(0.85));
}

#[test]
fn a_list_of_all_relays_ascends() {
    for relays in SIZES {
        let mut scene = Scene::random(relays, capacities(relays), 3);
        scene.load_from_elsewhere(0.7);
        regrets_of(&scene, usize::MAX);
    }
}

#[test]
fn standbys_in_other_domains_never_replace_the_head_of_a_list() {
    let mut report = Report::new(SINGLE);
    for relays in SIZES {
        let mut regrets = Regrets::default();
        for seed in 0..if relays < 1_000 { 10 } else { 2 } {
            let mut scene = Scene::random(relays, capacities(relays), seed);
            scene.load_from_elsewhere(0.6);
            let mut question = Question::plain().of_many(3);
            question.options = question.options.max_spread_cost(0.15);
            for _ in 0..10 {
                let best = scene.best(&question);
                let head = scene.list(&question)[0].node_id();
                regrets.push(scene.score_of(&question, head) / best);
            }
        }
        report.add("heads with standbys", relays, &regrets);
    }
    report.assert_met();
}

#[test]
fn an_idle_relay_behind_31_nearly_full_ones_heads_the_list() {
    let us = Duration::from_micros;
    let near = (0..31).map(|n| Relay::new(us(20_000 + n), 10));
    let idle = Relay::new(us(20_000 + 31), 10);
    let mut scene = Scene::of(near.chain([idle]).collect(), 1);
    (0..31).for_each(|n| scene.report(n, 9));
    for length in [1, 3, 16, 32] {
        let listed = scene.list(&Question::plain().of_many(length));
        assert_eq!(numbers(&listed)[0], 31, "of {length}");
    }
}

#[test]
fn leases_of_the_heads_of_lists_leave_no_relay_full_at_a_third_of_the_capacity() {
    const RELAYS: usize = 1_000;
    let mut scene = Scene::random(RELAYS, (10, 10), 1);
    let question = Question::plain().of_many(3);
    let mut regrets = Regrets::default();
    for call in 0..RELAYS * 10 * 3 / 10 {
        let head = scene.list(&question)[0].node_id();
        if call % 8 == 0 {
            regrets.push(scene.score_of(&question, head) / scene.best(&question));
        }
        let lease = scene.world.lease(&head).expect("a free unit");
        scene.hold(lease);
    }
    let is_full = |relay: &&Relay| relay.load == relay.capacity;
    assert_eq!(scene.relays.iter().filter(is_full).count(), 0, "are full");
    let mut report = Report::new(SINGLE);
    report.add("heads that are leased", RELAYS, &regrets);
    report.assert_met();
}

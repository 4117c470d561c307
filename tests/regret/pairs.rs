//! Pairs: the whole path, by the estimates that the registry has.

use crate::bars::{PAIR, Regrets, Report};
use crate::common::*;
use crate::question::{ASSUMED_MICROS, Question};
use crate::scene::{Relay, Scene};
use crate::states::{LARGE, SIZES, State};
use crate::topology::{Targets, Topology, Views};
use relay_registry::FindOptions;
use std::time::Duration;

/// Small where it takes long to fill.
const fn capacity_of(relays: usize) -> u32 {
    if relays < 257 { 8 } else { 4 }
}

/// How many instances, and questions for each way to ask.
fn extent(relays: usize) -> (u64, usize) {
    match relays {
        0..=100 => (4, 6),
        101..=300 => (2, 6),
        _ => (1, 6),
    }
}

/// The bar is met in a state at each size, whatever the views.
#[track_caller]
fn assert_met_in(state: State, targets: Targets) {
    let mut report = Report::new(PAIR);
    for relays in SIZES {
        let (instances, count) = extent(relays);
        let views = Views::among(relays).iter();
        let mut all: Vec<_> = views.map(|views| (*views, Regrets::default())).collect();
        for seed in 0..instances {
            let mut topology = Topology::new(relays, capacity_of(relays), seed);
            for (views, regrets) in &mut all {
                let questions = topology.questions(*views, targets, count);
                let scene = &mut topology.scene;
                regrets.extend(state.regrets(scene, &questions, 8 * count));
                scene.end_all();
            }
        }
        for (views, regrets) in all {
            let what = format!("{views:?}, {targets:?}, {}", state.name());
            report.add(&what, relays, &regrets);
        }
    }
    report.assert_met();
}

#[test]
fn of_idle_relays_the_best_path_is_handed_out() {
    assert_met_in(State::Idle, Targets::Anywhere);
}

#[test]
fn under_loads_from_elsewhere_the_best_path_is_handed_out() {
    assert_met_in(State::Elsewhere(0.6), Targets::Anywhere);
}

#[test]
fn in_its_own_equilibrium_at_0_3_the_best_path_is_handed_out() {
    assert_met_in(State::Equilibrium(0.3), Targets::Anywhere);
}

#[test]
fn in_its_own_equilibrium_at_0_6_the_best_path_is_handed_out() {
    assert_met_in(State::Equilibrium(0.6), Targets::Anywhere);
}

#[test]
fn in_its_own_equilibrium_at_0_85_the_best_path_is_handed_out() {
    assert_met_in(State::Equilibrium(0.85), Targets::Anywhere);
}

#[test]
fn with_all_targets_in_one_place_the_best_path_is_handed_out() {
    assert_met_in(State::Equilibrium(0.24), Targets::OnePlace);
}

#[test]
fn with_all_targets_in_one_place_and_a_high_load_the_best_path_is_handed_out() {
    assert_met_in(State::Equilibrium(0.6), Targets::OnePlace);
}

#[test]
fn with_all_targets_in_one_place_no_relay_is_full_at_a_quarter_of_the_capacity() {
    const RELAYS: usize = 1_000;
    let mut topology = Topology::new(RELAYS, 10, 1);
    let questions = topology.questions(Views::Coordinate, Targets::OnePlace, 8);
    let scene = &mut topology.scene;
    scene.settle(0.24, 1, &questions);
    let is_full = |relay: &&Relay| relay.load == relay.capacity;
    let full = scene.relays.iter().filter(is_full).count();
    assert_eq!(full, 0, "are full, at a total load of 0.24");
}

#[test]
fn the_first_call_for_a_pair_finds_the_best_path() {
    let mut report = Report::new(PAIR);
    let mut regrets = Regrets::default();
    for seed in 0..3 {
        let mut topology = Topology::new(1_000, 8, seed);
        topology.scene.load_from_elsewhere(0.6);
        for question in topology.questions(Views::Both, Targets::Anywhere, 20) {
            regrets.push(topology.scene.find(&question));
        }
    }
    report.add("first calls", 1_000, &regrets);
    report.assert_met();
}

/// The leg to it is what is assumed, for all relays alike.
#[test]
fn towards_a_target_of_which_nothing_is_known_the_best_path_is_handed_out() {
    let mut report = Report::new(PAIR);
    for relays in [65, 257, 1_000] {
        let mut regrets = Regrets::default();
        for seed in 0..4 {
            let mut topology = Topology::new(relays, 8, seed);
            let questions = topology.questions(Views::Nowhere, Targets::Anywhere, 1);
            regrets.extend(topology.scene.measure(&questions, 8));
            topology.scene.load_from_elsewhere(0.6);
            regrets.extend(topology.scene.measure(&questions, 8));
        }
        report.add("nowhere", relays, &regrets);
    }
    report.assert_met();
}

/// The bar is met by questions that admit some of the relays only.
#[track_caller]
fn assert_met_with(what: &str, narrowed: impl Fn(&Scene, Question) -> Question) {
    let mut report = Report::new(PAIR);
    for relays in [50, 65, 257, 1_000] {
        let mut topology = Topology::new(relays, capacity_of(relays), 1);
        topology.scene.load_from_elsewhere(0.6);
        let mut regrets = Regrets::default();
        for question in topology.questions(Views::Both, Targets::Anywhere, 10) {
            let question = narrowed(&topology.scene, question);
            regrets.extend(topology.scene.measure(&[question], 5));
        }
        report.add(what, relays, &regrets);
    }
    report.assert_met();
}

#[test]
fn with_the_best_paths_excluded_the_best_of_the_others_is_handed_out() {
    assert_met_with("the best ten paths excluded", |scene, question| {
        let ranking = scene.ranking(&question);
        let best: Vec<u32> = ranking.iter().take(10).map(|(n, _)| *n).collect();
        question.excluding(&best)
    });
}

#[test]
fn within_a_longest_round_trip_the_best_path_is_handed_out() {
    assert_met_with("within a longest round trip", |_, question| {
        question.within(ms(80))
    });
}

#[test]
fn after_departures_the_best_path_that_is_left_is_handed_out() {
    let mut report = Report::new(PAIR);
    for relays in [10, 65, 257, 1_000] {
        let mut topology = Topology::new(relays, 8, 3);
        topology.scene.load_from_elsewhere(0.6);
        let mut regrets = Regrets::default();
        for _ in 0..6 {
            // Asked anew each time: what a peer published of a relay that left does
            // not count in its other estimates any more.
            let questions = topology.questions(Views::Both, Targets::Anywhere, 6);
            let scene = &mut topology.scene;
            let (best, _) = scene.ranking(&questions[0])[0];
            scene.world.leave(best);
            scene.relays[best as usize].is_out = true;
            let questions = topology.questions(Views::Both, Targets::Anywhere, 6);
            regrets.extend(topology.scene.measure(&questions, 12));
        }
        report.add("departures", relays, &regrets);
    }
    report.assert_met();
}

#[test]
fn arrivals_that_the_target_measured_are_handed_out_before_they_are_merged() {
    const ARRIVALS: u32 = 3;
    let mut report = Report::new(PAIR);
    for relays in [10, 65, 257, 1_000] {
        let mut topology = Topology::new(relays, 8, 4);
        topology.scene.load_from_elsewhere(0.6);
        let first = relays as u32;
        for _ in 0..ARRIVALS {
            topology.scene.join(Relay::new(ms(20), 8));
        }
        let view = published((first..first + ARRIVALS).map(|n| (n, ms(1))));
        let question = topology.question(FindOptions::new().target_view(view));
        let regrets = topology.scene.measure_in_motion(&[question], 16);
        report.add("arrivals", relays, &regrets);
    }
    report.assert_met();
}

#[test]
fn a_list_for_a_pair_holds_the_best_paths_in_order() {
    let mut report = Report::new(PAIR);
    for relays in [3, 65, 1_000] {
        let mut topology = Topology::new(relays, capacity_of(relays), 2);
        topology.scene.load_from_elsewhere(0.6);
        let mut regrets = Regrets::default();
        for question in topology.questions(Views::Both, Targets::Anywhere, 10) {
            let question = question.of_many(16);
            let listed = topology.scene.list(&question);
            let exact = topology.scene.ranking(&question);
            assert_eq!(listed.len(), exact.len().min(16), "a list's length");
            for (relay, (_, exact)) in listed.iter().zip(&exact) {
                regrets.push(topology.scene.score_of(&question, relay.node_id()) / exact);
            }
        }
        report.add("lists for pairs", relays, &regrets);
    }
    report.assert_met();
}

/// No relay has a place here, so only those that the target names have a leg
/// that is not assumed.
#[test]
fn of_a_hundred_thousand_relays_the_best_that_the_target_measured_is_handed_out() {
    let mut report = Report::new(PAIR);
    let mut scene = Scene::random(LARGE, (1, 4), 5);
    scene.load_from_elsewhere(0.6);
    let mut regrets = Regrets::default();
    for _ in 0..20 {
        let named: [u32; 3] = std::array::from_fn(|_| scene.rng.u32(0..LARGE as u32));
        let question = naming(&scene, &named);
        regrets.push(scene.find(&question));
    }
    report.add("published round trips", LARGE, &regrets);
    report.assert_met();
}

/// A target within a millisecond of these relays.
fn naming(scene: &Scene, named: &[u32]) -> Question {
    let options = FindOptions::new();
    let view = published(named.iter().map(|n| (*n, Duration::from_micros(900))));
    let own = scene.relays.iter().map(|it| it.rtt_micros);
    let mut paths: Vec<u32> = own
        .map(|micros| micros.unwrap_or(ASSUMED_MICROS) + ASSUMED_MICROS)
        .collect();
    for &n in named {
        paths[n as usize] -= ASSUMED_MICROS - 900;
    }
    Question::pair(options.target_view(view), paths)
}

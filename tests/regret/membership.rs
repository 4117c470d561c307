//! Relays that register, leave or stop being eligible, before and after `maintain`.

use crate::bars::{Regrets, Report, SINGLE};
use crate::common::*;
use crate::question::Question;
use crate::scene::{Relay, Scene};
use relay_registry::Failure;
use std::time::Duration;

const SIZES: [usize; 6] = [3, 10, 65, 257, 1_000, 2_000];
const CALLS: usize = 20;

/// Half loaded from elsewhere.
fn scene(relays: usize, seed: u64) -> Scene {
    let mut scene = Scene::random(relays, (10, 10), seed);
    scene.load_from_elsewhere(0.5);
    scene
}

/// Changes scenes of each size, and asks before and after `maintain`.
#[track_caller]
fn assert_met_after(what: &str, change: impl Fn(&mut Scene)) {
    let mut report = Report::new(SINGLE);
    let questions = [Question::plain()];
    for relays in SIZES {
        let (mut before, mut after) = (Regrets::default(), Regrets::default());
        for seed in 0..if relays < 1_000 { 10 } else { 3 } {
            let mut scene = scene(relays, seed);
            change(&mut scene);
            before.extend(scene.measure(&questions, CALLS));
            scene.world.maintain();
            after.extend(scene.measure(&questions, CALLS));
        }
        report.add(&format!("{what}, not merged"), relays, &before);
        report.add(&format!("{what}, merged"), relays, &after);
    }
    report.assert_met();
}

/// Takes the best third out of the model, and does this with each.
fn take_out(scene: &mut Scene, act: impl Fn(&World, u32)) {
    let ranking = scene.ranking(&Question::plain());
    for &(n, _) in ranking.iter().take(ranking.len() / 3) {
        act(&scene.world, n);
        scene.relays[n as usize].is_out = true;
    }
}

#[test]
fn arrivals_are_handed_out_by_their_score_at_once() {
    assert_met_after("arrivals", |scene| {
        for _ in 0..scene.relays.len() / 4 + 1 {
            let micros = scene.rng.u64(1..100_000);
            let load = scene.rng.u32(0..10);
            let n = scene.relays.len() as u32;
            scene.join(Relay::new(Duration::from_micros(micros), 10));
            scene.report(n, load);
        }
    });
}

#[test]
fn reservations_fill_arrivals_by_their_score_at_once() {
    let mut report = Report::new(SINGLE);
    for relays in SIZES {
        let mut scene = scene(relays, 1);
        for n in 0..30 {
            scene.join(Relay::new(Duration::from_micros(900 + n), 2));
        }
        let regrets = scene.measure_in_motion(&[Question::plain()], 30);
        report.add("arrivals that fill", relays, &regrets);
    }
    report.assert_met();
}

#[test]
fn after_departures_the_best_of_the_others_is_handed_out() {
    assert_met_after("departures", |scene| take_out(scene, World::leave));
}

#[test]
fn arrivals_in_the_place_of_the_departed_are_handed_out_by_their_own_score() {
    assert_met_after("departures and arrivals", |scene| {
        take_out(scene, World::leave);
        for n in 0..scene.relays.len() as u64 / 4 {
            scene.join(Relay::new(ms(40 + n % 100), 10));
        }
    });
}

#[test]
fn while_the_best_drain_the_best_of_the_others_is_handed_out() {
    assert_met_after("draining", |scene| take_out(scene, World::drain));
}

#[test]
fn while_the_best_fail_the_best_of_the_others_is_handed_out() {
    assert_met_after("failing", |scene| {
        take_out(scene, |world, n| world.fail(n, Failure::TimedOut));
    });
}

#[test]
fn while_the_best_are_banned_the_best_of_the_others_is_handed_out() {
    assert_met_after("banned", |scene| {
        take_out(scene, |world, n| world.ban_for(n, secs(60)));
    });
}

#[test]
fn a_round_trip_measured_anew_counts_at_once() {
    let mut report = Report::new(SINGLE);
    for relays in SIZES {
        let mut regrets = Regrets::default();
        for seed in 0..5 {
            let mut scene = scene(relays, seed);
            let unmeasured = Relay {
                rtt_micros: None,
                ..Relay::new(ms(1), 10)
            };
            let n = scene.relays.len() as u32;
            scene.join(unmeasured);
            scene.world.maintain();
            scene.world.measure(n, ms(30));
            scene.relays[n as usize].rtt_micros = Some(30_000);
            regrets.extend(scene.measure(&[Question::plain()], CALLS));
        }
        report.add("measured just now", relays, &regrets);
    }
    report.assert_met();
}

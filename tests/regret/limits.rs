//! Calls that limit what they accept: exclusions and a longest round trip.

use crate::bars::{Regrets, Report, SINGLE};
use crate::question::Question;
use crate::scene::Scene;
use crate::states::SIZES;
use std::time::Duration;

/// So many that a median depends on no single scene: which of two relays within a bin is handed out
/// depends on the registry's hash keys, which are random.
const INSTANCES: u64 = 16;

/// Scenes of each size with loads from elsewhere, and in an equilibrium.
fn assert_met(what: &str, sizes: &[usize], mut regrets_of: impl FnMut(&mut Scene) -> Regrets) {
    let mut report = Report::new(SINGLE);
    for &relays in sizes {
        let mut regrets = Regrets::default();
        for seed in 0..INSTANCES {
            let mut scene = Scene::random(relays, (4, 10), seed);
            scene.load_from_elsewhere(0.5);
            regrets.extend(regrets_of(&mut scene));
            let mut scene = Scene::random(relays, (4, 10), seed);
            scene.settle(0.5, 1, &[Question::plain()]);
            regrets.extend(regrets_of(&mut scene));
        }
        report.add(what, relays, &regrets);
    }
    report.assert_met();
}

/// The best so many, by number.
fn best(scene: &Scene, count: usize) -> Vec<u32> {
    let ranking = scene.ranking(&Question::plain());
    ranking.iter().map(|(n, _)| *n).take(count).collect()
}

#[test]
fn with_the_best_excluded_the_best_of_the_others_is_handed_out() {
    assert_met("the best excluded", &SIZES, |scene| {
        let question = Question::plain().excluding(&best(scene, 1));
        scene.measure(&[question, Question::plain()], 20)
    });
}

#[test]
fn with_ten_excluded_the_best_of_the_others_is_handed_out() {
    assert_met("the best ten excluded", &SIZES[3..], |scene| {
        let question = Question::plain().excluding(&best(scene, 10));
        scene.measure(&[question, Question::plain()], 20)
    });
}

#[test]
fn within_a_longest_round_trip_the_best_is_handed_out() {
    assert_met("within a longest round trip", &SIZES[2..], |scene| {
        let mut regrets = Regrets::default();
        for share in [0.1, 0.5, 0.9] {
            let max = distance_of_the_nearest(scene, share);
            let question = Question::plain().within(max);
            regrets.extend(scene.measure(&[question], 10));
        }
        regrets
    });
}

#[test]
fn limits_that_are_combined_leave_the_best_of_what_is_left() {
    assert_met("limits combined", &SIZES[3..], |scene| {
        let max = distance_of_the_nearest(scene, 0.6);
        let near = Question::plain().within(max);
        let ranking = scene.ranking(&near);
        let excluded: Vec<u32> = ranking.iter().map(|(n, _)| *n).take(3).collect();
        scene.measure(&[near.excluding(&excluded)], 10)
    });
}

/// How far the nearest of them are that make up this share of all measured.
fn distance_of_the_nearest(scene: &Scene, share: f64) -> Duration {
    let measured = scene.relays.iter().filter_map(|relay| relay.rtt_micros);
    let mut micros: Vec<u32> = measured.collect();
    micros.sort_unstable();
    let micros = micros[(micros.len() as f64 * share) as usize];
    Duration::from_micros(micros.into())
}

//! Fairness: equal relays are handed out about equally often, however many there are.

use crate::common::*;
use crate::question::Question;
use crate::scene::{Relay, Scene};

/// About a node of the tree, and one relay more than a full one.
const SIZES: [u32; 6] = [2, 64, 65, 100, 1_000, 1_025];
/// Calls for each relay.
const SHARE: u32 = 40;
/// How many times its fair share one relay may have at most.
const MOST_SHARES: u32 = 3;

/// Makes `SHARE` calls per equal and idle relay, and counts how often each is returned.
#[track_caller]
fn assert_fair(sizes: &[u32], mut ask: impl FnMut(&Scene) -> u32) {
    let mut unfair = Vec::new();
    for &relays in sizes {
        let scene = Scene::of(vec![Relay::new(ms(20), 10); relays as usize], 7);
        let mut counts = vec![0_u32; relays as usize];
        for _ in 0..relays * SHARE {
            counts[ask(&scene) as usize] += 1;
        }
        let least = *counts.iter().min().expect("a relay");
        let most = *counts.iter().max().expect("a relay");
        println!("{relays} equal relays: {least} to {most} of {SHARE} each");
        if least == 0 || most > bound() {
            let unused = counts.iter().filter(|count| **count == 0).count();
            unfair.push(format!(
                "{relays} relays: {least} to {most} of {SHARE}, {unused} unused"
            ));
        }
    }
    assert!(unfair.is_empty(), "{}", unfair.join("\n"));
}

/// The limit for one relay: a multiple of its fair share, and five standard deviations.
fn bound() -> u32 {
    let most = MOST_SHARES * SHARE;
    most + (f64::from(most).sqrt() * 5.0) as u32
}

fn found(scene: &Scene, question: &Question) -> u32 {
    let found = scene
        .world
        .find_relay_with(&question.target, &question.options);
    number(found.expect("all will do").node_id())
}

#[test]
fn finds_are_spread_evenly_over_equal_relays() {
    let question = Question::plain();
    assert_fair(&SIZES, |scene| found(scene, &question));
}

#[test]
fn reservations_that_end_at_once_are_spread_evenly_over_equal_relays() {
    let question = Question::plain();
    assert_fair(&SIZES, |scene| {
        let lease = scene.world.reserve(&question.target, &question.options);
        number(lease.expect("all are idle").relay().node_id())
    });
}

#[test]
fn heads_of_lists_are_spread_evenly_over_equal_relays() {
    let question = Question::plain().of_many(3);
    assert_fair(&SIZES, |scene| numbers(&scene.list(&question))[0]);
}

#[test]
fn with_one_excluded_finds_are_spread_evenly_over_the_others() {
    let question = Question::plain().excluding(&[0]);
    let mut turn = 0;
    assert_fair(&SIZES[1..], |scene| {
        // The excluded one has its share from calls of its own.
        turn += 1;
        if turn % scene.relays.len() == 0 {
            return 0;
        }
        found(scene, &question)
    });
}

#[test]
fn within_a_longest_round_trip_finds_are_spread_evenly_over_equal_relays() {
    let question = Question::plain().within(ms(20));
    assert_fair(&SIZES, |scene| found(scene, &question));
}

#[test]
fn arrivals_that_are_not_merged_have_their_share() {
    const MERGED: u32 = 100;
    const ARRIVALS: u32 = 25;
    let mut scene = Scene::of(vec![Relay::new(ms(20), 10); MERGED as usize], 7);
    for _ in 0..ARRIVALS {
        scene.join(Relay::new(ms(20), 10));
    }
    let mut counts = [0_u32; (MERGED + ARRIVALS) as usize];
    for _ in 0..(MERGED + ARRIVALS) * SHARE {
        let found = scene.world.found().expect("all are idle");
        counts[found as usize] += 1;
    }
    let arrivals: u32 = counts[MERGED as usize..].iter().sum();
    let fair = ARRIVALS * SHARE;
    println!("{ARRIVALS} arrivals beside {MERGED}: {arrivals} calls, {fair} are fair");
    assert!((fair / MOST_SHARES..=fair * MOST_SHARES).contains(&arrivals));
    assert!(
        counts.iter().all(|&count| count <= 2 * bound()),
        "{counts:?}"
    );
}

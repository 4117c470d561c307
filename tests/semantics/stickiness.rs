//! Stickiness: the relay in use is kept unless it is not eligible, or the best is much better.

use crate::common::*;
use relay_registry::{Failure, FindOptions, Verdict};
use std::time::Duration;

const CURRENT: u32 = 1;
const BEST: u32 = 2;

/// A relay in use and a better one, at these round trips. The leg to the target is assumed.
fn between(current: Duration, best: Duration) -> World {
    let world = world();
    world.join_with(CURRENT, &latency(current));
    world.join_with(BEST, &latency(best));
    world.maintain();
    world
}

fn prefer() -> FindOptions {
    FindOptions::new().prefer(id(CURRENT)).max_results(1)
}

#[track_caller]
fn assert_taken(world: &World, options: &FindOptions, expected: u32) {
    for _ in 0..3 {
        assert_eq!(world.found_with(options), Some(expected));
        let lease = world.reserve(&non_relay(), options).expect("a relay");
        assert_eq!(number(lease.relay().node_id()), expected);
    }
    let list = world.find_relays(&non_relay(), options);
    assert_eq!(numbers(&list), [expected]);
    let verdict = match expected {
        CURRENT => Verdict::Kept,
        _ => Verdict::Chosen,
    };
    assert_eq!(world.verdict_with(expected, options), verdict);
}

const fn us(n: u64) -> Duration {
    Duration::from_micros(n)
}

#[test]
fn it_is_left_only_for_ten_milliseconds_and_a_third() {
    for (current, best, expected) in [
        (us(30_000), us(20_000), BEST),
        (us(29_999), us(20_000), CURRENT), // 9.999 ms better
        (us(30_001), us(20_001), CURRENT), // 10 ms, and just not a third
        (us(300_000), us(200_000), BEST),
        (us(300_000), us(200_001), CURRENT), // 99.999 ms
        (us(15_000), us(5_000), BEST),
        (us(14_999), us(5_000), CURRENT),
        (us(9_999), us(1), CURRENT),
        (us(10_001), us(1), BEST),
        (us(33_000), us(22_000), BEST),
        (us(10_000_000), us(1), BEST),
        (us(20_000), us(30_000), CURRENT),
    ] {
        let world = between(current, best);
        assert_taken(&world, &prefer(), expected);
    }
}

#[test]
fn both_measures_can_be_chosen() {
    let world = between(ms(40), ms(30));
    assert_taken(&world, &prefer(), CURRENT);
    let unless = |gain, share| prefer().prefer_with(gain, share);
    assert_taken(&world, &unless(ms(10), 0.25), BEST);
    assert_taken(&world, &unless(ms(10) + us(1), 0.25), CURRENT);
    assert_taken(&world, &unless(ms(10), 0.2501), CURRENT);
    assert_taken(&world, &unless(Duration::ZERO, 0.0), BEST);
    assert_taken(&world, &unless(Duration::MAX, 0.0), CURRENT);
    assert_taken(&world, &unless(Duration::ZERO, 1.0), CURRENT);
    assert_taken(&world, &unless(Duration::ZERO, f64::INFINITY), CURRENT);
    assert_taken(&world, &unless(Duration::ZERO, -1.0), BEST);
    assert_taken(&world, &unless(Duration::ZERO, f64::NAN), BEST);
    let none = FindOptions::new().prefer_with(Duration::MAX, 1.0);
    assert_eq!(world.found_with(&none), Some(BEST));
}

#[test]
fn what_keeps_a_relay_from_being_handed_out_is_not_outweighed() {
    type Obstacle = fn(&World);
    let obstacles: [(&str, Obstacle); 6] = [
        ("full", |world| world.report(CURRENT, 100)),
        ("draining", |world| world.drain(CURRENT)),
        ("banned", |world| world.ban_for(CURRENT, secs(60))),
        ("failing", |world| world.fail(CURRENT, Failure::Refused)),
        ("gone", |world| world.leave(CURRENT)),
        ("expired", |world| {
            world.renew_with(CURRENT, &ttl(secs(1)));
            world.pass(secs(1));
        }),
    ];
    for (name, obstruct) in obstacles {
        let world = between(ms(12), ms(10));
        assert_taken(&world, &prefer(), CURRENT);
        obstruct(&world);
        for _ in 0..5 {
            assert_eq!(world.found_with(&prefer()), Some(BEST), "{name}");
        }
    }
}

#[test]
fn a_relay_on_trial_is_not_kept() {
    let world = between(ms(12), ms(10));
    world.fail(CURRENT, Failure::Refused);
    world.pass(secs(2));
    assert_eq!(world.verdict_with(CURRENT, &prefer()), Verdict::Worse);
    assert_taken(&world, &prefer(), BEST);
    (0..2).for_each(|_| world.succeed(CURRENT));
    assert_taken(&world, &prefer(), BEST);
    world.succeed(CURRENT);
    assert_taken(&world, &prefer(), CURRENT);
}

#[test]
fn a_relay_above_nine_tenths_is_not_kept() {
    for units in [10, 100, 1_000, 110, 1_048_570] {
        let world = world();
        let crowded = latency(ms(12)).capacity(units);
        world.join_with(CURRENT, &crowded);
        world.join_with(BEST, &latency(ms(10)));
        world.report(CURRENT, units / 10 * 9);
        assert_eq!(world.found_with(&prefer()), Some(CURRENT), "of {units}");
        world.report(CURRENT, units / 10 * 9 + 1);
        assert_eq!(world.found_with(&prefer()), Some(BEST), "of {units}");
    }
}

#[test]
fn the_options_outweigh_the_preference() {
    let world = between(ms(12), ms(10));
    let options = prefer().exclude([id(CURRENT)]);
    assert_eq!(world.found_with(&options), Some(BEST));
    let options = prefer().max_latency(ms(11));
    assert_eq!(world.found_with(&options), Some(BEST));
    let target = id(CURRENT);
    let found = world.find_relay_with(&target, &prefer());
    assert_eq!(found.map(|relay| relay.node_id()), Ok(id(BEST)));
}

#[test]
fn a_preference_for_an_unknown_relay_makes_no_difference() {
    let world = between(ms(12), ms(10));
    let options = FindOptions::new().prefer(id(77)).max_results(1);
    assert_taken(&world, &options, BEST);
}

#[test]
fn lists_follow_no_preference() {
    let world = between(ms(12), ms(10));
    let list = world.find_relays(&non_relay(), &prefer().max_results(2).max_spread_cost(0.0));
    assert_eq!(numbers(&list), [BEST, CURRENT]);
}

#[test]
fn a_load_that_only_makes_it_worse_is_no_reason_to_leave() {
    let world = between(ms(50), ms(51));
    world.report(CURRENT, 90);
    assert_eq!(world.found(), Some(BEST), "by the score");
    assert_taken(&world, &prefer(), CURRENT);
}

#[test]
fn whole_paths_are_compared_where_both_legs_are_known() {
    let world = between(ms(40), ms(10));
    assert_taken(&world, &prefer(), BEST);
    let target = published([(CURRENT, ms(5)), (BEST, ms(30))]);
    assert_taken(&world, &prefer().target_view(target), CURRENT);
    let target = published([(CURRENT, ms(35)), (BEST, ms(40))]);
    assert_taken(&world, &prefer().target_view(target), BEST);
    // Only the requester's leg is known. The assumed leg is no reason to keep the relay.
    let world = between(ms(35), ms(20));
    assert_taken(&world, &prefer(), BEST);
}

#[test]
fn what_is_preferred_among_thousands_is_kept() {
    let world = world_of(2_000);
    for n in 0..2_000 {
        world.join_with(n, &latency(us(20_000 + u64::from(n))));
    }
    world.maintain();
    for kept in [0, 999, 1_999] {
        let options = FindOptions::new().prefer(id(kept));
        for _ in 0..5 {
            assert_eq!(world.found_with(&options), Some(kept));
        }
    }
}

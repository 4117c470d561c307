//! The home relay of this node: by its own leg alone, and kept unless another is clearly better.

use crate::common::*;
use relay_registry::{CircuitState, Failure, FindError, FindOptions, PeerView};
use std::time::Duration;

fn home_with(world: &World, options: &FindOptions) -> Option<u32> {
    let home = world.find_home_relay(options).ok()?;
    Some(number(home.node_id()))
}

fn home(world: &World) -> Option<u32> {
    home_with(world, &FindOptions::new())
}

fn keep(n: u32) -> FindOptions {
    FindOptions::new().prefer(id(n))
}

/// Relays at these round trips, numbered from 0.
fn at(rtts: impl IntoIterator<Item = Duration>) -> World {
    let world = world_with(|builder| builder.max_relays(5_000).ttl(secs(86_400)));
    for (n, rtt) in (0..).zip(rtts) {
        world.join(n);
        world.measure(n, rtt);
    }
    world.maintain();
    world
}

const fn us(n: u64) -> Duration {
    Duration::from_micros(n)
}

/// With an assumed leg of 100 ms these would be equal.
#[test]
fn ties_are_broken_by_the_own_leg_and_not_by_that_and_an_assumed_one() {
    for crowd in [0, 100, 3_000] {
        let far = (0..crowd).map(|n| us(1_000_000 + n));
        let near = [us(1_300), us(1_000), us(1_100), us(1_200)];
        let world = at(near.into_iter().chain(far));
        for _ in 0..20 {
            assert_eq!(home(&world), Some(1), "beside {crowd}");
        }
    }
}

#[test]
fn the_load_counts_as_a_factor_on_the_own_leg() {
    let world = at([ms(10), ms(12)]);
    assert_eq!(home(&world), Some(0));
    // A factor of 1.15, and of 1.32.
    world.report(0, 60);
    assert_eq!(home(&world), Some(0));
    world.report(0, 70);
    assert_eq!(home(&world), Some(1));
    world.report(0, 100);
    world.report(1, 100);
    assert_eq!(home(&world), None);
    let Err(FindError::NoRelaysAvailable { rejections, .. }) =
        world.find_home_relay(&FindOptions::new())
    else {
        panic!("all are full");
    };
    assert_eq!((rejections.full, rejections.total()), (2, 2));
}

#[test]
fn unmeasured_relays_come_after_measured_ones() {
    let world = world();
    (0..3).for_each(|n| world.join(n));
    world.report(0, 50);
    world.report(1, 20);
    world.report(2, 60);
    for _ in 0..5 {
        assert_eq!(
            home(&world),
            Some(1),
            "if none is measured, the least loaded"
        );
    }
    world.measure(2, ms(400));
    for _ in 0..5 {
        assert_eq!(home(&world), Some(2), "beyond the assumed round trip, too");
    }
    assert_eq!(home_with(&world, &keep(2)), Some(2));
    assert_eq!(home_with(&world, &excluding([2])), Some(1));
    world.drain(2);
    assert_eq!(home(&world), Some(1));
}

#[test]
fn a_measurement_that_has_lapsed_counts_no_longer() {
    let world = world_with(|builder| builder.rtt_lifetime(secs(60)).ttl(secs(600)));
    world.join(0);
    world.join(1);
    world.measure(0, ms(5));
    world.advance(secs(30));
    world.measure(1, ms(50));
    assert_eq!(home(&world), Some(0));
    world.advance(secs(40));
    assert_eq!(home(&world), Some(1));
}

#[test]
fn the_options_count_but_for_those_of_other_peers() {
    let world = world_with(|builder| builder.local_id(id(0)));
    for (n, rtt) in [(0, 1), (1, 10), (2, 20), (3, 30)] {
        world.join_with(n, &latency(ms(rtt)));
    }
    assert_eq!(home(&world), Some(1), "this node is not its own home");
    assert_eq!(home_with(&world, &excluding([1])), Some(2));
    assert_eq!(home_with(&world, &within(ms(9))), None);
    let Err(FindError::NoRelaysAvailable { rejections, .. }) =
        world.find_home_relay(&within(ms(9)))
    else {
        panic!("all are too far");
    };
    assert_eq!((rejections.too_far, rejections.excluded), (3, 1));
    // Neither a requester nor views have any effect.
    let far = published([(3, us(1))]);
    world.update_peer(&id(1), PeerView::new().coordinate(place(5.0, 5.0)));
    let others = FindOptions::new()
        .requester(id(1))
        .requester_view(far)
        .target_view(far);
    assert_eq!(home_with(&world, &others), Some(1));
    assert_eq!(home_with(&world, &others.max_latency(ms(15))), Some(1));
}

#[test]
fn it_takes_no_unit() {
    let world = at([ms(10)]);
    (0..5).for_each(|_| _ = home(&world));
    assert_eq!(world.load(0), 0);
}

#[test]
fn it_is_left_only_for_ten_milliseconds_and_a_third_of_the_own_leg() {
    for (current, best, expected) in [
        (us(30_000), us(20_000), 1),
        (us(29_999), us(20_000), 0), // 9.999 ms better
        (us(30_001), us(20_001), 0), // 10 ms, and just not a third
        (us(15_000), us(5_000), 1),
        (us(14_999), us(5_000), 0),
        (us(300_000), us(200_001), 0),
        (us(9_999), us(1), 0),
        (us(20_000), us(30_000), 0),
    ] {
        let world = at([current, best]);
        for _ in 0..3 {
            assert_eq!(home_with(&world, &keep(0)), Some(expected), "{current:?}");
        }
    }
    let world = at([ms(12), ms(10)]);
    let strict = keep(0).prefer_with(ms(1), 0.1);
    assert_eq!(home_with(&world, &strict), Some(1));
    assert_eq!(home_with(&world, &keep(77)), Some(1), "unknown");
}

#[test]
fn it_is_not_kept_if_it_is_not_to_be_had_or_nearly_full() {
    type Obstacle = fn(&World);
    let obstacles: [(&str, Obstacle); 6] = [
        ("full", |world| world.report(0, 100)),
        ("nearly full", |world| world.report(0, 91)),
        ("draining", |world| world.drain(0)),
        ("banned", |world| world.ban_for(0, secs(60))),
        ("failing", |world| world.fail(0, Failure::Refused)),
        ("gone", |world| world.leave(0)),
    ];
    for (name, obstruct) in obstacles {
        let world = at([ms(12), ms(11)]);
        assert_eq!(home_with(&world, &keep(0)), Some(0));
        obstruct(&world);
        assert_eq!(home_with(&world, &keep(0)), Some(1), "{name}");
    }
}

/// All fail at once, the home first. It is the last resort all the time, and kept when the
/// network is back.
#[test]
fn it_is_kept_throughout_an_outage_of_our_own() {
    let world = at([ms(20), ms(18), ms(19), ms(21)]);
    for n in 0..4 {
        world.fail(n, Failure::TimedOut);
    }
    for _ in 0..5 {
        let kept = world.find_home_relay(&keep(0)).expect("a last resort");
        assert_eq!(number(kept.node_id()), 0);
        assert!(kept.is_last_resort());
        assert!(
            home(&world).is_some(),
            "the others are last resorts as well"
        );
        world.pass(TICK);
        world.fail(0, Failure::TimedOut);
    }
    // The network is back, and some session tells so.
    world.pass(secs(1_000));
    assert_eq!(home_with(&world, &keep(0)), Some(0), "all are on trial");
    assert!(world.report_success(&id(0)));
    world.maintain();
    for call in 0..20 {
        assert_eq!(home_with(&world, &keep(0)), Some(0), "call {call}");
        world.pass(ms(300));
    }
    (0..2).for_each(|_| world.succeed(0));
    assert_eq!(world.circuit(0), CircuitState::Closed);
    assert_eq!(home_with(&world, &keep(0)), Some(0));
}

/// Others never failed; the home did, and is on trial.
#[test]
fn on_trial_it_is_kept_unless_another_is_clearly_better() {
    let world = at([ms(20), ms(18), ms(50)]);
    world.fail(0, Failure::TimedOut);
    assert_eq!(home_with(&world, &keep(0)), Some(1), "while it backs off");
    world.pass(secs(10));
    for call in 0..5 {
        assert_eq!(home_with(&world, &keep(0)), Some(0), "call {call}");
        assert_eq!(world.circuit(0), CircuitState::HalfOpen);
        world.pass(TICK);
    }
    // Its trial fails: it backs off for longer, and is not kept.
    world.fail(0, Failure::TimedOut);
    assert_eq!(home_with(&world, &keep(0)), Some(1));
    let world = at([ms(50), ms(18)]);
    world.fail(0, Failure::Refused);
    world.pass(secs(10));
    assert_eq!(home_with(&world, &keep(0)), Some(1), "clearly better");
}

/// The trial of the home belongs to the call that got it: others do not get the relay meanwhile.
#[test]
fn a_trial_that_is_under_way_is_no_reason_to_move_and_not_handed_out_otherwise() {
    let world = at([ms(20), ms(22)]);
    world.fail(0, Failure::Refused);
    world.pass(secs(10));
    assert_eq!(home_with(&world, &keep(0)), Some(0));
    for _ in 0..5 {
        assert_eq!(home_with(&world, &keep(0)), Some(0));
        assert_eq!(home(&world), Some(1), "without a preference");
        assert_eq!(world.found(), Some(1));
        assert_eq!(world.found_with(&keep(0)), Some(1));
    }
    // A ban ends it.
    world.ban_for(0, secs(60));
    assert_eq!(home_with(&world, &keep(0)), Some(1));
}

#[test]
fn a_home_that_failed_alone_is_not_returned_to_unless_it_is_clearly_better() {
    let world = at([ms(20), ms(22)]);
    world.fail(0, Failure::TimedOut);
    let moved = home_with(&world, &keep(0)).expect("another");
    assert_eq!(moved, 1);
    world.pass(secs(60));
    (0..5).for_each(|_| assert_eq!(home_with(&world, &keep(1)), Some(1)));
    (0..3).for_each(|_| world.succeed(0));
    assert_eq!(home_with(&world, &keep(1)), Some(1));
}

#[test]
fn homes_are_found_among_arrivals_too() {
    let world = at((0..100).map(|n| ms(50 + n)));
    world.join(500);
    world.measure(500, ms(7));
    assert_eq!(home(&world), Some(500));
    world.leave(500);
    assert_eq!(home(&world), Some(0));
}

#[test]
fn of_relays_that_are_equal_all_are_found() {
    let world = at((0..8).map(|_| ms(5)));
    let mut found: Vec<u32> = (0..400).filter_map(|_| home(&world)).collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, Vec::from_iter(0..8));
}

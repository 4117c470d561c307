//! Both legs of a path: the views of target and requester, and how they are used.

use crate::assert_is;
use crate::common::*;
use crate::positions::located;
use relay_registry::{
    Explained, Failure, FindOptions, LegSource, MAX_RTT, PeerView, PeerViewError,
};
use std::time::Duration;

/// How many relays there are. The last ones are too far away to be chosen.
fn crowd(relays: u32) -> World {
    let world = world_of(relays as usize);
    for n in 0..relays {
        world.join_with(n, &latency(ms(if n < 4 { 20 } else { 200 })));
    }
    world.maintain();
    world
}

const CROWDS: [u32; 3] = [4, 64, 1_000];

pub fn explained(world: &World, n: u32, options: &FindOptions) -> Explained {
    let explanation = world.explain(&non_relay(), options);
    explanation
        .of(&id(n))
        .expect("a relay that is held")
        .clone()
}

pub fn target_leg(world: &World, n: u32, options: &FindOptions) -> (Duration, LegSource) {
    let explained = explained(world, n, options);
    (explained.target_leg, explained.target_leg_source)
}

pub fn requester_leg(world: &World, n: u32, options: &FindOptions) -> (Duration, LegSource) {
    let explained = explained(world, n, options);
    (explained.requester_leg, explained.requester_leg_source)
}

pub fn towards(view: PeerView) -> FindOptions {
    FindOptions::new().target_view(view).max_results(1)
}

pub fn from(view: PeerView) -> FindOptions {
    FindOptions::new().requester_view(view).max_results(1)
}

#[test]
fn a_published_round_trip_is_the_leg_to_the_target() {
    for relays in CROWDS {
        let world = crowd(relays);
        for near in 0..4 {
            let options = towards(published([(near, ms(3))]));
            for _ in 0..5 {
                assert_eq!(world.found_with(&options), Some(near), "of {relays}");
            }
            let leg = target_leg(&world, near, &options);
            assert_eq!(leg, (ms(3), LegSource::Published));
        }
    }
}

#[test]
fn published_round_trips_are_exact_to_the_microsecond() {
    for relays in CROWDS {
        let world = crowd(relays);
        let us = Duration::from_micros;
        let view = published([(0, us(5_001)), (1, us(5_000)), (2, us(5_002))]);
        for _ in 0..10 {
            assert_eq!(world.found_with(&towards(view)), Some(1), "of {relays}");
        }
    }
}

#[test]
fn a_far_relay_next_to_the_target_beats_a_near_one_far_from_it() {
    for relays in [64, 1_000, 2_000] {
        let world = crowd(relays);
        // 200 + 1 against 20 + 250.
        let view = published([(relays - 1, ms(1)), (0, ms(250)), (1, ms(250))]);
        let options = towards(view).exclude((2..relays - 1).map(id));
        assert_eq!(world.found_with(&options), Some(relays - 1));
    }
}

#[test]
fn without_positions_other_legs_are_assumed() {
    let world = crowd(64);
    let options = towards(published([(1, ms(150))]));
    let assumed = (ms(100), LegSource::Assumed);
    assert_eq!(target_leg(&world, 0, &options), assumed);
    assert_ne!(
        world.found_with(&options),
        Some(1),
        "20 + 150, not 20 + 100"
    );
    let coordinate = PeerView::new().coordinate(place(0.0, 0.0));
    assert_eq!(target_leg(&world, 0, &towards(coordinate)), assumed);
    assert_eq!(target_leg(&world, 0, &towards(PeerView::new())), assumed);
}

#[test]
fn views_that_say_nothing_change_nothing() {
    for relays in CROWDS {
        let world = crowd(relays);
        world.measure(2, ms(11));
        world.maintain();
        assert_eq!(world.found_with(&towards(PeerView::new())), Some(2));
    }
}

#[test]
fn a_requester_view_takes_the_place_of_what_this_node_measured() {
    for relays in CROWDS {
        let world = crowd(relays);
        world.measure(0, Duration::from_micros(10));
        world.maintain();
        assert_eq!(world.found(), Some(0));
        let options = from(published([(1, ms(9))]));
        for _ in 0..5 {
            assert_eq!(world.found_with(&options), Some(1), "of {relays}");
        }
        let published = (ms(9), LegSource::Published);
        assert_eq!(requester_leg(&world, 1, &options), published);
        let assumed = (ms(100), LegSource::Assumed);
        assert_eq!(requester_leg(&world, 0, &options), assumed);
    }
}

#[test]
fn the_legs_of_both_peers_add_up() {
    for relays in CROWDS {
        let world = crowd(relays);
        let requester = published([(0, ms(10)), (1, ms(30)), (2, ms(20))]);
        let target = published([(0, ms(40)), (1, ms(10)), (2, ms(21))]);
        let options = from(requester).target_view(target);
        assert_eq!(world.found_with(&options), Some(1), "of {relays}");
        for (n, path) in [(0, 50), (1, 40), (2, 41), (3, 200)] {
            assert_eq!(explained(&world, n, &options).path(), ms(path), "{n}");
        }
        let list = world.find_relays(&non_relay(), &options.max_results(3).max_spread_cost(0.0));
        assert_eq!(numbers(&list), [1, 2, 0]);
    }
}

#[test]
fn a_maximum_latency_is_the_requesters() {
    for relays in CROWDS {
        let world = crowd(relays);
        world.measure(0, ms(1));
        let options = from(published([(1, ms(30)), (2, ms(31))])).max_latency(ms(30));
        assert_eq!(world.found_with(&options), Some(1));
        assert_eq!(numbers(&world.find_relays(&non_relay(), &options)), [1]);
        let options = options.exclude([id(1)]);
        let rejections = world.rejections(&options);
        assert_eq!(rejections.too_far, 1, "what the requester measured");
        assert_eq!(rejections.unmeasured as u32, relays - 2, "and what not");
        assert!(world.found_with(&options.allow_unmeasured(true)).is_some());
        // It says nothing about a target.
        let options = towards(published([(0, ms(300))])).max_latency(ms(1));
        assert_eq!(world.found_with(&options), Some(0));
    }
}

/// It once counted as excluded and as unmeasured.
#[test]
fn a_relay_that_is_excluded_and_too_far_for_the_requester_counts_once() {
    for relays in CROWDS {
        let world = crowd(relays);
        let options = from(published([(1, ms(31)), (2, ms(32))])).max_latency(ms(30));
        let rejections = world.rejections(&options.exclude([id(1)]));
        assert_eq!((rejections.excluded, rejections.too_far), (1, 1));
        assert_eq!(rejections.total() as u32, relays);
    }
}

#[test]
fn relays_that_are_not_held_are_ignored() {
    for relays in CROWDS {
        let world = crowd(relays);
        world.leave(3);
        let view = published([(3, ms(1)), (77_777, ms(1)), (2, ms(50))]);
        for options in [towards(view), from(view)] {
            assert_eq!(world.found_with(&options), Some(2), "of {relays}");
        }
        let unknown = published([(3, ms(1)), (77_777, ms(1))]);
        assert!(world.found_with(&towards(unknown)).is_some());
    }
}

#[test]
fn a_relay_that_is_not_to_be_had_is_not_had_for_being_published() {
    type Obstacle = fn(&World);
    let obstacles: [Obstacle; 5] = [
        |world| world.drain(1),
        |world| world.report(1, 100),
        |world| world.ban_for(1, secs(60)),
        |world| world.fail(1, Failure::TimedOut),
        |world| {
            world.renew_with(1, &ttl(secs(1)));
            world.pass(secs(1));
        },
    ];
    for relays in CROWDS {
        for obstruct in obstacles {
            let world = crowd(relays);
            obstruct(&world);
            let view = published([(1, ms(1)), (2, ms(50))]);
            for options in [towards(view), from(view)] {
                assert_eq!(world.found_with(&options), Some(2), "of {relays}");
            }
        }
        let options = towards(published([(1, ms(1)), (2, ms(50))])).exclude([id(1)]);
        assert_eq!(crowd(relays).found_with(&options), Some(2));
    }
}

#[test]
fn a_target_is_not_handed_out_for_being_in_its_own_view() {
    for relays in CROWDS {
        let world = crowd(relays);
        let options = towards(published([(1, Duration::from_micros(1)), (2, ms(50))]));
        for _ in 0..5 {
            let found = world.find_relay_with(&id(1), &options).expect("another");
            assert_eq!(number(found.node_id()), 2, "of {relays}");
        }
    }
}

#[test]
fn arrivals_are_judged_by_views_as_others_are() {
    for relays in CROWDS {
        let world = world_of(relays as usize + 1);
        (0..relays).for_each(|n| world.join(n));
        world.maintain();
        world.join(relays);
        let options = towards(published([(relays, ms(1))]));
        assert_eq!(world.found_with(&options), Some(relays));
        assert_eq!(
            world.found_with(&from(published([(relays, ms(1))]))),
            Some(relays)
        );
    }
}

#[test]
fn a_relay_that_came_back_is_the_one_that_is_published() {
    let world = crowd(100);
    let options = towards(published([(1, ms(1))]));
    for _ in 0..50 {
        world.leave(1);
        world.join_with(1, &latency(ms(20)));
        assert_eq!(world.found_with(&options), Some(1));
        world.pass(TICK);
        assert_eq!(world.found_with(&options), Some(1));
    }
}

#[test]
fn s12_one_relay_is_found_with_views_whatever_they_say() {
    let relays = 1_500;
    let world = located(relays);
    for n in 0..relays {
        world.measure(n, ms(1) + Duration::from_micros(u64::from(n)));
    }
    let at = |x| PeerView::new().coordinate(place(x, 0.0));
    let warm = |options: &FindOptions| {
        for _ in 0..5 {
            let _ = world.find_relay_with(&non_relay(), options);
        }
        world.maintain();
    };
    for one in [0, 700, relays - 1] {
        (0..relays).for_each(|n| world.report(n, if n == one { 0 } else { 100 }));
        for x in [0.0, 200.0] {
            let others = published([(1, ms(3)), (2, ms(4)), (3, ms(5))]);
            for options in [
                towards(at(x)),
                from(at(x)),
                from(at(x)).target_view(at(200.0 - x)),
                towards(others),
                from(others).target_view(at(x)),
            ] {
                warm(&options);
                for _ in 0..3 {
                    assert_eq!(world.found_with(&options), Some(one));
                    let lease = world.reserve(&non_relay(), &options);
                    assert!(lease.is_ok());
                    let list = world.find_relays(&non_relay(), &options.clone().max_results(3));
                    assert_eq!(numbers(&list), [one]);
                }
            }
        }
    }
}

#[test]
fn a_view_refuses_what_cannot_be() {
    let view = published([(1, ms(1)), (2, MAX_RTT), (3, ms(3))]);
    assert_eq!(view.measured(id(4), ms(1)), Err(PeerViewError::Full));
    assert!(PeerView::new().measured(id(1), Duration::ZERO).is_ok());
    for rtt in [MAX_RTT + Duration::from_nanos(1), Duration::MAX] {
        assert_is!(
            view.measured(id(1), rtt),
            Err(PeerViewError::InvalidRtt { rtt: told, .. }) if told == rtt
        );
    }
    let corrected = view.measured(id(2), ms(2));
    assert!(corrected.is_ok_and(|corrected| corrected != view));
}

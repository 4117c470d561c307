//! Coordinates of relays, learned from the measurements of peers, and the legs that are estimated from them.

use crate::common::*;
use crate::views::*;
use relay_registry::{Coordinate, LegSource, PeerView, Verdict};
use std::time::Duration;

/// Where the relays of [`located`] are: in rows of twenty, 10 ms apart.
pub fn place_of(n: u32) -> Coordinate {
    place((n % 20) as f32 * 10.0, (n / 20) as f32 * 5.0)
}

/// Relays that peers all over have measured, often enough for their coordinates to be used.
pub fn located(relays: u32) -> World {
    let world = world_of(relays as usize + 1);
    (0..relays).for_each(|n| world.join(n));
    for round in 0..150_u32 {
        for n in 0..relays {
            let x = (n * 7 + round * 13) as f32 * 11.0 % 200.0;
            let y = if round % 2 == 0 { 35.0 } else { -15.0 };
            teach(&world, n, x, y);
        }
    }
    world.maintain();
    world
}

/// A peer at a position reports its true round trip to a relay.
fn teach(world: &World, n: u32, x: f32, y: f32) {
    let peer = place(x, y);
    let rtt = peer.rtt_to(&place_of(n));
    let view = published([(n, rtt)]).coordinate(peer);
    world.update_peer(&teacher(), view);
}

#[track_caller]
fn assert_estimated(leg: (Duration, LegSource), expected: Duration) {
    let (rtt, source) = leg;
    assert_eq!(source, LegSource::Estimated);
    let off = rtt.abs_diff(expected);
    assert!(off < ms(5), "{rtt:?}, not {expected:?}");
}

#[test]
fn legs_are_estimated_between_coordinates() {
    for relays in [20, 100] {
        let world = located(relays);
        let peer = place(42.0, 0.0);
        let view = PeerView::new().coordinate(peer);
        for n in [0, 3, 7, relays - 1] {
            let expected = peer.rtt_to(&place_of(n));
            assert_estimated(target_leg(&world, n, &towards(view)), expected);
            assert_estimated(requester_leg(&world, n, &from(view)), expected);
        }
    }
}

#[test]
fn positions_count_after_the_next_pass() {
    let world = world();
    world.join(1);
    for round in 0..40 {
        teach(&world, 1, round as f32 * 5.0, round as f32 % 7.0);
    }
    let options = towards(PeerView::new().coordinate(place(30.0, 0.0)));
    assert_eq!(target_leg(&world, 1, &options).1, LegSource::Assumed);
    assert!(world.maintain().sorted);
    assert_eq!(target_leg(&world, 1, &options).1, LegSource::Estimated);
}

#[test]
fn a_published_leg_is_worth_more_than_an_estimate() {
    let world = located(20);
    let view = published([(4, ms(77))]).coordinate(place(40.0, 0.0));
    let leg = target_leg(&world, 4, &towards(view));
    assert_eq!(leg, (ms(77), LegSource::Published));
}

#[test]
fn nothing_is_estimated_nearer_than_what_a_peer_calls_its_nearest() {
    let world = located(20);
    let view = published([(4, ms(25))]).coordinate(place(40.0, 0.0));
    let (leg, source) = target_leg(&world, 5, &towards(view));
    assert_eq!((leg, source), (ms(25), LegSource::Estimated));
}

/// Other relays are ranked by their distance to the nearest relays that a peer publishes.
#[test]
fn legs_are_estimated_by_published_pairs_alone() {
    let world = located(20);
    let options = towards(published([(10, ms(5)), (11, ms(8)), (9, ms(9))]));
    let legs: Vec<_> = [12, 14, 16, 18]
        .map(|n| target_leg(&world, n, &options))
        .into();
    assert!(legs.iter().all(|leg| leg.1 == LegSource::Estimated));
    assert!(legs.iter().is_sorted_by_key(|leg| leg.0), "{legs:?}");
    let (near, _) = legs[0];
    assert!((ms(10)..ms(35)).contains(&near), "{near:?}");
    let (far, _) = legs[3];
    assert!((ms(70)..ms(95)).contains(&far), "{far:?}");
}

/// A relay of unknown position is assumed to be nearer to the target than those it calls its
/// nearest, and is no less found for that.
#[test]
fn a_relay_without_a_position_is_found_beside_far_ones_that_are_published() {
    for relays in [20, 100] {
        let world = located(relays);
        world.measure(0, ms(10));
        world.join_with(500, &latency(ms(20)));
        world.maintain();
        // 10 + 150 against 20 + 100.
        let far = published([(0, ms(150))]);
        for view in [far, far.coordinate(place(0.0, 0.0))] {
            assert_eq!(world.verdict_with(500, &towards(view)), Verdict::Chosen);
            assert_eq!(world.found_with(&towards(view)), Some(500), "of {relays}");
        }
    }
}

/// Nor does the height of a relay count where the target has no place: the leg is assumed.
#[test]
fn a_relay_behind_a_slow_link_is_as_near_as_assumed_to_a_target_without_a_position() {
    const NEAR: u32 = 5;
    let world = world_of(32);
    let at = |x: f32, y: f32, height: f32| {
        Coordinate::new(place(x, y).position(), height, 0.0, 0.05).expect("a sane coordinate")
    };
    for n in 0..32 {
        let x = if n < 16 { 500.0 } else { 0.0 } + n as f32;
        let relay = at(x, 0.0, if n == NEAR { 20_000.0 } else { 1_000.0 });
        world.join(n);
        for round in 0..150 {
            // All around it: it is nearer in no direction, so behind a slow link.
            let (sin, cos) = (round as f32).sin_cos();
            let peer = at(x + 40.0 * cos, 40.0 * sin, 10_000.0);
            let view = published([(n, peer.rtt_to(&relay))]).coordinate(peer);
            world.update_peer(&non_relay(), view);
        }
        let rtt = match n {
            NEAR => 5,
            0..16 => 90,
            _ => 10,
        };
        world.measure(n, ms(rtt));
    }
    world.maintain();
    let height = world.relay_coordinate(&id(NEAR)).expect("learned").height();
    assert!(height > 10_000.0, "{height}");
    let unknown = published([(1_000, ms(10))]);
    assert_eq!(world.found_with(&towards(unknown)), Some(NEAR));
}

/// A published relay without a coordinate gives no estimate for other relays.
#[test]
fn a_far_relay_without_a_position_hides_no_near_one() {
    let world = located(20);
    world.join_with(500, &latency(ms(1)));
    for n in 0..20 {
        world.measure(n, ms(if n == 5 { 90 } else { 30 }));
    }
    world.maintain();
    // 1 + 190, 90 + 5, or 30 + about 10 for the neighbours of 5.
    let options = towards(published([(500, ms(190)), (5, ms(5))]));
    let found = world.found_with(&options);
    assert!([Some(4), Some(6)].contains(&found), "{found:?}");
}

/// For a published relay without a coordinate, the published leg counts, not the assumed one.
#[test]
fn a_far_relay_without_a_position_is_as_far_as_is_published() {
    let world = located(20);
    world.join_with(500, &latency(ms(1)));
    for n in 0..20 {
        world.measure(n, ms(30));
    }
    world.maintain();
    // 1 + 400 against 30 + 200; 1 + 150 if it were assumed.
    let options = towards(published([(500, ms(400)), (5, ms(200))]));
    assert_ne!(world.found_with(&options), Some(500));
}

#[test]
fn what_a_relay_says_of_itself_teaches_nothing() {
    let world = located(20);
    let before = world.relay_coordinate(&id(5));
    for _ in 0..200 {
        let liar = published([(5, Duration::from_micros(1))]).coordinate(place(0.0, 0.0));
        assert_eq!(world.update_peer(&id(5), liar), 0);
    }
    assert_eq!(world.relay_coordinate(&id(5)), before);
}

#[test]
fn a_view_without_a_coordinate_teaches_nothing() {
    let world = world();
    world.join(1);
    assert_eq!(world.update_peer(&non_relay(), published([(1, ms(5))])), 0);
    assert_eq!(world.relay_coordinate(&id(1)), None);
    let view = published([(1, ms(5)), (2, ms(5))]).coordinate(place(0.0, 0.0));
    assert_eq!(
        world.update_peer(&non_relay(), view),
        1,
        "of the one that is held"
    );
    assert!(world.relay_coordinate(&id(1)).is_some());
    assert_eq!(world.relay_coordinate(&id(2)), None);
}

#[test]
fn a_relay_that_comes_back_is_where_it_was() {
    let world = located(20);
    let options = towards(PeerView::new().coordinate(place(30.0, 0.0)));
    let leg = target_leg(&world, 5, &options);
    assert_eq!(leg.1, LegSource::Estimated);
    world.leave(5);
    assert_eq!(world.relay_coordinate(&id(5)), None);
    world.join(5);
    assert!(world.relay_coordinate(&id(5)).is_some());
    world.maintain();
    assert_eq!(target_leg(&world, 5, &options), leg);
}

#[test]
fn a_node_finds_its_own_place_by_what_it_measures() {
    let world = located(20);
    let _ = world.coordinate();
    let here = place(60.0, 40.0);
    for _ in 0..60 {
        for n in 0..20 {
            world.measure(n, here.rtt_to(&place_of(n)));
        }
        world.pass(TICK);
    }
    let own = world.coordinate();
    for n in 0..20 {
        let relay = world.relay_coordinate(&id(n)).expect("a place");
        let expected = here.rtt_to(&place_of(n));
        let off = own.rtt_to(&relay).abs_diff(expected);
        assert!(off < expected / 5 + ms(5), "{n}: {off:?} off {expected:?}");
    }
}

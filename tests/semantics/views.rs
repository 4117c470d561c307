//! Both legs of a path: what a target and a requester tell of themselves, and what is made of it.

use crate::assert_is;
use crate::common::*;
use relay_registry::{
    Coordinate, Explained, Failure, FindOptions, LegSource, MAX_RTT, PeerView, PeerViewError,
    Verdict,
};
use std::time::Duration;

/// In a world of so many, the last ones are too far away to matter.
fn crowd(relays: u32) -> World {
    let world = world_of(relays as usize);
    for n in 0..relays {
        world.join_with(n, &latency(ms(if n < 4 { 20 } else { 200 })));
    }
    world.maintain();
    world
}

const CROWDS: [u32; 3] = [4, 64, 1_000];

fn explained(world: &World, n: u32, options: &FindOptions) -> Explained {
    let explanation = world.explain(&stranger(), options);
    explanation
        .of(&id(n))
        .expect("a relay that is held")
        .clone()
}

fn target_leg(world: &World, n: u32, options: &FindOptions) -> (Duration, LegSource) {
    let explained = explained(world, n, options);
    (explained.target_leg, explained.target_leg_source)
}

fn requester_leg(world: &World, n: u32, options: &FindOptions) -> (Duration, LegSource) {
    let explained = explained(world, n, options);
    (explained.requester_leg, explained.requester_leg_source)
}

fn towards(view: PeerView) -> FindOptions {
    FindOptions::new().target_view(view).max_results(1)
}

fn from(view: PeerView) -> FindOptions {
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
        let list = world.find_relays(&stranger(), &options.max_results(3).spread_cost(0.0));
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
        assert_eq!(numbers(&world.find_relays(&stranger(), &options)), [1]);
        let options = options.exclude([id(1)]);
        let passed_over = world.passed_over(&options);
        assert_eq!(passed_over.too_far, 1, "what the requester measured");
        assert_eq!(passed_over.unmeasured as u32, relays - 2, "and what not");
        assert!(world.found_with(&options.allow_unmeasured(true)).is_some());
        // Of a target it says nothing.
        let options = towards(published([(0, ms(300))])).max_latency(ms(1));
        assert_eq!(world.found_with(&options), Some(0));
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
        let nobody = published([(3, ms(1)), (77_777, ms(1))]);
        assert!(world.found_with(&towards(nobody)).is_some());
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

// --- positions ---------------------------------------------------------------------------------

/// Where the relays of [`located`] are: in rows of twenty, 10 ms apart.
fn place_of(n: u32) -> Coordinate {
    place((n % 20) as f32 * 10.0, (n / 20) as f32 * 5.0)
}

/// Relays that peers all over have measured, often enough to be sure.
fn located(relays: u32) -> World {
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

/// A peer at a place tells its true round trip to a relay.
fn teach(world: &World, n: u32, x: f32, y: f32) {
    let peer = place(x, y);
    let rtt = peer.rtt_to(&place_of(n));
    let view = published([(n, rtt)]).coordinate(peer);
    world.learn(&stranger(), &view);
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

/// By the nearest relays that a peer names, others are ranked by their distance from those.
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

/// A relay whose place nobody knows is assumed to be nearer to the target than those it calls its
/// nearest, and is no less found for that.
#[test]
fn a_relay_without_a_place_is_found_beside_far_ones_that_are_published() {
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

/// A published relay without a place says nothing of how near those with one are.
#[test]
fn a_far_relay_without_a_place_hides_no_near_one() {
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

/// Of a relay that is published and has no place, the one leg that is known counts, not what is assumed.
#[test]
fn a_far_relay_without_a_place_is_as_far_as_is_published() {
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
        assert_eq!(world.learn(&id(5), &liar), 0);
    }
    assert_eq!(world.relay_coordinate(&id(5)), before);
}

#[test]
fn a_view_without_a_coordinate_teaches_nothing() {
    let world = world();
    world.join(1);
    assert_eq!(world.learn(&stranger(), &published([(1, ms(5))])), 0);
    assert_eq!(world.relay_coordinate(&id(1)), None);
    let view = published([(1, ms(5)), (2, ms(5))]).coordinate(place(0.0, 0.0));
    assert_eq!(
        world.learn(&stranger(), &view),
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

// --- liars -------------------------------------------------------------------------------------

/// So few that each search looks at all of them.
const WITH_A_LIAR: u32 = 60;
const LIAR: u32 = 7;

/// A world in which this node measured all relays as well.
fn measured() -> World {
    let world = located(WITH_A_LIAR);
    let here = place(200.0, 60.0);
    for n in 0..WITH_A_LIAR {
        world.measure(n, here.rtt_to(&place_of(n)));
    }
    world.maintain();
    world
}

/// How many finds for peers all over pick the liar.
fn picks_of_the_liar(world: &World) -> usize {
    // Where several tie, chance decides: the same each time.
    fastrand::seed(7);
    let coordinate = |seed: u32| {
        let (x, y) = (seed * 17 % 200, seed * 7 % 20);
        PeerView::new().coordinate(place(x as f32, y as f32))
    };
    let picks = |pair: u32| {
        let from_here = towards(coordinate(pair * 5 + 3));
        let options = [
            from_here.clone(),
            from_here.requester_view(coordinate(pair)),
        ];
        let is_liar = |options: &&FindOptions| world.found_with(options) == Some(LIAR);
        options.iter().filter(is_liar).count()
    };
    (0..800).map(picks).sum()
}

#[test]
fn a_relay_that_claims_to_be_everywhere_wins_no_more_picks_than_an_honest_one() {
    let world = measured();
    let honest = picks_of_the_liar(&world);
    let next_to_nothing = Duration::from_micros(1);
    world.renew_with(LIAR, &latency(next_to_nothing));
    for x in 0..400 {
        let view = published([(LIAR, next_to_nothing)]).coordinate(place(x as f32 / 2.0, 0.0));
        assert_eq!(world.learn(&id(LIAR), &view), 0);
    }
    world.maintain();
    assert_eq!(picks_of_the_liar(&world), honest);
}

/// It may say of others that they are far, as often as any honest peer says where they are.
#[test]
fn a_relay_that_says_the_others_are_far_wins_hardly_more_picks_than_an_honest_one() {
    let world = measured();
    let honest = picks_of_the_liar(&world);
    for _ in 0..2 {
        for n in (0..WITH_A_LIAR).filter(|&n| n != LIAR) {
            let view = published([(n, MAX_RTT)]).coordinate(place_of(n));
            world.learn(&id(LIAR), &view);
        }
    }
    world.maintain();
    let liar = picks_of_the_liar(&world);
    assert!(
        liar <= honest * 5 / 4 + 5,
        "{liar} picks, honestly {honest}"
    );
}

#[test]
fn a_relay_that_claims_to_be_everywhere_through_its_targets_view_gains_nothing() {
    let world = located(40);
    let options = towards(published([(7, Duration::from_micros(1))]));
    for _ in 0..10 {
        let found = world.find_relay_with(&id(7), &options).expect("another");
        assert_ne!(number(found.node_id()), 7);
    }
}

// --- never none --------------------------------------------------------------------------------

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
            let _ = world.find_relay_with(&stranger(), options);
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
                    let lease = world.reserve(&stranger(), &options);
                    assert!(lease.is_ok());
                    let list = world.find_relays(&stranger(), &options.clone().max_results(3));
                    assert_eq!(numbers(&list), [one]);
                }
            }
        }
    }
}

// --- what is refused ---------------------------------------------------------------------------

#[test]
fn a_view_refuses_what_cannot_be() {
    let view = published([(1, ms(1)), (2, MAX_RTT), (3, ms(3))]);
    assert_eq!(view.measured(id(4), ms(1)), Err(PeerViewError::Full));
    for rtt in [
        Duration::ZERO,
        MAX_RTT + Duration::from_nanos(1),
        Duration::MAX,
    ] {
        assert_is!(
            view.measured(id(1), rtt),
            Err(PeerViewError::InvalidRtt { rtt: told, .. }) if told == rtt
        );
    }
    let corrected = view.measured(id(2), ms(2));
    assert!(corrected.is_ok_and(|corrected| corrected != view));
}

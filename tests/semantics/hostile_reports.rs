//! Relays and peers that report false round trips and coordinates.

use crate::common::*;
use crate::positions::{located, place_of};
use crate::views::towards;
use relay_registry::{FindOptions, MAX_RTT, PeerView};
use std::time::Duration;

/// Few relays, so that each search compares all of them.
const WITH_A_LIAR: u32 = 60;
const LIAR: u32 = 7;

/// A world in which this node also measured all relays.
fn measured() -> World {
    let world = located(WITH_A_LIAR);
    let here = place(200.0, 60.0);
    for n in 0..WITH_A_LIAR {
        world.measure(n, here.rtt_to(&place_of(n)));
    }
    world.maintain();
    world
}

/// How many finds for peers all over choose the lying relay.
fn picks_of_the_liar(world: &World) -> usize {
    // Ties are broken at random, with the same numbers each time.
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
        assert_eq!(world.update_peer(&id(LIAR), view), 0);
    }
    world.maintain();
    assert_eq!(picks_of_the_liar(&world), honest);
}

/// It reports of the others that they are far, as often as an honest peer reports true round trips.
#[test]
fn a_relay_that_says_the_others_are_far_wins_hardly_more_picks_than_an_honest_one() {
    let world = measured();
    let honest = picks_of_the_liar(&world);
    for _ in 0..2 {
        for n in (0..WITH_A_LIAR).filter(|&n| n != LIAR) {
            let view = published([(n, MAX_RTT)]).coordinate(place_of(n));
            world.update_peer(&id(LIAR), view);
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

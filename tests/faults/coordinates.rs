//! Coordinates under faults: targets beyond the longest round trip, and paths that violate the triangle
//! inequality.

use crate::common::*;
use relay_registry::{Coordinate, FindOptions, MAX_RTT, PeerView};
use std::time::Duration;

/// How many relays there are: 1 s from here on one side, or 2 s on the other.
const RELAYS: u32 = 64;
const SAMPLES: u16 = 300;

fn is_far(n: u32) -> bool {
    n % 2 == 1
}

fn place_of_relay(n: u32) -> Coordinate {
    let aside = n as f32;
    if is_far(n) {
        place(2_000.0, aside)
    } else {
        place(-1_000.0, aside)
    }
}

/// The relays on both sides, measured from here and by peers anywhere between.
fn two_sides() -> World {
    let world = world_of(RELAYS as usize);
    for n in 0..RELAYS {
        world.join(n);
        world.measure(n, place(0.0, 0.0).rtt_to(&place_of_relay(n)));
    }
    for sample in 0..SAMPLES {
        let (along, across) = (f32::from(sample * 7 % 31), f32::from(sample * 5 % 17));
        let peer = place(along * 120.0 - 1_300.0, across * 20.0 - 160.0);
        for n in 0..RELAYS {
            let rtt = peer.rtt_to(&place_of_relay(n));
            let view = published([(n, rtt)]).coordinate(peer);
            world.update_peer(&non_relay(), view);
        }
    }
    world.maintain();
    world
}

/// A leg is at most the longest round trip, so the path over the nearer relay is shorter even if the other
/// one is nearer to the target's coordinate.
#[test]
fn a_target_beyond_the_longest_round_trip_is_reached_by_the_nearest_relay() {
    fastrand::seed(1);
    let world = two_sides();
    let mut position = [0.0; Coordinate::DIMENSIONS];
    position[0] = 2e6;
    let target = Coordinate::new(position, 1e7, 0.0, 0.1).unwrap();
    let options = FindOptions::new().target_view(PeerView::new().coordinate(target));
    let explanation = world.explain(&non_relay(), &options);
    for n in 0..RELAYS {
        let path = explanation.of(&id(n)).expect("held").path();
        let own = Duration::from_secs(if is_far(n) { 2 } else { 1 });
        assert!(path.abs_diff(own + MAX_RTT) < ms(50), "{n}: {path:?}");
    }
    let found = world.find_relay_with(&non_relay(), &options).unwrap();
    assert!(!is_far(number(found.node_id())), "{found:?}");
}

/// No coordinate of a relay explains a path with a long detour. A registry takes it for an outlier, until
/// the same value was reported often.
#[test]
fn what_a_peer_tells_each_time_is_taken_in_sooner_or_later() {
    fastrand::seed(1);
    let world = world();
    world.join(1);
    let relay = place(20.0, 10.0);
    let tell = |peer: Coordinate, detour: Duration| {
        let view = published([(1, peer.rtt_to(&relay) + detour)]).coordinate(peer);
        world.update_peer(&non_relay(), view)
    };
    let tell_straight = |n: u16| {
        let angle = f32::from(n % 16) / 16.0 * std::f32::consts::TAU;
        tell(place(60.0 * angle.cos(), 60.0 * angle.sin()), ms(0));
    };
    (0..400).for_each(tell_straight);

    let detoured = place(60.0, 5.0);
    let burst: usize = (0..10).map(|_| tell(detoured, ms(115))).sum();
    assert_eq!(burst, 0, "all at once is one piece of evidence");
    let round = |_| {
        (0..16).for_each(tell_straight);
        tell(detoured, ms(115))
    };
    let taken_in: usize = (0..30).map(round).sum();
    assert!((5..=15).contains(&taken_in), "gently: {taken_in}");

    let found = world.relay_coordinate(&id(1)).unwrap();
    let straight = place(-60.0, 5.0);
    let off = found.rtt_to(&straight).abs_diff(relay.rtt_to(&straight));
    assert!(off < ms(8), "{off:?}");
}

//! Finds for a pair of peers, with each kind of view: how close the choice is to the best by the registry's
//! knowledge.

use crate::common::*;
use relay_registry::{Coordinate, FindOptions, PeerView};

/// How many measurements of each relay there are: enough for its coordinate to be used.
const SAMPLES: usize = 60;
/// How many pairs there are for each kind of view.
const PAIRS: usize = 60;
/// The side of the square with all relays and peers, in milliseconds.
const SIDE: f32 = 200.0;

/// A generator of positions (Vigna's splitmix64), so that worlds can be made again.
struct Places(u64);

impl Places {
    fn next(&mut self) -> (f32, f32) {
        ((self.unit() - 0.5) * SIDE, (self.unit() - 0.5) * SIDE)
    }

    fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 40) as f32 / (1 << 24) as f32
    }
}

struct Square {
    world: World,
    places: Places,
    relays: Vec<Coordinate>,
}

impl Square {
    /// Relays all over, measured by this node in a corner and by peers anywhere.
    fn new(relays: u32, seed: u64) -> Self {
        Self::with(relays, 0, relays, seed)
    }

    /// The same, the first of them liars that answer as if they were far outside of the square, each in
    /// another direction.
    fn with_liars(relays: u32, liars: u32, seed: u64) -> Self {
        Self::with(relays, liars, relays, seed)
    }

    fn with(relays: u32, liars: u32, located: u32, seed: u64) -> Self {
        let world = world_of(relays as usize);
        let mut places = Places(seed);
        let here = place(-SIDE / 2.0, -SIDE / 2.0);
        let mut square = Vec::new();
        for n in 0..relays {
            let (x, y) = places.next();
            let at = if n < liars {
                far_out(n as f32 / liars as f32)
            } else {
                place(x, y)
            };
            world.join(n);
            world.measure(n, here.rtt_to(&at));
            square.push(at);
        }
        let mut square = Self {
            world,
            places,
            relays: square,
        };
        square.locate(0..located);
        square
    }

    /// Peers anywhere report their round trips to these relays.
    fn locate(&mut self, relays: std::ops::Range<u32>) {
        for _ in 0..SAMPLES {
            for n in relays.clone() {
                let peer = self.somewhere();
                let rtt = peer.rtt_to(&self.relays[n as usize]);
                let view = published([(n, rtt)]).coordinate(peer);
                self.world.update_peer(&teacher(), view);
            }
        }
        self.world.maintain();
    }

    fn somewhere(&mut self) -> Coordinate {
        let (x, y) = self.places.next();
        place(x, y)
    }

    /// What a peer publishes: its three nearest relays.
    fn nearest_to(&self, peer: &Coordinate) -> PeerView {
        let mut rtts: Vec<_> = (0..)
            .zip(self.relays.iter().map(|at| at.rtt_to(peer)))
            .collect();
        rtts.sort_by_key(|&(_, rtt)| rtt);
        published(rtts[..3].iter().copied())
    }

    /// Asserts of finds for random pairs that each path is at most so much longer than the best
    /// that an explanation shows.
    #[track_caller]
    fn assert_close(
        &mut self,
        what: &str,
        most: f64,
        mut pair: impl FnMut(&mut Self) -> FindOptions,
    ) {
        let mut worst = 1.0;
        for _ in 0..PAIRS {
            let options = pair(self);
            let found = self.world.find_relay_with(&non_relay(), &options);
            let explanation = self.world.explain(&non_relay(), &options);
            let path = |relay| {
                let explained = explanation.of(&relay).expect("held");
                explained.path().as_secs_f64()
            };
            let best = explanation.relays()[0].relay;
            let ratio = path(found.expect("some relay").node_id()) / path(best);
            assert!(ratio >= 1.0 - 1e-6, "{what}: better than the best");
            worst = f64::max(worst, ratio);
        }
        println!("{what}: {worst:.4} at the worst");
        assert!(worst <= most, "{what}: {worst}");
    }
}

/// A place 1 s from the middle of the square, in a direction that is given as a share of all.
fn far_out(direction: f32) -> Coordinate {
    let (y, x) = (direction * std::f32::consts::TAU).sin_cos();
    place(1_000.0 * x, 1_000.0 * y)
}

fn by_coordinate(at: Coordinate) -> PeerView {
    PeerView::new().coordinate(at)
}

/// In each of the ways to describe a pair.
#[track_caller]
fn assert_close_to_best(square: &mut Square, most: f64) {
    square.assert_close("target by coordinate", most, |square| {
        let target = by_coordinate(square.somewhere());
        FindOptions::new().target_view(target).max_results(1)
    });
    square.assert_close("target by round trips", most, |square| {
        let target = square.somewhere();
        let view = square.nearest_to(&target);
        FindOptions::new().target_view(view).max_results(1)
    });
    square.assert_close("both by coordinate", most, both_by_coordinate);
    square.assert_close("requester by coordinate", most, |square| {
        let requester = by_coordinate(square.somewhere());
        FindOptions::new().requester_view(requester).max_results(1)
    });
}

fn both_by_coordinate(square: &mut Square) -> FindOptions {
    let (requester, target) = (square.somewhere(), square.somewhere());
    FindOptions::new()
        .requester_view(by_coordinate(requester))
        .target_view(by_coordinate(target))
        .max_results(1)
}

/// Ranks of few relays have a precision of 1/512, and estimates are rounded to microseconds.
#[test]
fn the_choice_for_a_pair_is_the_best_of_few() {
    assert_close_to_best(&mut Square::new(64, 7), 1.002);
}

/// Ranks of many relays have a precision of 1/32, and a long search accepts a slightly worse relay. The
/// first call for peers in an area has the same bound.
const CLOSE: f64 = 1.05;

#[test]
fn the_choice_for_a_pair_is_close_to_the_best_of_a_thousand() {
    assert_close_to_best(&mut Square::new(1_000, 7), CLOSE);
}

#[test]
fn the_choice_for_a_pair_is_close_to_the_best_of_five_thousand() {
    assert_close_to_best(&mut Square::new(5_000, 7), CLOSE);
}

/// Boxes are around the positions that were known at the last pass, and relays of which none was known are
/// not left out.
#[test]
fn relays_without_a_position_and_those_that_get_one_later_are_chosen_like_others() {
    let mut square = Square::with(1_000, 0, 300, 7);
    square.assert_close("300 located", CLOSE, both_by_coordinate);
    square.locate(300..1_000);
    square.assert_close("all located", CLOSE, both_by_coordinate);
}

/// Relays that delay their answers can seem arbitrarily far away. The bounding boxes with them are then as
/// large.
#[test]
fn relays_that_pretend_to_be_far_away_hide_no_others() {
    assert_close_to_best(&mut Square::with_liars(1_000, 31, 7), CLOSE);
}

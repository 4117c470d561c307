//! Choosing for a pair far away, among more relays than are looked at: how close to the best.

use crate::common::*;
use relay_registry::{Coordinate, FindOptions, PeerView};

/// Measurements of each relay by peers, enough to be sure of its place.
const SAMPLES: usize = 60;
/// Pairs asked for in each way.
const PAIRS: usize = 60;
/// Side of the square that all live in, in milliseconds.
const SIDE: f32 = 200.0;

/// A generator of places (Vigna's splitmix64), so that worlds can be made again.
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

    /// Peers anywhere tell how far these relays are.
    fn locate(&mut self, relays: std::ops::Range<u32>) {
        for _ in 0..SAMPLES {
            for n in relays.clone() {
                let peer = self.somewhere();
                let rtt = peer.rtt_to(&self.relays[n as usize]);
                let view = published([(n, rtt)]).coordinate(peer);
                self.world.learn(&stranger(), &view);
            }
        }
        self.world.maintain();
    }

    fn somewhere(&mut self) -> Coordinate {
        let (x, y) = self.places.next();
        place(x, y)
    }

    /// What a peer publishes: its nearest three.
    fn nearest_to(&self, peer: &Coordinate) -> PeerView {
        let mut rtts: Vec<_> = (0..)
            .zip(self.relays.iter().map(|at| at.rtt_to(peer)))
            .collect();
        rtts.sort_by_key(|&(_, rtt)| rtt);
        published(rtts[..3].iter().copied())
    }

    /// Finds for random pairs, after some that let the registry know which are asked for.
    fn ratios(&mut self, mut pair: impl FnMut(&mut Self) -> FindOptions) -> Ratios {
        for _ in 0..3 {
            for _ in 0..PAIRS {
                let options = pair(self);
                let _ = self.world.find_relay_with(&stranger(), &options);
            }
            self.world.pass(TICK);
        }
        self.ratios_at_once(pair)
    }

    fn ratios_at_once(&mut self, mut pair: impl FnMut(&mut Self) -> FindOptions) -> Ratios {
        let ratio = |_| {
            let options = pair(self);
            let found = self.world.find_relay_with(&stranger(), &options);
            let explanation = self.world.explain(&stranger(), &options);
            let path = |relay| {
                let explained = explanation.of(&relay).expect("held");
                explained.path().as_secs_f64()
            };
            let best = explanation.relays()[0].relay;
            path(found.expect("some relay").node_id()) / path(best)
        };
        let mut ratios: Vec<f64> = (0..PAIRS).map(ratio).collect();
        ratios.sort_by(f64::total_cmp);
        Ratios(ratios)
    }
}

/// The paths found, by the best ones, in order.
struct Ratios(Vec<f64>);

impl Ratios {
    fn at(&self, share: f64) -> f64 {
        self.0[(self.0.len() as f64 * share) as usize]
    }

    #[track_caller]
    fn assert_within(&self, what: &str, (median, p90): (f64, f64)) {
        let (half, most) = (self.at(0.5), self.at(0.9));
        println!("{what}: median {half:.3}, p90 {most:.3}");
        assert!(self.0[0] >= 1.0 - 1e-6, "better than the best");
        assert!(half <= median && most <= p90, "{what}: {half} and {most}");
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

/// The median and the p90 at most, in each of these ways to describe a pair.
#[derive(Clone, Copy)]
struct Limits {
    target: (f64, f64),
    both: (f64, f64),
    requester: (f64, f64),
}

#[track_caller]
fn assert_close_to_best(relays: u32, limits: Limits) {
    assert_close_to_best_in(Square::new(relays, 7), limits);
}

#[track_caller]
fn assert_close_to_best_in(mut square: Square, limits: Limits) {
    let ratios = square.ratios(|square| {
        let target = by_coordinate(square.somewhere());
        FindOptions::new().target_view(target).max_results(1)
    });
    ratios.assert_within("target by coordinate", limits.target);
    let ratios = square.ratios(|square| {
        let target = square.somewhere();
        let view = square.nearest_to(&target);
        FindOptions::new().target_view(view).max_results(1)
    });
    ratios.assert_within("target by pairs", limits.target);
    let ratios = square.ratios(|square| {
        let (requester, target) = (square.somewhere(), square.somewhere());
        FindOptions::new()
            .requester_view(by_coordinate(requester))
            .target_view(by_coordinate(target))
            .max_results(1)
    });
    ratios.assert_within("both by coordinate", limits.both);
    let ratios = square.ratios(|square| {
        let requester = by_coordinate(square.somewhere());
        FindOptions::new().requester_view(requester).max_results(1)
    });
    ratios.assert_within("requester by coordinate", limits.requester);
}

/// So few are all looked at.
#[test]
fn the_choice_for_a_pair_is_the_best_of_few() {
    let exact = (1.0 + 1e-6, 1.0 + 1e-6);
    let limits = Limits {
        target: exact,
        both: exact,
        requester: exact,
    };
    assert_close_to_best(64, limits);
}

/// Of a district's order only some entries are looked at, so the best is missed now and then. Seen were
/// medians of 1.00 and a p90 of 1.02 to 1.03; 1.09 to 1.14 where both are elsewhere; and a median of 1.03
/// to 1.06 and a p90 of 1.11 to 1.16 for a requester alone. Without districts these last two were 1.2 and 3,
/// and 1.5 and 1.8.
const CLOSE: Limits = Limits {
    target: (1.03, 1.08),
    both: (1.03, 1.30),
    requester: (1.12, 1.30),
};

#[test]
fn the_choice_for_a_pair_is_close_to_the_best_of_a_thousand() {
    assert_close_to_best(1_000, CLOSE);
}

#[test]
fn the_choice_for_a_pair_is_close_to_the_best_of_five_thousand() {
    assert_close_to_best(5_000, CLOSE);
}

/// When many more relays are located, districts are laid out anew; those that are in use stay so.
#[test]
fn districts_in_use_outlive_that_they_are_laid_out_anew() {
    let mut square = Square::with(1_000, 0, 300, 7);
    let pair = |square: &mut Square| {
        let (requester, target) = (square.somewhere(), square.somewhere());
        FindOptions::new()
            .requester_view(by_coordinate(requester))
            .target_view(by_coordinate(target))
            .max_results(1)
    };
    square.ratios(pair);
    square.locate(300..1_000);
    let ratios = square.ratios_at_once(pair);
    ratios.assert_within("both by coordinate", CLOSE.both);
}

/// Relays that delay their answers, to each as it suits them, can look as far away as they like. The
/// districts were once laid out around the farthest relays, whoever they were, so that thirty of a thousand
/// left all others a single one.
#[test]
fn relays_that_pretend_to_be_far_away_leave_the_others_their_districts() {
    assert_close_to_best_in(Square::with_liars(1_000, 31, 7), CLOSE);
}

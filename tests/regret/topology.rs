//! A synthetic world of relays and peers, which coordinates describe exactly, and the paths that a registry
//! estimates in it.

use crate::common::*;
use crate::question::Question;
use crate::scene::{Relay, Scene};
use fastrand::Rng;
use relay_registry::{Coordinate, FindOptions, PeerView};
use std::time::Duration;

/// Measurements of each relay by peers, enough for its position to be used.
const WITNESSES: usize = 24;
/// No relay has this number.
const UNKNOWN: u32 = u32::MAX;
/// The side of the cube with all nodes, in microseconds.
const SIDE: f32 = 100_000.0;

/// Which views a call gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Views {
    /// The target's coordinate.
    Coordinate,
    /// The target's round trips to the three relays nearest to it.
    Published,
    /// Both of the target.
    Both,
    /// Both of the target, and the coordinate of a requester elsewhere.
    Pair,
    /// Of the target, its round trip to a relay that this registry does not know.
    Nowhere,
}

impl Views {
    /// All of them; where it takes long to ask, those that cover the most.
    pub const fn among(relays: usize) -> &'static [Self] {
        if relays < 1_000 {
            &[Self::Coordinate, Self::Published, Self::Both, Self::Pair]
        } else {
            &[Self::Coordinate, Self::Pair]
        }
    }
}

/// Where the targets are.
#[derive(Clone, Copy, Debug)]
pub enum Targets {
    Anywhere,
    /// All within a millisecond.
    OnePlace,
}

/// A scene whose relays have coordinates that the registry has learned.
pub struct Topology {
    pub scene: Scene,
    places: Vec<Coordinate>,
    rng: Rng,
}

impl Topology {
    pub fn new(relays: usize, capacity: u32, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let home = anywhere(&mut rng);
        let places: Vec<_> = (0..relays).map(|_| anywhere(&mut rng)).collect();
        let relay = |at: &Coordinate| Relay::new(home.rtt_to(at), capacity);
        let scene = Scene::of(places.iter().map(relay).collect(), seed);
        for (n, at) in (0..).zip(&places) {
            for _ in 0..WITNESSES {
                let peer = anywhere(&mut rng);
                let view = published([(n, peer.rtt_to(at))]).coordinate(peer);
                scene.world.update_peer(&non_relay(), view);
            }
        }
        scene.world.maintain();
        Self { scene, places, rng }
    }

    /// Questions for so many pairs.
    pub fn questions(&mut self, views: Views, targets: Targets, count: usize) -> Vec<Question> {
        let centre = anywhere(&mut self.rng);
        let target = |rng: &mut Rng| match targets {
            Targets::Anywhere => anywhere(rng),
            Targets::OnePlace => beside(&centre, rng),
        };
        (0..count)
            .map(|_| {
                let target = target(&mut self.rng);
                let requester = anywhere(&mut self.rng);
                self.question(self.options(views, target, requester))
            })
            .collect()
    }

    fn options(&self, views: Views, target: Coordinate, requester: Coordinate) -> FindOptions {
        let options = FindOptions::new();
        let at = PeerView::new().coordinate(target);
        match views {
            Views::Coordinate => options.target_view(at),
            Views::Published => options.target_view(self.nearest(target)),
            Views::Both => options.target_view(self.nearest(target).coordinate(target)),
            Views::Pair => options
                .target_view(self.nearest(target).coordinate(target))
                .requester_view(PeerView::new().coordinate(requester)),
            Views::Nowhere => options.target_view(published([(UNKNOWN, ms(10))])),
        }
    }

    fn nearest(&self, peer: Coordinate) -> PeerView {
        let rtts = self.places.iter().map(|at| at.rtt_to(&peer));
        let mut rtts: Vec<(u32, Duration)> = (0..).zip(rtts).collect();
        rtts.sort_by_key(|(_, rtt)| *rtt);
        published(rtts.into_iter().take(3))
    }

    /// The paths are the registry's own estimates, from an explanation.
    pub fn question(&self, options: FindOptions) -> Question {
        let explanation = self.scene.world.explain(&non_relay(), &options);
        let mut paths = vec![u32::MAX; self.scene.relays.len()];
        for explained in explanation.relays() {
            let path = explained.path().as_micros();
            paths[number(explained.relay) as usize] = path as u32;
        }
        Question::pair(options, paths)
    }
}

/// A place in a cube, behind an access link of its own.
fn anywhere(rng: &mut Rng) -> Coordinate {
    let mut position = [0.0; Coordinate::DIMENSIONS];
    for axis in position.iter_mut().take(3) {
        *axis = rng.f32() * SIDE;
    }
    let height = 500.0 + rng.f32().powi(3) * 20_000.0;
    Coordinate::new(position, height, 0.0, 0.05).expect("a sane coordinate")
}

/// A place within a millisecond of another.
fn beside(centre: &Coordinate, rng: &mut Rng) -> Coordinate {
    let mut position = centre.position();
    for axis in position.iter_mut().take(3) {
        *axis += rng.f32() * 500.0;
    }
    Coordinate::new(position, 1_000.0, 0.0, 0.05).expect("a sane coordinate")
}

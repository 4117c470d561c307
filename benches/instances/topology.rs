//! Relays and peers in a synthetic world of thirty metropolitan areas, with access links, which coordinates
//! describe exactly. Loads are of other nodes, at 0.6 of the capacity, or of the registry's reservations.

use super::{Sessions, empty_registry, endpoint, random_id};
use fastrand::Rng;
use relay_registry::{Coordinate, FindOptions, NodeId, PeerView, RegisterOptions, Registry};
use std::time::Duration;

const AXES: usize = Coordinate::DIMENSIONS;
const CAPACITY: u32 = 1_000;

/// A position in the world, with the round trip of its access link.
pub type Place = ([f32; AXES], f32);

pub struct World {
    pub registry: Registry,
    capacity: u32,
    home: Place,
    relays: Vec<(NodeId, Place, u32)>,
    targets: Vec<(NodeId, Place)>,
}

/// What a target publishes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum View {
    None,
    Coordinate,
    /// The round trips to the three relays nearest to it.
    Published,
    Both,
}

impl View {
    pub const ALL: [Self; 4] = [Self::None, Self::Coordinate, Self::Published, Self::Both];

    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Coordinate => "coordinate",
            Self::Published => "published",
            Self::Both => "both",
        }
    }
}

impl World {
    /// Random peers have reported their round trip to each relay. Loads are of other nodes.
    pub fn new(relays: usize, targets: usize, witnesses: usize, seed: u64) -> Self {
        let mut world = Self::idle(relays, CAPACITY, targets, witnesses, seed);
        let mut rng = Rng::with_seed(seed);
        for (id, _, load) in &mut world.relays {
            *load = rng.u32(CAPACITY / 5..CAPACITY);
            world.registry.report_load(id, *load);
        }
        world
    }

    /// The same without any load.
    pub fn idle(relays: usize, capacity: u32, targets: usize, witnesses: usize, seed: u64) -> Self {
        let rng = &mut Rng::with_seed(seed);
        let registry = empty_registry(relays);
        let metros = Metros::new(&mut Rng::with_seed(11));
        let home = metros.place(rng);
        let relays: Vec<_> = (0..relays)
            .map(|_| (random_id(rng), metros.place(rng), 0))
            .collect();
        let options = RegisterOptions::new().capacity(capacity);
        for (id, at, _) in &relays {
            registry
                .register_with(*id, endpoint(), &options)
                .expect("there is room");
            registry.record_rtt(id, rtt(&home, at));
        }
        for (id, at, _) in &relays {
            for _ in 0..witnesses {
                let place = metros.place(rng);
                let view = coordinate_of(&place)
                    .measured(*id, rtt(at, &place))
                    .expect("a sane time");
                registry.update_peer(&random_id(rng), view);
            }
        }
        registry.maintain();
        Self {
            registry,
            capacity,
            home,
            relays,
            targets: (0..targets)
                .map(|_| (random_id(rng), metros.place(rng)))
                .collect(),
        }
    }

    /// With all targets within a millisecond of the first.
    pub fn in_one_place(mut self) -> Self {
        let (centre, _) = self.targets[0].1;
        let mut rng = Rng::with_seed(1);
        for (_, (position, _)) in &mut self.targets {
            *position = centre;
            position[0] += rng.f32() * 1_000.0;
        }
        self
    }

    /// Sessions of the pairs of these calls, up to this share of the capacity.
    pub fn settle(&self, calls: &[(NodeId, FindOptions)], share: f64) -> Sessions {
        let wanted = self.relays.len() as f64 * f64::from(self.capacity) * share;
        let take = |rng: &mut Rng| {
            let (target, options) = &calls[rng.usize(..calls.len())];
            let lease = self.registry.reserve(target, options);
            lease.expect("capacity is left")
        };
        Sessions::settle_by(wanted as usize, &mut Rng::with_seed(2), take)
    }

    /// Takes all free capacity.
    pub fn fill(&self) {
        for (id, _, _) in &self.relays {
            self.registry.report_load(id, self.capacity);
        }
    }

    /// The true position of each relay, this node's leg to it in microseconds, and its utilisation.
    pub fn relays(&self) -> impl Iterator<Item = (Place, f32, f32)> {
        self.relays.iter().map(|(id, at, _)| {
            let relay = self.registry.relay(id).expect("a relay that is held");
            let utilisation = relay.current_load() as f32 / self.capacity as f32;
            (*at, rtt(&self.home, at).as_micros() as f32, utilisation)
        })
    }

    /// The positions of the targets.
    pub fn targets(&self) -> impl Iterator<Item = Place> {
        self.targets.iter().map(|(_, at)| *at)
    }

    /// A query for each target, with what it publishes.
    pub fn calls(&self, view: View) -> Vec<(NodeId, FindOptions)> {
        let options = |place: &Place| match view {
            View::None => FindOptions::new(),
            View::Coordinate => FindOptions::new().target_view(coordinate_of(place)),
            View::Published => FindOptions::new().target_view(self.nearest(place, PeerView::new())),
            View::Both => FindOptions::new().target_view(self.nearest(place, coordinate_of(place))),
        };
        let targets = self.targets.iter();
        targets.map(|(id, place)| (*id, options(place))).collect()
    }

    fn nearest(&self, place: &Place, view: PeerView) -> PeerView {
        let mut relays: Vec<_> = self.relays.iter().collect();
        relays.sort_by_key(|(_, at, _)| rtt(at, place));
        relays.iter().take(3).fold(view, |view, (id, at, _)| {
            view.measured(*id, rtt(at, place)).expect("a sane time")
        })
    }

    /// The score of each choice divided by the best score.
    pub fn qualities(&self, calls: &[(NodeId, FindOptions)]) -> Vec<f64> {
        let score = |relay: &(NodeId, Place, u32), target: &Place| {
            let path = rtt(&self.home, &relay.1) + rtt(&relay.1, target);
            let utilisation = f64::from(relay.2) / f64::from(CAPACITY);
            path.as_secs_f64() / (1.0 - utilisation.powi(4))
        };
        let by_target = self.targets.iter().zip(calls);
        by_target
            .map(|((_, place), (target, options))| {
                let found = self.registry.find_relay_with(target, options);
                let id = found.expect("one with room").node_id();
                let found = self.relays.iter().find(|relay| relay.0 == id);
                let scores = self.relays.iter().map(|relay| score(relay, place));
                let best = scores.min_by(f64::total_cmp).expect("a relay");
                score(found.expect("a known relay"), place) / best
            })
            .collect()
    }
}

/// Metropolitan areas; the lower the index, the more peers and relays are there.
struct Metros(Vec<[f32; AXES]>);

const METROS: usize = 30;

impl Metros {
    /// Thirty areas, within about 200 ms by 100 ms.
    fn new(rng: &mut Rng) -> Self {
        let mut centre = |_| {
            let mut position = [0.0; AXES];
            position[0] = rng.f32() * 200_000.0;
            position[1] = rng.f32() * 100_000.0;
            position[2] = normal(rng) * 5_000.0;
            position[3] = normal(rng) * 5_000.0;
            position
        };
        Self((0..METROS).map(&mut centre).collect())
    }

    /// A position within a few milliseconds of the centre of an area, with an access link of 1 ms to
    /// 20 ms.
    fn place(&self, rng: &mut Rng) -> Place {
        let weight = |metro: usize| 1.0 / (metro as f32 + 2.0);
        let mut drawn = rng.f32() * (0..METROS).map(weight).sum::<f32>();
        let metro = (0..METROS - 1).find(|&metro| {
            drawn -= weight(metro);
            drawn < 0.0
        });
        let mut position = self.0[metro.unwrap_or(METROS - 1)];
        for axis in &mut position[..4] {
            *axis += normal(rng) * 2_000.0;
        }
        (position, 1_000.0 + rng.f32() * 19_000.0)
    }
}

/// A random number around 0, mostly within 1.
fn normal(rng: &mut Rng) -> f32 {
    (-2.0 * (1.0 - rng.f32()).ln()).sqrt() * (rng.f32() * std::f32::consts::TAU).cos()
}

fn rtt(one: &Place, other: &Place) -> Duration {
    let square = |(a, b): (&f32, &f32)| (a - b) * (a - b);
    let core: f32 = one.0.iter().zip(&other.0).map(square).sum();
    Duration::from_micros((core.sqrt() + one.1 + other.1) as u64)
}

/// What a peer at this position publishes.
fn coordinate_of(place: &Place) -> PeerView {
    let coordinate = Coordinate::new(place.0, place.1, 0.0, 0.05).expect("in range");
    PeerView::new().coordinate(coordinate)
}

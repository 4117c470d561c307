//! `find_relay_with` for a pair of peers: what it costs beside a plain find,
//! and how good the path is that it chooses.
//!
//! Relays and peers lie in a made-up world with access links of their own, in
//! which coordinates fit, so the figures show what the order of the walk loses
//! and not what estimation does. Loads come from elsewhere, at 0.6 of the
//! capacity on average. Quality is the score of the choice over the best score
//! there is, by the true round trips.
//!
//! ```text
//! cargo bench --bench pairs [-- RELAYS...]
//! ```

use fastrand::Rng;
use relay_registry::{
    Coordinate, FindOptions, Maintenance, ManualClock, NodeId, PeerView, RegisterOptions, Registry,
};
use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const CAPACITY: u32 = 1_000;
const TARGETS: usize = 500;
const ROUNDS: usize = 40;
const REGISTRIES: u64 = 5;
const AXES: usize = Coordinate::DIMENSIONS;

/// A place in the world: coordinates, and the length of the access link.
type Place = ([f32; AXES], f32);

struct World {
    registry: Registry,
    home: Place,
    relays: Vec<(NodeId, Place, u32)>,
    targets: Vec<(NodeId, Place)>,
}

fn main() {
    let sizes: Vec<usize> = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .collect();
    let sizes = if sizes.is_empty() {
        vec![50, 1_000, 10_000]
    } else {
        sizes
    };
    println!(
        "{:>8}  {:<12} {:>9} {:>9} {:>9}  {:>8} {:>8}",
        "relays", "view", "median ns", "p99 ns", "x plain", "quality", "p90"
    );
    for relays in sizes {
        measure(relays);
    }
}

fn measure(relays: usize) {
    let mut plain_median = 0.0;
    for view in ["none", "coordinate", "published", "both"] {
        let (mut times, mut qualities) = (Vec::new(), Vec::new());
        for seed in 0..REGISTRIES {
            let world = world(relays, &mut Rng::with_seed(seed));
            let calls = world.calls(view);
            // Once around for the districts in use, which the next pass prepares.
            calls.iter().for_each(|(target, options)| {
                _ = world.registry.find_relay_with(target, options);
            });
            world.registry.maintain();
            for _ in 0..ROUNDS {
                let start = Instant::now();
                for (target, options) in &calls {
                    _ = black_box(world.registry.find_relay_with(black_box(target), options));
                }
                times.push(start.elapsed());
            }
            qualities.extend(world.qualities(&calls));
        }
        times.sort_unstable();
        let nanos = |percent: usize| {
            let time = times[(times.len() - 1) * percent / 100];
            time.as_secs_f64() * 1e9 / TARGETS as f64
        };
        qualities.sort_unstable_by(f64::total_cmp);
        let quality = |percent: usize| qualities[(qualities.len() - 1) * percent / 100];
        if view == "none" {
            plain_median = nanos(50);
        }
        println!(
            "{relays:>8}  {view:<12} {:>9.1} {:>9.1} {:>9.2}  {:>8.3} {:>8.3}",
            nanos(50),
            nanos(99),
            nanos(50) / plain_median,
            quality(50),
            quality(90)
        );
    }
}

impl World {
    /// A question for each target, with what it knows of itself.
    fn calls(&self, view: &str) -> Vec<(NodeId, FindOptions)> {
        let options = |place: &Place| match view {
            "none" => FindOptions::new(),
            "coordinate" => FindOptions::new().target_view(coordinate_of(place)),
            "published" => FindOptions::new().target_view(self.nearest(place, PeerView::new())),
            _ => FindOptions::new().target_view(self.nearest(place, coordinate_of(place))),
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

    /// The score of each choice over the best there is.
    fn qualities(&self, calls: &[(NodeId, FindOptions)]) -> Vec<f64> {
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

fn world(relays: usize, rng: &mut Rng) -> World {
    let registry = Registry::builder()
        .max_relays(relays)
        .maintenance(Maintenance::Manual)
        .clock(ManualClock::new())
        .build()
        .expect("valid settings");
    let home = place(rng);
    let relays: Vec<_> = (0..relays)
        .map(|_| (random_id(rng), place(rng), rng.u32(CAPACITY / 5..CAPACITY)))
        .collect();
    let options = RegisterOptions::new().capacity(CAPACITY);
    for (id, at, load) in &relays {
        let endpoint = SocketAddr::from(([192, 0, 2, 1], 4433));
        registry
            .register_with(*id, endpoint, &options)
            .expect("there is room");
        registry.report_load(id, *load);
        registry.record_rtt(id, rtt(&home, at));
    }
    // Peers all around tell how far each relay is.
    for (id, at, _) in &relays {
        for _ in 0..64 {
            let place = place(rng);
            let view = coordinate_of(&place)
                .measured(*id, rtt(at, &place))
                .expect("a sane time");
            registry.learn(&random_id(rng), &view);
        }
    }
    registry.maintain();
    World {
        registry,
        home,
        relays,
        targets: (0..TARGETS).map(|_| (random_id(rng), place(rng))).collect(),
    }
}

/// A place in a world of three dimensions, some 100 ms across.
fn place(rng: &mut Rng) -> Place {
    let mut position = [0.0; AXES];
    for axis in position.iter_mut().take(3) {
        *axis = rng.f32() * 100_000.0;
    }
    (position, 500.0 + rng.f32().powi(3) * 20_000.0)
}

fn rtt(one: &Place, other: &Place) -> Duration {
    let square = |(a, b): (&f32, &f32)| (a - b) * (a - b);
    let core: f32 = one.0.iter().zip(&other.0).map(square).sum();
    Duration::from_micros((core.sqrt() + one.1 + other.1) as u64)
}

fn coordinate_of(place: &Place) -> PeerView {
    let coordinate = Coordinate::new(place.0, place.1, 0.0, 0.05).expect("in range");
    PeerView::new().coordinate(coordinate)
}

fn random_id(rng: &mut Rng) -> NodeId {
    let mut id = [0; 32];
    rng.fill(&mut id);
    id.into()
}

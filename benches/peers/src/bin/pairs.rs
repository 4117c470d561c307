//! The cost of a find for a pair of peers, compared with a vectorised scan of all relays and with a plain
//! find among as many idle relays.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml --bin pairs [-- RELAYS...]
//! ```

use relay_registry::{FindOptions, NodeId, Registry};
use relay_registry_peers::instances::Sessions;
use relay_registry_peers::instances::topology::{Place, View, World};
use relay_registry_peers::interleaved::{Contender, Outcome, mean_of, measure_interleaved, report};
use relay_registry_peers::results;
use relay_registry_peers::scan::Scan;
use std::hint::black_box;

/// Small for many relays, so that they are soon loaded.
const fn capacity(relays: usize) -> u32 {
    if relays < 10_000 { 100 } else { 10 }
}

/// The load of an equilibrium, and of one with all targets in one place.
const LOAD: f64 = 0.6;
const TARGETS: usize = 256;
const ROUNDS: usize = 11;

/// The state of the relays, and where the targets are.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Idle,
    Equilibrium,
    /// An equilibrium with all targets in one place.
    HotSpot,
    AllFull,
}

fn main() {
    for relays in results::sizes(&[50, 1_000, 10_000]) {
        for state in [
            State::Idle,
            State::Equilibrium,
            State::HotSpot,
            State::AllFull,
        ] {
            compare(state, relays);
        }
    }
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Equilibrium => "equilibrium",
            Self::HotSpot => "hot spot",
            Self::AllFull => "all full",
        }
    }

    /// A world in this state, and its sessions.
    fn build(self, relays: usize, seed: u64) -> (World, Option<Sessions>) {
        let world = world(relays, seed);
        match self {
            Self::Idle => (world, None),
            Self::Equilibrium => settled(world),
            Self::HotSpot => settled(world.in_one_place()),
            Self::AllFull => {
                world.fill();
                (world, None)
            }
        }
    }
}

fn world(relays: usize, seed: u64) -> World {
    const WITNESSES: usize = 24;
    World::idle(relays, capacity(relays), TARGETS, WITNESSES, seed)
}

fn settled(world: World) -> (World, Option<Sessions>) {
    let sessions = world.settle(&world.calls(View::Coordinate), LOAD);
    (world, Some(sessions))
}

fn compare(state: State, relays: usize) {
    let instances = if relays < 10_000 { 4 } else { 2 };
    let idle = world(relays, instances);
    let on_each: Vec<Vec<Outcome>> = (0..instances)
        .map(|seed| {
            let (world, _sessions) = state.build(relays, seed);
            outcomes(&world, &idle)
        })
        .collect();
    let group = format!("pairs: {}", state.name());
    report(&group, relays, &mean_of(&on_each));
}

fn outcomes(world: &World, idle: &World) -> Vec<Outcome> {
    let [coordinate, published, both] =
        [View::Coordinate, View::Published, View::Both].map(|view| world.calls(view));
    let plain = idle.calls(View::None);
    let scan = Scan::of(world.relays());
    let targets: Vec<Place> = world.targets().collect();
    let mut contenders = [
        finds("find for a pair", &world.registry, &coordinate),
        scans(&scan, &targets),
        finds("plain idle find", &idle.registry, &plain),
        finds("find for a pair, published", &world.registry, &published),
        finds("find for a pair, both", &world.registry, &both),
    ];
    measure_interleaved(ROUNDS, &mut contenders)
}

fn finds<'a>(
    name: &str,
    registry: &'a Registry,
    calls: &'a [(NodeId, FindOptions)],
) -> Contender<'a> {
    let mut queries = calls.iter().cycle();
    Contender::of_any_cost(name, move || {
        let (target, options) = queries.next().expect("endless");
        registry.find_relay_with(black_box(target), options)
    })
}

fn scans<'a>(scan: &'a Scan, targets: &'a [Place]) -> Contender<'a> {
    let mut queries = targets.iter().cycle();
    Contender::of_any_cost("vectorised scan of all relays", move || {
        scan.least(black_box(queries.next().expect("endless")))
    })
}

//! The cost of a find among a million relays, divided by that among a thousand, where all are equal or
//! unmeasured (`price` has the other states). Then the number of nearly full relays after the registry chose
//! for all sessions, divided by that number if the exact best is always chosen.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml --bin growth [-- RELAYS]
//! ```

use fastrand::Rng;
use relay_registry::NodeId;
use relay_registry_peers::instances::{
    Instance, Loads, Recipe, RoundTrips, share_full, target_ids,
};
use relay_registry_peers::interleaved::{Contender, measure_interleaved, report};
use relay_registry_peers::results;
use relay_registry_peers::selectors::{Relay, relays_of};
use std::hint::black_box;

const FEW: usize = 1_000;
const INSTANCES_OF_FEW: u64 = 20;
const ROUNDS: usize = 100;
const CHUNKS: usize = 64;
const CALLS: usize = 64;

fn main() {
    let many = results::sizes(&[1_000_000])[0];
    grow("unmeasured", many, |relays| {
        Recipe::new(relays, RoundTrips::Unmeasured)
    });
    grow("equal", many, |relays| {
        Recipe::new(relays, RoundTrips::Equal)
    });
    for share in [0.6, 0.85] {
        compare_fullness(share);
    }
}

fn grow(world: &str, many: usize, recipe: impl Fn(usize) -> Recipe) {
    let targets = target_ids();
    let few: Vec<Instance> = (0..INSTANCES_OF_FEW)
        .map(|seed| recipe(FEW).build(seed))
        .collect();
    let many = recipe(many).build(0);
    let mut few_registries: Vec<_> = few.iter().map(|it| finds("", it, &targets)).collect();
    let mut next = 0;
    let mut contenders = [
        finds("many relays", &many, &targets),
        Contender::new("1,000 relays", || {
            next = (next + 1) % few_registries.len();
            few_registries[next].sample()
        }),
    ];
    let group = format!("growth: {world}");
    report(
        &group,
        many.ids.len(),
        &measure_interleaved(ROUNDS, &mut contenders),
    );
}

fn finds<'a>(name: &str, it: &'a Instance, targets: &'a [NodeId]) -> Contender<'a> {
    let mut queries = targets.iter().cycle();
    Contender::of_calls(name, CHUNKS, CALLS, move || {
        let target = queries.next().expect("endless");
        it.registry.find_relay(black_box(target)).is_ok()
    })
}

/// The same sessions, chosen by the registry and by the exact best score.
fn compare_fullness(share: f64) {
    const INSTANCES: u64 = 8;
    let recipe = Recipe::new(FEW, RoundTrips::Measured).loads(Loads::Equilibrium(share));
    let (mut ours, mut exact) = (0.0, 0.0);
    for seed in 0..INSTANCES {
        let it = recipe.build(seed);
        ours += share_full(&it.registry) / INSTANCES as f64;
        exact += exactly(relays_of(&it.registry), &mut Rng::with_seed(seed)) / INSTANCES as f64;
    }
    println!("\nshare of relays at least 95 % full, at load {share}");
    results::note("full", FEW, &format!("ours at {share}"), ours);
    results::note("full", FEW, &format!("exact at {share}"), exact);
}

/// Continues from the registry's loads: sessions end, and each next one goes to the relay with the best
/// score. Returns the share of relays that are at least 95 % full then.
fn exactly(mut relays: Vec<Relay>, rng: &mut Rng) -> f64 {
    let each = relays.iter().enumerate();
    let mut sessions: Vec<usize> = each
        .flat_map(|(place, relay)| std::iter::repeat_n(place, relay.load as usize))
        .collect();
    let mut scores: Vec<f32> = relays.iter().map(Relay::score).collect();
    for _ in 0..sessions.len() * 2 {
        let session = rng.usize(..sessions.len());
        let place = sessions[session];
        relays[place].load -= 1;
        scores[place] = relays[place].score();
        let least = scores.iter().copied().fold(f32::INFINITY, f32::min);
        let place = scores.iter().position(|&score| score == least);
        let place = place.expect("a score");
        relays[place].load += 1;
        scores[place] = relays[place].score();
        sessions[session] = place;
    }
    let full = relays.iter().filter(|it| it.load * 100 >= it.capacity * 95);
    full.count() as f64 / relays.len() as f64
}

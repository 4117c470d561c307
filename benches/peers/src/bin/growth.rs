//! What a find costs among a million relays, over what it costs among a
//! thousand, where all are equal or unmeasured (`price` has the other states);
//! and how many relays are nearly full when the registry has made its own load,
//! over how many are when the best is always chosen exactly.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml --bin growth [-- RELAYS]
//! ```

use fastrand::Rng;
use relay_registry::NodeId;
use relay_registry_peers::instances::{Instance, Loads, Recipe, RoundTrips, share_full, target_ids};
use relay_registry_peers::results;
use relay_registry_peers::selectors::{Relay, relays_of};
use relay_registry_peers::turns::{Contender, report, take_turns};
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
    let mut turns_of_few: Vec<_> = few.iter().map(|it| finds("", it, &targets)).collect();
    let mut turn = 0;
    let mut contenders = [
        finds("many relays", &many, &targets),
        Contender::new("1,000 relays", || {
            turn = (turn + 1) % turns_of_few.len();
            turns_of_few[turn].turn()
        }),
    ];
    let group = format!("growth: {world}");
    report(&group, many.ids.len(), &take_turns(ROUNDS, &mut contenders));
}

fn finds<'a>(name: &str, it: &'a Instance, targets: &'a [NodeId]) -> Contender<'a> {
    let mut queries = targets.iter().cycle();
    Contender::of_calls(name, CHUNKS, CALLS, move || {
        let target = queries.next().expect("endless");
        it.registry.find_relay(black_box(target)).is_ok()
    })
}

/// The same sessions, with the registry choosing and with the best score.
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

/// From where the registry left them: each session ends at some time, and the
/// next goes to the relay of the best score of all. The share of those that
/// are at least 95 % full then.
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

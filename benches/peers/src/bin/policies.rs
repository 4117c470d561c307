//! What labels and tiers cost: finds that ask for a label, with the trees of their own and without, and finds
//! in registries with two tiers, compared with a plain find and with one that goes the same way for a latency
//! limit. Then changes, with several filters in force.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml --bin policies [-- RELAYS...]
//! ```

use fastrand::Rng;
use relay_registry::{FindOptions, NodeId, RegisterOptions, Registry};
use relay_registry_peers::instances::{self, Instance, Recipe, RoundTrips, target_ids};
use relay_registry_peers::interleaved::{Contender, measure_interleaved, report};
use relay_registry_peers::results;
use std::hint::black_box;
use std::time::Duration;

/// Labels, and one in how many relays has them.
const LABELS: [(&str, usize); 3] = [("half", 2), ("tenth", 10), ("rare", 1_000)];
/// A registry has trees for so many filters.
const MAX_FILTERS: usize = 16;
const ROUNDS: usize = 15;

fn main() {
    for relays in results::sizes(&[1_000, 100_000, 1_000_000]) {
        compare_labels(relays);
        compare_tiers(relays);
        compare_changes(relays);
    }
}

/// Relays with round trips and independent loads, of which some have a label.
fn labelled(relays: usize) -> Instance {
    let it = Recipe::new(relays, RoundTrips::Measured).build(1);
    let mut rng = Rng::with_seed(2);
    for (at, id) in it.ids.iter().enumerate() {
        let has = |one_in: usize, rng: &mut Rng| at % 1_000 == 7 || rng.usize(..one_in) == 0;
        let labels = LABELS.map(|(label, one_in)| (label, has(one_in, &mut rng)));
        let labels = labels
            .iter()
            .filter(|(_, has)| *has)
            .map(|(label, _)| label);
        let options = RegisterOptions::new().labels(labels.copied());
        let registered = it
            .registry
            .register_with(*id, instances::endpoint(), &options);
        registered.expect("a renewal");
    }
    it
}

/// Asks for a combination of labels, and lets the registry make trees for it.
fn ask_for(registry: &Registry, options: &FindOptions) {
    let target = NodeId::from([9; 32]);
    let _ = black_box(registry.find_relay_with(&target, options));
    registry.maintain();
}

fn compare_labels(relays: usize) {
    let targets = target_ids();
    let (with_trees, without) = (labelled(relays), labelled(relays));
    let requiring = |label: &str| FindOptions::new().require([label]);
    for (label, _) in LABELS {
        ask_for(&with_trees.registry, &requiring(label));
    }
    // The filters that have trees are others.
    for number in 0..MAX_FILTERS {
        ask_for(&without.registry, &requiring(&format!("other-{number}")));
    }
    let (plain, limited) = (
        FindOptions::new(),
        FindOptions::new().max_latency(Duration::from_secs(10)),
    );
    let asked = LABELS.map(|(label, _)| (label, requiring(label)));
    let mut contenders = vec![
        finds("plain find", &with_trees.registry, &targets, &plain),
        finds(
            "find with a latency limit",
            &with_trees.registry,
            &targets,
            &limited,
        ),
    ];
    for (label, options) in &asked {
        for (kind, it) in [("trees", &with_trees), ("no trees", &without)] {
            let name = format!("require `{label}`, {kind}");
            contenders.push(finds(&name, &it.registry, &targets, options));
        }
    }
    let outcomes = measure_interleaved(ROUNDS, &mut contenders);
    report("policies: labels", relays, &outcomes);
}

fn compare_tiers(relays: usize) {
    let targets = target_ids();
    let recipe = Recipe::new(relays, RoundTrips::Measured);
    let one_tier = recipe.build(1);
    let [two_tiers, lower_is_full, higher_only] = [1, 1, 1].map(|seed| recipe.build(seed));
    for it in [&two_tiers, &lower_is_full] {
        move_up(&it.registry, &it.ids[..relays / 2]);
    }
    for id in &lower_is_full.ids[relays / 2..] {
        lower_is_full.registry.report_load(id, 100);
    }
    move_up(&higher_only.registry, &higher_only.ids);
    let plain = FindOptions::new();
    let mut contenders = [
        finds("one tier", &one_tier.registry, &targets, &plain),
        finds("two tiers", &two_tiers.registry, &targets, &plain),
        finds(
            "the lower of two is full",
            &lower_is_full.registry,
            &targets,
            &plain,
        ),
        finds("all in tier 1", &higher_only.registry, &targets, &plain),
    ];
    let outcomes = measure_interleaved(ROUNDS, &mut contenders);
    report("policies: tiers", relays, &outcomes);
}

fn move_up(registry: &Registry, ids: &[NodeId]) {
    for id in ids {
        registry.set_tier(id, 1).expect("the relay is held");
    }
    registry.maintain();
}

fn compare_changes(relays: usize) {
    let registries = [0, 1, 4, MAX_FILTERS].map(|filters| {
        let it = labelled(relays);
        // Each passes half of the relays.
        for number in 0..filters {
            let other = format!("other-{number}");
            ask_for(
                &it.registry,
                &FindOptions::new().require(["half"]).avoid([other]),
            );
        }
        (filters, it)
    });
    let mut contenders: Vec<_> = registries
        .iter()
        .map(|(filters, it)| reports(&format!("report_load, {filters} filters"), it))
        .collect();
    let outcomes = measure_interleaved(ROUNDS, &mut contenders);
    report("policies: changes", relays, &outcomes);
}

fn finds<'a>(
    name: &str,
    registry: &'a Registry,
    targets: &'a [NodeId],
    options: &'a FindOptions,
) -> Contender<'a> {
    let mut queries = targets.iter().cycle();
    Contender::of_any_cost(name, move || {
        let target = queries.next().expect("endless");
        let found = registry.find_relay_with(black_box(target), options);
        assert!(black_box(found).is_ok());
    })
}

/// Loads that change, of one random relay after another.
fn reports<'a>(name: &str, it: &'a Instance) -> Contender<'a> {
    let mut rng = Rng::with_seed(3);
    Contender::of_calls(name, 16, 256, move || {
        let id = &it.ids[rng.usize(..it.ids.len())];
        it.registry.report_load(black_box(id), rng.u32(..100))
    })
}

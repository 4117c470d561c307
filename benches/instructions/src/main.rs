//! The hot operations; callgrind counts their instructions.
//!
//! Only instructions inside [`counted`] count. The name of each operation and its number of calls are printed
//! in the same order. All random numbers are fixed, so the counts are equal in every run.
//! `ci/instructions.sh` runs this.

#[path = "../../instances/mod.rs"]
mod instances;
mod randomness;

use fastrand::Rng;
use instances::topology::{View, World};
use instances::{Instance, Loads, Recipe, RoundTrips, empty_registry_on, endpoint, random_ids};
use relay_registry::{FindOptions, ManualClock, NodeId, RegisterOptions, Registration, Registry};
use std::hint::black_box;
use std::time::Duration;

const RELAYS: usize = 1_000;
/// How many instances a figure has, and how many calls on each.
const INSTANCES: u64 = 20;
const CALLS: usize = 100;

fn main() {
    randomness::fix();
    let targets = random_ids(CALLS, &mut Rng::with_seed(u64::MAX));
    let measured = instances(&Recipe::new(RELAYS, RoundTrips::Measured));
    warm_up(&measured[0], &targets);
    for it in &measured {
        lookup(it, &targets);
    }
    for it in &measured {
        find(it, &targets, "find_relay, independent");
        search(it, &targets, "find_relay_with a latency limit, independent");
        find_several(it, &targets, "find_relays(3), independent");
        reserve(it, &targets, "reserve + drop, independent");
    }
    for it in &instances(&Recipe::new(RELAYS, RoundTrips::Unmeasured)) {
        find(it, &targets, "find_relay, unmeasured");
    }
    for it in &instances(&SETTLED) {
        find(it, &targets, "find_relay, equilibrium");
        search(it, &targets, "find_relay_with a latency limit, equilibrium");
        reserve(it, &targets, "reserve + drop, equilibrium");
    }
    find_for_pairs();
    for it in &measured {
        change(it);
    }
    come_and_go();
    ask_for_units();
    ask_for_labels();
    answer_from_a_higher_tier();
}

/// A small capacity, which is soon used up.
const SETTLED: Recipe = Recipe::new(RELAYS, RoundTrips::Measured)
    .capacity(10)
    .loads(Loads::Equilibrium(0.6));

fn instances(recipe: &Recipe) -> Vec<Instance> {
    (1..=INSTANCES).map(|seed| recipe.build(seed)).collect()
}

/// Makes the first calls of the thread, which are not counted.
fn warm_up(it: &Instance, targets: &[NodeId]) {
    let lease = it.registry.reserve(&targets[0], &FindOptions::new());
    assert!(lease.is_ok() && it.registry.is_relay(&it.ids[0]));
}

/// Runs the part that is counted.
#[unsafe(no_mangle)]
#[inline(never)]
fn counted(act: &mut dyn FnMut()) {
    act();
}

/// Counts one call for each key, and checks the answer.
fn count<K>(name: &str, keys: &[K], mut act: impl FnMut(&K) -> bool) {
    let mut done = 0;
    counted(&mut || {
        for key in keys {
            done += usize::from(act(black_box(key)));
        }
    });
    assert_eq!(done, keys.len(), "{name} does something else");
    println!("{}\t{name}", keys.len());
}

fn lookup(Instance { registry, ids, .. }: &Instance, targets: &[NodeId]) {
    count("is_relay, hit", ids, |id| registry.is_relay(id));
    count("is_relay, miss", targets, |id| !registry.is_relay(id));
    count("relay", ids, |id| registry.relay(id).is_some());
}

fn find(Instance { registry, .. }: &Instance, targets: &[NodeId], name: &str) {
    count(name, targets, |target| {
        black_box(registry.find_relay(target)).is_ok()
    });
}

fn search(Instance { registry, .. }: &Instance, targets: &[NodeId], name: &str) {
    let options = FindOptions::new().max_latency(Duration::from_millis(250));
    count(name, targets, |target| {
        black_box(registry.find_relay_with(target, &options)).is_ok()
    });
}

fn find_several(Instance { registry, .. }: &Instance, targets: &[NodeId], name: &str) {
    let options = FindOptions::new().max_results(3);
    count(name, targets, |target| {
        registry.find_relays(target, &options).len() == 3
    });
}

fn reserve(Instance { registry, .. }: &Instance, targets: &[NodeId], name: &str) {
    let options = FindOptions::new();
    count(name, targets, |target| {
        black_box(registry.reserve(target, &options)).is_ok()
    });
}

fn find_for_pairs() {
    let world = World::new(RELAYS, CALLS, 8, 1);
    for view in [View::Coordinate, View::Both] {
        let name = format!("find_relay_with, target's view: {}", view.name());
        count(&name, &world.calls(view), |(target, options)| {
            black_box(world.registry.find_relay_with(target, options)).is_ok()
        });
    }
}

fn change(Instance { registry, ids, .. }: &Instance) {
    let endpoint = endpoint();
    count("register, renewal", ids, |id| {
        matches!(
            registry.register(*id, endpoint.clone()),
            Ok(Registration::Renewed)
        )
    });
    count("record_rtt", ids, |id| {
        registry.record_rtt(id, Duration::from_millis(30))
    });
    count("report_load", ids, |id| registry.report_load(id, 50));
}

/// In a registry that is half full.
fn come_and_go() {
    let mut rng = Rng::with_seed(1);
    for _ in 0..INSTANCES {
        let registry = empty_registry_on(ManualClock::new(), RELAYS);
        let endpoint = endpoint();
        let options = RegisterOptions::new().capacity(10);
        let register = |id: &NodeId| registry.register_with(*id, endpoint.clone(), &options);
        for id in random_ids(RELAYS / 2, &mut rng) {
            register(&id).expect("there is room");
        }
        registry.maintain();
        let new_ids = random_ids(CALLS, &mut rng);
        count("register, new", &new_ids, |id| {
            matches!(register(id), Ok(Registration::New))
        });
        count("unregister", &new_ids, |id| registry.unregister(id));
    }
}

/// Three units for each call. Where no relay has so many, all have two.
fn ask_for_units() {
    let targets = random_ids(CALLS, &mut Rng::with_seed(u64::MAX));
    let options = FindOptions::new().units(3);
    for Instance { registry, .. } in &instances(&SETTLED) {
        count_units(registry, &options);
        count("find_relay_with 3 units, equilibrium", &targets, |target| {
            black_box(registry.find_relay_with(target, &options)).is_ok()
        });
        count("reserve 3 units + drop, equilibrium", &targets, |target| {
            black_box(registry.reserve(target, &options)).is_ok()
        });
    }
    let recipe = Recipe::new(RELAYS, RoundTrips::Measured).capacity(10);
    for Instance { registry, ids, .. } in &instances(&recipe) {
        for id in ids {
            registry.report_load(id, 8);
        }
        count_units(registry, &options);
        count("find_relay_with 3 units, none", &targets, |target| {
            black_box(registry.find_relay_with(target, &options)).is_err()
        });
    }
}

/// Every second relay has the label.
fn ask_for_labels() {
    let targets = random_ids(CALLS, &mut Rng::with_seed(u64::MAX));
    let options = FindOptions::new().require(["udp"]);
    for Instance { registry, ids, .. } in &instances(&SETTLED) {
        let labelled = RegisterOptions::new().labels(["udp"]);
        for id in ids.iter().step_by(2) {
            let renewed = registry.register_with(*id, endpoint(), &labelled);
            renewed.expect("a renewal");
        }
        // Maintenance makes the trees after the first call.
        let _ = registry.find_relay_with(&targets[0], &options);
        (0..4).for_each(|_| _ = registry.maintain());
        count("find_relay_with a label, equilibrium", &targets, |target| {
            black_box(registry.find_relay_with(target, &options)).is_ok()
        });
    }
}

/// As in a registry that has learned all its relays.
fn answer_from_a_higher_tier() {
    let targets = random_ids(CALLS, &mut Rng::with_seed(u64::MAX));
    for it in &instances(&SETTLED) {
        for id in &it.ids {
            it.registry.set_tier(id, 1).expect("the relay is held");
        }
        find(it, &targets, "find_relay, all in tier 1, equilibrium");
    }
}

/// Has maintenance make the trees of free units, which it does after the first call for several.
fn count_units(registry: &Registry, options: &FindOptions) {
    let none = options.clone().max_latency(Duration::ZERO);
    let _ = registry.find_relay_with(&random_ids(1, &mut Rng::with_seed(7))[0], &none);
    (0..4).for_each(|_| _ = registry.maintain());
}

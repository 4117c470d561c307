//! Selection: this crate compared with other ways to choose, from few relays to a million, with known and
//! unknown round trips, and with loads of other nodes or of the registry itself.
//!
//! In a single registry the best relay may be found at once. So each figure is the mean over several random
//! instances of their medians.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml --bin selection [-- RELAYS...]
//! ```

use arc_swap::ArcSwap;
use relay_registry::{FindOptions, NodeId};
use relay_registry_peers::instances::{Instance, Loads, Recipe, RoundTrips, target_ids};
use relay_registry_peers::interleaved::{Contender, Outcome, measure_interleaved, report};
use relay_registry_peers::results;
use relay_registry_peers::selectors::{Locked, Pingora, TwoChoices, relays_of};
use std::hint::black_box;
use std::sync::Arc;

/// Loads of other nodes that are compared at 1,000 relays, besides 0.6.
const LOADS: [f64; 3] = [0.0, 0.3, 0.85];
const CHUNKS: usize = 16;
const CALLS: usize = 64;

fn main() {
    for relays in results::sizes(&[10, 1_000, 100_000, 1_000_000]) {
        for round_trips in [
            RoundTrips::Measured,
            RoundTrips::Unmeasured,
            RoundTrips::Equal,
        ] {
            compare(&Recipe::new(relays, round_trips));
        }
        let measured = Recipe::new(relays, RoundTrips::Measured);
        if relays <= 10_000 {
            compare(&measured.loads(Loads::Equilibrium(0.6)));
        }
        if relays == 1_000 {
            for share in LOADS {
                compare(&measured.loads(Loads::Independent(share)));
            }
            compare(&measured.loads(Loads::FullBut(1)));
        }
    }
}

/// How many instances a figure has, and how many samples of each contender on each.
fn extent(relays: usize) -> (u64, usize) {
    match relays {
        0..=9_999 => (20, 15),
        10_000..=99_999 => (10, 11),
        100_000..=499_999 => (5, 9),
        _ => (2, 5),
    }
}

fn compare(recipe: &Recipe) {
    let (instances, rounds) = extent(recipe.relays);
    let mut sums: Vec<Outcome> = Vec::new();
    for seed in 0..instances {
        let outcomes = compare_on(&recipe.build(seed), rounds);
        if sums.is_empty() {
            sums = outcomes;
        } else {
            for (sum, outcome) in sums.iter_mut().zip(outcomes) {
                sum.nanos += outcome.nanos;
            }
        }
    }
    let ours = sums[0].nanos;
    for sum in &mut sums {
        sum.ratio = ours / sum.nanos;
        sum.nanos /= instances as f64;
    }
    report(&group(recipe), recipe.relays, &sums);
}

fn group(recipe: &Recipe) -> String {
    let round_trips = match recipe.round_trips {
        RoundTrips::Measured => "measured",
        RoundTrips::Unmeasured => "unmeasured",
        RoundTrips::Equal => "equal",
    };
    match recipe.loads {
        Loads::Independent(share) => format!("choosing: {round_trips}, load {share}"),
        Loads::Equilibrium(share) => format!("choosing: {round_trips}, equilibrium at {share}"),
        Loads::FullBut(free) => format!("choosing: {round_trips}, full but {free}"),
    }
}

fn compare_on(Instance { registry, .. }: &Instance, rounds: usize) -> Vec<Outcome> {
    let targets = target_ids();
    let relays = relays_of(registry);
    let (options, several) = (FindOptions::new(), FindOptions::new().max_results(3));
    let locked = Locked::of(&relays);
    let mut two_choices = TwoChoices::of(&relays);
    let pingora = Pingora::of(relays.len());
    let swap = ArcSwap::new(Arc::new(0_u64));
    // As many calls as take some tens of microseconds, but at least one.
    let scans = 1_000 / relays.len();
    let mut contenders = vec![
        of_targets("find_relay", CALLS, &targets, |target| {
            registry.find_relay(target).is_ok()
        }),
        of_targets("reserve + drop", CALLS, &targets, |target| {
            registry.reserve(target, &options).is_ok()
        }),
        of_targets("find_relays, 3", CALLS / 4, &targets, |target| {
            !registry.find_relays(target, &several).is_empty()
        }),
        Contender::of_calls("load of an arc_swap", CHUNKS, 1_024, || **swap.load()),
        of_targets(
            "min_by_key under a RwLock",
            scans.clamp(1, 64),
            &targets,
            |target| locked.min_by_key(target).is_some(),
        ),
        of_targets(
            "clone-filter-sort under a RwLock",
            scans.clamp(1, 8),
            &targets,
            |target| locked.clone_filter_sort(target).is_some(),
        ),
        Contender::of_calls("tower, P2C of Peak-EWMA, one thread", CHUNKS, CALLS, || {
            two_choices.choose()
        }),
    ];
    if let Some(pingora) = &pingora {
        let choose = || pingora.choose();
        contenders.push(Contender::of_calls(
            "pingora, weighted random",
            CHUNKS,
            CALLS,
            choose,
        ));
    }
    measure_interleaved(rounds, &mut contenders)
}

fn of_targets<'a>(
    name: &'a str,
    calls: usize,
    targets: &'a [NodeId],
    act: impl Fn(&NodeId) -> bool + 'a,
) -> Contender<'a> {
    let mut queries = targets.iter().cycle();
    let chunks = CHUNKS.min(calls.max(2));
    Contender::of_calls(name, chunks, calls, move || {
        assert!(
            act(black_box(queries.next().expect("endless"))),
            "nothing found"
        );
    })
}

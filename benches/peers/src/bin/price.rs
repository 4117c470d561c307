//! The cost of a find in every state of the relays, from few relays to a million, compared with a load of an
//! `arc_swap` and with a find among as many idle relays. Then a reservation compared with a find, and two
//! threads with one, in an equilibrium.
//!
//! In a single registry the best relay may be found at once. So with few relays each figure is the mean over
//! several instances of their medians.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml --bin price [-- RELAYS...]
//! ```

use arc_swap::ArcSwap;
use relay_registry::{FindOptions, NodeId, Registry};
use relay_registry_peers::instances::{Instance, target_ids};
use relay_registry_peers::interleaved::{Contender, Outcome, mean_of, measure_interleaved, report};
use relay_registry_peers::results;
use relay_registry_peers::scaling;
use relay_registry_peers::states::{Case, State};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The equilibrium in which reservations and threads are compared.
const SETTLED: State = State::Equilibrium(0.6);
const FEW: usize = 1_000;

fn main() {
    for relays in results::sizes(&[10, 64, FEW, 100_000, 1_000_000]) {
        let idle: Vec<Case> = (0..extent(relays).0)
            .map(|seed| State::Idle.build(relays, seed))
            .collect();
        for state in State::WITH_AN_ANSWER.into_iter().chain(State::WITHOUT) {
            compare(state, relays, &idle);
        }
        if relays == FEW {
            compare_threads();
        }
    }
}

/// How many instances a figure has, and how many samples of each contender on each.
fn extent(relays: usize) -> (u64, usize) {
    match relays {
        0..=9_999 => (8, 11),
        10_000..=499_999 => (2, 9),
        _ => (1, 9),
    }
}

/// Measures one state, on as many instances as are idle.
fn compare(state: State, relays: usize, idle: &[Case]) {
    let rounds = extent(relays).1;
    let on_each: Vec<Vec<Outcome>> = (0..)
        .zip(idle)
        .map(|(seed, idle)| {
            // Other instances than the idle ones.
            let case = state.build(relays, seed + 1_000);
            beside_motion(&case, || outcomes(state, &case, &idle.instance, rounds))
        })
        .collect();
    report(
        &format!("price: {}", state.name()),
        relays,
        &mean_of(&on_each),
    );
}

/// Does this while another thread takes and releases units of an overrun registry.
fn beside_motion<R>(case: &Case, act: impl FnOnce() -> R) -> R {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| case.keep_in_motion(&is_over));
        let result = act();
        is_over.store(true, Ordering::Relaxed);
        result
    })
}

fn outcomes(state: State, case: &Case, idle: &Instance, rounds: usize) -> Vec<Outcome> {
    let (targets, plain) = (target_ids(), FindOptions::new());
    let registry = &case.instance.registry;
    let swap = ArcSwap::new(Arc::new(0_u64));
    let mut contenders = vec![
        finds(
            "find",
            registry,
            &targets,
            &case.options,
            state.has_answer(),
        ),
        Contender::of_calls("load of an arc_swap", 16, 1_024, || **swap.load()),
        finds("idle find", &idle.registry, &targets, &plain, Some(true)),
    ];
    if state == SETTLED {
        contenders.push(reservations(registry, &targets));
    }
    measure_interleaved(rounds, &mut contenders)
}

/// Finds for one target after another, which have an answer or not, if that is
/// known.
fn finds<'a>(
    name: &str,
    registry: &'a Registry,
    targets: &'a [NodeId],
    options: &'a FindOptions,
    has_answer: Option<bool>,
) -> Contender<'a> {
    let mut queries = targets.iter().cycle();
    Contender::of_any_cost(name, move || {
        let target = queries.next().expect("endless");
        let found = registry.find_relay_with(black_box(target), options);
        let is_found = black_box(found).is_ok();
        assert!(has_answer.is_none_or(|expected| expected == is_found));
    })
}

fn reservations<'a>(registry: &'a Registry, targets: &'a [NodeId]) -> Contender<'a> {
    let mut queries = targets.iter().cycle();
    let options = FindOptions::new();
    Contender::of_any_cost("reserve + drop", move || {
        let target = queries.next().expect("endless");
        let lease = registry.reserve(black_box(target), &options);
        assert!(black_box(lease).is_ok());
    })
}

/// The throughput of two threads in an equilibrium, relative to one.
fn compare_threads() {
    let case = SETTLED.build(FEW, 1);
    let (registry, targets) = (&case.instance.registry, target_ids());
    let options = FindOptions::new();
    let find = |target: &NodeId| registry.find_relay(target).is_ok();
    let reserve = |target: &NodeId| registry.reserve(target, &options).is_ok();
    println!();
    let scaling = scaling::of_two_threads(|_| calls(&targets, find));
    results::note("two threads", FEW, "find, equilibrium", scaling);
    let scaling = scaling::of_two_threads(|_| calls(&targets, reserve));
    results::note("two threads", FEW, "reserve + drop, equilibrium", scaling);
    // Two processors that are threads of one core share its execution units.
    let scaling = scaling::of_two_threads(|_| sums_at_once);
    results::note("two threads", FEW, "eight sums at once", scaling);
}

/// Arithmetic that keeps all units of a core busy and touches no memory.
fn sums_at_once() -> usize {
    const ROUNDS: usize = 256;
    let mut sums = black_box([1_u64; 8]);
    for round in 0..ROUNDS as u64 {
        for sum in &mut sums {
            *sum = black_box(sum.wrapping_mul(3).wrapping_add(round));
        }
    }
    black_box(sums);
    ROUNDS
}

/// Makes some calls, and returns how many.
fn calls<'a>(
    targets: &'a [NodeId],
    call: impl Fn(&NodeId) -> bool + 'a,
) -> impl FnMut() -> usize + 'a {
    const CALLS: usize = 64;
    let mut queries = targets.iter().cycle();
    move || {
        for _ in 0..CALLS {
            let target = queries.next().expect("endless");
            assert!(black_box(call(black_box(target))), "nothing found");
        }
        CALLS
    }
}

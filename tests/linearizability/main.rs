//! Histories of real threads are linearizable, relay by relay.
//!
//! Registering, leaving, looking up, finding, leasing, reserving and releasing on one id behave as if
//! they happened one after another, each at a moment between its begin and its end. Linearizability is
//! local, so histories are split by relay before they are checked.

#[path = "../common/mod.rs"]
mod common;

mod checker;
mod known;
mod recorder;
mod relay;
mod subjects;

use checker::is_linearizable;
use common::{World, world_of};
use recorder::{Capacity, RELAYS, Subject, record};
use subjects::{CheckThenAct, InRegistry, Locked};

const HISTORIES: u64 = 4_000;

/// Whether all of so many histories are linearizable; else shows the first that is not.
#[track_caller]
fn assert_linearizable<S: Subject>(subject: impl Fn(u64) -> S, capacity: Capacity) {
    let mut overlaps = 0;
    for seed in 0..HISTORIES {
        let subject = subject(seed);
        for mut history in record(&subject, capacity, seed) {
            history.sort_by_key(|call| call.began);
            overlaps += history
                .windows(2)
                .filter(|pair| pair[1].began < pair[0].ended)
                .count();
            assert!(is_linearizable(&history), "seed {seed}: {history:#?}");
        }
    }
    assert!(overlaps > 0, "nothing ever happened at once");
}

fn in_registry(world: &World, round: u64) -> InRegistry<'_> {
    InRegistry::new(world, round as u32 * RELAYS)
}

#[test]
fn a_relay_is_linearizable() {
    let world = world_of(64);
    assert_linearizable(|round| in_registry(&world, round), Capacity::Fixed);
}

#[test]
fn a_relay_is_linearizable_while_renewals_change_its_capacity() {
    let world = world_of(64);
    assert_linearizable(|round| in_registry(&world, round), Capacity::Changing);
}

/// What cannot be wrong is not found wrong.
#[test]
fn the_specification_behind_a_lock_is_linearizable() {
    assert_linearizable(|_| Locked::default(), Capacity::Changing);
}

/// The recorder and the checker together find what is wrong with what looks, then acts.
#[test]
fn what_looks_and_then_acts_is_found_out() {
    let is_found_out = (0..50 * HISTORIES).any(|seed| {
        let subject = CheckThenAct::default();
        let histories = record(&subject, Capacity::Fixed, seed);
        !histories.iter().all(|history| is_linearizable(history))
    });
    assert!(is_found_out);
}

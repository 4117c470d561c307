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

use checker::{Call, is_linearizable};
use common::world_of;
use recorder::{Capacity, Subject, record};
use std::sync::{Mutex, MutexGuard, PoisonError};
use subjects::{CheckThenAct, InRegistry, Locked};

const HISTORIES: u32 = 5_000;

/// One test at a time, so that its threads have the machine to themselves.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether all that happened is linearizable; else shows the first history that is not.
#[track_caller]
fn assert_linearizable(subject: &impl Subject, capacity: Capacity) {
    let _alone = alone();
    let mut overlaps = 0;
    for mut history in record(subject, capacity, HISTORIES) {
        history.sort_by_key(|call| call.began);
        let overlap = |pair: &&[Call<_>]| pair[1].began < pair[0].ended;
        overlaps += history.windows(2).filter(overlap).count();
        assert!(is_linearizable(&history), "{history:#?}");
    }
    assert!(overlaps > 0, "nothing ever happened at once");
}

#[test]
fn a_relay_is_linearizable() {
    assert_linearizable(&InRegistry(world_of(64)), Capacity::Fixed);
}

#[test]
fn a_relay_is_linearizable_while_renewals_change_its_capacity() {
    assert_linearizable(&InRegistry(world_of(64)), Capacity::Changing);
}

/// What cannot be wrong is not found wrong.
#[test]
fn the_specification_behind_a_lock_is_linearizable() {
    assert_linearizable(&Locked::new(HISTORIES), Capacity::Changing);
}

/// The recorder and the checker together find what is wrong with what looks, then acts.
#[test]
fn what_looks_and_then_acts_is_found_out() {
    let _alone = alone();
    let is_found_out = (0..50).any(|_| {
        let subject = CheckThenAct(Locked::new(HISTORIES));
        let histories = record(&subject, Capacity::Fixed, HISTORIES);
        !histories.iter().all(|history| is_linearizable(history))
    });
    assert!(is_found_out);
}

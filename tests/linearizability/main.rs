//! Histories of real threads are linearizable, relay by relay.
//!
//! Calls on one id take effect in one order, each at a moment between its begin and its end. Linearizability
//! is local, so histories are split by relay before they are checked.

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
use relay::{Answer, Operation, Relay};
use std::env;
use std::sync::{Mutex, MutexGuard, PoisonError};
use subjects::{CheckThenAct, InRegistry, Locked};

/// How many histories of each kind, unless `RELAY_HISTORIES` is set.
const HISTORIES: u32 = 5_000;

fn histories() -> u32 {
    env::var("RELAY_HISTORIES").map_or(HISTORIES, |asked| asked.parse().expect("a number"))
}

/// One test at a time, so that its threads have the machine to themselves.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether all histories are linearizable. Prints the first that is not.
#[track_caller]
fn assert_linearizable(subject: &impl Subject, capacity: Capacity) {
    let _alone = alone();
    let mut overlaps = 0;
    for mut history in record(subject, capacity, histories()) {
        history.sort_by_key(|call| call.began);
        overlaps += history
            .windows(2)
            .filter(|pair| pair[0].overlaps(&pair[1]))
            .count();
        let says_something = |call: &&Call<_>| !may_be_refused_in_passing(call, &history);
        let telling: Vec<_> = history.iter().filter(says_something).cloned().collect();
        assert!(is_linearizable(&telling), "{history:#?}");
    }
    assert!(overlaps > 0, "nothing ever happened at once");
}

/// A lease during which a renewal lowers the capacity, or the relay leaves, is returned. Until then it
/// blocks its unit, so a refusal beside such a lease is not checked.
fn may_be_refused_in_passing(refused: &Call<Relay>, history: &[Call<Relay>]) -> bool {
    let capacity = |call: &Call<Relay>| match call.operation {
        Operation::Register(terms) => Some(terms.capacity),
        _ => None,
    };
    let most = history.iter().filter_map(capacity).max();
    let takes_away = |call: &Call<Relay>| match call.operation {
        Operation::Register(_) => capacity(call) < most,
        Operation::Unregister => call.answer == Answer::Yes,
        _ => false,
    };
    let takes = |call: &Call<Relay>| {
        matches!(
            call.operation,
            Operation::Lease(..) | Operation::Reserve(..)
        )
    };
    let is_refused = match refused.answer {
        Answer::Full(_) => true,
        Answer::Unseen => takes(refused) || matches!(refused.operation, Operation::Find),
        _ => false,
    };
    is_refused
        && beside(refused, history)
            .any(|lease| takes(lease) && beside(lease, history).any(takes_away))
}

/// The calls that overlap one call.
fn beside<'a>(
    call: &'a Call<Relay>,
    history: &'a [Call<Relay>],
) -> impl Iterator<Item = &'a Call<Relay>> {
    let others = history.iter().filter(|other| other.began != call.began);
    others.filter(|other| other.overlaps(call))
}

#[test]
fn a_relay_is_linearizable() {
    assert_linearizable(&InRegistry(world_of(64)), Capacity::Fixed);
}

#[test]
fn a_relay_is_linearizable_while_renewals_change_its_capacity() {
    assert_linearizable(&InRegistry(world_of(64)), Capacity::Changing);
}

/// A correct subject passes.
#[test]
fn the_specification_behind_a_lock_is_linearizable() {
    assert_linearizable(&Locked::new(histories()), Capacity::Changing);
}

/// The recorder and the checker find a subject that checks first and acts later.
#[test]
fn what_looks_and_then_acts_is_found_out() {
    let _alone = alone();
    let is_found_out = (0..50).any(|_| {
        let subject = CheckThenAct(Locked::new(histories()));
        let histories = record(&subject, Capacity::Fixed, histories());
        !histories.iter().all(|history| is_linearizable(history))
    });
    assert!(is_found_out);
}

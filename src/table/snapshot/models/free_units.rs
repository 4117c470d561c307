//! Models of the tree of free units: changes of load beside the merge that makes it.

use super::{CAPACITY, merged};
use crate::sync::{Arc, check, epoch, yield_point};
use crate::table::record::Load;
use crate::table::snapshot::fixture::Relays;
use crate::table::snapshot::publication::Snapshot;
use loom::thread;
use std::convert::Infallible;

/// A relay of two units of which one is taken.
fn half_full() -> Arc<Relays> {
    let relays = merged(1);
    change(&relays, |load| load.with_report(1));
    relays
}

/// A change of load, as the table makes it.
fn change(relays: &Relays, next: impl Fn(Load) -> Load) {
    let _pinned = epoch::pin();
    let next = |load| Ok::<_, Infallible>(next(load));
    let Ok(()) = relays.publication.change_load(0, relays.parts(0), next);
}

fn release(relays: &Relays) {
    change(relays, |load| load.with_report(0));
}

/// Whether the trees let a search for two units come to the relay.
fn is_reached(snapshot: &Snapshot) -> bool {
    snapshot.tier(0, None).any(|part| {
        let free = part.trees.free_units.as_ref();
        part.trees.root().score_rank > 0 && free.is_none_or(|free| free.may_have(2))
    })
}

/// As a find for two units does: pending changes are read before the trees.
fn is_found(relays: &Relays) -> bool {
    let pending = relays.publication.pending.read();
    let is_pending = pending.is_some();
    let snapshot = Arc::clone(&relays.publication.load());
    is_reached(&snapshot) || is_pending
}

fn has_two_units(relays: &Relays) -> bool {
    relays.subject(0).record.load().free_units(CAPACITY) == 2
}

/// Two units were asked for before, and merges make the tree.
fn counted(relays: &Relays) {
    relays.publication.context.units_asked.ask(2);
    relays.publication.context.units_asked.settle_now();
}

/// A thread that sees two free units finds them.
#[test]
fn a_unit_that_is_the_second_to_be_free_is_found() {
    check(2, || {
        let relays = half_full();
        counted(&relays);
        relays.merge();
        assert!(!is_found(&relays));
        let other = Arc::clone(&relays);
        let releasing = thread::spawn(move || {
            release(&other);
            yield_point();
        });
        yield_point();
        assert!(!has_two_units(&relays) || is_found(&relays));
        releasing.join().unwrap();
        assert!(is_found(&relays));
    });
}

/// The tree has a release beside the merge that makes it.
#[test]
fn a_release_beside_the_merge_that_makes_the_tree_is_in_it() {
    check(2, || {
        let relays = half_full();
        counted(&relays);
        let other = Arc::clone(&relays);
        let releasing = thread::spawn(move || {
            release(&other);
            assert!(is_found(&other));
        });
        relays.merge();
        releasing.join().unwrap();
        assert!(is_found(&relays));
        change(&relays, |load| load.with_report(1));
        assert!(!is_found(&relays), "the tree was made");
    });
}

/// A thread that began its release before anyone asked for two units, and does not take it
/// for a pending change, is done before the tree is made.
#[test]
fn a_release_from_before_units_were_asked_for_is_found() {
    check(2, || {
        let relays = half_full();
        let other = Arc::clone(&relays);
        let releasing = thread::spawn(move || {
            release(&other);
            yield_point();
        });
        let context = &relays.publication.context;
        context.units_asked.ask(2);
        let is_begun = context.units_asked.begin_grace(&epoch::pin());
        assert!(is_begun);
        epoch::collect();
        relays.merge();
        yield_point();
        assert!(!has_two_units(&relays) || is_found(&relays));
        releasing.join().unwrap();
        assert!(is_found(&relays));
    });
}

/// Two units that a search saw are taken beside a release of others: the root does not keep
/// too small a number.
#[test]
fn a_release_beside_a_lease_leaves_the_number_of_the_record() {
    check(2, || {
        let relays = half_full();
        counted(&relays);
        relays.merge();
        let other = Arc::clone(&relays);
        let leasing = thread::spawn(move || {
            change(&other, |load| {
                load.with_report_of_others(load.reported() + 1)
            });
        });
        change(&relays, |load| {
            load.with_report_of_others(load.reported().saturating_sub(1))
        });
        leasing.join().unwrap();
        assert_eq!(is_found(&relays), has_two_units(&relays));
    });
}

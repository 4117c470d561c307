//! Models of changes of a relay beside merges.

use super::{CAPACITY, back_off, fault, merged, relays};
use crate::relay::Rejection;
use crate::sync::{Arc, AtomicU64, Ordering, check, yield_point};
use crate::table::record::{Lifecycle, Load};
use crate::table::snapshot::fixture::Relays;
use crate::table::snapshot::leaf::SummaryWord;
use crate::table::snapshot::leaf_state::LeafState;
use crate::time::Tick;
use loom::thread;

/// After a change beside a merge, the leaf in the new base agrees with the record.
fn reaches_the_next_base(change: fn(&Relays), after: LeafState) {
    check(2, move || {
        let relays = merged(1);
        let other = Arc::clone(&relays);
        let changing = thread::spawn(move || change(&other));
        relays.merge();
        changing.join().unwrap();
        assert_eq!(relays.consistent_state(0), after);
        assert_eq!(relays.has_any(), after.is_eligible());
    });
}

#[test]
fn a_change_of_load_beside_a_merge_reaches_the_next_base() {
    let fill = |relays: &Relays| {
        let change = relays.change_load(0, |load| load.with_report(CAPACITY));
        let publication = &relays.publication;
        publication.refresh_load(&relays.subject(0), change, None);
    };
    reaches_the_next_base(fill, LeafState::Rejected(Rejection::Full));
}

#[test]
fn a_measurement_beside_a_merge_reaches_the_next_base() {
    let measure = |relays: &Relays| {
        relays.change_rtt(0, 7);
    };
    reaches_the_next_base(measure, LeafState::Measured);
}

/// The round trip of relay 1 becomes shorter than that of relay 0 beside a merge, while the
/// flag of an earlier change is set. Either the merge sees the new round trip, or another
/// merge is wanted.
#[test]
fn a_measurement_beside_a_merge_is_not_forgotten_for_the_order() {
    check(3, || {
        let relays = relays(2);
        (0..2).for_each(|index| relays.arrive(index));
        let micros = Arc::new(AtomicU64::new(20));
        let merge = |relays: &Relays, micros: &AtomicU64| {
            relays.merge_by(|index| match index {
                0 => 10,
                // Relaxed: the fences around the flag order it.
                _ => micros.load(Ordering::Relaxed) as u32,
            });
        };
        merge(&relays, &micros);
        relays.publication.mark_unsorted();
        let (other, theirs) = (Arc::clone(&relays), Arc::clone(&micros));
        let measuring = thread::spawn(move || {
            theirs.store(5, Ordering::Relaxed);
            other.publication.mark_unsorted();
        });
        merge(&relays, &micros);
        measuring.join().unwrap();
        let snapshot = Arc::clone(&relays.publication.load());
        let order: Vec<u32> = snapshot.iter().map(|it| it.index).collect();
        assert!(order == [1, 0] || relays.publication.wants_merge());
    });
}

#[test]
fn a_failure_beside_a_merge_reaches_the_next_base() {
    let fail = |relays: &Relays| {
        relays.publication.context.expect_suspended();
        let record = relays.subject(0).record;
        record.change_circuit(|circuit| circuit.with_failure(fault(), back_off()));
        relays.publication.refresh(&relays.subject(0), true);
        let snapshot = Arc::clone(&relays.publication.load());
        assert!(snapshot.parts().any(|part| part.are_due(Tick(5))));
    };
    reaches_the_next_base(fail, LeafState::LastResort);
}

#[test]
fn a_departure_beside_a_merge_reaches_the_next_base() {
    check(2, || {
        let relays = merged(1);
        let other = Arc::clone(&relays);
        let leaving = thread::spawn(move || {
            let subject = other.subject(0);
            subject.record.set_lifecycle(Lifecycle::VACANT);
            subject.record.set_flags(Load::CLOSED);
            subject.record.end_generation();
            other.publication.refresh(&subject, false);
        });
        relays.merge();
        leaving.join().unwrap();
        assert!(!relays.has_any());
    });
}

/// A search that visits an old snapshot refreshes the leaves there, so it does not find the
/// same relay due for ever.
#[test]
fn a_relay_that_is_due_is_woken_where_it_was_found() {
    check(1, || {
        let relays = merged(1);
        let publication = &relays.publication;
        publication.context.expect_suspended();
        let record = relays.subject(0).record;
        record.change_circuit(|circuit| circuit.with_failure(fault(), back_off()));
        publication.refresh(&relays.subject(0), true);
        let loaded = Arc::clone(&publication.load());
        let other = Arc::clone(&relays);
        let merging = thread::spawn(move || other.merge());
        for part in loaded.parts() {
            while let Some(slot) = part.due_at(Tick(5)) {
                publication.refresh_leaf_at(part, slot, &relays.subject(0), Tick(5));
            }
        }
        assert_eq!(relays.leaves_in(&loaded, 0).len(), 1);
        assert!(SummaryWord(relays.leaves_in(&loaded, 0)[0]).score_rank() > 0);
        merging.join().unwrap();
    });
}

/// A change of load with a snapshot that may be replaced meanwhile.
#[test]
fn a_lease_by_an_old_snapshot_reaches_the_next_base() {
    check(2, || {
        let relays = merged(1);
        let other = Arc::clone(&relays);
        let loaded = Arc::clone(&relays.publication.load());
        let leasing = thread::spawn(move || {
            let change = other.change_load(0, |load| load.with_report(CAPACITY));
            let publication = &other.publication;
            publication.refresh_load(&other.subject(0), change, Some(&loaded));
        });
        relays.merge();
        leasing.join().unwrap();
        assert_eq!(
            relays.consistent_state(0),
            LeafState::Rejected(Rejection::Full)
        );
    });
}

/// A snapshot that is the latest by its number has a change that has ended. An older one may
/// not have it.
#[test]
fn a_snapshot_in_force_is_up_to_date() {
    check(2, || {
        let relays = merged(1);
        let other = Arc::clone(&relays);
        let changing = thread::spawn(move || {
            let loaded = Arc::clone(&other.publication.load());
            other.change_load(0, |load| load.with_report(CAPACITY));
            other.publication.refresh_touched(&other.subject(0), false);
            yield_point();
            if other.publication.is_latest(&loaded) {
                let leaves = other.leaves_in(&loaded, 0);
                assert_eq!(
                    leaves,
                    [LeafState::Rejected(Rejection::Full).number() as u64]
                );
            }
        });
        relays.merge();
        changing.join().unwrap();
    });
}

/// Three relays, of which two are full and one is banned up to a tick.
fn banned_of_three() -> Arc<Relays> {
    let relays = merged(3);
    let publication = &relays.publication;
    for index in 1..3 {
        relays.change_load(index, |load| load.with_report(CAPACITY));
        publication.refresh(&relays.subject(index), true);
    }
    ban(&relays);
    relays
}

fn ban(relays: &Relays) {
    relays.publication.context.expect_suspended();
    relays.change_load(0, |load| load.with_report(1));
    let subject = relays.subject(0);
    let banned = subject.record.change_circuit(|it| it.with_ban(Tick(5)));
    assert!(banned.is_some());
    relays.publication.refresh(&subject, true);
    assert!(!relays.has_any());
}

/// As a find at that tick does.
fn refresh_what_is_due(relays: &Relays) {
    let snapshot = Arc::clone(&relays.publication.load());
    for part in snapshot.parts() {
        while let Some(slot) = part.due_at(Tick(5)) {
            let subject = relays.subject(0);
            relays
                .publication
                .refresh_leaf_at(part, slot, &subject, Tick(5));
        }
    }
}

fn release(relays: &Relays) {
    let change = relays.change_load(0, |load| load.with_report(0));
    let subject = relays.subject(0);
    relays.publication.refresh_load(&subject, change, None);
}

/// A release, which does not climb to the root, beside a find that does, and is preempted.
#[test]
fn a_suspension_is_due_until_the_root_shows_the_relay() {
    check(1, || {
        let relays = banned_of_three();
        let other = Arc::clone(&relays);
        let releasing = thread::spawn(move || {
            release(&other);
            refresh_what_is_due(&other);
            assert!(other.has_any(), "it is eligible, and no root says so");
        });
        refresh_what_is_due(&relays);
        releasing.join().unwrap();
    });
}

/// The suspension ends while a release refreshes the leaf.
#[test]
fn a_release_beside_the_end_of_a_suspension_hides_nothing() {
    check(3, || {
        let relays = merged(1);
        ban(&relays);
        let other = Arc::clone(&relays);
        let finding = thread::spawn(move || {
            // As for the leaf of another relay.
            other.publication.context.raise_leaf_tick(Tick(5));
            refresh_what_is_due(&other);
            assert!(other.has_any(), "it is eligible, and no root says so");
        });
        release(&relays);
        finding.join().unwrap();
    });
}

//! Models of arrivals beside each other and beside merges.

use super::relays;
use crate::sync::{Arc, check, yield_point};
use crate::table::snapshot::leaf_state::LeafState;
use loom::thread;

/// A merge loses no arrival, and hides none while it is under way.
#[test]
fn a_merge_loses_no_arrival() {
    check(2, || {
        let relays = relays(2);
        relays.arrive(0);
        let other = Arc::clone(&relays);
        let arriving = thread::spawn(move || {
            other.arrive(1);
            assert!(
                other.seen().contains(&1),
                "in the snapshot once it has arrived"
            );
        });
        relays.merge();
        assert!(
            relays.seen().contains(&0),
            "in the snapshot during the merge"
        );
        arriving.join().unwrap();
        assert_eq!(relays.seen(), [0, 1]);
        relays.merge();
        assert_eq!(relays.seen(), [0, 1]);
        for index in 0..2 {
            assert_eq!(relays.consistent_state(index), LeafState::Unmeasured);
        }
    });
}

/// A relay becomes live beside a merge, which may have read its record before. No later change of
/// the relay follows that would bring its leaf up to date.
#[test]
fn a_relay_that_becomes_live_beside_a_merge_is_in_the_next_base() {
    check(3, || {
        let relays = relays(1);
        let other = Arc::clone(&relays);
        let arriving = thread::spawn(move || {
            other.arrive_staged(0);
            assert!(other.has_any(), "at once");
        });
        relays.merge();
        arriving.join().unwrap();
        assert_eq!(relays.consistent_state(0), LeafState::Unmeasured);
        assert!(relays.has_any());
    });
}

/// A relay departs from the newest run beside a merge that seals it.
#[test]
fn a_relay_that_departs_beside_a_merge_is_eligible_in_no_base() {
    check(3, || {
        let relays = relays(1);
        relays.arrive_staged(0);
        let other = Arc::clone(&relays);
        let departing = thread::spawn(move || {
            other.depart(0);
            assert!(!other.has_any(), "at once");
        });
        relays.merge();
        departing.join().unwrap();
        assert!(!relays.has_any());
    });
}

/// Runs have one slot in models, so each arrival but the first adds a run.
#[test]
fn arrivals_that_outgrow_a_run_lose_nothing_to_each_other() {
    check(2, || {
        let relays = relays(3);
        let other = Arc::clone(&relays);
        let arriving = thread::spawn(move || {
            other.arrive(0);
            other.arrive(1);
        });
        relays.arrive(2);
        assert!(relays.seen().contains(&2));
        arriving.join().unwrap();
        assert_eq!(relays.seen(), [0, 1, 2]);
    });
}

/// A merge hides no relay from a search beside it.
#[test]
fn a_merge_beside_a_search_hides_nothing() {
    check(2, || {
        let relays = relays(3);
        (0..3).for_each(|index| relays.arrive(index));
        let other = Arc::clone(&relays);
        let merging = thread::spawn(move || {
            other.merge();
            yield_point();
        });
        yield_point();
        assert_eq!(relays.seen(), [0, 1, 2]);
        assert!(relays.has_any());
        merging.join().unwrap();
        assert_eq!(relays.seen(), [0, 1, 2]);
        assert!(relays.has_any());
    });
}

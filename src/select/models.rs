//! Models of the snapshot: arrivals against merges and against each other.

use super::snapshot::Publication;
use super::survey::Surveyed;
use crate::sync::{Arc, check, epoch};
use crate::table::Handle;
use loom::thread;

const OTHER_LEG: u32 = 100;

fn arrival(index: u32) -> Handle {
    Handle {
        index,
        generation: 0,
    }
}

fn merge(publication: &Publication) {
    let mut merger = publication.merger();
    let guard = epoch::pin();
    publication.merge(&mut merger, &guard, OTHER_LEG, |relay| {
        Some(Surveyed {
            relay,
            own_micros: relay.index,
            position: None,
        })
    });
}

/// All arrivals, in ascending order of index.
fn seen(publication: &Publication) -> Vec<u32> {
    let snapshot = Arc::clone(&publication.load());
    let mut seen: Vec<u32> = snapshot.iter().map(|relay| relay.index).collect();
    seen.sort_unstable();
    seen
}

#[test]
fn a_merge_loses_no_arrival() {
    check(2, || {
        let publication = Arc::new(Publication::new());
        publication.append(arrival(1));
        let other = Arc::clone(&publication);
        let arriving = thread::spawn(move || {
            other.append(arrival(2));
            assert!(seen(&other).contains(&2), "visible once it returns");
        });
        merge(&publication);
        assert!(seen(&publication).contains(&1), "never out of sight");
        arriving.join().unwrap();
        assert_eq!(seen(&publication), [1, 2]);
        merge(&publication);
        assert_eq!(seen(&publication), [1, 2]);
    });
}

/// Runs have one place in models, so each arrival but the first adds a run.
#[test]
fn arrivals_that_outgrow_a_run_lose_nothing_to_each_other() {
    check(2, || {
        let publication = Arc::new(Publication::new());
        let other = Arc::clone(&publication);
        let arriving = thread::spawn(move || {
            other.append(arrival(1));
            other.append(arrival(2));
        });
        publication.append(arrival(3));
        assert!(seen(&publication).contains(&3));
        arriving.join().unwrap();
        assert_eq!(seen(&publication), [1, 2, 3]);
    });
}

#[test]
fn a_merge_beside_a_look_hides_nothing() {
    check(2, || {
        let publication = Arc::new(Publication::new());
        publication.append(arrival(1));
        publication.append(arrival(2));
        let other = Arc::clone(&publication);
        let merging = thread::spawn(move || merge(&other));
        assert_eq!(seen(&publication), [1, 2]);
        merging.join().unwrap();
        assert_eq!(seen(&publication), [1, 2]);
    });
}

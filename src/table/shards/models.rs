//! Models of places: how they move from shard to shard, and when a table is full.

use super::admission_word::AdmissionState;
use super::{ShardId, Shards};
use crate::sync::{Arc, check, yield_point};
use crate::table::record::Handle;
use loom::thread;

const ONE: ShardId = ShardId(0);
const OTHER: ShardId = ShardId(1);

fn shards(in_shards: [u32; 2], in_pool: u32) -> Arc<Shards> {
    Arc::new(Shards::with_places(in_shards, in_pool))
}

fn record(index: u32) -> Handle {
    Handle {
        index,
        generation: 0,
    }
}

/// The word of a shard once no step is unfinished. Here no record has to change for that.
fn finished(shards: &Shards, shard: ShardId) -> AdmissionState {
    let admission = &shards.get(shard).admission;
    loop {
        let seen = admission.read();
        if seen.unfinished().is_none() {
            return seen;
        }
        admission.clear_unfinished(seen);
    }
}

/// Takes a place, as a registration does; false if the table is full.
fn take(shards: &Shards, shard: ShardId, index: u32) -> bool {
    loop {
        let seen = finished(shards, shard);
        if seen.places() > 0 {
            if shards
                .get(shard)
                .admission
                .admit(seen, record(index))
                .is_some()
            {
                return true;
            }
        } else if !shards.supply(shard) && is_full(shards) {
            return false;
        }
    }
}

fn is_full(shards: &Shards) -> bool {
    let reading = shards.no_places();
    reading.is_some() && shards.no_places() == reading
}

/// Gives a place back, as a departure does.
fn give_back(shards: &Shards, shard: ShardId, index: u32) {
    let admission = &shards.get(shard).admission;
    while admission
        .count_out(finished(shards, shard), record(index))
        .is_none()
    {}
}

/// Changes what the word of a shard names.
fn name(shards: &Shards, shard: ShardId, index: u32) {
    let admission = &shards.get(shard).admission;
    while admission
        .add_placeholder(finished(shards, shard), record(index))
        .is_none()
    {}
    finished(shards, shard);
}

fn free(shards: &Shards) -> usize {
    shards.free_places_while(|| true).expect("it is so")
}

/// Two threads take a place, each in its shard. As many are taken as there were.
fn each_place_is_taken_once(in_shards: [u32; 2], in_pool: u32) {
    check(2, move || {
        let places = (in_shards[0] + in_shards[1] + in_pool) as usize;
        let shards = shards(in_shards, in_pool);
        let other = Arc::clone(&shards);
        let theirs = thread::spawn(move || take(&other, OTHER, 2));
        let ours = take(&shards, ONE, 1);
        let taken = usize::from(ours) + usize::from(theirs.join().unwrap());
        assert_eq!(taken, places.min(2));
        assert_eq!(free(&shards), places - taken);
    });
}

#[test]
fn the_last_place_of_the_pool_is_taken_once() {
    each_place_is_taken_once([0, 0], 1);
}

#[test]
fn the_last_place_of_a_shard_is_taken_once() {
    each_place_is_taken_once([1, 0], 0);
}

#[test]
fn of_two_places_of_a_shard_each_is_taken() {
    each_place_is_taken_once([2, 0], 0);
}

/// Two threads move places to one shard or two. There are as many afterwards.
fn no_place_is_lost_or_made(in_shards: [u32; 2], in_pool: u32, to: ShardId) {
    check(2, move || {
        let shards = shards(in_shards, in_pool);
        let other = Arc::clone(&shards);
        let supplying = thread::spawn(move || other.supply(OTHER));
        shards.supply(to);
        supplying.join().unwrap();
        let places = in_shards[0] + in_shards[1] + in_pool;
        assert_eq!(free(&shards), places as usize);
        assert_eq!(shards.about_free_places(), places as usize);
    });
}

#[test]
fn two_grants_at_once_neither_lose_nor_make_a_place() {
    no_place_is_lost_or_made([0, 0], 2, ONE);
}

#[test]
fn two_grants_to_one_shard_neither_lose_nor_make_a_place() {
    no_place_is_lost_or_made([0, 0], 2, OTHER);
}

#[test]
fn a_recall_beside_a_grant_neither_loses_nor_makes_a_place() {
    no_place_is_lost_or_made([0, 0], 1, ONE);
}

#[test]
fn two_recalls_at_once_neither_lose_nor_make_a_place() {
    no_place_is_lost_or_made([2, 0], 0, OTHER);
}

/// A thread that helps with a transfer is preempted, until the tag of the shard has come round.
#[test]
fn a_late_helper_moves_no_place() {
    check(1, || {
        let shards = shards([1, 0], 0);
        let other = Arc::clone(&shards);
        let moving = thread::spawn(move || {
            // The tag of a shard changes with each of these, and so does what its word names.
            for (to, index) in (0..8)
                .map(|nth| if nth % 2 == 0 { OTHER } else { ONE })
                .zip(1..)
            {
                name(&other, ONE, index);
                name(&other, OTHER, index);
                assert!(other.supply(to));
            }
            yield_point();
        });
        shards.supply(OTHER);
        moving.join().unwrap();
        assert_eq!(free(&shards), 1);
    });
}

/// A place is counted once, also while it moves.
#[test]
fn a_place_that_moves_is_counted_once() {
    check(2, || {
        let shards = shards([1, 0], 0);
        let other = Arc::clone(&shards);
        let moving = thread::spawn(move || {
            other.supply(OTHER);
            yield_point();
        });
        yield_point();
        assert_eq!(free(&shards), 1);
        moving.join().unwrap();
    });
}

/// At each moment there is a place, though perhaps not always in the same shard.
fn is_never_full(preemptions: usize, places: ([u32; 2], u32), change: fn(&Shards)) {
    check(preemptions, move || {
        let shards = shards(places.0, places.1);
        let other = Arc::clone(&shards);
        let changing = thread::spawn(move || {
            change(&other);
            yield_point();
        });
        yield_point();
        assert!(!is_full(&shards));
        changing.join().unwrap();
    });
}

#[test]
fn a_table_is_not_full_whose_last_place_is_taken_after_another_came_back() {
    is_never_full(2, ([0, 1], 0), |shards| {
        give_back(shards, ONE, 1);
        assert!(take(shards, OTHER, 2));
    });
}

/// The first reading falls between two steps, and so does the second.
#[test]
fn a_table_is_not_full_that_seems_so_twice() {
    is_never_full(4, ([0, 1], 0), |shards| {
        give_back(shards, ONE, 1);
        assert!(take(shards, OTHER, 2));
        give_back(shards, OTHER, 2);
        assert!(take(shards, ONE, 3));
        give_back(shards, ONE, 3);
        assert!(take(shards, OTHER, 4));
    });
}

#[test]
fn a_table_is_not_full_whose_last_place_is_recalled() {
    is_never_full(2, ([0, 1], 0), |shards| assert!(shards.supply(ONE)));
}

#[test]
fn a_table_is_not_full_whose_last_place_is_granted() {
    is_never_full(2, ([0, 0], 1), |shards| assert!(shards.supply(ONE)));
}

//! Models of what is freed in batches, each here of one record and one
//! announcement.
//!
//! Rounds end here by the models' own word: the mock's collector never runs, and
//! the real one would have them end too late for threads to meet.

use super::*;
use crate::sync::Ordering;
use std::collections::BTreeSet;

/// A record and its announcement, by their indices.
type Pair = (u32, u32);

fn take(table: &Table) -> Pair {
    let guard = epoch::pin();
    let record = table.store.take_record(&guard);
    let announcement = table.store.put_announcement(announcement(1), &guard);
    (record.unwrap(), announcement.unwrap())
}

/// Retires both; no round begins.
fn retire(table: &Table, (record, announcement): Pair) {
    table.store.round.store(true, Ordering::Relaxed);
    table.store.record(record).set_flags(Load::CLOSED);
    table
        .store
        .retire(record, Some(announcement), &epoch::pin());
}

/// Ends a round with all that is retired.
fn end_round(table: &Table) {
    let retired = table.store.take_retired();
    table.store.make_reclaimable(retired);
}

fn free_batch(table: &Table) -> bool {
    let guard = epoch::pin();
    let records = table.store.free_records(&guard);
    let announcements = table.store.free_announcements(&guard);
    records || announcements
}

/// Everything but what is in use can be taken, and nothing twice.
fn assert_given_back_once(table: &Table, in_use: Option<Pair>) {
    while free_batch(table) {}
    assert_eq!(table.backlog(), 0);
    let guard = epoch::pin();
    let put = || table.store.put_announcement(announcement(1), &guard);
    let taken = || Some((table.store.take_record(&guard).ok()?, put().ok()?));
    let all = std::iter::from_fn(taken).chain(in_use);
    let (records, announcements): (BTreeSet<_>, BTreeSet<_>) = all.unzip();
    assert_eq!(records.len(), 4, "as many as there are permits");
    assert_eq!(announcements.len(), 4);
}

#[test]
fn two_batches_at_once_free_each_item_once() {
    check(2, || {
        let table = table(1);
        for pair in [take(&table), take(&table)] {
            retire(&table, pair);
        }
        end_round(&table);
        let other = Arc::clone(&table);
        let theirs = thread::spawn(move || free_batch(&other));
        assert!(free_batch(&table) & theirs.join().unwrap());
        assert_eq!(table.backlog(), 0, "each had a batch of its own");
        assert_given_back_once(&table, None);
    });
}

#[test]
fn a_round_ends_beside_a_batch_of_the_one_before() {
    check(2, || {
        let table = table(1);
        let [first, second] = [take(&table), take(&table)];
        retire(&table, first);
        end_round(&table);
        retire(&table, second);
        let other = Arc::clone(&table);
        let ending = thread::spawn(move || {
            let third = take(&other);
            retire(&other, third);
            end_round(&other);
            yield_point();
        });
        yield_point();
        free_batch(&table);
        ending.join().unwrap();
        assert_given_back_once(&table, None);
    });
}

/// What lay below the top is in use again, and the top is where it was.
#[test]
fn an_item_that_comes_round_beside_a_batch_does_not_bring_others() {
    check(1, || {
        let table = table(1);
        for pair in [take(&table), take(&table)] {
            retire(&table, pair);
        }
        end_round(&table);
        let other = Arc::clone(&table);
        let coming_round = thread::spawn(move || {
            let [top, below] = [take(&other), take(&other)];
            retire(&other, top);
            end_round(&other);
            below
        });
        free_batch(&table);
        let in_use = coming_round.join().unwrap();
        assert_given_back_once(&table, Some(in_use));
    });
}

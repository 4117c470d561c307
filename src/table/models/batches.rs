//! Models of what is freed in batches, each here of one record and one
//! announcement.
//!
//! Rounds end here by the models' own word: the mock's collector never runs, and
//! the real one would have them end too late for threads to meet.

use super::*;
use crate::sync::Ordering;
use crate::table::shards::{Shard, ShardId};
use std::collections::BTreeSet;
use std::iter;

/// A record and its announcement, by their indices.
type Pair = (u32, u32);

fn shard(table: &Table) -> &Shard {
    table.store.shards.get(ShardId::FIRST)
}

fn take(table: &Table) -> Pair {
    let guard = epoch::pin();
    let (store, shard) = (&table.store, ShardId::FIRST);
    let record = store.take_record(shard, &guard);
    let record = record.unwrap();
    let announcement = store.put_announcement_of(record, shard, announcement(1), &guard);
    (record, announcement.unwrap())
}

/// Retires both; no round begins.
fn retire(table: &Table, (record, announcement): Pair) {
    shard(table).round.store(true, Ordering::Relaxed);
    table.store.record(record).set_flags(Load::CLOSED);
    table
        .store
        .retire((record, ShardId::FIRST), Some(announcement), &epoch::pin());
}

/// Ends a round with all that is retired.
fn end_round(table: &Table) {
    let shard = shard(table);
    table.store.make_reclaimable(shard, shard.take_retired());
}

fn free_batch(table: &Table) -> bool {
    let guard = epoch::pin();
    let records = table.store.free_records(ShardId::FIRST, &guard);
    let announcements = table.store.free_announcements(ShardId::FIRST, &guard);
    records || announcements
}

/// Everything but what is in use can be taken, and nothing twice.
fn assert_given_back_once(table: &Table, in_use: Option<Pair>) {
    while free_batch(table) {}
    assert_eq!(table.backlog(), 0);
    let guard = epoch::pin();
    let (store, shard) = (&table.store, ShardId::FIRST);
    let put = |record| store.put_announcement_of(record, shard, announcement(1), &guard);
    let taken = || {
        let record = store.take_record(shard, &guard).ok()?;
        Some((record, put(record).ok()?))
    };
    let all = std::iter::from_fn(taken).chain(in_use);
    let (records, announcements): (BTreeSet<_>, BTreeSet<_>) = all.unzip();
    assert_eq!(records.len(), 4, "as many as there may be");
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

/// A record comes into a round as soon as it is retired.
#[test]
fn a_record_that_is_freed_at_once_has_its_announcement() {
    check(2, || {
        let table = table(1);
        let (_, spare) = take(&table);
        let pair = take(&table);
        let other = Arc::clone(&table);
        let retiring = thread::spawn(move || {
            retire(&other, pair);
            yield_point();
        });
        yield_point();
        end_round(&table);
        free_batch(&table);
        retiring.join().unwrap();
        end_round(&table);
        while free_batch(&table) {}
        let guard = epoch::pin();
        let (store, shard) = (&table.store, ShardId::FIRST);
        let with_record = || {
            let record = store.take_record(shard, &guard).ok()?;
            store
                .put_announcement_of(record, shard, announcement(1), &guard)
                .ok()
        };
        let alone = || store.put_announcement(shard, announcement(1), &guard).ok();
        let rest = iter::from_fn(with_record).chain(iter::from_fn(alone));
        let rest: BTreeSet<_> = rest.filter(|&it| it != spare).collect();
        assert_eq!(rest.len(), 4, "all but the spare one");
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

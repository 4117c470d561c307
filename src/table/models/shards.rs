//! Models of a table of two shards.

use super::*;
use crate::table::shards::ShardLayout;

fn table_of_two_shards(max_relays: usize) -> Arc<Table> {
    Arc::new(Table::for_tests_in(ShardLayout::TWO, max_relays))
}

/// A number whose id is in the first shard, and one whose id is in the other.
fn in_each_shard(table: &Table) -> [u8; 2] {
    let layout = table.store.shards.layout();
    let is_in_first = |&n: &u8| layout.of_hash(table.hash(&id(n))) == ShardId::FIRST;
    let first = (1..).find(is_in_first).expect("half of them are");
    let other = (1..).find(|n| !is_in_first(n)).expect("half of them are");
    [first, other]
}

#[test]
fn the_last_place_is_given_in_one_shard() {
    check(2, || {
        let table = table_of_two_shards(1);
        let [first, second] = in_each_shard(&table);
        gives_one_place_once(table, [second, first]);
    });
}

/// A thread that has seen that a relay of another shard is gone may register one in its place.
#[test]
fn no_registration_is_refused_for_a_relay_of_another_shard_that_is_gone() {
    check(2, || {
        let table = table_of_two_shards(1);
        let in_each_shard = in_each_shard(&table);
        gives_the_place_of_one_that_is_gone(table, in_each_shard);
    });
}

/// There is one place at each moment: a relay of one shard departs before one of the other is
/// registered.
#[test]
fn a_table_that_is_never_full_refuses_no_registration() {
    check(1, || {
        let table = table_of_two_shards(2);
        let [first, second] = in_each_shard(&table);
        register(&table, first, 1);
        let other = Arc::clone(&table);
        let changing = thread::spawn(move || {
            assert!(unregister(&other, first));
            assert_eq!(register(&other, second, 1), AdmitOutcome::Admitted);
        });
        let third = (1..).find(|&n| n != first && n != second).unwrap();
        assert_eq!(register(&table, third, 1), AdmitOutcome::Admitted);
        changing.join().unwrap();
        assert_eq!((live(&table), count(&table)), (2, 2));
    });
}

/// While a place moves from one shard to the other, the relays are counted right.
#[test]
fn a_count_beside_a_place_that_moves_is_right() {
    check(2, || {
        let table = table_of_two_shards(2);
        let [first, second] = in_each_shard(&table);
        register(&table, first, 1);
        let other = Arc::clone(&table);
        let arriving = thread::spawn(move || {
            register(&other, second, 1);
            yield_point();
        });
        yield_point();
        assert!([1, 2].contains(&count(&table)));
        arriving.join().unwrap();
        assert_eq!(count(&table), 2);
    });
}

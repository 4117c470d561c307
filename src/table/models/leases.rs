//! Models of leases: against each other, renewals, departures and the registry's end.

use super::*;
use std::num::NonZeroU32;

pub(super) fn lease(table: &Table, n: u8) -> Option<Units> {
    lease_units(table, n, 1)
}

fn lease_units(table: &Table, n: u8, count: u32) -> Option<Units> {
    let count = NonZeroU32::new(count)?;
    let guard = epoch::pin();
    let (units, _) = table.find(&id(n), &guard)?.lease(count, None).ok()?;
    Some(units)
}

#[test]
fn the_last_unit_is_leased_once() {
    check(2, || {
        let table = table(1);
        register(&table, 1, 1);
        let other = Arc::clone(&table);
        let theirs = thread::spawn(move || lease(&other, 1));
        let ours = lease(&table, 1);
        let theirs = theirs.join().unwrap();
        assert!(ours.is_some() ^ theirs.is_some());
        drop((ours, theirs));
        assert_eq!(table.leases(), 0);
        assert!(lease(&table, 1).is_some());
    });
}

/// Of three units, two leases of two are not both taken; and none is taken in part.
#[test]
fn units_are_leased_together_or_not_at_all() {
    check(2, || {
        let table = table(1);
        register(&table, 1, 3);
        let other = Arc::clone(&table);
        let theirs = thread::spawn(move || lease_units(&other, 1, 2));
        let ours = lease_units(&table, 1, 2);
        let theirs = theirs.join().unwrap();
        assert!(ours.is_some() ^ theirs.is_some());
        assert_eq!(table.leases(), 2);
        drop((ours, theirs));
        assert_eq!(table.leases(), 0);
        assert!(lease_units(&table, 1, 3).is_some());
    });
}

/// A thread that lowers a capacity knows, once that is announced, of all leases beyond it.
#[test]
fn no_unit_is_leased_beyond_a_lowered_capacity() {
    check(2, || {
        let table = table(1);
        register(&table, 1, 2);
        let first = lease(&table, 1);
        let other = Arc::clone(&table);
        let second = thread::spawn(move || lease(&other, 1));
        renew(&table, 1, 1);
        let known = {
            let guard = epoch::pin();
            table.find(&id(1), &guard).unwrap().touch_load().leases()
        };
        assert!(lease(&table, 1).is_none(), "lowered before");
        let second = second.join().unwrap();
        assert!(second.is_none() || known == 2);
        assert_eq!(table.leases(), 1 + usize::from(second.is_some()));
        drop((first, second));
        assert_eq!(table.leases(), 0);
    });
}

#[test]
fn a_raised_capacity_is_leased_as_soon_as_it_is_seen() {
    check(2, || {
        let table = table(1);
        register(&table, 1, 1);
        let first = lease(&table, 1);
        let other = Arc::clone(&table);
        let raising = thread::spawn(move || {
            renew(&other, 1, 2);
            yield_point();
        });
        yield_point();
        let is_raised = {
            let guard = epoch::pin();
            let record = table.find(&id(1), &guard).unwrap();
            record.observe_live().unwrap().announcement().capacity == 2
        };
        let second = lease(&table, 1);
        assert!(second.is_some() || !is_raised);
        raising.join().unwrap();
        drop((first, second));
    });
}

/// There is room at any moment, though not at that of the new load by the old terms.
#[test]
fn a_refusal_is_not_made_of_two_moments() {
    check(2, || {
        let table = table(1);
        register(&table, 1, 1);
        let other = Arc::clone(&table);
        let raising = thread::spawn(move || {
            renew(&other, 1, 2);
            lease(&other, 1)
        });
        let ours = lease(&table, 1);
        let theirs = raising.join().unwrap();
        assert!(ours.is_some() && theirs.is_some());
    });
}

/// There is room at no moment at which the first terms are in force.
#[test]
fn room_is_not_made_of_two_moments() {
    check(2, || {
        let table = table(1);
        register(&table, 1, 1);
        let unit = lease(&table, 1);
        let other = Arc::clone(&table);
        let guard = epoch::pin();
        let record = table.find(&id(1), &guard).unwrap();
        let live = record.observe_live().unwrap();
        let renewing = thread::spawn(move || {
            renew(&other, 1, 1);
            drop(unit);
            yield_point();
        });
        yield_point();
        assert!(!live.has_room(1));
        drop(guard);
        renewing.join().unwrap();
    });
}

/// Units that other threads release between a departure and its last steps cannot be leased.
#[test]
fn no_unit_is_leased_of_a_relay_that_is_gone() {
    check(2, || {
        let table = table(1);
        register(&table, 1, 1);
        let unit = lease(&table, 1);
        let other = Arc::clone(&table);
        let leaving = thread::spawn(move || {
            let guard = epoch::pin();
            let record = other.find(&id(1), &guard).unwrap();
            let word = record.lifecycle();
            assert!(record.record.transition(word, word.departing()));
            drop(unit);
            yield_point();
            let shard = other.store.shard_of(record.index);
            other.count_out(shard, &record);
            record.record.set_flags(Load::CLOSED);
        });
        yield_point();
        assert!(lease(&table, 1).is_none());
        leaving.join().unwrap();
    });
}

/// A unit that is released beside a departure and a return can be leased again.
#[test]
fn a_release_beside_a_return_gives_the_unit_back() {
    check(2, || {
        let table = table(1);
        register(&table, 1, 1);
        let unit = lease(&table, 1).unwrap();
        let other = Arc::clone(&table);
        let returning = thread::spawn(move || {
            leave(&other, 1);
            register(&other, 1, 1);
        });
        drop(unit);
        returning.join().unwrap();
        assert_eq!(table.leases(), 0);
        assert!(lease(&table, 1).is_some());
    });
}

/// Two units that are released beside a departure and a return can be leased again together.
#[test]
fn a_release_of_several_units_beside_a_return_gives_all_back() {
    check(2, || {
        let table = table(1);
        register(&table, 1, 2);
        let units = lease_units(&table, 1, 2).unwrap();
        let other = Arc::clone(&table);
        let returning = thread::spawn(move || {
            leave(&other, 1);
            register(&other, 1, 2);
        });
        drop(units);
        returning.join().unwrap();
        assert_eq!(table.leases(), 0);
        assert!(lease_units(&table, 1, 2).is_some());
    });
}

/// A relay whose unit is leased has no other one, also beside a departure and a return.
#[test]
fn no_unit_is_leased_twice_over_a_return() {
    check(2, || {
        let table = table(1);
        register(&table, 1, 1);
        let unit = lease(&table, 1).unwrap();
        let other = Arc::clone(&table);
        let returning = thread::spawn(move || {
            leave(&other, 1);
            register(&other, 1, 1);
        });
        assert!(lease(&table, 1).is_none());
        returning.join().unwrap();
        assert!(lease(&table, 1).is_none());
        drop(unit);
    });
}

/// Whichever comes first, the record is freed once: not while leased, not
/// twice, and not never.
#[test]
fn a_release_and_a_departure_give_the_record_back_once() {
    are_given_back_once(|table| lease(table, 1));
}

/// The same for a lease of several units.
#[test]
fn a_release_of_several_units_and_a_departure_give_the_record_back_once() {
    are_given_back_once(|table| lease_units(table, 1, 2));
}

fn are_given_back_once(lease: fn(&Table) -> Option<Units>) {
    check(2, move || {
        let table = table(1);
        register(&table, 1, 2);
        let units = lease(&table).unwrap();
        let index = {
            let guard = epoch::pin();
            table.find(&id(1), &guard).unwrap().index()
        };
        let other = Arc::clone(&table);
        let leaving = thread::spawn(move || {
            unregister(&other, 1);
            // The mock's collector never runs; stand in for it. The real one
            // comes here by itself.
            if cfg!(not(crossbeam_loom)) && other.store.is_unreachable_to_all(index) {
                other.store.return_record(index);
            }
        });
        drop(units);
        leaving.join().unwrap();
        collect_all();
        let guard = epoch::pin();
        let take = || table.store.take_record(ShardId::FIRST, &guard);
        let taken: Vec<_> = (0..3).map(|_| take()).collect();
        let again = taken.iter().filter(|&&taken| taken == Ok(index)).count();
        // The real collector may still be held back by where its threads stand.
        assert!(again == 1 || cfg!(crossbeam_loom) && again == 0);
    });
}

/// The store outlives the registry until the last lease is released.
#[test]
fn a_release_and_the_end_of_the_registry_agree_on_who_frees_the_store() {
    check(2, || {
        let table = table(1);
        register(&table, 1, 3);
        // Dropped in this order.
        let units = [
            lease_units(&table, 1, 2).unwrap(),
            lease(&table, 1).unwrap(),
        ];
        let store = Arc::downgrade(&table.store);
        let releasing = thread::spawn(move || drop(units));
        drop(table);
        releasing.join().unwrap();
        collect_all();
        // Models keep what is deferred.
        assert_eq!(store.strong_count(), 1);
    });
}

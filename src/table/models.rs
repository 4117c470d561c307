//! Models of the table: admission, reclamation, renewal and expiry; leases; returns and
//! restarts; batches.
//!
//! Each explores every interleaving of a few threads, within the bound on
//! preemptions, and asserts one invariant at the end. What a thread may see is
//! asserted as sequential consistency allows, not in real time: under loom an
//! acquire load may legally be stale.

mod batches;
mod filters;
mod grace;
mod leases;
mod moves;
mod shards;

use super::admission::Absence;
use super::*;
use crate::sync::{check, epoch, yield_point};
use crate::table::record::{Announcement, Load, State};
use crate::table::shards::ShardId;
use loom::thread;

const LATER: Tick = Tick(10);

fn id(n: u8) -> NodeId {
    NodeId::from([n; 32])
}

fn announcement(capacity: u32) -> Announcement {
    let endpoint = std::net::SocketAddr::from(([192, 0, 2, 1], 4433));
    Announcement::new(endpoint.into(), capacity, std::time::Duration::from_secs(1))
}

fn table(max_relays: usize) -> Arc<Table> {
    Arc::new(Table::for_tests(max_relays))
}

/// What a registration does to the table.
fn register(table: &Table, n: u8, capacity: u32) -> AdmitOutcome {
    loop {
        let guard = epoch::pin();
        let record = match table.find_known_or_absence(table.hash(&id(n)), &id(n), &guard) {
            Ok(record) => record.observe(),
            Err(absence) => match enter(table, n, capacity, absence, &guard) {
                Some(outcome) => return outcome,
                None => continue,
            },
        };
        match record.word().state() {
            State::Live => return AdmitOutcome::AlreadyPresent,
            State::Gone => {
                if let Some(outcome) = bring_back(table, record, capacity) {
                    return outcome;
                }
            }
            _ => crate::sync::yield_now(),
        }
    }
}

/// `None` if another relay has taken the place.
fn enter(
    table: &Table,
    n: u8,
    capacity: u32,
    absence: Absence,
    guard: &Guard,
) -> Option<AdmitOutcome> {
    let id = id(n);
    let named = (&id, table.hash(&id));
    while let Some(full) = table.full_without(named, guard) {
        table.help_departures(guard);
        if table.full_without(named, guard) == Some(full) {
            return Some(AdmitOutcome::NoPlace);
        }
    }
    let outcome = stage(table, &id, capacity, guard).admit(Before::None(absence));
    (outcome != AdmitOutcome::NoPlace).then_some(outcome)
}

/// `None` if another thread was faster.
fn bring_back(table: &Table, gone: ObservedRecord<'_>, capacity: u32) -> Option<AdmitOutcome> {
    let returning = table.bring_back(gone, announcement(capacity), LATER, false, None);
    let returning = returning.expect("there are announcements")?;
    Some(match returning.admit() {
        true => AdmitOutcome::Admitted,
        false => AdmitOutcome::NoPlace,
    })
}

/// Has a relay that is gone return, with all that a registration does to its leaf.
fn return_to_a_leaf(table: &Table, n: u8, capacity: u32) {
    let guard = epoch::pin();
    let record = table.find_known(table.hash(&id(n)), &id(n), &guard);
    let gone = record.expect("it is remembered").observe();
    let returning = table.bring_back(gone, announcement(capacity), LATER, false, None);
    let returning = returning.expect("there are announcements");
    let returning = returning.expect("no other thread brings it back");
    let arrival = returning.append();
    let _pending = gone.begin_pending();
    assert!(returning.admit());
    gone.touch_load();
    gone.refresh_arrival(&arrival);
}

fn is_eligible_by_its_leaf(table: &Table, n: u8) -> bool {
    let guard = epoch::pin();
    let record = table.find(&id(n), &guard).unwrap();
    let snapshot = table.publication().load();
    snapshot.state_of(&record.subject()).is_eligible()
}

fn stage<'g>(table: &'g Table, id: &'g NodeId, capacity: u32, guard: &'g Guard) -> Staged<'g> {
    let hash = table.hash(id);
    table
        .stage(
            (id, hash),
            announcement(capacity),
            LATER,
            Beginning::default(),
            guard,
        )
        .expect("there are records")
}

/// Has a relay leave, and be forgotten.
fn unregister(table: &Table, n: u8) -> bool {
    depart(table, n, |closing| closing.forget())
}

/// Has a relay leave, and be remembered.
fn leave(table: &Table, n: u8) -> bool {
    depart(table, n, |closing| closing.remember_until(Tick(30), false))
}

fn depart(table: &Table, n: u8, then: impl FnOnce(Closing<'_>)) -> bool {
    let guard = epoch::pin();
    while let Some(record) = table.find(&id(n), &guard) {
        let Some(live) = record.observe_live() else {
            return false;
        };
        if let Some(closing) = table.depart(live) {
            then(closing);
            return true;
        }
    }
    false
}

fn holds(table: &Table, n: u8) -> bool {
    let guard = epoch::pin();
    table.find(&id(n), &guard).is_some()
}

/// Renews it on other terms; what a renewal does to the table.
fn renew(table: &Table, n: u8, capacity: u32) {
    let guard = epoch::pin();
    let record = table.find(&id(n), &guard).unwrap();
    let live = record.observe_live().unwrap();
    let renewed = live.renew(Tick(20), Some(announcement(capacity)));
    assert_eq!(renewed, Ok(true));
    record.copy_announced();
}

/// Live records, however they are found.
fn live(table: &Table) -> usize {
    let guard = epoch::pin();
    let occupants = (0..table.high_water()).filter_map(|index| table.record_at(index, &guard));
    occupants
        .filter(|record| record.lifecycle().is_live())
        .count()
}

fn count(table: &Table) -> usize {
    table.count(&epoch::pin()).expect("nothing departs")
}

#[test]
fn of_two_registrations_of_one_id_one_is_new() {
    check(2, || {
        let table = table(2);
        let other = Arc::clone(&table);
        let theirs = thread::spawn(move || register(&other, 1, 1));
        let ours = register(&table, 1, 1);
        let theirs = theirs.join().unwrap();
        assert!((ours == AdmitOutcome::Admitted) ^ (theirs == AdmitOutcome::Admitted));
        assert_eq!((live(&table), count(&table)), (1, 1));
        assert!(holds(&table, 1));
    });
}

#[test]
fn the_last_place_is_given_once() {
    check(2, || gives_one_place_once(table(1), [1, 2]));
}

/// Two threads register a relay each, in a table for one.
fn gives_one_place_once(table: Arc<Table>, [ours, theirs]: [u8; 2]) {
    let other = Arc::clone(&table);
    let arriving = thread::spawn(move || register(&other, theirs, 1));
    let mut outcomes = [register(&table, ours, 1), arriving.join().unwrap()];
    outcomes.sort_by_key(|&outcome| outcome == AdmitOutcome::NoPlace);
    assert_eq!(outcomes, [AdmitOutcome::Admitted, AdmitOutcome::NoPlace]);
    assert_eq!((live(&table), count(&table)), (1, 1));
}

/// It is there already, or has the last place.
#[test]
fn a_registration_beside_one_of_its_id_is_not_refused() {
    check(2, || {
        let table = table(1);
        let other = Arc::clone(&table);
        let theirs = thread::spawn(move || register(&other, 1, 1));
        let mut outcomes = [register(&table, 1, 1), theirs.join().unwrap()];
        outcomes.sort_by_key(|&outcome| outcome == AdmitOutcome::AlreadyPresent);
        let expected = [AdmitOutcome::Admitted, AdmitOutcome::AlreadyPresent];
        assert_eq!(outcomes, expected);
    });
}

/// Two threads race one id, and then there is one other place.
#[test]
fn no_registration_is_refused_for_one_that_fails() {
    check(1, || {
        let table = table(2);
        let guard = epoch::pin();
        let id = id(1);
        let staged = stage(&table, &id, 1, &guard);
        let other = Arc::clone(&table);
        let racing = thread::spawn(move || register(&other, 1, 1));
        let _ = staged.admit(Before::Unknown);
        drop(guard);
        assert_eq!(register(&table, 2, 1), AdmitOutcome::Admitted);
        racing.join().unwrap();
        assert_eq!((live(&table), count(&table)), (2, 2));
    });
}

/// A thread that has seen that a relay is gone may register another in its place, also while it is
/// still being cleared away.
#[test]
fn no_registration_is_refused_for_a_relay_that_is_gone() {
    check(2, || gives_the_place_of_one_that_is_gone(table(1), [1, 2]));
}

/// A thread helps a departure that it meets late, or before it began.
#[test]
fn a_late_helper_counts_no_departure_out_twice() {
    check(2, || {
        let table = table(1);
        register(&table, 1, 1);
        let other = Arc::clone(&table);
        let helping = thread::spawn(move || {
            let guard = epoch::pin();
            if let Some(record) = other.find(&id(1), &guard) {
                other.count_out(other.store.shard_of(record.index), &record);
            }
        });
        leave(&table, 1);
        helping.join().unwrap();
        let admission = &table.store.shards.get(ShardId::FIRST).admission;
        assert_eq!(admission.read().places(), 1);
        let state = table.store.record(0).lifecycle().state();
        assert!(matches!(state, State::Gone | State::Vacant), "{state:?}");
    });
}

/// A relay leaves a table for one, and another is registered.
fn gives_the_place_of_one_that_is_gone(table: Arc<Table>, [first, second]: [u8; 2]) {
    register(&table, first, 1);
    let other = Arc::clone(&table);
    let leaving = thread::spawn(move || {
        let was_there = unregister(&other, first);
        yield_point();
        was_there
    });
    yield_point();
    let gone = !holds(&table, first);
    let outcome = register(&table, second, 1);
    assert!(!gone || outcome == AdmitOutcome::Admitted);
    assert!(leaving.join().unwrap());
    assert_eq!(
        count(&table),
        usize::from(outcome == AdmitOutcome::Admitted)
    );
}

#[test]
fn a_registration_and_a_departure_of_one_id_take_turns() {
    check(2, || {
        let table = table(2);
        register(&table, 1, 1);
        let other = Arc::clone(&table);
        let departed = thread::spawn(move || {
            yield_point();
            unregister(&other, 1)
        });
        yield_point();
        let outcome = register(&table, 1, 1);
        assert!(departed.join().unwrap(), "it was there, or came back");
        let expected = usize::from(outcome == AdmitOutcome::Admitted && holds(&table, 1));
        assert_eq!((live(&table), count(&table)), (expected, expected));
    });
}

#[test]
fn of_two_departures_one_happens() {
    check(2, || {
        let table = table(2);
        register(&table, 1, 1);
        let other = Arc::clone(&table);
        let theirs = thread::spawn(move || unregister(&other, 1));
        let ours = unregister(&table, 1);
        assert!(ours ^ theirs.join().unwrap());
        assert!(!holds(&table, 1));
        assert_eq!((live(&table), count(&table)), (0, 0));
    });
}

/// A look-up never takes one relay for another, also while the record that it reads is
/// reused.
#[test]
fn a_lookup_sees_the_relay_it_asked_for() {
    check(2, || {
        let table = table(1);
        register(&table, 1, 1);
        let other = Arc::clone(&table);
        let churn = thread::spawn(move || {
            unregister(&other, 1);
            epoch::collect();
            register(&other, 2, 7);
            yield_point();
        });
        yield_point();
        let guard = epoch::pin();
        for n in [1, 2] {
            if let Some(record) = table.find(&id(n), &guard) {
                let live = record.observe_live();
                assert_eq!(record.identity(), id(n));
                if let Some(live) = live {
                    let capacity = if n == 1 { 1 } else { 7 };
                    assert_eq!(live.announcement().capacity, capacity);
                }
            }
        }
        drop(guard);
        churn.join().unwrap();
        assert!(!holds(&table, 1));
        assert!(holds(&table, 2));
    });
}

/// As above, for a visitor that comes by index, not by the bucket.
#[test]
fn a_visit_to_all_records_sees_them_whole() {
    check(2, || {
        let table = table(1);
        let other = Arc::clone(&table);
        let arriving = thread::spawn(move || {
            register(&other, 1, 7);
            yield_point();
        });
        yield_point();
        let guard = epoch::pin();
        for record in (0..table.high_water()).filter_map(|index| table.record_at(index, &guard)) {
            let record = record.observe();
            assert_eq!(record.identity(), id(1));
            assert_eq!(record.announcement().unwrap().capacity, 7);
        }
        drop(guard);
        arriving.join().unwrap();
    });
}

/// As above, by a handle from before.
#[test]
fn a_handle_names_one_generation_of_a_record() {
    check(2, || {
        let table = table(1);
        register(&table, 1, 1);
        let handle = {
            let guard = epoch::pin();
            table.find(&id(1), &guard).unwrap().handle()
        };
        let other = Arc::clone(&table);
        let churn = thread::spawn(move || {
            unregister(&other, 1);
            epoch::collect();
            register(&other, 2, 1);
            yield_point();
        });
        yield_point();
        let guard = epoch::pin();
        if let Some(record) = table.resolve(handle, &guard) {
            assert_eq!(record.identity(), id(1));
        }
        drop(guard);
        churn.join().unwrap();
        let guard = epoch::pin();
        assert!(table.resolve(handle, &guard).is_none());
    });
}

/// The one compare-and-swap on the lifecycle word: a relay that was renewed is
/// not removed at its old deadline.
#[test]
fn a_renewal_and_an_expiry_exclude_each_other() {
    check(2, || {
        let table = table(1);
        register(&table, 1, 1);
        let other = Arc::clone(&table);
        let expired = thread::spawn(move || {
            let guard = epoch::pin();
            other.find(&id(1), &guard).is_some_and(|record| {
                let live = record.observe_live();
                let due = live.filter(|live| !live.word().is_live_at(LATER));
                let departed = due.and_then(|due| other.depart(due));
                departed.map(Closing::forget).is_some()
            })
        });
        let renewed = {
            let guard = epoch::pin();
            table.find(&id(1), &guard).is_some_and(|record| {
                let live = record.observe_live();
                live.is_some_and(|it| it.renew(Tick(20), Some(announcement(3))) == Ok(true))
            })
        };
        let expired = expired.join().unwrap();
        assert!(renewed ^ expired, "one of them and only one");
        assert_eq!(holds(&table, 1), renewed);
    });
}

/// Endpoint, capacity and deadline that are read together were set together.
#[test]
fn a_renewal_is_seen_whole() {
    check(2, || {
        let table = table(1);
        register(&table, 1, 1);
        let other = Arc::clone(&table);
        let renewing = thread::spawn(move || {
            renew(&other, 1, 3);
            yield_point();
        });
        yield_point();
        let guard = epoch::pin();
        let record = table.find(&id(1), &guard).unwrap();
        let live = record.observe_live().unwrap();
        let seen = (live.word().deadline(), live.announcement().capacity);
        assert!([(LATER, 1), (Tick(20), 3)].contains(&seen), "{seen:?}");
        drop(guard);
        renewing.join().unwrap();
    });
}

/// Of a return and a forgetting one comes first; either way the relay is there in the end, once.
#[test]
fn a_return_and_a_forgetting_exclude_each_other() {
    check(2, || {
        let table = table(1);
        register(&table, 1, 1);
        leave(&table, 1);
        let other = Arc::clone(&table);
        let forgetting = thread::spawn(move || {
            let guard = epoch::pin();
            let known = other.find_known(other.hash(&id(1)), &id(1), &guard);
            let closing = known.and_then(|record| other.close_gone(record.observe()));
            closing.map(Closing::forget).is_some()
        });
        assert_eq!(register(&table, 1, 1), AdmitOutcome::Admitted);
        forgetting.join().unwrap();
        assert_eq!((live(&table), count(&table)), (1, 1));
        assert!(holds(&table, 1));
    });
}

/// A relay that comes back counts towards the bound like any other: the last place is given
/// once.
#[test]
fn a_return_and_a_registration_exclude_each_other_at_the_bound() {
    check(2, || {
        let table = table(1);
        register(&table, 1, 1);
        leave(&table, 1);
        let other = Arc::clone(&table);
        let returning = thread::spawn(move || register(&other, 1, 1));
        let ours = register(&table, 2, 1);
        let mut outcomes = [ours, returning.join().unwrap()];
        outcomes.sort_by_key(|&outcome| outcome == AdmitOutcome::NoPlace);
        assert_eq!(outcomes, [AdmitOutcome::Admitted, AdmitOutcome::NoPlace]);
        assert_eq!((live(&table), count(&table)), (1, 1));
    });
}

/// A thread that helps with an admission, and is preempted, does not admit the relay when it
/// comes back later.
#[test]
fn a_preempted_helper_admits_no_relay_that_comes_back() {
    check(3, || {
        let table = table(1);
        register(&table, 1, 1);
        leave(&table, 1);
        let other = Arc::clone(&table);
        let helping = thread::spawn(move || {
            let shard = other.store.shards.get(ShardId::FIRST);
            other.help_unfinished(shard, &epoch::pin());
            yield_point();
        });
        register(&table, 1, 1);
        leave(&table, 1);
        register(&table, 2, 1);
        {
            let guard = epoch::pin();
            let hash = table.hash(&id(1));
            let record = table.find_known(hash, &id(1), &guard).unwrap();
            let gone = record.observe();
            let returning = table.bring_back(gone, announcement(1), LATER, false, None);
            yield_point();
            assert_eq!(record.lifecycle().state(), State::Returning);
            assert!(!returning.unwrap().unwrap().admit());
        }
        helping.join().unwrap();
        assert_eq!((live(&table), count(&table)), (1, 1));
    });
}

fn collect_all() {
    for _ in 0..3 {
        epoch::collect();
    }
}

//! Models of relays that return or restart beside other changes: of their leaves, capacities
//! and records.

use super::leases::lease;
use super::*;

/// The relay leaves and returns, in a thread of its own.
fn leave_and_return(table: &Arc<Table>, capacity: u32) -> thread::JoinHandle<()> {
    let table = Arc::clone(table);
    thread::spawn(move || {
        leave(&table, 1);
        return_to_a_leaf(&table, 1, capacity);
    })
}

/// A relay leaves and returns while its unit is released. In its new leaf it has room.
#[test]
fn a_release_beside_a_return_reaches_the_new_leaf() {
    check(2, || {
        let table = table(1);
        register(&table, 1, 1);
        let unit = lease(&table, 1).unwrap();
        let returning = leave_and_return(&table, 1);
        drop(unit);
        returning.join().unwrap();
        assert!(is_eligible_by_its_leaf(&table, 1));
    });
}

/// The same for a ban that is lifted.
#[test]
fn a_lifted_ban_beside_a_return_reaches_the_new_leaf() {
    check(2, || {
        let table = table(1);
        register(&table, 1, 1);
        let guard = epoch::pin();
        let record = table.find(&id(1), &guard).unwrap();
        record.change_circuit(|circuit| circuit.with_ban(Tick(9)));
        let returning = leave_and_return(&table, 1);
        record.change_circuit(|circuit| circuit.without_ban(Tick(0)));
        returning.join().unwrap();
        drop(guard);
        assert!(is_eligible_by_its_leaf(&table, 1));
    });
}

/// A renewal copies its capacity while the relay leaves and returns with another one.
#[test]
fn a_capacity_that_is_copied_beside_a_return_is_the_announced_one() {
    check(2, || {
        let table = table(1);
        register(&table, 1, 1);
        let returning = leave_and_return(&table, 2);
        renew_if_live(&table, 3);
        returning.join().unwrap();
        assert_capacity_is_announced(&table);
    });
}

/// One lowers the capacity, the other restores it.
#[test]
fn of_two_renewals_the_capacity_in_force_is_copied_last() {
    check(2, || {
        let table = table(1);
        register(&table, 1, 2);
        let other = Arc::clone(&table);
        let lowering = thread::spawn(move || while !renew_if_live(&other, 1) {});
        while !renew_if_live(&table, 2) {}
        lowering.join().unwrap();
        assert_capacity_is_announced(&table);
    });
}

fn renew_if_live(table: &Table, capacity: u32) -> bool {
    let guard = epoch::pin();
    let live = table.find(&id(1), &guard).and_then(|it| it.observe_live());
    live.is_some_and(|live| {
        let is_renewed = live.renew(Tick(20), Some(announcement(capacity))) == Ok(true);
        if is_renewed {
            live.copy_announced();
        }
        is_renewed
    })
}

fn assert_capacity_is_announced(table: &Table) {
    let guard = epoch::pin();
    let live = table.find(&id(1), &guard).unwrap().observe_live().unwrap();
    assert_eq!(live.load().capacity(), live.announcement().capacity);
}

/// The new record lies before the old one, where a look-up has passed already.
#[test]
fn a_look_up_beside_a_restart_finds_one_of_the_records() {
    check(2, || {
        let table = table(2);
        register(&table, 2, 1);
        register(&table, 1, 1);
        assert!(unregister(&table, 2));
        let other = Arc::clone(&table);
        let restarting = thread::spawn(move || {
            let guard = epoch::pin();
            let id = id(1);
            let live = other.find(&id, &guard).unwrap().observe_live().unwrap();
            let closing = other.close_live(live).unwrap();
            let outcome = stage(&other, &id, 1, &guard).admit(Before::Record(&closing));
            assert_eq!(outcome, AdmitOutcome::Admitted);
            yield_point();
            closing.forget();
        });
        yield_point();
        {
            let guard = epoch::pin();
            let known = table.find_known_beside_moves(table.hash(&id(1)), &id(1), &guard);
            assert!(known.is_some(), "it has a record throughout");
        }
        restarting.join().unwrap();
    });
}

/// Its leaf was computed while it was returning. Then its deadline passes for a search, and
/// it is renewed.
#[test]
fn a_renewal_of_a_relay_that_its_leaf_hides_shows_it() {
    check(2, || {
        let table = table(1);
        register(&table, 1, 1);
        leave(&table, 1);
        {
            let guard = epoch::pin();
            let record = table.find_known(table.hash(&id(1)), &id(1), &guard);
            let gone = record.unwrap().observe();
            let returning = table.bring_back(gone, announcement(1), LATER, false, None);
            let returning = returning.unwrap().unwrap();
            returning.append();
            // As a unit that is released does.
            gone.refresh(false);
            assert!(returning.admit());
        }
        let other = Arc::clone(&table);
        let renewing = thread::spawn(move || {
            let guard = epoch::pin();
            let live = other.find(&id(1), &guard).unwrap().observe_live().unwrap();
            let is_renewed = live.word().deadline() >= LATER && live.postpone(Tick(20));
            // As a renewal of the registry does.
            let context = &other.publication().context;
            if is_renewed && !live.word().is_live_at(context.leaf_tick()) {
                live.refresh(true);
            }
            is_renewed
        });
        {
            let guard = epoch::pin();
            table.publication().context.raise_leaf_tick(LATER);
            table.find(&id(1), &guard).unwrap().refresh(true);
        }
        if renewing.join().unwrap() {
            assert!(is_eligible_by_its_leaf(&table, 1));
        }
    });
}

//! Models of filters that become active beside changes of a relay.

use super::*;
use crate::relay::{Endpoint, Filter, IpFamily};

fn over(family: IpFamily) -> Arc<Filter> {
    let mut filter = Filter::default();
    filter.set_family(family);
    Arc::new(filter)
}

/// A table whose finds have asked for relays that are reachable over IPv4.
fn asked() -> Arc<Table> {
    let table = table(1);
    let filters = &table.publication().context.filters;
    assert_eq!(filters.find(&over(IpFamily::V4)), None);
    table
}

/// Whether the policy of the relay says that it passes the filter, if that is active.
fn passes(table: &Table) -> Option<bool> {
    let filters = &table.publication().context.filters;
    let filter = filters.find(&over(IpFamily::V4))?;
    let guard = epoch::pin();
    let record = table.find(&id(1), &guard).expect("it is live");
    Some(record.policy_word().passes(filter))
}

#[test]
fn a_relay_that_is_admitted_beside_passes() {
    check(2, || {
        let table = asked();
        let other = Arc::clone(&table);
        let registering = thread::spawn(move || {
            let outcome = register(&other, 1, 1);
            yield_point();
            outcome
        });
        assert!(table.activate_filters());
        assert_eq!(registering.join().unwrap(), AdmitOutcome::Admitted);
        assert_eq!(passes(&table), Some(true));
    });
}

/// The relay moves to an address of the other family.
#[test]
fn a_relay_that_is_renewed_beside_does_not_pass_any_more() {
    check(2, || {
        let table = asked();
        assert_eq!(register(&table, 1, 1), AdmitOutcome::Admitted);
        let other = Arc::clone(&table);
        let renewing = thread::spawn(move || {
            let guard = epoch::pin();
            let live = other.find(&id(1), &guard).unwrap().observe_live().unwrap();
            let endpoint: Endpoint = "[2001:db8::1]:1".parse().unwrap();
            let second = std::time::Duration::from_secs(1);
            let announcement = Announcement::new(endpoint, 1, second);
            assert_eq!(live.renew(LATER, Some(announcement)), Ok(true));
            live.copy_announced();
            yield_point();
        });
        assert!(table.activate_filters());
        renewing.join().unwrap();
        assert_eq!(passes(&table), Some(false));
    });
}

/// A thread finds no memory for the policy of its relay while the filter is activated.
#[test]
fn filters_that_are_given_up_beside_their_activation_stay_so() {
    check(2, || {
        let table = asked();
        assert_eq!(register(&table, 1, 1), AdmitOutcome::Admitted);
        let other = Arc::clone(&table);
        let giving_up = thread::spawn(move || {
            other.publication().context.filters.give_up();
            yield_point();
        });
        assert!(table.activate_filters());
        giving_up.join().unwrap();
        assert_eq!(passes(&table), None);
    });
}

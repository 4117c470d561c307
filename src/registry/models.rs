//! Models of whole operations beside maintenance and each other.

mod events;
mod found;
mod moves;
mod outages;
mod resets;

use super::{FindOptions, Registration, Registry, RegistryBuilder};
use crate::errors::LeaseError;
use crate::registry::Maintenance;
use crate::relay::{Endpoint, NodeId, RegisterOptions, RelayInfo};
use crate::sync::{check, epoch, yield_point};
use crate::table::RecordRef;
use crate::time::{ManualClock, Tick};
use loom::thread;
use std::time::Duration;

pub(super) const TTL: Duration = Duration::from_secs(10);

pub(super) fn id(n: u8) -> NodeId {
    NodeId::from([n; 32])
}

pub(super) fn endpoint() -> Endpoint {
    std::net::SocketAddr::from(([192, 0, 2, 1], 4433)).into()
}

fn registry() -> (ManualClock, Registry) {
    let (clock, builder) = builder();
    (clock, builder.build().expect("valid settings"))
}

pub(super) fn builder() -> (ManualClock, RegistryBuilder) {
    let clock = ManualClock::new();
    let builder = Registry::builder()
        .max_relays(1)
        .ttl(TTL)
        .tick(TTL)
        .maintenance(Maintenance::Manual)
        .clock(clock.clone());
    (clock, builder)
}

pub(super) fn register(
    registry: &Registry,
    n: u8,
) -> Result<Registration, crate::errors::RegisterError> {
    registry.register(id(n), endpoint())
}

fn with_capacity(registry: &Registry, capacity: u32) {
    let options = RegisterOptions::new().capacity(capacity);
    let registered = registry.register_with(id(1), endpoint(), &options);
    assert!(registered.is_ok(), "{registered:?}");
}

fn is_found(registry: &Registry) -> bool {
    registry
        .find_relay_with(&id(9), &FindOptions::new())
        .is_ok()
}

/// Two threads of which neither has to wait for the other: one preemption is enough
/// for all of the one to come between two steps of the other.
fn at_once(one: impl FnOnce() + Send + 'static, other: impl FnOnce() + Send + 'static) {
    let (one, other) = (thread::spawn(one), thread::spawn(other));
    one.join().unwrap();
    other.join().unwrap();
}

/// A renewal that raises the capacity and is preempted does not let leases beyond
/// the lower one that a later renewal announced.
#[test]
fn the_capacity_in_force_is_the_one_announced() {
    check(1, || {
        let (_, registry) = registry();
        with_capacity(&registry, 1);
        let other = registry.clone();
        let raising = thread::spawn(move || with_capacity(&other, 3));
        with_capacity(&registry, 2);
        let leases: Vec<_> = (0..3).map_while(|_| registry.lease(&id(1)).ok()).collect();
        raising.join().unwrap();
        let announced = registry.relay(&id(1)).unwrap().capacity();
        assert!(leases.len() as u32 <= announced.max(2));
        if announced == 2 {
            assert_eq!(leases.len(), 2);
            assert!(registry.lease(&id(1)).is_err() && !is_found(&registry));
        }
    });
}

/// It has no room until it has moved, and some time after that.
#[test]
fn a_relay_is_found_on_terms_on_which_it_had_room() {
    check(1, || {
        let (_, registry) = registry();
        with_capacity(&registry, 1);
        let lease = registry.lease(&id(1)).unwrap();
        let moved: Endpoint = std::net::SocketAddr::from(([192, 0, 2, 2], 4433)).into();
        let (other, there) = (registry.clone(), moved.clone());
        let moving = thread::spawn(move || {
            other.register(id(1), there).unwrap();
            drop(lease);
            yield_point();
        });
        yield_point();
        let found = registry.find_relay(&id(9));
        assert!(found.is_err() || *found.unwrap().endpoint() == moved);
        moving.join().unwrap();
        assert!(is_found(&registry));
    });
}

/// There is room at the capacity that was announced first.
#[test]
fn a_refusal_names_the_capacity_at_which_the_relay_is_full() {
    check(1, || {
        let (_, registry) = registry();
        with_capacity(&registry, 2);
        let first = registry.lease(&id(1)).unwrap();
        let other = registry.clone();
        let lowering = thread::spawn(move || with_capacity(&other, 1));
        let refused = registry.lease(&id(1)).err();
        assert!(matches!(
            refused,
            None | Some(LeaseError::Full { capacity: 1 })
        ));
        lowering.join().unwrap();
        drop(first);
    });
}

/// A relay that is renewed at the very tick of its deadline is found, or is
/// gone, but not held without being found.
#[test]
fn a_relay_that_is_renewed_beside_maintenance_is_found() {
    check(2, || {
        let (clock, registry) = registry();
        register(&registry, 1).unwrap();
        let other = registry.clone();
        let renewing = thread::spawn(move || register(&other, 1).is_ok());
        // The part of a maintenance pass that could lose a relay.
        clock.advance(TTL);
        registry.inner().relays.timeline.advance();
        registry.inner().sort();
        assert!(renewing.join().unwrap());
        assert_eq!(registry.is_relay(&id(1)), is_found(&registry));
        registry.maintain();
        assert_eq!(registry.relay_count(), usize::from(is_found(&registry)));
    });
}

/// The part of a maintenance pass that removes relays.
fn sweep(registry: &Registry) {
    let inner = registry.inner();
    let now = inner.relays.timeline.advance();
    inner.sweep(now.tick);
}

/// What is due is not counted, and makes room, also while another thread sweeps.
#[test]
fn a_relay_that_is_due_makes_room_beside_a_sweep() {
    check(1, || {
        let (clock, registry) = registry();
        register(&registry, 1).unwrap();
        clock.advance(TTL);
        let (one, other) = (registry.clone(), registry.clone());
        at_once(
            move || sweep(&one),
            move || assert_eq!(register(&other, 2), Ok(Registration::New)),
        );
        assert_eq!(registry.relay_count(), 1);
        assert!(!registry.is_relay(&id(1)) && is_found(&registry));
    });
}

/// A sweep says that it is complete only if nothing is left that was due.
fn a_sweep_is_complete_beside_an_arrival(after: fn(&Registry)) {
    check(1, move || {
        let (clock, registry) = registry();
        after(&registry);
        let (one, other) = (registry.clone(), registry.clone());
        at_once(
            move || _ = register(&one, 1).unwrap(),
            // The clock is no part of the model: it moves when this thread begins.
            move || {
                clock.advance(2 * TTL);
                sweep(&other);
            },
        );
        let guard = epoch::pin();
        let live = known(&registry, &guard).and_then(|record| record.observe_live());
        let swept = registry.inner().expiry.swept();
        assert!(live.is_none_or(|live| live.word().deadline() > swept));
    });
}

#[test]
fn a_sweep_beside_a_registration_is_complete() {
    a_sweep_is_complete_beside_an_arrival(|_| {});
}

#[test]
fn a_sweep_beside_a_return_is_complete() {
    a_sweep_is_complete_beside_an_arrival(|registry| {
        register(registry, 1).unwrap();
        registry.unregister(&id(1));
    });
}

/// Whichever comes first, once both are done the relay is banned.
#[test]
fn a_ban_beside_a_registration_holds() {
    check(1, || {
        let (_, registry) = registry();
        let other = registry.clone();
        let registering = thread::spawn(move || register(&other, 1));
        assert_eq!(registry.ban(&id(1), TTL / 2), Ok(()));
        assert_eq!(registering.join().unwrap(), Ok(Registration::New));
        assert!(registry.relay(&id(1)).unwrap().is_banned());
        assert!(!is_found(&registry) && registry.lease(&id(1)).is_err());
    });
}

#[test]
fn a_ban_lifted_beside_a_registration_is_lifted() {
    check(1, || {
        let (_, registry) = registry();
        registry.ban(&id(1), TTL / 2).unwrap();
        let other = registry.clone();
        let registering = thread::spawn(move || register(&other, 1));
        assert!(registry.unban(&id(1)));
        assert_eq!(registering.join().unwrap(), Ok(Registration::New));
        assert!(!registry.relay(&id(1)).unwrap().is_banned());
        assert!(is_found(&registry));
    });
}

/// Of a ban and its end at once, the relay and the list of bans agree which came last.
#[test]
fn a_record_agrees_with_the_bans() {
    check(1, || {
        let (_, registry) = registry();
        register(&registry, 1).unwrap();
        let other = registry.clone();
        let banning = thread::spawn(move || {
            let banned = other.ban(&id(1), TTL / 2);
            yield_point();
            banned
        });
        yield_point();
        registry.unban(&id(1));
        assert_eq!(banning.join().unwrap(), Ok(()));
        let is_banned = registry.relay(&id(1)).unwrap().is_banned();
        assert_eq!(is_banned, registry.banned().len() == 1);
    });
}

/// A ban and draining of a relay that is not known both hold.
#[test]
fn two_settings_of_an_unknown_relay_both_hold() {
    check(1, || {
        let (_, registry) = registry();
        let other = registry.clone();
        let draining = thread::spawn(move || other.set_draining(&id(1), true));
        assert_eq!(registry.ban(&id(1), TTL / 2), Ok(()));
        assert_eq!(draining.join().unwrap(), Ok(()));
        assert_eq!(register(&registry, 1), Ok(Registration::New));
        let relay = registry.relay(&id(1)).unwrap();
        assert!(relay.is_banned() && relay.is_draining());
    });
}

/// Has the relay leave, and its grace end.
fn long_gone(clock: &ManualClock, registry: &Registry) {
    assert!(registry.unregister(&id(1)));
    clock.advance(3 * TTL);
    registry.inner().relays.timeline.advance();
}

/// Whether there is a record of the relay.
fn is_known(registry: &Registry) -> bool {
    known(registry, &epoch::pin()).is_some()
}

fn known<'g>(registry: &'g Registry, guard: &'g epoch::Guard) -> Option<RecordRef<'g>> {
    let table = &registry.inner().relays.table;
    table.find_known(table.hash(&id(1)), &id(1), guard)
}

/// A ban or draining of a relay that is just being forgotten holds.
#[test]
fn a_setting_beside_forgetting_holds() {
    check(2, || {
        let (clock, registry) = registry();
        register(&registry, 1).unwrap();
        long_gone(&clock, &registry);
        let other = registry.clone();
        let draining = thread::spawn(move || other.set_draining(&id(1), true));
        sweep(&registry);
        assert_eq!(draining.join().unwrap(), Ok(()));
        assert_eq!(register(&registry, 1), Ok(Registration::New));
        assert!(registry.relay(&id(1)).unwrap().is_draining());
    });
}

/// The same for a ban.
#[test]
fn a_ban_beside_forgetting_holds() {
    check(2, || {
        let (clock, registry) = registry();
        register(&registry, 1).unwrap();
        long_gone(&clock, &registry);
        let other = registry.clone();
        let banning = thread::spawn(move || other.ban(&id(1), TTL / 2));
        sweep(&registry);
        assert_eq!(banning.join().unwrap(), Ok(()));
        assert_eq!(register(&registry, 1), Ok(Registration::New));
        assert!(registry.relay(&id(1)).unwrap().is_banned());
    });
}

/// The same for a ban that another thread is just setting and that is in the circuit already.
#[test]
fn a_ban_that_is_there_already_beside_forgetting_holds() {
    check(2, || {
        let (clock, registry) = registry();
        register(&registry, 1).unwrap();
        long_gone(&clock, &registry);
        let other = registry.clone();
        let sweeping = thread::spawn(move || sweep(&other));
        let until = Tick(registry.inner().relays.timeline.tick().0 + 2);
        if let Some(record) = known(&registry, &epoch::pin()) {
            record.begin_circuit(|circuit| circuit.with_ban(until));
        }
        assert_eq!(registry.ban(&id(1), 2 * TTL), Ok(()));
        sweeping.join().unwrap();
        assert_eq!(register(&registry, 1), Ok(Registration::New));
        assert!(registry.relay(&id(1)).unwrap().is_banned());
    });
}

/// A setting of a relay that is forgotten as soon as it leaves, by the thread that has it leave.
fn holds_beside_leaving(set: fn(&Registry), holds: fn(&RelayInfo) -> bool) {
    check(1, move || {
        let registry = builder().1.return_grace(Duration::ZERO).build();
        let registry = registry.expect("valid settings");
        register(&registry, 1).unwrap();
        let (one, other) = (registry.clone(), registry.clone());
        let leave = move || assert!(one.unregister(&id(1)));
        at_once(move || set(&other), leave);
        assert!(is_known(&registry), "it is kept");
        assert_eq!(register(&registry, 1), Ok(Registration::New));
        assert!(holds(&registry.relay(&id(1)).unwrap()));
    });
}

#[test]
fn draining_beside_a_departure_without_grace_holds() {
    let drain = |registry: &Registry| assert_eq!(registry.set_draining(&id(1), true), Ok(()));
    holds_beside_leaving(drain, |relay| relay.is_draining());
}

#[test]
fn a_ban_beside_a_departure_without_grace_holds() {
    let ban = |registry: &Registry| assert_eq!(registry.ban(&id(1), TTL / 2), Ok(()));
    holds_beside_leaving(ban, |relay| relay.is_banned());
}

/// The last lease is released beside a departure without grace: no record is left.
#[test]
fn a_release_beside_a_departure_without_grace_leaves_no_record() {
    check(1, || {
        let (clock, builder) = builder();
        let registry = builder.return_grace(Duration::ZERO).build();
        let registry = registry.expect("valid settings");
        register(&registry, 1).unwrap();
        let lease = registry.lease(&id(1)).unwrap();
        let leaving = registry.clone();
        let leave = move || assert!(leaving.unregister(&id(1)));
        at_once(move || drop(lease), leave);
        clock.advance(TTL);
        sweep(&registry);
        assert!(!is_known(&registry));
    });
}

/// Registers the relay as restarted, which voids its leases.
fn restart(registry: &Registry) {
    let options = RegisterOptions::new().restarted(true);
    let restarted = registry.register_with(id(1), endpoint(), &options);
    assert_eq!(restarted, Ok(Registration::Renewed));
}

/// Draining that begins beside a restart holds in the relay's new record.
#[test]
fn a_setting_beside_a_restart_holds() {
    check(1, || {
        let (_, registry) = registry();
        register(&registry, 1).unwrap();
        let lease = registry.lease(&id(1)).unwrap();
        let other = registry.clone();
        let draining = thread::spawn(move || other.set_draining(&id(1), true));
        restart(&registry);
        assert_eq!(draining.join().unwrap(), Ok(()));
        let relay = registry.relay(&id(1)).unwrap();
        assert!(relay.is_draining());
        assert_eq!((relay.current_load(), registry.relay_count()), (0, 1));
        drop(lease);
        assert_eq!(registry.relay(&id(1)).unwrap().current_load(), 0);
    });
}

/// Draining that is lifted beside a restart is lifted.
#[test]
fn a_setting_lifted_beside_a_restart_is_lifted() {
    check(1, || {
        let (_, registry) = registry();
        register(&registry, 1).unwrap();
        let _lease = registry.lease(&id(1)).unwrap();
        registry.set_draining(&id(1), true).unwrap();
        let other = registry.clone();
        let lifting = thread::spawn(move || other.lift(&id(1)));
        restart(&registry);
        assert!(lifting.join().unwrap());
        assert!(!registry.relay(&id(1)).unwrap().is_draining());
        assert!(is_found(&registry));
    });
}

/// A record that is kept for a lease is forgotten once that is over, whenever it ends.
#[test]
fn a_record_is_not_kept_for_a_lease_that_is_over() {
    check(2, || {
        let (clock, registry) = registry();
        register(&registry, 1).unwrap();
        let lease = registry.lease(&id(1)).unwrap();
        long_gone(&clock, &registry);
        let releasing = thread::spawn(move || drop(lease));
        // To keep it, and to see once more that there is a reason.
        sweep(&registry);
        sweep(&registry);
        releasing.join().unwrap();
        sweep(&registry);
        assert!(!is_known(&registry));
        assert_eq!(register(&registry, 1), Ok(Registration::New));
    });
}

/// The same for draining that is lifted.
#[test]
fn a_record_is_not_kept_for_a_setting_that_is_lifted() {
    check(2, || {
        let (clock, registry) = registry();
        register(&registry, 1).unwrap();
        registry.set_draining(&id(1), true).unwrap();
        long_gone(&clock, &registry);
        let other = registry.clone();
        let lifting = thread::spawn(move || other.lift(&id(1)));
        sweep(&registry);
        sweep(&registry);
        assert!(lifting.join().unwrap());
        sweep(&registry);
        assert!(!is_known(&registry));
    });
}

/// A relay whose last unit is leased has none left, also while it returns beside its
/// expiry; and it has one again after that unit was given back.
#[test]
fn a_unit_is_leased_once_over_all_registrations_of_a_relay() {
    check(1, || {
        let (clock, registry) = registry();
        with_capacity(&registry, 1);
        let lease = registry.lease(&id(1)).unwrap();
        clock.advance(TTL);
        let (one, other) = (registry.clone(), registry.clone());
        let sweeping = thread::spawn(move || sweep(&one));
        let returning = thread::spawn(move || {
            with_capacity(&other, 1);
            assert!(other.lease(&id(1)).is_err());
        });
        sweeping.join().unwrap();
        returning.join().unwrap();
        assert!(!is_found(&registry) && registry.lease(&id(1)).is_err());
        drop(lease);
        assert!(is_found(&registry) && registry.lease(&id(1)).is_ok());
        assert_eq!(registry.relay_count(), 1);
    });
}

/// Of two registrations of a relay that is gone, one has it return and the other renews it.
#[test]
fn a_relay_comes_back_once() {
    check(1, || {
        let (_, registry) = registry();
        register(&registry, 1).unwrap();
        let lease = registry.lease(&id(1)).unwrap();
        registry.unregister(&id(1));
        let other = registry.clone();
        let theirs = thread::spawn(move || register(&other, 1));
        let ours = register(&registry, 1);
        let outcomes = [ours, theirs.join().unwrap()];
        assert!(
            outcomes.contains(&Ok(Registration::Returned)),
            "{outcomes:?}"
        );
        assert!(
            outcomes.contains(&Ok(Registration::Renewed)),
            "{outcomes:?}"
        );
        assert_eq!((registry.relay_count(), registry.relays().len()), (1, 1));
        assert_eq!(registry.relay(&id(1)).unwrap().current_load(), 1);
        assert!(is_found(&registry));
        drop(lease);
        assert_eq!(registry.relay(&id(1)).unwrap().current_load(), 0);
    });
}

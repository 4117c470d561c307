//! A registry whose threads were ended by `close`: from there on it is as one without threads.

use crate::common::*;
use relay_registry::{FindOptions, Maintenance, ManualClock, Registration, Registry};

/// Closed before any relay is registered. No thread reads the clock, so nothing depends on
/// timing.
fn closed() -> World {
    let clock = ManualClock::new();
    let registry = Registry::builder()
        .maintenance(Maintenance::Thread)
        .clock(clock.clone())
        .build()
        .expect("a valid registry");
    registry.close();
    World { registry, clock }
}

#[test]
fn calls_of_a_closed_registry_read_the_clock_themselves() {
    let world = closed();
    world.join(1);
    world.join_with(2, &ttl(TTL * 2));
    let lease = world.lease(&id(1)).expect("a free unit");

    world.advance(TTL);
    assert!(!world.has(1));
    assert_eq!(world.found(), Some(2));
    assert_eq!(world.ranking(), [2]);
    assert_eq!(world.relay_count(), 1);
    assert_eq!(world.stats().expirations, 0, "no pass was made");
    assert_eq!(world.maintain().expired, 1);
    drop(lease);

    world.advance(TTL);
    assert_eq!(world.found(), None);
}

#[test]
fn all_handles_of_a_closed_registry_work_on() {
    let world = closed();
    let other = world.registry.clone();
    for n in 1..=2_000 {
        let outcome = other.register_with(id(n), endpoint(n), &options());
        match n {
            ..=1_000 => assert_eq!(outcome, Ok(Registration::New)),
            _ => assert!(outcome.is_err(), "the bound holds"),
        }
    }
    assert_eq!(world.relay_count(), 1_000);
    assert!(other.reserve(&non_relay(), &FindOptions::new()).is_ok());
    world.close();
    drop(world);
    other.close();
    assert!(other.find_relay(&non_relay()).is_ok());
    assert!(other.maintain().sorted);
    assert!(other.unregister(&id(1)));
}

/// Finds do without a merge for as long as they would without a thread from the beginning.
#[test]
fn registrations_of_a_closed_registry_merge_arrivals() {
    let world = closed();
    for n in 1..=1_000 {
        world.join(n);
        if n % 10 == 0 {
            world.leave(n);
        }
    }
    assert_eq!(world.ranking().len(), 900);
    assert!(world.maintain().sorted);
    assert_eq!(world.stats().arrivals, 0);
}

#[test]
fn closing_a_registry_without_threads_changes_nothing() {
    let world = world();
    world.join(1);
    world.close();
    world.close();
    assert_eq!(world.found(), Some(1));
    assert_eq!(world.pass(TTL), 1);
    assert_eq!(world.found(), None);
}

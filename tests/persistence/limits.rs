//! What does not fit the settings of the registry that is built, and more than fits.

use crate::common::{endpoint, id, options, secs};
use crate::{Machine, saved};
use relay_registry::{AddressPolicy, RegisterError, Registration, Verdict};

#[test]
fn relays_are_checked_as_registrations_are() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder);
    first.join(1);
    first
        .register(
            id(2),
            "10.0.0.1:9".parse::<relay_registry::Endpoint>().unwrap(),
        )
        .unwrap();
    first.drain(2);
    let further: relay_registry::Endpoint = "192.168.0.1:9".parse().unwrap();
    first.join_with(3, &options().also_at([further]));
    let save = saved(&first);
    let second = machine.start(|builder| {
        builder
            .address_policy(AddressPolicy::PublicOnly)
            .restore(&save[..])
            .unwrap()
    });
    let report = second.restored().unwrap();
    assert_eq!((report.live, report.refused, report.settings), (1, 2, 1));
    let (relay, reason) = report.first_refused.clone().unwrap();
    assert_eq!(relay, id(2));
    assert!(
        matches!(reason, RegisterError::InvalidEndpoint(_)),
        "{reason:?}"
    );
    // What was said of it is kept.
    second.join(2);
    assert_eq!(second.verdict(2), Verdict::Draining);
}

#[test]
fn a_ttl_that_ticks_cannot_count_is_refused() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder);
    first.join_with(1, &options().ttl(secs(5)));
    first.join_with(2, &options().ttl(secs(50)));
    let save = saved(&first);
    let second = machine.start(|builder| builder.tick(secs(10)).restore(&save[..]).unwrap());
    let report = second.restored().unwrap();
    assert_eq!((report.live, report.refused), (1, 1));
    assert!(matches!(
        report.first_refused,
        Some((_, RegisterError::InvalidTtl { .. }))
    ));
}

#[test]
fn of_too_many_relays_those_are_restored_that_were_registered_first() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder);
    for n in (1..=20).rev() {
        first.join(n);
        first.wait(secs(1));
    }
    first.ban_for(1, secs(1_000));
    let save = saved(&first);
    let second = machine.start(|builder| builder.max_relays(5).restore(&save[..]).unwrap());
    let report = second.restored().unwrap();
    assert_eq!((report.live, report.no_room, report.settings), (5, 15, 1));
    assert!((16..=20).all(|n| second.has(n)));
    assert_eq!(second.banned().len(), 1, "bans of the others are kept");
    second.leave(20);
    second.join(1);
    assert_eq!(second.verdict(1), Verdict::Banned);
}

#[test]
fn late_relays_take_no_room_of_live_ones() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder.max_relays(1));
    for n in 1..=50 {
        first.join(n);
        first.leave(n);
    }
    first.join(60);
    let save = saved(&first);
    let second = machine.start(|builder| builder.max_relays(1).restore(&save[..]).unwrap());
    let report = second.restored().unwrap();
    assert_eq!((report.live, report.remembered, report.no_room), (1, 50, 0));
    assert_eq!(second.relay_count(), 1);
    second.leave(60);
    assert_eq!(
        second.register(id(50), endpoint(50)),
        Ok(Registration::Returned)
    );
}

#[test]
fn of_too_many_late_relays_those_are_forgotten_that_went_first() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder.max_relays(3_000));
    for n in 0..2_000 {
        first.join(n);
        first.leave(n);
        if n % 100 == 0 {
            first.wait(secs(1));
        }
    }
    let save = saved(&first);
    // As many are remembered as there may be relays, and at least 1,024.
    let second = machine.start(|builder| builder.max_relays(10).restore(&save[..]).unwrap());
    let report = second.restored().unwrap();
    assert_eq!((report.remembered, report.expired), (1_024, 976));
    assert_eq!(
        second.register(id(1_999), endpoint(1)),
        Ok(Registration::Returned)
    );
    assert_eq!(second.register(id(0), endpoint(2)), Ok(Registration::New));
}

#[test]
fn one_id_for_each_endpoint() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder);
    first.register(id(1), endpoint(1)).unwrap();
    first.wait(secs(1));
    first.register(id(2), endpoint(1)).unwrap();
    let save = saved(&first);
    let second = machine.start(|builder| {
        builder
            .one_id_per_endpoint(true)
            .restore(&save[..])
            .unwrap()
    });
    let report = second.restored().unwrap();
    assert_eq!((report.live, report.refused), (1, 1));
    assert!(matches!(
        report.first_refused,
        Some((relay, RegisterError::EndpointTaken { by, .. })) if relay == id(2) && by == id(1)
    ));
    assert!(matches!(
        second.register(id(3), endpoint(1)),
        Err(RegisterError::EndpointTaken { .. })
    ));
}

#[test]
fn without_a_grace_none_is_remembered() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder);
    first.join(1);
    first.leave(1);
    let save = saved(&first);
    let second = machine.start(|builder| builder.return_grace(secs(0)).restore(&save[..]).unwrap());
    assert_eq!(second.restored().unwrap().remembered, 0);
    assert_eq!(second.register(id(1), endpoint(1)), Ok(Registration::New));
}

#[test]
fn views_beyond_the_bound_are_forgotten_oldest_first() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder);
    for n in 0..10 {
        first.update_peer(&id(n), crate::common::published([(99, secs(1))]));
    }
    let save = saved(&first);
    let second = machine.start(|builder| builder.max_peers(3).restore(&save[..]).unwrap());
    let known: Vec<u32> = (0..10).filter(|&n| second.forget_peer(&id(n))).collect();
    assert_eq!(known, [7, 8, 9]);
}

#[test]
fn many_relays() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder.max_relays(20_000));
    for n in 0..20_000 {
        first.join(n);
        if n % 2 == 0 {
            first.leave(n);
        }
    }
    let save = saved(&first);
    let second = machine.start(|builder| builder.max_relays(20_000).restore(&save[..]).unwrap());
    let report = second.restored().unwrap();
    assert_eq!(
        (report.live, report.remembered, report.no_room),
        (10_000, 10_000, 0)
    );
    assert_eq!(crate::said(&second), crate::said(&first));
    assert!(second.found().is_some());
}

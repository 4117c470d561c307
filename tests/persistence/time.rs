//! The time between a save and the start of the next process.

use crate::common::{endpoint, id, ms, options, secs};
use crate::{Machine, saved};
use relay_registry::{CircuitState, Failure, ManualClock, Registration};
use std::time::{Duration, UNIX_EPOCH};

#[test]
fn what_has_passed_counts_as_if_the_registry_had_gone_on() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder);
    first.join_with(1, &options().ttl(secs(1_000)));
    first.measure(1, ms(7));
    first.ban_for(2, secs(100));
    let save = saved(&first);
    machine.wall.advance(secs(60));
    let second = machine.restore(&save);
    let info = second.info(1);
    assert_eq!(second.restored().unwrap().elapsed, secs(60));
    assert_eq!(
        (info.expires_in(), info.latency_age()),
        (secs(940), Some(secs(60)))
    );
    assert_eq!(info.registered_at(), UNIX_EPOCH + crate::EPOCH);
    let [(_, until)] = second.banned()[..] else {
        panic!("one is banned");
    };
    assert_eq!(until, UNIX_EPOCH + crate::EPOCH + secs(100));
    machine.wall.advance(secs(40));
    assert!(machine.restore(&save).banned().is_empty());
}

#[test]
fn a_relay_whose_time_ended_meanwhile_is_late_and_then_forgotten() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder);
    first.join_with(1, &options().ttl(secs(100)).capacity(7));
    first.measure(1, ms(7));
    let save = saved(&first);
    machine.wall.advance(secs(100));
    let second = machine.restore(&save);
    assert!(!second.has(1) && second.found().is_none());
    let report = second.restored().unwrap();
    assert_eq!((report.live, report.remembered, report.expired), (0, 1, 0));
    let returned = second.register(id(1), endpoint(1));
    assert_eq!(returned, Ok(Registration::Returned));
    assert_eq!(
        (second.info(1).capacity(), second.info(1).latency()),
        (7, Some(ms(7)))
    );

    machine.wall.advance(secs(100));
    let second = machine.restore(&save);
    let report = second.restored().unwrap();
    assert_eq!((report.live, report.remembered, report.expired), (0, 0, 1));
    assert_eq!(second.register(id(1), endpoint(1)), Ok(Registration::New));
    assert_eq!(second.info(1).latency(), None);
}

#[test]
fn one_that_was_past_its_deadline_when_it_was_saved_is_late() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder);
    first.join(1);
    first.wait(secs(700));
    // No pass has removed it.
    let second = machine.restart(&first);
    assert_eq!(second.restored().unwrap().remembered, 1);
    assert_eq!(
        second.register(id(1), endpoint(1)),
        Ok(Registration::Returned)
    );
}

#[test]
fn a_calendar_that_went_back_counts_as_one_that_stood_still() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder.max_ejected_share(1.0));
    first.join(1);
    first.measure(1, ms(7));
    first.fail(1, Failure::TimedOut);
    first.wait(secs(1));
    let save = saved(&first);
    let past = ManualClock::new();
    past.advance(Duration::from_secs(100));
    let second =
        machine.start(|builder| builder.wall_clock(past.clone()).restore(&save[..]).unwrap());
    let info = second.info(1);
    assert_eq!(second.restored().unwrap().elapsed, Duration::ZERO);
    assert_eq!(
        (info.expires_in(), info.latency_age()),
        (secs(599), Some(secs(1)))
    );
    assert_eq!(info.circuit(), CircuitState::Open);
}

#[test]
fn a_calendar_that_jumped_ahead_ends_everything_and_harms_nothing() {
    let machine = Machine::new();
    let tick = ms(1);
    let first = machine.start(|builder| builder.tick(tick));
    first.join(1);
    first.measure(1, ms(7));
    first.ban_for(2, secs(100));
    first.drain(3);
    let save = saved(&first);
    for years in [1, 100, 400] {
        machine
            .wall
            .advance(Duration::from_secs(years * 31_557_600));
        let second = machine.start(|builder| builder.tick(tick).restore(&save[..]).unwrap());
        assert!(second.relays().is_empty() && second.banned().is_empty());
        for n in 1..=3 {
            second.join_with(n, &options().ttl(secs(86_400 * 365)));
        }
        assert_eq!(second.info(1).latency(), None);
        assert!(second.info(3).is_draining());
        assert_eq!(second.pass(secs(86_400 * 365)), 3, "{:?}", second.stats());
    }
}

/// A tick can be longer or shorter than that of the saved registry.
#[test]
fn another_tick_leaves_times_what_they_are() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder);
    first.join_with(1, &options().ttl(secs(90)));
    first.wait(ms(10_300));
    let save = saved(&first);
    for (tick, remaining) in [
        (ms(1), ms(79_700)),
        (ms(100), ms(79_700)),
        (secs(7), secs(84)),
    ] {
        let second = machine.start(|builder| builder.tick(tick).restore(&save[..]).unwrap());
        assert_eq!(second.info(1).expires_in(), remaining, "{tick:?}");
    }
}

#[test]
fn no_relay_has_more_time_than_its_ttl() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder);
    first.join_with(1, &options().ttl(secs(100)));
    // A renewal may shorten a TTL, which never lengthens what remains.
    first.wait(secs(10));
    first.renew_with(1, &options().ttl(secs(50)));
    let second = machine.restart(&first);
    assert_eq!(second.info(1).expires_in(), secs(50));
}

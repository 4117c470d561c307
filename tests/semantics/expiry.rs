//! Rule 9: expiry follows a coarse tick that only rises; never early, at most one tick late.

use crate::assert_is;
use crate::common::*;
use relay_registry::{BuildError, Clock, Maintenance, RegisterError, Registration, Registry};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// A clock with a settable time, which may go back.
#[derive(Clone, Default)]
struct LooseClock(Arc<Mutex<Duration>>);

impl LooseClock {
    fn set(&self, reading: Duration) {
        *self.0.lock().expect("no panic while held") = reading;
    }
}

impl Clock for LooseClock {
    fn now(&self) -> Duration {
        *self.0.lock().expect("no panic while held")
    }
}

fn on_a_loose_clock() -> (Registry, LooseClock) {
    let clock = LooseClock::default();
    let registry = Registry::builder()
        .maintenance(Maintenance::Manual)
        .clock(clock.clone())
        .build()
        .expect("a valid registry");
    (registry, clock)
}

#[test]
fn s09_never_early_and_at_most_one_tick_late() {
    for tick in [ms(1), ms(7), ms(100), ms(250)] {
        for (offset, life) in [(0, 250), (1, 250), (99, 300), (130, 1_000), (250, 251)] {
            let (offset, life) = (ms(offset), ms(life));
            let world = world_with(|builder| builder.tick(tick));
            world.pass(offset);
            world.join_with(1, &ttl(life));
            let mut age = Duration::ZERO;
            while age < life + tick {
                let context =
                    format!("tick {tick:?}, offset {offset:?}, TTL {life:?}, age {age:?}");
                assert!(world.has(1) || age >= life, "early: {context}");
                assert_eq!(world.has(1), world.found().is_some(), "{context}");
                world.pass(ms(1));
                age += ms(1);
            }
            assert!(!world.has(1), "late: tick {tick:?}, {offset:?} + {life:?}");
        }
    }
}

#[test]
fn s09_a_deadline_is_rounded_up_to_the_tick() {
    let world = world();
    world.advance(ms(30));
    world.join_with(1, &ttl(secs(1)));
    world.pass(ms(1_069)); // 1.099 s: TTL long over, the tick of 1.1 s not reached
    assert!(world.has(1));
    world.pass(ms(1));
    assert!(!world.has(1));
}

#[test]
fn s09_the_announced_expiry_is_the_deadline() {
    for offset in [0, 1, 50, 99] {
        let world = world();
        world.advance(ms(offset));
        world.join_with(1, &ttl(ms(1_500)));
        let info = world.info(1);
        let life = info
            .expires_at()
            .duration_since(info.registered_at())
            .expect("an expiry after the registration");
        let bounds = ms(1_500)..=ms(1_500) + TICK;
        assert!(bounds.contains(&life), "offset {offset} ms: {life:?}");
    }
}

#[test]
fn s09_without_a_thread_each_call_reads_the_clock() {
    let world = world();
    world.join_with(1, &ttl(secs(1)));
    world.join(2);
    world.advance(secs(1));
    assert!(!world.has(1));
    assert_eq!(world.relay_count(), 1);
}

#[test]
fn s09_death_does_not_wait_for_the_sweep() {
    let world = world();
    (0..50).for_each(|n| world.join_with(n, &ttl(secs(1))));
    world.join(50);
    world.advance(secs(1));
    world.renew(50);
    (0..50).for_each(|n| assert!(!world.has(n), "{n}"));
    assert_eq!(world.ranking(), [50]);
    world.maintain();
    assert_eq!(world.stats().expirations, 50);
}

#[test]
fn s09_each_relay_expires_once() {
    let world = world();
    (0..200).for_each(|n| world.join_with(n, &ttl(ms(100) * (n + 1))));
    let expired: Vec<usize> = (0..250).map(|_| world.pass(TICK)).collect();
    assert_eq!(expired[..200], [1; 200]);
    assert_eq!(expired[200..], [0; 50]);
    assert_eq!(world.stats().expirations, 200);
}

#[test]
fn s09_a_renewed_relay_is_not_removed_at_its_old_deadline() {
    let world = world();
    world.join_with(1, &ttl(secs(10)));
    for _ in 0..30 {
        assert_eq!(world.pass(ms(9_999)), 0);
        world.renew(1);
    }
    assert_eq!(world.pass(ms(9_999)), 0);
    assert!(world.has(1));
    assert_eq!(world.pass(ms(101)), 1);
    assert!(!world.has(1));
}

#[test]
fn s09_a_renewal_may_bring_the_deadline_forward() {
    let world = world();
    world.join(1);
    world.renew_with(1, &ttl(secs(2)));
    world.pass(ms(1_999));
    assert!(world.has(1));
    assert_eq!(world.pass(ms(1)), 1);
    assert!(!world.has(1));
}

#[test]
fn s09_a_relay_that_left_does_not_expire_its_successor() {
    let world = world();
    world.join_with(1, &ttl(secs(5)));
    world.leave(1);
    world.join_with(1, &ttl(secs(60)));
    assert_eq!(world.pass(secs(30)), 0);
    assert!(world.has(1));
    assert_eq!(world.stats().expirations, 0);
    assert_eq!(world.pass(secs(31)), 1);
}

#[test]
fn s09_a_relay_found_expired_is_registered_again() {
    let world = world();
    world.join_with(1, &ttl(secs(1)));
    let lease = world.lease(&id(1)).expect("a free unit");
    world.advance(secs(1));
    assert_eq!(
        world.register(id(1), endpoint(1)),
        Ok(Registration::Returned)
    );
    assert_eq!(world.load(1), 1, "the lease is on the relay");
    drop(lease);
    assert_eq!(world.load(1), 0);
    assert_eq!(world.maintain().expired + world.relay_count(), 1);
    let stats = world.stats();
    assert_eq!((stats.registrations, stats.expirations), (2, 1));
}

#[test]
fn s09_long_lives_end_in_time() {
    for days in [1, 30] {
        let world = world();
        let life = DAY * days;
        world.join_with(1, &ttl(life));
        let mut age = Duration::ZERO;
        while age + MINUTE * 30 < life {
            assert_eq!(world.pass(MINUTE * 30), 0, "early at {age:?} of {life:?}");
            age += MINUTE * 30;
        }
        assert!(world.has(1));
        world.pass(life - age - ms(1));
        assert!(world.has(1));
        assert_eq!(world.pass(ms(1)), 1);
        assert!(!world.has(1));
    }
}

#[test]
fn s09_a_leap_of_forty_days_is_one_pass() {
    let world = world_with(|builder| builder.tick(ms(1)));
    (1..=30).for_each(|n| world.join_with(n, &ttl(DAY * n)));
    world.join_with(31, &ttl(DAY * 41));
    assert_eq!(world.pass(DAY * 40), 30);
    assert_eq!(world.ranking(), [31]);
    assert_eq!(world.pass(DAY), 1);
}

#[test]
fn s09_backward_readings_of_the_clock_are_ignored() {
    let (registry, clock) = on_a_loose_clock();
    clock.set(secs(1_000));
    registry.maintain();
    assert_eq!(
        registry.register_with(id(1), endpoint(1), &ttl(secs(10))),
        Ok(Registration::New)
    );
    clock.set(secs(1_010));
    assert_eq!(registry.maintain().expired, 1);

    clock.set(secs(5)); // before any deadline there ever was
    assert_eq!(registry.maintain().expired, 0);
    assert!(!registry.is_relay(&id(1)), "the dead stay dead");
    assert_eq!(
        registry.register_with(id(2), endpoint(2), &ttl(secs(10))),
        Ok(Registration::New)
    );
    assert!(registry.is_relay(&id(2)), "born dead by a backward reading");
    clock.set(secs(1_009));
    assert_eq!(registry.maintain().expired, 0);
    assert!(registry.is_relay(&id(2)), "early by a backward reading");
    clock.set(secs(1_021));
    assert_eq!(registry.maintain().expired, 1);
    assert!(!registry.is_relay(&id(2)));
}

#[test]
fn s09_a_clock_may_count_from_any_origin() {
    let (registry, clock) = on_a_loose_clock();
    clock.set(DAY * 36_500);
    assert_eq!(
        registry.register_with(id(1), endpoint(1), &ttl(secs(10))),
        Ok(Registration::New)
    );
    clock.set(DAY * 36_500 + ms(9_999));
    assert_eq!(registry.maintain().expired, 0);
    clock.set(DAY * 36_500 + secs(10));
    assert_eq!(registry.maintain().expired, 1);
}

#[test]
fn s09_an_exhausted_clock_is_an_error() {
    let (registry, clock) = on_a_loose_clock();
    clock.set(Duration::MAX);
    assert_is!(
        registry.register(id(1), endpoint(1)),
        Err(RegisterError::ClockExhausted)
    );
    assert!(!registry.is_relay(&id(1)));
    registry.maintain();
    assert_eq!(registry.relay_count(), 0);
}

#[test]
fn s09_an_endless_ttl_does_not_panic() {
    let world = world();
    world.advance(secs(1));
    let outcome = world.register_with(id(1), endpoint(1), &ttl(Duration::MAX));
    assert_eq!(outcome.is_ok(), world.has(1));
    world.pass(DAY * 30);
    assert_eq!(outcome.is_ok(), world.has(1), "expired after thirty days");
}

#[test]
fn s09_ticks_below_a_millisecond_are_refused() {
    for short in [Duration::ZERO, Duration::from_micros(999)] {
        assert_is!(
            Registry::builder().tick(short).build().err(),
            Some(BuildError::InvalidTick { tick, .. }) if tick == short
        );
    }
    assert!(Registry::builder().tick(ms(1)).build().is_ok());
}

#[test]
fn s09_ttls_below_a_tick_are_refused() {
    let below = TICK - Duration::from_nanos(1);
    for short in [Duration::ZERO, below] {
        assert_is!(
            Registry::builder().ttl(short).build().err(),
            Some(BuildError::InvalidTtl { ttl, .. }) if ttl == short
        );
        let world = world();
        assert_is!(
            world.register_with(id(1), endpoint(1), &ttl(short)),
            Err(RegisterError::InvalidTtl { ttl, .. }) if ttl == short
        );
        assert!(!world.has(1));
    }
    let world = world_with(|builder| builder.ttl(TICK));
    world.join(1);
    world.join_with(2, &ttl(TICK));
    world.pass(TICK - ms(1));
    assert_eq!(world.relay_count(), 2);
    assert_eq!(world.pass(ms(1)), 2);
}

#[test]
fn s09_the_order_of_tick_and_ttl_in_the_builder_does_not_matter() {
    let coarse = || Registry::builder().maintenance(Maintenance::Manual);
    assert!(coarse().ttl(secs(1)).tick(secs(1)).build().is_ok());
    assert!(coarse().tick(secs(1)).ttl(secs(1)).build().is_ok());
    assert_is!(
        coarse().ttl(secs(1)).tick(secs(2)).build().err(),
        Some(BuildError::InvalidTtl { .. })
    );
}

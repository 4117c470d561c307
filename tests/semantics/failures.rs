//! Circuit breakers: how long the back-off after a failure is, which caller gets the trial, and what closes
//! the circuit.

use crate::assert_is;
use crate::common::*;
use relay_registry::{BuildError, CircuitState, Failure, FindOptions, Registry, Verdict};
use std::collections::BTreeSet;
use std::time::Duration;

const REGISTRIES: usize = 24;

/// A relay that outlives the longest back-off, in a registry without last resorts.
fn lone_relay() -> World {
    let world = without_last_resort();
    world.join(1);
    world
}

fn without_last_resort() -> World {
    world_with(|builder| builder.max_ejected_share(1.0).ttl(secs(86_400)))
}

/// Moves the clock until the back-off is over, and returns how long that took.
fn back_off(world: &World, n: u32) -> Duration {
    let mut waited = Duration::ZERO;
    while world.verdict(n) == Verdict::BackingOff {
        world.pass(TICK);
        waited += TICK;
        assert!(waited < secs(700), "never to be tried again");
    }
    waited
}

/// Fails each trial of a relay, and returns the back-offs.
fn back_offs(failure: Failure, count: usize) -> Vec<Duration> {
    let world = lone_relay();
    let after_each = |_| {
        world.fail(1, failure);
        let waited = back_off(&world, 1);
        assert_eq!(world.found(), Some(1), "on trial");
        waited
    };
    (0..count).map(after_each).collect()
}

/// Within a quarter of the nominal length, from 1 s to 10 min, rounded up to a tick.
fn is_near(length: Duration, nominal: Duration) -> bool {
    let least = (nominal * 3 / 4).clamp(secs(1), secs(600));
    let most = (nominal * 5 / 4).clamp(secs(1), secs(600));
    (least..=most + TICK).contains(&length)
}

#[track_caller]
fn assert_grows(failure: Failure, nominal_secs: &[u64]) -> Vec<BTreeSet<Duration>> {
    let mut seen = vec![BTreeSet::new(); nominal_secs.len()];
    for _ in 0..REGISTRIES {
        let lengths = back_offs(failure, nominal_secs.len());
        for ((length, nominal), seen) in lengths.iter().zip(nominal_secs).zip(&mut seen) {
            let nominal = secs(*nominal);
            assert!(is_near(*length, nominal), "{length:?}, not {nominal:?}");
            seen.insert(*length);
        }
    }
    seen
}

#[test]
fn back_off_from_a_silent_relay_grows_fourfold_to_ten_minutes() {
    let seen = assert_grows(Failure::TimedOut, &[2, 8, 32, 128, 512, 600, 600]);
    for (round, lengths) in seen.iter().enumerate() {
        assert!(lengths.len() > 1, "no jitter in round {round}: {lengths:?}");
    }
}

#[test]
fn back_off_from_a_refusing_relay_doubles_to_half_a_minute() {
    let seen = assert_grows(Failure::Refused, &[1, 2, 4, 8, 16, 32, 32, 32]);
    for (round, lengths) in seen.iter().enumerate() {
        assert!(lengths.len() > 1, "no jitter in round {round}: {lengths:?}");
    }
}

#[test]
fn jitter_differs_between_the_relays_of_a_registry() {
    let world = without_last_resort();
    (0..32).for_each(|n| world.join(n));
    (0..32).for_each(|n| world.fail(n, Failure::TimedOut));
    let mut returns = BTreeSet::new();
    for tick in 1..=26 {
        world.pass(TICK);
        if (0..32).any(|n| world.verdict(n) != Verdict::BackingOff) {
            returns.insert(tick);
        }
    }
    assert_eq!(
        returns.first(),
        Some(&returns.iter().copied().min().unwrap())
    );
    assert!(returns.len() > 1, "{returns:?}");
    assert!(returns.first() >= Some(&15), "{returns:?}");
    assert!((0..32).all(|n| world.verdict(n) != Verdict::BackingOff));
}

#[test]
fn a_refusal_does_not_shorten_what_silence_earned() {
    let world = lone_relay();
    for _ in 0..3 {
        world.fail(1, Failure::TimedOut);
        back_off(&world, 1);
        assert_eq!(world.found(), Some(1));
    }
    world.fail(1, Failure::Refused);
    let after_refusal = back_off(&world, 1);
    assert!(is_near(after_refusal, secs(32)), "{after_refusal:?}");
}

#[test]
fn failures_of_one_fault_count_once() {
    let world = lone_relay();
    for _ in 0..50 {
        world.fail(1, Failure::TimedOut);
    }
    world.pass(secs(1));
    world.fail(1, Failure::TimedOut);
    world.fail(1, Failure::Refused);
    let waited = back_off(&world, 1);
    assert!(is_near(waited + secs(1), secs(2)), "{waited:?}");
    assert_eq!(world.found(), Some(1));
    world.fail(1, Failure::TimedOut);
    let second = back_off(&world, 1);
    assert!(is_near(second, secs(8)), "{second:?}");
}

#[test]
fn a_failing_relay_is_not_handed_out_and_is_counted_as_backing_off() {
    let world = lone_relay();
    world.fail(1, Failure::Refused);
    let rejections = world.rejections(&FindOptions::new());
    assert_eq!((rejections.backing_off, rejections.total()), (1, 1));
    assert!(world.reserve(&non_relay(), &FindOptions::new()).is_err());
    assert_eq!(world.ranking(), []);
    world.join(2);
    for _ in 0..20 {
        assert_eq!(world.found(), Some(2));
    }
    assert_eq!(world.ranking(), [2]);
}

#[test]
fn one_caller_at_a_time_tries_a_relay_whose_back_off_is_over() {
    let ways: [fn(&Registry) -> bool; 3] = [
        |registry| registry.find_relay(&non_relay()).is_ok(),
        |registry| registry.reserve(&non_relay(), &FindOptions::new()).is_ok(),
        |registry| !registry.find_relays(&non_relay(), &all()).is_empty(),
    ];
    for try_it in ways {
        let world = lone_relay();
        world.fail(1, Failure::TimedOut);
        back_off(&world, 1);
        for _ in 0..3 {
            assert!(try_it(&world), "a trial is due");
            assert!(ways.iter().all(|other| !other(&world)), "a second trial");
            assert_eq!(world.rejections(&FindOptions::new()).backing_off, 1);
            // The caller with the trial reported no outcome, so another gets one.
            let waited = back_off(&world, 1);
            assert!(is_near(waited, secs(2)), "{waited:?}");
        }
    }
}

#[test]
fn an_explanation_is_no_trial() {
    let world = lone_relay();
    world.fail(1, Failure::TimedOut);
    back_off(&world, 1);
    for _ in 0..3 {
        assert_eq!(world.verdict(1), Verdict::Chosen);
    }
    assert_eq!(world.found(), Some(1));
    assert_eq!(world.verdict(1), Verdict::BackingOff);
}

#[test]
fn only_sustained_success_closes_the_circuit() {
    let world = lone_relay();
    assert_eq!(world.circuit(1), CircuitState::Closed);
    world.fail(1, Failure::TimedOut);
    assert_eq!(world.circuit(1), CircuitState::Open);
    back_off(&world, 1);
    assert_eq!(world.circuit(1), CircuitState::HalfOpen);
    for _ in 0..3 {
        let relay = world.find_relay(&non_relay()).expect("on trial");
        assert_eq!(relay.circuit(), CircuitState::HalfOpen);
        assert_eq!(
            world.found(),
            None,
            "one at a time until it has proved itself"
        );
        world.succeed(1);
    }
    assert_eq!(world.circuit(1), CircuitState::Closed);
    for _ in 0..10 {
        assert_eq!(world.found(), Some(1));
    }
}

#[test]
fn a_failure_among_successes_opens_the_circuit_for_longer() {
    let world = lone_relay();
    world.fail(1, Failure::Refused);
    back_off(&world, 1);
    for _ in 0..2 {
        assert_eq!(world.found(), Some(1));
        world.succeed(1);
    }
    assert_eq!(world.found(), Some(1));
    world.fail(1, Failure::Refused);
    assert_eq!(world.circuit(1), CircuitState::Open);
    let second = back_off(&world, 1);
    assert!(is_near(second, secs(2)), "{second:?}");
    for _ in 0..2 {
        assert_eq!(world.found(), Some(1));
        world.succeed(1);
        assert_eq!(
            world.circuit(1),
            CircuitState::HalfOpen,
            "successes start over"
        );
    }
}

#[test]
fn a_session_that_begins_after_the_failure_and_goes_well_ends_the_back_off() {
    let world = lone_relay();
    world.fail(1, Failure::TimedOut);
    assert_eq!(world.found(), None);
    world.succeed(1);
    assert_eq!(world.circuit(1), CircuitState::HalfOpen);
    assert_eq!(world.found(), Some(1));
    assert_eq!(world.found(), None);
}

/// Three timeouts, then sustained success, which halves the level, then a closed circuit for some minutes.
/// Returns the back-off of the next failure.
fn back_off_after_closed_for(minutes: u64) -> Duration {
    let world = lone_relay();
    for _ in 0..3 {
        world.fail(1, Failure::TimedOut);
        back_off(&world, 1);
        assert_eq!(world.found(), Some(1));
    }
    (0..3).for_each(|_| world.succeed(1));
    assert_eq!(world.circuit(1), CircuitState::Closed);
    world.pass(secs(60 * minutes));
    world.fail(1, Failure::TimedOut);
    back_off(&world, 1)
}

#[test]
fn penalties_decay_while_the_circuit_is_closed() {
    for (minutes, nominal) in [(0, 16), (1, 8), (2, 4), (3, 2), (600, 2)] {
        let length = back_off_after_closed_for(minutes);
        assert!(
            is_near(length, secs(nominal)),
            "{length:?} after {minutes} minutes, not {nominal} s"
        );
    }
}

#[test]
fn a_renewal_does_not_close_the_circuit() {
    let world = lone_relay();
    world.fail(1, Failure::TimedOut);
    world.renew_with(1, &capacity(7).latency(ms(1)));
    assert_eq!(world.circuit(1), CircuitState::Open);
    assert_eq!(world.found(), None);
}

#[test]
fn a_relay_that_proved_itself_before_it_was_forgotten_comes_back_as_it_left() {
    let world = world_with(|builder| {
        let builder = builder.max_ejected_share(1.0).ttl(secs(3_600));
        builder.return_grace(Duration::ZERO)
    });
    let forget = || {
        world.leave(1);
        world.maintain();
        world.join(1);
    };
    world.join(1);
    world.fail(1, Failure::Refused);
    forget();
    assert_eq!(world.circuit(1), CircuitState::Open);
    while world.verdict(1) == Verdict::BackingOff {
        world.pass(secs(1));
    }
    for _ in 0..3 {
        assert!(world.lease(&id(1)).unwrap().succeeded());
    }
    assert_eq!(world.circuit(1), CircuitState::Closed);
    forget();
    assert_eq!(world.circuit(1), CircuitState::Closed);
}

#[test]
fn a_relay_that_leaves_and_comes_back_is_trusted_no_more_than_before() {
    let gone: [fn(&World); 2] = [
        |world| world.leave(1),
        |world| assert_eq!(world.pass(secs(60)), 1, "expired"),
    ];
    // The failures of a relay that the next pass forgets are noted as well.
    let graces = [secs(60), Duration::ZERO];
    for (leave, grace) in gone
        .into_iter()
        .flat_map(|leave| graces.map(|grace| (leave, grace)))
    {
        let world = world_with(|builder| {
            let builder = builder.max_ejected_share(1.0).ttl(secs(60));
            builder.return_grace(grace)
        });
        let leave = |world: &World| {
            leave(world);
            world.maintain();
        };
        world.join(1);
        for _ in 0..4 {
            world.fail(1, Failure::TimedOut);
            while world.verdict(1) == Verdict::BackingOff {
                world.pass(secs(1));
                world.renew(1);
            }
            assert_eq!(world.found(), Some(1), "on trial");
        }
        world.fail(1, Failure::TimedOut);
        leave(&world);
        world.join(1);
        assert_eq!(world.verdict(1), Verdict::BackingOff);
        assert_eq!(world.circuit(1), CircuitState::Open);
        for _ in 0..3 {
            world.succeed(1);
        }
        assert_eq!(world.circuit(1), CircuitState::Closed);
        leave(&world);
        world.join(1);
        assert_eq!(world.found(), Some(1), "works again");
    }
}

#[test]
fn a_ban_that_was_lifted_while_the_relay_was_gone_leaves_it_on_trial() {
    let world = lone_relay();
    world.fail(1, Failure::Refused);
    world.ban_for(1, secs(5_000));
    world.leave(1);
    assert!(world.unban(&id(1)));
    world.join(1);
    assert_eq!(world.circuit(1), CircuitState::HalfOpen);
    assert_eq!(world.found(), Some(1), "on trial");
    assert_eq!(world.found(), None, "one at a time");
}

#[test]
fn outcomes_of_relays_that_are_not_held_are_refused() {
    let world = world();
    world.join_with(1, &ttl(secs(1)));
    world.join(2);
    world.leave(2);
    world.pass(secs(1));
    for n in 1..=3 {
        assert!(!world.report_failure(&id(n), Failure::TimedOut), "{n}");
        assert!(!world.report_success(&id(n)), "{n}");
    }
}

#[test]
fn success_of_a_relay_that_works_changes_nothing() {
    let world = lone_relay();
    world.succeed(1);
    assert_eq!(world.circuit(1), CircuitState::Closed);
    world.fail(1, Failure::Refused);
    assert!(is_near(back_off(&world, 1), secs(1)));
}

/// Fails each trial of a relay, in a registry with this back-off range.
fn back_offs_within(min: Duration, max: Duration, failure: Failure) -> Vec<Duration> {
    let world = world_with(|b| {
        b.max_ejected_share(1.0)
            .ttl(secs(86_400))
            .back_off(min, max)
    });
    world.join(1);
    let after_each = |_| {
        world.fail(1, failure);
        let waited = back_off(&world, 1);
        assert_eq!(world.found(), Some(1), "on trial");
        waited
    };
    (0..4).map(after_each).collect()
}

#[test]
fn back_offs_grow_between_the_spans_that_are_configured() {
    let is_near = |length: &Duration, nominal: u64| {
        let nominal = ms(nominal);
        (nominal * 3 / 4..=nominal * 5 / 4 + TICK).contains(length)
    };
    for (failure, nominal) in [
        (Failure::TimedOut, [1_000, 4_000, 8_000, 8_000]),
        (Failure::Refused, [500, 1_000, 2_000, 2_000]),
    ] {
        let lengths = back_offs_within(ms(500), secs(8), failure);
        let near = lengths.iter().zip(nominal).all(|(l, n)| is_near(l, n));
        assert!(near, "{failure:?}: {lengths:?}");
        assert!(lengths.iter().all(|length| *length <= secs(8)));
    }
    for length in back_offs_within(secs(3), secs(3), Failure::TimedOut) {
        assert_eq!(length, secs(3));
    }
}

#[test]
fn spans_that_are_none_are_refused_by_their_values() {
    for (min, max, wrong) in [
        (Duration::ZERO, secs(1), Duration::ZERO),
        (secs(2), secs(1), secs(2)),
        (secs(1), Duration::MAX, Duration::MAX),
    ] {
        let built = Registry::builder().back_off(min, max).build();
        let error = built.err();
        assert_is!(
            &error,
            Some(BuildError::InvalidBackOff { min: least, max: most, .. })
                if (*least, *most) == (min, max)
        );
        let message = error.unwrap().to_string();
        assert!(message.contains(&format!("{wrong:?}")), "{message}");
    }
}

//! One caller at a time gets the trial of a relay whose back-off is over, however many ask at once.

use crate::at_once;
use crate::common::*;
use relay_registry::{CircuitState, Failure, FindOptions};
use std::time::Duration;

const THREADS: u32 = 8;
const ROUNDS: usize = 300;

/// One relay, which is on trial now.
fn half_open() -> World {
    let world = world_with(|builder| builder.max_ejected_share(1.0).ttl(secs(86_400)));
    world.join(1);
    world.fail(1, Failure::TimedOut);
    world.pass(secs(3));
    assert_eq!(world.circuit(1), CircuitState::HalfOpen);
    world
}

#[test]
fn of_many_callers_at_once_one_tries_the_relay() {
    let world = half_open();
    for round in 0..ROUNDS {
        let outcomes = at_once(THREADS, |thread| match (round as u32 + thread) % 3 {
            0 => world.reserve(&non_relay(), &FindOptions::new()).is_ok(),
            1 => world.find_relay(&non_relay()).is_ok(),
            _ => !world.find_relays(&non_relay(), &all()).is_empty(),
        });
        let tried = outcomes.iter().filter(|&&tried| tried).count();
        assert_eq!(tried, 1, "round {round}");
        assert_eq!(world.load(1), 0, "what was not to be had was given back");
        world.pass(secs(3));
    }
}

#[test]
fn those_who_may_not_try_it_get_another_relay() {
    let world = half_open();
    world.join_with(2, &latency(ms(900)));
    for _ in 0..ROUNDS {
        let found = at_once(THREADS, |_| world.found());
        assert_eq!(found.iter().filter(|&&n| n == Some(1)).count(), 1);
        assert_eq!(
            found.iter().filter(|&&n| n == Some(2)).count() as u32,
            THREADS - 1
        );
        world.pass(secs(3));
    }
}

/// Of many reports of one fault, only the first counts: the next back-off is of the second level.
#[test]
fn failures_reported_at_once_count_once() {
    for _ in 0..50 {
        let world = world_with(|builder| builder.max_ejected_share(1.0));
        world.join(1);
        at_once(THREADS, |_| world.fail(1, Failure::TimedOut));
        world.pass(Duration::from_millis(2_500));
        assert_eq!(world.found(), Some(1), "after the first back-off, of 2 s");
        at_once(THREADS, |_| world.fail(1, Failure::TimedOut));
        world.pass(secs(10));
        assert_eq!(world.found(), Some(1), "after the second, of 8 s");
    }
}

/// Each of three successes counts, also when they come at once.
#[test]
fn successes_reported_at_once_all_count() {
    for _ in 0..ROUNDS {
        let world = half_open();
        at_once(3, |_| world.succeed(1));
        assert_eq!(world.circuit(1), CircuitState::Closed);
    }
}

/// When all relays failed, every caller gets one of them, also when others take those they were about to get.
#[test]
fn callers_at_once_all_get_a_last_resort() {
    let world = world_with(|builder| builder.ttl(secs(86_400)));
    for n in 1..=400 {
        world.join(n);
        world.fail(n, Failure::TimedOut);
    }
    let found_all = |_| (0..200).all(|_| world.find_relay(&non_relay()).is_ok());
    for round in 0..50 {
        world.pass(TICK);
        let found = at_once(THREADS, found_all);
        assert!(found.iter().all(|&found| found), "round {round}");
    }
}

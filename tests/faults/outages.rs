//! Outages of this node's own network, and successes that are not fresh.

use crate::common::*;
use relay_registry::{CircuitState, Failure, FindOptions, Lease, Verdict};
use std::time::Duration;

#[cfg(feature = "conformance")]
use crate::world as network;

fn lasting() -> World {
    world_with(|builder| builder.ttl(secs(86_400)))
}

/// Relays 1 to `count`, of which the first is the nearest.
fn by_distance(world: &World, count: u32) {
    for n in 1..=count {
        world.join_with(n, &latency(ms(10 * u64::from(n))));
    }
}

/// One caller finds a relay, and reports the outcome, within 100 ms.
fn call(world: &World, works: impl Fn(u32) -> bool) -> u32 {
    world.pass(TICK);
    let lease = world.reserve(&non_relay(), &FindOptions::new());
    let lease = lease.expect("a last resort at least");
    let n = number(lease.relay().node_id());
    match works(n) {
        true => lease.succeeded(),
        false => lease.failed(Failure::TimedOut),
    };
    n
}

/// How long the back-off after a failure is.
fn back_off(world: &World, n: u32) -> Duration {
    world.fail(n, Failure::TimedOut);
    let mut waited = Duration::ZERO;
    while matches!(world.verdict(n), Verdict::BackingOff | Verdict::LastResort) {
        world.pass(TICK);
        waited += TICK;
        assert!(waited < secs(700), "never to be tried again");
    }
    waited
}

fn fail_all(world: &World, relays: impl IntoIterator<Item = u32>) {
    for n in relays {
        world.fail(n, Failure::TimedOut);
    }
}

#[test]
fn after_an_outage_of_a_minute_the_nearest_relay_is_back_at_once() {
    let world = lasting();
    by_distance(&world, 10);
    (0..600).for_each(|_| _ = call(&world, |_| false));
    let calls = (1..).find(|_| call(&world, |_| true) == 1);
    assert!(calls <= Some(10), "back after {calls:?} calls");
    (0..30).for_each(|_| _ = call(&world, |_| true));
    assert_eq!(world.circuit(1), CircuitState::Closed);
    let next = back_off(&world, 1);
    assert!(next <= secs(5), "{next:?} for the next fault");
}

#[test]
fn the_first_success_puts_all_on_trial_that_failed_in_the_outage() {
    let world = lasting();
    by_distance(&world, 10);
    fail_all(&world, 1..=10);
    assert!((1..=10).all(|n| world.circuit(n) == CircuitState::Open));
    let lease = world.lease(&id(10)).unwrap();
    assert!(lease.succeeded());
    for n in 6..=10 {
        assert_eq!(world.circuit(n), CircuitState::HalfOpen, "relay {n}");
        assert_ne!(world.verdict(n), Verdict::BackingOff, "relay {n}");
    }
    for n in 1..=5 {
        assert_eq!(world.circuit(n), CircuitState::Open, "failed before that");
    }
    assert_eq!(world.found(), Some(6), "one caller each");
    assert_eq!(world.found(), Some(7));
}

#[test]
fn of_very_many_the_next_pass_puts_the_rest_on_trial() {
    let world = world_with(|builder| builder.ttl(secs(86_400)).max_relays(1_000));
    (1..=1_000).for_each(|n| world.join(n));
    world.maintain();
    fail_all(&world, 1..=1_000);
    let on_trial = || {
        let is_half_open = |n: &u32| world.circuit(*n) == CircuitState::HalfOpen;
        (1..=1_000).filter(is_half_open).count()
    };
    world.succeed(1_000);
    assert!(on_trial() <= 65, "no call pays for all: {}", on_trial());
    world.maintain();
    assert_eq!(on_trial(), 500);
}

#[test]
fn failures_in_an_outage_raise_no_level() {
    let world = lasting();
    by_distance(&world, 4);
    fail_all(&world, 1..=4);
    for _ in 0..40 {
        world.pass(secs(2));
        fail_all(&world, 1..=4);
    }
    world.pass(secs(3));
    for n in 1..=4 {
        assert_ne!(world.verdict(n), Verdict::BackingOff, "relay {n}");
    }
}

#[test]
fn an_outage_whose_relays_have_left_is_over_within_a_minute() {
    let world = lasting();
    by_distance(&world, 10);
    fail_all(&world, 1..=6);
    (1..=6).for_each(|n| world.leave(n));
    world.pass(secs(61));
    let growing: Vec<_> = (0..3).map(|_| back_off(&world, 7)).collect();
    assert!(growing.is_sorted() && growing[2] > secs(20), "{growing:?}");
}

#[test]
fn faults_below_the_share_are_the_relays_own() {
    let world = lasting();
    by_distance(&world, 10);
    let lengths: Vec<_> = (0..4).map(|_| back_off(&world, 1)).collect();
    assert!(lengths.is_sorted() && lengths[3] > secs(90), "{lengths:?}");
}

/// Six failures of one relay among others that work, each at its first trial.
fn with_six_faults() -> World {
    let world = lasting();
    by_distance(&world, 10);
    (0..6).for_each(|_| _ = back_off(&world, 1));
    world
}

#[test]
fn sustained_success_takes_back_most_of_what_six_faults_added_up_to() {
    let world = with_six_faults();
    (0..3).for_each(|_| world.succeed(1));
    assert_eq!(world.circuit(1), CircuitState::Closed);
    let next = back_off(&world, 1);
    assert!(next <= secs(81), "{next:?}");
}

#[test]
fn levels_fall_with_time_although_no_caller_tries_the_relay() {
    let world = with_six_faults();
    world.pass(secs(60 * 60));
    let next = back_off(&world, 1);
    assert!(next <= secs(3), "{next:?}");
}

#[test]
fn a_reset_closes_circuits_and_leaves_no_level() {
    let world = with_six_faults();
    world.fail(1, Failure::TimedOut);
    assert!(world.reset_circuit(&id(1)));
    assert_eq!(world.circuit(1), CircuitState::Closed);
    assert_eq!(world.found(), Some(1));
    assert!(back_off(&world, 1) <= secs(3));
    assert!(!world.reset_circuit(&id(77)), "not known");

    let world = with_six_faults();
    fail_all(&world, 1..=5);
    world.leave(5);
    world.ban_for(4, secs(60));
    world.reset_circuits();
    for n in 1..=4 {
        assert_eq!(world.circuit(n), CircuitState::Closed, "relay {n}");
    }
    assert!(world.info(4).is_banned(), "a ban stays");
    world.join(5);
    assert_eq!(world.circuit(5), CircuitState::Closed);
}

#[test]
fn a_relay_that_left_is_reset_too() {
    let world = lasting();
    by_distance(&world, 3);
    world.fail(1, Failure::TimedOut);
    world.leave(1);
    assert!(world.reset_circuit(&id(1)));
    assert!(!world.reset_circuit(&id(1)));
    world.join(1);
    assert_eq!(world.circuit(1), CircuitState::Closed);
}

#[test]
fn relays_that_no_caller_could_choose_are_no_part_of_the_share() {
    let world = lasting();
    by_distance(&world, 10);
    (5..=6).for_each(|n| world.drain(n));
    (7..=8).for_each(|n| world.ban_for(n, secs(3_600)));
    (9..=10).for_each(|n| world.report(n, 100));
    fail_all(&world, 1..=4);
    let relay = world.find_relay(&non_relay()).expect("four of four failed");
    assert!(relay.is_last_resort());
    // The third and the fourth failure are beyond the limit, so a success ends the outage.
    world.succeed(4);
    assert_eq!(world.circuit(3), CircuitState::HalfOpen);
    assert_eq!(world.verdict(2), Verdict::BackingOff);
}

#[test]
fn relays_that_drain_or_fill_up_while_they_back_off_leave_the_share() {
    for take_out in [
        (|world, n| world.drain(n)) as fn(&World, u32),
        |world, n| world.report(n, 100),
        |world, n| world.ban_for(n, secs(60)),
    ] {
        let world = lasting();
        by_distance(&world, 10);
        fail_all(&world, 1..=5);
        (1..=3).for_each(|n| take_out(&world, n));
        // Three of seven are within the limit: no success of another relay ends the back-off.
        world.fail(6, Failure::TimedOut);
        world.succeed(5);
        assert_eq!(world.circuit(6), CircuitState::Open);
    }
}

#[test]
fn for_a_find_the_share_is_of_what_that_call_could_be_given() {
    let world = lasting();
    by_distance(&world, 10);
    world.fail(1, Failure::TimedOut);
    world.fail(2, Failure::TimedOut);
    let near = within(ms(20));
    for _ in 0..4 {
        let relay = world
            .find_relay_with(&non_relay(), &near)
            .expect("both fail");
        assert!(relay.is_last_resort());
        world.pass(TICK);
    }
    let others = excluding(3..=10);
    assert!(world.found_with(&others).is_some());
    assert_eq!(world.found(), Some(3), "there are others for other calls");
}

#[test]
fn a_requester_that_measured_few_relays_is_given_one_of_those_as_a_last_resort() {
    let world = lasting();
    (1..=40).for_each(|n| world.join(n));
    fail_all(&world, 1..=40);
    let options = within(ms(50)).requester_view(published([(7, ms(20)), (8, ms(90))]));
    assert_eq!(world.found_with(&options), Some(7));
    let none = within(ms(50)).requester_view(published([(8, ms(90))]));
    assert_eq!(world.rejections(&none).backing_off, 40);
}

#[test]
fn a_preferred_relay_comes_first_among_last_resorts() {
    let world = lasting();
    by_distance(&world, 5);
    for n in 1..=5 {
        world.fail(n, Failure::TimedOut);
        world.pass(TICK);
    }
    for at_most in [1, 3] {
        let options = FindOptions::new().prefer(id(4)).max_results(at_most);
        for _ in 0..3 {
            assert_eq!(world.verdict_with(4, &options), Verdict::LastResort);
            let list = world.find_relays(&non_relay(), &options);
            assert_eq!(numbers(&list), [4]);
            assert!(list[0].is_last_resort());
            assert_eq!(world.found_with(&options), Some(4));
            let lease = world.reserve(&non_relay(), &options).unwrap();
            assert_eq!(number(lease.relay().node_id()), 4);
        }
    }
    let other = FindOptions::new().prefer(id(4)).exclude([id(4)]);
    assert_eq!(world.found_with(&other), Some(1), "the longest ejected");
}

/// A search corrects outdated summaries that it meets. Otherwise each search would meet them again.
#[test]
fn a_search_for_a_last_resort_mends_what_it_meets() {
    let world = lasting();
    (1..=200).for_each(|n| world.join_with(n, &ttl(if n <= 100 { secs(1) } else { secs(3_600) })));
    world.maintain();
    fail_all(&world, 1..=200);
    world.clock.advance(secs(1));
    // Raises the tick without a sweep.
    world.join(300);
    world.drain(300);
    let backing_off = || {
        let options = excluding(101..=200);
        world.rejections(&options).backing_off
    };
    assert!(world.found().is_some_and(|n| n > 100));
    assert_eq!(
        backing_off(),
        0,
        "the expired ones were met, and count no more"
    );
}

fn take(world: &World, n: u32) -> Lease {
    world.lease(&id(n)).expect("a free unit")
}

/// Ten relays, of which the first refuses all new sessions and keeps its old ones.
fn with_old_session() -> (World, Lease) {
    let world = lasting();
    by_distance(&world, 10);
    let old = take(&world, 1);
    (world, old)
}

#[test]
fn a_keep_alive_of_an_old_session_ends_no_back_off() {
    type Told = fn(&World, &Lease) -> bool;
    let ways: [Told; 2] = [
        |_, lease| lease.succeeded(),
        |world, _| world.report_success(&id(1)),
    ];
    for tell in ways {
        let (world, old) = with_old_session();
        let mut refused = 0;
        for second in 0..600 {
            world.pass(secs(1));
            assert!(tell(&world, &old));
            let lease = world.reserve(&non_relay(), &FindOptions::new()).unwrap();
            if number(lease.relay().node_id()) == 1 {
                refused += 1;
                lease.failed(Failure::Refused);
                assert_eq!(world.circuit(1), CircuitState::Open, "second {second}");
            }
        }
        assert!(refused <= 30, "{refused} new sessions in ten minutes");
    }
}

#[test]
fn a_success_reported_through_a_lease_counts_if_that_was_taken_after_the_failure() {
    let (world, before) = with_old_session();
    // All within one tick.
    world.fail(1, Failure::TimedOut);
    let after = take(&world, 1);
    assert!(before.succeeded());
    assert_eq!(world.circuit(1), CircuitState::Open);
    assert!(after.succeeded());
    assert_eq!(world.circuit(1), CircuitState::HalfOpen);
    assert_eq!(world.found(), Some(1), "on trial");
    world.fail(1, Failure::TimedOut);
    assert!(after.succeeded());
    assert_eq!(
        world.circuit(1),
        CircuitState::Open,
        "it is before this one"
    );
}

#[test]
fn three_sessions_that_go_well_close_the_circuit() {
    let (world, _) = with_old_session();
    world.fail(1, Failure::Refused);
    (0..3).for_each(|_| _ = take(&world, 1).succeeded());
    assert_eq!(world.circuit(1), CircuitState::Closed);
}

#[test]
fn a_success_reported_by_id_counts_only_while_a_trial_is_open() {
    let (world, _) = with_old_session();
    world.fail(1, Failure::Refused);
    (0..5).for_each(|_| assert!(world.report_success(&id(1))));
    assert_eq!(world.circuit(1), CircuitState::Open, "it ends no back-off");
    world.pass(secs(2));
    (0..5).for_each(|_| assert!(world.report_success(&id(1))));
    assert_eq!(
        world.circuit(1),
        CircuitState::HalfOpen,
        "no trial was handed out"
    );
    for closes in [false, false, true] {
        assert_eq!(world.found(), Some(1), "on trial");
        (0..5).for_each(|_| assert!(world.report_success(&id(1))));
        let is_closed = world.circuit(1) == CircuitState::Closed;
        assert_eq!(is_closed, closes, "one success for each trial");
    }
}

#[test]
fn a_session_from_before_that_breaks_off_is_part_of_the_same_fault() {
    let (world, old) = with_old_session();
    world.fail(1, Failure::TimedOut);
    world.pass(secs(3));
    assert_eq!(world.found(), Some(1), "on trial");
    assert!(old.failed(Failure::TimedOut));
    assert_eq!(world.circuit(1), CircuitState::HalfOpen);
    world.report_success(&id(1));
    (0..2).for_each(|_| world.succeed(1));
    assert!(old.failed(Failure::TimedOut));
    assert_eq!(world.circuit(1), CircuitState::Open, "that fault was over");
}

#[test]
fn outcomes_of_leases_on_relays_that_left_are_not_taken_in() {
    let (world, old) = with_old_session();
    world.leave(1);
    assert!(!old.failed(Failure::TimedOut));
    assert!(!old.succeeded());
    world.join(1);
    assert_eq!(world.circuit(1), CircuitState::Closed);
    drop(world);
    let _ = old.succeeded();
}

/// A remote relay answers each probe, and fails each caller.
#[cfg(feature = "conformance")]
#[test]
fn probes_that_succeed_do_not_cure_a_relay_that_fails_all_callers() {
    let world = network::World::new();
    let learned = network::id(1);
    let relay = world.relay(1);
    // Beside a local relay of the same tier.
    let reader = world.node_with(world.options().learned_tier(0));
    let local = reader
        .registry
        .register_with(id(2), endpoint(2), &latency(ms(300)));
    local.expect("room");
    let (mut tried, mut known) = (0, 0);
    for _ in 0..6 * 3_600 / 5 {
        world.advance(secs(5));
        let renewed = relay.registry.register(learned, network::home(1));
        renewed.expect("a renewal");
        relay.work();
        reader.work();
        reader
            .registry
            .register(id(2), endpoint(2))
            .expect("a renewal");
        known += u32::from(reader.registry.is_relay(&learned));
        let lease = reader.registry.reserve(&non_relay(), &FindOptions::new());
        let lease = lease.expect("one of the two");
        if lease.relay().node_id() == learned {
            tried += 1;
            lease.failed(Failure::TimedOut);
        } else {
            lease.succeeded();
        }
    }
    assert!(known > 4_000, "learned for {known} of 4,320 steps");
    assert!((10..=60).contains(&tried), "{tried} callers in six hours");
}

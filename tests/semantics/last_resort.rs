//! The last resort: which relay is handed out when all that meet the other conditions are backing off.

use crate::common::*;
use relay_registry::{BuildError, CircuitState, Failure, FindOptions, Registry, Verdict};

/// Relays of which the first few failed, one tick after another.
fn with_failing(relays: u32, failing: u32, max_ejected_share: f64) -> World {
    let world = world_with(|builder| {
        builder
            .max_ejected_share(max_ejected_share)
            .ttl(secs(86_400))
    });
    (0..relays).for_each(|n| world.join(n));
    for n in 0..failing {
        world.fail(n, Failure::TimedOut);
        world.pass(TICK);
    }
    world
}

#[test]
fn where_all_that_would_do_are_backing_off_the_longest_ejected_is_a_last_resort() {
    for (relays, failing, max_ejected_share, is_last_resort) in [
        (4, 1, 0.5, true),
        (4, 3, 0.5, true),
        (10, 1, 0.0, true),
        (1, 1, 0.99, true),
        (1, 1, 1.0, false),
        (4, 4, 1.0, false),
    ] {
        let case = format!("{failing} of {relays} at {max_ejected_share}");
        let world = with_failing(relays, failing, max_ejected_share);
        let others = excluding(failing..relays).max_results(1);
        let expected = is_last_resort.then_some(0);
        let verdict = world.verdict_with(0, &others);
        let expected_verdict = match is_last_resort {
            true => Verdict::LastResort,
            false => Verdict::BackingOff,
        };
        assert_eq!(verdict, expected_verdict, "{case}");
        let found = world.find_relay_with(&non_relay(), &others);
        if let Ok(relay) = &found {
            assert_eq!(relay.circuit(), CircuitState::Open, "{case}");
        }
        let found = found.ok().map(|relay| number(relay.node_id()));
        assert_eq!(found, expected, "{case}");
    }
}

#[test]
fn a_last_resort_is_handed_out_only_when_nothing_else_will_do() {
    let world = with_failing(4, 3, 0.5);
    for _ in 0..20 {
        assert_eq!(world.found(), Some(3));
    }
    assert_eq!(world.ranking(), [3]);
    world.drain(3);
    assert_eq!(world.found(), Some(0));
}

#[test]
fn last_resorts_alternate() {
    let world = with_failing(3, 3, 0.5);
    for expected in [0, 1, 2, 0, 1, 2] {
        assert_eq!(world.found(), Some(expected));
        world.pass(TICK);
    }
}

#[test]
fn reservations_and_lists_know_the_last_resort_too() {
    let world = with_failing(3, 3, 0.5);
    let lease = world.reserve(&non_relay(), &FindOptions::new());
    assert_eq!(lease.map(|lease| lease.relay().node_id()), Ok(id(0)));
    world.pass(TICK);
    let list = world.find_relays(&non_relay(), &all());
    assert_eq!(numbers(&list), [1]);
}

#[test]
fn a_last_resort_meets_every_other_condition() {
    let world = with_failing(8, 8, 0.5);
    world.drain(0);
    world.ban_for(1, secs(3_600));
    world.report(2, 100);
    world.measure(3, ms(500));
    let options = excluding([4]).max_latency(ms(80)).max_results(1);
    assert_eq!(world.found_with(&options), None, "5 to 7 are unmeasured");
    let rejections = world.rejections(&options);
    assert_eq!(rejections.total(), 8);
    let options = options.allow_unmeasured(true);
    for expected in [5, 6, 7] {
        assert_eq!(world.found_with(&options), Some(expected));
        world.pass(TICK);
    }
    assert_eq!(world.verdict_with(1, &options), Verdict::Banned);
}

#[test]
fn a_last_resort_that_works_is_trusted_again() {
    let world = with_failing(2, 2, 0.5);
    world.measure(0, ms(10));
    assert_eq!(world.found(), Some(0));
    (0..3).for_each(|_| world.succeed(0));
    assert_eq!(world.circuit(0), CircuitState::Closed);
    for _ in 0..10 {
        assert_eq!(world.found(), Some(0));
    }
}

#[test]
fn a_share_that_is_none_is_refused() {
    for share in [-0.01, 1.01, f64::NAN, f64::INFINITY] {
        let built = Registry::builder().max_ejected_share(share).build();
        let Err(BuildError::InvalidMaxEjectedShare { share: named, .. }) = built else {
            panic!("{share} is accepted");
        };
        assert_eq!(named.to_bits(), share.to_bits());
    }
}

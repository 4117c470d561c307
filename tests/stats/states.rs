//! Relays by state, and what they can carry and do carry.

use crate::common::*;
use relay_registry::{Failure, FindOptions, NodeId, RelayStates};

/// Eligible, full, draining, banned, failing.
#[track_caller]
fn assert_states(world: &World, expected: [usize; 5]) {
    let stats = world.stats();
    let RelayStates {
        eligible,
        full,
        draining,
        banned,
        failing,
        ..
    } = stats.relay_states;
    assert_eq!([eligible, full, draining, banned, failing], expected);
    assert_eq!(stats.relay_states.total(), stats.relays);
}

#[test]
fn each_live_relay_is_in_one_state() {
    let world = world();
    assert_states(&world, [0; 5]);
    (1..=6).for_each(|n| world.join_with(n, &capacity(1)));
    assert_states(&world, [6, 0, 0, 0, 0]);
    let _leases = world.take(1, 1);
    assert_states(&world, [5, 1, 0, 0, 0]);
    world.drain(2);
    world.ban_for(3, secs(60));
    world.fail(4, Failure::TimedOut);
    assert_states(&world, [2, 1, 1, 1, 1]);
    world.leave(5);
    assert_states(&world, [1, 1, 1, 1, 1]);
    world.advance(TTL);
    assert_states(&world, [0; 5]);
}

#[test]
fn of_several_states_the_first_one_counts() {
    let world = world();
    world.join_with(1, &capacity(1));
    world.report(1, 1);
    assert_states(&world, [0, 1, 0, 0, 0]);
    world.drain(1);
    assert_states(&world, [0, 0, 1, 0, 0]);
    world.fail(1, Failure::TimedOut);
    assert_states(&world, [0, 0, 0, 0, 1]);
    world.ban_for(1, secs(60));
    assert_states(&world, [0, 0, 0, 1, 0]);
}

#[test]
fn a_relay_on_trial_is_failing_from_when_the_trial_is_claimed() {
    let world = world();
    (1..=5).for_each(|n| world.join(n));
    world.fail(1, Failure::TimedOut);
    assert_states(&world, [4, 0, 0, 0, 1]);
    world.advance(secs(10));
    assert_states(&world, [5, 0, 0, 0, 0]);
    let only_one = excluding(2..=5);
    assert!(world.find_relay_with(&non_relay(), &only_one).is_ok());
    assert_states(&world, [4, 0, 0, 0, 1]);
    assert!(world.report_success(&id(1)));
    assert_states(&world, [5, 0, 0, 0, 0]);
}

/// It is in the state that it is in for the other nodes.
#[test]
fn this_nodes_own_relay_has_a_state_as_well() {
    let world = world_with(|builder| builder.local_id(id(1)));
    world.join(1);
    assert_states(&world, [1, 0, 0, 0, 0]);
    assert!(world.find_relay(&non_relay()).is_err());
}

#[test]
fn capacity_and_load_are_those_of_all_live_relays() {
    let world = world();
    world.join_with(1, &capacity(10));
    world.join_with(2, &capacity(30));
    world.report(2, 25);
    let leases = world.take(1, 4);
    let sums = || {
        let stats = world.stats();
        (stats.capacity, stats.load, stats.leases)
    };
    assert_eq!(sums(), (40, 29, 4));
    // Leases on a relay that left are held, and it carries nothing for the others.
    world.leave(1);
    assert_eq!(sums(), (30, 25, 4));
    drop(leases);
    world.renew_with(2, &capacity(20));
    assert_eq!(sums(), (20, 25, 0));
}

/// Also beside relays of all states, a call finds one exactly if one is eligible.
#[test]
fn a_call_without_options_finds_a_relay_if_one_is_eligible() {
    let world = world_with(|builder| builder.max_ejected_share(1.0));
    (1..=4).for_each(|n| world.join_with(n, &capacity(1)));
    let target: NodeId = non_relay();
    let checked = |world: &World| {
        let found = world.find_relay_with(&target, &FindOptions::new()).is_ok();
        assert_eq!(found, world.stats().relay_states.eligible > 0);
        found
    };
    assert!(checked(&world));
    world.drain(1);
    world.ban_for(2, secs(60));
    world.report(3, 1);
    assert!(checked(&world));
    world.fail(4, Failure::TimedOut);
    assert!(!checked(&world));
}

//! Rule 20: the capacity of a newcomer counts as growing from a tenth to the whole.

use crate::common::*;
use relay_registry::{FindOptions, NodeId, Registration};

const SLOW_START: std::time::Duration = secs(60);

fn slow() -> World {
    world_with(|builder| builder.slow_start(SLOW_START))
}

/// Relays 0 to 3 that are loaded by seven tenths, past their slow start.
fn loaded(world: &World) {
    for n in 0..4 {
        world.join_with(n, &latency(ms(50)).capacity(100));
    }
    world.clock.advance(SLOW_START);
    for n in 0..4 {
        world.report(n, 70);
    }
    world.maintain();
}

fn reserve(world: &World) -> (NodeId, relay_registry::Lease) {
    let lease = world.reserve(&non_relay(), &FindOptions::new());
    let lease = lease.expect("there is room");
    (lease.relay().node_id(), lease)
}

/// Of so many new sessions, how many the newcomer takes.
fn taken_by_newcomer(world: &World, sessions: usize) -> usize {
    let leases: Vec<_> = (0..sessions).map(|_| reserve(world)).collect();
    leases.iter().filter(|(relay, _)| *relay == id(9)).count()
}

#[test]
fn without_it_a_newcomer_takes_all_next_sessions() {
    let world = world();
    loaded(&world);
    world.join_with(9, &latency(ms(50)).capacity(100));
    assert!(taken_by_newcomer(&world, 68) >= 60);
}

#[test]
fn a_newcomer_takes_its_share_of_a_tenth_first_and_more_later() {
    let world = slow();
    loaded(&world);
    world.join_with(9, &latency(ms(50)).capacity(100));
    let at_first = taken_by_newcomer(&world, 68);
    assert!((5..=14).contains(&at_first), "{at_first}");
    // Half the time: 55 % of the capacity counts.
    world.clock.advance(SLOW_START / 2);
    world.maintain();
    let halfway = taken_by_newcomer(&world, 68);
    assert!((35..=55).contains(&halfway), "{halfway}");
    world.clock.advance(SLOW_START / 2);
    world.maintain();
    assert!(taken_by_newcomer(&world, 68) >= 60);
}

/// Its load and round trip stay as they are: time alone makes it the better one.
#[test]
fn the_rank_of_a_newcomer_follows_as_time_passes() {
    let world = slow();
    loaded(&world);
    world.join_with(9, &latency(ms(50)).capacity(100));
    world.report(9, 9);
    world.maintain(); // merged: later passes have no reason to compute its leaf anew
    assert_ne!(reserve(&world).0, id(9), "nine of ten units count as taken");
    world.clock.advance(SLOW_START);
    world.maintain();
    assert_eq!(reserve(&world).0, id(9), "nine of a hundred");
}

#[test]
fn it_makes_no_relay_ineligible() {
    let world = slow();
    world.join_with(9, &latency(ms(50)).capacity(20));
    let leases: Vec<_> = (0..20).map(|_| reserve(&world)).collect();
    assert!(leases.iter().all(|(relay, _)| *relay == id(9)));
    assert!(world.find_relay(&non_relay()).is_err());
}

#[test]
fn a_relay_that_returns_renews_or_restarts_is_no_newcomer() {
    let world = slow();
    loaded(&world);
    world.join_with(9, &latency(ms(50)).capacity(100));
    world.clock.advance(SLOW_START);
    world.leave(9);
    let again = world.register_with(id(9), endpoint(9), &latency(ms(50)).capacity(100));
    assert_eq!(again, Ok(Registration::Returned));
    assert!(taken_by_newcomer(&world, 68) >= 60);
    world.renew_with(9, &capacity(100));
    assert!(taken_by_newcomer(&world, 68) >= 60);
    let _void = world.lease(&id(9)).unwrap();
    world.renew_with(9, &capacity(100).restarted(true));
    assert!(taken_by_newcomer(&world, 68) >= 60);
}

#[test]
fn one_that_comes_back_after_its_grace_is_a_newcomer_again() {
    let world = world_with(|builder| builder.slow_start(SLOW_START).return_grace(secs(1)));
    loaded(&world);
    world.join_with(9, &latency(ms(50)).capacity(100));
    world.clock.advance(SLOW_START);
    world.maintain();
    world.leave(9);
    world.clock.advance(secs(5));
    world.maintain();
    world.join_with(9, &latency(ms(50)).capacity(100));
    assert!(taken_by_newcomer(&world, 68) <= 14);
}

/// Whether or not it had leases, which a restart leaves behind with the record that it had.
#[test]
fn a_slow_start_goes_on_across_a_restart() {
    for has_leases in [false, true] {
        let world = slow();
        loaded(&world);
        world.join_with(9, &latency(ms(50)).capacity(100));
        let _void = has_leases.then(|| world.lease(&id(9)).unwrap());
        world.renew_with(9, &options().restarted(true));
        let at_first = taken_by_newcomer(&world, 68);
        assert!((5..=14).contains(&at_first), "{at_first}, {has_leases}");
        world.clock.advance(SLOW_START);
        world.maintain();
        assert!(taken_by_newcomer(&world, 68) >= 60, "{has_leases}");
    }
}

//! Several ids at one endpoint: they are shown, and refused if the builder asks for that.

use crate::assert_is;
use crate::common::*;
use relay_registry::{Endpoint, NodeId, RegisterError, Registration};

fn shared() -> Endpoint {
    "9.9.9.9:4433".parse().unwrap()
}

fn exclusive() -> World {
    world_with(|builder| builder.one_id_per_endpoint(true))
}

fn enter(world: &World, n: u32, at: &Endpoint) -> Result<Registration, RegisterError> {
    world.register(id(n), at.clone())
}

#[track_caller]
fn assert_taken(world: &World, n: u32, at: &Endpoint, by: u32) {
    match enter(world, n, at) {
        Err(RegisterError::EndpointTaken {
            endpoint, by: held, ..
        }) => {
            assert_eq!((endpoint, held), (at.clone(), id(by)));
        }
        other => panic!("relay {n}: {other:?}"),
    }
}

fn at(world: &World, endpoint: &Endpoint) -> Vec<u32> {
    world.at(endpoint).into_iter().map(number).collect()
}

#[test]
fn all_live_relays_at_an_endpoint_are_shown() {
    let world = world();
    for n in [3, 1, 2] {
        assert_eq!(enter(&world, n, &shared()), Ok(Registration::New));
    }
    world.join(4);
    assert_eq!(at(&world, &shared()), [1, 2, 3]);
    assert_eq!(at(&world, &endpoint(4)), [4]);
    assert_eq!(world.at(&endpoint(5)), [] as [NodeId; 0]);
    let other_port = "9.9.9.9:4434".parse().unwrap();
    assert_eq!(world.at(&other_port), [] as [NodeId; 0]);

    world.leave(1);
    enter(&world, 2, &other_port).unwrap();
    assert_eq!(at(&world, &shared()), [3]);
    assert_eq!(at(&world, &other_port), [2]);
    world.advance(TTL);
    assert_eq!(world.at(&shared()), [] as [NodeId; 0]);
}

#[test]
fn a_second_id_at_an_endpoint_is_refused_and_changes_nothing() {
    let world = exclusive();
    assert_eq!(enter(&world, 1, &shared()), Ok(Registration::New));
    assert_taken(&world, 2, &shared(), 1);
    assert!(!world.has(2));
    world.join(2);
    assert_taken(&world, 2, &shared(), 1);
    assert_eq!(world.info(2).endpoint(), &endpoint(2));
    assert_eq!(at(&world, &shared()), [1]);
    assert_eq!(world.stats().refused, 2);

    // Another spelling and another transport to the same address are the same endpoint.
    assert_taken(&world, 3, &"[::ffff:9.9.9.9]:4433".parse().unwrap(), 1);
    let named = Endpoint::new("relay.example", 1).unwrap();
    enter(&world, 3, &named).unwrap();
    assert_taken(&world, 4, &Endpoint::new("RELAY.example.", 1).unwrap(), 3);
    // The holder itself renews as it likes.
    assert_eq!(enter(&world, 1, &shared()), Ok(Registration::Renewed));
    let changed = capacity(3).latency(ms(3)).restarted(true);
    let renewed = world.register_with(id(1), shared(), &changed);
    assert_eq!(renewed, Ok(Registration::Renewed));
}

#[test]
fn an_endpoint_is_free_again_once_its_relay_left_expired_or_moved() {
    let world = exclusive();
    enter(&world, 1, &shared()).unwrap();
    world.leave(1);
    assert_eq!(enter(&world, 2, &shared()), Ok(Registration::New));
    assert_taken(&world, 1, &shared(), 2);

    world.renew_with(2, &options());
    assert_eq!(world.info(2).endpoint(), &endpoint(2), "it moved");
    assert_eq!(enter(&world, 3, &shared()), Ok(Registration::New));
    assert_taken(&world, 2, &shared(), 3);

    world.advance(TTL);
    assert_eq!(enter(&world, 4, &shared()), Ok(Registration::New));
    assert_taken(&world, 3, &shared(), 4);
    // A relay that comes back late finds another one there, and goes elsewhere.
    assert_eq!(enter(&world, 3, &endpoint(3)), Ok(Registration::Returned));
}

#[test]
fn further_endpoints_count_as_the_main_one_does() {
    let world = exclusive();
    let [a, b, c] = [101, 102, 103].map(endpoint);
    let also_at = |endpoint: &Endpoint| options().also_at([endpoint.clone()]);
    world.join_with(1, &also_at(&a));
    assert_eq!(at(&world, &a), [1]);
    assert_taken(&world, 2, &a, 1);
    let refused = world.register_with(id(2), endpoint(2), &also_at(&endpoint(1)));
    assert_is!(refused, Err(RegisterError::EndpointTaken { by, .. }) if by == id(1));
    // A renewal keeps them, unless it gives others.
    world.renew(1);
    assert_taken(&world, 2, &a, 1);
    world.renew_with(1, &also_at(&b));
    world.join_with(2, &also_at(&a));
    assert_eq!((at(&world, &a), at(&world, &b)), (vec![2], vec![1]));

    // A relay that comes back late finds another one at a further endpoint that it had.
    world.advance(TTL);
    world.join_with(3, &also_at(&b));
    let refused = world.register_with(id(1), endpoint(1), &options());
    assert_is!(refused, Err(RegisterError::EndpointTaken { by, .. }) if by == id(3));
    world.join_with(1, &also_at(&c));
    assert_eq!(at(&world, &b), [3]);
}

/// With and without a pass in between, and without the time of a grace.
#[test]
fn a_relay_that_returns_to_its_endpoint_is_what_it_was() {
    for (left, grace) in [(true, TTL), (false, TTL), (true, ms(0)), (false, ms(0))] {
        let world = world_with(|builder| builder.one_id_per_endpoint(true).return_grace(grace));
        enter(&world, 1, &shared()).unwrap();
        match left {
            true => world.leave(1),
            false => world.advance(TTL),
        }
        let back = match grace.is_zero() {
            true => Registration::New,
            false => Registration::Returned,
        };
        assert_eq!(enter(&world, 1, &shared()), Ok(back));
        assert_taken(&world, 2, &shared(), 1);
    }
}

#[test]
fn a_registration_that_fails_takes_no_endpoint() {
    let world = world_with(|builder| builder.one_id_per_endpoint(true).max_relays(1));
    world.join(1);
    assert!(enter(&world, 2, &shared()).is_err(), "full");
    world.leave(1);
    assert_eq!(enter(&world, 3, &shared()), Ok(Registration::New));
}

/// Many times as many relays and endpoints come and go as are noted at a time.
#[test]
fn what_is_noted_of_endpoints_that_were_left_is_dropped() {
    let world = exclusive();
    world.join(0);
    for n in 1..=10_000 {
        // While another test's thread is preempted inside a call, nothing is reclaimed.
        while let Err(error) = enter(&world, n, &endpoint(n)) {
            assert_is!(error, RegisterError::Backlogged { .. });
            std::thread::yield_now();
        }
        world.leave(n);
    }
    assert_taken(&world, 1, &endpoint(0), 0);
    assert_eq!(enter(&world, 1, &endpoint(9_999)), Ok(Registration::New));
    assert_taken(&world, 2, &endpoint(9_999), 1);
}

#[test]
fn by_default_relays_may_share_an_endpoint() {
    let world = world();
    for n in 1..=3 {
        assert_eq!(enter(&world, n, &shared()), Ok(Registration::New));
        assert_eq!(enter(&world, n, &shared()), Ok(Registration::Renewed));
    }
}

/// The endpoint that it gives up by that has another relay by now.
#[test]
fn a_relay_that_comes_back_after_its_grace_needs_no_endpoint_of_before() {
    let world = world_with(|builder| builder.one_id_per_endpoint(true).ttl(secs(5)));
    let main: Endpoint = "9.8.8.8:4433".parse().unwrap();
    let both = options().also_at([shared()]);
    world.register_with(id(1), main.clone(), &both).unwrap();
    world.advance(secs(6));
    assert_eq!(enter(&world, 2, &shared()), Ok(Registration::New));
    // Within its grace it would be at both again.
    let refused = enter(&world, 1, &main);
    assert_is!(refused, Err(RegisterError::EndpointTaken { endpoint, .. }) if endpoint == shared());
    world.advance(secs(3));
    enter(&world, 2, &shared()).unwrap();
    world.advance(secs(3));
    assert_eq!(enter(&world, 1, &main), Ok(Registration::New));
    assert_eq!(at(&world, &shared()), [2]);
}

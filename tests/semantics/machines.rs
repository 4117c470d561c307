//! Standbys on other machines, where tiers or further endpoints make that less than obvious.

use crate::common::*;
use relay_registry::{Endpoint, FindOptions, RegisterOptions};
use std::time::Duration;

fn at(text: &str) -> Endpoint {
    text.parse().expect("an endpoint")
}

fn enter(world: &World, n: u32, endpoint: &str, options: &RegisterOptions) {
    let registered = world.register_with(id(n), at(endpoint), options);
    registered.expect("a valid registration");
}

fn best_two(world: &World) -> Vec<u32> {
    numbers(&world.find_relays(&non_relay(), &FindOptions::new().max_results(2)))
}

/// The nearest one of the next tier is beside the first of the list.
#[test]
fn a_standby_of_a_higher_tier_is_on_another_machine() {
    let world = world();
    enter(&world, 0, "9.1.1.1:1", &latency(ms(50)));
    enter(&world, 1, "9.1.1.1:2", &latency(ms(10)).tier(1));
    enter(&world, 2, "9.7.1.1:1", &latency(ms(300)).tier(1));
    for _ in 0..2 {
        assert_eq!(best_two(&world), [0, 2]);
        world.maintain();
    }
}

/// Relay 1 shares a machine with each of the others, which share none.
#[test]
fn a_relay_on_two_machines_hides_no_standby() {
    let micros = Duration::from_micros;
    // Which of two equal relays a search meets first is random.
    for _ in 0..20 {
        let world = world_with(|builder| builder.assumed_rtt(micros(1)));
        enter(&world, 0, "9.1.1.1:1", &latency(micros(100_000)));
        let also_there = latency(micros(100_010)).also_at([at("9.7.1.1:1")]);
        enter(&world, 1, "9.1.1.1:2", &also_there);
        enter(&world, 2, "9.7.1.1:2", &latency(micros(300_000)));
        world.maintain();
        assert_eq!(best_two(&world), [0, 2]);
    }
}

//! Consecutive calls: each chooses by the loads, round trips and circuits of its own moment.

use crate::common::*;
use relay_registry::FindOptions;

const MANY: u32 = 300;
/// The assumed leg to the target.
const ASSUMED: std::time::Duration = ms(100);
/// Of many relays, scores that differ by less than 1/32 may count as equal.
const TOLD_APART: f64 = 0.96;

/// Relays with equal scores.
fn crowd() -> World {
    let world = world();
    (0..MANY).for_each(|n| world.join_with(n, &latency(ms(50))));
    world.maintain();
    world
}

#[test]
fn a_better_relay_is_found_as_soon_as_it_registers() {
    let world = crowd();
    let mut path = ASSUMED + ms(50);
    for better in 0..9 {
        assert!(world.found().is_some());
        let n = MANY + better;
        path = path.mul_f64(TOLD_APART);
        world.join_with(n, &latency(path - ASSUMED));
        assert_eq!(world.found(), Some(n));
    }
}

#[test]
fn a_relay_that_comes_nearer_is_found_at_once() {
    let world = crowd();
    let mut path = ASSUMED + ms(50);
    for nearer in 0..9 {
        assert!(world.found().is_some());
        path = path.mul_f64(TOLD_APART);
        world.measure(nearer, path - ASSUMED);
        assert_eq!(world.found(), Some(nearer), "at once");
        if nearer % 2 == 0 {
            world.maintain();
        }
        assert_eq!(world.found(), Some(nearer), "sorted or not");
    }
}

#[test]
fn what_may_not_be_handed_out_any_more_is_not() {
    let world = crowd();
    let ways: [fn(&World, u32); 5] = [
        |world, n| world.drain(n),
        |world, n| world.report(n, 100),
        |world, n| world.ban_for(n, secs(60)),
        |world, n| world.leave(n),
        |world, n| world.fail(n, relay_registry::Failure::TimedOut),
    ];
    let mut gone = Vec::new();
    for way in ways.iter().cycle().take(200) {
        let n = world.found().expect("a relay");
        assert!(!gone.contains(&n), "{n} again, after {gone:?}");
        way(&world, n);
        gone.push(n);
    }
}

#[test]
fn the_target_is_never_handed_out_as_a_relay() {
    let world = crowd();
    for _ in 0..200 {
        let n = world.found().expect("a relay");
        // No call uses the result of another.
        for _ in 0..8 {
            let other = world.find_relay(&id(n)).expect("a relay");
            assert_ne!(other.node_id(), id(n));
        }
        let other = world.found_with(&excluding([n])).expect("a relay");
        assert_ne!(other, n);
    }
}

#[test]
fn reservations_in_a_row_even_out() {
    let world = world();
    (0..MANY).for_each(|n| world.join_with(n, &latency(ms(50)).capacity(10)));
    world.maintain();
    let reserve = |_| world.reserve(&non_relay(), &FindOptions::new());
    let leases: Result<Vec<_>, _> = (0..MANY * 5).map(reserve).collect();
    assert!(leases.is_ok());
    let nearly_full = (0..MANY).filter(|&n| world.load(n) >= 8).count();
    assert_eq!(nearly_full, 0, "with half of the capacity in use");
}

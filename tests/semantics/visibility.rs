//! Rule 2: every later call sees the effect of `register` and `unregister`, at any size.

use crate::common::*;
use std::collections::VecDeque;

const CROWD: u32 = 500;

#[test]
fn s02_each_arrival_is_a_candidate_at_once_whatever_the_size() {
    let world = world_of(CROWD as usize);
    for n in 0..CROWD {
        world.join(n);
        assert_eq!(world.found(), Some(n));
        world.drain(n);
    }
}

#[test]
fn s02_an_arrival_is_a_candidate_of_every_kind_of_find() {
    let world = world();
    (0..50).for_each(|n| world.join(n));
    (0..50).for_each(|n| world.drain(n));
    world.maintain();
    world.join(50);
    assert_eq!(world.found(), Some(50));
    assert_eq!(world.ranking(), [50]);
    let lease = world.reserve(&non_relay(), &all()).expect("one free relay");
    assert_eq!(number(lease.relay().node_id()), 50);
}

#[test]
fn s02_a_relay_that_left_is_never_handed_out() {
    let world = world_of(CROWD as usize);
    (0..CROWD).for_each(|n| world.join(n));
    world.maintain();
    for gone in (0..CROWD).rev() {
        world.leave(gone);
        if gone % 16 == 0 {
            assert!(world.found().is_none_or(|n| n < gone));
            let wanted = all().exclude((0..gone).map(id));
            assert_eq!(world.found_with(&wanted), None, "{gone} had just left");
        }
    }
    assert_eq!(world.ranking(), []);
}

#[test]
fn s02_a_relay_that_left_before_any_maintenance_is_never_handed_out() {
    let world = world();
    for n in 0..200 {
        world.join(n);
        world.leave(n);
        assert_eq!(world.found(), None);
        assert!(world.reserve(&non_relay(), &all()).is_err());
        assert!(world.find_relays(&non_relay(), &all()).is_empty());
    }
}

/// Also if slots of several relays are taken in another order, and of relays that are merged already
/// none is.
#[test]
fn s02_a_relay_in_the_slot_of_one_that_left_is_found_instead_of_it() {
    for (max_relays, merged) in [(50, 0), (50, 30), (4_096, 0), (4_096, 1_000)] {
        let world = world_of(max_relays);
        (0..merged).for_each(|n| world.join(n));
        (0..merged).for_each(|n| world.drain(n));
        world.maintain();
        let mut there: VecDeque<u32> = (10_000..10_006).collect();
        there.iter().for_each(|&n| world.join(n));
        for n in 10_006..11_000 {
            let gone = [there.pop_front(), there.pop_back()].map(Option::unwrap);
            gone.into_iter().for_each(|n| world.leave(n));
            let mut left: Vec<u32> = there.iter().copied().collect();
            assert_eq!(sorted(world.ranking()), left, "{gone:?} have left");
            let newcomers = [2 * n, 2 * n + 1];
            for n in newcomers {
                world.join(n);
                let only = excluding(there.iter().copied());
                assert_eq!(world.found_with(&only), Some(n));
                let lease = world.reserve(&non_relay(), &only).expect("a free unit");
                assert_eq!(number(lease.relay().node_id()), n);
                there.push_back(n);
                left.push(n);
                assert_eq!(sorted(world.ranking()), left);
            }
        }
    }
}

fn sorted(mut relays: Vec<u32>) -> Vec<u32> {
    relays.sort_unstable();
    relays
}

#[test]
fn s02_a_relay_that_came_back_is_handed_out_once() {
    let world = world();
    world.join(1);
    world.maintain();
    for _ in 0..20 {
        world.leave(1);
        world.join(1);
        assert_eq!(world.ranking(), [1]);
    }
}

#[test]
fn s02_a_relay_past_its_deadline_tick_is_never_handed_out() {
    let world = world();
    (0..300).for_each(|n| world.join_with(n, &ttl(secs(10) + ms(100) * n)));
    world.join_with(1_000, &ttl(secs(3_600)));
    world.pass(secs(9));
    for n in 0..300 {
        world.advance(if n == 0 { secs(1) } else { TICK });
        world.renew(1_000); // raises the tick without a maintenance pass
        let ranking = world.ranking();
        assert!(!ranking.contains(&n), "{n} was due");
        assert_eq!(ranking.len() as u32, 300 - n);
        let wanted = excluding(n + 1..300).exclude([id(1_000)]);
        assert_eq!(world.found_with(&wanted), None);
        assert!(world.reserve(&non_relay(), &wanted).is_err());
    }
}

#[test]
fn s02_order_by_round_trip_follows_within_one_maintenance_pass() {
    let world = world();
    world.join_with(1, &latency(ms(20)));
    world.join_with(2, &latency(ms(60)));
    world.maintain();
    assert_eq!(world.ranking(), [1, 2]);
    world.measure(1, ms(90));
    world.maintain();
    assert_eq!(world.ranking(), [2, 1]);
    assert_eq!(world.found(), Some(2));
}

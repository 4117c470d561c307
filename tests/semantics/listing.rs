//! Rule 7: the count and the list have live relays only.

use crate::common::*;

fn listed(world: &World) -> Vec<u32> {
    let mut listed = numbers(&world.relays());
    listed.sort_unstable();
    listed
}

#[test]
fn s07_relays_and_count_follow_joining_and_leaving() {
    let world = world();
    assert_eq!((world.relay_count(), listed(&world)), (0, vec![]));
    (0..300).for_each(|n| world.join(n));
    (0..300).step_by(2).for_each(|n| world.leave(n));
    assert_eq!(world.relay_count(), 150);
    let odd: Vec<u32> = (1..300).step_by(2).collect();
    assert_eq!(listed(&world), odd);
    world.maintain();
    assert_eq!((world.relay_count(), listed(&world)), (150, odd));
}

#[test]
fn s07_relays_past_their_deadline_are_not_counted_even_before_they_are_swept() {
    let world = world();
    (0..10).for_each(|n| world.join_with(n, &ttl(secs(5))));
    world.join(10);
    world.advance(secs(5));
    world.renew(10); // raises the tick, and there is room: nothing needs to be swept
    assert_eq!(world.relay_count(), 1);
    assert_eq!(listed(&world), [10]);
}

#[test]
fn s07_relays_past_their_deadline_are_not_counted_though_no_one_has_raised_the_tick() {
    let world = world();
    world.join_with(1, &ttl(secs(5)));
    world.advance(secs(100));
    assert_eq!((world.relay_count(), listed(&world)), (0, vec![]));
    assert_eq!(world.maintain().expired, 1);
    assert_eq!((world.relay_count(), listed(&world)), (0, vec![]));
}

#[test]
fn s07_draining_and_full_relays_are_counted() {
    let world = world();
    world.join(1);
    world.join_with(2, &capacity(1));
    world.drain(1);
    world.report(2, 1);
    assert_eq!(world.found(), None);
    assert_eq!((world.relay_count(), listed(&world)), (2, vec![1, 2]));
}

#[test]
fn s07_stats_agree_with_the_count_after_a_pass() {
    let world = world();
    (0..20).for_each(|n| world.join_with(n, &ttl(secs(u64::from(n) + 1))));
    (10..15).for_each(|n| world.leave(n));
    let expired = world.pass(secs(5));
    let stats = world.stats();
    assert_eq!(expired, 5);
    assert_eq!(stats.relays, 10);
    assert_eq!(world.relay_count(), 10);
    assert_eq!(
        (
            stats.registrations,
            stats.unregistrations,
            stats.expirations
        ),
        (20, 5, 5)
    );
}

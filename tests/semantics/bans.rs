//! Bans.

use crate::assert_is;
use crate::common::*;
use relay_registry::{BanError, Failure, FindOptions, LeaseError, Verdict};
use std::time::Duration;

const HOUR: Duration = secs(3_600);

/// Relays 1 and 2, of which 1 is much nearer.
fn near_and_far() -> World {
    let world = world_with(|builder| builder.ttl(HOUR * 24));
    world.join_with(1, &latency(ms(1)));
    world.join_with(2, &latency(ms(50)));
    world
}

#[track_caller]
fn assert_banned(world: &World, n: u32) {
    assert_eq!(world.verdict(n), Verdict::Banned);
    assert!(world.info(n).is_banned());
    for _ in 0..5 {
        assert_ne!(world.found(), Some(n));
    }
    assert!(!world.ranking().contains(&n));
    assert_eq!(world.lease(&id(n)).err(), Some(LeaseError::Banned));
}

#[track_caller]
fn assert_not_banned(world: &World, n: u32) {
    assert!(!world.info(n).is_banned());
    assert!(world.ranking().contains(&n));
    assert!(world.lease(&id(n)).is_ok());
}

#[test]
fn a_banned_relay_is_not_handed_out_until_the_very_tick() {
    let world = near_and_far();
    assert_eq!(world.found(), Some(1));
    world.ban_for(1, secs(10));
    assert_banned(&world, 1);
    world.pass(secs(10) - TICK);
    assert_banned(&world, 1);
    world.pass(TICK);
    assert_not_banned(&world, 1);
    assert_eq!(world.found(), Some(1));
    assert_eq!(world.banned(), []);
}

#[test]
fn the_end_of_a_ban_is_rounded_up_to_a_tick() {
    let world = near_and_far();
    world.pass(TICK / 2);
    world.ban_for(1, Duration::from_nanos(1));
    assert_banned(&world, 1);
    world.pass(TICK / 4);
    assert_banned(&world, 1);
    world.pass(TICK / 4);
    assert_not_banned(&world, 1);
}

#[test]
fn nothing_is_found_where_all_are_banned() {
    let world = near_and_far();
    (1..=2).for_each(|n| world.ban_for(n, HOUR));
    let rejections = world.rejections(&FindOptions::new());
    assert_eq!((rejections.banned, rejections.total()), (2, 2));
    assert!(world.reserve(&non_relay(), &FindOptions::new()).is_err());
}

#[test]
fn a_ban_outlives_renewal_leaving_and_expiry() {
    let world = near_and_far();
    world.ban_for(1, HOUR);
    world.renew_with(1, &capacity(9).latency(ms(1)).ttl(secs(1)));
    assert_banned(&world, 1);
    world.leave(1);
    assert!(!world.has(1));
    world.join(1);
    assert_banned(&world, 1);
    world.renew_with(1, &ttl(secs(1)));
    assert_eq!(world.pass(secs(1)), 1);
    world.join_with(1, &ttl(HOUR * 2));
    assert_banned(&world, 1);
    world.pass(HOUR - secs(1) - TICK);
    world.maintain();
    assert_banned(&world, 1);
    world.pass(TICK);
    assert_not_banned(&world, 1);
}

#[test]
fn a_relay_can_be_banned_before_it_is_registered() {
    let world = near_and_far();
    world.ban_for(3, secs(10));
    world.join_with(3, &latency(Duration::from_micros(1)));
    assert_banned(&world, 3);
    world.pass(secs(10));
    assert_not_banned(&world, 3);
    world.ban_for(4, secs(10));
    world.pass(secs(10));
    world.join(4);
    assert_not_banned(&world, 4);
}

#[test]
fn lifting_a_ban_is_for_good() {
    let world = near_and_far();
    assert!(!world.unban(&id(1)), "never banned");
    world.ban_for(1, HOUR);
    assert!(world.unban(&id(1)));
    assert_not_banned(&world, 1);
    assert!(!world.unban(&id(1)), "lifted already");
    world.leave(1);
    world.join(1);
    assert_not_banned(&world, 1);
    world.ban_for(1, secs(1));
    world.pass(secs(1));
    assert!(!world.unban(&id(1)), "over");
    world.ban_for(7, HOUR);
    assert!(world.unban(&id(7)), "banned, and not registered");
    world.join(7);
    assert_not_banned(&world, 7);
}

#[test]
fn a_later_ban_replaces_the_one_in_force() {
    let world = near_and_far();
    world.ban_for(1, HOUR);
    world.ban_for(1, secs(1));
    world.pass(secs(1));
    assert_not_banned(&world, 1);
    world.ban_for(1, secs(1));
    world.ban_for(1, HOUR);
    world.pass(secs(1));
    assert_banned(&world, 1);
}

#[test]
fn leases_given_stay() {
    let world = near_and_far();
    let leases = world.take(1, 3);
    world.ban_for(1, HOUR);
    assert_eq!(world.load(1), 3);
    drop(leases);
    assert_eq!(world.load(1), 0);
    assert_banned(&world, 1);
}

#[test]
fn the_list_of_bans_names_all_and_when_they_end() {
    let world = near_and_far();
    let registered = world.info(1).expires_at();
    world.ban_for(1, HOUR * 24);
    world.ban_for(5, HOUR * 25);
    let mut banned = world.banned();
    banned.sort_unstable();
    assert_eq!(banned, [(id(1), registered), (id(5), registered + HOUR)]);
    world.pass(HOUR * 24 - TICK);
    assert_eq!(world.banned().len(), 2);
    world.pass(TICK);
    assert_eq!(world.banned(), [(id(5), registered + HOUR)]);
}

#[test]
fn a_ban_beyond_counting_is_refused_and_changes_nothing() {
    let world = world_with(|builder| builder.tick(ms(1)).ttl(HOUR));
    world.join(1);
    let years = |count| HOUR * 24 * 365 * count;
    for too_long in [years(18), years(600), Duration::MAX] {
        assert_is!(
            world.ban(&id(1), too_long),
            Err(BanError::TooLong { duration, .. }) if duration == too_long
        );
    }
    assert_eq!(world.banned(), []);
    assert_not_banned(&world, 1);
    let Err(BanError::TooLong { max, .. }) = world.ban(&id(1), Duration::MAX) else {
        panic!("it is too long");
    };
    assert!(world.ban(&id(1), max + ms(1)).is_err());
    assert_eq!(world.ban(&id(1), max), Ok(()), "the longest");
    assert!(world.unban(&id(1)));
    world.ban_for(1, years(17));
    assert!(world.ban(&id(1), Duration::MAX).is_err());
    assert_banned(&world, 1);
    assert_eq!(world.banned().len(), 1);
}

#[test]
fn a_ban_of_no_duration_bans_no_relay() {
    let world = near_and_far();
    world.ban_for(1, Duration::ZERO);
    assert_not_banned(&world, 1);
    assert_eq!(world.banned(), []);
    world.ban_for(1, HOUR);
    world.ban_for(1, Duration::ZERO);
    assert_not_banned(&world, 1);
}

#[test]
fn a_relay_that_failed_before_its_ban_is_on_trial_after_it() {
    for lift in [false, true] {
        let world = world_with(|builder| builder.max_ejected_share(1.0));
        world.join(1);
        world.fail(1, Failure::TimedOut);
        world.ban_for(1, secs(60));
        world.succeed(1);
        world.fail(1, Failure::TimedOut);
        assert_banned(&world, 1);
        if lift {
            assert!(world.unban(&id(1)));
        } else {
            world.pass(secs(60));
        }
        assert_eq!(world.found(), Some(1));
        assert_eq!(world.found(), None, "one trial at a time");
        (0..3).for_each(|_| world.succeed(1));
        assert_eq!(world.found(), Some(1));
        assert_eq!(world.found(), Some(1));
    }
}

#[test]
fn a_banned_relay_is_no_last_resort() {
    let world = world_with(|builder| builder.max_ejected_share(0.0));
    world.join(1);
    world.fail(1, Failure::TimedOut);
    assert_eq!(world.found(), Some(1));
    world.ban_for(1, HOUR);
    assert_eq!(world.found(), None);
}

#[test]
fn draining_outlives_renewal_and_a_ban() {
    let world = near_and_far();
    world.drain(1);
    world.ban_for(1, secs(1));
    world.renew_with(1, &capacity(5));
    world.pass(secs(1));
    assert!(world.info(1).is_draining());
    assert_eq!(world.lease(&id(1)).err(), Some(LeaseError::Draining));
    assert_eq!(world.found(), Some(2));
}

//! Leases of several units: all or none, in every rule about capacity.

use crate::assert_is;
use crate::common::*;
use relay_registry::{
    Failure, FindOptions, Lease, LeaseError, MAX_CAPACITY, PeerView, Rejections, Verdict,
};

fn units(count: u32) -> FindOptions {
    FindOptions::new().units(count)
}

fn reserve(world: &World, count: u32) -> Option<Lease> {
    world.reserve(&non_relay(), &units(count)).ok()
}

/// Has maintenance count free units, which it does once a call has asked for more than one.
fn count_units(world: &World, most: u32) {
    let options = excluding(0..1_000).units(most);
    let _ = world.find_relay_with(&non_relay(), &options);
    // More than one pass, for a thread of another test may be inside a call.
    (0..4).for_each(|_| _ = world.maintain());
}

/// Each test is run before free units are counted, and after.
fn before_and_after(most: u32, test: impl Fn(&World, &dyn Fn())) {
    test(&world(), &|| {});
    let world = world();
    let count = || count_units(&world, most);
    test(&world, &count);
}

/// The counts of which the given ones are not zero.
fn counts(set: impl FnOnce(&mut Rejections)) -> Rejections {
    let mut counts = Rejections::default();
    set(&mut counts);
    counts
}

#[test]
fn units_are_taken_together_or_not_at_all() {
    before_and_after(8, |world, count| {
        world.join_with(1, &capacity(5));
        count();
        let three = world.lease_units(&id(1), 3).expect("room");
        assert_eq!((three.units(), world.load(1)), (3, 3));
        assert_is!(
            world.lease_units(&id(1), 3),
            Err(LeaseError::Full { capacity: 5, .. })
        );
        assert!(reserve(world, 3).is_none());
        assert_eq!(world.load(1), 3, "none was taken");
        let two = reserve(world, 2).expect("room");
        assert_eq!((two.units(), world.load(1)), (2, 5));
        assert!(reserve(world, 1).is_none() && world.lease(&id(1)).is_err());
        drop(three);
        assert_eq!(world.load(1), 2, "all three were given back");
        assert!(reserve(world, 4).is_none());
        assert_eq!(reserve(world, 3).map(|lease| lease.units()), Some(3));
        drop(two);
        assert_eq!(world.load(1), 0);
    });
}

#[test]
fn a_lease_takes_one_unit_by_default_and_for_zero() {
    let world = world();
    world.join(1);
    let leases = [
        world.lease(&id(1)).unwrap(),
        world.lease_units(&id(1), 0).unwrap(),
        reserve(&world, 0).unwrap(),
        world.reserve(&non_relay(), &FindOptions::new()).unwrap(),
    ];
    assert!(leases.iter().all(|lease| lease.units() == 1));
    assert_eq!(world.load(1), 4);
}

#[test]
fn statistics_count_units() {
    let world = world();
    world.join(1);
    let leases = [
        world.lease_units(&id(1), 3).unwrap(),
        world.lease(&id(1)).unwrap(),
    ];
    assert_eq!(world.stats().leases, 4);
    world.leave(1);
    assert_eq!(world.stats().leases, 4);
    drop(leases);
    assert_eq!(world.stats().leases, 0);
}

#[test]
fn only_relays_with_enough_free_units_are_found() {
    before_and_after(4, |world, count| {
        // The nearer, the fewer units are free.
        for n in 1..=5 {
            world.join_with(n, &capacity(n).latency(ms(10 * u64::from(n))));
        }
        count();
        for most in 1..=5 {
            let options = units(most);
            assert_eq!(world.found_with(&options), Some(most));
            let listed = world.find_relays(&non_relay(), &options.clone().max_results(9));
            let expected: Vec<u32> = (most..=5).collect();
            assert_eq!(numbers(&listed), expected);
            let kept = world.found_with(&options.clone().prefer(id(5)).prefer_with(secs(1), 0.0));
            assert_eq!(kept, Some(5));
            let not_kept =
                world.found_with(&options.prefer(id(most - 1)).prefer_with(secs(1), 0.0));
            assert_eq!(not_kept, Some(most));
        }
        assert_eq!(world.found_with(&units(6)), None);
        world.report(5, 1);
        assert_eq!(world.found_with(&units(5)), None);
        world.report(5, 0);
        assert_eq!(world.found_with(&units(5)), Some(5));
        world.renew_with(5, &capacity(4));
        assert_eq!(world.found_with(&units(5)), None);
        world.renew_with(3, &capacity(6));
        assert_eq!(world.found_with(&units(5)), Some(3));
        world.drain(3);
        assert_eq!(world.found_with(&units(5)), None);
        world.set_draining(&id(3), false).unwrap();
        assert_eq!(world.found_with(&units(5)), Some(3));
    });
}

#[test]
fn relays_with_too_few_units_are_full_to_the_call() {
    before_and_after(4, |world, count| {
        (0..10).for_each(|n| world.join_with(n, &capacity(3)));
        count();
        let four = units(4).max_results(1);
        assert_eq!(world.rejections(&four), counts(|it| it.full = 10));
        assert_eq!(world.verdict_with(0, &four), Verdict::Full);
        assert_ne!(world.verdict_with(0, &units(3)), Verdict::Full);
        world.report(0, 3);
        world.drain(1);
        world.ban_for(2, secs(60));
        let expected = counts(|it| {
            it.full = 6;
            it.draining = 1;
            it.banned = 1;
            it.excluded = 2;
        });
        let excluded = excluding([3, 4]).units(4);
        assert_eq!(world.rejections(&excluded), expected);
    });
}

#[test]
fn relays_that_lack_units_or_are_too_far_are_told_apart() {
    before_and_after(4, |world, count| {
        for n in 0..60 {
            world.join_with(n, &capacity(if n < 20 { 3 } else { 9 }));
            match n {
                ..20 => world.measure(n, ms(10)),
                20..50 => world.measure(n, ms(100)),
                _ => {}
            }
        }
        count();
        let expected = counts(|it| {
            it.full = 19;
            it.too_far = 29;
            it.unmeasured = 9;
            it.excluded = 3;
        });
        let options = excluding([0, 20, 50]).units(4).max_latency(ms(50));
        assert_eq!(world.rejections(&options), expected);
        // No relay has so many: each is full, wherever it is.
        let all = counts(|it| it.full = 60);
        assert_eq!(world.rejections(&within(ms(50)).units(10)), all);
        world.report(0, 0);
        world.renew_with(0, &capacity(4));
        assert_eq!(world.found_with(&within(ms(50)).units(4)), Some(0));
    });
}

#[test]
fn the_reasons_of_many_relays_are_counted_in_proportion() {
    let world = world();
    for n in 0..1_000 {
        world.join_with(n, &capacity(if n % 2 == 0 { 3 } else { 9 }));
        world.measure(n, ms(if n % 2 == 0 { 10 } else { 100 }));
    }
    world.maintain();
    let rejections = world.rejections(&within(ms(50)).units(4));
    assert_eq!(rejections.total(), 1_000);
    assert!((300..=700).contains(&rejections.full), "{rejections:?}");
}

#[test]
fn more_units_than_any_relay_can_have_are_no_error() {
    before_and_after(2, |world, count| {
        world.join_with(1, &capacity(MAX_CAPACITY));
        count();
        for beyond in [MAX_CAPACITY + 1, u32::MAX] {
            assert_eq!(world.rejections(&units(beyond)), counts(|it| it.full = 1));
            assert_is!(
                world.lease_units(&id(1), beyond),
                Err(LeaseError::Full {
                    capacity: MAX_CAPACITY,
                    ..
                })
            );
        }
        let all = reserve(world, MAX_CAPACITY).expect("room");
        assert_eq!((all.units(), world.load(1)), (MAX_CAPACITY, MAX_CAPACITY));
        assert!(reserve(world, 1).is_none());
        drop(all);
        assert_eq!(world.load(1), 0);
    });
}

#[test]
fn units_for_a_pair_of_peers_are_free_at_the_relay() {
    before_and_after(4, |world, count| {
        for n in 1..=40 {
            world.join_with(
                n,
                &capacity(if n % 4 == 0 { 4 } else { 3 }).latency(ms(n.into())),
            );
        }
        count();
        let near = published([(1, ms(1)), (2, ms(2)), (8, ms(30))]);
        let options = units(4).target_view(near);
        assert_eq!(world.found_with(&options), Some(8));
        let anywhere = PeerView::new().coordinate(place(0.0, 0.0));
        assert_eq!(world.found_with(&units(4).target_view(anywhere)), Some(4));
        let requester = units(4).requester_view(near).max_latency(ms(30));
        assert_eq!(world.found_with(&requester), Some(8));
    });
}

#[test]
fn a_last_resort_has_enough_units() {
    before_and_after(4, |world, count| {
        for n in 1..=3 {
            world.join_with(n, &capacity(n));
        }
        world.join_with(4, &capacity(1));
        for n in 1..=3 {
            world.fail(n, Failure::TimedOut);
            world.pass(TICK);
        }
        count();
        // It has room, and not for two.
        assert_eq!(world.found_with(&units(1)), Some(4));
        let lease = reserve(world, 2).expect("a last resort");
        assert_eq!(
            number(lease.relay().node_id()),
            2,
            "it failed before relay 3"
        );
        assert!(lease.relay().is_last_resort());
        let expected = counts(|it| {
            it.full = 1;
            it.backing_off = 3;
        });
        assert_eq!(world.rejections(&units(4)), expected);
        assert_eq!(world.found_with(&units(3)), Some(3));
    });
}

#[test]
fn a_relay_that_is_woken_has_its_units() {
    before_and_after(4, |world, count| {
        world.join_with(1, &capacity(4));
        count();
        world.ban_for(1, secs(1));
        assert_eq!(world.found_with(&units(4)), None);
        world.pass(secs(1));
        assert_eq!(world.found_with(&units(4)), Some(1));
    });
}

/// Relay 1 lapses or leaves, and comes back.
fn outlive(vanish: impl Fn(&World)) {
    before_and_after(4, |world, count| {
        world.join_with(1, &capacity(5).ttl(secs(10)));
        let held = world.lease_units(&id(1), 3).expect("room");
        count();
        vanish(world);
        assert!(!world.has(1));
        world.join_with(1, &capacity(5));
        assert_eq!(world.load(1), 3, "units of the relay");
        assert!(reserve(world, 3).is_none() && world.lease_units(&id(1), 3).is_err());
        let two = reserve(world, 2).expect("room");
        drop(held);
        assert_eq!(world.load(1), 2);
        assert!(reserve(world, 4).is_none() && reserve(world, 3).is_some());
        drop(two);
        assert_eq!(world.load(1), 0);
    });
}

#[test]
fn units_outlive_the_departure_of_their_relay() {
    outlive(|world| world.leave(1));
}

#[test]
fn units_outlive_the_expiry_of_their_relay() {
    outlive(|world| assert_eq!(world.pass(secs(10)), 1));
}

#[test]
fn units_outlive_the_departure_of_their_relay_by_far() {
    outlive(|world| {
        world.leave(1);
        world.pass(secs(100_000));
        (2..50).for_each(|n| world.join(n));
        (2..50).for_each(|n| world.leave(n));
        world.maintain();
    });
}

#[test]
fn units_of_a_relay_that_restarted_are_void() {
    before_and_after(4, |world, count| {
        world.join_with(1, &capacity(5));
        let void = world.lease_units(&id(1), 4).expect("room");
        count();
        world.renew_with(1, &capacity(5).restarted(true));
        assert_eq!(world.load(1), 0);
        let held = reserve(world, 5).expect("room");
        drop(void);
        assert_eq!(world.load(1), 5, "nothing was given back");
        drop(held);
        assert_eq!(world.load(1), 0);
    });
}

#[test]
fn units_beyond_a_lowered_capacity_stay_leased() {
    let world = world();
    world.join_with(1, &capacity(6));
    let (two, four) = (reserve(&world, 2).unwrap(), reserve(&world, 4).unwrap());
    world.renew_with(1, &capacity(4));
    drop(two);
    assert_eq!(world.load(1), 4);
    assert!(reserve(&world, 1).is_none());
    drop(four);
    assert_eq!(reserve(&world, 4).map(|lease| lease.units()), Some(4));
}

#[test]
fn units_outlive_their_registry() {
    let world = world();
    world.join(1);
    let leases = [
        world.lease_units(&id(1), 3).unwrap(),
        world.lease_units(&id(1), 2).unwrap(),
    ];
    drop(world);
    let [three, two] = leases;
    drop(three);
    assert_eq!((two.units(), number(two.relay().node_id())), (2, 1));
    drop(two);
}

#[test]
fn arrivals_are_found_before_and_after_they_are_sorted() {
    let world = world();
    world.join_with(1, &capacity(2));
    count_units(&world, 3);
    for n in 2..=200 {
        world.join_with(n, &capacity(if n % 50 == 0 { 3 } else { 2 }));
    }
    let three: Vec<u32> = {
        let listed = world.find_relays(&non_relay(), &all().units(3));
        let mut listed = numbers(&listed);
        listed.sort_unstable();
        listed
    };
    assert_eq!(three, [50, 100, 150, 200]);
    let leases: Vec<Lease> = std::iter::from_fn(|| reserve(&world, 3)).collect();
    assert_eq!(leases.len(), 4);
    world.maintain();
    assert!(reserve(&world, 3).is_none());
    drop(leases);
    assert!(reserve(&world, 3).is_some());
}

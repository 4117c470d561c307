//! Rule 12: a find fails only if no relay is eligible, and then has a reason for each.

use crate::common::*;
use relay_registry::{FindError, FindOptions, Registry, Rejections};

const CROWD: u32 = 700;

/// Ways to make all relays but one ineligible.
#[derive(Clone, Copy, Debug)]
enum Others {
    Full,
    Draining,
    Excluded,
    Departed,
    Expired,
    TooFar,
    Unmeasured,
}

const WAYS: [Others; 7] = [
    Others::Full,
    Others::Draining,
    Others::Excluded,
    Others::Departed,
    Others::Expired,
    Others::TooFar,
    Others::Unmeasured,
];

/// Round trips with which the eligible relay is first, last, or one of many equals.
#[derive(Clone, Copy, Debug)]
enum Distances {
    Equal,
    Rising,
}

const ALL_DISTANCES: [Distances; 2] = [Distances::Equal, Distances::Rising];

/// Registers many relays of which one is eligible. Returns the options of the find.
fn crowd_but_one(world: &World, others: Others, distances: Distances, one: u32) -> FindOptions {
    for n in 0..CROWD {
        let rtt = match distances {
            Distances::Equal => ms(20),
            Distances::Rising => ms(20) + std::time::Duration::from_micros(u64::from(n) * 10),
        };
        let rtt = match others {
            Others::TooFar if n != one => rtt + ms(1_000),
            _ => rtt,
        };
        let seeded = match others {
            Others::Unmeasured if n != one => options(),
            _ => latency(rtt),
        };
        let life = match others {
            Others::Expired if n != one => secs(1),
            _ => TTL,
        };
        world.join_with(n, &seeded.ttl(life));
    }
    let crowd = || (0..CROWD).filter(move |&n| n != one);
    match others {
        Others::Full => crowd().for_each(|n| world.report(n, 100)),
        Others::Draining => crowd().for_each(|n| world.drain(n)),
        Others::Excluded => return excluding(crowd()),
        Others::Departed => crowd().for_each(|n| world.leave(n)),
        Others::Expired => {
            world.advance(secs(1));
            world.renew(one);
        }
        Others::TooFar | Others::Unmeasured => return within(ms(500)),
    }
    FindOptions::new()
}

#[track_caller]
fn assert_found_in_every_way(world: &World, options: &FindOptions, one: u32, context: &str) {
    for _ in 0..3 {
        assert_eq!(world.found_with(options), Some(one), "{context}");
        let lease = world.reserve(&non_relay(), options);
        let reserved = lease.map(|lease| number(lease.relay().node_id()));
        assert_eq!(reserved, Ok(one), "{context}");
        let list = world.find_relays(&non_relay(), options);
        assert_eq!(numbers(&list), [one], "{context}");
    }
}

#[test]
fn s12_the_one_relay_left_is_found_whatever_keeps_the_others_away() {
    for others in WAYS {
        for distances in ALL_DISTANCES {
            for one in [0, CROWD / 2 + 1, CROWD - 1] {
                let world = world_of(CROWD as usize);
                let options = crowd_but_one(&world, others, distances, one);
                let context = format!("{one} beside {others:?}, {distances:?}");
                assert_found_in_every_way(&world, &options, one, &context);
                world.maintain();
                assert_found_in_every_way(&world, &options, one, &format!("{context}, merged"));
            }
        }
    }
}

#[test]
fn s12_the_one_relay_that_frees_a_unit_is_found() {
    let world = world_of(300);
    (0..300).for_each(|n| world.join_with(n, &capacity(1)));
    world.maintain();
    let mut leases: Vec<_> = (0..300).map(|n| world.take(n, 1)).collect();
    assert_eq!(world.found(), None);
    for n in [0, 150, 299] {
        leases[n].clear();
        assert_eq!(world.found(), Some(n as u32));
        leases[n] = world.take(n as u32, 1);
        assert_eq!(world.found(), None);
    }
}

#[test]
fn s12_an_empty_registry_passes_no_one_over() {
    let world = world();
    let rejections = world.rejections(&FindOptions::new());
    assert_eq!(rejections, Rejections::default());
    assert_eq!(rejections.total(), 0);
}

/// A world without an eligible relay, and with a different number of relays for each reason.
fn world_of_reasons() -> (World, FindOptions) {
    let world = world_with(|builder| builder.local_id(id(0)));
    let near = latency(ms(20));
    world.join_with(0, &near); // this node
    (1..=2).for_each(|n| world.join_with(n, &near)); // excluded
    (10..13).for_each(|n| world.join_with(n, &near)); // to leave
    (20..24).for_each(|n| world.join_with(n, &near.clone().capacity(1)));
    (30..35).for_each(|n| world.join_with(n, &near));
    (40..46).for_each(|n| world.join_with(n, &latency(ms(51))));
    (50..57).for_each(|n| world.join(n));
    world.maintain();
    (10..13).for_each(|n| world.leave(n));
    (20..24).for_each(|n| world.report(n, 1));
    (30..35).for_each(|n| world.drain(n));
    (world, excluding([1, 2]).max_latency(ms(50)))
}

fn assert_reasons(rejections: Rejections, excluded: usize, departed: usize) {
    let Rejections {
        full,
        draining,
        too_far,
        unmeasured,
        ..
    } = rejections;
    assert_eq!((full, draining, too_far, unmeasured), (4, 5, 6, 7));
    assert_eq!(rejections.excluded, excluded);
    assert_eq!(rejections.departed, departed);
    assert_eq!(rejections.total(), 4 + 5 + 6 + 7 + excluded + departed);
}

#[test]
fn s12_every_relay_rejected_is_counted_under_its_reason() {
    let (world, options) = world_of_reasons();
    assert_reasons(world.rejections(&options), 3, 3);
    match world.reserve(&non_relay(), &options) {
        Err(FindError::NoRelaysAvailable { rejections, .. }) => assert_reasons(rejections, 3, 3),
        other => panic!("{other:?}"),
    }
    world.maintain();
    assert_reasons(world.rejections(&options), 3, 0);
}

#[test]
fn s12_the_target_counts_as_excluded_once() {
    let (world, options) = world_of_reasons();
    world.maintain();
    let reasons =
        |target: u32, options: &FindOptions| match world.find_relay_with(&id(target), options) {
            Err(FindError::NoRelaysAvailable { rejections, .. }) => rejections,
            other => panic!("{other:?}"),
        };
    assert_reasons(reasons(1, &options), 3, 0); // excluded already
    let only_one = excluding([1]).max_latency(ms(50));
    assert_reasons(reasons(2, &only_one), 3, 0);
    let also_unknown = options.clone().exclude([id(999), id(1_000)]);
    assert_reasons(reasons(u32::MAX, &also_unknown), 3, 0);
}

#[test]
fn s12_relays_that_lapsed_count_as_departed() {
    let world = world();
    (0..4).for_each(|n| world.join_with(n, &ttl(secs(1))));
    world.join(4);
    world.maintain();
    world.advance(secs(1));
    world.renew(4);
    let rejections = world.rejections(&excluding([4]));
    assert_eq!((rejections.departed, rejections.excluded), (4, 1));
    assert_eq!(rejections.total(), 5);
}

#[test]
fn s12_many_rejections_are_all_counted() {
    let world = world_of(CROWD as usize);
    (0..CROWD).for_each(|n| world.join(n));
    (0..CROWD).for_each(|n| world.drain(n));
    let count = |registry: &Registry| match registry.find_relay(&non_relay()) {
        Err(FindError::NoRelaysAvailable { rejections, .. }) => rejections.draining,
        other => panic!("{other:?}"),
    };
    assert_eq!(count(&world), CROWD as usize);
    world.maintain();
    assert_eq!(count(&world), CROWD as usize);
}

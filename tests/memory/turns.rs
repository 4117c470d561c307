//! Relays that come and go for long use the same slots, records and announcements again and again.

use crate::common::*;
use crate::{LIVE_BYTES, alone};
use relay_registry::Maintenance;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How many relays come and go, in a table for how many, in which how many others stay.
const SCENES: [(u32, usize, u32); 4] = [
    (1, 8, 0),
    (8, 8, 0),
    (300, 1_000, 500),
    (300, 16_384, 3_000),
];

const TURNS: u32 = 100_000;

/// Less than eleven bytes for each turn. A merge that is under way takes as much.
const LITTLE: isize = 1 << 20;

/// A table in which the relays below `staying` stay. None is remembered.
fn settled(maintenance: Maintenance, max_relays: usize, staying: u32) -> World {
    // What is left of earlier registries is freed.
    (0..10).for_each(|_| drop(world_of(1)));
    let world = world_with(|builder| {
        let builder = builder.max_relays(max_relays).maintenance(maintenance);
        builder.return_grace(Duration::ZERO)
    });
    (0..staying).for_each(|n| world.join(n));
    (0..4).for_each(|_| _ = world.maintain());
    world
}

/// Each relay that leaves is followed by another.
fn take_turns(world: &World, there: &mut VecDeque<u32>, turns: u32) {
    for _ in 0..turns {
        let last = *there.back().expect("one at least");
        let leaving = there.pop_front().expect("one at least");
        world.leave(leaving);
        world.join(last + 1);
        there.push_back(last + 1);
    }
}

fn assert_nothing_grows(maintenance: Maintenance) {
    let _alone = alone();
    for (turning, max_relays, staying) in SCENES {
        let world = settled(maintenance, max_relays, staying);
        let mut there: VecDeque<u32> = (1_000_000..1_000_000 + turning).collect();
        there.iter().for_each(|&n| world.join(n));
        take_turns(&world, &mut there, TURNS / 10);
        let before = LIVE_BYTES.load(Ordering::Relaxed);
        for _ in 0..TURNS / 1_000 {
            take_turns(&world, &mut there, 1_000);
            let stats = world.stats();
            let most = 2 * (turning + staying) as usize + 64;
            assert!(stats.arrivals <= most, "more than {most}: {stats:?}");
            let more = LIVE_BYTES.load(Ordering::Relaxed) - before;
            assert!(more < LITTLE, "{more} bytes more: {stats:?}");
        }
        assert_eq!(world.relay_count(), (turning + staying) as usize);
    }
}

#[test]
fn s11_relays_that_take_turns_make_nothing_grow() {
    assert_nothing_grows(Maintenance::Manual);
}

#[test]
fn s11_relays_that_take_turns_make_nothing_grow_beside_a_maintenance_thread() {
    assert_nothing_grows(Maintenance::Thread);
}

//! What a registry says that it takes in memory, beside what was allocated.

use crate::common::*;
use crate::{LIVE_BYTES, alone, resident_bytes};
use relay_registry::{Failure, FindOptions, RegistryBuilder};
use std::sync::atomic::Ordering;

const RELAYS: u32 = 4_096;

/// Asserts that the estimate is within 5 % of what was allocated for a registry.
#[track_caller]
fn assert_estimated(
    what: &str,
    configure: impl FnOnce(RegistryBuilder) -> RegistryBuilder,
    use_it: impl FnOnce(&World),
) {
    // What is left of earlier registries is freed.
    (0..10).for_each(|_| drop(world_of(1)));
    let before = LIVE_BYTES.load(Ordering::Relaxed);
    let world = world_with(|builder| configure(builder.max_relays(RELAYS as usize)));
    use_it(&world);
    (0..10).for_each(|_| _ = world.maintain());
    let allocated = (LIVE_BYTES.load(Ordering::Relaxed) - before) as f64;
    let memory = world.stats().memory;
    let ratio = memory.reserved as f64 / allocated;
    assert!(
        (0.95..=1.05).contains(&ratio),
        "{what}: {allocated} bytes are allocated, but {memory:?}"
    );
    assert!(memory.total() <= memory.reserved, "{memory:?}");
}

fn fill(world: &World) {
    (0..RELAYS).for_each(|n| world.join(n));
}

#[test]
fn an_estimate_is_what_was_allocated() {
    let _alone = alone();
    let plain = |builder| builder;
    assert_estimated("nothing", plain, |_| {});
    assert_estimated("few relays", |it| it.max_relays(8), |world| world.join(1));
    assert_estimated("relays", plain, fill);
    assert_estimated("arrivals", plain, |world| {
        world.maintain();
        fill(world);
    });
    assert_estimated("tiers and costs", plain, |world| {
        let rare = |n| options().tier((n % 3) as u8).cost(2.0);
        (0..RELAYS).for_each(|n| world.join_with(n, &rare(n)));
    });
    assert_estimated("failures and bans", plain, |world| {
        fill(world);
        (0..RELAYS).for_each(|n| world.fail(n, Failure::TimedOut));
        (0..99).for_each(|n| world.ban_for(n, secs(60)));
    });
    assert_estimated("filters and units", plain, |world| {
        fill(world);
        let asked = FindOptions::new().avoid(["x"]).units(3);
        assert!(world.find_home_relay(&asked).is_ok());
    });
    assert_estimated("probes", plain, |world| {
        fill(world);
        assert_eq!(world.due_for_probe(usize::MAX).len(), RELAYS as usize);
    });
    assert_estimated("endpoints", |it| it.one_id_per_endpoint(true), fill);
}

#[test]
fn an_estimate_has_what_relays_announce() {
    let _alone = alone();
    let plain = |builder| builder;
    assert_estimated("payloads", plain, |world| {
        let announced = |n| options().payload([n as u8; 512]);
        (0..RELAYS).for_each(|n| world.join_with(n, &announced(n)));
    });
    assert_estimated("details", plain, |world| {
        let announced = |n| {
            let labels = options().labels(["eu", "udp"]).failure_domain("rack 7");
            labels.also_at([endpoint(n + RELAYS)])
        };
        (0..RELAYS).for_each(|n| world.join_with(n, &announced(n)));
    });
    assert_estimated("shared details", plain, |world| {
        let announced = options().payload([7; 512]);
        (0..RELAYS).for_each(|n| world.join_with(n, &announced));
    });
}

#[test]
fn an_estimate_has_positions_and_peers() {
    let _alone = alone();
    let few = |builder: RegistryBuilder| builder.max_peers(2_000);
    assert_estimated("peers and positions", few, |world| {
        fill(world);
        for n in 0..3_000 {
            let view = published([(n, ms(5)), (n + 1, ms(6))]).coordinate(place(1.0, 2.0));
            world.update_peer(&id(100_000 + n), view);
        }
    });
}

/// Where the system reports it: what is used is what is resident, give or take a third. (Huge
/// pages make a registry take more than it uses.)
#[test]
fn what_is_used_is_resident() {
    const MANY: u32 = 100_000;
    let _alone = alone();
    let before = resident_bytes();
    let world = world_of(4 * MANY as usize);
    (0..MANY).for_each(|n| world.join(n));
    (0..10).for_each(|_| _ = world.maintain());
    let resident = resident_bytes().saturating_sub(before);
    let memory = world.stats().memory;
    println!("{resident} bytes are resident, {memory:?}");
    if resident > 0 {
        let ratio = memory.total() as f64 / resident as f64;
        assert!(
            (0.67..=1.5).contains(&ratio),
            "{resident} bytes, {memory:?}"
        );
    }
    assert!(memory.reserved > 2 * memory.total(), "{memory:?}");
}

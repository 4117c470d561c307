//! What each thing that a registry can do takes in memory: nothing where it is not used.

use crate::common::*;
use crate::{LIVE_BYTES, alone};
use relay_registry::{FindOptions, RegisterOptions};
use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;

const RELAYS: u32 = 4_096;

const NOTHING: RangeInclusive<f64> = -4.0..=4.0;

/// By chance, the relays of one shard are more than those of another. How far the indices of records
/// go, and with them tables by index, depends on the largest shard: of a hundred plain registries,
/// the smallest took 5.2 bytes a relay less than the largest. The medians of seven are within 2.5.
const REGISTRIES: usize = 7;

fn live_bytes() -> isize {
    LIVE_BYTES.load(Ordering::Relaxed)
}

/// The bytes of a registry after `use_it`, for each of its relays: the median of several registries.
fn bytes_per_relay(announced: impl Fn(u32) -> RegisterOptions, use_it: impl Fn(&World)) -> f64 {
    let mut bytes = [0.0; REGISTRIES];
    bytes.fill_with(|| bytes_of_one(&announced, &use_it));
    bytes.sort_by(f64::total_cmp);
    bytes[REGISTRIES / 2]
}

fn bytes_of_one(announced: impl Fn(u32) -> RegisterOptions, use_it: impl Fn(&World)) -> f64 {
    // What is left of earlier registries is freed.
    (0..10).for_each(|_| drop(world_of(1)));
    let before = live_bytes();
    let world = world_of(RELAYS as usize);
    (0..RELAYS).for_each(|n| world.join_with(n, &announced(n)));
    use_it(&world);
    (0..10).for_each(|_| _ = world.maintain());
    (live_bytes() - before) as f64 / f64::from(RELAYS)
}

fn plain(_: u32) -> RegisterOptions {
    options()
}

fn nothing(_: &World) {}

/// A call for a home relay: unlike a plain find, it always searches the trees that it asks for.
fn ask(options: FindOptions) -> impl Fn(&World) {
    move |world| {
        world.find_home_relay(&options).expect("a relay");
        world
            .find_relay_with(&non_relay(), &options)
            .expect("a relay");
    }
}

/// Asserts how many bytes more than in a plain registry are taken for each relay.
#[track_caller]
fn assert_more(what: &str, bytes: f64, allowed: RangeInclusive<f64>) {
    let more = bytes - bytes_per_relay(plain, nothing);
    assert!(
        allowed.contains(&more),
        "{what}: {more} bytes, not {allowed:?}"
    );
}

/// The least number of bytes shows that a registry without that does not pay for it.
#[test]
fn each_thing_that_few_relays_announce_takes_little_and_nothing_elsewhere() {
    let _alone = alone();
    let of = |announced: fn(u32) -> RegisterOptions| bytes_per_relay(announced, nothing);
    // The policy of a record has 16 bytes, a tree about 9 for each relay.
    assert_more("a cost", of(|_| options().cost(2.0)), 16.0..=30.0);
    assert_more("a tier", of(|_| options().tier(1)), 24.0..=46.0);
    assert_more(
        "labels",
        of(|_| options().labels(["eu", "udp"])),
        32.0..=256.0,
    );
    let also_at = of(|n| options().also_at([endpoint(n + RELAYS)]));
    assert_more("an endpoint", also_at, 32.0..=256.0);
    let payload = of(|n| options().payload([n as u8; 512]));
    assert_more("a payload", payload, 512.0..=640.0);
}

/// One word of the operator reserves policies for all.
#[test]
fn the_operators_words_take_a_policy_for_each_relay() {
    let _alone = alone();
    let one_tier = |world: &World| world.set_tier(&id(7), 1).unwrap();
    assert_more("a tier", bytes_per_relay(plain, one_tier), 16.0..=46.0);
    let one_cost = |world: &World| world.set_cost(&id(7), 2.0).unwrap();
    assert_more("a cost", bytes_per_relay(plain, one_cost), 16.0..=30.0);
    let lifted = |world: &World| _ = world.lift(&id(7));
    assert_more("nothing lifted", bytes_per_relay(plain, lifted), NOTHING);
}

#[test]
fn calls_take_trees_only_for_filters_and_for_several_units() {
    let _alone = alone();
    let after = |options| bytes_per_relay(plain, ask(options));
    let any = FindOptions::new;
    assert_more("a plain call", after(any()), NOTHING);
    let domains = any().exclude_domains(["rack 7"]);
    assert_more("domains", after(domains), NOTHING);
    let of_a_peer = any().requester(non_relay());
    assert_more("a requester", after(of_a_peer), NOTHING);
    // A tree of about 9 bytes for each relay. Of a filter also the policies.
    assert_more("units", after(any().units(4)), 6.0..=20.0);
    assert_more("a filter", after(any().avoid(["x"])), 24.0..=46.0);
    let both = any().avoid(["x"]).units(4);
    assert_more("both", after(both), 40.0..=66.0);
}

/// Beyond the filters that have trees, further ones take nothing.
#[test]
fn filters_beyond_those_that_have_trees_take_nothing() {
    let _alone = alone();
    let ask_for = |filters: u32| {
        bytes_per_relay(plain, move |world| {
            for n in 0..filters {
                ask(FindOptions::new().avoid([format!("x{n}")]))(world);
                world.maintain();
            }
        })
    };
    let (most, beyond) = (ask_for(16), ask_for(40));
    // A tree of each would be some 200 bytes.
    assert!((beyond - most).abs() < 16.0, "{beyond} bytes, not {most}");
}

/// Views are reserved for as many peers as may be remembered when the first one is, and not before.
#[test]
fn views_take_a_bounded_number_of_bytes() {
    const PEERS: u32 = 1_000;
    let _alone = alone();
    let world = world_with(|builder| builder.max_peers(PEERS as usize));
    (0..10).for_each(|n| world.join(n));
    (0..10).for_each(|_| _ = world.maintain());
    let before = live_bytes();
    let view = published([(3, ms(5)), (4, ms(6)), (5, ms(7))]);
    world.update_peer(&non_relay(), view);
    let reserved = live_bytes() - before;
    let per_peer = reserved as f64 / f64::from(PEERS);
    assert!((100.0..=600.0).contains(&per_peer), "{per_peer} bytes");
    for n in 0..10 * PEERS {
        world.update_peer(&id(1_000 + n), view);
        world.forget_peer(&id(500 + n));
        assert!(
            world
                .find_relay_with(&id(1_000 + n), &FindOptions::new())
                .is_ok()
        );
    }
    // What calls and measurements keep for themselves is not per peer.
    let more = live_bytes() - before - reserved;
    assert!(
        more < 16 << 10,
        "{more} bytes more than the {reserved} that were reserved"
    );
}

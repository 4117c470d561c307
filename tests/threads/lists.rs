//! Lists beside renewals and moves between tiers: a relay that is eligible throughout is in each.

use crate::common::*;
use crate::{at_once, renew_with, while_running};
use relay_registry::{FindOptions, RegisterOptions};
use std::collections::BTreeSet;

const CALLS: usize = 20_000;

fn two_results() -> FindOptions {
    FindOptions::new().max_results(2)
}

fn with_label() -> FindOptions {
    two_results().require(["udp"])
}

/// Relays 1 and 2 are in tiers 0 and 1, and eligible throughout.
fn both_are_in_each_list(
    join: RegisterOptions,
    asked: &FindOptions,
    change: impl Fn(&World) + Sync,
) {
    let world = world();
    world.join_with(1, &join);
    world.join_with(2, &join.tier(1));
    while_running(
        || change(&world),
        || {
            for _ in 0..CALLS {
                let list = numbers(&world.find_relays(&non_relay(), asked));
                assert_eq!(list, [1, 2]);
            }
        },
    );
}

#[test]
fn a_relay_that_sends_heartbeats_is_in_each_list() {
    both_are_in_each_list(ttl(secs(1_000_000)), &two_results(), |world| {
        world.advance(TICK);
        world.registry.renew(&id(1)).unwrap();
        world.registry.renew(&id(2)).unwrap();
    });
}

#[test]
fn a_relay_whose_other_labels_change_is_in_each_list() {
    both_are_in_each_list(options().labels(["udp"]), &with_label(), |world| {
        renew_with(world, 1, &options().labels(["udp", "eu"]));
        renew_with(world, 1, &options().labels(["udp"]));
    });
}

/// A list for as many relays as there are.
#[test]
fn a_relay_that_moves_between_tiers_is_in_each_list() {
    let world = world();
    world.join(1);
    world.join(2);
    let to_and_fro = || {
        for tier in [1, 2, 0] {
            world.set_tier(&id(2), tier).unwrap();
        }
    };
    while_running(to_and_fro, || {
        for _ in 0..CALLS {
            let mut list = numbers(&world.find_relays(&non_relay(), &two_results()));
            list.sort_unstable();
            assert_eq!(list, [1, 2]);
        }
    });
}

/// Lists for more relays than there are, while one after the other moves.
#[test]
fn a_list_misses_no_relay_that_moves() {
    let world = world_of(64);
    (0..12).for_each(|n| world.join_with(n, &latency(ms(10)).tier((n % 3) as u8)));
    world.maintain();
    let mut turn = 0;
    let move_one = || {
        turn += 1;
        let n = turn % 12;
        assert_eq!(world.set_tier(&id(n), (turn / 12 % 3) as u8), Ok(()));
    };
    let list = |_| {
        for _ in 0..3_000 {
            let list = world.find_relays(&non_relay(), &FindOptions::new().max_results(32));
            let distinct: BTreeSet<u32> = numbers(&list).into_iter().collect();
            assert_eq!((list.len(), distinct.len()), (12, 12), "{distinct:?}");
        }
    };
    while_running(move_one, || at_once(2, list));
}

//! Renewals and moves between tiers beside finds: a relay is handed out on terms that the call
//! asked for, and one that is eligible throughout is in each list.

use crate::common::*;
use crate::{register_patiently, while_running};
use relay_registry::{FindOptions, RegisterOptions, Registration};

const CALLS: usize = 20_000;

fn two_results() -> FindOptions {
    FindOptions::new().max_results(2)
}

fn with_label() -> FindOptions {
    two_results().require(["udp"])
}

/// Renews relay 1.
fn renew(world: &World, options: &RegisterOptions) {
    let renewed = register_patiently(world, 1, endpoint(1), options);
    assert_eq!(renewed, Ok(Registration::Renewed));
}

/// In half of the time it has the label.
#[test]
fn a_lease_is_on_terms_that_the_call_asked_for() {
    let world = world();
    world.join_with(1, &options().labels(["udp"]));
    let renew = || {
        renew(&world, &options().labels(["tcp"]));
        renew(&world, &options().labels(["udp"]));
    };
    while_running(renew, || {
        for _ in 0..10 * CALLS {
            if let Ok(lease) = world.reserve(&non_relay(), &with_label()) {
                assert!(lease.relay().has_label("udp"), "{:?}", lease.relay());
            }
        }
    });
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
        renew(&world, &options().labels(["udp", "eu"]));
        renew(&world, &options().labels(["udp"]));
    });
}

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

//! Models of finds beside relays that move to another tier, or begin or cease to pass a filter.

use super::found::{
    Way, merge, registry_of_two, relay, what_changed_is_found_beside_a_merge, what_is_seen_is_found,
};
use super::*;
use crate::relay::RelayInfo;

/// A search goes from tier to tier, upwards. A relay that moves down meanwhile is found.
#[test]
fn a_relay_that_moves_to_a_lower_tier_is_found() {
    check(2, || {
        let (_, registry) = registry();
        register(&registry, 1).unwrap();
        registry.set_tier(&id(1), 1).unwrap();
        let (one, other) = (registry.clone(), registry.clone());
        let moving = move || one.set_tier(&id(1), 0).unwrap();
        at_once(moving, move || assert!(is_found(&other)));
    });
}

/// The same for one that moves up.
#[test]
fn a_relay_that_moves_to_a_higher_tier_is_found() {
    check(2, || {
        let (_, registry) = registry();
        register(&registry, 1).unwrap();
        let (one, other) = (registry.clone(), registry.clone());
        let moving = move || one.set_tier(&id(1), 1).unwrap();
        at_once(moving, move || assert!(is_found(&other)));
    });
}

/// Relay 1 moves from one tier to another; relay 2 is in a higher one throughout.
fn the_lower_one_is_found_beside_its_move(from: u8, to: u8) {
    check(1, move || {
        let (_, registry) = registry_of_two();
        for (n, tier) in [(1, from), (2, 2)] {
            register(&registry, n).unwrap();
            registry.set_tier(&id(n), tier).unwrap();
        }
        let (one, other) = (registry.clone(), registry.clone());
        let moving = move || one.set_tier(&id(1), to).unwrap();
        let finding = move || {
            let found = other.find_relay(&id(9)).expect("a relay");
            assert_eq!(found.node_id(), id(1));
        };
        at_once(moving, finding);
    });
}

#[test]
fn a_lower_relay_that_moves_down_is_found_before_higher_ones() {
    the_lower_one_is_found_beside_its_move(1, 0);
}

#[test]
fn a_lower_relay_that_moves_up_is_found_before_higher_ones() {
    the_lower_one_is_found_beside_its_move(0, 1);
}

/// Relay 1 is given its unit back; relay 2 is in a higher tier. The thread that sees the room
/// finds it, although the leaf may lag behind.
#[test]
fn a_lower_relay_that_has_room_again_is_found_before_higher_ones() {
    check(1, || {
        let (_, registry) = registry_of_two();
        with_capacity(&registry, 1);
        let lease = registry.lease(&id(1)).expect("a unit");
        register(&registry, 2).unwrap();
        registry.set_tier(&id(2), 1).unwrap();
        let other = registry.clone();
        let releasing = move || {
            drop(lease);
            yield_point();
        };
        let finding = move || {
            yield_point();
            let has_room = relay(&other).is_some_and(|relay| relay.current_load() == 0);
            let found = other.find_relay(&id(9)).expect("a relay");
            assert!(!has_room || found.node_id() == id(1));
        };
        at_once(releasing, finding);
    });
}

/// Relay 1 is in tier 0, and relay 2 moves there.
#[test]
fn a_list_has_a_relay_that_moves() {
    check(1, || {
        let (_, registry) = registry_of_two();
        register(&registry, 1).unwrap();
        register(&registry, 2).unwrap();
        registry.set_tier(&id(2), 1).unwrap();
        let (one, other) = (registry.clone(), registry.clone());
        let moving = move || {
            one.set_tier(&id(2), 0).unwrap();
            yield_point();
        };
        let listing = move || {
            yield_point();
            let options = FindOptions::new().max_results(3);
            assert_eq!(other.find_relays(&id(9), &options).len(), 2);
        };
        at_once(moving, listing);
    });
}

fn labelled(registry: &Registry, n: u8, labels: &[&str]) {
    let options = RegisterOptions::new().labels(labels);
    registry.register_with(id(n), endpoint(), &options).unwrap();
}

fn has_label(relay: &RelayInfo) -> bool {
    relay.has_label("udp")
}

fn with_label() -> FindOptions {
    FindOptions::new().require(["udp"])
}

/// A registry with trees for the relays that have a label, as relay 1 has or has not.
fn prepare_label(registry: &Registry, labels: &[&str]) {
    labelled(registry, 1, labels);
    let _ = registry.find_relay_with(&id(9), &with_label());
    assert!(registry.inner().relays.table.activate_filters());
    merge(registry);
}

const LABELLED: Way = Way {
    prepare: |registry| {
        prepare_label(registry, &[]);
        None
    },
    change: |registry, _| labelled(registry, 1, &["udp"]),
    is_seen: |registry| relay(registry).is_some_and(|relay| has_label(&relay)),
    options: with_label,
};

#[test]
fn a_relay_that_begins_to_pass_a_filter_is_found() {
    what_is_seen_is_found(LABELLED);
}

#[test]
fn a_relay_that_begins_to_pass_a_filter_is_found_beside_a_merge() {
    what_changed_is_found_beside_a_merge(LABELLED);
}

/// Once a thread sees that it does not, it is not found; and the other relay is found throughout.
#[test]
fn a_relay_that_ceases_to_pass_a_filter_is_not_found() {
    check(1, || {
        let (_, registry) = registry_of_two();
        labelled(&registry, 2, &["udp"]);
        prepare_label(&registry, &["udp"]);
        let (one, other) = (registry.clone(), registry.clone());
        let finding = move || {
            let still_has = relay(&other).is_some_and(|relay| has_label(&relay));
            let found = other
                .find_relay_with(&id(9), &with_label())
                .expect("relay 2");
            assert!(has_label(&found) && (still_has || found.node_id() == id(2)));
        };
        at_once(move || labelled(&one, 1, &["tcp"]), finding);
    });
}

/// It is leased on the terms that it was chosen for. `prepare` registers it with the label.
fn it_is_not_leased_once_it_fails_the_filter(prepare: fn(&Registry)) {
    check(1, move || {
        let (_, registry) = registry();
        prepare(&registry);
        let (one, other) = (registry.clone(), registry.clone());
        let leasing = move || {
            let lease = other.reserve(&id(9), &with_label());
            assert!(lease.is_err() || lease.is_ok_and(|lease| has_label(lease.relay())));
        };
        at_once(move || labelled(&one, 1, &["tcp"]), leasing);
        assert_eq!(relay(&registry).map(|relay| relay.current_load()), Some(0));
    });
}

#[test]
fn a_relay_that_ceases_to_pass_a_filter_is_not_leased() {
    it_is_not_leased_once_it_fails_the_filter(|registry| labelled(registry, 1, &["udp"]));
}

#[test]
fn a_relay_that_ceases_to_pass_a_filter_with_trees_is_not_leased() {
    it_is_not_leased_once_it_fails_the_filter(|registry| prepare_label(registry, &["udp"]));
}

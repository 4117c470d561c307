//! Models of moves from one tier to another.

use super::{CAPACITY, merged};
use crate::relay::Rejection;
use crate::sync::{Arc, check, yield_point};
use crate::table::snapshot::fixture::Relays;
use crate::table::snapshot::leaf_state::LeafState;
use loom::thread;

/// Two threads change a relay that is in the base. Afterwards the relay has one leaf, in the
/// trees of its tier, which agrees with the record.
fn leave_one_leaf(ours: fn(&Relays), theirs: fn(&Relays), after: LeafState) {
    check(2, move || {
        let relays = merged(1);
        let other = Arc::clone(&relays);
        let changing = thread::spawn(move || {
            theirs(&other);
            yield_point();
        });
        ours(&relays);
        changing.join().unwrap();
        assert_eq!(relays.consistent_state(0), after);
    });
}

fn to_tier_1(relays: &Relays) {
    relays.change_tier(0, 1);
}

fn there_and_back(relays: &Relays) {
    relays.change_tier(0, 1);
    relays.change_tier(0, 0);
}

fn fill(relays: &Relays) {
    let change = relays.change_load(0, |load| load.with_report(CAPACITY));
    let subject = relays.subject(0);
    relays.publication.refresh_load(&subject, change, None);
}

#[test]
fn a_move_beside_a_change_of_load_leaves_one_leaf() {
    let full = LeafState::Rejected(Rejection::Full);
    leave_one_leaf(to_tier_1, fill, full);
}

#[test]
fn a_move_there_and_back_beside_a_change_of_load_leaves_one_leaf() {
    let full = LeafState::Rejected(Rejection::Full);
    leave_one_leaf(there_and_back, fill, full);
}

#[test]
fn two_moves_at_once_leave_one_leaf() {
    let to_tier_2 = |relays: &Relays| relays.change_tier(0, 2);
    leave_one_leaf(to_tier_1, to_tier_2, LeafState::Unmeasured);
}

#[test]
fn a_move_beside_a_merge_leaves_one_leaf() {
    leave_one_leaf(to_tier_1, Relays::merge, LeafState::Unmeasured);
}

/// The trees of the tier that the relay leaves are made by a thread that changes another relay.
#[test]
fn a_move_beside_trees_that_another_relay_needs_leaves_one_leaf() {
    check(2, || {
        let relays = merged(2);
        relays.change_load(1, |load| load.with_report(CAPACITY));
        // As in the next base, whose trees are not made yet.
        relays.set_tier(0, 1);
        relays.set_tier(1, 1);
        let (one, other) = (Arc::clone(&relays), Arc::clone(&relays));
        let making = thread::spawn(move || {
            one.publication.refresh_touched(&one.subject(1), false);
            yield_point();
        });
        let moving = thread::spawn(move || {
            other.change_tier(0, 0);
            yield_point();
        });
        fill(&relays);
        making.join().unwrap();
        moving.join().unwrap();
        let full = LeafState::Rejected(Rejection::Full);
        assert_eq!(relays.consistent_state(0), full);
    });
}

/// A search that goes from tier to tier finds the relay, or a pending change, or sees that a
/// relay has moved meanwhile.
fn is_found_beside(moves: fn(&Relays)) {
    check(3, move || {
        let relays = merged(1);
        relays.change_tier(0, 1);
        let other = Arc::clone(&relays);
        let moving = thread::spawn(move || {
            moves(&other);
            yield_point();
        });
        let publication = &relays.publication;
        let before = publication.context.tier_moves();
        let pending = publication.pending.read();
        let snapshot = Arc::clone(&publication.load());
        let is_in = |tier| {
            let mut parts = snapshot.tier(tier, None);
            parts.any(|part| part.trees.root().score_rank > 0)
        };
        let is_found = publication.context.tiers().any(is_in);
        assert!(
            is_found || pending.is_some() || publication.context.tier_moves() != before,
            "a relay that is eligible throughout was not found"
        );
        moving.join().unwrap();
    });
}

#[test]
fn a_relay_that_moves_down_is_not_passed() {
    is_found_beside(|relays| relays.change_tier(0, 0));
}

#[test]
fn a_relay_that_moves_up_is_not_passed() {
    is_found_beside(|relays| relays.change_tier(0, 2));
}

//! Histories that are known to be linearizable, and others that are known not to be.

use crate::checker::{Call, is_linearizable};
use crate::relay::{Answer, Operation, Relay, Terms};

const ONE: Terms = terms(1, 1);
const TWO: Terms = terms(2, 2);

const fn terms(port: u16, capacity: u32) -> Terms {
    Terms { port, capacity }
}

type Step = (u64, Operation, Answer, u64);

const JOIN: Step = (0, Operation::Register(ONE), Answer::New, 1);

fn check(steps: &[Step]) -> bool {
    let call = |&(began, operation, answer, ended): &Step| Call::<Relay> {
        began,
        operation,
        answer,
        ended,
    };
    is_linearizable(&steps.iter().map(call).collect::<Vec<_>>())
}

#[track_caller]
fn assert_possible(steps: &[Step]) {
    assert!(check(steps), "{steps:?}");
}

#[track_caller]
fn assert_impossible(steps: &[Step]) {
    assert!(!check(steps), "{steps:?}");
}

#[test]
fn what_happens_one_after_another_is_possible() {
    assert_possible(&[]);
    assert_possible(&[
        JOIN,
        (2, Operation::Lease(7, 1), Answer::Leased, 3),
        (4, Operation::Lease(8, 1), Answer::Full(1), 5),
        (6, Operation::Find, Answer::Unseen, 7),
        (8, Operation::Register(TWO), Answer::Renewed, 9),
        (10, Operation::Reserve(8, 1), Answer::Leased, 11),
        (12, Operation::Release(7), Answer::Done, 13),
        (14, Operation::Find, Answer::Seen(TWO), 15),
        (16, Operation::Unregister, Answer::Yes, 17),
        (18, Operation::Release(8), Answer::Done, 19),
        (20, Operation::Lease(9, 1), Answer::Unknown, 21),
    ]);
}

#[test]
fn what_overlaps_may_happen_in_either_order() {
    for seen in [Answer::Yes, Answer::No] {
        assert_possible(&[
            (0, Operation::Register(ONE), Answer::New, 3),
            (1, Operation::IsRelay, seen, 2),
        ]);
    }
    // The call that began later comes first.
    assert_possible(&[
        (0, Operation::IsRelay, Answer::Yes, 3),
        (1, Operation::Register(ONE), Answer::New, 2),
    ]);
}

#[test]
fn a_relay_is_there_once_its_registration_has_returned() {
    assert_impossible(&[JOIN, (2, Operation::IsRelay, Answer::No, 3)]);
    assert_impossible(&[JOIN, (2, Operation::Find, Answer::Unseen, 3)]);
    assert_impossible(&[JOIN, (2, Operation::Lease(1, 1), Answer::Unknown, 3)]);
}

#[test]
fn a_relay_that_left_is_gone() {
    let leave = (2, Operation::Unregister, Answer::Yes, 3);
    assert_possible(&[JOIN, leave, (4, Operation::Relay, Answer::Unseen, 5)]);
    assert_impossible(&[JOIN, leave, (4, Operation::Relay, Answer::Seen(ONE), 5)]);
    assert_impossible(&[
        JOIN,
        leave,
        (4, Operation::Register(ONE), Answer::Renewed, 5),
    ]);
}

#[test]
fn one_departure_does_not_happen_twice() {
    assert_impossible(&[
        JOIN,
        (2, Operation::Unregister, Answer::Yes, 5),
        (3, Operation::Unregister, Answer::Yes, 4),
    ]);
}

#[test]
fn two_registrations_at_once_are_not_both_new() {
    let at_once = |second| {
        [
            (0, Operation::Register(ONE), Answer::New, 3),
            (1, Operation::Register(TWO), second, 2),
        ]
    };
    assert_possible(&at_once(Answer::Renewed));
    assert_impossible(&at_once(Answer::New));
}

/// Of two look-ups in sequence, the second does not see an older state.
#[test]
fn what_was_seen_is_not_unseen() {
    assert_impossible(&[
        JOIN,
        (2, Operation::Register(TWO), Answer::Renewed, 7),
        (3, Operation::Relay, Answer::Seen(TWO), 4),
        (5, Operation::Relay, Answer::Seen(ONE), 6),
    ]);
}

#[test]
fn the_last_unit_is_leased_once() {
    let leases = |second| {
        [
            JOIN,
            (2, Operation::Lease(1, 1), Answer::Leased, 5),
            (3, Operation::Reserve(2, 1), second, 4),
        ]
    };
    assert_possible(&leases(Answer::Unseen));
    assert_impossible(&leases(Answer::Leased));
}

#[test]
fn a_unit_that_was_given_back_is_free() {
    let give_back = (4, Operation::Release(1), Answer::Done, 5);
    let leased = (2, Operation::Lease(1, 1), Answer::Leased, 3);
    assert_possible(&[
        JOIN,
        leased,
        give_back,
        (6, Operation::Lease(2, 1), Answer::Leased, 7),
    ]);
    assert_impossible(&[
        JOIN,
        leased,
        give_back,
        (6, Operation::Lease(2, 1), Answer::Full(1), 7),
    ]);
}

/// With the old capacity there was room.
#[test]
fn a_refusal_names_the_capacity_at_which_the_relay_is_full() {
    const ROOMY: Terms = terms(1, 2);
    let refused = |capacity| {
        [
            (0, Operation::Register(ROOMY), Answer::New, 1),
            (2, Operation::Lease(1, 1), Answer::Leased, 3),
            (4, Operation::Lease(2, 1), Answer::Full(capacity), 7),
            (5, Operation::Register(ONE), Answer::Renewed, 6),
        ]
    };
    assert_possible(&refused(1));
    assert_impossible(&refused(2));
}

/// It was full with the old capacity, until that was raised.
#[test]
fn what_is_found_has_room_on_the_terms_that_are_seen() {
    const MOVED: Terms = terms(2, 1);
    let found = |terms| {
        [
            JOIN,
            (2, Operation::Lease(1, 1), Answer::Leased, 3),
            (4, Operation::Find, Answer::Seen(terms), 9),
            (5, Operation::Register(MOVED), Answer::Renewed, 6),
            (7, Operation::Release(1), Answer::Done, 8),
        ]
    };
    assert_possible(&found(MOVED));
    assert_impossible(&found(ONE));
}

/// Nor by a unit that was released after the departure was seen.
#[test]
fn no_unit_is_leased_of_a_relay_that_was_seen_to_be_gone() {
    let leased = |seen| {
        [
            JOIN,
            (2, Operation::Lease(1, 1), Answer::Leased, 3),
            (4, Operation::Unregister, Answer::Yes, 11),
            (5, Operation::Lease(2, 1), Answer::Leased, 10),
            (6, Operation::IsRelay, seen, 7),
            (8, Operation::Release(1), Answer::Done, 9),
        ]
    };
    assert_possible(&leased(Answer::Yes));
    assert_impossible(&leased(Answer::No));
}

/// A lease of an earlier registration still takes a unit of the relay.
#[test]
fn an_old_lease_counts_when_its_relay_comes_back() {
    let came_back = [
        JOIN,
        (2, Operation::Lease(1, 1), Answer::Leased, 3),
        (4, Operation::Unregister, Answer::Yes, 5),
        (6, Operation::Register(ONE), Answer::Returned, 7),
    ];
    let with = |last| [&came_back[..], &[last]].concat();
    assert_possible(&with((8, Operation::Lease(2, 1), Answer::Full(1), 9)));
    assert_impossible(&with((8, Operation::Lease(2, 1), Answer::Leased, 9)));
    let released = with((8, Operation::Release(1), Answer::Done, 9));
    let with = |last| [&released[..], &[last]].concat();
    assert_possible(&with((10, Operation::Lease(2, 1), Answer::Leased, 11)));
    assert_impossible(&with((10, Operation::Lease(2, 1), Answer::Full(1), 11)));
}

/// Several units are free together, or not at all.
#[test]
fn units_are_leased_together() {
    const THREE: Terms = terms(1, 3);
    let leases = |second| {
        [
            (0, Operation::Register(THREE), Answer::New, 1),
            (2, Operation::Lease(1, 2), Answer::Leased, 5),
            (3, Operation::Reserve(2, 2), second, 4),
            (6, Operation::Lease(3, 1), Answer::Leased, 7),
        ]
    };
    assert_possible(&leases(Answer::Unseen));
    assert_impossible(&leases(Answer::Leased));
    let given_back = |last| {
        let leases = leases(Answer::Unseen);
        let release = (8, Operation::Release(1), Answer::Done, 9);
        [
            &leases[..],
            &[release, (10, Operation::Lease(4, 2), last, 11)],
        ]
        .concat()
    };
    assert_possible(&given_back(Answer::Leased));
    assert_impossible(&given_back(Answer::Full(3)));
}

/// It outlasts departures, until it is lifted.
#[test]
fn the_operators_tier_holds_until_it_is_lifted() {
    let at_the_end = |last: &[Step]| {
        let before = [
            (0, Operation::SetTier(2), Answer::Done, 1),
            (2, Operation::Register(ONE), Answer::New, 3),
            (4, Operation::Unregister, Answer::Yes, 5),
            (6, Operation::Tier, Answer::Unseen, 7),
            (8, Operation::Register(ONE), Answer::Returned, 9),
        ];
        [&before[..], last].concat()
    };
    let seen = |tier| (14, Operation::Tier, Answer::InTier(tier), 15);
    let lift = (10, Operation::Lift, Answer::Done, 11);
    assert_possible(&at_the_end(&[seen(2)]));
    assert_impossible(&at_the_end(&[seen(0)]));
    assert_possible(&at_the_end(&[lift, seen(0)]));
    assert_impossible(&at_the_end(&[lift, seen(2)]));
    let set_beside_lift = (10, Operation::SetTier(1), Answer::Done, 13);
    for tier in [0, 1] {
        assert_possible(&at_the_end(&[lift, set_beside_lift, seen(tier)]));
    }
    assert_impossible(&at_the_end(&[lift, set_beside_lift, seen(2)]));
}

//! What it takes for one relay to come in, and to stay.

use super::*;

#[test]
fn nobody_is_let_in_before_a_probe_succeeded() {
    let mut door = Door::new(terms());
    assert_eq!(
        door.offer_record(&at_home(1, 0)),
        Ok(OfferOutcome::Candidate)
    );
    assert_eq!(door.registry.get(1), None);
    assert_eq!(door.probe(|_| false), 1);
    assert_eq!(door.registry.get(1), None);
    assert_eq!(door.at(60).probe(|_| true), 1);
    assert!(door.registry.get(1).is_some());
    assert_eq!(
        (door.admission.candidates(), door.admission.verified()),
        (0, 1)
    );
}

#[test]
fn what_a_record_says_can_keep_it_out() {
    let mut door = Door::new(Terms {
        allowed: Some([1, 200].map(id).into()),
        ..terms()
    });
    let cone = Some(NatType::Symmetric);
    for (record, reason) in [
        (at_home(200, 0), RejectReason::Own),
        (at_home(2, 0), RejectReason::NotAllowed),
        (says(1, 0, "10.0.0.1:1"), RejectReason::PrivateAddress),
        (says(1, 0, "127.0.0.1:1"), RejectReason::PrivateAddress),
        (says(1, 0, "[::1]:1"), RejectReason::PrivateAddress),
        (says(1, 0, "example.org:1"), RejectReason::Name),
        (
            says_all(1, 0, "5.6.7.8:1", 1, cone),
            RejectReason::NotReachable,
        ),
        (at_home(1, 600), RejectReason::FromTheFuture),
    ] {
        assert_eq!(door.offer_record(&record), Err(reason));
    }
    door.at(TTL);
    assert_eq!(
        door.offer_record(&at_home(1, 0)),
        Err(RejectReason::Expired)
    );
    assert_eq!(door.admission.candidates(), 0);
    assert!(
        door.admission.gone.is_empty() && door.admission.strangers_gone.is_empty(),
        "none of it filled the memory"
    );
}

#[test]
fn a_withdrawn_relay_leaves_and_does_not_return() {
    let mut door = Door::new(terms());
    door.update_peer(1);
    door.at(10);
    assert_eq!(
        door.offer_record(&withdraws(1, 5)),
        Ok(OfferOutcome::Withdrawn)
    );
    assert_eq!(door.registry.get(1), None);
    assert_eq!(
        door.offer_record(&at_home(1, 0)),
        Err(RejectReason::Withdrawn)
    );
    assert_eq!(
        door.offer_record(&at_home(1, 4)),
        Err(RejectReason::Withdrawn)
    );
    assert_eq!(
        door.offer_record(&at_home(1, 6)),
        Ok(OfferOutcome::Candidate)
    );
}

#[test]
fn a_withdrawal_that_comes_before_its_relay_counts() {
    let mut door = Door::new(terms());
    assert_eq!(
        door.offer_record(&withdraws(1, 5)),
        Ok(OfferOutcome::Withdrawn)
    );
    assert_eq!(
        door.offer_record(&at_home(1, 0)),
        Err(RejectReason::Withdrawn)
    );
    assert!(door.admission.gone.is_empty());
}

#[test]
fn an_older_record_never_wins() {
    let mut door = Door::new(terms());
    let old = says(1, 0, "5.6.7.8:1");
    door.at(10);
    assert_eq!(
        door.offer_record(&says(1, 10, "5.6.7.9:1")),
        Ok(OfferOutcome::Candidate)
    );
    assert_eq!(door.offer_record(&old), Err(RejectReason::Replayed));
    assert_eq!(
        door.offer_record(&says(1, 10, "5.6.7.9:1")),
        Ok(OfferOutcome::Known)
    );
    assert_eq!(
        door.offer_record(&says(1, 10, "5.6.7.1:1")),
        Err(RejectReason::Conflict)
    );
}

#[test]
fn a_relay_stays_no_longer_than_its_record() {
    let mut door = Door::new(terms());
    door.at = 300;
    assert_eq!(
        door.offer_record(&at_home(1, 0)),
        Ok(OfferOutcome::Candidate)
    );
    door.probe(|_| true);
    assert_eq!(door.registry.get(1).unwrap().ttl, S(TTL - 300));
    door.at(TTL);
    assert_eq!((door.registry.get(1), door.admission.verified()), (None, 0));
    assert_eq!(
        door.offer_record(&at_home(1, 0)),
        Err(RejectReason::Expired)
    );
}

#[test]
fn a_newer_record_renews_and_capacity_is_capped() {
    let mut door = Door::new(terms());
    door.update_peer(1);
    door.at(20);
    let greedy = says_all(1, 20, "5.6.1.1:1", 1_000_000, None);
    assert_eq!(door.offer_record(&greedy), Ok(OfferOutcome::Renewed));
    let held = door.registry.get(1).unwrap();
    assert_eq!((held.capacity, held.ttl), (100, S(TTL)));
}

#[test]
fn one_that_moves_is_a_candidate_again() {
    let mut door = Door::new(terms());
    door.update_peer(1);
    door.at(20);
    assert_eq!(
        door.offer_record(&says(1, 20, "5.6.1.2:1")),
        Ok(OfferOutcome::Candidate)
    );
    assert_eq!(door.registry.get(1), None);
    door.probe(|_| true);
    assert!(door.registry.get(1).is_some());
}

#[test]
fn the_probe_of_an_address_that_was_left_counts_for_nothing() {
    let mut door = Door::new(terms());
    door.offer_record(&at_home(1, 0)).unwrap();
    let (id, left) = door.admission.next_probe(S(0)).unwrap();
    door.at(1);
    door.offer_record(&says(1, 1, "5.6.1.2:1")).unwrap();
    let now = door.now();
    let entered = door
        .admission
        .probed(&id, &left, Ok(RTT), &door.registry, now);
    assert!(!entered && door.registry.get(1).is_none());
    assert_eq!(door.probe(|_| true), 1);
}

#[test]
fn who_fails_leaves_and_stays_away_for_a_while() {
    let mut door = Door::new(terms());
    door.update_peer(1);
    door.at(60).probe(|_| false);
    assert!(door.registry.get(1).unwrap().failed, "no longer handed out");
    for at in (61..=300).step_by(10) {
        door.at(at).probe(|_| false);
        if door.registry.get(1).is_none() {
            break;
        }
    }
    assert_eq!(
        (door.registry.get(1), door.admission.candidates()),
        (None, 0)
    );
    let (at, record) = (door.at, at_home(1, door.at));
    assert_eq!(door.offer_record(&record), Err(RejectReason::FailedProbes));
    door.at(at + 120);
    assert_eq!(door.offer_record(&record), Ok(OfferOutcome::Candidate));
}

#[test]
fn who_has_not_the_key_leaves_at_once() {
    let mut door = Door::new(terms());
    door.offer_record(&at_home(1, 0)).unwrap();
    let (id, endpoint) = door.admission.next_probe(S(0)).unwrap();
    let now = door.now();
    let wrong = Err(ProbeError::WrongIdentity);
    door.admission
        .probed(&id, &endpoint, wrong, &door.registry, now);
    assert_eq!(door.admission.candidates(), 0);
    assert_eq!(
        door.offer_record(&at_home(1, 0)),
        Err(RejectReason::FailedProbes)
    );
}

#[test]
fn a_prefix_has_so_many_places_and_failing_candidates_give_way() {
    let mut door = Door::new(terms());
    let neighbour = |n: u8| says(n, 0, &format!("5.6.7.{n}:1"));
    for (n, works) in [(1, true), (2, false)] {
        assert_eq!(
            door.offer_record(&neighbour(n)),
            Ok(OfferOutcome::Candidate)
        );
        door.probe(|_| works);
    }
    assert_eq!(
        door.offer_record(&neighbour(3)),
        Ok(OfferOutcome::Candidate)
    );
    assert!(door.admission.knows(&id(1)) && !door.admission.knows(&id(2)));
    // Where one failed, the next is not probed at once.
    assert_eq!(door.probe(|_| true), 0);
    door.at(15).probe(|_| true);
    assert!(door.registry.get(3).is_some());
    let (fifth, elsewhere) = (neighbour(5), says(5, 0, "5.6.8.5:1"));
    assert_eq!(
        door.offer_record(&fifth),
        Err(RejectReason::TooManyOfPrefix)
    );
    assert_eq!(door.offer_record(&elsewhere), Ok(OfferOutcome::Candidate));
}

#[test]
fn a_full_room_turns_newcomers_away_unless_somebody_failed() {
    let mut door = Door::new(Terms {
        max_candidates: 3,
        ..terms()
    });
    (1..=3).for_each(|n| {
        assert_eq!(
            door.offer_record(&at_home(n, 0)),
            Ok(OfferOutcome::Candidate)
        )
    });
    let next = |_| door.admission.next_probe(S(0)).unwrap();
    let probes: Vec<_> = (1..=3).map(next).collect();
    let fourth = at_home(4, 0);
    assert_eq!(
        door.offer_record(&fourth),
        Err(RejectReason::Full),
        "all have their turn"
    );
    let now = door.now();
    for (id, endpoint) in probes {
        let failed = Err(ProbeError::Unreachable);
        door.admission
            .probed(&id, &endpoint, failed, &door.registry, now);
    }
    assert_eq!(door.offer_record(&fourth), Ok(OfferOutcome::Candidate));
    assert!(!door.admission.knows(&id(1)), "who failed and came first");
    door.at(60).probe(|probed| *probed == id(2));
    assert_eq!(
        door.offer_record(&at_home(5, 60)),
        Ok(OfferOutcome::Candidate)
    );
    assert!(door.admission.knows(&id(2)), "who is in does not wait");
}

#[test]
fn places_are_kept_for_local_relays() {
    let mut door = Door::new(terms());
    (1..=15).for_each(|n| {
        assert_eq!(
            door.offer_record(&at_home(n, 0)),
            Ok(OfferOutcome::Candidate)
        )
    });
    door.probe(|_| true);
    assert_eq!((door.admission.verified(), door.registry.held()), (10, 10));
    (101..=103).for_each(|n| door.registry.register(n));
    door.at(1);
    assert_eq!(door.admission.verified(), 10);
    (104..=112).for_each(|n| door.registry.register(n));
    door.at(2);
    assert_eq!((door.admission.verified(), door.registry.held()), (3, 15));
}

#[test]
fn who_was_not_measured_for_longest_gives_way() {
    let mut door = Door::new(terms());
    (1..=10).for_each(|n| door.update_peer(n));
    // From here on relay 4 hangs: its probe never ends.
    door.at = 60;
    door.offer_record(&at_home(11, 60)).unwrap();
    let mut hanging = 0;
    for at in [60, 120, 180, 240] {
        door.at(at);
        let now = door.now();
        while let Some((probed, endpoint)) = door.admission.next_probe(now.at) {
            if probed == id(4) {
                hanging += 1;
                continue;
            }
            let Door {
                admission,
                registry,
                ..
            } = &mut door;
            admission.probed(&probed, &endpoint, Ok(RTT), registry, now);
        }
    }
    assert_eq!(hanging, 1);
    assert!(door.registry.get(4).is_none() && door.registry.get(11).is_some());
    assert_eq!(door.admission.verified(), 10);
}

#[test]
fn a_local_relay_is_none_of_a_strangers_business() {
    let mut door = Door::new(terms());
    door.registry.register(1);
    assert_eq!(
        door.offer_record(&at_home(1, 0)),
        Err(RejectReason::HeldLocally)
    );
    door.update_peer(2);
    door.registry.register(2);
    door.at(60).probe(|_| false);
    assert!(door.registry.holds(&id(2), true) && !door.admission.knows(&id(2)));
    assert_eq!(
        door.offer_record(&withdraws(2, 60)),
        Ok(OfferOutcome::Withdrawn)
    );
    assert!(door.registry.holds(&id(2), true));
}

#[test]
fn only_so_much_news_of_one_relay_is_heeded() {
    let mut door = Door::new(terms());
    door.update_peer(1);
    for at in 1..=3 {
        assert_eq!(
            door.at(at).offer_record(&at_home(1, at)),
            Ok(OfferOutcome::Renewed)
        );
    }
    assert_eq!(
        door.at(4).offer_record(&at_home(1, 4)),
        Err(RejectReason::TooOften)
    );
    assert_eq!(
        door.offer_record(&withdraws(1, 5)),
        Ok(OfferOutcome::Withdrawn),
        "that always is"
    );
    let mut door = Door::new(terms());
    door.update_peer(1);
    (1..=3).for_each(|at| assert!(door.at(at).offer_record(&at_home(1, at)).is_ok()));
    assert_eq!(
        door.at(70).offer_record(&at_home(1, 70)),
        Ok(OfferOutcome::Renewed)
    );
}

#[test]
fn one_that_the_embedder_removed_stays_away_for_a_while() {
    let mut door = Door::new(terms());
    door.update_peer(1);
    door.registry.leave(&id(1));
    door.at(60).probe(|_| true);
    assert_eq!(door.registry.get(1), None);
    assert_eq!(
        door.offer_record(&at_home(1, 60)),
        Err(RejectReason::FailedProbes)
    );
}

#[test]
fn who_is_missing_from_its_shard_is_noticed() {
    let mut door = Door::new(terms());
    (1..=3).for_each(|n| door.update_peer(n));
    let [a, b, c] = [1, 2, 3].map(id);
    assert_eq!(door.admission.listed(5, &[a, b].into()), []);
    assert_eq!(door.admission.listed(6, &[c].into()), []);
    assert_eq!(door.admission.listed(5, &[b].into()), [a]);
}

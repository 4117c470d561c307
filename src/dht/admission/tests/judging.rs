//! What it takes for one relay to come in, and to stay.

use super::*;

#[test]
fn nobody_is_let_in_before_a_probe_succeeded() {
    let mut fixture = Fixture::new(policy());
    assert_eq!(
        fixture.offer_record(&at_home(1, 0)),
        Ok(OfferOutcome::Candidate)
    );
    assert_eq!(fixture.registry.get(1), None);
    assert_eq!(fixture.probe(|_| false), 1);
    assert_eq!(fixture.registry.get(1), None);
    assert_eq!(fixture.at(60).probe(|_| true), 1);
    assert!(fixture.registry.get(1).is_some());
    assert_eq!(
        (fixture.admission.candidates(), fixture.admission.verified()),
        (0, 1)
    );
}

#[test]
fn what_a_record_says_can_keep_it_out() {
    let mut fixture = Fixture::new(AdmissionPolicy {
        allowed: Some([1, 200].map(id).into()),
        ..policy()
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
        assert_eq!(fixture.offer_record(&record), Err(reason));
    }
    fixture.at(TTL);
    assert_eq!(
        fixture.offer_record(&at_home(1, 0)),
        Err(RejectReason::Expired)
    );
    assert_eq!(fixture.admission.candidates(), 0);
    assert!(
        fixture.admission.gone.is_empty() && fixture.admission.strangers_gone.is_empty(),
        "none of it filled the memory"
    );
}

#[test]
fn a_withdrawn_relay_leaves_and_does_not_return() {
    let mut fixture = Fixture::new(policy());
    fixture.update_peer(1);
    fixture.at(10);
    assert_eq!(
        fixture.offer_record(&withdraws(1, 5)),
        Ok(OfferOutcome::Withdrawn)
    );
    assert_eq!(fixture.registry.get(1), None);
    assert_eq!(
        fixture.offer_record(&at_home(1, 0)),
        Err(RejectReason::Withdrawn)
    );
    assert_eq!(
        fixture.offer_record(&at_home(1, 4)),
        Err(RejectReason::Withdrawn)
    );
    assert_eq!(
        fixture.offer_record(&at_home(1, 6)),
        Ok(OfferOutcome::Candidate)
    );
}

#[test]
fn a_withdrawal_that_comes_before_its_relay_counts() {
    let mut fixture = Fixture::new(policy());
    assert_eq!(
        fixture.offer_record(&withdraws(1, 5)),
        Ok(OfferOutcome::Withdrawn)
    );
    assert_eq!(
        fixture.offer_record(&at_home(1, 0)),
        Err(RejectReason::Withdrawn)
    );
    assert!(fixture.admission.gone.is_empty());
}

#[test]
fn an_older_record_never_wins() {
    let mut fixture = Fixture::new(policy());
    let old = says(1, 0, "5.6.7.8:1");
    fixture.at(10);
    assert_eq!(
        fixture.offer_record(&says(1, 10, "5.6.7.9:1")),
        Ok(OfferOutcome::Candidate)
    );
    assert_eq!(fixture.offer_record(&old), Err(RejectReason::Replayed));
    assert_eq!(
        fixture.offer_record(&says(1, 10, "5.6.7.9:1")),
        Ok(OfferOutcome::Known)
    );
    assert_eq!(
        fixture.offer_record(&says(1, 10, "5.6.7.1:1")),
        Err(RejectReason::Conflict)
    );
}

#[test]
fn a_relay_stays_no_longer_than_its_record() {
    let mut fixture = Fixture::new(policy());
    fixture.at = 300;
    assert_eq!(
        fixture.offer_record(&at_home(1, 0)),
        Ok(OfferOutcome::Candidate)
    );
    fixture.probe(|_| true);
    assert_eq!(fixture.registry.get(1).unwrap().ttl, S(TTL - 300));
    fixture.at(TTL);
    assert_eq!(
        (fixture.registry.get(1), fixture.admission.verified()),
        (None, 0)
    );
    assert_eq!(
        fixture.offer_record(&at_home(1, 0)),
        Err(RejectReason::Expired)
    );
}

#[test]
fn a_newer_record_renews_and_capacity_is_capped() {
    let mut fixture = Fixture::new(policy());
    fixture.update_peer(1);
    fixture.at(20);
    let greedy = says_all(1, 20, "5.6.1.1:1", 1_000_000, None);
    assert_eq!(fixture.offer_record(&greedy), Ok(OfferOutcome::Renewed));
    let held = fixture.registry.get(1).unwrap();
    assert_eq!((held.capacity, held.ttl), (100, S(TTL)));
}

#[test]
fn one_that_moves_is_a_candidate_again() {
    let mut fixture = Fixture::new(policy());
    fixture.update_peer(1);
    fixture.at(20);
    assert_eq!(
        fixture.offer_record(&says(1, 20, "5.6.1.2:1")),
        Ok(OfferOutcome::Candidate)
    );
    assert_eq!(fixture.registry.get(1), None);
    fixture.probe(|_| true);
    assert!(fixture.registry.get(1).is_some());
}

#[test]
fn the_probe_of_an_address_that_was_left_counts_for_nothing() {
    let mut fixture = Fixture::new(policy());
    fixture.offer_record(&at_home(1, 0)).unwrap();
    let (id, left) = fixture.admission.next_probe(S(0)).unwrap();
    fixture.at(1);
    fixture.offer_record(&says(1, 1, "5.6.1.2:1")).unwrap();
    let now = fixture.now();
    let entered = fixture
        .admission
        .probed(&id, &left, Ok(RTT), &fixture.registry, now);
    assert!(!entered && fixture.registry.get(1).is_none());
    assert_eq!(fixture.probe(|_| true), 1);
}

#[test]
fn who_fails_leaves_and_stays_away_for_a_while() {
    let mut fixture = Fixture::new(policy());
    fixture.update_peer(1);
    fixture.at(60).probe(|_| false);
    assert!(
        fixture.registry.get(1).unwrap().failed,
        "no longer handed out"
    );
    for at in (61..=300).step_by(10) {
        fixture.at(at).probe(|_| false);
        if fixture.registry.get(1).is_none() {
            break;
        }
    }
    assert_eq!(
        (fixture.registry.get(1), fixture.admission.candidates()),
        (None, 0)
    );
    let (at, record) = (fixture.at, at_home(1, fixture.at));
    assert_eq!(
        fixture.offer_record(&record),
        Err(RejectReason::FailedProbes)
    );
    fixture.at(at + 120);
    assert_eq!(fixture.offer_record(&record), Ok(OfferOutcome::Candidate));
}

#[test]
fn who_has_not_the_key_leaves_at_once() {
    let mut fixture = Fixture::new(policy());
    fixture.offer_record(&at_home(1, 0)).unwrap();
    let (id, endpoint) = fixture.admission.next_probe(S(0)).unwrap();
    let now = fixture.now();
    let wrong = Err(ProbeError::WrongIdentity);
    fixture
        .admission
        .probed(&id, &endpoint, wrong, &fixture.registry, now);
    assert_eq!(fixture.admission.candidates(), 0);
    assert_eq!(
        fixture.offer_record(&at_home(1, 0)),
        Err(RejectReason::FailedProbes)
    );
}

#[test]
fn a_prefix_has_so_many_places_and_failing_candidates_give_way() {
    let mut fixture = Fixture::new(policy());
    let neighbour = |n: u8| says(n, 0, &format!("5.6.7.{n}:1"));
    for (n, works) in [(1, true), (2, false)] {
        assert_eq!(
            fixture.offer_record(&neighbour(n)),
            Ok(OfferOutcome::Candidate)
        );
        fixture.probe(|_| works);
    }
    assert_eq!(
        fixture.offer_record(&neighbour(3)),
        Ok(OfferOutcome::Candidate)
    );
    assert!(fixture.admission.knows(&id(1)) && !fixture.admission.knows(&id(2)));
    // Where one failed, the next is not probed at once.
    assert_eq!(fixture.probe(|_| true), 0);
    fixture.at(15).probe(|_| true);
    assert!(fixture.registry.get(3).is_some());
    let (fifth, elsewhere) = (neighbour(5), says(5, 0, "5.6.8.5:1"));
    assert_eq!(
        fixture.offer_record(&fifth),
        Err(RejectReason::TooManyOfPrefix)
    );
    assert_eq!(
        fixture.offer_record(&elsewhere),
        Ok(OfferOutcome::Candidate)
    );
}

#[test]
fn a_full_room_turns_newcomers_away_unless_somebody_failed() {
    let mut fixture = Fixture::new(AdmissionPolicy {
        max_candidates: 3,
        ..policy()
    });
    (1..=3).for_each(|n| {
        assert_eq!(
            fixture.offer_record(&at_home(n, 0)),
            Ok(OfferOutcome::Candidate)
        )
    });
    let next = |_| fixture.admission.next_probe(S(0)).unwrap();
    let probes: Vec<_> = (1..=3).map(next).collect();
    let fourth = at_home(4, 0);
    assert_eq!(
        fixture.offer_record(&fourth),
        Err(RejectReason::Full),
        "all have their turn"
    );
    let now = fixture.now();
    for (id, endpoint) in probes {
        let failed = Err(ProbeError::Unreachable);
        fixture
            .admission
            .probed(&id, &endpoint, failed, &fixture.registry, now);
    }
    assert_eq!(fixture.offer_record(&fourth), Ok(OfferOutcome::Candidate));
    assert!(
        !fixture.admission.knows(&id(1)),
        "who failed and came first"
    );
    fixture.at(60).probe(|probed| *probed == id(2));
    assert_eq!(
        fixture.offer_record(&at_home(5, 60)),
        Ok(OfferOutcome::Candidate)
    );
    assert!(fixture.admission.knows(&id(2)), "who is in does not wait");
}

#[test]
fn places_are_kept_for_local_relays() {
    let mut fixture = Fixture::new(policy());
    (1..=15).for_each(|n| {
        assert_eq!(
            fixture.offer_record(&at_home(n, 0)),
            Ok(OfferOutcome::Candidate)
        )
    });
    fixture.probe(|_| true);
    assert_eq!(
        (fixture.admission.verified(), fixture.registry.held()),
        (10, 10)
    );
    (101..=103).for_each(|n| fixture.registry.register(n));
    fixture.at(1);
    assert_eq!(fixture.admission.verified(), 10);
    (104..=112).for_each(|n| fixture.registry.register(n));
    fixture.at(2);
    assert_eq!(
        (fixture.admission.verified(), fixture.registry.held()),
        (3, 15)
    );
}

#[test]
fn who_was_not_measured_for_longest_gives_way() {
    let mut fixture = Fixture::new(policy());
    (1..=10).for_each(|n| fixture.update_peer(n));
    // From here on relay 4 hangs: its probe never ends.
    fixture.at = 60;
    fixture.offer_record(&at_home(11, 60)).unwrap();
    let mut hanging = 0;
    for at in [60, 120, 180, 240] {
        fixture.at(at);
        let now = fixture.now();
        while let Some((probed, endpoint)) = fixture.admission.next_probe(now.at) {
            if probed == id(4) {
                hanging += 1;
                continue;
            }
            let Fixture {
                admission,
                registry,
                ..
            } = &mut fixture;
            admission.probed(&probed, &endpoint, Ok(RTT), registry, now);
        }
    }
    assert_eq!(hanging, 1);
    assert!(fixture.registry.get(4).is_none() && fixture.registry.get(11).is_some());
    assert_eq!(fixture.admission.verified(), 10);
}

#[test]
fn a_local_relay_is_none_of_a_strangers_business() {
    let mut fixture = Fixture::new(policy());
    fixture.registry.register(1);
    assert_eq!(
        fixture.offer_record(&at_home(1, 0)),
        Err(RejectReason::HeldLocally)
    );
    fixture.update_peer(2);
    fixture.registry.register(2);
    fixture.at(60).probe(|_| false);
    assert!(fixture.registry.holds(&id(2), true) && !fixture.admission.knows(&id(2)));
    assert_eq!(
        fixture.offer_record(&withdraws(2, 60)),
        Ok(OfferOutcome::Withdrawn)
    );
    assert!(fixture.registry.holds(&id(2), true));
}

#[test]
fn only_so_much_news_of_one_relay_is_heeded() {
    let mut fixture = Fixture::new(policy());
    fixture.update_peer(1);
    for at in 1..=3 {
        assert_eq!(
            fixture.at(at).offer_record(&at_home(1, at)),
            Ok(OfferOutcome::Renewed)
        );
    }
    assert_eq!(
        fixture.at(4).offer_record(&at_home(1, 4)),
        Err(RejectReason::TooOften)
    );
    assert_eq!(
        fixture.offer_record(&withdraws(1, 5)),
        Ok(OfferOutcome::Withdrawn),
        "that always is"
    );
    let mut fixture = Fixture::new(policy());
    fixture.update_peer(1);
    (1..=3).for_each(|at| assert!(fixture.at(at).offer_record(&at_home(1, at)).is_ok()));
    assert_eq!(
        fixture.at(70).offer_record(&at_home(1, 70)),
        Ok(OfferOutcome::Renewed)
    );
}

#[test]
fn one_that_the_embedder_removed_stays_away_for_a_while() {
    let mut fixture = Fixture::new(policy());
    fixture.update_peer(1);
    fixture.registry.leave(&id(1));
    fixture.at(60).probe(|_| true);
    assert_eq!(fixture.registry.get(1), None);
    assert_eq!(
        fixture.offer_record(&at_home(1, 60)),
        Err(RejectReason::FailedProbes)
    );
}

#[test]
fn who_is_missing_from_its_shard_is_noticed() {
    let mut fixture = Fixture::new(policy());
    (1..=3).for_each(|n| fixture.update_peer(n));
    let [a, b, c] = [1, 2, 3].map(id);
    assert_eq!(fixture.admission.listed(5, &[a, b].into()), []);
    assert_eq!(fixture.admission.listed(6, &[c].into()), []);
    assert_eq!(fixture.admission.listed(5, &[b].into()), [a]);
}

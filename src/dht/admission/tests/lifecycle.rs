//! One relay: candidate, verified, removed.

use super::*;
use crate::dht::engine::ShardPath;

#[test]
fn no_relay_is_registered_before_a_probe_succeeds() {
    let mut fixture = Fixture::new(policy());
    assert_eq!(
        fixture.offer_record(&announce(1, 0)),
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
fn records_are_checked_against_the_policy() {
    let mut fixture = Fixture::new(AdmissionPolicy {
        allowed: Some([1, 200].map(id).into()),
        ..policy()
    });
    let symmetric = Some(NatType::Symmetric);
    for (record, reason) in [
        (announce(200, 0), RejectReason::Own),
        (announce(2, 0), RejectReason::NotAllowed),
        (
            announce_at(1, 0, "10.0.0.1:1"),
            RejectReason::PrivateAddress,
        ),
        (
            announce_at(1, 0, "127.0.0.1:1"),
            RejectReason::PrivateAddress,
        ),
        (announce_at(1, 0, "[::1]:1"), RejectReason::PrivateAddress),
        (announce_at(1, 0, "example.org:1"), RejectReason::Name),
        (
            announce_with(1, 0, "5.6.7.8:1", 1, symmetric),
            RejectReason::NotReachable,
        ),
        (announce(1, 600), RejectReason::FromTheFuture),
    ] {
        assert_eq!(fixture.offer_record(&record), Err(reason));
    }
    fixture.at(TTL);
    assert_eq!(
        fixture.offer_record(&announce(1, 0)),
        Err(RejectReason::Expired)
    );
    assert_eq!(fixture.admission.candidates(), 0);
    assert!(
        fixture.admission.departed_verified.is_empty()
            && fixture.admission.departed_unverified.is_empty(),
        "rejected records are not remembered"
    );
}

#[test]
fn a_withdrawn_relay_is_removed_and_older_records_are_rejected() {
    let mut fixture = Fixture::new(policy());
    fixture.learn(1);
    fixture.at(10);
    assert_eq!(
        fixture.offer_record(&withdrawal(1, 5)),
        Ok(OfferOutcome::Withdrawn)
    );
    assert_eq!(fixture.registry.get(1), None);
    assert_eq!(
        fixture.offer_record(&announce(1, 0)),
        Err(RejectReason::Withdrawn)
    );
    assert_eq!(
        fixture.offer_record(&announce(1, 4)),
        Err(RejectReason::Withdrawn)
    );
    assert_eq!(
        fixture.offer_record(&announce(1, 6)),
        Ok(OfferOutcome::Candidate)
    );
}

#[test]
fn a_withdrawal_before_its_announcement_is_remembered() {
    let mut fixture = Fixture::new(policy());
    assert_eq!(
        fixture.offer_record(&withdrawal(1, 5)),
        Ok(OfferOutcome::Withdrawn)
    );
    assert_eq!(
        fixture.offer_record(&announce(1, 0)),
        Err(RejectReason::Withdrawn)
    );
    assert!(fixture.admission.departed_verified.is_empty());
}

#[test]
fn an_older_record_is_rejected() {
    let mut fixture = Fixture::new(policy());
    let old = announce_at(1, 0, "5.6.7.8:1");
    fixture.at(10);
    assert_eq!(
        fixture.offer_record(&announce_at(1, 10, "5.6.7.9:1")),
        Ok(OfferOutcome::Candidate)
    );
    assert_eq!(fixture.offer_record(&old), Err(RejectReason::Replayed));
    assert_eq!(
        fixture.offer_record(&announce_at(1, 10, "5.6.7.9:1")),
        Ok(OfferOutcome::Known)
    );
    assert_eq!(
        fixture.offer_record(&announce_at(1, 10, "5.6.7.1:1")),
        Err(RejectReason::Conflict)
    );
}

#[test]
fn a_relay_expires_with_its_record() {
    let mut fixture = Fixture::new(policy());
    fixture.at = 300;
    assert_eq!(
        fixture.offer_record(&announce(1, 0)),
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
        fixture.offer_record(&announce(1, 0)),
        Err(RejectReason::Expired)
    );
}

#[test]
fn a_newer_record_renews_and_capacity_is_capped() {
    let mut fixture = Fixture::new(policy());
    fixture.learn(1);
    fixture.at(20);
    let large = announce_with(1, 20, "5.6.1.1:1", 1_000_000, None);
    assert_eq!(fixture.offer_record(&large), Ok(OfferOutcome::Renewed));
    let held = fixture.registry.get(1).unwrap();
    assert_eq!((held.capacity, held.ttl), (100, S(TTL)));
}

#[test]
fn a_relay_with_a_new_endpoint_is_a_candidate_again() {
    let mut fixture = Fixture::new(policy());
    fixture.learn(1);
    fixture.at(20);
    assert_eq!(
        fixture.offer_record(&announce_at(1, 20, "5.6.1.2:1")),
        Ok(OfferOutcome::Candidate)
    );
    assert_eq!(fixture.registry.get(1), None);
    fixture.probe(|_| true);
    assert!(fixture.registry.get(1).is_some());
}

#[test]
fn a_probe_of_a_former_endpoint_is_ignored() {
    let mut fixture = Fixture::new(policy());
    fixture.offer_record(&announce(1, 0)).unwrap();
    let (id, left) = fixture.admission.next_probe(S(0)).unwrap();
    fixture.at(1);
    fixture
        .offer_record(&announce_at(1, 1, "5.6.1.2:1"))
        .unwrap();
    let now = fixture.now();
    let entered = fixture
        .admission
        .probe_finished(&id, &left, Ok(RTT), &fixture.registry, now);
    assert!(!entered && fixture.registry.get(1).is_none());
    assert_eq!(fixture.probe(|_| true), 1);
}

#[test]
fn a_relay_that_fails_its_probes_is_removed_and_blocked() {
    let mut fixture = Fixture::new(policy());
    fixture.learn(1);
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
    let (at, record) = (fixture.at, announce(1, fixture.at));
    assert_eq!(
        fixture.offer_record(&record),
        Err(RejectReason::FailedProbes)
    );
    fixture.at(at + 120);
    assert_eq!(fixture.offer_record(&record), Ok(OfferOutcome::Candidate));
}

#[test]
fn a_relay_without_its_key_is_removed_at_once() {
    let mut fixture = Fixture::new(policy());
    fixture.offer_record(&announce(1, 0)).unwrap();
    let (id, endpoint) = fixture.admission.next_probe(S(0)).unwrap();
    let now = fixture.now();
    let wrong = Err(ProbeError::WrongIdentity);
    fixture
        .admission
        .probe_finished(&id, &endpoint, wrong, &fixture.registry, now);
    assert_eq!(fixture.admission.candidates(), 0);
    assert_eq!(
        fixture.offer_record(&announce(1, 0)),
        Err(RejectReason::FailedProbes)
    );
}

#[test]
fn a_prefix_has_a_quota_and_failed_candidates_give_way() {
    let mut fixture = Fixture::new(policy());
    let neighbour = |n: u8| announce_at(n, 0, &format!("5.6.7.{n}:1"));
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
    assert!(fixture.admission.is_known(&id(1)) && !fixture.admission.is_known(&id(2)));
    // A failed probe limits the rate of the prefix.
    assert_eq!(fixture.probe(|_| true), 0);
    fixture.at(15).probe(|_| true);
    assert!(fixture.registry.get(3).is_some());
    let (fifth, elsewhere) = (neighbour(5), announce_at(5, 0, "5.6.8.5:1"));
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
fn at_the_limit_a_candidate_is_rejected_unless_another_has_failed() {
    let mut fixture = Fixture::new(AdmissionPolicy {
        max_candidates: 3,
        ..policy()
    });
    (1..=3).for_each(|n| {
        assert_eq!(
            fixture.offer_record(&announce(n, 0)),
            Ok(OfferOutcome::Candidate)
        )
    });
    let next = |_| fixture.admission.next_probe(S(0)).unwrap();
    let probes: Vec<_> = (1..=3).map(next).collect();
    let fourth = announce(4, 0);
    assert_eq!(
        fixture.offer_record(&fourth),
        Err(RejectReason::Full),
        "no candidate has failed"
    );
    let now = fixture.now();
    for (id, endpoint) in probes {
        let failed = Err(ProbeError::Unreachable);
        fixture
            .admission
            .probe_finished(&id, &endpoint, failed, &fixture.registry, now);
    }
    assert_eq!(fixture.offer_record(&fourth), Ok(OfferOutcome::Candidate));
    assert!(
        !fixture.admission.is_known(&id(1)),
        "of the failed candidates the earliest gives way"
    );
    fixture.at(60).probe(|probed| *probed == id(2));
    assert_eq!(
        fixture.offer_record(&announce(5, 60)),
        Ok(OfferOutcome::Candidate)
    );
    assert!(
        fixture.admission.is_known(&id(2)),
        "a verified relay is not a candidate"
    );
}

#[test]
fn room_is_reserved_for_local_relays() {
    let mut fixture = Fixture::new(policy());
    (1..=15).for_each(|n| {
        assert_eq!(
            fixture.offer_record(&announce(n, 0)),
            Ok(OfferOutcome::Candidate)
        )
    });
    fixture.probe(|_| true);
    assert_eq!(
        (fixture.admission.verified(), fixture.registry.relay_count()),
        (10, 10)
    );
    (101..=103).for_each(|n| fixture.registry.register(n));
    fixture.at(1);
    assert_eq!(fixture.admission.verified(), 10);
    (104..=112).for_each(|n| fixture.registry.register(n));
    fixture.at(2);
    assert_eq!(
        (fixture.admission.verified(), fixture.registry.relay_count()),
        (3, 15)
    );
}

#[test]
fn the_verified_relay_that_was_probed_least_recently_gives_way() {
    let mut fixture = Fixture::new(policy());
    (1..=10).for_each(|n| fixture.learn(n));
    // The next probe of relay 4 never ends.
    fixture.at = 60;
    fixture.offer_record(&announce(11, 60)).unwrap();
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
            admission.probe_finished(&probed, &endpoint, Ok(RTT), registry, now);
        }
    }
    assert_eq!(hanging, 1);
    assert!(fixture.registry.get(4).is_none() && fixture.registry.get(11).is_some());
    assert_eq!(fixture.admission.verified(), 10);
}

#[test]
fn a_remote_record_does_not_change_a_local_relay() {
    let mut fixture = Fixture::new(policy());
    fixture.registry.register(1);
    assert_eq!(
        fixture.offer_record(&announce(1, 0)),
        Err(RejectReason::HeldLocally)
    );
    fixture.learn(2);
    fixture.registry.register(2);
    fixture.at(60).probe(|_| false);
    assert!(fixture.registry.holds(&id(2), true) && !fixture.admission.is_known(&id(2)));
    assert_eq!(
        fixture.offer_record(&withdrawal(2, 60)),
        Ok(OfferOutcome::Withdrawn)
    );
    assert!(fixture.registry.holds(&id(2), true));
}

#[test]
fn updates_per_minute_are_limited() {
    let mut fixture = Fixture::new(policy());
    fixture.learn(1);
    for at in 1..=3 {
        assert_eq!(
            fixture.at(at).offer_record(&announce(1, at)),
            Ok(OfferOutcome::Renewed)
        );
    }
    assert_eq!(
        fixture.at(4).offer_record(&announce(1, 4)),
        Err(RejectReason::TooOften)
    );
    assert_eq!(
        fixture.offer_record(&withdrawal(1, 5)),
        Ok(OfferOutcome::Withdrawn),
        "withdrawals are not limited"
    );
    let mut fixture = Fixture::new(policy());
    fixture.learn(1);
    (1..=3).for_each(|at| assert!(fixture.at(at).offer_record(&announce(1, at)).is_ok()));
    assert_eq!(
        fixture.at(70).offer_record(&announce(1, 70)),
        Ok(OfferOutcome::Renewed)
    );
}

#[test]
fn a_relay_that_the_embedder_removed_is_blocked() {
    let mut fixture = Fixture::new(policy());
    fixture.learn(1);
    fixture.registry.unregister_learned(&id(1));
    fixture.at(60).probe(|_| true);
    assert_eq!(fixture.registry.get(1), None);
    assert_eq!(
        fixture.offer_record(&announce(1, 60)),
        Err(RejectReason::FailedProbes)
    );
}

#[test]
fn relays_that_a_shard_no_longer_lists_are_returned() {
    let mut fixture = Fixture::new(policy());
    (1..=3).for_each(|n| fixture.learn(n));
    let [a, b, c] = [1, 2, 3].map(id);
    assert_eq!(
        fixture
            .admission
            .shard_read(ShardPath::root(5), &[a, b].into()),
        []
    );
    assert_eq!(
        fixture
            .admission
            .shard_read(ShardPath::root(6), &[c].into()),
        []
    );
    assert_eq!(
        fixture
            .admission
            .shard_read(ShardPath::root(5), &[b].into()),
        [a]
    );
}

//! Sybil attacks: many keys of one attacker, beside honest relays.

use super::*;

/// The announcement of an attacker's relay `n`. Each has a prefix of its own, and does not answer.
fn black_hole(n: u32, at: u64) -> SignedRecord {
    let mut seed = [0xbb; 32];
    seed[..4].copy_from_slice(&n.to_be_bytes());
    let [_, a, b, c] = n.to_be_bytes();
    let endpoint = format!("{}.{b}.{c}.1:1", 20 + a);
    let issued = WALL + S(at);
    let announcement = Announcement::new(endpoint.parse().unwrap(), 1).unwrap();
    let sequence = next_sequence(None, issued);
    let record = RelayRecord::announce(announcement, sequence, issued, S(TTL)).unwrap();
    let key = SecretKey::from_seed(seed);
    SignedRecord::sign(&record, &key, &Network::default()).unwrap()
}

/// A new candidate is probed at the next turn of the unprobed ones.
#[test]
fn earlier_candidates_do_not_delay_a_new_one() {
    let mut fixture = Fixture::new(policy());
    for n in 0..90 {
        assert_eq!(
            fixture.offer_record(&black_hole(n, 0)),
            Ok(OfferOutcome::Candidate)
        );
    }
    fixture.at(60).probe_some(12, |_| false);
    fixture.at(120);
    assert_eq!(
        fixture.offer_record(&announce(1, 120)),
        Ok(OfferOutcome::Candidate)
    );
    fixture.probe_some(6, |probed| *probed == id(1));
    assert!(fixture.registry.get(1).is_some());
}

/// How many minutes pass until an honest relay is verified. It is offered once a minute, among
/// `2 * attackers` relays of an attacker, and 12 probes are made in a minute.
fn minutes_until_verified(attackers: u32, seed: u64) -> u64 {
    let few = AdmissionPolicy {
        max_candidates: 20,
        ..policy()
    };
    let mut fixture = Fixture::seeded(few, seed);
    for minute in 1..1_000 {
        fixture.at(minute * 60);
        for n in 0..attackers {
            // Half of them were offered in the minute before.
            let offered = (minute as u32 * attackers / 2 + n, fixture.at);
            let _ = fixture.offer_record(&black_hole(offered.0, offered.1));
        }
        let _ = fixture.offer_record(&announce(1, fixture.at));
        for n in 0..attackers {
            let _ = fixture.offer_record(&black_hole(
                1_000_000 + minute as u32 * attackers + n,
                fixture.at,
            ));
        }
        fixture.probe_some(12, |probed| *probed == id(1));
        if fixture.registry.get(1).is_some() {
            return minute;
        }
    }
    panic!("never")
}

/// Each window has new ranks, so each candidate has the same chance, however many there are.
#[test]
fn an_honest_candidate_is_probed_beside_any_number_of_others() {
    for (attackers, bound) in [(10, 6), (40, 12)] {
        let waits: Vec<u64> = (0..10)
            .map(|seed| minutes_until_verified(attackers, seed))
            .collect();
        let mean = waits.iter().sum::<u64>() / waits.len() as u64;
        assert!(mean <= bound, "{attackers} twice a minute: {waits:?}");
    }
}

#[test]
fn a_rank_does_not_improve_by_repeated_offers() {
    let mut fixture = Fixture::new(AdmissionPolicy {
        max_candidates: 20,
        ..policy()
    });
    let attackers: Vec<SignedRecord> = (0..100).map(|n| black_hole(n, 0)).collect();
    for _ in 0..3 {
        for record in &attackers {
            let _ = fixture.offer_record(record);
        }
    }
    let known = |fixture: &Fixture| -> Vec<usize> {
        let is_known = |n: &usize| fixture.admission.is_known(&attackers[*n].node_id());
        (0..100).filter(is_known).collect()
    };
    let first = known(&fixture);
    assert_eq!(first.len(), 20);
    attackers.iter().rev().for_each(|record| {
        let _ = fixture.offer_record(record);
    });
    assert_eq!(known(&fixture), first, "in any order");
    fixture.at(60);
    attackers.iter().for_each(|record| {
        let _ = fixture.offer_record(record);
    });
    assert_ne!(known(&fixture), first);
}

#[test]
fn a_returning_relay_is_probed_before_new_candidates() {
    let mut fixture = Fixture::new(AdmissionPolicy {
        max_candidates: 20,
        ..policy()
    });
    fixture.learn(1);
    fixture.at(10);
    assert_eq!(
        fixture.offer_record(&withdrawal(1, 10)),
        Ok(OfferOutcome::Withdrawn)
    );
    for n in 0..200 {
        let _ = fixture.offer_record(&black_hole(n, 10));
    }
    fixture.at(20);
    assert_eq!(
        fixture.offer_record(&announce(1, 20)),
        Ok(OfferOutcome::Candidate)
    );
    fixture.probe_some(2, |probed| *probed == id(1));
    assert!(fixture.registry.get(1).is_some());
}

#[test]
fn first_probes_are_short_while_many_wait() {
    let mut fixture = Fixture::new(policy());
    for (attackers, is_short) in [(10, false), (90, true)] {
        for n in 0..attackers {
            let _ = fixture.offer_record(&black_hole(n, 0));
        }
        let (probed, _) = fixture.admission.next_probe(S(0)).unwrap();
        assert_eq!(fixture.admission.is_short_probe(&probed), is_short);
    }
    let mut fixture = Fixture::new(policy());
    fixture.learn(1);
    for n in 0..90 {
        let _ = fixture.offer_record(&black_hole(n, 0));
    }
    assert!(
        !fixture.admission.is_short_probe(&id(1)),
        "it was probed before"
    );
}

/// The announcement and the withdrawal of an attacker's relay `n`, dated as far ahead as is
/// accepted.
fn made_up(n: u16, at: u64) -> [SignedRecord; 2] {
    made_up_at("5.6.250.1:1", n, at)
}

fn made_up_at(endpoint: &str, n: u16, at: u64) -> [SignedRecord; 2] {
    let mut seed = [0xee; 32];
    seed[..2].copy_from_slice(&n.to_be_bytes());
    let key = SecretKey::from_seed(seed);
    let issued = WALL + S(at + 290);
    let sequence = next_sequence(None, issued) + 2 * u64::from(n);
    let announcement = Announcement::new(endpoint.parse().unwrap(), 1).unwrap();
    let announced = RelayRecord::announce(announcement, sequence, issued, S(TTL)).unwrap();
    let withdrawn = RelayRecord::withdraw(sequence + 1, issued, S(TTL)).unwrap();
    [announced, withdrawn]
        .map(|record| SignedRecord::sign(&record, &key, &Network::default()).unwrap())
}

/// The relays of an attacker are announced and withdrawn without a probe. They must not evict the
/// sequences of other relays, nor raise the floor for them.
#[test]
fn unprobed_candidates_do_not_evict_what_is_remembered_of_others() {
    let mut fixture = Fixture::new(policy());
    (1..=2).for_each(|n| fixture.learn(n));
    fixture.at(10);
    assert_eq!(
        fixture.offer_record(&withdrawal(2, 5)),
        Ok(OfferOutcome::Withdrawn)
    );
    for n in 0..1_100 {
        let [announced, withdrawn] = made_up(n, 10);
        assert_eq!(
            fixture.offer_record(&announced),
            Ok(OfferOutcome::Candidate)
        );
        assert_eq!(
            fixture.offer_record(&withdrawn),
            Ok(OfferOutcome::Withdrawn)
        );
    }
    fixture.at(20);
    assert_eq!(
        fixture.offer_record(&announce(1, 20)),
        Ok(OfferOutcome::Renewed)
    );
    assert_eq!(
        fixture.offer_record(&announce(3, 20)),
        Ok(OfferOutcome::Candidate)
    );
    assert_eq!(
        fixture.offer_record(&announce(2, 4)),
        Err(RejectReason::Withdrawn)
    );
    assert_eq!(
        fixture.offer_record(&withdrawal(1, 21)),
        Ok(OfferOutcome::Withdrawn)
    );
}

#[test]
fn after_a_record_expires_an_older_one_is_rejected() {
    for is_verified in [false, true] {
        let mut fixture = Fixture::new(policy());
        fixture.at = 1_000;
        assert_eq!(
            fixture.offer_record(&announce(1, 5)),
            Ok(OfferOutcome::Candidate)
        );
        fixture.probe(|_| is_verified);
        fixture.at(TTL + 5);
        assert_eq!(
            fixture.admission.candidates() + fixture.admission.verified(),
            0
        );
        let issued = WALL;
        let announcement = Announcement::new("5.6.1.1:1".parse().unwrap(), 1).unwrap();
        let sequence = next_sequence(None, issued);
        let lasting = RelayRecord::announce(announcement, sequence, issued, S(86_400)).unwrap();
        let lasting = SignedRecord::sign(&lasting, &key(1), &Network::default()).unwrap();
        assert_eq!(
            fixture.offer_record(&lasting),
            Err(RejectReason::Replayed),
            "{is_verified}"
        );
    }
}

#[test]
fn candidates_do_not_delay_probes_of_verified_relays() {
    let mut fixture = Fixture::new(policy());
    fixture.learn(1);
    fixture.at(10);
    for n in 2..50 {
        assert_eq!(
            fixture.offer_record(&announce(n, 10)),
            Ok(OfferOutcome::Candidate)
        );
    }
    let now = fixture.at(100).now();
    let first = [(); 2].map(|()| fixture.admission.next_probe(now.at).unwrap().0);
    assert!(first.contains(&id(1)));
    assert!(
        first.iter().any(|probed| *probed != id(1)),
        "candidates and verified relays take turns"
    );
}

/// A candidate that failed gives way to the next one at the same address. The next one must wait
/// for a token of the prefix.
#[test]
fn made_up_relays_do_not_cause_repeated_probes_of_one_prefix() {
    let mut fixture = Fixture::new(policy());
    let records: Vec<_> = (0..100).map(|n| made_up(n, 0)[0].clone()).collect();
    let mut probes = 0;
    for second in 0..30 {
        fixture.at(second);
        for record in &records {
            let _ = fixture.offer_record(record);
            probes += fixture.probe(|_| false);
        }
    }
    // One at once, then one each 15 s.
    assert!((2..=10).contains(&probes), "{probes}");
    fixture.at(60).probe(|_| false);
    let honest = announce_at(1, 60, "5.6.250.7:1");
    assert_eq!(fixture.offer_record(&honest), Ok(OfferOutcome::Candidate));
    fixture.at(75).probe(|probed| *probed == id(1));
    assert!(fixture.registry.holds(&id(1), false));
}

#[test]
fn a_withdrawal_during_a_probe_does_not_allow_another_probe() {
    let mut fixture = Fixture::new(policy());
    for n in 0..3 {
        let [announced, withdrawn] = made_up(n, 0);
        assert_eq!(
            fixture.offer_record(&announced),
            Ok(OfferOutcome::Candidate)
        );
        let probe = fixture.admission.next_probe(S(0));
        assert_eq!(probe.is_some(), n == 0);
        assert_eq!(
            fixture.offer_record(&withdrawn),
            Ok(OfferOutcome::Withdrawn)
        );
        if let Some((id, endpoint)) = probe {
            let (failed, now) = (Err(ProbeError::Unreachable), fixture.now());
            fixture
                .admission
                .probe_finished(&id, &endpoint, failed, &fixture.registry, now);
        }
    }
}

/// Verified relays that depart evict the sequences of other departed relays, and raise the floor
/// for unknown ones. They must not affect a relay that is registered.
#[test]
fn departures_of_verified_relays_do_not_affect_registered_ones() {
    let mut fixture = Fixture::new(policy());
    fixture.learn(1);
    fixture.at(10);
    for n in 0..1_100_u16 {
        let [b, c] = n.to_be_bytes();
        let [announced, withdrawn] = made_up_at(&format!("40.{b}.{c}.1:1"), n, 10);
        assert_eq!(
            fixture.offer_record(&announced),
            Ok(OfferOutcome::Candidate)
        );
        assert_eq!(fixture.probe(|_| true), 1);
        assert_eq!(
            fixture.offer_record(&withdrawn),
            Ok(OfferOutcome::Withdrawn)
        );
    }
    fixture.at(20);
    assert_eq!(
        fixture.offer_record(&announce(3, 20)),
        Err(RejectReason::Forgotten)
    );
    assert_eq!(
        fixture.offer_record(&announce(1, 20)),
        Ok(OfferOutcome::Renewed)
    );
    assert_eq!(
        fixture.offer_record(&announce(1, 15)),
        Err(RejectReason::Replayed)
    );
    assert_eq!(
        fixture.offer_record(&withdrawal(1, 21)),
        Ok(OfferOutcome::Withdrawn)
    );
    assert!(fixture.offer_record(&announce(1, 20)).is_err());
}

/// The next record of key `n`: an announcement of `endpoint`, or a withdrawal.
fn sign_next(n: u8, at: u64, last: &mut u64, endpoint: Option<&str>) -> SignedRecord {
    *last += 1;
    let (sequence, issued) = ((WALL + S(at)).as_micros() as u64 + *last, WALL + S(at));
    let record = match endpoint {
        Some(endpoint) => {
            let announcement = Announcement::new(endpoint.parse().unwrap(), 1).unwrap();
            RelayRecord::announce(announcement, sequence, issued, S(TTL)).unwrap()
        }
        None => RelayRecord::withdraw(sequence, issued, S(TTL)).unwrap(),
    };
    SignedRecord::sign(&record, &key(n), &Network::default()).unwrap()
}

/// A key that was verified has priority once, however often it returns.
#[test]
fn returning_keys_at_new_endpoints_do_not_delay_others() {
    for withdraws in [true, false] {
        let mut fixture = Fixture::new(AdmissionPolicy {
            max_relays: 80,
            ..policy()
        });
        let mut last = 0;
        (1..=40).for_each(|n| fixture.learn(n));
        fixture.learn(60);
        fixture.at(60);
        assert_eq!(
            fixture.offer_record(&super::withdrawal(60, 60)),
            Ok(OfferOutcome::Withdrawn)
        );
        let (mut verified_at, mut returned_at) = (None, None);
        for minute in 2..30 {
            fixture.at(minute * 60);
            for n in 1..=40 {
                let at = fixture.at;
                if withdraws {
                    let _ = fixture.offer_record(&sign_next(n, at, &mut last, None));
                }
                let victim = format!("30.{}.{n}.1:1", minute);
                let _ = fixture.offer_record(&sign_next(n, at, &mut last, Some(&victim)));
            }
            let at = fixture.at;
            let _ = fixture.offer_record(&announce(50, at));
            let _ = fixture.offer_record(&announce(60, at));
            fixture.probe_some(12, |probed| [50, 60].map(id).contains(probed));
            verified_at = verified_at.or(fixture.registry.get(50).map(|_| minute));
            returned_at = returned_at.or(fixture.registry.get(60).map(|_| minute));
        }
        assert!(
            verified_at.is_some_and(|minute| minute <= 8),
            "{verified_at:?}"
        );
        assert!(
            returned_at.is_some_and(|minute| minute <= 8),
            "{returned_at:?}"
        );
    }
}

#[test]
fn a_verified_relay_has_priority_once() {
    let mut fixture = Fixture::new(policy());
    let mut last = 0;
    fixture.learn(1);
    let first = |fixture: &mut Fixture, at: u64, last: &mut u64, endpoint: &str| {
        fixture.at(at);
        let _ = fixture.offer_record(&sign_next(1, at, last, None));
        (0..20).for_each(|n| {
            assert!(
                fixture
                    .offer_record(&black_hole(at as u32 * 100 + n, at))
                    .is_ok()
            )
        });
        let offered = fixture.offer_record(&sign_next(1, at, last, Some(endpoint)));
        assert_eq!(offered, Ok(OfferOutcome::Candidate));
        let probes = [(); 2].map(|()| fixture.admission.next_probe(fixture.now().at).unwrap().0);
        probes.contains(&id(1))
    };
    assert!(first(&mut fixture, 100, &mut last, "5.6.1.1:1"));
    assert!(!first(&mut fixture, 200, &mut last, "5.6.2.1:1"));
}

#[test]
fn candidates_that_wait_for_a_token_keep_their_order() {
    let mut fixture = Fixture::new(policy());
    assert_eq!(
        fixture.offer_record(&announce_at(1, 0, "5.6.7.1:1")),
        Ok(OfferOutcome::Candidate)
    );
    assert_eq!(fixture.probe(|_| false), 1);
    for (n, second) in [(2, 1), (3, 2)] {
        fixture.at(second);
        let neighbour = announce_at(n, second, &format!("5.6.7.{n}:1"));
        assert_eq!(
            fixture.offer_record(&neighbour),
            Ok(OfferOutcome::Candidate)
        );
        assert_eq!(fixture.probe(|_| false), 0, "there is no token");
    }
    let mut order = Vec::new();
    for second in 3..40 {
        let now = fixture.at(second).now();
        while let Some((probed, endpoint)) = fixture.admission.next_probe(now.at) {
            order.push(probed);
            let failed = Err(ProbeError::Unreachable);
            fixture
                .admission
                .probe_finished(&probed, &endpoint, failed, &fixture.registry, now);
        }
    }
    assert_eq!(order[..2], [2, 3].map(id));
}

//! What very many strangers can do to the others.

use super::*;

/// Number `n` of a crowd at addresses where nothing answers, in as many prefixes.
fn black_hole(n: u32, at: u64) -> SignedRecord {
    let mut seed = [0xbb; 32];
    seed[..4].copy_from_slice(&n.to_be_bytes());
    let [_, a, b, c] = n.to_be_bytes();
    let endpoint = format!("{}.{b}.{c}.1:1", 20 + a);
    let issued = WALL + S(at);
    let announcement = Announcement::new(endpoint.parse().unwrap(), 1).unwrap();
    let sequence = crate::dht::next_sequence(None, issued);
    let record = RelayRecord::announce(announcement, sequence, issued, S(TTL)).unwrap();
    let key = SecretKey::from_seed(seed);
    SignedRecord::sign(&record, &key, &Network::default()).unwrap()
}

/// A crowd that is there already is passed over: who comes next is probed next,
/// as soon as it is the newcomers' turn.
#[test]
fn a_crowd_that_came_earlier_does_not_hold_up_a_newcomer() {
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
        fixture.offer_record(&at_home(1, 120)),
        Ok(OfferOutcome::Candidate)
    );
    fixture.probe_some(6, |probed| *probed == id(1));
    assert!(fixture.registry.get(1).is_some());
}

/// The minutes until a relay is in that is named once a minute, after so many new
/// black holes, where 12 can be probed in a minute.
fn minutes_beside_a_crowd(crowd: u32, seed: u64) -> u64 {
    let few = AdmissionPolicy {
        max_candidates: 20,
        ..policy()
    };
    let mut fixture = Fixture::seeded(few, seed);
    for minute in 1..1_000 {
        fixture.at(minute * 60);
        for n in 0..crowd {
            // Black holes that were named before are named again.
            let named = (minute as u32 * crowd / 2 + n, fixture.at);
            let _ = fixture.offer_record(&black_hole(named.0, named.1));
        }
        let _ = fixture.offer_record(&at_home(1, fixture.at));
        for n in 0..crowd {
            let _ = fixture.offer_record(&black_hole(
                1_000_000 + minute as u32 * crowd + n,
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

/// Nobody can be kept out by being outnumbered: each minute is another draw, and
/// the chance is as good as anybody's. A full room used to be closed to all but
/// those who knocked the moment that somebody failed.
#[test]
fn an_honest_newcomer_has_its_share_of_the_probes_beside_any_crowd() {
    for (crowd, bound) in [(10, 6), (40, 12)] {
        let waits: Vec<u64> = (0..10)
            .map(|seed| minutes_beside_a_crowd(crowd, seed))
            .collect();
        let mean = waits.iter().sum::<u64>() / waits.len() as u64;
        assert!(mean <= bound, "{crowd} twice a minute: {waits:?}");
    }
}

/// To knock again does not better a lot, and the lots are drawn anew.
#[test]
fn a_lot_counts_for_a_while_however_often_one_knocks() {
    let mut fixture = Fixture::new(AdmissionPolicy {
        max_candidates: 20,
        ..policy()
    });
    let crowd: Vec<SignedRecord> = (0..100).map(|n| black_hole(n, 0)).collect();
    for _ in 0..3 {
        for record in &crowd {
            let _ = fixture.offer_record(record);
        }
    }
    let inside = |fixture: &Fixture| -> Vec<usize> {
        let is_in = |n: &usize| fixture.admission.knows(&crowd[*n].node_id());
        (0..100).filter(is_in).collect()
    };
    let first = inside(&fixture);
    assert_eq!(first.len(), 20);
    crowd.iter().rev().for_each(|record| {
        let _ = fixture.offer_record(record);
    });
    assert_eq!(inside(&fixture), first, "in whatever order");
    fixture.at(60);
    crowd.iter().for_each(|record| {
        let _ = fixture.offer_record(record);
    });
    assert_ne!(inside(&fixture), first);
}

#[test]
fn who_was_in_before_goes_before_a_crowd() {
    let mut fixture = Fixture::new(AdmissionPolicy {
        max_candidates: 20,
        ..policy()
    });
    fixture.update_peer(1);
    fixture.at(10);
    assert_eq!(
        fixture.offer_record(&withdraws(1, 10)),
        Ok(OfferOutcome::Withdrawn)
    );
    for n in 0..200 {
        let _ = fixture.offer_record(&black_hole(n, 10));
    }
    fixture.at(20);
    assert_eq!(
        fixture.offer_record(&at_home(1, 20)),
        Ok(OfferOutcome::Candidate)
    );
    fixture.probe_some(2, |probed| *probed == id(1));
    assert!(fixture.registry.get(1).is_some());
}

#[test]
fn first_probes_are_short_while_there_is_a_crowd() {
    let mut fixture = Fixture::new(policy());
    for (crowd, is_short) in [(10, false), (90, true)] {
        for n in 0..crowd {
            let _ = fixture.offer_record(&black_hole(n, 0));
        }
        let (probed, _) = fixture.admission.next_probe(S(0)).unwrap();
        assert_eq!(fixture.admission.is_short(&probed), is_short);
    }
    let mut fixture = Fixture::new(policy());
    fixture.update_peer(1);
    for n in 0..90 {
        let _ = fixture.offer_record(&black_hole(n, 0));
    }
    assert!(!fixture.admission.is_short(&id(1)), "it is no stranger");
}

/// What one of very many made-up relays says: that it serves, and that it does
/// no more, as far ahead in time as is believed.
fn made_up(n: u16, at: u64) -> [SignedRecord; 2] {
    made_up_at("5.6.250.1:1", n, at)
}

fn made_up_at(endpoint: &str, n: u16, at: u64) -> [SignedRecord; 2] {
    let mut seed = [0xee; 32];
    seed[..2].copy_from_slice(&n.to_be_bytes());
    let key = SecretKey::from_seed(seed);
    let issued = WALL + S(at + 290);
    let sequence = crate::dht::next_sequence(None, issued) + 2 * u64::from(n);
    let announcement = Announcement::new(endpoint.parse().unwrap(), 1).unwrap();
    let said = RelayRecord::announce(announcement, sequence, issued, S(TTL)).unwrap();
    let gone = RelayRecord::withdraw(sequence + 1, issued, S(TTL)).unwrap();
    [said, gone].map(|record| SignedRecord::sign(&record, &key, &Network::default()).unwrap())
}

/// They come and go without a probe, all in one prefix; they used to fill the
/// memory of what others said, until nobody else was believed.
#[test]
fn candidates_that_come_and_go_leave_others_as_believable_as_before() {
    let mut fixture = Fixture::new(policy());
    (1..=2).for_each(|n| fixture.update_peer(n));
    fixture.at(10);
    assert_eq!(
        fixture.offer_record(&withdraws(2, 5)),
        Ok(OfferOutcome::Withdrawn)
    );
    for n in 0..1_100 {
        let [said, gone] = made_up(n, 10);
        assert_eq!(fixture.offer_record(&said), Ok(OfferOutcome::Candidate));
        assert_eq!(fixture.offer_record(&gone), Ok(OfferOutcome::Withdrawn));
    }
    fixture.at(20);
    assert_eq!(
        fixture.offer_record(&at_home(1, 20)),
        Ok(OfferOutcome::Renewed)
    );
    assert_eq!(
        fixture.offer_record(&at_home(3, 20)),
        Ok(OfferOutcome::Candidate)
    );
    assert_eq!(
        fixture.offer_record(&at_home(2, 4)),
        Err(RejectReason::Withdrawn)
    );
    assert_eq!(
        fixture.offer_record(&withdraws(1, 21)),
        Ok(OfferOutcome::Withdrawn)
    );
}

#[test]
fn a_relay_that_left_with_its_record_is_not_heard_with_an_older_one() {
    for is_verified in [false, true] {
        let mut fixture = Fixture::new(policy());
        fixture.at = 1_000;
        assert_eq!(
            fixture.offer_record(&at_home(1, 5)),
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
        let sequence = crate::dht::next_sequence(None, issued);
        let lasting = RelayRecord::announce(announcement, sequence, issued, S(86_400)).unwrap();
        let lasting = SignedRecord::sign(&lasting, &key(1), &Network::default()).unwrap();
        assert_eq!(
            fixture.offer_record(&lasting),
            Err(RejectReason::Replayed),
            "{is_verified}"
        );
    }
}

/// It took as long as all of them together until a relay in the registry that
/// had died was found out.
#[test]
fn a_crowd_of_candidates_holds_up_no_probe_of_a_relay_that_is_in() {
    let mut fixture = Fixture::new(policy());
    fixture.update_peer(1);
    fixture.at(10);
    for n in 2..50 {
        assert_eq!(
            fixture.offer_record(&at_home(n, 10)),
            Ok(OfferOutcome::Candidate)
        );
    }
    let now = fixture.at(100).now();
    let first = [(); 2].map(|()| fixture.admission.next_probe(now.at).unwrap().0);
    assert!(first.contains(&id(1)));
    assert!(
        first.iter().any(|probed| *probed != id(1)),
        "they take turns"
    );
}

/// Each made-up relay that failed made room for the next one at the same address,
/// which was probed at once: as many probes a second as there were records.
#[test]
fn made_up_relays_do_not_draw_probe_after_probe_to_one_prefix() {
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
    // Two at a time, every 15 s.
    assert!((2..=10).contains(&probes), "{probes}");
    fixture.at(60).probe(|_| false);
    let honest = says(1, 60, "5.6.250.7:1");
    assert_eq!(fixture.offer_record(&honest), Ok(OfferOutcome::Candidate));
    fixture.at(75).probe(|probed| *probed == id(1));
    assert!(fixture.registry.holds(&id(1), false));
}

#[test]
fn who_withdraws_while_it_is_probed_draws_no_other_probe() {
    let mut fixture = Fixture::new(policy());
    for n in 0..3 {
        let [said, gone] = made_up(n, 0);
        assert_eq!(fixture.offer_record(&said), Ok(OfferOutcome::Candidate));
        let probe = fixture.admission.next_probe(S(0));
        assert_eq!(probe.is_some(), n == 0);
        assert_eq!(fixture.offer_record(&gone), Ok(OfferOutcome::Withdrawn));
        if let Some((id, endpoint)) = probe {
            let (failed, now) = (Err(ProbeError::Unreachable), fixture.now());
            fixture
                .admission
                .probed(&id, &endpoint, failed, &fixture.registry, now);
        }
    }
}

/// Relays that work and leave drive others that left out of memory, and unknown
/// ones with old records out of belief, but nobody who is in.
#[test]
fn relays_that_work_and_leave_cannot_make_those_that_are_in_unbelievable() {
    let mut fixture = Fixture::new(policy());
    fixture.update_peer(1);
    fixture.at(10);
    for n in 0..1_100_u16 {
        let [b, c] = n.to_be_bytes();
        let [said, gone] = made_up_at(&format!("40.{b}.{c}.1:1"), n, 10);
        assert_eq!(fixture.offer_record(&said), Ok(OfferOutcome::Candidate));
        assert_eq!(fixture.probe(|_| true), 1);
        assert_eq!(fixture.offer_record(&gone), Ok(OfferOutcome::Withdrawn));
    }
    fixture.at(20);
    assert_eq!(
        fixture.offer_record(&at_home(3, 20)),
        Err(RejectReason::Forgotten)
    );
    assert_eq!(
        fixture.offer_record(&at_home(1, 20)),
        Ok(OfferOutcome::Renewed)
    );
    assert_eq!(
        fixture.offer_record(&at_home(1, 15)),
        Err(RejectReason::Replayed)
    );
    assert_eq!(
        fixture.offer_record(&withdraws(1, 21)),
        Ok(OfferOutcome::Withdrawn)
    );
    assert!(fixture.offer_record(&at_home(1, 20)).is_err());
}

/// What key `n` says next: at `endpoint`, or that it is gone. The first is `n` times
/// a million.
fn says_next(n: u8, at: u64, said: &mut u64, endpoint: Option<&str>) -> SignedRecord {
    *said += 1;
    let (sequence, issued) = ((WALL + S(at)).as_micros() as u64 + *said, WALL + S(at));
    let record = match endpoint {
        Some(endpoint) => {
            let said = Announcement::new(endpoint.parse().unwrap(), 1).unwrap();
            RelayRecord::announce(said, sequence, issued, S(TTL)).unwrap()
        }
        None => RelayRecord::withdraw(sequence, issued, S(TTL)).unwrap(),
    };
    SignedRecord::sign(&record, &key(n), &Network::default()).unwrap()
}

/// Keys that passed and left used to go before everybody as often as they came back.
#[test]
fn keys_that_passed_and_come_back_elsewhere_hold_up_neither_newcomers_nor_others() {
    for withdraws in [true, false] {
        let mut fixture = Fixture::new(AdmissionPolicy {
            max_relays: 80,
            ..policy()
        });
        let mut said = 0;
        (1..=40).for_each(|n| fixture.update_peer(n));
        fixture.update_peer(60);
        fixture.at(60);
        assert_eq!(
            fixture.offer_record(&super::withdraws(60, 60)),
            Ok(OfferOutcome::Withdrawn)
        );
        let (mut came_in, mut came_back) = (None, None);
        for minute in 2..30 {
            fixture.at(minute * 60);
            for n in 1..=40 {
                let at = fixture.at;
                if withdraws {
                    let _ = fixture.offer_record(&says_next(n, at, &mut said, None));
                }
                let victim = format!("30.{}.{n}.1:1", minute);
                let _ = fixture.offer_record(&says_next(n, at, &mut said, Some(&victim)));
            }
            let at = fixture.at;
            let _ = fixture.offer_record(&at_home(50, at));
            let _ = fixture.offer_record(&at_home(60, at));
            fixture.probe_some(12, |probed| [50, 60].map(id).contains(probed));
            came_in = came_in.or(fixture.registry.get(50).map(|_| minute));
            came_back = came_back.or(fixture.registry.get(60).map(|_| minute));
        }
        assert!(came_in.is_some_and(|minute| minute <= 8), "{came_in:?}");
        assert!(came_back.is_some_and(|minute| minute <= 8), "{came_back:?}");
    }
}

#[test]
fn each_time_that_a_relay_was_in_lets_it_come_first_once() {
    let mut fixture = Fixture::new(policy());
    let mut said = 0;
    fixture.update_peer(1);
    let first = |fixture: &mut Fixture, at: u64, said: &mut u64, endpoint: &str| {
        fixture.at(at);
        let _ = fixture.offer_record(&says_next(1, at, said, None));
        (0..20).for_each(|n| {
            assert!(
                fixture
                    .offer_record(&black_hole(at as u32 * 100 + n, at))
                    .is_ok()
            )
        });
        let offered = fixture.offer_record(&says_next(1, at, said, Some(endpoint)));
        assert_eq!(offered, Ok(OfferOutcome::Candidate));
        let probes = [(); 2].map(|()| fixture.admission.next_probe(fixture.now().at).unwrap().0);
        probes.contains(&id(1))
    };
    assert!(first(&mut fixture, 100, &mut said, "5.6.1.1:1"));
    assert!(!first(&mut fixture, 200, &mut said, "5.6.2.1:1"));
}

/// Of those that wait for one prefix to rest, who came first goes first.
#[test]
fn who_waits_for_a_prefix_to_rest_is_not_overtaken_there() {
    let mut fixture = Fixture::new(policy());
    assert_eq!(
        fixture.offer_record(&says(1, 0, "5.6.7.1:1")),
        Ok(OfferOutcome::Candidate)
    );
    assert_eq!(fixture.probe(|_| false), 1);
    for (n, second) in [(2, 1), (3, 2)] {
        fixture.at(second);
        let neighbour = says(n, second, &format!("5.6.7.{n}:1"));
        assert_eq!(
            fixture.offer_record(&neighbour),
            Ok(OfferOutcome::Candidate)
        );
        assert_eq!(fixture.probe(|_| false), 0, "it rests");
    }
    let mut order = Vec::new();
    for second in 3..40 {
        let now = fixture.at(second).now();
        while let Some((probed, endpoint)) = fixture.admission.next_probe(now.at) {
            order.push(probed);
            let failed = Err(ProbeError::Unreachable);
            fixture
                .admission
                .probed(&probed, &endpoint, failed, &fixture.registry, now);
        }
    }
    assert_eq!(order[..2], [2, 3].map(id));
}

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use crate::dht::{Network, RelayRecord, SecretKey};
use crate::relay::{AddressPolicy, NatType};

const S: fn(u64) -> Duration = Duration::from_secs;
const WALL: Duration = Duration::from_secs(1_800_000_000);
const RTT: Duration = Duration::from_millis(20);
const TTL: u64 = 1_800;

/// A registry of so many places, in which some are local.
#[derive(Default)]
struct Registry {
    max: usize,
    relays: Mutex<BTreeMap<NodeId, Held>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Held {
    local: bool,
    capacity: u32,
    ttl: Duration,
    failed: bool,
}

impl Registry {
    fn register(&self, n: u8) {
        let held = Held {
            local: true,
            capacity: 1,
            ttl: S(1),
            failed: false,
        };
        self.relays.lock().unwrap().insert(id(n), held);
    }

    fn get(&self, n: u8) -> Option<Held> {
        self.relays.lock().unwrap().get(&id(n)).cloned()
    }

    fn holds(&self, id: &NodeId, local: bool) -> bool {
        let relays = self.relays.lock().unwrap();
        relays.get(id).is_some_and(|held| held.local == local)
    }
}

impl Ground for Registry {
    fn now(&self) -> Duration {
        S(0)
    }

    fn local(&self, _: &NodeId) -> Option<Announcement> {
        None
    }

    fn is_local(&self, id: &NodeId) -> bool {
        self.holds(id, true)
    }

    fn is_learned(&self, id: &NodeId) -> bool {
        self.holds(id, false)
    }

    fn enter(&self, id: &NodeId, _: &Announcement, capacity: u32, ttl: Duration) -> Entrance {
        if self.is_local(id) {
            return Entrance::HeldLocally;
        }
        let mut relays = self.relays.lock().unwrap();
        if !relays.contains_key(id) && relays.len() >= self.max {
            return Entrance::NoRoom;
        }
        let held = Held {
            local: false,
            capacity,
            ttl,
            failed: false,
        };
        relays.insert(*id, held);
        Entrance::Entered
    }

    fn measured(&self, _: &NodeId, _: Duration) {}

    fn failed(&self, id: &NodeId) {
        if let Some(held) = self.relays.lock().unwrap().get_mut(id) {
            held.failed = true;
        }
    }

    fn leave(&self, id: &NodeId) -> bool {
        self.is_learned(id) && self.relays.lock().unwrap().remove(id).is_some()
    }

    fn held(&self) -> usize {
        self.relays.lock().unwrap().len()
    }
}

fn key(n: u8) -> SecretKey {
    SecretKey::from_seed([n; 32])
}

fn id(n: u8) -> NodeId {
    key(n).node_id()
}

/// What relay `n` says at so many seconds.
fn says(n: u8, at: u64, endpoint: &str) -> SignedRecord {
    says_all(n, at, endpoint, 10, None)
}

fn says_all(n: u8, at: u64, endpoint: &str, capacity: u32, nat: Option<NatType>) -> SignedRecord {
    let issued = WALL + S(at);
    let announcement = Announcement::new(endpoint.parse().unwrap(), capacity).unwrap();
    let sequence = crate::dht::next_sequence(None, issued);
    let record =
        RelayRecord::announce(announcement.with_nat(nat), sequence, issued, S(TTL)).unwrap();
    SignedRecord::sign(&record, &key(n), &Network::default()).unwrap()
}

fn withdraws(n: u8, at: u64) -> SignedRecord {
    let issued = WALL + S(at);
    let sequence = crate::dht::next_sequence(None, issued);
    SignedRecord::tombstone(sequence, issued, S(1), &key(n), &Network::default()).unwrap()
}

/// Relay `n` at an address that shares no prefix with another's.
fn at_home(n: u8, at: u64) -> SignedRecord {
    says(n, at, &format!("5.6.{n}.1:1"))
}

struct Door {
    admission: Admission,
    registry: Registry,
    at: u64,
}

fn terms() -> Terms {
    Terms {
        network: Network::default(),
        own: Some(id(200)),
        allowed: None,
        addresses: AddressPolicy::PublicOnly,
        names: false,
        max_relays: 15,
        reserve: 5,
        max_candidates: 100,
        max_capacity: 100,
        news_per_minute: 3,
        probe_every: S(60),
        ask_every: S(600),
        patience: 3,
    }
}

impl Door {
    fn new(terms: Terms) -> Self {
        Self {
            registry: Registry {
                max: terms.max_relays,
                ..Registry::default()
            },
            admission: Admission::new(terms, PerPrefix { v4: 2, v6: 2 }, Rng::with_seed(1)),
            at: 0,
        }
    }

    fn now(&self) -> Now {
        Now {
            at: S(self.at),
            wall: WALL + S(self.at),
        }
    }

    fn at(&mut self, at: u64) -> &mut Self {
        self.at = at;
        let now = self.now();
        self.admission.tidy(&self.registry, now);
        self
    }

    fn offer(&mut self, record: &SignedRecord) -> Result<Offered, Refused> {
        let now = self.now();
        self.admission.offer(record, &self.registry, now)
    }

    /// Probes whoever is due; these and no others work.
    fn probe(&mut self, works: impl Fn(&NodeId) -> bool) -> usize {
        let mut probed = 0;
        let now = self.now();
        while let Some((id, endpoint)) = self.admission.next_probe(now.at) {
            let outcome = if works(&id) {
                Ok(RTT)
            } else {
                Err(ProbeError::Unreachable)
            };
            let Self {
                admission,
                registry,
                ..
            } = self;
            admission.probed(&id, &endpoint, outcome, registry, now);
            probed += 1;
        }
        probed
    }

    fn learn(&mut self, n: u8) {
        let now = self.at;
        assert_eq!(self.offer(&at_home(n, now)), Ok(Offered::Candidate));
        self.probe(|_| true);
        assert!(self.registry.holds(&id(n), false));
    }
}

#[test]
fn nobody_is_let_in_before_a_probe_succeeded() {
    let mut door = Door::new(terms());
    assert_eq!(door.offer(&at_home(1, 0)), Ok(Offered::Candidate));
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
        (at_home(200, 0), Refused::Own),
        (at_home(2, 0), Refused::NotAllowed),
        (says(1, 0, "10.0.0.1:1"), Refused::PrivateAddress),
        (says(1, 0, "127.0.0.1:1"), Refused::PrivateAddress),
        (says(1, 0, "[::1]:1"), Refused::PrivateAddress),
        (says(1, 0, "example.org:1"), Refused::Name),
        (says_all(1, 0, "5.6.7.8:1", 1, cone), Refused::NotReachable),
        (at_home(1, 600), Refused::FromTheFuture),
    ] {
        assert_eq!(door.offer(&record), Err(reason));
    }
    door.at(TTL);
    assert_eq!(door.offer(&at_home(1, 0)), Err(Refused::Expired));
    assert_eq!(door.admission.candidates(), 0);
    assert!(
        door.admission.gone.is_empty() && door.admission.strangers_gone.is_empty(),
        "none of it filled the memory"
    );
}

#[test]
fn a_withdrawn_relay_leaves_and_does_not_return() {
    let mut door = Door::new(terms());
    door.learn(1);
    door.at(10);
    assert_eq!(door.offer(&withdraws(1, 5)), Ok(Offered::Withdrawn));
    assert_eq!(door.registry.get(1), None);
    assert_eq!(door.offer(&at_home(1, 0)), Err(Refused::Withdrawn));
    assert_eq!(door.offer(&at_home(1, 4)), Err(Refused::Withdrawn));
    assert_eq!(door.offer(&at_home(1, 6)), Ok(Offered::Candidate));
}

#[test]
fn a_withdrawal_that_comes_before_its_relay_counts() {
    let mut door = Door::new(terms());
    assert_eq!(door.offer(&withdraws(1, 5)), Ok(Offered::Withdrawn));
    assert_eq!(door.offer(&at_home(1, 0)), Err(Refused::Withdrawn));
    assert!(door.admission.gone.is_empty());
}

#[test]
fn an_older_record_never_wins() {
    let mut door = Door::new(terms());
    let old = says(1, 0, "5.6.7.8:1");
    door.at(10);
    assert_eq!(
        door.offer(&says(1, 10, "5.6.7.9:1")),
        Ok(Offered::Candidate)
    );
    assert_eq!(door.offer(&old), Err(Refused::Replayed));
    assert_eq!(door.offer(&says(1, 10, "5.6.7.9:1")), Ok(Offered::Known));
    assert_eq!(
        door.offer(&says(1, 10, "5.6.7.1:1")),
        Err(Refused::Conflict)
    );
}

#[test]
fn a_relay_stays_no_longer_than_its_record() {
    let mut door = Door::new(terms());
    door.at = 300;
    assert_eq!(door.offer(&at_home(1, 0)), Ok(Offered::Candidate));
    door.probe(|_| true);
    assert_eq!(door.registry.get(1).unwrap().ttl, S(TTL - 300));
    door.at(TTL);
    assert_eq!((door.registry.get(1), door.admission.verified()), (None, 0));
    assert_eq!(door.offer(&at_home(1, 0)), Err(Refused::Expired));
}

#[test]
fn a_newer_record_renews_and_capacity_is_capped() {
    let mut door = Door::new(terms());
    door.learn(1);
    door.at(20);
    let greedy = says_all(1, 20, "5.6.1.1:1", 1_000_000, None);
    assert_eq!(door.offer(&greedy), Ok(Offered::Renewed));
    let held = door.registry.get(1).unwrap();
    assert_eq!((held.capacity, held.ttl), (100, S(TTL)));
}

#[test]
fn one_that_moves_is_a_candidate_again() {
    let mut door = Door::new(terms());
    door.learn(1);
    door.at(20);
    assert_eq!(
        door.offer(&says(1, 20, "5.6.1.2:1")),
        Ok(Offered::Candidate)
    );
    assert_eq!(door.registry.get(1), None);
    door.probe(|_| true);
    assert!(door.registry.get(1).is_some());
}

#[test]
fn the_probe_of_an_address_that_was_left_counts_for_nothing() {
    let mut door = Door::new(terms());
    door.offer(&at_home(1, 0)).unwrap();
    let (id, left) = door.admission.next_probe(S(0)).unwrap();
    door.at(1);
    door.offer(&says(1, 1, "5.6.1.2:1")).unwrap();
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
    door.learn(1);
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
    assert_eq!(door.offer(&record), Err(Refused::FailedProbes));
    door.at(at + 120);
    assert_eq!(door.offer(&record), Ok(Offered::Candidate));
}

#[test]
fn who_has_not_the_key_leaves_at_once() {
    let mut door = Door::new(terms());
    door.offer(&at_home(1, 0)).unwrap();
    let (id, endpoint) = door.admission.next_probe(S(0)).unwrap();
    let now = door.now();
    let wrong = Err(ProbeError::WrongIdentity);
    door.admission
        .probed(&id, &endpoint, wrong, &door.registry, now);
    assert_eq!(door.admission.candidates(), 0);
    assert_eq!(door.offer(&at_home(1, 0)), Err(Refused::FailedProbes));
}

#[test]
fn a_prefix_has_so_many_places_and_failing_candidates_give_way() {
    let mut door = Door::new(terms());
    for n in 1..=2 {
        assert_eq!(
            door.offer(&says(n, 0, &format!("5.6.7.{n}:1"))),
            Ok(Offered::Candidate)
        );
    }
    let third = says(3, 0, "5.6.7.3:1");
    assert_eq!(door.offer(&third), Err(Refused::TooManyOfPrefix));
    assert_eq!(door.offer(&says(4, 0, "5.6.8.4:1")), Ok(Offered::Candidate));
    door.probe(|probed| *probed != id(1));
    assert_eq!(door.offer(&third), Ok(Offered::Candidate));
    assert_eq!(
        door.offer(&says(5, 0, "5.6.7.5:1")),
        Err(Refused::TooManyOfPrefix)
    );
    // Where one failed, the next is not probed at once.
    door.at(15).probe(|_| true);
    assert!(door.registry.get(1).is_none() && door.registry.get(3).is_some());
}

#[test]
fn a_full_room_turns_newcomers_away_unless_somebody_failed() {
    let mut door = Door::new(Terms {
        max_candidates: 3,
        ..terms()
    });
    (1..=3).for_each(|n| assert_eq!(door.offer(&at_home(n, 0)), Ok(Offered::Candidate)));
    assert_eq!(door.offer(&at_home(4, 0)), Err(Refused::Full));
    door.probe(|_| false);
    assert_eq!(door.offer(&at_home(4, 0)), Ok(Offered::Candidate));
    assert!(!door.admission.knows(&id(1)), "who failed and came first");
    door.at(60).probe(|probed| *probed == id(2));
    assert_eq!(door.offer(&at_home(5, 60)), Ok(Offered::Candidate));
    assert!(door.admission.knows(&id(2)), "who is in does not wait");
}

#[test]
fn places_are_kept_for_local_relays() {
    let mut door = Door::new(terms());
    (1..=15).for_each(|n| assert_eq!(door.offer(&at_home(n, 0)), Ok(Offered::Candidate)));
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
    (1..=10).for_each(|n| door.learn(n));
    // From here on relay 4 hangs: its probe never ends.
    door.at = 60;
    door.offer(&at_home(11, 60)).unwrap();
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
    assert_eq!(door.offer(&at_home(1, 0)), Err(Refused::HeldLocally));
    door.learn(2);
    door.registry.register(2);
    door.at(60).probe(|_| false);
    assert!(door.registry.holds(&id(2), true) && !door.admission.knows(&id(2)));
    assert_eq!(door.offer(&withdraws(2, 60)), Ok(Offered::Withdrawn));
    assert!(door.registry.holds(&id(2), true));
}

#[test]
fn only_so_much_news_of_one_relay_is_heeded() {
    let mut door = Door::new(terms());
    door.learn(1);
    for at in 1..=3 {
        assert_eq!(door.at(at).offer(&at_home(1, at)), Ok(Offered::Renewed));
    }
    assert_eq!(door.at(4).offer(&at_home(1, 4)), Err(Refused::TooOften));
    assert_eq!(
        door.offer(&withdraws(1, 5)),
        Ok(Offered::Withdrawn),
        "that always is"
    );
    let mut door = Door::new(terms());
    door.learn(1);
    (1..=3).for_each(|at| assert!(door.at(at).offer(&at_home(1, at)).is_ok()));
    assert_eq!(door.at(70).offer(&at_home(1, 70)), Ok(Offered::Renewed));
}

#[test]
fn one_that_the_embedder_removed_stays_away_for_a_while() {
    let mut door = Door::new(terms());
    door.learn(1);
    door.registry.leave(&id(1));
    door.at(60).probe(|_| true);
    assert_eq!(door.registry.get(1), None);
    assert_eq!(door.offer(&at_home(1, 60)), Err(Refused::FailedProbes));
}

#[test]
fn who_is_missing_from_its_shard_is_noticed() {
    let mut door = Door::new(terms());
    (1..=3).for_each(|n| door.learn(n));
    let [a, b, c] = [1, 2, 3].map(id);
    assert_eq!(door.admission.listed(5, &[a, b].into()), []);
    assert_eq!(door.admission.listed(6, &[c].into()), []);
    assert_eq!(door.admission.listed(5, &[b].into()), [a]);
}

/// What one of very many made-up relays says: that it serves, and that it does
/// no more, as far ahead in time as is believed.
fn made_up(n: u16, at: u64) -> [SignedRecord; 2] {
    let mut seed = [0xee; 32];
    seed[..2].copy_from_slice(&n.to_be_bytes());
    let key = SecretKey::from_seed(seed);
    let issued = WALL + S(at + 290);
    let sequence = crate::dht::next_sequence(None, issued) + 2 * u64::from(n);
    let announcement = Announcement::new("5.6.250.1:1".parse().unwrap(), 1).unwrap();
    let said = RelayRecord::announce(announcement, sequence, issued, S(TTL)).unwrap();
    let gone = RelayRecord::withdraw(sequence + 1, issued, S(TTL)).unwrap();
    [said, gone].map(|record| SignedRecord::sign(&record, &key, &Network::default()).unwrap())
}

/// They come and go without a probe, all in one prefix; they used to fill the
/// memory of what others said, until nobody else was believed.
#[test]
fn candidates_that_come_and_go_leave_others_as_believable_as_before() {
    let mut door = Door::new(terms());
    (1..=2).for_each(|n| door.learn(n));
    door.at(10);
    assert_eq!(door.offer(&withdraws(2, 5)), Ok(Offered::Withdrawn));
    for n in 0..1_100 {
        let [said, gone] = made_up(n, 10);
        assert_eq!(door.offer(&said), Ok(Offered::Candidate));
        assert_eq!(door.offer(&gone), Ok(Offered::Withdrawn));
    }
    door.at(20);
    assert_eq!(door.offer(&at_home(1, 20)), Ok(Offered::Renewed));
    assert_eq!(door.offer(&at_home(3, 20)), Ok(Offered::Candidate));
    assert_eq!(door.offer(&at_home(2, 4)), Err(Refused::Withdrawn));
    assert_eq!(door.offer(&withdraws(1, 21)), Ok(Offered::Withdrawn));
}

#[test]
fn a_relay_that_left_with_its_record_is_not_heard_with_an_older_one() {
    for is_verified in [false, true] {
        let mut door = Door::new(terms());
        door.at = 1_000;
        assert_eq!(door.offer(&at_home(1, 5)), Ok(Offered::Candidate));
        door.probe(|_| is_verified);
        door.at(TTL + 5);
        assert_eq!(door.admission.candidates() + door.admission.verified(), 0);
        let issued = WALL;
        let announcement = Announcement::new("5.6.1.1:1".parse().unwrap(), 1).unwrap();
        let sequence = crate::dht::next_sequence(None, issued);
        let lasting = RelayRecord::announce(announcement, sequence, issued, S(86_400)).unwrap();
        let lasting = SignedRecord::sign(&lasting, &key(1), &Network::default()).unwrap();
        assert_eq!(
            door.offer(&lasting),
            Err(Refused::Replayed),
            "{is_verified}"
        );
    }
}

/// It took as long as all of them together until a relay in the registry that
/// had died was found out.
#[test]
fn a_crowd_of_candidates_holds_up_no_probe_of_a_relay_that_is_in() {
    let mut door = Door::new(terms());
    door.learn(1);
    door.at(10);
    for n in 2..50 {
        assert_eq!(door.offer(&at_home(n, 10)), Ok(Offered::Candidate));
    }
    let now = door.at(100).now();
    let first = [(); 2].map(|()| door.admission.next_probe(now.at).unwrap().0);
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
    let mut door = Door::new(terms());
    let records: Vec<_> = (0..100).map(|n| made_up(n, 0)[0].clone()).collect();
    let mut probes = 0;
    for second in 0..30 {
        door.at(second);
        for record in &records {
            let _ = door.offer(record);
            probes += door.probe(|_| false);
        }
    }
    // Two at a time, every 15 s.
    assert!((2..=10).contains(&probes), "{probes}");
    door.at(60).probe(|_| false);
    let honest = says(1, 60, "5.6.250.7:1");
    assert_eq!(door.offer(&honest), Ok(Offered::Candidate));
    door.at(75).probe(|probed| *probed == id(1));
    assert!(door.registry.holds(&id(1), false));
}

#[test]
fn who_withdraws_while_it_is_probed_draws_no_other_probe() {
    let mut door = Door::new(terms());
    for n in 0..3 {
        let [said, gone] = made_up(n, 0);
        assert_eq!(door.offer(&said), Ok(Offered::Candidate));
        let probe = door.admission.next_probe(S(0));
        assert_eq!(probe.is_some(), n == 0);
        assert_eq!(door.offer(&gone), Ok(Offered::Withdrawn));
        if let Some((id, endpoint)) = probe {
            let (failed, now) = (Err(ProbeError::Unreachable), door.now());
            door.admission
                .probed(&id, &endpoint, failed, &door.registry, now);
        }
    }
}

/// Relays that work and leave drive others that left out of memory, and unknown
/// ones with old records out of belief, but nobody who is in.
#[test]
fn relays_that_work_and_leave_cannot_make_those_that_are_in_unbelievable() {
    let mut door = Door::new(terms());
    door.learn(1);
    door.at(10);
    for n in 0..1_100 {
        let [said, gone] = made_up(n, 10);
        assert_eq!(door.offer(&said), Ok(Offered::Candidate));
        assert_eq!(door.probe(|_| true), 1);
        assert_eq!(door.offer(&gone), Ok(Offered::Withdrawn));
    }
    door.at(20);
    assert_eq!(door.offer(&at_home(3, 20)), Err(Refused::Forgotten));
    assert_eq!(door.offer(&at_home(1, 20)), Ok(Offered::Renewed));
    assert_eq!(door.offer(&at_home(1, 15)), Err(Refused::Replayed));
    assert_eq!(door.offer(&withdraws(1, 21)), Ok(Offered::Withdrawn));
    assert!(door.offer(&at_home(1, 20)).is_err());
}

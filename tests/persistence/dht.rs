//! What a DHT remembers: sequences, this node's own one, and records that are offered anew.

use crate::common::{ms, secs};
use crate::{Machine, saved};
use relay_registry::dht::{
    Announcement, DhtOptions, Memory, Network, OfferOutcome, ProbeError, RejectReason, RelayRecord,
    SecretKey, SignedRecord, next_sequence,
};
use relay_registry::{
    CircuitState, Clock, Endpoint, Failure, ManualClock, NodeId, Registry, RegistryBuilder, Verdict,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const TTL: Duration = Duration::from_secs(3_600);

fn key(n: u8) -> SecretKey {
    SecretKey::from_seed([n; 32])
}

fn node(n: u8) -> NodeId {
    key(n).node_id()
}

fn at(n: u8) -> Endpoint {
    format!("9.{n}.0.1:4433").parse().unwrap()
}

/// The record that node `n` signs now.
fn announced(n: u8, wall: &ManualClock) -> SignedRecord {
    let (now, network) = (wall.now(), Network::default());
    let announcement = Announcement::new(at(n), 10).unwrap();
    let record = RelayRecord::announce(announcement, next_sequence(None, now), now, TTL).unwrap();
    SignedRecord::sign(&record, &key(n), &network).unwrap()
}

fn withdrawn(n: u8, wall: &ManualClock) -> SignedRecord {
    let (now, network) = (wall.now(), Network::default());
    SignedRecord::tombstone(next_sequence(None, now), now, TTL, &key(n), &network).unwrap()
}

/// A probe that counts its calls, and fails while it is told to.
#[derive(Clone, Default)]
struct Prober {
    is_broken: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
}

impl Prober {
    fn options(&self) -> DhtOptions {
        let Self { is_broken, calls } = self.clone();
        DhtOptions::new()
            .worker_threads(0)
            .seed(1)
            .probe(move |_: &NodeId, _: &Endpoint, _| {
                calls.fetch_add(1, Ordering::Relaxed);
                match is_broken.load(Ordering::Relaxed) {
                    true => Err(ProbeError::Unreachable),
                    false => Ok(Duration::from_millis(5)),
                }
            })
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

fn with(prober: &Prober) -> impl FnOnce(RegistryBuilder) -> RegistryBuilder + use<> {
    let options = prober.options();
    move |builder| builder.dht(Memory::new(), options)
}

fn restored(machine: &Machine, save: &[u8], options: DhtOptions) -> crate::Process {
    machine.start(|builder| builder.dht(Memory::new(), options).restore(save).unwrap())
}

fn learn(registry: &Registry, record: &SignedRecord) {
    assert_eq!(registry.offer_record(record), Ok(OfferOutcome::Candidate));
    registry.run_distribution();
    assert!(registry.is_relay(&record.node_id()));
}

#[test]
fn learned_relays_are_probed_anew_before_they_are_handed_out() {
    let (machine, prober) = (Machine::new(), Prober::default());
    let first = machine.start(with(&prober));
    for n in 1..=3 {
        learn(&first, &announced(n, &machine.wall));
    }
    let save = saved(&first);
    let probes = prober.calls();
    let second = restored(&machine, &save, prober.options());
    let report = second.restored().unwrap();
    assert_eq!((report.candidates, report.live), (3, 0));
    assert!(second.relays().is_empty() && second.found().is_none());
    second.run_distribution();
    assert!(prober.calls() >= probes + 3);
    assert_eq!(second.learned_relays().len(), 3);
    assert!((1..=3).all(|n| second.is_relay(&node(n))));

    // Where probes fail, no relay is learned.
    prober.is_broken.store(true, Ordering::Relaxed);
    let second = restored(&machine, &save, prober.options());
    second.run_distribution();
    assert!(second.relays().is_empty());
}

#[test]
fn records_that_expired_meanwhile_are_not_offered() {
    let (machine, prober) = (Machine::new(), Prober::default());
    let first = machine.start(with(&prober));
    learn(&first, &announced(1, &machine.wall));
    let save = saved(&first);
    machine.wall.advance(TTL);
    let second = restored(&machine, &save, prober.options());
    assert_eq!(second.restored().unwrap().candidates, 0);
    second.run_distribution();
    assert!(second.relays().is_empty());
}

#[test]
fn a_withdrawn_relay_does_not_return_by_a_replay() {
    let (machine, prober) = (Machine::new(), Prober::default());
    let first = machine.start(with(&prober));
    let [verified, never] = [1, 2].map(|n| announced(n, &machine.wall));
    learn(&first, &verified);
    first.wait(secs(1));
    for n in [1, 2] {
        let outcome = first.offer_record(&withdrawn(n, &machine.wall));
        assert_eq!(outcome, Ok(OfferOutcome::Withdrawn));
    }
    let second = restored(&machine, &saved(&first), prober.options());
    assert_eq!(second.restored().unwrap().sequences, 2);
    for replayed in [&verified, &never] {
        assert_eq!(second.offer_record(replayed), Err(RejectReason::Withdrawn));
    }
    // Without the save, they would.
    let amnesiac = machine.start(with(&prober));
    assert!(amnesiac.offer_record(&verified).is_ok());
    // A later record is news.
    machine.wall.advance(secs(1));
    let later = announced(1, &machine.wall);
    assert_eq!(second.offer_record(&later), Ok(OfferOutcome::Candidate));
}

#[test]
fn an_older_record_of_a_learned_relay_is_a_replay() {
    let (machine, prober) = (Machine::new(), Prober::default());
    let first = machine.start(with(&prober));
    let old = announced(1, &machine.wall);
    machine.wall.advance(secs(10));
    let new = announced(1, &machine.wall);
    learn(&first, &new);
    let second = restored(&machine, &saved(&first), prober.options());
    assert_eq!(second.offer_record(&old), Err(RejectReason::Replayed));
    assert_eq!(second.offer_record(&new), Ok(OfferOutcome::Known));
}

#[test]
fn this_nodes_own_sequence_does_not_go_back() {
    for closes in [false, true] {
        let (machine, prober) = (Machine::new(), Prober::default());
        let options = || prober.options().key(key(9));
        let first = machine.start(|builder| builder.dht(Memory::new(), options()));
        first.register(node(9), at(9)).unwrap();
        for _ in 0..3 {
            first.wait(secs(1));
            first.run_distribution();
        }
        let said = first.own_record().expect("it is published").sequence();
        if closes {
            // The withdrawal has a higher one.
            first.close();
        }
        let save = saved(&first);
        // The calendar goes back an hour.
        let behind = ManualClock::new();
        behind.advance(crate::EPOCH - secs(3_600));
        let second = machine.start(|builder| {
            let builder = builder.wall_clock(behind.clone());
            builder
                .dht(Memory::new(), options())
                .restore(&save[..])
                .unwrap()
        });
        for _ in 0..3 {
            second.clock.advance(secs(1));
            behind.advance(secs(1));
            second.run_distribution();
        }
        let says = second
            .own_record()
            .expect("it is published again")
            .sequence();
        assert!(says > said + u64::from(closes), "{says} after {said}");
        // A node with another key begins by its calendar.
        let other = machine.start(|builder| {
            let options = prober.options().key(key(8));
            builder
                .dht(Memory::new(), options)
                .restore(&save[..])
                .unwrap()
        });
        other.register(node(8), at(8)).unwrap();
        for _ in 0..3 {
            other.wait(secs(1));
            other.run_distribution();
        }
        let by_calendar = machine.wall.now().as_micros() as u64;
        assert!(other.own_record().unwrap().sequence() <= by_calendar);
    }
}

#[test]
fn circuits_and_words_of_learned_relays() {
    let (machine, prober) = (Machine::new(), Prober::default());
    let configure = |builder: RegistryBuilder| builder.max_ejected_share(1.0);
    let first = machine.start(|builder| with(&prober)(configure(builder)));
    for n in 1..=3 {
        learn(&first, &announced(n, &machine.wall));
    }
    first.report_failure(&node(1), Failure::TimedOut);
    first.ban(&node(2), secs(1_000)).unwrap();
    first.set_tier(&node(3), 9).unwrap();
    let save = saved(&first);
    let second = machine.start(|builder| {
        let builder = configure(builder).dht(Memory::new(), prober.options());
        builder.restore(&save[..]).unwrap()
    });
    assert!(second.relays().is_empty());
    second.run_distribution();
    let relay = |n| second.relay(&node(n)).expect("it was probed");
    assert_eq!(relay(1).circuit(), CircuitState::Open);
    assert!(relay(2).is_banned());
    assert_eq!(relay(3).tier(), 9);
    let explanation = second.explain(
        &crate::common::non_relay(),
        &relay_registry::FindOptions::new(),
    );
    assert_eq!(explanation.of(&node(2)).unwrap().verdict, Verdict::Banned);
}

#[test]
fn records_of_another_network_are_left_out() {
    let (machine, prober) = (Machine::new(), Prober::default());
    let first = machine.start(with(&prober));
    learn(&first, &announced(1, &machine.wall));
    let other = prober.options().network(Network::new(b"other").unwrap());
    let second = restored(&machine, &saved(&first), other);
    assert_eq!(second.restored().unwrap().candidates, 0);
}

#[test]
fn no_more_records_are_offered_than_there_may_be_candidates() {
    let (machine, prober) = (Machine::new(), Prober::default());
    let first = machine.start(with(&prober));
    for n in 1..=9 {
        learn(&first, &announced(n, &machine.wall));
    }
    let few = prober.options().max_candidates(4);
    let second = restored(&machine, &saved(&first), few);
    assert_eq!(second.restored().unwrap().candidates, 4);
    assert_eq!(second.stats().dht.unwrap().candidates, 4);
    // The sequences of all are remembered.
    assert_eq!(second.restored().unwrap().sequences, 9);
}

/// A registry with a DHT restores what one without wrote, and the reverse.
#[test]
fn with_a_dht_or_without() {
    let (machine, prober) = (Machine::new(), Prober::default());
    let first = machine.start(with(&prober));
    learn(&first, &announced(1, &machine.wall));
    first.join(1);
    first.measure(1, ms(3));
    let second = machine.restart(&first);
    assert_eq!(second.found(), Some(1));
    let third = restored(&machine, &saved(&second), prober.options());
    assert_eq!(third.found(), Some(1));
}

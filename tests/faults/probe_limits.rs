//! Probe limits: relays of an attacker pass a probe, then announce the addresses of victims. The test counts
//! how often those are probed.

use crate::hostile_storage::soon;
use crate::world::{Node, RTT, TTL, World, id, key, secs};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use relay_registry::Clock;
use relay_registry::dht::{
    Announcement, DhtOptions, Network, OfferOutcome, ProbeError, RejectReason, RelayDht,
    RelayRecord, SecretKey, SignedRecord,
};
use relay_registry::{Endpoint, FindOptions, NodeId};

/// Addresses of one prefix at which no relay answers.
fn victim(n: usize) -> String {
    format!("9.9.9.{}:4433", 1 + n % 250)
}

/// An address at which a relay of the attacker answers.
fn den(n: u8) -> String {
    format!("7.7.{n}.1:4433")
}

/// A world that counts probes by address. Probes of victims fail.
struct Watch {
    world: World,
    probes: Arc<Mutex<BTreeMap<String, u64>>>,
    sequence: AtomicU64,
}

impl Watch {
    fn new() -> Self {
        Self {
            world: World::with_shards(1),
            probes: Arc::default(),
            sequence: AtomicU64::new(0),
        }
    }

    fn options(&self) -> DhtOptions {
        let probes = Arc::clone(&self.probes);
        self.world
            .options()
            .probe(move |_: &NodeId, at: &Endpoint, _| {
                let at = at.to_string();
                let works = !at.starts_with("9.9.");
                *probes.lock().unwrap().entry(at).or_default() += 1;
                works.then_some(RTT).ok_or(ProbeError::Unreachable)
            })
    }

    fn reader(&self) -> Node {
        self.world.node_with(self.options())
    }

    /// A reader that accepts this many new records of one relay per minute.
    fn node_that_hears(&self, news: u32) -> Node {
        self.world
            .node_with(self.options().max_updates_per_minute(news))
    }

    /// How many probes there were of addresses with this prefix.
    fn probes_of(&self, prefix: &str) -> u64 {
        let probes = self.probes.lock().unwrap();
        let of_prefix = probes.iter().filter(|(at, _)| at.starts_with(prefix));
        of_prefix.map(|(_, count)| count).sum()
    }

    fn sequence(&self) -> u64 {
        let now = self.world.wall.now().as_micros() as u64;
        let next = |last: u64| Some((last + 1).max(now));
        let last = self
            .sequence
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .unwrap();
        next(last).unwrap()
    }

    /// A record of `key` that is newer than its others.
    fn says(&self, key: &SecretKey, endpoint: &str) -> SignedRecord {
        let said = Announcement::new(endpoint.parse().unwrap(), 10).unwrap();
        let now = self.world.wall.now();
        let record = RelayRecord::announce(said, self.sequence(), now, TTL).unwrap();
        SignedRecord::sign(&record, key, &Network::default()).unwrap()
    }

    fn withdraws(&self, key: &SecretKey) -> SignedRecord {
        let (now, network) = (self.world.wall.now(), Network::default());
        SignedRecord::tombstone(self.sequence(), now, TTL, key, &network).unwrap()
    }

    /// Admits a relay of the attacker at an address where it answers.
    fn let_in(&self, node: &Node, n: u8) {
        let offered = node.registry.offer_record(&self.says(&key(n), &den(n)));
        assert_eq!(offered, Ok(OfferOutcome::Candidate));
        node.work();
        assert!(node.knows(n));
    }
}

/// The limit: a burst of as many probes as a prefix may have relays, then one per half a probe interval
/// divided by that. By default a burst of 4, then one per 7.5 s.
fn most_probes(span: Duration) -> u64 {
    4 + (span.as_millis() / 7_500) as u64
}

#[test]
fn a_key_that_passed_withdraws_and_names_a_victim_without_having_it_probed_on_and_on() {
    let watch = Watch::new();
    let reader = watch.reader();
    (1..=4).for_each(|n| watch.let_in(&reader, n));
    let (mut refused, step) = (0, Duration::from_millis(10));
    for round in 0..1_000 {
        for n in 1..=4 {
            let _ = reader.registry.offer_record(&watch.withdraws(&key(n)));
            let named = watch.says(&key(n), &victim(0));
            let offered = reader.registry.offer_record(&named);
            refused += u64::from(offered == Err(RejectReason::TooOften));
            reader.work();
        }
        watch.world.advance(step);
        let probes = watch.probes_of("9.9.9.");
        assert!(probes <= most_probes(step * round), "{probes} by {round}");
    }
    assert!(watch.probes_of("9.9.9.") > 0 && refused > 0);
}

#[test]
fn keys_that_passed_and_move_about_a_prefix_do_not_have_it_probed_on_and_on() {
    let watch = Watch::new();
    let reader = watch.reader();
    (1..=40).for_each(|n| watch.let_in(&reader, n));
    let begun = watch.world.clock.now();
    for round in 0..600 {
        for n in 1..=40 {
            let moved = watch.says(&key(n), &victim(round * 40 + usize::from(n)));
            let _ = reader.registry.offer_record(&moved);
            reader.work();
        }
        watch.world.advance(Duration::from_millis(100));
        let (probes, span) = (watch.probes_of("9.9.9."), watch.world.clock.now() - begun);
        assert!(probes <= most_probes(span), "{probes} in {span:?}");
    }
    assert!(watch.probes_of("9.9.9.") > 1);
}

#[test]
fn records_in_the_directory_do_not_have_a_victim_probed_on_and_on() {
    let watch = Watch::new();
    let reader = watch.reader();
    let attacker = watch.world.dht.connect();
    (1..=8).for_each(|n| watch.let_in(&reader, n));
    let begun = watch.world.clock.now();
    for round in 0..300 {
        for n in 1..=8 {
            let attacks = [
                watch.withdraws(&key(n)),
                watch.says(&key(n), &victim(usize::from(n))),
            ];
            for record in attacks {
                attacker.put(&record, soon()).unwrap();
                let _ = attacker.join(0, &record, soon());
                reader.registry.request_record(&id(n));
                reader.work();
            }
        }
        // A find without a result makes the registry read the directory at once.
        let _ = reader
            .registry
            .find_relay_with(&crate::world::non_relay(), &FindOptions::new());
        watch.world.advance(Duration::from_millis(200));
        let (probes, span) = (watch.probes_of("9.9.9."), watch.world.clock.now() - begun);
        assert!(
            probes <= most_probes(span),
            "{probes} in {span:?}, round {round}"
        );
    }
    assert!(watch.probes_of("9.9.9.") > 1);
}

/// Many keys that passed announce addresses in a victim's prefix. Other relays are still admitted.
#[test]
fn an_honest_relay_is_let_in_beside_keys_that_passed_and_name_victims() {
    let watch = Watch::new();
    let reader = watch.reader();
    (1..=40).for_each(|n| watch.let_in(&reader, n));
    for round in 0..120_u8 {
        for n in 1..=40 {
            let _ = reader.registry.offer_record(&watch.withdraws(&key(n)));
            let named = format!("9.9.{}.{n}:1", round % 8);
            let _ = reader.registry.offer_record(&watch.says(&key(n), &named));
        }
        if round >= 100 {
            let honest = round;
            let said = watch.says(&key(honest), &format!("6.6.{honest}.1:1"));
            assert_eq!(
                reader.registry.offer_record(&said),
                Ok(OfferOutcome::Candidate)
            );
            reader.work();
            assert!(reader.knows(honest));
        }
        reader.work();
        watch.world.advance(secs(1));
    }
}

#[test]
fn what_was_counted_against_a_key_outlives_its_withdrawals() {
    let watch = Watch::new();
    let reader = watch.node_that_hears(3);
    let heard = |round: u64| {
        let named = format!("9.9.{round}.1:1");
        let heard = reader.registry.offer_record(&watch.says(&key(1), &named));
        let _ = reader.registry.offer_record(&watch.withdraws(&key(1)));
        watch.world.advance(secs(1));
        heard
    };
    assert_eq!(
        heard(0),
        Ok(OfferOutcome::Candidate),
        "the first is no news"
    );
    for round in 1..=3 {
        assert_eq!(heard(round), Ok(OfferOutcome::Candidate));
    }
    assert_eq!(heard(4), Err(RejectReason::TooOften));
    watch.world.advance(secs(60));
    assert_eq!(heard(5), Ok(OfferOutcome::Candidate), "the minute is over");

    // Failed probes count as well. The third is beyond the limit.
    let reader = watch.node_that_hears(1_000);
    for round in 10..13 {
        let _ = reader.registry.offer_record(&watch.withdraws(&key(2)));
        let named = format!("9.9.{round}.1:1");
        let offered = reader.registry.offer_record(&watch.says(&key(2), &named));
        assert_eq!(offered, Ok(OfferOutcome::Candidate));
        reader.work();
        watch.world.advance(secs(1));
    }
    let elsewhere = watch.says(&key(2), &den(2));
    assert_eq!(
        reader.registry.offer_record(&elsewhere),
        Err(RejectReason::FailedProbes)
    );
    watch.world.advance(secs(120));
    assert_eq!(
        reader.registry.offer_record(&elsewhere),
        Ok(OfferOutcome::Candidate)
    );
    reader.work();
    assert!(reader.knows(2));
}

/// An address behind NAT64 is the same host.
#[test]
fn the_prefix_of_a_victim_is_the_same_by_whatever_address() {
    let watch = Watch::new();
    let probes = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&probes);
    let options = watch
        .world
        .options()
        .probe(move |_: &NodeId, _: &Endpoint, _| {
            count.fetch_add(1, Ordering::Relaxed);
            Err(ProbeError::Unreachable)
        });
    let reader = watch.world.node_with(options);
    for (n, named) in (1..).zip(["9.9.9.1:1", "[64:ff9b::9.9.9.2]:1", "9.9.9.3:1"]) {
        let offered = reader.registry.offer_record(&watch.says(&key(n), named));
        assert_eq!(offered, Ok(OfferOutcome::Candidate));
        reader.work();
        assert_eq!(probes.load(Ordering::Relaxed), 1);
    }
}

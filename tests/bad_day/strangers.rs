//! Strangers who pass a probe and then name victims, storage nodes that send what is worth nothing, and relays that
//! leave, end or drain at a bad moment.

#[allow(dead_code)]
#[path = "../dht/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use relay_registry::dht::{
    Announcement, DhtOptions, MAX_RECORD_LEN, Network, Offered, ProbeError, Refused, RelayDht,
    RelayRecord, SecretKey, SignedRecord,
};
use relay_registry::{Clock, Endpoint, NodeId};

use world::{Node, RTT, TTL, World, id, key, secs, until};

/// Where nothing answers: other addresses of one prefix.
fn victim(n: usize) -> String {
    format!("9.9.9.{}:4433", 1 + n % 250)
}

/// Where an attacker's relay answers.
fn den(n: u8) -> String {
    format!("7.7.{n}.1:4433")
}

/// A world in which each probe is counted by its address, and fails at victims'.
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

    /// Probes so far of addresses that begin like this.
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

    /// What `key` says now, above all that it said before.
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

    /// Lets an attacker's relay in where it answers.
    fn let_in(&self, node: &Node, n: u8) {
        let offered = node.registry.offer(&self.says(&key(n), &den(n)));
        assert_eq!(offered, Ok(Offered::Candidate));
        node.work();
        assert!(node.knows(n));
    }
}

/// As many at once as there may be relays of a prefix, and one each half probe interval divided by that: by default 4,
/// and one each 7.5 s.
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
            let _ = reader.registry.offer(&watch.withdraws(&key(n)));
            let named = watch.says(&key(n), &victim(0));
            let offered = reader.registry.offer(&named);
            refused += u64::from(offered == Err(Refused::TooOften));
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
            let _ = reader.registry.offer(&moved);
            reader.work();
        }
        watch.world.advance(Duration::from_millis(100));
        let (probes, span) = (watch.probes_of("9.9.9."), watch.world.clock.now() - begun);
        assert!(probes <= most_probes(span), "{probes} in {span:?}");
    }
    assert!(watch.probes_of("9.9.9.") > 1);
}

//! Strangers who pass a probe and then name victims, storage nodes that send what is worth nothing, and relays that
//! leave, end or drain at a bad moment.

use crate::world;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use relay_registry::dht::{
    Announcement, Answer, Candidate, CandidateSink, DhtError, DhtOptions, FailureDomain, Faults,
    Kad, Lie, Limits, Load, Member, MemberSink, Memory, Network, OfferOutcome, ProbeError, Put,
    RawKad, RawMemory, RejectReason, RelayDht, RelayRecord, SecretKey, SignedRecord, ValueSink,
    next_sequence,
};
use relay_registry::{
    Clock, Endpoint, FindOptions, Maintenance, ManualClock, NodeId, RegisterOptions, Registration,
    Registry,
};

use world::{Node, RTT, TTL, World, home, id, key, secs, until};

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

    /// A reader that heeds so many new records of one relay a minute.
    fn node_that_hears(&self, news: u32) -> Node {
        self.world
            .node_with(self.options().max_updates_per_minute(news))
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
        let offered = node.registry.offer_record(&self.says(&key(n), &den(n)));
        assert_eq!(offered, Ok(OfferOutcome::Candidate));
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
        // Callers who find nothing have the directory read at once.
        let _ = reader
            .registry
            .find_relay_with(&world::stranger(), &FindOptions::new());
        watch.world.advance(Duration::from_millis(200));
        let (probes, span) = (watch.probes_of("9.9.9."), watch.world.clock.now() - begun);
        assert!(
            probes <= most_probes(span),
            "{probes} in {span:?}, round {round}"
        );
    }
    assert!(watch.probes_of("9.9.9.") > 1);
}

/// Where the prefix of a victim is named by many keys that passed, others are still let in.
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

    // Probes that fail count on as well, and the third is one too many.
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

/// The way through NAT64 leads to the same host.
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

/// A directory that says who, and not what they say.
struct NamesOnly(Memory);

impl RelayDht for NamesOnly {
    fn limits(&self) -> Limits {
        self.0.limits()
    }

    fn put(&self, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        self.0.put(record, deadline)
    }

    fn get(
        &self,
        node: &NodeId,
        newer_than: Option<u64>,
        deadline: Instant,
        sink: &mut CandidateSink<'_>,
    ) -> Result<Answer, DhtError> {
        self.0.get(node, newer_than, deadline, sink)
    }

    fn join(&self, shard: u16, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        self.0.join(shard, record, deadline)
    }

    fn leave(&self, shard: u16, gone: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        self.0.leave(shard, gone, deadline)
    }

    fn members(
        &self,
        shard: u16,
        deadline: Instant,
        sink: &mut MemberSink<'_>,
    ) -> Result<Answer, DhtError> {
        self.0.members(shard, deadline, &mut |member: Member<'_>| {
            sink(Member {
                record: None,
                ..member
            })
        })
    }
}

/// A registry that reads through this engine.
fn reading(world: &World, engine: impl RelayDht, options: DhtOptions) -> Registry {
    world.builder().dht(engine, options).build().unwrap()
}

#[test]
fn a_relay_that_leaves_before_the_directory_is_read_again_is_gone_by_then() {
    let world = World::new();
    let relays: Vec<Node> = (1..=24).map(|n| world.relay(n)).collect();
    let reader = reading(&world, NamesOnly(world.dht.connect()), world.options());
    reader.run_distribution();
    assert_eq!(reader.relay_count(), 24);
    world.advance(secs(20));
    relays.iter().zip(1..).for_each(|(relay, n)| {
        assert!(relay.registry.unregister(&id(n)));
        relay.work();
    });
    let nodes: Vec<&Node> = relays.iter().collect();
    let took = until(&world, &nodes, || {
        reader.run_distribution();
        reader.relay_count() == 0
    });
    assert!(took <= secs(62), "by the next sweep: {took:?}");
}

#[test]
fn a_record_that_ends_within_a_tick_is_too_late_and_no_mark() {
    let world = World::new();
    let reader = world.reader();
    let late = world.says(1, "5.6.1.1:1");
    let probed_too_late = world.says(2, "5.6.2.1:1");
    world.advance(TTL - Duration::from_millis(150));
    assert_eq!(
        reader.registry.offer_record(&probed_too_late),
        Ok(OfferOutcome::Candidate)
    );
    world.advance(Duration::from_millis(100));
    assert_eq!(
        reader.registry.offer_record(&late),
        Err(RejectReason::Expired)
    );
    reader.work();
    assert_eq!(reader.registry.relay_count(), 0);
    for n in [1, 2] {
        let next = world.says(n, &format!("5.6.{n}.1:1"));
        assert_eq!(
            reader.registry.offer_record(&next),
            Ok(OfferOutcome::Candidate)
        );
        reader.work();
        assert!(reader.knows(n));
    }
}

#[test]
fn a_record_that_ends_during_a_probe_is_no_mark() {
    let world = World::new();
    let (clock, wall) = (world.clock.clone(), world.wall.clone());
    let is_slow = Arc::new(AtomicBool::new(false));
    let slow = Arc::clone(&is_slow);
    let options = world
        .options()
        .probe(move |_: &NodeId, _: &Endpoint, _: Duration| {
            if slow.swap(false, Ordering::Relaxed) {
                clock.advance(secs(120));
                wall.advance(secs(120));
            }
            Ok(RTT)
        });
    let reader = world.node_with(options);
    let offer = |record: &SignedRecord| reader.registry.offer_record(record);
    assert_eq!(
        offer(&world.says(1, "5.6.1.1:1")),
        Ok(OfferOutcome::Candidate)
    );
    reader.work();
    world.advance(TTL - secs(100));
    reader.work();
    assert!(reader.knows(1));
    is_slow.store(true, Ordering::Relaxed);
    let took = until(&world, &[&reader], || !is_slow.load(Ordering::Relaxed));
    assert!(took < secs(100), "the probe began while the record counted");
    assert!(!reader.knows(1));
    assert_eq!(
        offer(&world.says(1, "5.6.1.1:1")),
        Ok(OfferOutcome::Candidate)
    );
    reader.work();
    assert!(reader.knows(1));
}

#[test]
fn a_learned_relay_stays_for_as_long_as_its_record_counts() {
    let world = World::new();
    let dht = world.dht.connect();
    let builder = world.builder().tick(secs(10)).dht(dht, world.options());
    let registry = builder.build().unwrap();
    world.advance(secs(9));
    registry.offer_record(&world.says(1, "5.6.1.1:1")).unwrap();
    registry.run_distribution();
    world.advance(TTL - secs(1));
    assert!(registry.is_relay(&id(1)));
    world.advance(secs(11));
    assert!(!registry.is_relay(&id(1)));
}

/// An engine that hands out this many worthless values, from whoever answers first.
struct NoiseFirst<D>(D, usize);

/// Noise, each time another; every second one as long as a record, and of the right form.
fn noise(n: usize, record: &[u8]) -> Vec<u8> {
    let mut noise = record.to_vec();
    let at = if n % 2 == 0 { n / 2 } else { noise.len() / 2 };
    let at = at % noise.len();
    noise[at] ^= 1 + (n % 255) as u8;
    noise.extend_from_slice(&n.to_be_bytes()[..n % 3]);
    noise
}

impl<D: RelayDht> RelayDht for NoiseFirst<D> {
    fn limits(&self) -> Limits {
        self.0.limits()
    }

    fn put(&self, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        self.0.put(record, deadline)
    }

    fn get(
        &self,
        node: &NodeId,
        newer_than: Option<u64>,
        deadline: Instant,
        sink: &mut CandidateSink<'_>,
    ) -> Result<Answer, DhtError> {
        for n in 0..self.1 {
            if sink(Candidate::Encoded(&noise(n, &[7; 220]))).is_break() {
                return Ok(Answer::partial(1, 1));
            }
        }
        self.0.get(node, newer_than, deadline, sink)
    }

    fn members(
        &self,
        shard: u16,
        deadline: Instant,
        sink: &mut MemberSink<'_>,
    ) -> Result<Answer, DhtError> {
        for n in 0..self.1 {
            let noise = noise(n, &[7; 220]);
            let worthless = Member {
                node: id(n as u8),
                record: Some(Candidate::Encoded(&noise)),
            };
            if sink(worthless).is_break() {
                return Ok(Answer::partial(1, 1));
            }
        }
        self.0.members(shard, deadline, sink)
    }
}

fn soon() -> Instant {
    Instant::now() + secs(60)
}

#[test]
fn a_storage_node_that_sends_worthless_values_first_hides_nobody() {
    let world = World::with_shards(1);
    let _relays: Vec<Node> = (1..=3).map(|n| world.relay(n)).collect();
    let engine = NoiseFirst(world.dht.connect(), 1_000);
    let swept = reading(&world, engine, world.options());
    swept.run_distribution();
    assert_eq!(swept.relay_count(), 3);

    let engine = NoiseFirst(NamesOnly(world.dht.connect()), 1_000);
    let asked = reading(&world, engine, world.options());
    assert!(asked.request_record(&id(2)));
    asked.run_distribution();
    assert!(asked.is_relay(&id(2)));
}

/// Three of four storage nodes send noise until they are cut off; the others are heard all the same.
#[test]
fn storage_nodes_that_talk_without_end_hide_nobody_in_memory() {
    let world = World::with_shards(1);
    let _relays: Vec<Node> = (1..=3).map(|n| world.relay(n)).collect();
    for _ in 0..20 {
        let reader = world.node_with(world.options().request_deadline(secs(3_600)));
        let flood = Faults::new().lie(Lie::Flood, 0.75);
        reader.dht.set_faults(flood);
        let mut found = Vec::new();
        let answer = reader.dht.members(0, soon(), &mut |member: Member<'_>| {
            found.push(member.node);
            if found.len() < 1_000 {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        assert!(!answer.unwrap().is_complete());
        let honest = found.iter().position(|node| *node == id(1));
        assert!(honest.is_none_or(|place| place < 100), "{honest:?}");
    }
    let reader = world.node_with(world.options().request_deadline(secs(3_600)));
    reader.dht.set_faults(Faults::new().lie(Lie::Flood, 0.5));
    reader.work();
    assert_eq!(reader.registry.relay_count(), 3);
}

/// A raw store where one node sends so much noise before the others answer.
struct NoisyRaw(RawMemory, usize);

impl RawKad for NoisyRaw {
    fn max_value(&self) -> usize {
        self.0.max_value()
    }

    fn store(&self, key: [u8; 32], value: &[u8], deadline: Instant) -> Result<Put, DhtError> {
        self.0.store(key, value, deadline)
    }

    fn find_value(
        &self,
        key: [u8; 32],
        deadline: Instant,
        sink: &mut ValueSink<'_>,
    ) -> Result<Answer, DhtError> {
        for n in 0..self.1 {
            if sink(&noise(n, &[7; 220])).is_break() {
                return Ok(Answer::partial(1, 1));
            }
        }
        self.0.find_value(key, deadline, sink)
    }
}

#[test]
fn a_storage_node_that_sends_worthless_values_first_hides_nobody_over_a_raw_store() {
    let world = World::with_shards(1);
    let raw = RawMemory::new(20);
    let kad = |noise| {
        Kad::new(NoisyRaw(raw.clone(), noise), Network::default())
            .with_shards(1)
            .with_clock(world.wall.clone())
    };
    let (older, later) = (world.says(1, "5.6.1.1:1"), {
        world.advance(secs(1));
        world.says(1, "5.6.1.2:1")
    });
    kad(0).put(&later, soon()).unwrap();
    kad(0).join(0, &later, soon()).unwrap();
    let refused = kad(500).put(&older, soon());
    assert!(
        matches!(refused, Err(DhtError::Superseded { .. })),
        "{refused:?}"
    );
    for by_name in [false, true] {
        let reader = reading(&world, kad(500), world.options());
        if by_name {
            assert!(reader.request_record(&id(1)));
        }
        reader.run_distribution();
        assert!(reader.is_relay(&id(1)), "{by_name}");
    }
}

/// What comes first from a storage node may be old; the first answer ends the wait, not the asking.
#[test]
fn an_old_word_that_comes_first_does_not_end_the_asking() {
    let world = World::with_shards(1);
    let old_withdrawal = world.withdraws(1);
    world.advance(secs(1));
    let old = world.says(1, "5.6.1.1:1");
    world.advance(secs(1));
    let latest = world.says(1, "5.6.1.2:1");
    for first in [old_withdrawal, old] {
        let dht = Memory::builder().nodes(2).build();
        let [one, other] = [0..1, 1..2].map(|reachable| {
            let way = dht.connect();
            way.set_faults(Faults::new().partition(reachable));
            way
        });
        one.put(&first, soon()).unwrap();
        other.put(&latest, soon()).unwrap();
        for _ in 0..10 {
            let reader = reading(&world, dht.connect(), world.options());
            assert!(reader.request_record(&id(1)));
            reader.run_distribution();
            let known = reader.relay(&id(1)).expect("it is found");
            assert_eq!(known.endpoint(), &"5.6.1.2:1".parse().unwrap());
        }
    }
}

#[test]
fn a_failure_domain_has_one_limit_here_and_in_records() {
    let label = "d".repeat(FailureDomain::MAX_LEN);
    let too_long = format!("{label}d");
    assert!(FailureDomain::new(&too_long).is_err());
    let world = World::new();
    let relay = world.node(1);
    let refused = relay.registry.register_with(
        id(1),
        home(1),
        &RegisterOptions::new().failure_domain(too_long),
    );
    assert!(refused.is_err());
    let options = RegisterOptions::new().failure_domain(label.clone());
    relay
        .registry
        .register_with(id(1), home(1), &options)
        .unwrap();
    world.advance(secs(1));
    until(&world, &[&relay], || relay.stats().published);
    let said = relay.registry.own_record().unwrap();
    let said = said.record().announcement().unwrap().failure_domain();
    assert_eq!(said.map(FailureDomain::as_str), Some(&label[..]));

    // Two of one domain, near, and one of another, a little farther: the label counts where it was learned.
    let reader = world.reader();
    let labelled = |n: u8, label: &str| {
        let said = Announcement::new(home(n), 10)
            .unwrap()
            .with_failure_domain(FailureDomain::new(label).unwrap());
        let now = world.wall.now();
        let record = RelayRecord::announce(said, now.as_micros() as u64, now, TTL).unwrap();
        SignedRecord::sign(&record, &key(n), &Network::default()).unwrap()
    };
    for (n, label) in [(1, &label[..]), (2, &label[..]), (3, "elsewhere")] {
        let offered = reader.registry.offer_record(&labelled(n, label));
        assert_eq!(offered, Ok(OfferOutcome::Candidate));
    }
    reader.work();
    let found = reader
        .registry
        .find_relays(&world::stranger(), &FindOptions::new().max_results(2));
    let found: Vec<NodeId> = found.iter().map(|relay| relay.node_id()).collect();
    assert!(found.contains(&id(3)), "{found:?}");
}

#[test]
fn an_own_relay_that_drains_or_is_banned_here_is_published_as_full() {
    let world = World::new();
    let relay = world.relay(1);
    let load = || {
        world.advance(secs(1));
        relay.work();
        let said = relay.registry.own_record().unwrap();
        said.record().announcement().unwrap().load()
    };
    assert_eq!(load(), Some(Load::IDLE));
    relay.registry.set_draining(&id(1), true).unwrap();
    relay.work();
    assert_eq!(load(), Some(Load::FULL));
    relay.registry.set_draining(&id(1), false).unwrap();
    relay.work();
    assert_eq!(load(), Some(Load::IDLE));
    relay.registry.ban(&id(1), secs(30)).unwrap();
    relay.work();
    assert_eq!(load(), Some(Load::FULL));
    assert!(relay.registry.unban(&id(1)));
    relay.work();
    assert_eq!(load(), Some(Load::IDLE));
    relay.registry.ban(&id(1), secs(30)).unwrap();
    relay.work();
    assert_eq!(load(), Some(Load::FULL));
    world.advance(secs(30));
    relay.work();
    assert_eq!(load(), Some(Load::IDLE), "a ban ends by itself");
}

/// A registry that learns by hand, and the calendar; what is announced is let in at once.
fn learner(max_relays: usize) -> (Registry, ManualClock, ManualClock) {
    let (clock, wall) = (ManualClock::new(), ManualClock::new());
    wall.advance(secs(1_800_000_000));
    let dht = Memory::builder().clock(clock.clone()).build();
    let options = DhtOptions::new()
        .wall_clock(wall.clone())
        .worker_threads(0)
        .seed(1)
        .probe(|_: &NodeId, _: &Endpoint, _| Ok(RTT));
    let registry = Registry::builder()
        .max_relays(max_relays)
        .maintenance(Maintenance::Manual)
        .clock(clock.clone())
        .dht(dht, options)
        .build();
    (registry.unwrap(), clock, wall)
}

fn announce(registry: &Registry, wall: &ManualClock, key: &SecretKey, endpoint: &Endpoint) {
    let now = wall.now();
    let said = Announcement::new(endpoint.clone(), 10).unwrap();
    let record = RelayRecord::announce(said, next_sequence(None, now), now, secs(1_800)).unwrap();
    let signed = SignedRecord::sign(&record, key, &Network::default()).unwrap();
    let _offered = registry.offer_record(&signed);
    registry.run_distribution();
}

#[test]
fn learning_goes_on_after_any_number_of_leases_on_relays_that_left() {
    let (registry, _clock, wall) = learner(64);
    let leases: Vec<_> = (0..3_000_u32)
        .map(|n| {
            let local = NodeId::from_bytes(&n.to_be_bytes()).unwrap();
            let endpoint: Endpoint = "5.6.7.9:4433".parse().unwrap();
            registry.register(local, endpoint).unwrap();
            let lease = registry.lease(&local).unwrap();
            assert!(registry.unregister(&local));
            lease
        })
        .collect();
    for round in [1, 2] {
        let endpoint: Endpoint = format!("5.6.{round}.1:4433").parse().unwrap();
        announce(&registry, &wall, &key(round), &endpoint);
        assert!(registry.is_relay(&key(round).node_id()), "round {round}");
        if round == 1 {
            // Their records are used again, the last one first.
            registry.maintain();
        }
    }
    drop(leases);
    registry.maintain();
    let endpoint: Endpoint = "5.6.3.1:4433".parse().unwrap();
    announce(&registry, &wall, &key(3), &endpoint);
    assert!(registry.is_relay(&key(3).node_id()));
}

#[test]
fn a_relay_that_is_registered_here_and_late_is_not_learned_and_comes_back_as_it_was() {
    let (registry, clock, wall) = learner(1_000);
    let key = key(1);
    let relay = key.node_id();
    let endpoint: Endpoint = "5.6.7.1:4433".parse().unwrap();
    let told = RegisterOptions::new().capacity(7).ttl(secs(60));
    registry
        .register_with(relay, endpoint.clone(), &told)
        .unwrap();
    registry.report_load_of_others(&relay, 3);
    for by in [secs(61), secs(1)] {
        clock.advance(by);
        wall.advance(by);
        registry.maintain();
    }
    announce(&registry, &wall, &key, &endpoint);
    let outcome = registry.register(relay, endpoint);
    assert_eq!(outcome, Ok(Registration::Returned));
    let info = registry.relay(&relay).unwrap();
    assert_eq!((info.capacity(), info.current_load()), (7, 3));
}

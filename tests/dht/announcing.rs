//! What relays announce besides their endpoint travels with their record, as far as it is others'
//! business, and as far as it fits.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use relay_registry::dht::{
    Announcement, FailureDomain, MAX_RECORD_LEN, MAX_VALUE_LEN, Network, OfferOutcome, Probe,
    ProbeError, RejectReason, RelayRecord, SignedRecord, next_sequence,
};
use relay_registry::{
    Clock, Endpoint, NatType, NodeId, RegisterError, RegisterOptions, Registration, RelayInfo,
};

use crate::world::{Node, RTT, TTL, World, home, id, key, secs, until};

fn further() -> [Endpoint; 2] {
    ["[2600:1f18::7]:443", "5.7.1.1:443"].map(|text| text.parse().unwrap())
}

fn everything() -> RegisterOptions {
    RegisterOptions::new()
        .tier(7)
        .cost(0.5)
        .labels(["udp", "eu"])
        .also_at(further())
        .payload(b"opaque")
        .failure_domain("Rack 7, größe")
}

fn learned(node: &Node, n: u8) -> RelayInfo {
    node.registry.relay(&id(n)).expect("a learned relay")
}

fn labels(relay: &RelayInfo) -> Vec<&str> {
    relay.labels().collect()
}

/// The record of node `n` with this announcement, of now.
fn signed(world: &World, n: u8, announcement: Announcement) -> SignedRecord {
    let now = world.wall.now();
    let record = RelayRecord::announce(announcement, next_sequence(None, now), now, TTL).unwrap();
    SignedRecord::sign(&record, &key(n), &Network::default()).unwrap()
}

fn announcement(n: u8) -> Announcement {
    Announcement::new(home(n), 10).unwrap()
}

#[test]
fn all_but_tier_and_cost_is_published_and_learned() {
    let world = World::new();
    let relay = world.node(1);
    relay
        .registry
        .register_with(id(1), home(1), &everything())
        .unwrap();
    let reader = world.reader();
    let other = world.node_with(world.options().learned_tier(0));
    until(&world, &[&relay, &reader, &other], || {
        reader.knows(1) && other.knows(1)
    });
    let info = learned(&reader, 1);
    assert_eq!(labels(&info), ["eu", "udp"]);
    assert_eq!(info.also_at(), further());
    assert_eq!(info.payload(), Some(&b"opaque"[..]));
    assert_eq!(info.failure_domain(), Some("Rack 7, größe"));
    assert_eq!((info.tier(), info.cost()), (1, 1.0));
    assert_eq!(learned(&other, 1).tier(), 0);
    assert_eq!(learned(&relay, 1).tier(), 7, "its own");
    assert_eq!(
        reader.registry.payload(&id(1)).as_deref(),
        Some(&b"opaque"[..])
    );
}

#[test]
fn what_a_later_record_leaves_out_is_gone() {
    let world = World::new();
    let relay = world.node(1);
    let all = everything().nat(NatType::FullCone);
    relay.registry.register_with(id(1), home(1), &all).unwrap();
    let reader = world.reader();
    until(&world, &[&relay, &reader], || reader.knows(1));

    // It leaves and announces anew.
    relay.registry.unregister(&id(1));
    relay.registry.register(id(1), home(1)).unwrap();
    let is_plain = || {
        let info = reader.registry.relay(&id(1));
        info.is_some_and(|info| info.payload().is_none())
    };
    until(&world, &[&relay, &reader], is_plain);
    let info = learned(&reader, 1);
    assert_eq!(info.labels().len(), 0);
    assert_eq!(info.also_at(), []);
    assert_eq!((info.failure_domain(), info.nat()), (None, None));
}

/// The relay stays registered meanwhile.
#[test]
fn labels_that_a_later_record_leaves_out_are_gone() {
    let world = World::new();
    let reader = world.reader();
    let rack = FailureDomain::new("rack 7").unwrap();
    let first = announcement(1).with_labels(["eu", "udp"]).unwrap();
    let first = first.with_failure_domain(rack).with_nat(NatType::FullCone);
    reader
        .registry
        .offer_record(&signed(&world, 1, first))
        .unwrap();
    reader.work();
    assert_eq!(labels(&learned(&reader, 1)), ["eu", "udp"]);

    world.advance(secs(20));
    let second = announcement(1).with_labels(["eu"]).unwrap();
    let outcome = reader.registry.offer_record(&signed(&world, 1, second));
    assert_eq!(outcome, Ok(OfferOutcome::Renewed));
    let info = learned(&reader, 1);
    assert_eq!(labels(&info), ["eu"]);
    assert_eq!((info.failure_domain(), info.nat()), (None, None));
    assert_eq!(info.latency(), Some(RTT), "what was measured stays");
}

/// One byte more, and it is refused.
#[test]
fn an_own_relay_that_cannot_be_published_whole_is_refused() {
    let world = World::new();
    let relay = world.node(1);
    let names: Vec<String> = (0..8).map(|n| format!("{n}").repeat(32)).collect();
    let with = |payload: usize| {
        let options = RegisterOptions::new().labels(&names);
        options.payload(vec![7; payload]).capacity(1_000_000)
    };
    let register = |payload| relay.registry.register_with(id(1), home(1), &with(payload));
    let Err(RegisterError::TooLargeToPublish { len, max, .. }) = register(512) else {
        panic!("this does not fit");
    };
    assert_eq!(max, MAX_RECORD_LEN);
    assert!(!relay.knows(1));
    let most = 512 - (len - max);
    assert_eq!(register(most), Ok(Registration::New));

    // A renewal is refused as well, and changes nothing.
    let before = learned(&relay, 1);
    let refused = register(most + 1);
    let too_large = matches!(
        refused,
        Err(RegisterError::TooLargeToPublish {
            len: 901,
            max: 900,
            ..
        })
    );
    assert!(too_large, "{refused:?}");
    let also_at = RegisterOptions::new().also_at(further());
    let refused = relay.registry.register_with(id(1), home(1), &also_at);
    assert!(matches!(
        refused,
        Err(RegisterError::TooLargeToPublish { .. })
    ));
    assert_eq!(learned(&relay, 1), before);

    // A relay that is not published has room for all.
    let other = relay.registry.register_with(id(2), home(2), &with(512));
    assert_eq!(other, Ok(Registration::New));

    // What was accepted is published whole, also when it is full.
    relay.registry.report_load(&id(1), 1_000_000);
    let reader = world.reader();
    until(&world, &[&relay, &reader], || reader.knows(1));
    assert_eq!(learned(&reader, 1).payload().map(<[u8]>::len), Some(most));
    let record = relay.registry.own_record().unwrap();
    let len = record.encode().len();
    // The TTL of records may be up to a day, which takes no more bytes than half an hour does.
    assert!(
        (MAX_RECORD_LEN - 4..=MAX_RECORD_LEN).contains(&len),
        "{len}"
    );
    assert!(record.value().len() <= MAX_VALUE_LEN);
}

/// Records what it is given.
#[derive(Clone, Default)]
struct Witness {
    seen: Arc<Mutex<Vec<Announcement>>>,
}

impl Probe for Witness {
    fn probe(&self, _: &NodeId, _: &Endpoint, _: Duration) -> Result<Duration, ProbeError> {
        panic!("the registry calls the other one");
    }

    fn probe_announced(
        &self,
        _: &NodeId,
        announced: &Announcement,
        _: Duration,
    ) -> Result<Duration, ProbeError> {
        self.seen.lock().unwrap().push(announced.clone());
        match announced.payload() {
            Some(b"bad") => Err(ProbeError::Unreachable),
            _ => Ok(RTT),
        }
    }
}

#[test]
fn a_probe_sees_all_that_a_relay_announces() {
    let world = World::new();
    let relay = world.node(1);
    relay
        .registry
        .register_with(id(1), home(1), &everything())
        .unwrap();
    let witness = Witness::default();
    let reader = world.node_with(world.options().probe(witness.clone()));
    until(&world, &[&relay, &reader], || reader.knows(1));
    let seen = witness.seen.lock().unwrap();
    assert_eq!(seen[0].endpoint(), &home(1));
    assert_eq!(seen[0].also_at(), further());
    assert_eq!(seen[0].payload(), Some(&b"opaque"[..]));
    assert_eq!(seen[0].labels().collect::<Vec<_>>(), ["eu", "udp"]);
}

/// What was probed is not what is announced now.
#[test]
fn a_relay_whose_payload_or_further_endpoints_change_is_probed_anew() {
    let world = World::new();
    let witness = Witness::default();
    let reader = world.node_with(world.options().probe(witness.clone()));
    let offer = |announcement| {
        world.advance(secs(20));
        reader
            .registry
            .offer_record(&signed(&world, 1, announcement))
            .unwrap()
    };
    assert_eq!(offer(announcement(1)), OfferOutcome::Candidate);
    reader.work();
    assert!(reader.knows(1));

    // Labels and capacity are not probed.
    let labelled = || announcement(1).with_labels(["eu"]).unwrap();
    assert_eq!(offer(labelled()), OfferOutcome::Renewed);
    assert_eq!(labels(&learned(&reader, 1)), ["eu"]);
    assert_eq!(witness.seen.lock().unwrap().len(), 1);

    let with_further = labelled().with_also_at(further()).unwrap();
    assert_eq!(offer(with_further.clone()), OfferOutcome::Candidate);
    assert!(!reader.knows(1), "until it is probed");
    reader.work();
    assert!(reader.knows(1));

    let bad = with_further.with_payload(b"bad").unwrap();
    assert_eq!(offer(bad), OfferOutcome::Candidate);
    reader.work();
    assert!(!reader.knows(1), "its probe failed");
    assert_eq!(
        witness.seen.lock().unwrap().last().unwrap().payload(),
        Some(&b"bad"[..])
    );
}

#[test]
fn every_endpoint_of_a_record_must_be_admitted() {
    let world = World::new();
    let reader = world.reader();
    for (endpoint, reason) in [
        ("192.168.1.1:443", RejectReason::PrivateAddress),
        ("[fd00::1]:443", RejectReason::PrivateAddress),
        ("relay.example.org:443", RejectReason::Name),
    ] {
        let [public, _] = further();
        let announcement = announcement(1).with_also_at([public, endpoint.parse().unwrap()]);
        let record = signed(&world, 1, announcement.unwrap());
        assert_eq!(reader.registry.offer_record(&record), Err(reason));
    }
    assert_eq!(reader.stats().candidates, 0);
}

#[test]
fn labels_of_learned_relays_use_up_no_room() {
    let world = World::new();
    let reader = world.reader();
    for n in 1..=20 {
        let names = (0..8).map(|m| format!("{n}/{m}"));
        let record = signed(&world, n, announcement(n).with_labels(names).unwrap());
        reader.registry.offer_record(&record).unwrap();
    }
    reader.work();
    assert_eq!(reader.registry.relay_count(), 20);
    for n in 0..8 {
        let options = RegisterOptions::new().labels((0..8).map(|m| format!("own {n}/{m}")));
        let outcome = reader
            .registry
            .register_with(id(100 + n), home(100 + n), &options);
        assert_eq!(outcome, Ok(Registration::New));
    }
    let one_more = RegisterOptions::new().labels(["1/0"]);
    let refused = reader.registry.register_with(id(120), home(120), &one_more);
    assert!(matches!(refused, Err(RegisterError::TooManyLabels { .. })));
    // Which labels are in use is counted anew: those of learned relays are not.
    assert!(reader.registry.unregister(&id(107)));
    let outcome = reader.registry.register_with(id(120), home(120), &one_more);
    assert_eq!(outcome, Ok(Registration::New));
    // A local relay of the same id has its own labels and counts.
    let outcome = reader.registry.register(id(1), home(1));
    assert_eq!(outcome, Ok(Registration::New));
    assert_eq!(learned(&reader, 1).labels().len(), 0);
    assert_eq!(learned(&reader, 1).tier(), 0);
}

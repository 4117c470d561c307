//! What the DHT of a registry says.

use crate::dht_world::{EPOCH, TTL, World, home, id, key, secs, until};
use crate::recorder::{Recorder, Said};
use relay_registry::NodeId;
use relay_registry::dht::{
    Announcement, DhtError, Faults, Network, RejectReason, RelayRecord, SignedRecord, next_sequence,
};
use std::time::Duration;
use tracing::Level;

fn warnings_of(recorder: &Recorder, beginning: &str) -> Vec<Said> {
    let warnings = recorder.warnings();
    let is_it = |said: &Said| said.text.starts_with(beginning);
    warnings.into_iter().filter(is_it).collect()
}

fn relays_of(said: &[Said]) -> Vec<&str> {
    said.iter().map(|said| said.field("relay")).collect()
}

#[test]
fn jobs_are_spans_and_learned_relays_events() {
    let recorder = Recorder::default();
    recorder.during(|| {
        let world = World::new();
        let _relay = world.relay(1);
        let reader = world.reader();
        until(&world, &[&reader], || reader.knows(1));
        reader.work();

        let own = id(1).to_string();
        let published = recorder.spans("publish");
        let stored = |said: &&Said| said.fields.contains_key("outcome");
        assert!(
            published.iter().filter(stored).count() >= 2,
            "{published:?}"
        );
        assert!(relays_of(&published).iter().all(|relay| *relay == own));
        assert!(
            published
                .iter()
                .any(|said| said.fields.contains_key("shard"))
        );
        assert!(
            published
                .iter()
                .all(|said| said.field("panicked") == "false")
        );
        assert!(!recorder.spans("query").is_empty());
        let probes = recorder.spans("probe");
        assert_eq!(relays_of(&probes), [&own]);
        assert_eq!(probes[0].field("endpoint"), home(1).to_string());
        assert_eq!(probes[0].field("outcome"), "20ms");
        for span in published.iter().chain(&probes) {
            assert_eq!(
                (span.level, &*span.target),
                (Level::DEBUG, "relay_registry::dht")
            );
        }
        let learned = recorder.events_of(Level::DEBUG);
        assert_eq!(learned.len(), 1, "{learned:?}");
        assert_eq!(learned[0].text, "a relay was learned");
        assert_eq!(learned[0].field("relay"), own);
    });
}

#[test]
fn a_rejected_record_is_told_of_with_its_reason() {
    let recorder = Recorder::default();
    recorder.during(|| {
        let world = World::new();
        let reader = world.reader();
        let record = world.says(1, "192.168.1.1:4433");
        let outcome = reader.registry.offer_record(&record);
        assert_eq!(outcome, Err(RejectReason::PrivateAddress));
        assert_eq!(recorder.events_of(Level::DEBUG).len(), 0, "not in the call");
        reader.work();
        let told = recorder.events_of(Level::DEBUG);
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].field("relay"), id(1).to_string());
        assert_eq!(
            told[0].field("reason"),
            RejectReason::PrivateAddress.to_string()
        );
    });
}

/// Beyond a bound, events are counted.
#[test]
fn a_flood_of_rejected_records_is_not_kept() {
    let recorder = Recorder::default();
    recorder.during(|| {
        let world = World::new();
        let reader = world.reader();
        let record = world.says(1, "192.168.1.1:4433");
        for _ in 0..300 {
            assert!(reader.registry.offer_record(&record).is_err());
        }
        reader.work();
        let told = recorder.events_of(Level::DEBUG);
        assert_eq!(told.len(), 257);
        assert_eq!(told[256].field("lost"), "44");
    });
}

#[test]
fn an_engine_that_fails_is_warned_of_with_its_error() {
    const FAILS: &str = "the engine fails";
    let recorder = Recorder::default();
    recorder.during(|| {
        let world = World::new();
        let reader = world.reader();
        reader
            .dht
            .set_faults(Faults::new().fail(DhtError::Unreachable));
        until(&world, &[&reader], || reader.stats().breaker_open);
        reader.work();
        let warnings = warnings_of(&recorder, FAILS);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!(warnings[0].target, "relay_registry::dht");
        assert_eq!(
            warnings[0].field("error"),
            DhtError::Unreachable.to_string()
        );
        assert_eq!(warnings[0].field("panicked"), "false");
        assert_eq!(warnings[0].field("requests_pause"), "true");
        assert_eq!(warnings[0].field("suppressed"), "0");
        assert!(warnings[0].number("engine_failures") >= 5.0);

        for _ in 0..600 {
            reader.work();
            world.advance(secs(1));
        }
        let warnings = warnings_of(&recorder, FAILS);
        assert!((5..=11).contains(&warnings.len()), "{warnings:?}");
        assert_eq!(recorder.events_of(Level::INFO).len(), 1, "it was built");

        reader.dht.set_faults(Faults::new());
        until(&world, &[&reader], || !reader.stats().breaker_open);
        reader.work();
        let told = recorder.events_of(Level::INFO);
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(told[1].text, "the engine answers again");
    });
}

/// No request pauses, for the engine answers: without a warning, nothing would tell an operator.
#[test]
fn an_engine_that_refuses_is_warned_of_with_its_reason() {
    let recorder = Recorder::default();
    recorder.during(|| {
        let world = World::new();
        let reader = world.reader();
        let wrong = DhtError::rejected("WRONGPASS");
        reader.dht.set_faults(Faults::new().fail(wrong.clone()));
        for _ in 0..30 {
            reader.work();
            world.advance(secs(1));
        }
        let warnings = warnings_of(&recorder, "the engine fails");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!(warnings[0].field("error"), wrong.to_string());
        assert_eq!(warnings[0].field("requests_pause"), "false");
    });
}

#[test]
fn a_panic_of_the_engine_is_told_apart_from_its_errors() {
    let recorder = Recorder::default();
    recorder.during(|| {
        let world = World::new();
        let reader = world.reader();
        reader.dht.set_faults(Faults::new().panic());
        until(&world, &[&reader], || reader.stats().breaker_open);
        reader.work();
        let warnings = warnings_of(&recorder, "the engine fails");
        assert_eq!(warnings[0].field("panicked"), "true");
        let queries = recorder.spans("query");
        assert!(queries.iter().all(|span| span.field("panicked") == "true"));
    });
}

/// The record of node `n`, issued when its clock reads so.
fn issued(n: u8, endpoint: &str, at: Duration) -> SignedRecord {
    let announcement = Announcement::new(endpoint.parse().unwrap(), 10).unwrap();
    let record = RelayRecord::announce(announcement, next_sequence(None, at), at, TTL).unwrap();
    SignedRecord::sign(&record, &key(n), &Network::default()).unwrap()
}

const SLOW: &str = "records of other relays are issued in the future";
const FAST: &str = "all records of other relays have expired";

#[test]
fn a_slow_wall_clock_is_warned_of() {
    let recorder = Recorder::default();
    recorder.during(|| {
        let world = World::new();
        let reader = world.reader();
        let offer = |n: u8, ahead: u64| {
            let record = issued(n, &home(n).to_string(), EPOCH + secs(ahead));
            let _ = reader.registry.offer_record(&record);
            reader.work();
        };
        // Accepted or rejected, that makes no difference.
        offer(1, 200);
        offer(2, 400);
        assert_eq!(recorder.warnings().len(), 0);
        offer(3, 300);
        let warnings = warnings_of(&recorder, SLOW);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let warning = &warnings[0];
        assert_eq!(warning.target, "relay_registry::clock");
        assert_eq!(
            (warning.field("prefixes"), warning.field("of_prefixes")),
            ("3", "3")
        );
        assert_eq!(warning.number("median_seconds"), 300.0);
        offer(4, 250);
        assert_eq!(warnings_of(&recorder, SLOW).len(), 1, "within the minute");
    });
}

/// It has as many keys as it likes, but not the addresses of others.
#[test]
fn a_liar_in_one_network_makes_no_clock_look_slow() {
    let recorder = Recorder::default();
    recorder.during(|| {
        let world = World::new();
        let reader = world.reader();
        for n in 1..=50 {
            let record = issued(n, &format!("5.6.7.{n}:4433"), EPOCH + secs(250));
            let _ = reader.registry.offer_record(&record);
        }
        reader.work();
        assert_eq!(warnings_of(&recorder, SLOW).len(), 0);
    });
}

#[test]
fn relays_that_passed_a_probe_hold_against_liars_in_many_networks() {
    let recorder = Recorder::default();
    recorder.during(|| {
        let world = World::new();
        let reader = world.reader();
        let offer = |record: &SignedRecord| {
            let _ = reader.registry.offer_record(record);
            reader.work();
        };
        let honest: Vec<NodeId> = (1..=3).map(id).collect();
        (1..=3).for_each(|n| offer(&issued(n, &home(n).to_string(), EPOCH)));
        until(&world, &[&reader], || {
            honest.iter().all(|id| reader.registry.is_relay(id))
        });
        world.advance(secs(10));
        let renewed = EPOCH + secs(10);
        (1..=3).for_each(|n| offer(&issued(n, &home(n).to_string(), renewed)));
        for n in 4..=100 {
            world.breaks(n);
            offer(&issued(n, &home(n).to_string(), EPOCH + secs(280)));
        }
        assert_eq!(warnings_of(&recorder, SLOW).len(), 0);
    });
}

#[test]
fn a_fast_wall_clock_is_warned_of() {
    let recorder = Recorder::default();
    recorder.during(|| {
        let world = World::new();
        let reader = world.reader();
        let long_ago = EPOCH - TTL - secs(1_000);
        let offer = |n: u8, at: Duration| {
            let record = issued(n, &home(n).to_string(), at);
            let _ = reader.registry.offer_record(&record);
            reader.work();
        };
        offer(1, long_ago);
        offer(2, long_ago);
        offer(4, EPOCH);
        offer(3, long_ago);
        assert_eq!(recorder.warnings().len(), 0, "one is in time");
        world.clock.advance(secs(600));
        world.wall.advance(secs(600));
        (1..=3).for_each(|n| offer(n, long_ago));
        let warnings = warnings_of(&recorder, FAST);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!(warnings[0].field("prefixes"), "3");
        assert_eq!(warnings[0].number("median_seconds"), 1_600.0);
    });
}

#[test]
fn a_subscriber_may_call_the_dht_and_panic_in_it() {
    let recorder = Recorder::default();
    recorder.during(|| {
        let world = World::new();
        let relay = world.relay(1);
        let reader = world.reader();
        let registry = reader.registry.clone();
        let record = world.says(2, "5.6.2.1:4433");
        recorder.set_hook(move || {
            let _ = registry.offer_record(&record);
            registry.request_record(&id(3));
            let _ = (registry.learned_relays(), registry.stats());
        });
        until(&world, &[&reader], || reader.knows(1));
        recorder.set_broken(true);
        for _ in 0..100 {
            reader.work();
            relay.registry.register(id(1), home(1)).unwrap();
            relay.work();
            world.advance(secs(60));
        }
        assert!(reader.knows(1), "it was renewed");
        let panics = reader.stats().panics;
        assert!(panics > 0);
        recorder.set_broken(false);
        reader.work();
    });
}

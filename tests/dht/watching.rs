//! Registries that wait for changes.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use relay_registry::dht::{
    Answer, CandidateSink, Change, ChangeSink, DhtError, Limits, Memory, Put, RelayDht,
    SignedRecord,
};
use relay_registry::{Maintenance, NodeId, Registry};

use crate::world::{World, home, id, key, secs};

/// A world whose network is watched.
fn world() -> World {
    let mut world = World::new();
    world.dht = Memory::builder()
        .clock(world.clock.clone())
        .watching()
        .build();
    world
}

#[test]
fn a_relay_that_joins_or_withdraws_is_seen_before_the_next_sweep() {
    let world = world();
    let reader = world.reader();
    reader.work();
    let sweeps = reader.stats().sweeps;
    // The clock stands still.
    let relay = world.node(1);
    relay.registry.register(id(1), home(1)).unwrap();
    relay.work();
    world.advance(secs(1));
    relay.work();
    reader.work();
    assert!(reader.knows(1));
    relay.registry.unregister(&id(1));
    relay.work();
    world.advance(secs(1));
    relay.work();
    reader.work();
    assert!(!reader.knows(1));
    let stats = reader.stats();
    assert_eq!(stats.sweeps, sweeps, "it read the directory");
    assert!(stats.changes >= 3, "the start, and two changes: {stats:?}");
}

#[test]
fn relays_that_are_not_wanted_are_not_looked_up() {
    let world = world();
    let reader = world.node_with(world.options().wanted_relays(1));
    reader.work();
    let relays: Vec<_> = (1..=3).map(|n| world.relay(n)).collect();
    reader.work();
    let stats = reader.stats();
    assert_eq!((stats.learned, stats.fetches), (1, 1), "{stats:?}");
    drop(relays);
}

/// Another thread waits, and the relay is known as soon as it has published.
#[test]
fn a_registry_with_threads_waits_for_changes() {
    let network = Memory::builder().watching().build();
    let registry = |n: u8| {
        let options = World::new().options().worker_threads(1);
        let builder = Registry::builder().maintenance(Maintenance::Thread);
        // Without changes, the directory would be read once an hour.
        let options = options.sweep_interval(secs(3_600)).key(key(n));
        builder.dht(network.connect(), options).build().unwrap()
    };
    let (reader, relay) = (registry(2), registry(1));
    let began = Instant::now();
    while reader.stats().dht.unwrap().changes == 0 {
        assert!(began.elapsed() < secs(60), "it does not watch");
        std::thread::yield_now();
    }
    relay.register(id(1), home(1)).unwrap();
    while !reader.is_relay(&id(1)) {
        assert!(began.elapsed() < secs(60), "{:?}", reader.stats().dht);
        std::thread::yield_now();
    }
    assert!(relay.unregister(&id(1)));
    while reader.is_relay(&id(1)) {
        assert!(began.elapsed() < secs(60), "{:?}", reader.stats().dht);
        std::thread::yield_now();
    }
}

/// An engine that says that relays change whenever it is asked, or panics.
struct Restless {
    dht: Memory,
    changes: u64,
    panics: bool,
    calls: AtomicU64,
}

impl RelayDht for Restless {
    fn limits(&self) -> Limits {
        self.dht.limits().watching()
    }

    fn put(&self, record: &SignedRecord, deadline: Instant) -> Result<Put, DhtError> {
        self.dht.put(record, deadline)
    }

    fn get(
        &self,
        node: &NodeId,
        newer_than: Option<u64>,
        deadline: Instant,
        sink: &mut CandidateSink<'_>,
    ) -> Result<Answer, DhtError> {
        self.dht.get(node, newer_than, deadline, sink)
    }

    fn changed(&self, _: Instant, sink: &mut ChangeSink<'_>) -> Result<(), DhtError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        assert!(!self.panics, "an injected panic");
        for change in 0..self.changes {
            let made_up = (call * self.changes + change).to_be_bytes();
            let made_up = NodeId::from_bytes(&made_up).unwrap();
            if sink(Change::Relay(made_up)) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

fn reader_of(world: &World, changes: u64, panics: bool) -> Registry {
    let dht = Restless {
        dht: world.dht.connect(),
        changes,
        panics,
        calls: AtomicU64::new(0),
    };
    let builder = world.builder();
    builder.dht(dht, world.options()).build().unwrap()
}

#[test]
fn made_up_changes_cost_a_limited_number_of_lookups() {
    let world = World::new();
    let reader = reader_of(&world, 1_000_000, false);
    for _ in 0..20 {
        reader.run_distribution();
    }
    let stats = reader.stats().dht.unwrap();
    assert!(stats.changes <= 20 * 4_096, "{stats:?}");
    assert!(stats.fetches <= 256, "{stats:?}");
    for _ in 0..10 {
        world.advance(secs(1));
        reader.run_distribution();
    }
    let stats = reader.stats().dht.unwrap();
    assert!(stats.fetches <= 256 * 6, "{stats:?}");
}

#[test]
fn an_engine_that_panics_when_it_is_watched_is_not_called_all_the_time() {
    let world = World::new();
    let reader = reader_of(&world, 0, true);
    for _ in 0..1_000 {
        reader.run_distribution();
        world.advance(secs(1));
    }
    let panics = reader.stats().dht.unwrap().panics;
    assert!((10..=500).contains(&panics), "{panics}");
}

//! Calls while engines hang. The engines wait at a gate that the test opens, so nothing depends on timing.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use relay_registry::dht::{
    Answer, CandidateSink, DhtError, DhtOptions, Limits, Memory, Put, RelayDht, SignedRecord,
};
use relay_registry::{Clock, Endpoint, FindOptions, NodeId, Registry};

use crate::world::{RTT, home, id, key, non_relay, secs};

/// An engine that signals when it is called, and returns when the gate is open.
struct Gated {
    entered: Mutex<Sender<()>>,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn is_open(&self) -> bool {
        *self.is_open.lock().unwrap()
    }

    fn pass(&self) {
        let mut is_open = self.is_open.lock().unwrap();
        while !*is_open {
            is_open = self.opened.wait(is_open).unwrap();
        }
    }
}

impl Gated {
    fn new() -> (Self, Receiver<()>, Arc<Gate>) {
        let ((entered, entries), gate) = (channel(), Arc::new(Gate::default()));
        let engine = Self {
            entered: Mutex::new(entered),
            gate: Arc::clone(&gate),
        };
        (engine, entries, gate)
    }

    fn hang(&self) {
        let _ = self.entered.lock().unwrap().send(());
        self.gate.pass();
    }
}

impl RelayDht for Gated {
    fn limits(&self) -> Limits {
        Limits::new(900, 2, secs(60), 4)
    }

    fn put(&self, _: &SignedRecord, _: Instant) -> Result<Put, DhtError> {
        self.hang();
        Err(DhtError::Timeout)
    }

    fn get(
        &self,
        _: &NodeId,
        _: Option<u64>,
        _: Instant,
        _: &mut CandidateSink<'_>,
    ) -> Result<Answer, DhtError> {
        self.hang();
        Err(DhtError::Timeout)
    }

    fn members(
        &self,
        _: u16,
        _: Instant,
        _: &mut relay_registry::dht::MemberSink<'_>,
    ) -> Result<Answer, DhtError> {
        self.hang();
        Err(DhtError::Timeout)
    }
}

fn options() -> DhtOptions {
    DhtOptions::new()
        .key(key(1))
        .debounce(Duration::ZERO)
        .probe(|_: &NodeId, _: &Endpoint, _| Ok(RTT))
}

/// A registry all of whose workers hang in the engine.
fn hanging(builder: relay_registry::RegistryBuilder) -> (Registry, Arc<Gate>) {
    let (engine, entries, gate) = Gated::new();
    let registry = builder.dht(engine, options()).build().unwrap();
    (0..2).for_each(|_| entries.recv().unwrap());
    (registry, gate)
}

#[test]
fn callers_go_on_while_the_engine_hangs() {
    let (registry, gate) = hanging(Registry::builder());
    for n in 1..=50 {
        assert!(registry.find_relay(&non_relay()).is_err() || n > 1);
        registry.register(NodeId::from([n; 32]), home(n)).unwrap();
        registry.register(id(1), home(1)).unwrap();
        assert!(registry.find_relay(&non_relay()).is_ok());
        assert!(registry.reserve(&non_relay(), &FindOptions::new()).is_ok());
        assert!(registry.unregister(&id(1)));
    }
    let full = FindOptions::new().max_latency(Duration::from_micros(1));
    for _ in 0..1_000 {
        assert!(registry.find_relay_with(&non_relay(), &full).is_err());
    }
    let stats = registry.stats().dht.unwrap();
    assert_eq!((stats.puts, stats.engine_failures), (0, 0));
    assert!(!gate.is_open(), "all of it beside an engine that hangs");
    gate.open();
}

#[test]
fn a_registry_ends_beside_an_engine_that_hangs_and_leaves_nothing_behind() {
    struct Counted {
        _alive: Arc<()>,
    }
    impl Clock for Counted {
        fn now(&self) -> Duration {
            Duration::ZERO
        }
    }
    let alive = Arc::new(());
    let builder = Registry::builder().clock(Counted {
        _alive: Arc::clone(&alive),
    });
    let (registry, gate) = hanging(builder);
    registry.register(id(1), home(1)).unwrap();
    drop(registry);
    assert!(!gate.is_open());
    // Probe threads may be looking around at this moment; they end.
    while Arc::strong_count(&alive) > 1 {
        std::thread::yield_now();
    }
    gate.open();
}

/// The first call waits for the shutdown timeout, and later ones and the drop do not.
#[test]
fn a_registry_is_closed_beside_an_engine_that_hangs() {
    let (engine, entries, gate) = Gated::new();
    let registry = Registry::builder()
        .dht(
            engine,
            options().shutdown_timeout(Duration::from_millis(20)),
        )
        .build()
        .unwrap();
    (0..2).for_each(|_| entries.recv().unwrap());
    for _ in 0..3 {
        registry.close();
    }
    registry.register(id(2), home(2)).unwrap();
    assert!(registry.find_relay(&non_relay()).is_ok());
    drop(registry);
    assert!(!gate.is_open());
    gate.open();
}

#[test]
fn dropping_the_last_handle_withdraws_the_relay() {
    let dht = Memory::new();
    let registry = Registry::builder()
        .dht(dht.connect(), options().shutdown_timeout(secs(60)))
        .build()
        .unwrap();
    registry.register(id(1), home(1)).unwrap();
    while registry.own_record().is_none() {
        std::thread::yield_now();
    }
    // The drop waits for no thread; the threads withdraw the relay before they end.
    drop(registry);
    let deadline = Instant::now() + secs(60);
    let is_withdrawn = || {
        let mut last = None;
        dht.get(&id(1), None, deadline, &mut |candidate| {
            last = candidate.verify(&id(1), &Default::default()).ok();
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
        last.is_some_and(|record: SignedRecord| record.is_tombstone())
    };
    while !is_withdrawn() {
        assert!(Instant::now() < deadline, "the relay is not withdrawn");
        std::thread::yield_now();
    }
}

#[test]
fn a_caller_can_wait_for_the_first_relay() {
    let dht = Memory::new();
    let publisher = Registry::builder()
        .dht(dht.connect(), options())
        .build()
        .unwrap();
    let newcomer = Registry::builder()
        .dht(dht.connect(), options().key(key(2)))
        .build()
        .unwrap();
    let waiting = std::thread::spawn(move || {
        newcomer.find_relay_wait(&non_relay(), &FindOptions::new(), secs(600))
    });
    publisher.register(id(1), home(1)).unwrap();
    assert_eq!(waiting.join().unwrap().unwrap().node_id(), id(1));
}

#[test]
fn a_caller_can_wait_for_a_local_relay() {
    let registry = Registry::new();
    let other = registry.clone();
    let waiting = std::thread::spawn(move || {
        other.find_relay_wait(&non_relay(), &FindOptions::new(), secs(600))
    });
    registry.register(id(1), home(1)).unwrap();
    assert_eq!(waiting.join().unwrap().unwrap().node_id(), id(1));
}

/// Of a relay that is learned, withdrawn and learned again over and over, and
/// registered locally beside that, the local registration is there whenever
/// `register` has returned.
#[test]
fn a_local_registration_holds_against_learning_beside_it() {
    let registry = Registry::builder()
        .dht(Memory::new(), options().max_updates_per_minute(u32::MAX))
        .build()
        .unwrap();
    let local: Endpoint = "10.0.0.1:1".parse().unwrap();
    let other_nodes = registry.clone();
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_done = Arc::clone(&done);
    let learning = std::thread::spawn(move || {
        let mut world = crate::world::World::new();
        world.wall = relay_registry::ManualClock::new();
        let now = std::time::SystemTime::now();
        world
            .wall
            .advance(now.duration_since(std::time::UNIX_EPOCH).unwrap() - secs(60));
        while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
            world.wall.advance(Duration::from_micros(2));
            let _ = other_nodes.offer_record(&world.says(2, "5.6.2.1:1"));
            std::thread::yield_now();
            world.wall.advance(Duration::from_micros(2));
            let _ = other_nodes.offer_record(&world.withdraws(2));
        }
    });
    for _ in 0..2_000 {
        registry.register(id(2), local.clone()).unwrap();
        let held = registry
            .relay(&id(2))
            .expect("registered, and not unregistered");
        assert_eq!(held.endpoint(), &local);
        assert!(registry.unregister(&id(2)));
        std::thread::yield_now();
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    learning.join().unwrap();
}

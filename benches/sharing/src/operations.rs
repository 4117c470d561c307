//! The operations. Each call is for an id of its own, or for a random target.

use crate::instances::{Sessions, endpoint, random_ids};
use ahash::RandomState;
use fastrand::Rng;
use relay_registry::{
    FindOptions, Maintenance, ManualClock, NodeId, RegisterOptions, Registration, Registry,
    RegistryBuilder,
};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub const RELAYS: usize = 100_000;
pub const OURS: &str = "relay-registry";
pub const PAPAYA: &str = "papaya";
pub const DASHMAP: &str = "dashmap";
pub const CONTROL: &str = "control";

type Id = [u8; 32];

/// Has threads make calls.
pub trait Runner {
    /// How many calls of each operation there are.
    fn calls(&self) -> usize;

    /// Makes all calls, by their numbers.
    fn run(&mut self, map: &'static str, operation: &'static str, call: &(dyn Fn(usize) + Sync));
}

pub fn run_all(runner: &mut impl Runner) {
    registry(runner);
    registry_without_grace(runner);
    papaya(runner);
    dashmap(runner);
    controls(runner);
}

/// The ids of the calls.
struct Ids<K> {
    /// Those that the map has from the start.
    all: Vec<K>,
    new: Vec<K>,
}

impl<K: From<Id>> Ids<K> {
    fn new(calls: usize) -> Self {
        assert!(calls <= RELAYS, "each call has a relay of its own");
        let mut rng = Rng::with_seed(1);
        let mut ids = |count| (0..count).map(|_| random(&mut rng).into()).collect();
        Self {
            all: ids(RELAYS),
            new: ids(calls),
        }
    }
}

fn random(rng: &mut Rng) -> Id {
    let mut id = [0; 32];
    rng.fill(&mut id);
    id
}

/// In an equilibrium: the registry's own reservations are the load.
fn registry(runner: &mut impl Runner) {
    const CAPACITY: u32 = 10;
    const SHARE: f64 = 0.6;
    let ids = Ids::<NodeId>::new(runner.calls());
    let registry = builder(runner).build().expect("valid settings");
    fill(&registry, &ids.all, CAPACITY);
    let sessions = (RELAYS as f64 * f64::from(CAPACITY) * SHARE) as usize;
    let sessions = Sessions::settle(&registry, sessions, &mut Rng::with_seed(2));
    let targets = random_ids(runner.calls(), &mut Rng::with_seed(3));
    let mut run = maintained(runner, &registry);
    let renews = |id: &NodeId| registry.register(*id, endpoint());
    run("`is_relay`", &|n| {
        assert!(registry.is_relay(black_box(&ids.all[n])));
    });
    run("`find_relay`", &|n| {
        black_box(registry.find_relay(&targets[n])).expect("capacity is left");
    });
    let any = FindOptions::new();
    run("`reserve` + drop", &|n| {
        drop(black_box(registry.reserve(&targets[n], &any)).expect("capacity is left"));
    });
    run("renewal", &|n| {
        assert_eq!(renews(&ids.all[n]), Ok(Registration::Renewed));
    });
    run("`record_rtt`", &|n| {
        let rtt = Duration::from_millis(n as u64 % 300);
        assert!(registry.record_rtt(&ids.all[n], rtt));
    });
    drop(sessions);
    let registers = |id: &NodeId| registry.register(*id, endpoint()).expect("there is room");
    run("new registration", &|n| {
        assert_eq!(registers(&ids.new[n]), Registration::New);
    });
    run("`unregister`", &|n| {
        assert!(registry.unregister(&ids.new[n]));
    });
    run("returning registration", &|n| {
        registers(&ids.new[n]);
    });
    ids.new.iter().for_each(|id| _ = registry.unregister(id));
    run("returning registration + `unregister`", &|n| {
        registers(&ids.new[n]);
        assert!(registry.unregister(&ids.new[n]));
    });
}

/// With loads from elsewhere.
fn registry_without_grace(runner: &mut impl Runner) {
    const CAPACITY: u32 = 100;
    let builder = builder(runner).return_grace(Duration::ZERO);
    let registry = builder.build().expect("valid settings");
    let ids = Ids::<NodeId>::new(runner.calls());
    let newer = random_ids(runner.calls(), &mut Rng::with_seed(5));
    let targets = random_ids(runner.calls(), &mut Rng::with_seed(3));
    fill(&registry, &ids.all, CAPACITY);
    let mut rng = Rng::with_seed(2);
    for id in &ids.all {
        registry.report_load(id, rng.u32(CAPACITY / 5..CAPACITY));
    }
    let mut run = maintained(runner, &registry);
    let any = FindOptions::new();
    run("`reserve` + drop, loads from elsewhere", &|n| {
        drop(black_box(registry.reserve(&targets[n], &any)).expect("capacity is left"));
    });
    run("`report_load`", &|n| {
        assert!(registry.report_load(&ids.all[n], n as u32 % CAPACITY));
    });
    let registers = |id: &NodeId| registry.register(*id, endpoint()).expect("there is room");
    run("new registration, without grace", &|n| {
        registers(&ids.new[n]);
    });
    run("`unregister`, without grace", &|n| {
        assert!(registry.unregister(&ids.new[n]));
    });
    run("new registration + `unregister`, without grace", &|n| {
        registers(&newer[n]);
        assert!(registry.unregister(&newer[n]));
    });
}

/// Runs operations, each after what the maintenance of the registry has to do.
fn maintained<'a>(
    runner: &'a mut impl Runner,
    registry: &'a Registry,
) -> impl FnMut(&'static str, &(dyn Fn(usize) + Sync)) + 'a {
    |operation, call| {
        registry.maintain();
        runner.run(OURS, operation, call);
    }
}

/// Without a maintenance thread, so that the relays are sorted in every run at the same moment.
fn builder(runner: &impl Runner) -> RegistryBuilder {
    Registry::builder()
        .max_relays(RELAYS + 2 * runner.calls())
        .maintenance(Maintenance::Manual)
        .clock(ManualClock::new())
}

fn fill(registry: &Registry, ids: &[NodeId], capacity: u32) {
    let mut rng = Rng::with_seed(4);
    let options = RegisterOptions::new().capacity(capacity);
    for id in ids {
        let registered = registry.register_with(*id, endpoint(), &options);
        registered.expect("there is room");
        registry.record_rtt(id, Duration::from_micros(rng.u64(1_000..300_000)));
    }
    registry.maintain();
}

/// The deadline of a relay. It has an allocation of its own, because leases would share it.
struct Deadline(AtomicU64);

impl Deadline {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(u64::MAX)))
    }

    fn is_ahead(&self) -> bool {
        self.0.load(Ordering::Acquire) > black_box(1)
    }
}

/// Each call pins.
fn papaya(runner: &mut impl Runner) {
    let ids = Ids::<Id>::new(runner.calls());
    let map = papaya::HashMap::builder()
        .capacity(RELAYS + 2 * runner.calls())
        .hasher(RandomState::new())
        .build();
    let insert = |id: &Id| _ = map.pin().insert(*id, Deadline::new());
    ids.all.iter().for_each(insert);
    runner.run(PAPAYA, "`get`", &|n| {
        let pinned = map.pin();
        assert!(pinned.get(&ids.all[n]).is_some_and(|it| it.is_ahead()));
    });
    runner.run(PAPAYA, "`insert` of a present key", &|n| {
        insert(&ids.all[n])
    });
    runner.run(PAPAYA, "`insert` of a new key", &|n| insert(&ids.new[n]));
    runner.run(PAPAYA, "`remove`", &|n| {
        assert!(map.pin().remove(&ids.new[n]).is_some());
    });
    runner.run(PAPAYA, "`insert` + `remove`", &|n| {
        insert(&ids.new[n]);
        assert!(map.pin().remove(&ids.new[n]).is_some());
    });
}

fn dashmap(runner: &mut impl Runner) {
    let ids = Ids::<Id>::new(runner.calls());
    let room = RELAYS + 2 * runner.calls();
    let map = dashmap::DashMap::with_capacity_and_hasher(room, RandomState::new());
    let insert = |id: &Id| _ = map.insert(*id, Deadline::new());
    ids.all.iter().for_each(insert);
    runner.run(DASHMAP, "`get`", &|n| {
        assert!(map.get(&ids.all[n]).is_some_and(|it| it.is_ahead()));
    });
    runner.run(DASHMAP, "`insert` of a present key", &|n| {
        insert(&ids.all[n])
    });
    runner.run(DASHMAP, "`insert` of a new key", &|n| insert(&ids.new[n]));
    runner.run(DASHMAP, "`remove`", &|n| {
        assert!(map.remove(&ids.new[n]).is_some());
    });
    runner.run(DASHMAP, "`insert` + `remove`", &|n| {
        insert(&ids.new[n]);
        assert!(map.remove(&ids.new[n]).is_some());
    });
}

/// What is known to share a line, and what is known to share none.
fn controls(runner: &mut impl Runner) {
    #[derive(Default)]
    #[repr(align(128))]
    struct Counter(AtomicU64);
    // Relaxed, twice: a count that carries nothing but itself.
    let all = Counter::default();
    runner.run(CONTROL, "adding to one counter", &|_| {
        all.0.fetch_add(1, Ordering::Relaxed);
    });
    let each: Vec<Counter> = (0..runner.calls()).map(|_| Counter::default()).collect();
    runner.run(CONTROL, "adding to a counter of each call", &|n| {
        each[n].0.fetch_add(1, Ordering::Relaxed);
    });
}

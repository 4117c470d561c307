//! `find_relay` while an engine hangs, compared with a registry without an engine.
//!
//! Three registries hold the same relays. One has no engine, one has an engine that works, and one has an
//! engine that never returns. Each call is timed by itself. The registries are sampled in random order within
//! each round, so a disturbance of the machine affects all alike. Calls that find no relay are timed as
//! well, because they request discovery. Only ratios compare between runs and machines.
//!
//! ```text
//! cargo bench --bench hanging_dht --features conformance [-- RELAYS]
//! ```

use fastrand::Rng;
use hdrhistogram::Histogram;
use relay_registry::dht::{DhtOptions, Faults, Hang, Memory, ProbeError, SecretKey};
use relay_registry::{Endpoint, FindOptions, NodeId, Registry, RegistryBuilder};
use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const RELAYS: usize = 1_000;
const ROUNDS: usize = 2_000;

/// Rounds that warm up, and are not measured.
const WARM_UP: usize = 200;

/// How many calls one sample has.
const TURN: usize = 250;

/// The limit of the p99.9 with a hanging engine, relative to that without an engine.
const BAR: f64 = 2.0;

/// One registry, and the times of its calls in ns.
struct Subject {
    name: &'static str,
    registry: Registry,
    found: Histogram<u64>,
    missed: Histogram<u64>,
}

fn main() {
    let given = std::env::args().find_map(|arg| arg.parse().ok());
    let relays = given.unwrap_or(RELAYS);
    let hanging = Memory::new();
    hanging.set_faults(Faults::new().hang(Hang::UntilReleased));
    let (key, builder) = (|| SecretKey::from_seed([7; 32]), Registry::builder);
    let mut subjects = [
        Subject::new("no engine", builder().local_id(key().node_id()), relays),
        Subject::new(
            "an engine that works",
            builder().dht(Memory::new(), options(key())),
            relays,
        ),
        Subject::new(
            "an engine that hangs",
            builder().dht(hanging.clone(), options(key())),
            relays,
        ),
    ];
    let (mut rng, mut order) = (Rng::with_seed(1), [0, 1, 2]);
    for round in 0..WARM_UP + ROUNDS {
        rng.shuffle(&mut order);
        for number in order {
            subjects[number].sample(&mut rng, round >= WARM_UP);
        }
    }
    report(relays, &subjects);
    // The hanging threads return, and can end.
    hanging.set_faults(Faults::new());
}

/// With the shortest intervals for publishing and discovery.
fn options(key: SecretKey) -> DhtOptions {
    let probe = |_: &NodeId, _: &Endpoint, _| Err(ProbeError::Unreachable);
    DhtOptions::new()
        .key(key)
        .probe(probe)
        .debounce(Duration::ZERO)
        .sweep_interval(Duration::from_millis(10))
}

impl Subject {
    fn new(name: &'static str, builder: RegistryBuilder, relays: usize) -> Self {
        let registry = builder
            .max_relays(relays + 1)
            .build()
            .expect("valid settings");
        let mut rng = Rng::with_seed(7);
        let own = SecretKey::from_seed([7; 32]).node_id();
        let others = std::iter::repeat_with(|| random_id(&mut rng));
        let ids: Vec<NodeId> = std::iter::once(own).chain(others.take(relays)).collect();
        for id in ids {
            let endpoint = SocketAddr::from(([192, 0, 2, 1], 4433));
            registry.register(id, endpoint).expect("there is room");
            registry.record_rtt(&id, Duration::from_micros(rng.u64(1_000..300_000)));
        }
        registry.maintain();
        Self {
            name,
            registry,
            found: histogram(),
            missed: histogram(),
        }
    }

    fn sample(&mut self, rng: &mut Rng, is_measured: bool) {
        // No node is so near.
        let nearer = FindOptions::new().max_latency(Duration::from_nanos(1));
        for _ in 0..TURN {
            let target = random_id(rng);
            let found = nanos(|| self.registry.find_relay(black_box(&target)));
            let missed = nanos(|| self.registry.find_relay_with(black_box(&target), &nearer));
            if is_measured {
                self.found.saturating_record(found);
                self.missed.saturating_record(missed);
            }
        }
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 10_000_000_000, 3).expect("valid bounds")
}

fn nanos<R>(act: impl FnOnce() -> R) -> u64 {
    let begun = Instant::now();
    black_box(act());
    u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn random_id(rng: &mut Rng) -> NodeId {
    let mut id = [0; 32];
    rng.fill(&mut id);
    id.into()
}

fn report(relays: usize, subjects: &[Subject; 3]) {
    println!("ns per call, the clock's own included; {relays} relays");
    println!(
        "{:<8} {:<22} {:>8} {:>8} {:>8}  {:>14}",
        "call", "beside", "median", "p99", "p99.9", "p99.9 / no engine"
    );
    type Times = fn(&Subject) -> &Histogram<u64>;
    let calls: [(&str, Times); 2] = [("finds", |it| &it.found), ("misses", |it| &it.missed)];
    for (call, times) in calls {
        let [alone, ..] = subjects;
        let tail = |subject: &Subject| times(subject).value_at_quantile(0.999);
        for subject in subjects {
            let [median, p99] = [0.5, 0.99].map(|share| times(subject).value_at_quantile(share));
            let ratio = tail(subject) as f64 / tail(alone) as f64;
            println!(
                "{call:<8} {:<22} {median:>8} {p99:>8} {:>8}  {ratio:>14.2}",
                subject.name,
                tail(subject),
            );
        }
    }
    println!("to stay within: {BAR:.2}");
}

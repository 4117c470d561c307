//! The table against papaya's hash map: look-ups that hit, look-ups that miss,
//! and renewals, by one thread, at three sizes.
//!
//! Both hash the same 32-byte ids with `ahash`, keyed at random. papaya is
//! given the ids in an order of its own, so that neither order of allocation
//! is the order of the queries. Each look-up pins for itself, as a caller
//! would. "deadline read" is papaya as a registry would have to use it: the
//! value lies in an allocation of its own, whose deadline is compared.
//!
//! Contenders take turns, batch by batch, and ratios are those of the medians:
//! what disturbs the machine disturbs all of them.
//!
//! ```text
//! cargo bench --manifest-path benches/peers/Cargo.toml [-- RELAYS...]
//! ```

use ahash::RandomState;
use papaya::HashMap;
use relay_registry::{Endpoint, Maintenance, ManualClock, NodeId, Registration, Registry};
use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

type Id = [u8; 32];

/// Queries in a batch, and how many batches each contender gets.
const BATCH: usize = 160 * CHUNK;
const BATCHES: usize = 101;
/// Queries timed at once. Their keys are copied to one place beforehand: a
/// caller has the id at hand, and an id of ours is larger than one of papaya's.
const CHUNK: usize = 128;

fn main() {
    println!("{}", machine());
    let sizes: Vec<usize> = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .collect();
    let sizes = if sizes.is_empty() {
        vec![1_000, 100_000, 1_000_000]
    } else {
        sizes
    };
    for relays in sizes {
        println!("\n{relays} relays: median ns per operation, batches of {BATCH}");
        compare(relays);
    }
}

/// What papaya holds when the deadline counts.
struct Lifetime(AtomicU64);

fn compare(relays: usize) {
    let mut ids = random_ids(relays);
    let strangers = random_ids(BATCH.max(relays.min(1_000_000)));
    let registry = registry(&ids);
    fastrand::shuffle(&mut ids);
    let plain = HashMap::builder()
        .capacity(relays)
        .hasher(RandomState::new())
        .build();
    let timed = HashMap::builder()
        .capacity(relays)
        .hasher(RandomState::new())
        .build();
    for &id in &ids {
        plain.pin().insert(id, 0_u64);
        timed
            .pin()
            .insert(id, Arc::new(Lifetime(AtomicU64::new(u64::MAX))));
    }
    fastrand::shuffle(&mut ids);
    let nodes: Vec<NodeId> = ids.iter().copied().map(NodeId::from).collect();
    let strange_nodes: Vec<NodeId> = strangers.iter().copied().map(NodeId::from).collect();
    let endpoint = Endpoint::from(SocketAddr::from(([192, 0, 2, 1], 4433)));
    let is_live = |id: &Id| {
        let now = black_box(1);
        let map = timed.pin();
        map.get(id)
            .is_some_and(|life| life.0.load(Ordering::Acquire) > now)
    };

    let hit = take_turns(&mut [
        Contender::new("is_relay, hit", &nodes, |id| registry.is_relay(id)),
        Contender::new("papaya get, hit", &ids, |id| plain.pin().get(id).is_some()),
        Contender::new("papaya get + deadline read, hit", &ids, is_live),
    ]);
    report(&hit);
    let miss = take_turns(&mut [
        Contender::new("is_relay, miss", &strange_nodes, |id| {
            !registry.is_relay(id)
        }),
        Contender::new("papaya get, miss", &strangers, |id| {
            plain.pin().get(id).is_none()
        }),
    ]);
    report(&miss);
    let renewal = take_turns(&mut [
        Contender::new("register, renewal", &nodes, |id| {
            registry.register(*id, endpoint.clone()) == Ok(Registration::Renewed)
        }),
        Contender::new("papaya insert, same key", &ids, |id| {
            plain.pin().insert(*id, black_box(1)).is_some()
        }),
    ]);
    report(&renewal);
}

fn random_ids(count: usize) -> Vec<Id> {
    let id = || {
        let mut id = [0; 32];
        fastrand::fill(&mut id);
        id
    };
    std::iter::repeat_with(id).take(count).collect()
}

fn registry(ids: &[Id]) -> Registry {
    let registry = Registry::builder()
        .max_relays(ids.len())
        .maintenance(Maintenance::Manual)
        .clock(ManualClock::new())
        .build()
        .expect("valid settings");
    for &id in ids {
        let endpoint = SocketAddr::from(([192, 0, 2, 1], 4433));
        registry
            .register(id.into(), endpoint)
            .expect("there is room");
    }
    registry.maintain();
    registry
}

/// Something done to one key after another; true as long as it does what is
/// measured.
struct Contender<'a> {
    name: &'static str,
    batch: Box<dyn FnMut() -> Duration + 'a>,
    times: Vec<Duration>,
}

impl<'a> Contender<'a> {
    fn new<K: Copy>(name: &'static str, keys: &'a [K], act: impl Fn(&K) -> bool + 'a) -> Self {
        let mut queries = keys.iter().cycle();
        let batch = move || {
            let mut time = Duration::ZERO;
            for _ in 0..BATCH / CHUNK {
                let chunk: [K; CHUNK] = std::array::from_fn(|_| *queries.next().expect("endless"));
                let chunk = black_box(chunk);
                let start = Instant::now();
                let done = chunk.iter().filter(|key| act(black_box(key))).count();
                time += start.elapsed();
                assert_eq!(done, CHUNK, "{name} does something else");
            }
            time
        };
        Self {
            name,
            batch: Box::new(batch),
            times: Vec::new(),
        }
    }
}

/// Names and median nanoseconds per operation.
fn take_turns(contenders: &mut [Contender<'_>]) -> Vec<(&'static str, f64)> {
    for round in 0..BATCHES + 3 {
        for contender in &mut *contenders {
            let time = (contender.batch)();
            // The first rounds warm up.
            if round >= 3 {
                contender.times.push(time);
            }
        }
    }
    let median = |contender: &mut Contender<'_>| {
        contender.times.sort_unstable();
        contender.times[BATCHES / 2].as_secs_f64() * 1e9 / BATCH as f64
    };
    contenders
        .iter_mut()
        .map(|contender| (contender.name, median(contender)))
        .collect()
}

/// The first is ours.
fn report(medians: &[(&str, f64)]) {
    let ours = medians[0].1;
    for (place, &(name, theirs)) in medians.iter().enumerate() {
        print!("  {name:32} {theirs:8.1}");
        match place {
            0 => println!(),
            _ => println!("   ours/theirs {:.2}", ours / theirs),
        }
    }
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown processor", |model| {
        model.trim_start_matches([' ', '\t', ':'])
    });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let lock = include_str!("Cargo.lock");
    let version = |name: &str| {
        let entry = lock.split_once(&format!("name = \"{name}\"\nversion = \""));
        entry
            .and_then(|(_, rest)| rest.split('"').next())
            .unwrap_or("?")
    };
    format!(
        "{model}, {cores} cores; papaya {}, ahash {}, crossbeam-epoch {}",
        version("papaya"),
        version("ahash"),
        version("crossbeam-epoch"),
    )
}

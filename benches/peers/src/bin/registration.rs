//! Registration: one by one, each followed by a find; in bulk, compared with inserts of papaya; and the
//! expiry of all relays at once.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml --bin registration
//! ```

use cpu_time::ThreadTime;
use fastrand::Rng;
use relay_registry::{ManualClock, NodeId, Registry};
use relay_registry_peers::instances::{empty_registry_on, endpoint, random_ids};
use relay_registry_peers::interleaved::{Outcome, median, median_ratio, per_call, report};
use relay_registry_peers::maps::{Id, Map, Ours, Papaya, PapayaPlain, random_ids as random_keys};
use relay_registry_peers::results;
use std::hint::black_box;
use std::time::{Duration, Instant};

const TURNS: usize = 5;

fn main() {
    with_a_find_after_each(100_000);
    bulk(1_000_000);
    expiry_at_once(1_000_000);
}

/// The registry sorts by itself meanwhile. The longest call is in processor time of the thread, because
/// other programs use the machine.
fn with_a_find_after_each(relays: usize) {
    let (mut times, mut worsts) = (Vec::new(), Vec::new());
    for seed in 0..TURNS as u64 {
        let ids = random_ids(relays, &mut Rng::with_seed(seed));
        times.push(per_call(timed(&ids, |_| {}), relays));
        let mut worst = Duration::ZERO;
        // Without the first call, which builds parts of the registry.
        let mut begun: Option<ThreadTime> = None;
        timed(&ids, |()| {
            worst = worst.max(begun.map_or(Duration::ZERO, |begun| begun.elapsed()));
            begun = Some(ThreadTime::now());
        });
        worsts.push(worst.as_secs_f64() * 1e3);
    }
    println!("\nregistration with a find after each, {relays} relays");
    let group = "registration with a find";
    results::note(group, relays, "ns, amortised", median(&mut times));
    results::note(
        group,
        relays,
        "worst ms, of processor time",
        median(&mut worsts),
    );
}

/// Registers all relays, each followed by a find, and returns the time.
fn timed(ids: &[NodeId], mut after_each: impl FnMut(())) -> Duration {
    let registry = Registry::builder()
        .max_relays(ids.len())
        .build()
        .expect("valid settings");
    let endpoint = endpoint();
    let target = NodeId::from([0; 32]);
    let start = Instant::now();
    for &id in ids {
        registry
            .register(id, endpoint.clone())
            .expect("there is room");
        assert!(black_box(registry.find_relay(&target)).is_ok());
        after_each(());
    }
    start.elapsed()
}

fn bulk(relays: usize) {
    let ids = random_keys(relays);
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..TURNS {
        times[0].push(fill::<Ours>(&ids));
        times[1].push(fill::<PapayaPlain>(&ids));
        times[2].push(fill::<Papaya>(&ids));
    }
    let ours = times[0].clone();
    let names = [Ours::NAME, PapayaPlain::NAME, Papaya::NAME];
    let outcome = |(name, mut times): (&str, Vec<f64>)| Outcome {
        name: name.into(),
        ratio: median_ratio(&ours, &times),
        nanos: median(&mut times),
    };
    let outcomes: Vec<Outcome> = names.into_iter().zip(times).map(outcome).collect();
    report("bulk load", relays, &outcomes);
}

fn fill<M: Map>(ids: &[Id]) -> f64 {
    let map = M::with_room_for(ids.len());
    let start = Instant::now();
    ids.iter().for_each(|&id| map.insert(id.into()));
    per_call(start.elapsed(), ids.len())
}

fn expiry_at_once(relays: usize) {
    let clock = ManualClock::new();
    let registry = empty_registry_on(clock.clone(), relays);
    let endpoint = endpoint();
    for id in random_ids(relays, &mut Rng::with_seed(1)) {
        registry
            .register(id, endpoint.clone())
            .expect("there is room");
    }
    registry.maintain();
    clock.advance(Duration::from_secs(601));
    let start = Instant::now();
    assert_eq!(registry.maintain().expired, relays);
    println!();
    results::note(
        "expiry",
        relays,
        "ns each, all at once",
        per_call(start.elapsed(), relays),
    );
}

//! `find_relay`, and `reserve` with the lease dropped, at three sizes: with no round trip measured, and with
//! measured round trips and loads of other nodes.
//!
//! In a single registry the best relay may be found at once, so each figure is over several random
//! instances. Calls are timed in batches, and a percentile is one of batches, not of calls.
//!
//! ```text
//! cargo bench --bench find [-- RELAYS...]
//! ```

mod instances;

use fastrand::Rng;
use instances::{Instance, Recipe, RoundTrips, random_id};
use relay_registry::FindOptions;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// How many calls a batch has, and how many batches there are per registry.
const BATCH: usize = 1_000;
const BATCHES: usize = 200;

fn main() {
    let sizes: Vec<usize> = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .collect();
    let sizes = if sizes.is_empty() {
        vec![10, 1_000, 100_000]
    } else {
        sizes
    };
    println!("ns per call; batches of {BATCH} calls");
    println!(
        "{:>8}  {:<12} {:<16} {:>9} {:>9}",
        "relays", "round trips", "call", "median", "p99"
    );
    for relays in sizes {
        for round_trips in [RoundTrips::Unmeasured, RoundTrips::Measured] {
            measure(&Recipe::new(relays, round_trips));
        }
    }
}

fn measure(recipe: &Recipe) {
    let registries = (2_000 / recipe.relays).clamp(3, 20) as u64;
    let (mut found, mut reserved) = (Vec::new(), Vec::new());
    for seed in 0..registries {
        let Instance { registry, .. } = recipe.build(seed);
        let target = random_id(&mut Rng::with_seed(seed));
        let options = FindOptions::new();
        let find = || _ = black_box(registry.find_relay(black_box(&target)));
        let reserve = || _ = black_box(registry.reserve(black_box(&target), &options));
        time(find, &mut Vec::new());
        for _ in 0..BATCHES {
            time(find, &mut found);
            time(reserve, &mut reserved);
        }
    }
    let relays = recipe.relays;
    let round_trips = match recipe.round_trips {
        RoundTrips::Unmeasured => "unmeasured",
        _ => "measured",
    };
    for (call, times) in [("find_relay", found), ("reserve + drop", reserved)] {
        let [median, p99] = percentiles(times);
        println!("{relays:>8}  {round_trips:<12} {call:<16} {median:>9.1} {p99:>9.1}");
    }
}

fn time(act: impl Fn(), times: &mut Vec<Duration>) {
    let start = Instant::now();
    for _ in 0..BATCH {
        act();
    }
    times.push(start.elapsed());
}

/// Median and 99th percentile, in nanoseconds per call.
fn percentiles(mut times: Vec<Duration>) -> [f64; 2] {
    times.sort_unstable();
    [50, 99].map(|percent| {
        let time = times[(times.len() - 1) * percent / 100];
        time.as_secs_f64() * 1e9 / BATCH as f64
    })
}

//! `find_relay_with` for a pair of peers: its cost compared with a plain find, and the quality of the path
//! that it chooses.
//!
//! Relays and peers are in a synthetic world with access links, which coordinates describe exactly. So the
//! figures show the loss of the search, and not that of the estimation. Other nodes load the relays to 0.6
//! of the capacity on average. Quality is the score of the choice divided by the best score, by the true
//! round trips.
//!
//! ```text
//! cargo bench --bench pairs [-- RELAYS...]
//! ```

mod instances;

use instances::topology::{View, World};
use std::hint::black_box;
use std::time::Instant;

const TARGETS: usize = 100;
/// How many peers report their round trip to each relay.
const WITNESSES: usize = 64;
const ROUNDS: usize = 200;
const REGISTRIES: u64 = 5;

fn main() {
    let sizes: Vec<usize> = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .collect();
    let sizes = if sizes.is_empty() {
        vec![50, 1_000, 10_000]
    } else {
        sizes
    };
    println!(
        "{:>8}  {:<14} {:>9} {:>9} {:>9}  {:>8} {:>8}",
        "relays", "view", "median ns", "p99 ns", "x plain", "quality", "p90"
    );
    for relays in sizes {
        measure(relays);
    }
}

fn measure(relays: usize) {
    let mut plain_median = 0.0;
    for view in View::ALL {
        let (mut times, mut qualities) = (Vec::new(), Vec::new());
        for seed in 0..REGISTRIES {
            let world = World::new(relays, TARGETS, WITNESSES, seed);
            let calls = world.calls(view);
            for _ in 0..ROUNDS {
                let start = Instant::now();
                for (target, options) in &calls {
                    _ = black_box(world.registry.find_relay_with(black_box(target), options));
                }
                times.push(start.elapsed());
            }
            qualities.extend(world.qualities(&calls));
        }
        times.sort_unstable();
        let nanos = |percent: usize| {
            let time = times[(times.len() - 1) * percent / 100];
            time.as_secs_f64() * 1e9 / TARGETS as f64
        };
        qualities.sort_unstable_by(f64::total_cmp);
        let quality = |percent: usize| qualities[(qualities.len() - 1) * percent / 100];
        if view == View::None {
            plain_median = nanos(50);
        }
        println!(
            "{relays:>8}  {:<14} {:>9.1} {:>9.1} {:>9.2}  {:>8.3} {:>8.3}",
            view.name(),
            nanos(50),
            nanos(99),
            nanos(50) / plain_median,
            quality(50),
            quality(90)
        );
    }
}

//! The tail latency of `find_relay` while a million relays expire, while others are registered in bulk, and
//! while relays are sorted, divided by the tail latency without disturbance.
//!
//! Quiet and disturbed windows alternate, 20 of each. For each percentile, the median over windows counts.
//! In each window a fortieth of the relays expires, so half are live at the end.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml --bin tails
//! ```

use fastrand::Rng;
use relay_registry::{ManualClock, NodeId, RegisterOptions, Registry};
use relay_registry_peers::instances::{
    Loads, Recipe, RoundTrips, empty_registry_on, endpoint, random_id, random_ids,
};
use relay_registry_peers::results;
use relay_registry_peers::tails::{Window, medians};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const WINDOWS: usize = 20;
const QUIET: Duration = Duration::from_millis(50);
const TICK: Duration = Duration::from_millis(100);

fn main() {
    println!("find_relay, ns: median, p99, p99.9, worst; medians of {WINDOWS} windows");
    expiry();
    bulk_registration();
    sorting();
}

/// Measures finds in alternating quiet and disturbed windows, and prints both.
fn compare(name: &str, relays: usize, registry: &Registry, mut disturb: impl FnMut() + Send) {
    let mut rng = Rng::with_seed(0);
    let mut find = || registry.find_relay(&random_id(&mut rng)).is_ok();
    let (mut quiet, mut disturbed) = (Vec::new(), Vec::new());
    for _ in 0..WINDOWS {
        let end = Instant::now() + QUIET;
        quiet.push(Window::of(&mut find, || Instant::now() > end));
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                disturb();
                // Release: the flag says only that the window has ended.
                is_over.store(true, Ordering::Release);
            });
            let window = Window::of(&mut find, || is_over.load(Ordering::Acquire));
            disturbed.push(window);
        });
    }
    let (quiet, disturbed) = (medians(&quiet), medians(&disturbed));
    println!("\n{name}, {relays} relays");
    for (when, times) in [("quiet", quiet), ("disturbed", disturbed)] {
        println!("  {when:<12} {times:>12.0?}");
        for (percentile, time) in ["median", "p99", "p99.9", "worst"].iter().zip(times) {
            results::keep(
                &format!("tail: {name}"),
                relays,
                &format!("{when}, {percentile}"),
                time,
                1.0,
            );
        }
    }
    let group = format!("tail: {name}");
    results::note(
        &group,
        relays,
        "p99.9, disturbed over quiet",
        disturbed[2] / quiet[2],
    );
}

fn expiry() {
    const RELAYS: usize = 1_000_000;
    let clock = ManualClock::new();
    let registry = empty_registry_on(clock.clone(), RELAYS);
    let mut rng = Rng::with_seed(1);
    for (number, id) in random_ids(RELAYS, &mut rng).into_iter().enumerate() {
        let ticks = 1 + (number % (2 * WINDOWS)) as u32;
        let options = RegisterOptions::new().ttl(TICK * ticks);
        registry
            .register_with(id, endpoint(), &options)
            .expect("there is room");
        registry.record_rtt(&id, RoundTrips::Measured.draw(&mut rng).expect("a time"));
    }
    registry.maintain();
    let (mut expired, mut time) = (0, Duration::ZERO);
    compare("expiry", RELAYS, &registry, || {
        clock.advance(TICK);
        let start = Instant::now();
        expired += registry.maintain().expired;
        time += start.elapsed();
    });
    let each = time.as_secs_f64() * 1e9 / expired as f64;
    results::note("expiry", RELAYS, "ns each, with rebuilds", each);
}

/// A hundred thousand relays register while the registry sorts by itself. They leave before the next
/// quiet window.
fn bulk_registration() {
    const RELAYS: usize = 100_000;
    let registry = Registry::builder()
        .max_relays(3 * RELAYS)
        .build()
        .expect("valid settings");
    let mut rng = Rng::with_seed(2);
    let endpoint = endpoint();
    let register = |id: NodeId| {
        registry
            .register(id, endpoint.clone())
            .expect("there is room")
    };
    for id in random_ids(RELAYS, &mut rng) {
        register(id);
        registry.record_rtt(&id, RoundTrips::Measured.draw(&mut rng).expect("a time"));
    }
    registry.maintain();
    compare("bulk registration", RELAYS, &registry, || {
        let new_ids = random_ids(RELAYS, &mut rng);
        new_ids.iter().for_each(|&id| _ = register(id));
        new_ids.iter().for_each(|id| _ = registry.unregister(id));
        registry.maintain();
    });
}

fn sorting() {
    const RELAYS: usize = 1_000_000;
    let recipe = Recipe::new(RELAYS, RoundTrips::Measured).loads(Loads::Independent(0.6));
    let it = recipe.build(3);
    let mut rng = Rng::with_seed(3);
    let (mut passes, mut time) = (0, Duration::ZERO);
    compare("sorting anew", RELAYS, &it.registry, || {
        for _ in 0..1_000 {
            let rtt = Duration::from_micros(rng.u64(500..1_000));
            it.registry
                .record_rtt(rng.choice(&it.ids).expect("ids"), rtt);
        }
        let start = Instant::now();
        assert!(it.registry.maintain().sorted);
        (passes, time) = (passes + 1, time + start.elapsed());
    });
    let each = time.as_secs_f64() * 1e3 / f64::from(passes);
    results::note("sorting", RELAYS, "ms each", each);
}

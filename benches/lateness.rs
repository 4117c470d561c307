//! How long after its deadline a relay is still handed out by a registry with a maintenance thread: at rest,
//! while relays are sorted as often as possible, and while many relays expire.
//!
//! A relay is registered with a TTL of two ticks again and again, and watched until it is no longer found.
//! More than one tick of lateness is due to the scheduler.
//!
//! ```text
//! cargo bench --bench lateness [-- RELAYS]
//! ```

use fastrand::Rng;
use hdrhistogram::Histogram;
use relay_registry::{NodeId, RegisterOptions, Registry};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

const RELAYS: u64 = 500_000;
const TICK: Duration = Duration::from_millis(100);
const SPAN: Duration = Duration::from_secs(30);

/// The TTL of the many relays that expire.
const SHORT_LIFE: Duration = Duration::from_secs(5);

/// What another thread does meanwhile.
type Beside = fn(&Registry, u64, &mut Rng);

fn main() {
    let given = std::env::args().find_map(|arg| arg.parse().ok());
    let relays = given.unwrap_or(RELAYS);
    println!("ms between a deadline and the last find, ticks of {TICK:?}, {relays} relays");
    println!(
        "{:<22} {:>8} {:>8} {:>8}",
        "beside", "median", "p99", "longest"
    );
    let scenes: [(&str, Duration, Beside); 3] = [
        ("relays at rest", Duration::from_secs(3_600), rest),
        ("relays being sorted", Duration::from_secs(3_600), remeasure),
        ("masses that expire", SHORT_LIFE, refill),
    ];
    for (name, ttl, beside) in scenes {
        let late = watch(relays, ttl, beside);
        let ms = |nanos: u64| nanos as f64 / 1e6;
        println!(
            "{name:<22} {:>8.1} {:>8.1} {:>8.1}",
            ms(late.value_at_quantile(0.5)),
            ms(late.value_at_quantile(0.99)),
            ms(late.max()),
        );
    }
}

fn watch(relays: u64, ttl: Duration, beside: Beside) -> Histogram<u64> {
    let registry = Registry::builder()
        .max_relays(relays as usize + 1)
        .ttl(ttl)
        .tick(TICK)
        .build()
        .expect("valid settings");
    let mut rng = Rng::with_seed(7);
    (0..relays).for_each(|n| register(&registry, n, &mut rng));
    let is_over = AtomicBool::new(false);
    let mut late = Histogram::new_with_bounds(1, 100_000_000_000, 3).expect("valid bounds");
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                beside(&registry, relays, &mut rng);
                thread::sleep(Duration::from_millis(1));
            }
        });
        let begun = Instant::now();
        while begun.elapsed() < SPAN {
            late.saturating_record(lateness(&registry, relays));
        }
        is_over.store(true, Ordering::Relaxed);
    });
    late
}

/// How long after its deadline a relay is found, in ns.
fn lateness(registry: &Registry, n: u64) -> u64 {
    let options = RegisterOptions::new().ttl(TICK * 2);
    let registered = registry.register_with(id(n), endpoint(), &options);
    registered.expect("there is room for one more");
    let relay = registry.relay(&id(n)).expect("it was just registered");
    while registry.is_relay(&id(n)) {
        thread::sleep(Duration::from_micros(100));
    }
    let late = SystemTime::now().duration_since(relay.expires_at());
    late.map_or(0, |late| late.as_nanos() as u64)
}

fn rest(_: &Registry, _: u64, _: &mut Rng) {}

fn remeasure(registry: &Registry, relays: u64, rng: &mut Rng) {
    for _ in 0..100 {
        registry.record_rtt(&id(rng.u64(..relays)), rtt(rng));
    }
}

/// Once all have expired, registers them again, within two seconds.
fn refill(registry: &Registry, relays: u64, rng: &mut Rng) {
    if registry.relay_count() <= 1 {
        (0..relays).for_each(|n| register(registry, n, rng));
    }
}

fn register(registry: &Registry, n: u64, rng: &mut Rng) {
    let options = RegisterOptions::new().latency(rtt(rng));
    // At the bound, the registration is refused until expired relays are swept.
    let _ = registry.register_with(id(n), endpoint(), &options);
}

fn rtt(rng: &mut Rng) -> Duration {
    Duration::from_micros(rng.u64(1_000..300_000))
}

fn id(n: u64) -> NodeId {
    let mut bytes = [0x5a; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    NodeId::from(bytes)
}

fn endpoint() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 4433))
}

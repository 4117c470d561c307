//! What a single call pays of reclamation when there is much of it at once: a
//! thread is stalled inside a call while a million relays leave, then goes on.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml --bin reclamation
//! ```

use cpu_time::ThreadTime;
use fastrand::Rng;
use relay_registry::{Clock, Maintenance, NodeId, Registry};
use relay_registry_peers::instances::{endpoint, random_ids};
use relay_registry_peers::results;
use std::cell::Cell;
use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

const LEAVING: usize = 1_000_000;
const STAYING: usize = 100;
/// Rounds of reclamation end within some hundreds of finds. More would measure how
/// often the machine interrupts them.
const FINDS: usize = 2_048;
/// A departure begins a round, unless one is under way.
const FINDS_PER_DEPARTURE: usize = 64;
const REGISTRATIONS: usize = 2_048;
const TURNS: usize = 5;

thread_local! {
    /// Whether this thread's next reading of the clock takes until it is told.
    static STALLS: Cell<bool> = const { Cell::new(false) };
}

/// A clock that stands. A registration reads it in the middle of the call, while
/// nothing that it could still see may be reclaimed.
#[derive(Clone)]
struct StallingClock {
    reached: Arc<Barrier>,
    released: Arc<Barrier>,
}

impl StallingClock {
    fn new() -> Self {
        Self {
            reached: Arc::new(Barrier::new(2)),
            released: Arc::new(Barrier::new(2)),
        }
    }
}

impl Clock for StallingClock {
    fn now(&self) -> Duration {
        if STALLS.take() {
            self.reached.wait();
            self.released.wait();
        }
        Duration::ZERO
    }
}

/// The figure is the least of the turns' worsts: what reclamation takes it takes in
/// every turn, what the machine's interrupts take in some.
fn main() {
    let (mut finds, mut registrations) = (Vec::new(), Vec::new());
    for seed in 0..TURNS as u64 {
        let (find, registration) = worst_after_a_stall(seed);
        finds.push(find.as_secs_f64() * 1e6);
        registrations.push(registration.as_secs_f64() * 1e6);
    }
    println!("\nafter {LEAVING} relays left beside a stalled thread");
    let group = "reclamation";
    for (call, worsts) in [("find", finds), ("registration", registrations)] {
        let name = format!("worst us of a {call}, of processor time");
        let least = worsts.into_iter().fold(f64::INFINITY, f64::min);
        results::note(group, LEAVING, &name, least);
    }
}

/// The longest find and the longest registration, by the time that this thread was
/// on a processor. It is the only one, so all reclamation is up to it.
fn worst_after_a_stall(seed: u64) -> (Duration, Duration) {
    let ids = random_ids(LEAVING + STAYING + 1, &mut Rng::with_seed(seed));
    let (leaving, others) = ids.split_at(LEAVING);
    let (stalled, staying) = others.split_first().expect("there are others");
    let clock = StallingClock::new();
    let registry = Registry::builder()
        .max_relays(ids.len())
        .clock(clock.clone())
        .maintenance(Maintenance::Manual)
        .build()
        .expect("valid settings");
    leaving
        .iter()
        .chain(staying)
        .for_each(|id| register(&registry, id));
    thread::scope(|scope| {
        scope.spawn(|| {
            STALLS.set(true);
            register(&registry, stalled);
        });
        clock.reached.wait();
        leaving
            .iter()
            .for_each(|id| assert!(registry.unregister(id)));
        // It sorts, and can reclaim nothing yet.
        let awaiting = registry.maintain().awaiting_reclamation;
        assert_eq!(awaiting, LEAVING);
        clock.released.wait();
    });
    let find = worst_find(&registry, staying);
    let registration = worst_registration(&registry, staying);
    let awaiting = registry.stats().awaiting_reclamation;
    assert!(awaiting < LEAVING, "these calls reclaimed");
    (0..4).for_each(|_| _ = registry.maintain());
    assert_eq!(registry.stats().awaiting_reclamation, 0);
    (find, registration)
}

fn register(registry: &Registry, id: &NodeId) {
    registry.register(*id, endpoint()).expect("there is room");
}

fn worst_find(registry: &Registry, staying: &[NodeId]) -> Duration {
    let stranger = NodeId::from([0; 32]);
    let mut worst = Duration::ZERO;
    for n in 0..FINDS {
        if n % FINDS_PER_DEPARTURE == 0 {
            let id = &staying[n / FINDS_PER_DEPARTURE % staying.len()];
            assert!(registry.unregister(id));
            register(registry, id);
        }
        let begun = ThreadTime::now();
        assert!(black_box(registry.find_relay(&stranger)).is_ok());
        worst = worst.max(begun.elapsed());
    }
    worst
}

fn worst_registration(registry: &Registry, staying: &[NodeId]) -> Duration {
    let mut worst = Duration::ZERO;
    for id in staying.iter().cycle().take(REGISTRATIONS) {
        assert!(registry.unregister(id));
        let begun = ThreadTime::now();
        register(registry, id);
        worst = worst.max(begun.elapsed());
    }
    worst
}

//! The reclamation that one call does when there is much to reclaim: a thread is stalled inside a call while
//! a million relays leave and are forgotten, then continues.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml --bin reclamation
//! ```

use cpu_time::ThreadTime;
use fastrand::Rng;
use relay_registry::{FindOptions, Maintenance, ManualClock, NodeId, Registry};
use relay_registry_peers::instances::{endpoint, random_ids};
use relay_registry_peers::results;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::Barrier;
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
const SAMPLES: usize = 5;

/// The system's allocator, which can stall a thread. A call that builds a list allocates while it prevents
/// reclamation.
struct StallingAllocator;

#[global_allocator]
static ALLOCATOR: StallingAllocator = StallingAllocator;

static REACHED: Barrier = Barrier::new(2);
static RELEASED: Barrier = Barrier::new(2);

thread_local! {
    /// Whether this thread's next allocation stalls until it is released.
    static STALLS: Cell<bool> = const { Cell::new(false) };
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for StallingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if STALLS.try_with(Cell::take).unwrap_or(false) {
            REACHED.wait();
            RELEASED.wait();
        }
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(start, layout) }
    }
}

/// The figure is the minimum over samples of the longest call: reclamation costs the same in each sample,
/// while interrupts of the machine cost only in some.
fn main() {
    let (mut finds, mut registrations) = (Vec::new(), Vec::new());
    for seed in 0..SAMPLES as u64 {
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

/// The longest find and the longest registration, in processor time of this thread. There is no other
/// thread, so it does all reclamation.
fn worst_after_a_stall(seed: u64) -> (Duration, Duration) {
    let ids = random_ids(LEAVING + STAYING, &mut Rng::with_seed(seed));
    let (leaving, staying) = ids.split_at(LEAVING);
    // Relays are forgotten by the first pass after a tick.
    let clock = ManualClock::new();
    let registry = Registry::builder()
        .max_relays(ids.len())
        .clock(clock.clone())
        .return_grace(Duration::ZERO)
        .maintenance(Maintenance::Manual)
        .build()
        .expect("valid settings");
    leaving
        .iter()
        .chain(staying)
        .for_each(|id| register(&registry, id));
    let awaiting = thread::scope(|scope| {
        scope.spawn(|| {
            let (target, options) = (NodeId::from([0; 32]), FindOptions::new());
            // The first call of a thread allocates, to pin the epoch.
            for stalls in [false, true] {
                STALLS.set(stalls);
                black_box(registry.find_relays(&target, &options));
            }
        });
        REACHED.wait();
        leaving
            .iter()
            .for_each(|id| assert!(registry.unregister(id)));
        clock.advance(Duration::from_secs(1));
        // The pass forgets relays and sorts. It cannot reclaim anything yet.
        let awaiting = registry.maintain().awaiting_reclamation;
        RELEASED.wait();
        awaiting
    });
    assert_eq!(awaiting, LEAVING);
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
    let target = NodeId::from([0; 32]);
    let mut worst = Duration::ZERO;
    for n in 0..FINDS {
        if n % FINDS_PER_DEPARTURE == 0 {
            let id = &staying[n / FINDS_PER_DEPARTURE % staying.len()];
            assert!(registry.unregister(id));
            register(registry, id);
        }
        let begun = ThreadTime::now();
        assert!(black_box(registry.find_relay(&target)).is_ok());
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

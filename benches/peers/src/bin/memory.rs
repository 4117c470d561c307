//! Memory per relay, with a million relays: the resident memory of the process, and the bytes requested from
//! the allocator. Tables are allocated at their full size, of which only a part is touched.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml --bin memory
//! ```

use fastrand::Rng;
use relay_registry::ManualClock;
use relay_registry_peers::instances::{RoundTrips, empty_registry_on, endpoint, random_id};
use relay_registry_peers::results;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, with a count of bytes.
struct Counting;

static TAKEN: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        TAKEN.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        TAKEN.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const RELAYS: usize = 1_000_000;

fn main() {
    let before = (resident(), TAKEN.load(Ordering::Relaxed));
    let registry = empty_registry_on(ManualClock::new(), RELAYS);
    let mut rng = Rng::with_seed(1);
    for _ in 0..RELAYS {
        let id = random_id(&mut rng);
        registry.register(id, endpoint()).expect("there is room");
        let rtt = RoundTrips::Measured.draw(&mut rng).expect("a time");
        registry.record_rtt(&id, rtt);
    }
    for _ in 0..4 {
        registry.maintain();
    }
    let after = (resident(), TAKEN.load(Ordering::Relaxed));
    let each = |before: usize, after: usize| (after - before) as f64 / RELAYS as f64;
    println!("bytes for each relay");
    results::note("memory", RELAYS, "resident", each(before.0, after.0));
    results::note("memory", RELAYS, "allocated", each(before.1, after.1));
    drop(registry);
}

/// The resident bytes of this process.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1));
    kibibytes
        .expect("a figure")
        .parse::<usize>()
        .expect("a number")
        * 1024
}

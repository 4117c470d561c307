//! Rule 11: memory is bounded by `max_relays`, whatever the churn, and without maintenance.
//!
//! The tests run in a process of their own, one after another. Otherwise a preempted thread of another test
//! could delay reclamation here, as rule 11 allows.

#[path = "common/mod.rs"]
mod common;
#[path = "memory/cost.rs"]
mod cost;
#[path = "memory/estimate.rs"]
mod estimate;
#[path = "memory/turns.rs"]
mod turns;

use common::*;
use relay_registry::{FindOptions, RegisterError, Registration};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The system's allocator, with a count of allocations for each thread, and of the bytes that are allocated
/// and not freed.
struct Counting;

static LIVE_BYTES: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count_allocation(layout: Layout) {
    LIVE_BYTES.fetch_add(layout.size() as isize, Ordering::Relaxed);
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_allocation(layout);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count_allocation(layout);
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

const MAX_RELAYS: usize = 8;
/// The permits of a registry: as many records exist from admission until freed, and no more.
const PERMITS: usize = 2 * MAX_RELAYS + 1_024 + 1_024;
/// Structures of entries may have a few entries per record.
const ENTRIES: usize = 4 * PERMITS;

/// Registers and unregisters alternately, without maintenance, and checks the gauges now and then.
fn churn(world: &World, cycles: u32, cycle: impl FnMut(u32)) {
    churn_after(0, world, cycles, cycle);
}

/// The same, after so many records were kept at one time for their leases.
fn churn_after(kept: usize, world: &World, cycles: u32, mut cycle: impl FnMut(u32)) {
    for n in 0..cycles {
        cycle(n);
        if n % 1_000 == 0 {
            assert_bounded(world, kept);
        }
    }
    assert_bounded(world, kept);
}

#[track_caller]
fn assert_bounded(world: &World, kept: usize) {
    let stats = world.stats();
    assert!(stats.awaiting_reclamation <= PERMITS + kept, "{stats:?}");
    assert!(stats.wheel_len <= ENTRIES, "{stats:?}");
    assert!(stats.snapshot_len <= ENTRIES, "{stats:?}");
    assert!(stats.arrivals <= ENTRIES, "{stats:?}");
}

#[test]
fn s11_churn_of_one_id_leaves_nothing_behind() {
    let _alone = alone();
    let world = world_of(MAX_RELAYS);
    churn(&world, 200_000, |_| {
        world.join(1);
        world.leave(1);
    });
    assert_eq!(world.stats().registrations, 200_000);
    assert_eq!(world.relay_count(), 0);
}

#[test]
fn s11_churn_of_many_ids_at_the_bound_leaves_nothing_behind() {
    let _alone = alone();
    let world = world_of(MAX_RELAYS);
    let max = MAX_RELAYS as u32;
    (0..max).for_each(|n| world.join(n));
    churn(&world, 100_000, |n| {
        world.leave(n);
        world.join(n + max);
    });
    assert_eq!(world.relay_count(), MAX_RELAYS);
    assert_eq!(world.ranking().len(), MAX_RELAYS);
}

#[test]
fn s11_long_lives_cut_short_do_not_pile_up() {
    let _alone = alone();
    let world = world_of(MAX_RELAYS);
    let month = ttl(secs(30 * 86_400));
    churn(&world, 50_000, |n| {
        world.join_with(n, &month);
        world.advance(ms(10));
        world.leave(n);
    });
}

#[test]
fn s11_churn_by_expiry_leaves_nothing_behind() {
    let _alone = alone();
    let world = world_of(MAX_RELAYS);
    churn(&world, 50_000, |n| {
        world.join_with(n, &ttl(TICK));
        world.advance(TICK);
    });
    world.maintain();
    let stats = world.stats();
    assert_eq!((stats.relays, stats.expirations), (0, 50_000));
}

#[test]
fn s11_renewals_leave_nothing_behind() {
    let _alone = alone();
    let world = world_of(MAX_RELAYS);
    world.join(1);
    churn(&world, 100_000, |n| {
        let life = ttl(secs(600 + u64::from(n % 7)));
        let renewed = world.register_with(id(1), endpoint(n), &life);
        assert!(renewed.is_ok(), "{renewed:?}");
        world.advance(ms(1));
    });
    assert_eq!(world.relay_count(), 1);
}

#[test]
fn s11_refused_newcomers_leave_nothing_behind() {
    let _alone = alone();
    let world = world_of(1);
    world.join(0);
    churn(&world, 50_000, |n| {
        let refused = world.register(id(n + 1), endpoint(n + 1));
        assert_is!(refused, Err(RegisterError::Full { max: 1, .. }));
    });
    world.leave(0);
    world.join(1);
}

#[test]
fn s11_leases_on_departed_relays_do_not_use_up_the_permits() {
    let _alone = alone();
    let world = world_of(MAX_RELAYS);
    let mut leases = Vec::new();
    churn(&world, 3 * PERMITS as u32, |n| {
        world.join(n);
        leases.extend(world.take(n, 1));
        world.leave(n);
    });
    world.join(u32::MAX - 1);
    assert_eq!(world.found(), Some(u32::MAX - 1));
    for (n, lease) in leases.iter().enumerate() {
        assert_eq!(lease.relay().node_id(), id(n as u32));
    }
    drop(leases);
    assert_eq!(world.load(u32::MAX - 1), 0);
    // There are more records now than permits. They are used again, and no further ones.
    for _ in 0..4 {
        world.maintain();
    }
    let records = world.stats().memory.records;
    churn_after(3 * PERMITS, &world, 3 * PERMITS as u32, |n| {
        world.join(n);
        world.leave(n);
    });
    assert_eq!(world.stats().memory.records, records);
}

#[test]
fn s11_maintenance_reclaims_what_departed() {
    let _alone = alone();
    let world = world_of(1_000);
    (0..1_000).for_each(|n| world.join(n));
    (0..1_000).for_each(|n| world.leave(n));
    for _ in 0..10 {
        world.maintain();
    }
    let stats = world.stats();
    assert_eq!(
        (stats.relays, stats.snapshot_len, stats.arrivals),
        (0, 0, 0)
    );
    assert_eq!(world.rejections(&all()).total(), 0);
}

/// The most announcements that one call may free.
const PIECE: usize = 64;

/// Each call reclaims only a little memory.
#[test]
fn s11_a_call_reclaims_a_batch_at_most_and_a_find_nothing() {
    let _alone = alone();
    let world = world_of(2_000);
    let label = left_behind(&world, 1_000);
    world.join(u32::MAX - 1);
    for n in 0..1_000 {
        if n % 100 == 0 {
            // Begins a round with what is left, unless one is under way.
            world.join(0);
            world.leave(0);
        }
        let before = Arc::strong_count(&label);
        assert!(world.found().is_some());
        assert_eq!(Arc::strong_count(&label), before, "by a find");
    }
    // More in each shard than have left there.
    for n in 1_000..2_999 {
        let before = Arc::strong_count(&label);
        world.join(n);
        let freed = before - Arc::strong_count(&label);
        assert!(freed <= PIECE, "{freed} by a registration");
    }
    assert_eq!(Arc::strong_count(&label), 1, "all by registrations");
}

#[test]
fn s11_maintenance_reclaims_all_pieces() {
    let _alone = alone();
    let world = world_of(2_000);
    let label = left_behind(&world, 1_000);
    (0..10).for_each(|_| _ = world.maintain());
    assert_eq!(world.stats().awaiting_reclamation, 0);
    assert_eq!(Arc::strong_count(&label), 1);
}

#[test]
fn s11_a_registry_that_ends_reclaims_what_no_call_has() {
    let _alone = alone();
    let world = world_of(2_000);
    let label = left_behind(&world, 1_000);
    let options = options().failure_domain(Arc::clone(&label));
    (1_000..1_500).for_each(|n| world.join_with(n, &options));
    (1_000..1_250).for_each(|n| world.leave(n));
    drop(options);
    assert!(Arc::strong_count(&label) > 500, "there is something left");
    drop(world);
    (0..10).for_each(|_| drop(world_of(1)));
    assert_eq!(Arc::strong_count(&label), 1);
}

/// Registers and unregisters relays that all announced the returned label.
fn left_behind(world: &World, relays: u32) -> Arc<str> {
    let label: Arc<str> = Arc::from("a domain");
    let options = options().failure_domain(Arc::clone(&label));
    (0..relays).for_each(|n| world.join_with(n, &options));
    (0..relays).for_each(|n| world.leave(n));
    label
}

#[test]
fn s11_registries_come_and_go() {
    let _alone = alone();
    for round in 0..2_000 {
        let world = world_of(4);
        world.join(round);
        let lease = world.lease(&id(round)).expect("a free unit");
        drop(world);
        assert_eq!(number(lease.relay().node_id()), round);
    }
}

/// The resident memory of this process, where the system reports it.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = resident.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<usize>().ok());
    number.map_or(0, |kib| kib << 10)
}

/// Tables are reserved at once and touched as they fill, so the largest registry can be built.
#[test]
fn s11_the_largest_registry_takes_up_memory_only_as_it_fills() {
    let _alone = alone();
    let before = resident_bytes();
    let world = world_of(relay_registry::MAX_RELAYS);
    // Pages may be as large as 2 MiB.
    let taken_up = resident_bytes().saturating_sub(before);
    assert!(taken_up < 64 << 20, "{taken_up} bytes for no relay");
    (0..1_000).for_each(|n| world.join(n));
    (0..1_000).for_each(|n| assert!(world.has(n)));
    assert_eq!(world.relay_count(), 1_000);
    world.maintain();
    assert!(world.found().is_some());
}

#[test]
fn s11_a_registry_of_more_relays_than_can_be_named_is_not_built() {
    for max_relays in [0, relay_registry::MAX_RELAYS + 1, usize::MAX] {
        let built = relay_registry::Registry::builder()
            .max_relays(max_relays)
            .build();
        assert!(built.is_err(), "{max_relays}");
    }
}

/// After the first call of a thread, and without departures that the call would help to reclaim.
#[test]
fn what_is_called_millions_of_times_does_not_allocate() {
    let _alone = alone();
    let world = world_of(200);
    for n in 0..200 {
        world.join_with(n, &latency(ms(u64::from(n) + 1)));
    }
    world.maintain();
    let (plain, near) = (FindOptions::new(), within(ms(50)));
    let (peer, asked_by_peer) = (id(2_000), FindOptions::new().requester(id(2_000)));
    world.update_peer(&peer, published([(3, ms(5)), (4, ms(6))]));
    world.update_peer(&id(7), published([(3, ms(9)), (5, ms(6))]));
    let all_of_it = || {
        for n in 0..200 {
            let renewed = world.register(id(n), endpoint(n));
            assert_eq!(renewed, Ok(Registration::Renewed));
            assert!(world.is_relay(&id(n)) && !world.is_relay(&id(1_000)));
            world.measure(n, ms(u64::from(n) + 1));
            world.report(n, 3);
            assert_eq!(world.info(n).node_id(), id(n));
            world.succeed(n);
            drop(world.lease(&id(n)).expect("a free unit"));
            drop(world.reserve(&id(n), &near).expect("near ones"));
            assert!(world.found_with(&plain).is_some() && world.found().is_some());
            drop(world.reserve(&id(n), &asked_by_peer).expect("some relay"));
            assert!(world.find_home_relay(&plain).is_ok());
        }
    };
    all_of_it();
    let before = ALLOCATIONS.get();
    (0..20).for_each(|_| all_of_it());
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

/// Nor with all that few relays announce.
#[test]
fn what_few_relays_announce_is_shared_and_not_copied() {
    let _alone = alone();
    let world = world_of(200);
    let rare = options()
        .tier(1)
        .cost(2.0)
        .labels(["eu", "udp"])
        .also_at([endpoint(7), endpoint(8)])
        .payload(b"opaque")
        .failure_domain("rack 7");
    (0..200).for_each(|n| world.join_with(n, &rare));
    world.maintain();
    let all_of_it = || {
        for n in 100..200 {
            world.renew_with(n, &rare);
            world.renew(n);
            let info = world.info(n).clone();
            assert!(info.has_label("udp") && info.also_at().len() == 2);
            let lease = world.lease(&id(n)).expect("a free unit");
            assert!(lease.payload().is_some() && world.payload(&id(n)).is_some());
            assert!(world.find_relay(&id(n)).is_ok());
        }
    };
    all_of_it();
    let before = ALLOCATIONS.get();
    (0..20).for_each(|_| all_of_it());
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

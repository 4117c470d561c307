//! Tests that hold a lock, a pin or a thread inside a registry, and look what else goes on.

use crate::errors::{BanError, OperatorError};
use crate::registry::{Maintenance, Registry};
use crate::relay::{NodeId, RegisterOptions, RelayInfo};
use crate::select::PeerView;
use crate::sync::epoch;
use crate::sync::unmodelled::Mutex;
use crate::table::record::Announcement;
use crate::time::ManualClock;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

const ENDPOINT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 4433);
const TTL: Duration = Duration::from_secs(5);

fn id(n: u32) -> NodeId {
    NodeId::from_bytes(&n.to_be_bytes()).unwrap()
}

/// A registry with maintenance threads and a relay.
fn threaded_registry() -> (Registry, ManualClock) {
    let clock = ManualClock::new();
    let registry = Registry::builder()
        .tick(Duration::from_millis(1))
        .ttl(TTL)
        .clock(clock.clone())
        .build()
        .unwrap();
    registry.register(id(1), ENDPOINT).unwrap();
    (registry, clock)
}

/// Moves the clock on to the deadline of the relay, in steps: a thread that raised the
/// tick at one step and waits for something then raises it at no later one.
#[track_caller]
fn pass_the_deadline(registry: &Registry, clock: &ManualClock) {
    const STEPS: u32 = 50;
    let timeline = &registry.inner().relays.timeline;
    let attempts_left = Instant::now() + Duration::from_secs(30);
    for _ in 0..STEPS {
        let before = timeline.tick();
        clock.advance(TTL / STEPS);
        while timeline.tick() == before {
            assert!(Instant::now() < attempts_left, "the tick was not raised");
            thread::yield_now();
        }
    }
}

/// The right to sort is held for as long as a sort of any size would hold it, and
/// there is something to sort.
#[test]
fn the_tick_is_raised_while_relays_are_sorted() {
    let (registry, clock) = threaded_registry();
    let sorting = registry.inner().relays.publication().merger();
    registry.register(id(2), ENDPOINT).unwrap();
    pass_the_deadline(&registry, &clock);
    assert!(!registry.is_relay(&id(1)));
    assert!(registry.find_relay(&id(9)).is_err());
    drop(sorting);
}

/// The wheel is held for as long as any number of relays would take to expire.
#[test]
fn the_tick_is_raised_while_relays_are_swept() {
    let (registry, clock) = threaded_registry();
    let sweeping = registry.inner().expiry.schedule();
    pass_the_deadline(&registry, &clock);
    assert!(!registry.is_relay(&id(1)));
    assert_eq!(registry.relay_count(), 0);
    drop(sweeping);
}

/// A thread that waits for the lock of the map is not pinned.
#[test]
fn a_thread_that_waits_for_the_map_does_not_hold_up_reclamation() {
    let (relay, peer) = (id(1), id(2));
    let registry = Registry::builder().maintenance(Maintenance::Manual);
    let registry = registry.build().expect("valid settings");
    registry.register(relay, ENDPOINT).expect("room");
    let view = PeerView::new().coordinate(registry.coordinate());
    let view = view.measured(relay, Duration::from_millis(9));
    let view = view.expect("a measurement");

    let inner = registry.inner();
    let map = inner.coordinates.map.lock();
    thread::scope(|scope| {
        let calls = [
            scope.spawn(|| assert_eq!(registry.update_peer(&peer, view), 1)),
            scope.spawn(|| {
                // Known or not, as `update_peer` is first or last.
                let _ = registry.relay_coordinate(&relay);
            }),
            scope.spawn(|| inner.coordinates.apply_measurements(&inner.relays)),
        ];
        // In most runs they have come to the lock by the end of these.
        for _ in 0..200 {
            registry.register(peer, ENDPOINT).expect("room");
            assert!(registry.unregister(&peer));
            let mut tries = 0;
            while inner.relays.table.awaiting_reclamation() > 0 {
                inner.relays.table.reclaim();
                thread::yield_now();
                tries += 1;
                assert!(tries < 100_000, "nothing is reclaimed");
            }
        }
        assert!(calls.iter().all(|call| !call.is_finished()));
        drop(map);
    });
    assert!(registry.relay_coordinate(&relay).is_some());
}

const RELAYS: u32 = 2_000;
/// The most that one call may give back.
const PIECE: usize = 64;

/// A thread that is stalled holds up the memory of all registries, of other tests, too.
static STALLS: Mutex<()> = Mutex::new(());

/// Runs `act` while another thread is stalled in the middle of a call.
fn beside_a_stalled_thread(act: impl FnOnce()) {
    let (stalls, is_stalled) = channel();
    let (release, is_released) = channel::<()>();
    let stalled = thread::spawn(move || {
        let _guard = epoch::pin();
        stalls.send(()).unwrap();
        let _ = is_released.recv(); // an error, once the other end is dropped
    });
    is_stalled.recv().unwrap();
    act();
    drop(release);
    stalled.join().unwrap();
}

/// However many relays left meanwhile: no find pays for their memory, and any other
/// call for a batch of it.
#[test]
fn once_a_stalled_thread_goes_on_no_call_pays_for_more_than_a_piece() {
    let _alone = STALLS.lock();
    let registry = Registry::builder()
        .max_relays(RELAYS as usize)
        .maintenance(Maintenance::Manual)
        .build()
        .unwrap();
    let label: Arc<str> = Arc::from("a domain");
    let options = RegisterOptions::new().failure_domain(Arc::clone(&label));
    let others = 2;
    beside_a_stalled_thread(|| {
        for n in 1..RELAYS {
            registry.register_with(id(n), ENDPOINT, &options).unwrap();
        }
        registry.register(id(0), ENDPOINT).unwrap();
        (1..RELAYS).for_each(|n| assert!(registry.unregister(&id(n))));
        registry.maintain();
        assert_eq!(Arc::strong_count(&label), RELAYS as usize - 1 + others);
    });
    let held = || Arc::strong_count(&label);
    for n in 1..RELAYS {
        if n % 100 == 0 {
            // Begins a round with what is left, unless one is under way.
            registry.unregister(&id(n - 1));
        }
        let before = held();
        assert!(registry.find_relay(&id(RELAYS)).is_ok());
        assert_eq!(held(), before, "by a find");
        registry.register(id(n), ENDPOINT).unwrap();
        assert!(
            before - held() <= PIECE,
            "{} by a registration",
            before - held()
        );
    }
    assert!(held() < RELAYS as usize / 2, "given back as relays come");
}

/// A restart that fails, as for want of memory, leaves the relay as it was.
#[test]
fn a_relay_whose_restart_fails_beside_a_merge_is_found() {
    let registry = manual();
    registry.register(id(1), ENDPOINT).unwrap();
    registry.maintain();
    let inner = registry.inner();
    {
        let guard = epoch::pin();
        let now = inner.relays.present();
        let live = inner.relays.find_live(&id(1), now, &guard).unwrap();
        let closing = inner.relays.table.close_live(live).unwrap();
        inner.relays.publication().mark_unsorted();
        inner.sort();
        closing.leave_as_it_was();
    }
    assert!(registry.find_relay(&id(9)).is_ok());
}

/// The renewal copies its capacity while the relay is closing.
#[test]
fn a_capacity_that_was_raised_beside_a_failed_restart_counts() {
    let registry = manual();
    let options = RegisterOptions::new().capacity(1);
    registry.register_with(id(1), ENDPOINT, &options).unwrap();
    let _lease = registry.lease(&id(1)).unwrap();
    let relays = &registry.inner().relays;
    {
        let guard = epoch::pin();
        let find = || relays.find_live(&id(1), relays.present(), &guard).unwrap();
        let live = find();
        let raised = Announcement {
            capacity: 3,
            ..live.announcement().clone()
        };
        let _pending = live.begin_pending();
        let deadline = live.word().deadline();
        assert_eq!(live.renew(deadline, Some(raised)), Ok(true));
        let closing = relays.table.close_live(find()).unwrap();
        live.copy_announced();
        closing.leave_as_it_was();
    }
    assert!(registry.find_relay(&id(9)).is_ok());
}

/// The operator begins to drain the relay while it is closing. His thread repeats that afterwards,
/// when it changes nothing.
#[test]
fn draining_that_began_beside_a_failed_restart_is_told_of_the_live_relay() {
    let registry = manual();
    registry.register(id(1), ENDPOINT).unwrap();
    let events = registry.events();
    let relays = &registry.inner().relays;
    {
        let guard = epoch::pin();
        let live = relays.find_live(&id(1), relays.present(), &guard).unwrap();
        let closing = relays.table.close_live(live).unwrap();
        live.set_draining(true);
        closing.leave_as_it_was();
    }
    registry.set_draining(&id(1), true).unwrap();
    let told = std::iter::from_fn(|| events.try_recv().ok());
    let told = told.filter_map(|event| event.relay().map(RelayInfo::is_draining));
    assert_eq!(told.last(), Some(true));
}

fn manual() -> Registry {
    let builder = Registry::builder().maintenance(Maintenance::Manual);
    builder.clock(ManualClock::new()).build().unwrap()
}

/// Found by `ci/soak.sh`: the error named the allocator, and nothing was reclaimed first.
#[test]
fn an_operator_setting_waits_for_memory_that_a_stalled_thread_holds_up() {
    const MINUTE: Duration = Duration::from_secs(60);
    let _alone = STALLS.lock();
    let builder = Registry::builder().max_relays(100);
    let builder = builder.maintenance(Maintenance::Manual);
    let registry = builder.clock(ManualClock::new()).build().unwrap();
    let banned = |n| registry.banned().iter().any(|(relay, _)| *relay == id(n));
    let mut refused = 0;
    beside_a_stalled_thread(|| {
        let ban = |n: &u32| match registry.ban(&id(*n), MINUTE) {
            Ok(()) => !registry.lift(&id(*n)),
            Err(error) => {
                assert!(matches!(error, BanError::Backlogged { .. }), "{error}");
                true
            }
        };
        refused = (0..10_000_000).find(ban).expect("records run out");
        let tier = registry.set_tier(&id(refused), 1);
        assert!(matches!(tier, Err(OperatorError::Backlogged { .. })));
        assert!(!banned(refused));
    });
    registry
        .ban(&id(refused), MINUTE)
        .expect("records are reclaimed");
    assert!(banned(refused));
}

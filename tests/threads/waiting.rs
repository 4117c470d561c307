//! What waits: tasks for a relay, and for the end of a registry; and the drop of the last
//! handle, which does not.

use crate::TIMEOUT;
use crate::assert_is;
use crate::common::*;
use relay_registry::{Clock, Event, FindError, FindOptions, ManualClock, RecvError, Registry};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

#[derive(Default)]
struct Counting(AtomicU32);

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counting {
    fn woken(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Polls a search once, changes the registry, and returns what the search then says, if it was
/// woken.
#[track_caller]
fn woken_by(world: &World, options: &FindOptions, change: impl FnOnce()) -> Option<u32> {
    let counting = Arc::new(Counting::default());
    let waker = Waker::from(Arc::clone(&counting));
    let mut context = Context::from_waker(&waker);
    let target = non_relay();
    let mut search = pin!(world.find_relay_async(&target, options));
    assert!(search.as_mut().poll(&mut context).is_pending());
    change();
    if counting.woken() == 0 {
        return None;
    }
    match search.as_mut().poll(&mut context) {
        Poll::Ready(found) => Some(number(found.expect("a relay").node_id())),
        Poll::Pending => None,
    }
}

#[test]
fn a_search_that_waits_is_woken_by_what_makes_a_relay_eligible() {
    let world = world();
    let plain = FindOptions::new();
    assert_eq!(woken_by(&world, &plain, || world.join(1)), Some(1));
    world.drain(1);
    let undrain = || world.set_draining(&id(1), false).unwrap();
    assert_eq!(woken_by(&world, &plain, undrain), Some(1));
    world.ban_for(1, secs(10));
    assert_eq!(
        woken_by(&world, &plain, || _ = world.unban(&id(1))),
        Some(1)
    );
    world.ban_for(1, secs(10));
    assert_eq!(woken_by(&world, &plain, || _ = world.lift(&id(1))), Some(1));
    let labelled = FindOptions::new().require(["udp"]);
    let relabel = || world.renew_with(1, &options().labels(["udp"]));
    assert_eq!(woken_by(&world, &labelled, relabel), Some(1));
}

#[test]
fn a_search_that_waits_is_woken_by_each_maintenance_pass() {
    let world = world();
    world.join_with(1, &capacity(1));
    let plain = FindOptions::new();
    let lease = world.take(1, 1);
    let release = || {
        drop(lease);
        world.maintain();
    };
    assert_eq!(woken_by(&world, &plain, release), Some(1));
    let near = within(ms(10));
    let measure = || {
        world.measure(1, ms(5));
        world.maintain();
    };
    assert_eq!(woken_by(&world, &near, measure), Some(1));
    world.ban_for(1, secs(1));
    assert_eq!(
        woken_by(&world, &plain, || _ = world.pass(secs(2))),
        Some(1)
    );
}

#[test]
fn a_search_that_finds_at_once_does_not_wait() {
    let world = world();
    world.join(1);
    let found = pollster::block_on(world.find_relay_async(&non_relay(), &FindOptions::new()));
    assert_eq!(found.unwrap().node_id(), id(1));
}

#[test]
fn close_ends_a_search_that_waits_with_what_it_found_last() {
    let world = world();
    world.join(1);
    world.drain(1);
    let registry = &world.registry;
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            pollster::block_on(registry.find_relay_async(&non_relay(), &FindOptions::new()))
        });
        registry.close();
        let ended = waiting.join().expect("no panic");
        assert_is!(ended, Err(FindError::NoRelaysAvailable { rejections, .. }) if rejections.draining == 1);
    });
}

struct Panicking;

impl Wake for Panicking {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

#[test]
fn a_waker_that_panics_leaves_no_other_one_unwoken() {
    let world = world();
    let (target, options) = (non_relay(), FindOptions::new());
    let counting = Arc::new(Counting::default());
    let panicking = || Waker::from(Arc::new(Panicking));
    let wakers = [panicking(), Waker::from(Arc::clone(&counting)), panicking()];
    let mut searches = wakers.map(|waker| {
        let mut search = Box::pin(world.find_relay_async(&target, &options));
        let polled = search.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        search
    });
    assert!(catch_unwind(AssertUnwindSafe(|| world.join(1))).is_err());
    assert_eq!(counting.woken(), 1);
    let mut context = Context::from_waker(Waker::noop());
    for search in &mut searches {
        assert!(search.as_mut().poll(&mut context).is_ready());
    }
}

#[test]
fn a_future_that_is_dropped_leaves_nothing_behind() {
    let world = world();
    let mut events = world.events();
    let counting = Arc::new(Counting::default());
    let waker = Waker::from(Arc::clone(&counting));
    for _ in 0..10 {
        let (target, options) = (non_relay(), FindOptions::new());
        let mut context = Context::from_waker(&waker);
        let mut search = pin!(world.find_relay_async(&target, &options));
        assert!(search.as_mut().poll(&mut context).is_pending());
        let mut next = pin!(events.next());
        assert!(next.as_mut().poll(&mut context).is_pending());
        assert!(next.as_mut().poll(&mut context).is_pending());
    }
    assert!(
        events
            .poll_next(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(events);
    assert_eq!(Arc::strong_count(&counting), 2, "this test's own");
    world.join(1);
    assert_eq!(counting.woken(), 0);
}

#[test]
fn threads_and_tasks_that_wait_for_a_relay_all_get_it() {
    let world = world();
    let registry = &world.registry;
    thread::scope(|scope| {
        let tasks = || pollster::block_on(registry.find_relay_async(&id(8), &FindOptions::new()));
        let threads = || registry.find_relay_wait(&id(9), &FindOptions::new(), TIMEOUT);
        let waiting = [scope.spawn(tasks), scope.spawn(tasks)];
        let polling = [scope.spawn(threads), scope.spawn(threads)];
        world.join(1);
        for waiter in waiting.into_iter().chain(polling) {
            let found = waiter.join().expect("no panic").expect("a relay");
            assert_eq!(found.node_id(), id(1));
        }
    });
}

#[test]
fn tasks_that_wait_for_units_share_them_and_each_gets_one() {
    let registry = Registry::builder().tick(ms(1)).build().unwrap();
    let two_units = capacity(2);
    registry
        .register_with(id(1), endpoint(1), &two_units)
        .unwrap();
    let (target, plain) = (non_relay(), FindOptions::new());
    let held = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let lease = pollster::block_on(registry.reserve_async(&target, &plain));
                    let lease = lease.expect("a unit");
                    assert!(held.fetch_add(1, Ordering::SeqCst) < 2);
                    thread::yield_now();
                    held.fetch_sub(1, Ordering::SeqCst);
                    drop(lease);
                }
            });
        }
    });
    let stats = registry.stats();
    assert_eq!((stats.reservations, stats.refusals.total()), (160, 0));
    assert_eq!(registry.relay(&id(1)).unwrap().current_load(), 0);
}

#[test]
fn a_reservation_that_waits_takes_a_unit_when_it_is_ready_and_none_if_it_is_dropped() {
    let world = world();
    world.join_with(1, &capacity(1));
    let (target, plain) = (non_relay(), FindOptions::new());
    let load = || world.relay(&id(1)).unwrap().current_load();
    let mut context = Context::from_waker(Waker::noop());
    let first = world.take(1, 1);
    let mut abandoned = Box::pin(world.reserve_async(&target, &plain));
    let mut waiting = Box::pin(world.reserve_async(&target, &plain));
    assert!(abandoned.as_mut().poll(&mut context).is_pending());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    drop(first);
    drop(abandoned);
    assert_eq!(load(), 0);
    assert_is!(waiting.as_mut().poll(&mut context), Poll::Ready(Ok(lease)) if lease.units() == 1);
    assert_eq!(load(), 0, "the lease was dropped");
}

#[test]
fn close_ends_a_reservation_that_waits_and_counts_one_refusal() {
    let world = world();
    let refused = world.stats().refusals.total();
    thread::scope(|scope| {
        let target = non_relay();
        let registry = &world.registry;
        let waiting = scope.spawn(move || {
            pollster::block_on(registry.reserve_async(&target, &FindOptions::new())).map(drop)
        });
        world.registry.close();
        assert_is!(
            waiting.join().expect("no panic"),
            Err(FindError::NoRelaysAvailable { .. })
        );
    });
    assert_eq!(world.stats().refusals.total(), refused + 1);
}

/// A clock that stops each thread but the test's own until it is let go.
struct Stopping {
    time: ManualClock,
    home: ThreadId,
    stopped: Sender<()>,
    go_on: Mutex<Receiver<()>>,
}

impl Clock for Stopping {
    fn now(&self) -> Duration {
        if thread::current().id() != self.home {
            let _ = self.stopped.send(());
            let _ = self.go_on.lock().unwrap().recv();
        }
        self.time.now()
    }
}

/// A registry whose thread is inside the clock, until the sender is dropped.
fn stopped() -> (Registry, Sender<()>) {
    let (stopped, is_stopped) = channel();
    let (go_on, waits) = channel();
    let clock = Stopping {
        time: ManualClock::new(),
        home: thread::current().id(),
        stopped,
        go_on: Mutex::new(waits),
    };
    let registry = Registry::builder().clock(clock).build().unwrap();
    is_stopped
        .recv_timeout(TIMEOUT)
        .expect("it reads the clock");
    (registry, go_on)
}

/// It would not return: the thread goes on only afterwards.
#[test]
fn the_drop_of_the_last_handle_waits_for_no_thread() {
    let (registry, go_on) = stopped();
    let events = registry.events();
    drop(registry);
    assert_eq!(events.try_recv(), Err(RecvError::Closed));
    drop(go_on);
}

#[test]
fn closed_is_ready_when_the_threads_have_ended() {
    let (registry, go_on) = stopped();
    let counting = Arc::new(Counting::default());
    let waker = Waker::from(Arc::clone(&counting));
    let mut context = Context::from_waker(&waker);
    {
        let mut closed = pin!(registry.closed());
        for _ in 0..3 {
            assert!(closed.as_mut().poll(&mut context).is_pending());
        }
        drop(go_on);
        let deadline = Instant::now() + TIMEOUT;
        while counting.woken() == 0 && Instant::now() < deadline {
            thread::yield_now();
        }
        assert_eq!(closed.as_mut().poll(&mut context), Poll::Ready(()));
    }
    pollster::block_on(registry.closed());
    registry.close();
    assert!(registry.register(id(1), endpoint(1)).is_ok());
    assert!(registry.find_relay(&non_relay()).is_ok());
}

#[test]
fn closed_beside_close_and_without_threads() {
    let registry = Registry::new();
    thread::scope(|scope| {
        scope.spawn(|| registry.close());
        scope.spawn(|| pollster::block_on(registry.closed()));
    });
    let world = world();
    let events = world.events();
    pollster::block_on(world.closed());
    assert_eq!(events.recv(TIMEOUT), Err::<Event, _>(RecvError::Closed));
}

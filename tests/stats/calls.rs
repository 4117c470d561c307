//! Which calls are counted, as what, by which threads.

use crate::common::*;
use relay_registry::{FindOptions, Refusals, Registry};
use std::cell::RefCell;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

/// Finds, reservations, and those that found no relay.
#[track_caller]
fn assert_counts(world: &World, finds: u64, reservations: u64, refused: u64) {
    let stats = world.stats();
    let counts = (stats.finds, stats.reservations, stats.refusals.total());
    assert_eq!(counts, (finds, reservations, refused));
}

fn any() -> FindOptions {
    FindOptions::new()
}

#[test]
fn each_call_that_looks_for_relays_is_one_find() {
    let world = world();
    world.join(1);
    assert!(world.find_relay(&non_relay()).is_ok());
    assert!(world.find_relay_with(&non_relay(), &within(ms(5))).is_err());
    assert!(world.find_home_relay(&any()).is_ok());
    assert_eq!(world.find_relays(&non_relay(), &any()).len(), 1);
    assert_counts(&world, 4, 0, 1);
    assert!(world.reserve(&non_relay(), &any()).is_ok());
    assert!(world.reserve(&id(1), &any()).is_err());
    assert_counts(&world, 4, 2, 2);
}

#[test]
fn other_calls_are_none() {
    let world = world();
    world.join(1);
    let _ = world.explain(&non_relay(), &any());
    assert!(world.relay(&id(1)).is_some() && world.is_relay(&id(1)));
    assert!(world.lease(&id(1)).is_ok() && world.lease(&id(2)).is_err());
    assert!(world.due_for_probe(3).contains(&id(1)));
    assert_counts(&world, 0, 0, 0);
}

/// It looks about once in 10 ms, and the time is over after several of these.
#[test]
fn a_call_that_waits_is_one_find_however_often_it_looks() {
    let world = world();
    let wait = |longest| world.find_relay_wait(&non_relay(), &any(), longest);
    assert!(wait(ms(35)).is_err());
    assert_counts(&world, 1, 0, 1);
    assert!(wait(Duration::ZERO).is_err());
    assert_counts(&world, 2, 0, 2);
    world.join(1);
    assert!(wait(secs(60)).is_ok());
    assert_counts(&world, 3, 0, 2);
}

#[test]
fn an_empty_list_is_a_refusal_if_any_relay_was_asked_for() {
    let world = world();
    let list = |max| world.find_relays(&non_relay(), &any().max_results(max));
    assert!(list(3).is_empty());
    assert_counts(&world, 1, 0, 1);
    assert!(list(0).is_empty());
    assert_counts(&world, 2, 0, 1);
}

/// The refusals of one call with these options.
#[track_caller]
fn refused_with(world: &World, options: &FindOptions) -> Refusals {
    assert_eq!(world.stats().refusals, Refusals::default());
    assert!(world.find_relay_with(&non_relay(), options).is_err());
    world.stats().refusals
}

#[test]
fn a_refusal_counts_under_the_reason_of_most_relays() {
    let refused = |prepare: fn(&World), options: FindOptions| {
        let world = world();
        prepare(&world);
        let refusals = refused_with(&world, &options);
        assert_eq!(refusals.total(), 1, "{refusals:?}");
        refusals
    };
    let join = |world: &World| (1..=5).for_each(|n| world.join_with(n, &capacity(1)));
    assert_eq!(refused(|_| {}, any()).no_relays, 1);
    let full = |world: &World| {
        (1..=5).for_each(|n| world.join_with(n, &capacity(1)));
        (1..=3).for_each(|n| world.report(n, 1));
        (4..=5).for_each(|n| world.drain(n));
    };
    assert_eq!(refused(full, any()).full, 1);
    let draining = |world: &World| {
        (1..=5).for_each(|n| world.join_with(n, &capacity(1)));
        (1..=2).for_each(|n| world.report(n, 1));
        (3..=5).for_each(|n| world.drain(n));
    };
    assert_eq!(refused(draining, any()).draining, 1);
    let banned = |world: &World| {
        world.join(1);
        world.ban_for(1, secs(60));
    };
    assert_eq!(refused(banned, any()).banned, 1);
    assert_eq!(refused(join, excluding(1..=5)).excluded, 1);
    assert_eq!(refused(join, any().require(["eu"])).labels, 1);
    assert_eq!(refused(join, within(ms(5))).unmeasured, 1);
    let far = |world: &World| world.join_with(1, &latency(ms(20)));
    assert_eq!(refused(far, within(ms(5))).too_far, 1);
    let departed = |world: &World| {
        world.join(1);
        world.maintain();
        world.leave(1);
    };
    assert_eq!(refused(departed, any()).departed, 1);
    let departed_before_it_was_sorted = |world: &World| {
        world.join(1);
        world.leave(1);
    };
    assert_eq!(refused(departed_before_it_was_sorted, any()).no_relays, 1);
}

#[test]
fn of_two_reasons_for_as_many_relays_the_first_one_counts() {
    let world = world();
    (1..=4).for_each(|n| world.join_with(n, &capacity(1)));
    (1..=2).for_each(|n| world.drain(n));
    (3..=4).for_each(|n| world.report(n, 1));
    let rejections = world.rejections(&any());
    assert_eq!((rejections.full, rejections.draining), (2, 2));
    assert_eq!(world.stats().refusals.full, 1);
}

/// More threads than have cells of their own, all at once.
#[test]
fn no_call_is_lost_however_many_threads_there_are() {
    const THREADS: usize = 200;
    const CALLS: u64 = 50;
    let world = world();
    world.join_with(1, &capacity(1_000_000));
    let all_are_there = Barrier::new(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                all_are_there.wait();
                for _ in 0..CALLS {
                    assert!(world.find_relay(&non_relay()).is_ok());
                    assert!(world.reserve(&id(1), &any()).is_err());
                }
                all_are_there.wait();
            });
        }
    });
    let calls = THREADS as u64 * CALLS;
    assert_counts(&world, calls, calls, calls);
    assert_eq!(world.stats().refusals.excluded, calls);
}

#[test]
fn threads_that_come_and_go_count_on() {
    const THREADS: u64 = 500;
    let world = world();
    world.join(1);
    let find = || assert!(world.find_relay(&non_relay()).is_ok());
    for _ in 0..THREADS {
        thread::scope(|scope| {
            scope.spawn(find);
            scope.spawn(find);
        });
    }
    assert_counts(&world, 2 * THREADS, 0, 0);
}

#[test]
fn each_registry_has_counts_of_its_own() {
    let (one, other) = (world(), world());
    one.join(1);
    assert!(one.find_relay(&non_relay()).is_ok());
    assert_counts(&one, 1, 0, 0);
    assert_counts(&other, 0, 0, 0);
}

/// Calls a registry when its thread ends.
struct LastCall(Arc<Registry>);

impl Drop for LastCall {
    fn drop(&mut self) {
        assert!(self.0.find_relay(&non_relay()).is_ok());
    }
}

thread_local! {
    static FIRST: RefCell<Option<LastCall>> = const { RefCell::new(None) };
    static LAST: RefCell<Option<LastCall>> = const { RefCell::new(None) };
}

/// Destructors of a thread run in an order that is not specified: one of these two variables
/// was made before the first call counted, the other one after.
#[test]
fn calls_in_the_teardown_of_a_thread_count() {
    let World { registry, .. } = world();
    registry.register(id(1), endpoint(1)).unwrap();
    let registry = Arc::new(registry);
    for calls_before in [false, true] {
        let before = registry.stats().finds;
        let of_thread = Arc::clone(&registry);
        let thread = thread::spawn(move || {
            FIRST.set(Some(LastCall(Arc::clone(&of_thread))));
            if calls_before {
                assert!(of_thread.find_relay(&non_relay()).is_ok());
            }
            LAST.set(Some(LastCall(of_thread)));
        });
        thread.join().unwrap();
        let counted = registry.stats().finds - before;
        assert_eq!(counted, 2 + u64::from(calls_before));
    }
}

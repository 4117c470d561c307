//! Events beside threads that change the relays: a copy that follows them is right in the end,
//! and readers are woken.

use crate::assert_is;
use crate::common::mirror::{Mirror, standings};
use crate::common::*;
use crate::{TIMEOUT, at_once};
use relay_registry::{Event, Failure, FindOptions, RecvError, Registry};
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Wake;
use std::thread;
use std::time::Duration;

const RELAYS: u32 = 4;

/// One random change of one of few relays.
fn change(world: &World, random: &mut fastrand::Rng) {
    let n = random.u32(0..RELAYS);
    let relay = id(n);
    match random.u32(0..12) {
        0..4 => {
            let options = capacity(random.u32(1..5)).restarted(random.u8(..) < 40);
            let _ = world.register_with(relay, endpoint(n), &options);
        }
        4..6 => _ = world.unregister(&relay),
        6 => _ = world.set_draining(&relay, random.bool()),
        7 => _ = world.set_tier(&relay, random.u8(0..3)),
        8 => _ = world.report_failure(&relay, Failure::Refused),
        9 => _ = world.reset_circuit(&relay),
        10 => {
            if let Ok(lease) = world.reserve(&non_relay(), &FindOptions::new()) {
                match random.bool() {
                    true => lease.succeeded(),
                    false => lease.failed(Failure::TimedOut),
                };
            }
        }
        _ => {
            world.advance(ms(random.u64(0..400)));
            world.maintain();
        }
    }
}

/// Several threads change relays, each beside a subscriber that reads now and then. When all
/// have ended, the copies are what the registry has.
fn copies_are_right(event_capacity: usize, rounds: u64) -> u64 {
    let mut missed = 0;
    for round in 0..rounds {
        let world = world_with(|builder| {
            builder
                .max_relays(3)
                .ttl(secs(1))
                .return_grace(ms(300))
                .event_capacity(event_capacity)
        });
        let mut mirrors = at_once(3, |thread| {
            let mut random = fastrand::Rng::with_seed(round * 16 + u64::from(thread));
            for _ in 0..random.u32(0..20) {
                change(&world, &mut random);
            }
            let mut mirror = Mirror::of(&world);
            for step in 0..60 {
                change(&world, &mut random);
                if step % 16 == 0 {
                    mirror.follow(&world);
                }
            }
            mirror
        });
        world.maintain();
        for mirror in &mut mirrors {
            mirror.follow(&world);
            missed += mirror.missed;
            assert_eq!(mirror.relays, standings(&world), "round {round}");
        }
    }
    missed
}

#[test]
fn a_copy_that_follows_all_events_is_right() {
    assert_eq!(copies_are_right(4_096, 150), 0);
}

#[test]
fn a_copy_that_missed_events_and_asks_again_is_right() {
    assert!(copies_are_right(8, 150) > 0);
}

/// The circuit of a relay opens while another thread lets time pass, more than it backs off.
#[test]
fn a_circuit_whose_back_off_ends_at_once_is_told_to_be_open() {
    for round in 0..1_000 {
        let tick = ms(1);
        let world = world_with(|builder| builder.tick(tick).back_off(tick, tick).ttl(secs(3_600)));
        world.join(1);
        let mut mirror = Mirror::of(&world);
        at_once(2, |thread| match thread {
            0 => assert!(world.report_failure(&id(1), Failure::Refused)),
            _ => (0..100).for_each(|_| {
                world.advance(tick);
                assert!(world.is_relay(&id(1)));
            }),
        });
        mirror.follow(&world);
        assert_eq!(mirror.relays, standings(&world), "round {round}");
    }
}

#[test]
fn a_thread_that_waits_is_woken_by_each_event() {
    let world = world();
    let events = world.events();
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0;
            loop {
                match events.recv(TIMEOUT) {
                    Ok(Event::Joined { .. }) => seen += 1,
                    Ok(other) => panic!("{other:?}"),
                    Err(error) => break (seen, error),
                }
            }
        });
        for n in 0..500 {
            world.join(n);
        }
        world.close();
        let (seen, error) = reader.join().expect("no panic");
        assert_eq!((seen, error), (500, RecvError::Closed));
    });
}

#[test]
fn several_readers_share_one_subscription() {
    let world = world();
    let events = world.events();
    thread::scope(|scope| {
        let read = || {
            let mut seen = 0;
            while events.recv(Duration::MAX).is_ok() {
                seen += 1;
            }
            seen
        };
        let readers = [scope.spawn(read), scope.spawn(read)];
        for n in 0..500 {
            world.join(n);
        }
        world.close();
        let seen = readers.map(|reader| reader.join().expect("no panic"));
        assert_eq!(seen.iter().sum::<u32>(), 500);
    });
}

#[test]
fn a_task_that_waits_is_woken() {
    let world = world();
    let events = world.events();
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            pollster::block_on(async {
                let mut seen = 0;
                while events.next().await.is_some() {
                    seen += 1;
                }
                seen
            })
        });
        for n in 0..500 {
            world.join(n);
        }
        world.close();
        assert_eq!(reader.join().expect("no panic"), 500);
    });
}

#[test]
fn a_maintenance_thread_wakes_for_relays_that_expire() {
    let clock = relay_registry::ManualClock::new();
    let registry = Registry::builder()
        .clock(clock.clone())
        .tick(ms(1))
        .build()
        .unwrap();
    registry.register(id(1), endpoint(1)).unwrap();
    let events = registry.events();
    thread::scope(|scope| {
        let reader = scope.spawn(|| events.recv(TIMEOUT));
        clock.advance(TTL);
        let expired = reader.join().expect("no panic");
        assert_is!(expired, Ok(Event::Expired { id: of, .. }) if of == id(1));
    });
}

/// Counts how often it is woken, and calls the registry meanwhile.
struct Calling {
    registry: Registry,
    woken: AtomicU32,
}

impl Wake for Calling {
    fn wake(self: std::sync::Arc<Self>) {
        // Would wait for itself, if the registry held the lock of its events.
        drop(self.registry.events());
        let number = self.woken.fetch_add(1, Ordering::Relaxed) + 1;
        let _ = self.registry.register(id(900 + number), endpoint(900));
    }
}

#[test]
fn a_waker_may_call_the_registry() {
    let world = world();
    let mut events = world.events();
    let calling = std::sync::Arc::new(Calling {
        registry: world.registry.clone(),
        woken: AtomicU32::new(0),
    });
    let waker = calling.clone().into();
    let mut context = std::task::Context::from_waker(&waker);
    for round in 1..=3 {
        while events.poll_next(&mut context).is_ready() {}
        world.join(round);
        assert_eq!(calling.woken.load(Ordering::Relaxed), round);
    }
}

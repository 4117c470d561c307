//! What one thread has been told is done, every call that starts later on another thread sees.

use crate::common::*;
use crate::{at_once, join, join_with, register_patiently, while_running};
use relay_registry::{FindOptions, NatType, RegisterError, RegisterOptions, Registration};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, SystemTime};

/// What the searching thread is told.
enum News {
    Joined(u32),
    Left(u32),
}

/// One thread joins and leaves, another searches as soon as it is told, others stir up the registry.
fn tell_of_joining_and_leaving(crowd: u32) {
    const STIRRERS: u32 = 16;
    const FIRST: u32 = 1_000_000;
    let world = world_of((crowd + STIRRERS + 1) as usize);
    (0..crowd).for_each(|n| world.join(n));
    (0..crowd).for_each(|n| world.drain(n));
    let stirring = crowd..crowd + STIRRERS;
    let options = excluding(stirring.clone());

    let mut stirrers = stirring.clone().cycle();
    let stir = || {
        let n = stirrers.next().expect("an endless cycle");
        join(&world, n);
        world.leave(n);
        if n % 5 == 0 {
            world.maintain();
        }
    };
    let (tell, told) = sync_channel::<News>(0);
    let (answer, answered) = sync_channel::<()>(0);
    let search = || {
        let (answer, told) = (answer, told);
        for news in told {
            let found = world.found_with(&options);
            match news {
                News::Joined(n) => assert_eq!(found, Some(n), "it has joined"),
                News::Left(n) => assert_eq!(found, None, "{n} has left"),
            }
            answer.send(()).expect("someone who asks");
        }
    };
    while_running(stir, || {
        thread::scope(|scope| {
            scope.spawn(search);
            let tell = tell;
            let ask = |news| {
                tell.send(news).expect("someone who searches");
                answered.recv().expect("the right relay");
            };
            for n in FIRST..FIRST + 500 {
                join(&world, n);
                ask(News::Joined(n));
                world.leave(n);
                ask(News::Left(n));
            }
        })
    });
}

#[test]
fn joining_and_leaving_are_seen_by_other_threads_at_once() {
    tell_of_joining_and_leaving(0);
}

#[test]
fn joining_and_leaving_are_seen_by_other_threads_at_once_in_a_crowd() {
    tell_of_joining_and_leaving(300);
}

/// Relays come and go in turns, so that each takes the slot of one that left. A call finds none
/// that had left before it began. It may find none at all, because none stays throughout it.
fn find_those_that_took_slots_of_others(max_relays: usize, crowd: u32) {
    const LAST: u32 = 1_000_000 + 20_000;
    let world = world_of(max_relays);
    (0..crowd).for_each(|n| world.join(n));
    (0..crowd).for_each(|n| world.drain(n));
    let mut present = 1_000_000;
    join(&world, present);
    let (left, coming) = (AtomicU32::new(0), AtomicU32::new(present));
    let find = || {
        let gone = left.load(Ordering::SeqCst);
        let found = world.found();
        let list = world.ranking();
        let latest = coming.load(Ordering::SeqCst);
        for n in list.into_iter().chain(found) {
            assert!(n > gone, "{n} had left, as had all to {gone}");
            assert!(n <= latest, "{n} has not come yet");
        }
    };
    while_running(find, || {
        while present < LAST {
            coming.store(present + 1, Ordering::SeqCst);
            join(&world, present + 1);
            world.leave(present);
            left.store(present, Ordering::SeqCst);
            present += 1;
            assert_eq!(world.found(), Some(present), "it alone is there");
            if present % 1_000 == 0 {
                world.maintain();
            }
        }
    });
    assert_eq!(world.ranking(), [LAST]);
}

#[test]
fn a_relay_in_the_slot_of_another_is_found_instead_of_it() {
    find_those_that_took_slots_of_others(8, 0);
}

#[test]
fn a_relay_in_the_slot_of_another_is_found_instead_of_it_beside_many_shards() {
    find_those_that_took_slots_of_others(16_384, 200);
}

#[test]
fn finding_goes_on_through_churn() {
    const STABLE: u32 = 3;
    let world = world_of(64);
    (0..STABLE).for_each(|n| world.join(n));
    let mut turn = 0;
    let churn = || {
        turn += 1;
        let n = STABLE + turn % 50;
        if world.register(id(n), endpoint(n)).is_ok() && turn % 3 != 0 {
            world.unregister(&id(n));
        }
        if turn % 64 == 0 {
            world.maintain();
        }
    };
    let find = |thread: u32| {
        for turn in 0..1_500 {
            let target = id((thread + turn) % STABLE);
            let found = world.find_relay(&target).expect("a stable one at least");
            assert_ne!(found.node_id(), target);
            let lease = world.reserve(&target, &FindOptions::new());
            assert_ne!(lease.expect("room").relay().node_id(), target);
            let list = world.find_relays(&target, &all());
            let distinct: BTreeSet<_> = list.iter().map(|relay| relay.node_id()).collect();
            assert_eq!(distinct.len(), list.len(), "handed out twice");
            assert!(!distinct.contains(&target));
        }
    };
    while_running(churn, || at_once(3, find));
}

#[test]
fn listing_and_counting_never_miss_a_relay_that_stays() {
    const STABLE: u32 = 40;
    let world = world_of(128);
    (0..STABLE).for_each(|n| world.join(n));
    let mut turn = 0;
    let churn = || {
        turn += 1;
        let n = STABLE + turn % 80;
        join(&world, n);
        if turn % 3 == 0 {
            // It goes on in another record, which may be visited after the first one.
            let _void = world.take(n, 1);
            let restarted = options().restarted(true);
            register_patiently(&world, n, endpoint(n), &restarted).unwrap();
        }
        world.leave(n);
    };
    let list = |_| {
        for _ in 0..300 {
            let all = numbers(&world.relays());
            let listed: BTreeSet<u32> = all.iter().copied().collect();
            assert_eq!(all.len(), listed.len(), "one is listed twice: {all:?}");
            assert!((0..STABLE).all(|n| listed.contains(&n)), "{listed:?}");
            assert!(listed.iter().all(|&n| n < STABLE + 80));
            assert!(world.relay_count() >= STABLE as usize);
        }
    };
    while_running(churn, || at_once(2, list));
    assert_eq!(world.relay_count(), STABLE as usize);
}

/// A relay that is registered anew during a call leaves no gap in a list.
#[test]
fn a_list_has_as_many_relays_as_stay() {
    const STABLE: u32 = 4;
    let world = world_of(64);
    for n in 0..2 * STABLE {
        // The others are nearer.
        let rtt = ms(if n < STABLE { 200 } else { 5 });
        world.join_with(n, &latency(rtt));
    }
    let mut turn = 0;
    let register_anew = || {
        turn += 1;
        let address = endpoint(1_000 + turn % 7);
        let outcome = register_patiently(&world, STABLE + turn % STABLE, address, &options());
        assert_eq!(outcome, Ok(Registration::Renewed));
    };
    let three = FindOptions::new().max_spread_cost(0.0);
    let list = |_| {
        for _ in 0..10_000 {
            let list = world.find_relays(&non_relay(), &three);
            assert_eq!(list.len(), 3, "{list:?}");
            let near = |relay: &u32| *relay >= STABLE;
            assert!(numbers(&list).iter().all(near), "{list:?}");
        }
    };
    while_running(register_anew, || at_once(2, list));
}

/// Two registrations of relay 0 that differ in everything.
fn faces() -> [(u32, RegisterOptions); 2] {
    [
        (1, capacity(11).ttl(secs(100)).nat(NatType::PublicIp)),
        (2, capacity(22).ttl(secs(200)).nat(NatType::FullCone)),
    ]
}

#[test]
fn endpoint_capacity_and_expiry_come_from_one_registration() {
    let world = world();
    let register = |face: usize| {
        let (address, options) = &faces()[face];
        let outcome = world.register_with(id(0), endpoint(*address), options);
        assert!(outcome.is_ok(), "{outcome:?}");
        let info = world.info(0);
        (info.endpoint().clone(), info.capacity(), info.expires_at())
    };
    let whole = [register(0), register(1)];
    assert!(whole[0].1 != whole[1].1 && whole[0].2 != whole[1].2);
    let renewals = AtomicUsize::new(0);
    let renew = || {
        let (address, options) = &faces()[renewals.load(Ordering::Relaxed) % 2];
        match world.register_with(id(0), endpoint(*address), options) {
            Ok(_) => _ = renewals.fetch_add(1, Ordering::Relaxed),
            // A reader is held up by the machine, and holds up reclamation.
            Err(RegisterError::Backlogged { .. }) => thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    };
    let look = |thread| {
        let mut looks = 0;
        // On a busy machine a thread may look 5,000 times before another one renews once.
        while looks < 5_000 || renewals.load(Ordering::Relaxed) < 100 {
            looks += 1;
            let info = match thread {
                0 => world.info(0),
                _ => world.find_relay(&non_relay()).expect("one relay"),
            };
            let seen = (info.endpoint().clone(), info.capacity(), info.expires_at());
            assert!(
                whole.contains(&seen),
                "torn: {seen:?}, not one of {whole:?}"
            );
        }
    };
    while_running(renew, || at_once(2, look));
}

#[test]
fn expired_relays_are_handed_out_to_no_search_that_starts_later() {
    const LIVES: [Duration; 3] = [ms(100), ms(300), ms(500)];
    let world = world_of(256);
    // One relay that never leaves tells how the clock's time is shown to people.
    world.join_with(0, &ttl(secs(86_400)));
    let origin: SystemTime = world.info(0).expires_at() - secs(86_400);
    let noticed = AtomicU64::new(0); // ms on the clock that the registry has noticed for sure

    let find = || {
        let before = origin + ms(noticed.load(Ordering::SeqCst));
        let list = world.find_relays(&non_relay(), &all());
        let one = world.find_relay_with(&non_relay(), &excluding([0])).ok();
        let reserved = world.reserve(&non_relay(), &excluding([0])).ok();
        let reserved = reserved.as_ref().map(|lease| lease.relay().clone());
        for relay in list.into_iter().chain(one).chain(reserved) {
            let expiry = relay.expires_at();
            assert!(
                expiry > before,
                "expired at {expiry:?}, asked after {before:?}"
            );
        }
    };
    let let_time_pass = || {
        for tick in 1..=1_200_u32 {
            for (kind, life) in LIVES.into_iter().enumerate() {
                join_with(&world, tick * 10 + kind as u32, &ttl(life));
            }
            world.advance(TICK);
            if tick % 2 == 0 {
                world.maintain();
            } else {
                world.renew_with(0, &ttl(secs(86_400)));
            }
            noticed.store(u64::from(tick) * 100, Ordering::SeqCst);
        }
    };
    while_running(find, || while_running(find, let_time_pass));
}

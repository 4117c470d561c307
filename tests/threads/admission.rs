//! The bound on relays is strict, and membership of one id is decided once, under any concurrency.

use crate::common::*;
use crate::{at_once, join, register_patiently};
use fastrand::Rng;
use relay_registry::{RegisterError, Registration};
use std::collections::BTreeSet;
use std::time::Duration;

const THREADS: u32 = 4;

/// Registers a relay, and waits while a stalled thread prevents the reclamation of departed ones.
fn register(world: &World, n: u32) -> Result<Registration, RegisterError> {
    register_patiently(world, n, endpoint(n), &options())
}

/// How many of the outcomes are this one.
fn count(outcomes: &[Result<Registration, RegisterError>], wanted: Registration) -> usize {
    let is_wanted = |outcome: &&Result<_, _>| **outcome == Ok(wanted);
    outcomes.iter().filter(is_wanted).count()
}

#[test]
fn distinct_new_relays_fill_the_registry_to_its_bound_and_no_further() {
    const MAX: usize = 5;
    for round in 0..150 {
        let world = world_of(MAX);
        let outcomes: Vec<_> = at_once(THREADS, |thread| {
            let newcomers = (0..MAX as u32).map(|n| thread * 100 + n);
            newcomers
                .map(|n| {
                    let outcome = register(&world, n);
                    let count = world.relay_count();
                    assert!(count <= MAX, "{count} relays where {MAX} are allowed");
                    outcome
                })
                .collect::<Vec<_>>()
        })
        .concat();
        let admitted = count(&outcomes, Registration::New);
        assert_eq!(admitted, MAX, "round {round}: {outcomes:?}");
        let is_full =
            |outcome: &&Result<_, _>| matches!(outcome, Err(RegisterError::Full { max: MAX, .. }));
        let refused = outcomes.iter().filter(is_full).count();
        assert_eq!(
            admitted + refused,
            outcomes.len(),
            "round {round}: {outcomes:?}"
        );
        assert_eq!(world.relay_count(), MAX);
    }
}

/// With so many relays, a machine with two cores or more has eight shards.
const MANY: u32 = 16_384;

/// A table that several threads have filled with the relays below [`MANY`].
fn filled() -> World {
    let world = world_of(MANY as usize);
    at_once(THREADS, |thread| {
        (0..MANY)
            .filter(|n| n % THREADS == thread)
            .for_each(|n| join(&world, n));
    });
    world
}

/// Threads register these relays; returns those that were admitted. The others were refused,
/// because the table was full.
fn admitted(world: &World, newcomers: &[u32]) -> Vec<u32> {
    let share = newcomers.len().div_ceil(THREADS as usize);
    let outcomes = at_once(THREADS, |thread| {
        let own = newcomers.chunks(share).nth(thread as usize).unwrap_or(&[]);
        let mut admitted = Vec::new();
        for &n in own {
            match register(world, n) {
                Ok(Registration::New) => admitted.push(n),
                Err(RegisterError::Full { max, .. }) => assert_eq!(max, MANY as usize),
                other => panic!("relay {n}: {other:?}"),
            }
        }
        admitted
    });
    outcomes.concat()
}

/// Whichever shards they are in.
#[test]
fn after_some_have_left_as_many_are_admitted_and_no_more() {
    let mut rng = Rng::with_seed(17);
    let world = world_of(MANY as usize);
    let candidates: Vec<u32> = (0..MANY + MANY / 2).collect();
    let mut held = admitted(&world, &candidates);
    assert_eq!(held.len(), MANY as usize);
    assert_eq!(world.relay_count(), MANY as usize);
    let mut next = MANY * 2;
    for leaving in [1, 1, 1, 2, 3, 8, 50, 300, 2_000, 9_000, MANY as usize, 1] {
        rng.shuffle(&mut held);
        let gone = held.split_off(held.len() - leaving);
        at_once(THREADS, |thread| {
            let own = gone.iter().skip(thread as usize).step_by(THREADS as usize);
            own.for_each(|&n| world.leave(n));
        });
        assert_eq!(world.relay_count(), MANY as usize - leaving);
        let newcomers: Vec<u32> = (next..).take(leaving + leaving / 2 + 8).collect();
        next += newcomers.len() as u32;
        let admitted = admitted(&world, &newcomers);
        assert_eq!(admitted.len(), leaving, "as many as have left");
        assert_eq!(world.relay_count(), MANY as usize);
        held.extend(admitted);
    }
}

/// There is a place for each of them at each moment, but it may be in another shard.
#[test]
fn no_newcomer_is_refused_for_whom_a_place_is_in_another_shard() {
    let world = filled();
    at_once(THREADS, |thread| {
        let mut rng = Rng::with_seed(thread.into());
        let mut held: Vec<u32> = (0..MANY).filter(|n| n % THREADS == thread).collect();
        for n in (0..3_000).map(|turn| MANY + turn * THREADS + thread) {
            let leaving = rng.usize(..held.len());
            world.leave(std::mem::replace(&mut held[leaving], n));
            join(&world, n);
        }
    });
    assert_eq!(world.relay_count(), MANY as usize);
    let refused = register(&world, u32::MAX - 1);
    assert!(
        matches!(refused, Err(RegisterError::Full { .. })),
        "{refused:?}"
    );
}

/// Of threads that ask for the last place, which may be in a shard of none of them, one gets it.
#[test]
fn a_last_place_in_another_shard_goes_to_exactly_one_of_many() {
    let world = filled();
    let mut last = 0;
    for round in 1..500 {
        world.leave(last);
        let first = MANY + round * THREADS;
        let newcomers: Vec<u32> = (first..first + THREADS).collect();
        let admitted = admitted(&world, &newcomers);
        assert_eq!(admitted.len(), 1, "round {round}: {admitted:?}");
        last = admitted[0];
    }
}

#[test]
fn one_id_is_new_to_exactly_one_of_many() {
    for max_relays in [1, 2, 100] {
        let world = world_of(max_relays);
        for round in 0..150 {
            let outcomes = at_once(THREADS, |_| register(&world, round));
            assert_eq!(count(&outcomes, Registration::New), 1, "{outcomes:?}");
            assert_eq!(
                count(&outcomes, Registration::Renewed),
                THREADS as usize - 1,
                "{outcomes:?}"
            );
            assert_eq!(world.relay_count(), 1);
            world.leave(round);
        }
    }
}

/// The word that orders admissions first had the value that it has after the first one. So a thread
/// that had read it in the empty table admitted the relay of another one again.
#[test]
fn the_first_id_of_a_registry_is_new_to_exactly_one_of_many() {
    for round in 0..1_000 {
        let world = world_of(2);
        let outcomes = at_once(THREADS, |_| register(&world, 1));
        assert_eq!(count(&outcomes, Registration::New), 1, "{outcomes:?}");
        assert_eq!(world.relay_count(), 1, "round {round}: {outcomes:?}");
        world.leave(1);
        assert!(!world.has(1), "round {round}: it was there twice");
    }
}

#[test]
fn two_who_race_for_one_id_do_not_take_a_third_ones_place() {
    let world = world_of(2);
    for round in 0..500 {
        let outcomes = at_once(3, |thread| {
            let n = if thread == 2 { 1 } else { 0 };
            register(&world, n)
        });
        let first = match round {
            0 => Registration::New,
            _ => Registration::Returned,
        };
        assert_eq!(outcomes[2], Ok(first), "round {round}");
        assert_eq!(count(&outcomes[..2], first), 1, "{outcomes:?}");
        assert_eq!(
            count(&outcomes[..2], Registration::Renewed),
            1,
            "{outcomes:?}"
        );
        world.leave(0);
        world.leave(1);
    }
}

#[test]
fn one_departure_is_seen_by_exactly_one_of_many() {
    let world = world();
    for n in 0..300 {
        world.join(n);
        let gone = at_once(THREADS, |_| world.unregister(&id(n)));
        let seen = gone.into_iter().filter(|&gone| gone).count();
        assert_eq!(seen, 1, "relay {n}");
        assert!(!world.has(n));
    }
    assert_eq!(world.stats().unregistrations, 300);
}

#[test]
fn joins_and_departures_of_one_id_balance() {
    let world = world_of(2);
    let totals = at_once(THREADS, |thread| {
        let mut balance = 0_i64;
        for turn in 0..2_000 {
            if (turn + thread) % 2 == 0 {
                let outcome = register_patiently(&world, 0, endpoint(thread), &options());
                balance += i64::from(outcome.expect("room for one") != Registration::Renewed);
            } else {
                balance -= i64::from(world.unregister(&id(0)));
            }
        }
        balance
    });
    let balance: i64 = totals.into_iter().sum();
    assert_eq!(balance, i64::from(world.has(0)));
    assert_eq!(world.relay_count() as i64, balance);
}

#[test]
fn a_place_given_up_can_be_taken_at_once() {
    let world = world_of(THREADS as usize);
    at_once(THREADS, |thread| {
        for turn in 0..1_000 {
            let n = thread * 10_000 + turn;
            join(&world, n); // each thread holds one place, so this is never refused
            world.leave(n);
        }
    });
    assert_eq!(world.relay_count(), 0);
}

#[test]
fn many_new_relays_share_the_places_of_relays_that_are_due() {
    const MAX: u32 = 8;
    for round in 0..100 {
        let world = world_of(MAX as usize);
        (0..MAX).for_each(|n| world.join_with(n, &ttl(secs(1))));
        world.advance(secs(1));
        let outcomes: Vec<_> = at_once(THREADS, |thread| {
            let newcomers = (0..MAX / 2).map(|n| 100 * (thread + 1) + n);
            newcomers.map(|n| register(&world, n)).collect::<Vec<_>>()
        })
        .concat();
        assert_eq!(
            count(&outcomes, Registration::New),
            MAX as usize,
            "round {round}: {outcomes:?}"
        );
        assert_eq!(world.relay_count(), MAX as usize);
    }
}

#[test]
fn a_renewal_that_races_with_expiry_never_leads_to_removal_at_the_old_deadline() {
    const OLD: Duration = Duration::from_secs(1);
    const NEW: Duration = Duration::from_secs(60);
    for round in 0..500 {
        let world = world_of(1);
        world.join_with(0, &ttl(OLD));
        let _lease = world.take(0, 1);
        let outcomes = at_once(2, |thread| {
            if thread == 0 {
                world.advance(OLD);
                world.maintain();
                return None;
            }
            let outcome = register_patiently(&world, 0, endpoint(1), &ttl(NEW));
            Some(outcome.expect("either way there is room"))
        });
        let info = world.info(0);
        assert_eq!(info.current_load(), 1, "round {round}: {outcomes:?}");
        assert_eq!(info.endpoint(), &endpoint(1));
        world.pass(NEW - OLD - TICK);
        assert!(world.has(0), "round {round}: {outcomes:?}");
        let expired = world.pass(OLD + TICK);
        assert_eq!(expired, 1, "round {round}: {outcomes:?}");
        let stats = world.stats();
        assert_eq!(stats.registrations - stats.expirations, 0, "{stats:?}");
    }
}

/// However threads register, renew and leave, the relays that stay have no more different labels
/// than may be; and what is refused is refused for those that are in use.
#[test]
fn labels_fill_the_registry_to_their_bound_and_no_further() {
    for round in 0..20 {
        let world = world();
        at_once(THREADS, |thread| {
            for n in 0..100 {
                let relay = thread * 4 + n % 4;
                let labels = (0..8).map(|m| format!("{}", (thread * 1_000 + n * 3 + m) % 150));
                let options = options().labels(labels);
                match register_patiently(&world, relay, endpoint(relay), &options) {
                    Ok(_) | Err(RegisterError::TooManyLabels { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
                if n % 7 == 0 {
                    world.unregister(&id(relay));
                }
            }
        });
        let relays = world.relays();
        let labels: BTreeSet<_> = relays.iter().flat_map(|relay| relay.labels()).collect();
        assert!(labels.len() <= 64, "round {round}: {}", labels.len());

        // All that are not in use may be used.
        let free = 64 - labels.len();
        for n in 0..free {
            let options = options().labels([format!("new {n}")]);
            assert!(register_patiently(&world, 1_000 + n as u32, endpoint(1), &options).is_ok());
        }
        let refused = world.register_with(id(1), endpoint(1), &options().labels(["one more"]));
        let is_refused = matches!(refused, Err(RegisterError::TooManyLabels { count: 65, .. }));
        assert!(is_refused || free == 64, "{refused:?}");
    }
}

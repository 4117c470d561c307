//! No relay has more leases than its capacity, and every unit is returned.

use crate::assert_is;
use crate::common::*;
use crate::{at_once, join, register_patiently, while_running};
use relay_registry::{FindOptions, Lease, LeaseError, Registration, RelayInfo};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;

const THREADS: u32 = 6;

/// A count of leased units, independent of the registry's.
///
/// A lease is added after it was taken, and removed before it is released. So the count is never higher
/// than the true number.
pub struct Account {
    held: Vec<AtomicU32>,
    capacity: u32,
    /// Which entry of the account a lease belongs to.
    entry: fn(&RelayInfo) -> u32,
}

impl Account {
    fn new(entries: u32, capacity: u32, entry: fn(&RelayInfo) -> u32) -> Self {
        let held = (0..entries).map(|_| AtomicU32::new(0)).collect();
        Self {
            held,
            capacity,
            entry,
        }
    }

    pub fn of_relays(relays: u32, capacity: u32) -> Self {
        Self::new(relays, capacity, |relay| number(relay.node_id()))
    }

    fn of(&self, lease: &Lease) -> &AtomicU32 {
        &self.held[(self.entry)(lease.relay()) as usize]
    }

    pub fn enter(&self, lease: &Lease) {
        let units = lease.units();
        let held = self.of(lease).fetch_add(units, Ordering::SeqCst) + units;
        let capacity = self.capacity;
        assert!(
            held <= capacity,
            "{held} units where {capacity} are allowed"
        );
    }

    pub fn give_back(&self, lease: Lease) {
        self.of(&lease).fetch_sub(lease.units(), Ordering::SeqCst);
        drop(lease);
    }
}

/// The same with leases of several units each.
fn take_and_give_back_units(world: &World, account: &Account, seed: u32) {
    let mut held: VecDeque<Lease> = VecDeque::new();
    for turn in seed..seed + 4_000 {
        let units = 1 + turn % 3;
        let lease = match turn % 4 {
            0 => world.lease_units(&id(turn % 4), units).ok(),
            _ => world
                .reserve(&non_relay(), &FindOptions::new().units(units))
                .ok(),
        };
        if let Some(lease) = lease {
            assert_eq!(lease.units(), units);
            account.enter(&lease);
            held.push_back(lease);
        }
        if turn % 8 == 0 {
            thread::yield_now();
        }
        if held.len() > 2 || turn % 2 == 0 {
            held.pop_front()
                .into_iter()
                .for_each(|lease| account.give_back(lease));
        }
    }
    held.into_iter().for_each(|lease| account.give_back(lease));
}

/// Takes and releases leases, and holds a few, so that the relays are mostly full.
fn take_and_give_back(world: &World, account: &Account, seed: u32) {
    let mut held = VecDeque::new();
    for turn in seed..seed + 4_000 {
        let lease = match turn % 3 {
            0 => world.lease(&id(turn % 4)).ok(),
            _ => world.reserve(&non_relay(), &FindOptions::new()).ok(),
        };
        lease.iter().for_each(|lease| account.enter(lease));
        held.extend(lease);
        if turn % 8 == 0 {
            thread::yield_now();
        }
        if held.len() > 3 || turn % 2 == 0 {
            let oldest = held.pop_front();
            oldest
                .into_iter()
                .for_each(|lease| account.give_back(lease));
        }
    }
    held.into_iter().for_each(|lease| account.give_back(lease));
}

#[test]
fn capacity_is_never_exceeded_by_many_reservers() {
    let world = world();
    (0..4).for_each(|n| world.join_with(n, &capacity(3)));
    let account = Account::of_relays(4, 3);
    at_once(THREADS, |seed| take_and_give_back(&world, &account, seed));
    (0..4).for_each(|n| assert_eq!(world.load(n), 0, "relay {n} lost a unit"));
    assert_eq!(world.stats().leases, 0);
}

#[test]
fn capacity_is_never_exceeded_while_renewals_and_reports_change_it() {
    let world = world();
    (0..4).for_each(|n| world.join_with(n, &capacity(3)));
    let account = Account::of_relays(4, 3);
    let mut turn = 0;
    let unsettle = || {
        turn += 1;
        let n = turn % 4;
        let renewed = register_patiently(&world, n, endpoint(n), &capacity(1 + turn % 3));
        assert_eq!(renewed, Ok(Registration::Renewed));
        world.report(n, turn % 5);
        world.maintain();
    };
    while_running(unsettle, || {
        at_once(THREADS, |seed| take_and_give_back(&world, &account, seed))
    });
    for n in 0..4 {
        world.report(n, 0);
        assert_eq!(world.load(n), 0, "relay {n} lost a unit");
    }
}

#[test]
fn capacity_is_never_exceeded_by_leases_of_several_units() {
    let world = world();
    (0..4).for_each(|n| world.join_with(n, &capacity(5)));
    let account = Account::of_relays(4, 5);
    // The merges count free units, once the first call has asked for several.
    while_running(
        || _ = world.maintain(),
        || {
            at_once(THREADS, |seed| {
                take_and_give_back_units(&world, &account, seed)
            })
        },
    );
    (0..4).for_each(|n| assert_eq!(world.load(n), 0, "relay {n} lost a unit"));
    assert_eq!(world.stats().leases, 0);
    let all = FindOptions::new().units(5);
    let leases = (0..4).map(|_| world.reserve(&non_relay(), &all).expect("all are free"));
    assert_eq!(leases.collect::<Vec<_>>().len(), 4);
}

/// A thread that gives units back, or sees that another one did, finds them.
#[test]
fn units_that_were_given_back_are_found_at_once() {
    const ROUNDS: u32 = 2_000;
    let world = world();
    // There is room for three, apart from one relay for which all threads contend.
    (0..40).for_each(|n| world.join_with(n, &capacity(3)));
    world.join_with(40, &capacity(4 * THREADS));
    let four = FindOptions::new().units(4);
    while_running(
        || _ = world.maintain(),
        || {
            at_once(THREADS, |_| {
                for _ in 0..ROUNDS {
                    // No more than four units for each thread are out, so there is room.
                    let lease = world.reserve(&non_relay(), &four).expect("four units");
                    assert_eq!(number(lease.relay().node_id()), 40);
                    assert_eq!(lease.units(), 4);
                }
            })
        },
    );
    assert_eq!(world.load(40), 0);
}

/// Yields to other threads.
fn step_aside() {
    (0..8).for_each(|_| thread::yield_now());
}

#[test]
fn capacity_is_never_exceeded_while_the_relay_leaves_and_comes_back() {
    const LIVES: u32 = 1_000;
    let world = world();
    // All registrations together have three units.
    let only_one: fn(&RelayInfo) -> u32 = |_| 0;
    let account = Account::new(1, 3, only_one);
    at_once(THREADS, |thread| {
        if thread == 0 {
            for life in 0..LIVES {
                let joined = register_patiently(&world, 0, endpoint(life), &capacity(3));
                assert!(matches!(
                    joined,
                    Ok(Registration::New | Registration::Returned)
                ));
                step_aside();
                world.leave(0);
            }
            return;
        }
        take_and_give_back(&world, &account, thread);
    });
    world.join(0);
    assert_eq!(world.load(0), 0, "all were given back");
}

#[test]
fn the_last_unit_goes_to_exactly_one() {
    let world = world();
    world.join_with(0, &capacity(2));
    let held = world.take(0, 1);
    for round in 0..300 {
        let outcomes = at_once(3, |n| match n {
            0 => world.reserve(&non_relay(), &all()).ok(),
            _ => world.lease(&id(0)).ok(),
        });
        let winners = outcomes.iter().flatten().count();
        assert_eq!(winners, 1, "round {round}");
        assert_is!(world.lease(&id(0)), Err(LeaseError::Full { .. }));
    }
    drop(held);
    assert_eq!(world.load(0), 0);
}

#[test]
fn every_unit_is_found_by_many_reservers_together() {
    let world = world();
    (0..40).for_each(|n| world.join_with(n, &capacity(5)));
    let take_all = |_| {
        let reserve = || world.reserve(&non_relay(), &FindOptions::new()).ok();
        std::iter::from_fn(reserve).collect::<Vec<Lease>>()
    };
    let leases = at_once(THREADS, take_all);
    assert_eq!(leases.iter().map(Vec::len).sum::<usize>(), 40 * 5);
    (0..40).for_each(|n| assert_eq!(world.load(n), 5, "relay {n}"));
}

#[test]
fn leases_are_sent_to_other_threads_and_dropped_there() {
    let world = world();
    (0..8).for_each(|n| world.join(n));
    let (send, receive) = mpsc::channel::<Lease>();
    thread::scope(|scope| {
        scope.spawn(move || receive.into_iter().for_each(drop));
        for _ in 0..4 {
            let send = send.clone();
            let world = &world;
            scope.spawn(move || {
                for _ in 0..500 {
                    let lease = world.reserve(&non_relay(), &all());
                    let send = |lease| send.send(lease).expect("a receiver");
                    lease.into_iter().for_each(send); // none while all are full
                }
            });
        }
        drop(send);
    });
    (0..8).for_each(|n| assert_eq!(world.load(n), 0, "relay {n} lost a unit"));
    assert_eq!(world.stats().leases, 0);
}

#[test]
fn leases_on_relays_that_left_are_dropped_on_other_threads() {
    let world = world();
    let (send, receive) = mpsc::channel::<Lease>();
    thread::scope(|scope| {
        scope.spawn(move || receive.into_iter().for_each(drop));
        for n in 0..2_000 {
            join(&world, n % 3);
            // Leases of earlier registrations may not have been dropped yet.
            for lease in (0..2).map_while(|_| world.lease(&id(n % 3)).ok()) {
                send.send(lease).expect("a receiver");
            }
            world.leave(n % 3);
        }
        drop(send);
    });
    (0..3).for_each(|n| {
        join(&world, n);
        assert_eq!(world.load(n), 0, "all units of {n} were given back");
    });
}

//! A fifth of all relays fails silently at once, and works again later: how soon finds avoid them and use
//! them again.

use crate::common::*;
use relay_registry::{CircuitState, Failure, FindOptions, Lease, Verdict};
use std::collections::VecDeque;
use std::time::Duration;

const RELAYS: u32 = 50;
const DEAD: u32 = 10;
const PICKS_PER_TICK: usize = 5;
/// How long a pick holds its lease, in ticks.
const HELD: usize = 100;
/// Ten minutes.
const DEAD_FOR: usize = 6_000;
const LONGEST_BACK_OFF: usize = 6_000;
/// How many ticks after its back-off an idle relay had enough trials to close its circuit.
const TRIALS: usize = 20;

struct Outage {
    world: World,
    held: VecDeque<Vec<Lease>>,
    tried: [bool; DEAD as usize],
}

/// The outcomes of the picks of one tick.
#[derive(Default)]
struct Picks {
    all: usize,
    dead: usize,
}

impl Outage {
    fn new() -> Self {
        let world = world_with(|builder| builder.ttl(secs(86_400)));
        for n in 0..RELAYS {
            let rtt = ms(20) + Duration::from_micros(u64::from(n * 37 % RELAYS) * 20);
            world.join_with(n, &capacity(20).latency(rtt));
        }
        world.maintain();
        Self {
            world,
            held: VecDeque::new(),
            tried: [false; DEAD as usize],
        }
    }

    /// One tick of 100 ms: each pick reports its outcome.
    fn tick(&mut self, is_dead: impl Fn(u32) -> bool) -> Picks {
        self.world.pass(TICK);
        if self.held.len() == HELD {
            self.held.pop_front();
        }
        let mut kept = Vec::new();
        let mut picks = Picks::default();
        for _ in 0..PICKS_PER_TICK {
            let lease = self.world.reserve(&non_relay(), &FindOptions::new());
            let lease = lease.expect("most relays work");
            let n = number(lease.relay().node_id());
            picks.all += 1;
            if is_dead(n) {
                picks.dead += 1;
                self.tried[n as usize] = true;
                lease.failed(Failure::TimedOut);
            } else {
                lease.succeeded();
                kept.push(lease);
            }
        }
        self.held.push_back(kept);
        picks
    }

    fn all_tried(&self) -> bool {
        self.tried.iter().all(|&tried| tried)
    }
}

#[test]
fn picks_go_to_those_that_work_and_recovery_is_found_within_the_back_off() {
    let mut outage = Outage::new();
    (0..HELD).for_each(|_| _ = outage.tick(|_| false));
    let mut after = Picks::default();
    for _ in 0..DEAD_FOR {
        let knew_all = outage.all_tried();
        let picks = outage.tick(|n| n < DEAD);
        if knew_all {
            after.all += picks.all;
            after.dead += picks.dead;
        }
    }
    let most = DEAD_FOR * PICKS_PER_TICK;
    assert!(after.all > most * 9 / 10, "{} of {most}", after.all);
    let share = after.dead as f64 / after.all as f64;
    assert!(share < 0.01, "{share} of picks went to the dead");

    let mut recovering: Vec<Recovery> = (0..DEAD).map(Recovery::new).collect();
    for tick in 0..=LONGEST_BACK_OFF + TRIALS {
        outage.tick(|_| false);
        recovering.retain_mut(|relay| !relay.is_trusted(&outage.world, tick));
    }
    assert_eq!(recovering.len(), 0, "still not trusted");
}

/// A relay that works again, and when its back-off was first seen to be over.
struct Recovery {
    relay: u32,
    due: Option<usize>,
}

impl Recovery {
    fn new(relay: u32) -> Self {
        Self { relay, due: None }
    }

    fn is_trusted(&mut self, world: &World, tick: usize) -> bool {
        if world.circuit(self.relay) == CircuitState::Closed {
            return true;
        }
        if world.verdict(self.relay) != Verdict::BackingOff {
            self.due.get_or_insert(tick);
        }
        let waits = self.due.map_or(0, |due| tick - due);
        assert!(waits <= TRIALS, "{} is not tried", self.relay);
        assert!(tick < LONGEST_BACK_OFF || self.due.is_some());
        false
    }
}

#[test]
fn a_last_resort_shows_as_such_each_time() {
    let world = world();
    world.join(1);
    world.fail(1, Failure::TimedOut);
    for _ in 0..3 {
        assert!(world.find_relay(&non_relay()).unwrap().is_last_resort());
    }
    world.join(2);
    assert!(!world.find_relay(&non_relay()).unwrap().is_last_resort());
}

//! A thread that asks at full speed, and looks at everything it is handed.

use std::collections::VecDeque;
use std::time::Instant;

use fastrand::Rng;
use hdrhistogram::Histogram;
use relay_registry::{FindOptions, Lease, RelayInfo};

use super::Race;
use super::keeper;
use super::ledger::{Ledger, Mark};
use crate::checks::Checks;
use crate::error::Failure;

const FINDS_PER_RESERVATION: u64 = 32;
/// One find in so many is timed: reading the clock takes about as long as a find.
const FINDS_PER_TIMING: u64 = 8;

/// What one thread, or all of them, did and saw.
pub struct Tally {
    pub checks: Checks,
    pub steady: Asked,
    pub rush: Asked,
    /// Times of finds in ns, while steady.
    pub find_ns: Histogram<u64>,
}

/// What was asked of the registry in one part of the run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked {
    pub finds: u64,
    pub reservations: u64,
    /// Of both, how many found no relay.
    pub found_none: u64,
}

pub struct Asker<'a> {
    race: &'a Race<'a>,
    rng: Rng,
    held: VecDeque<Held<'a>>,
    checks: Checks,
    asked: Asked,
    find_ns: Histogram<u64>,
}

/// A lease, and its entry in the book.
struct Held<'a> {
    ledger: &'a Ledger,
    relay: usize,
    generation: u16,
    _lease: Lease,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Fields are dropped after this: the entry goes before the lease does.
        self.ledger.gives_back(self.relay, self.generation);
    }
}

impl<'a> Asker<'a> {
    pub fn new(race: &'a Race<'a>, seed: u64) -> Result<Self, Failure> {
        Ok(Self {
            race,
            rng: Rng::with_seed(seed),
            held: VecDeque::with_capacity(race.quota + 1),
            checks: Checks::default(),
            asked: Asked::default(),
            find_ns: histogram()?,
        })
    }

    pub fn run(mut self) -> Tally {
        while self.race.is_steady() {
            self.ask();
        }
        let steady = std::mem::take(&mut self.asked);
        while !self.race.is_over() {
            self.snatch();
        }
        Tally {
            checks: self.checks,
            steady,
            rush: self.asked,
            find_ns: self.find_ns,
        }
    }

    /// Many finds, and a reservation that takes the place of the oldest.
    fn ask(&mut self) {
        for turn in 0..FINDS_PER_RESERVATION {
            self.find(turn % FINDS_PER_TIMING == 0);
        }
        self.reserve();
        if self.held.len() > self.race.quota {
            self.held.pop_front();
        }
    }

    /// Takes what there is, and gives one back when there is nothing: threads that
    /// do this fight for the last unit of every relay.
    fn snatch(&mut self) {
        let before = self.asked.found_none;
        self.reserve();
        if self.asked.found_none > before {
            self.held.pop_front();
        }
    }

    fn find(&mut self, timed: bool) {
        let race = self.race;
        let target = race.world.random_target(race.home, &mut self.rng);
        let id = race.world.id(target);
        let mark = race.ledger.mark();
        let found = if timed {
            let start = Instant::now();
            let found = race.registry.find_relay(&id);
            self.find_ns.saturating_record(nanos_since(start));
            found
        } else {
            race.registry.find_relay(&id)
        };
        self.asked.finds += 1;
        match found {
            Ok(info) => {
                self.check(target, &info, &mark);
            }
            Err(_) => self.asked.found_none += 1,
        }
    }

    fn reserve(&mut self) {
        let race = self.race;
        let target = race.world.random_target(race.home, &mut self.rng);
        let mark = race.ledger.mark();
        let id = race.world.id(target);
        let Ok(lease) = race.registry.reserve(&id, &FindOptions::new()) else {
            self.asked.found_none += 1;
            return;
        };
        self.asked.reservations += 1;
        if let Some((relay, generation)) = self.check(target, lease.relay(), &mark) {
            race.ledger.took(relay, generation);
            self.held.push_back(Held {
                ledger: race.ledger,
                relay,
                generation,
                _lease: lease,
            });
        }
    }

    /// Holds a hand-out against the book. Answers with the relay and its
    /// generation, if it is one.
    fn check(&mut self, target: usize, info: &RelayInfo, mark: &Mark) -> Option<(usize, u16)> {
        let race = self.race;
        let checks = &mut self.checks;
        let relay = race.world.relay_of(&info.node_id());
        let generation = keeper::generation(info.endpoint().port());
        checks.handed_out += 1;
        let Some((relay, generation)) = relay.zip(generation) else {
            checks.departed += 1;
            return None;
        };
        checks.target += u64::from(race.world.relay_at(target) == Some(relay));
        checks.capacity_exceeded += u64::from(info.current_load() > info.capacity());
        checks.departed += u64::from(race.ledger.is_departed(relay, mark));
        checks.expired += u64::from(race.ledger.is_expired(relay, mark));
        Some((relay, generation))
    }
}

impl Tally {
    /// Adds up what the threads did.
    pub fn sum(tallies: impl IntoIterator<Item = Self>) -> Result<Self, Failure> {
        let mut sum = Self {
            checks: Checks::default(),
            steady: Asked::default(),
            rush: Asked::default(),
            find_ns: histogram()?,
        };
        for tally in tallies {
            sum.checks += tally.checks;
            sum.steady.add(tally.steady);
            sum.rush.add(tally.rush);
            sum.find_ns
                .add(&tally.find_ns)
                .map_err(|error| Failure::Thread(error.to_string()))?;
        }
        Ok(sum)
    }
}

impl Asked {
    fn add(&mut self, other: Self) {
        self.finds += other.finds;
        self.reservations += other.reservations;
        self.found_none += other.found_none;
    }
}

/// What two readings of the clock make of no time at all, in ns: the median of many.
pub fn clock_ns() -> Result<u64, Failure> {
    let mut readings = histogram()?;
    for _ in 0..10_000 {
        readings.saturating_record(nanos_since(Instant::now()));
    }
    Ok(readings.value_at_quantile(0.5))
}

fn nanos_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// From a nanosecond to ten seconds, to three digits.
fn histogram() -> Result<Histogram<u64>, Failure> {
    Histogram::new_with_bounds(1, 10_000_000_000, 3)
        .map_err(|error| Failure::Thread(error.to_string()))
}

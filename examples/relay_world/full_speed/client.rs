//! A client thread: it calls the registry at full speed, and checks every answer.

use std::collections::VecDeque;
use std::time::Instant;

use fastrand::Rng;
use hdrhistogram::Histogram;
use relay_registry::{FindOptions, Lease, RelayInfo};

use super::FullSpeedRun;
use super::churn;
use super::ledger::{Ledger, Mark};
use crate::checks::Checks;
use crate::error::Failure;

const FINDS_PER_RESERVATION: u64 = 32;
/// One find of this many is timed, because reading the clock takes about as long as a find.
const FINDS_PER_TIMING: u64 = 8;

/// What one thread, or all of them, did.
pub struct Tally {
    pub checks: Checks,
    pub steady: Asked,
    pub overload: Asked,
    /// Times of finds in ns, in the steady phase.
    pub find_ns: Histogram<u64>,
}

/// The calls of one phase.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked {
    pub finds: u64,
    pub reservations: u64,
    /// How many of both found no relay.
    pub found_none: u64,
}

pub struct Client<'a> {
    run: &'a FullSpeedRun<'a>,
    rng: Rng,
    held: VecDeque<Held<'a>>,
    checks: Checks,
    asked: Asked,
    find_ns: Histogram<u64>,
}

/// A lease and its entry in the ledger.
struct Held<'a> {
    ledger: &'a Ledger,
    relay: usize,
    generation: u16,
    _lease: Lease,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Fields are dropped afterwards, so the entry goes before the lease.
        self.ledger.remove_lease(self.relay, self.generation);
    }
}

impl<'a> Client<'a> {
    pub fn new(run: &'a FullSpeedRun<'a>, seed: u64) -> Result<Self, Failure> {
        Ok(Self {
            run,
            rng: Rng::with_seed(seed),
            held: VecDeque::with_capacity(run.quota + 1),
            checks: Checks::default(),
            asked: Asked::default(),
            find_ns: histogram()?,
        })
    }

    pub fn run(mut self) -> Tally {
        while self.run.is_steady() {
            self.steady_step();
        }
        let steady = std::mem::take(&mut self.asked);
        while !self.run.is_over() {
            self.overload_step();
        }
        Tally {
            checks: self.checks,
            steady,
            overload: self.asked,
            find_ns: self.find_ns,
        }
    }

    /// Many finds, and one reservation that replaces the oldest lease.
    fn steady_step(&mut self) {
        for find in 0..FINDS_PER_RESERVATION {
            self.find(find % FINDS_PER_TIMING == 0);
        }
        self.reserve();
        if self.held.len() > self.run.quota {
            self.held.pop_front();
        }
    }

    /// Takes a lease, and releases one if no relay has room. So the threads compete for the last unit of
    /// every relay.
    fn overload_step(&mut self) {
        let before = self.asked.found_none;
        self.reserve();
        if self.asked.found_none > before {
            self.held.pop_front();
        }
    }

    fn find(&mut self, timed: bool) {
        let run = self.run;
        let target = run.world.random_target(run.home, &mut self.rng);
        let id = run.world.id(target);
        let mark = run.ledger.mark();
        let found = if timed {
            let start = Instant::now();
            let found = run.registry.find_relay(&id);
            self.find_ns.saturating_record(nanos_since(start));
            found
        } else {
            run.registry.find_relay(&id)
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
        let run = self.run;
        let target = run.world.random_target(run.home, &mut self.rng);
        let mark = run.ledger.mark();
        let id = run.world.id(target);
        let Ok(lease) = run.registry.reserve(&id, &FindOptions::new()) else {
            self.asked.found_none += 1;
            return;
        };
        self.asked.reservations += 1;
        if let Some((relay, generation)) = self.check(target, lease.relay(), &mark) {
            run.ledger.add_lease(relay, generation);
            self.held.push_back(Held {
                ledger: run.ledger,
                relay,
                generation,
                _lease: lease,
            });
        }
    }

    /// Checks a hand-out against the ledger. Returns the relay and its generation; `None` if there is no
    /// such relay.
    fn check(&mut self, target: usize, info: &RelayInfo, mark: &Mark) -> Option<(usize, u16)> {
        let run = self.run;
        let checks = &mut self.checks;
        let relay = run.world.relay_of(&info.node_id());
        let generation = churn::generation(info.endpoint().port());
        checks.handed_out += 1;
        let Some((relay, generation)) = relay.zip(generation) else {
            checks.departed += 1;
            return None;
        };
        checks.target += u64::from(run.world.relay_at(target) == Some(relay));
        checks.capacity_exceeded += u64::from(info.current_load() > info.capacity());
        checks.departed += u64::from(run.ledger.is_departed(relay, mark));
        checks.expired += u64::from(run.ledger.is_expired(relay, mark));
        Some((relay, generation))
    }
}

impl Tally {
    pub fn sum(tallies: impl IntoIterator<Item = Self>) -> Result<Self, Failure> {
        let mut sum = Self {
            checks: Checks::default(),
            steady: Asked::default(),
            overload: Asked::default(),
            find_ns: histogram()?,
        };
        for tally in tallies {
            sum.checks += tally.checks;
            sum.steady.add(tally.steady);
            sum.overload.add(tally.overload);
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

/// The median difference between two readings of the clock in a row, in ns.
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

/// From 1 ns to 10 s, with three digits.
fn histogram() -> Result<Histogram<u64>, Failure> {
    Histogram::new_with_bounds(1, 10_000_000_000, 3)
        .map_err(|error| Failure::Thread(error.to_string()))
}

//! The full-speed run: one registry on the machine's own clock, with its
//! maintenance thread; threads that find and reserve as fast as they can; and the
//! keeper, which makes relays come, renew, lapse and leave under them.
//!
//! It is steady first, with leases held for `--load` of half the capacity and the
//! keeper's reports filling the relays half, and measured. It ends in a rush, when
//! the threads take all they can get. Every hand-out of both is held against the
//! [`Ledger`], in which only what is certain is written.

mod asker;
mod keeper;
mod ledger;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, Builder, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use relay_registry::Registry;

use crate::args::Args;
use crate::error::Failure;
use crate::progress::Progress;
use crate::world::World;
use asker::{Asker, Tally};
use keeper::{Churn, Keeper};
use ledger::Ledger;

const STEADY: Duration = Duration::from_millis(2000);
const RUSH: Duration = Duration::from_millis(500);
const PROGRESS_EVERY: Duration = Duration::from_millis(50);
const CHURN_EVERY: Duration = Duration::from_millis(1);

pub struct Outcome {
    pub threads: usize,
    pub steady_seconds: f64,
    pub seconds: f64,
    pub tally: Tally,
    pub churn: Churn,
    pub expired: u64,
    /// What timing a find adds to each time, in ns.
    pub clock_ns: u64,
}

/// What the threads share.
struct Race<'a> {
    world: &'a World,
    home: usize,
    registry: Registry,
    ledger: &'a Ledger,
    seed: u64,
    /// How many leases each thread holds while steady.
    quota: usize,
    rushing: AtomicBool,
    over: AtomicBool,
}

type Running<'scope> = ScopedJoinHandle<'scope, Result<Tally, Failure>>;

pub fn run(world: &World, args: &Args, progress: &Progress) -> Result<Outcome, Failure> {
    let clock_ns = asker::clock_ns()?;
    let ledger = Ledger::new(world.relays.iter().map(|relay| relay.capacity));
    let race = Race::new(world, args, &ledger)?;
    let mut keeper = race.keeper();
    let start = Instant::now();
    let (steady_seconds, tally) = thread::scope(|scope| {
        let running = race.start(args.threads, &mut keeper, scope);
        // Also when not all could start: those that did are waited for.
        let steady_seconds = match running {
            Ok(_) => race.direct(start, progress),
            Err(_) => 0.0,
        };
        race.end();
        Ok((steady_seconds, collect(running?)?))
    })?;
    let mut tally = tally;
    tally.checks.capacity_exceeded += keeper.exceeded();
    Ok(Outcome {
        threads: args.threads,
        steady_seconds,
        seconds: start.elapsed().as_secs_f64(),
        tally,
        churn: keeper.churn(),
        expired: race.registry.stats().expirations,
        clock_ns,
    })
}

impl<'a> Race<'a> {
    fn new(world: &'a World, args: &Args, ledger: &'a Ledger) -> Result<Self, Failure> {
        let home = world.homes[0];
        let registry = Registry::builder()
            .max_relays(world.relays.len())
            .ttl(keeper::TTL)
            .tick(keeper::TICK)
            .local_id(world.id(home))
            .build()
            .map_err(Failure::registry)?;
        let leases = f64::from(world.capacity()) / 2.0 * args.load;
        Ok(Self {
            world,
            home,
            registry,
            ledger,
            seed: args.seed,
            quota: (leases / args.threads as f64) as usize,
            rushing: AtomicBool::new(false),
            over: AtomicBool::new(false),
        })
    }

    fn is_steady(&self) -> bool {
        !self.rushing.load(Relaxed)
    }

    fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    fn end(&self) {
        self.rushing.store(true, Relaxed);
        self.over.store(true, Relaxed);
    }

    fn keeper(&self) -> Keeper<'a> {
        let registry = self.registry.clone();
        Keeper::new(self.world, self.home, registry, self.ledger, self.seed)
    }

    /// Starts the keeper and the threads that ask.
    fn start<'scope>(
        &'scope self,
        threads: usize,
        keeper: &'scope mut Keeper<'_>,
        scope: &'scope Scope<'scope, '_>,
    ) -> Result<Vec<Running<'scope>>, Failure> {
        let keep = || {
            while !self.is_over() {
                keeper.round();
                thread::sleep(CHURN_EVERY);
            }
        };
        Builder::new()
            .spawn_scoped(scope, keep)
            .map_err(cannot_start)?;
        let ask = |thread| {
            let seed = self.seed.wrapping_add(thread);
            let run = move || Asker::new(self, seed).map(Asker::run);
            Builder::new()
                .spawn_scoped(scope, run)
                .map_err(cannot_start)
        };
        (1..=threads as u64).map(ask).collect()
    }

    /// Waits while the threads race. Answers with how long they were steady.
    fn direct(&self, start: Instant, progress: &Progress) -> f64 {
        wait(start, STEADY, progress);
        let steady = start.elapsed();
        self.rushing.store(true, Relaxed);
        wait(start, STEADY + RUSH, progress);
        steady.as_secs_f64()
    }
}

/// Sleeps until so long after the start, and shows how far it is.
fn wait(start: Instant, until: Duration, progress: &Progress) {
    while start.elapsed() < until {
        thread::sleep(PROGRESS_EVERY);
        progress.raced(start.elapsed().as_secs_f64() / (STEADY + RUSH).as_secs_f64());
    }
}

fn collect(running: Vec<Running<'_>>) -> Result<Tally, Failure> {
    let join = |thread: Running<'_>| {
        let panicked = |_| Failure::Thread("a thread panicked".to_owned());
        thread.join().map_err(panicked)?
    };
    let tallies: Vec<Tally> = running.into_iter().map(join).collect::<Result<_, _>>()?;
    Tally::sum(tallies)
}

fn cannot_start(error: io::Error) -> Failure {
    Failure::Thread(format!("cannot start a thread: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::Checks;
    use crate::cities;

    #[test]
    fn no_promise_is_broken_under_churn() {
        let args = Args {
            threads: 2,
            ..Args::default()
        };
        let world = World::new(cities::matrix(), &args).unwrap();
        let outcome = run(&world, &args, &Progress::new(1)).unwrap();
        let tally = outcome.tally;
        let faultless = Checks {
            handed_out: tally.checks.handed_out,
            ..Checks::default()
        };
        assert_eq!(tally.checks, faultless);
        assert!(tally.steady.finds > 0 && tally.steady.reservations > 0);
        assert!(tally.rush.reservations > 0 && tally.rush.found_none > 0);
        assert!(outcome.churn.renewed > 0 && outcome.churn.unregistered > 0);
    }
}

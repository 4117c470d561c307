//! The full-speed run: one registry on the machine's clock, with its maintenance thread; client threads
//! that find and reserve as fast as they can; and a churn thread that makes relays register, renew, lapse
//! and leave.
//!
//! The steady phase is measured: the clients hold leases for `--load` of half the capacity, and load
//! reports fill the other half. In the overload phase the clients take every lease they can get. Every
//! hand-out of both phases is checked against the [`Ledger`], which has only what is certain.

mod churn;
mod client;
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
use churn::{ChurnGenerator, ChurnTally};
use client::{Client, Tally};
use ledger::Ledger;

const STEADY: Duration = Duration::from_millis(2000);
const OVERLOAD: Duration = Duration::from_millis(500);
const PROGRESS_EVERY: Duration = Duration::from_millis(50);
const CHURN_EVERY: Duration = Duration::from_millis(1);

pub struct Outcome {
    pub threads: usize,
    pub steady_seconds: f64,
    pub seconds: f64,
    pub tally: Tally,
    pub churn: ChurnTally,
    pub expired: u64,
    /// How much reading the clock adds to each time, in ns.
    pub clock_ns: u64,
}

/// The state that the threads share.
struct FullSpeedRun<'a> {
    world: &'a World,
    home: usize,
    registry: Registry,
    ledger: &'a Ledger,
    seed: u64,
    /// How many leases each thread holds while steady.
    quota: usize,
    is_overload: AtomicBool,
    over: AtomicBool,
}

type Running<'scope> = ScopedJoinHandle<'scope, Result<Tally, Failure>>;

pub fn run(world: &World, args: &Args, progress: &Progress) -> Result<Outcome, Failure> {
    let clock_ns = client::clock_ns()?;
    let ledger = Ledger::new(world.relays.iter().map(|relay| relay.capacity));
    let run = FullSpeedRun::new(world, args, &ledger)?;
    let mut churn = run.churn_generator();
    let start = Instant::now();
    let (steady_seconds, tally) = thread::scope(|scope| {
        let running = run.start(args.threads, &mut churn, scope);
        // If not all threads could start, the others are waited for.
        let steady_seconds = match running {
            Ok(_) => run.wait_for_phases(start, progress),
            Err(_) => 0.0,
        };
        run.end();
        Ok((steady_seconds, collect(running?)?))
    })?;
    let mut tally = tally;
    tally.checks.capacity_exceeded += churn.exceeded();
    Ok(Outcome {
        threads: args.threads,
        steady_seconds,
        seconds: start.elapsed().as_secs_f64(),
        tally,
        churn: churn.churn(),
        expired: run.registry.stats().expirations,
        clock_ns,
    })
}

impl<'a> FullSpeedRun<'a> {
    fn new(world: &'a World, args: &Args, ledger: &'a Ledger) -> Result<Self, Failure> {
        let home = world.homes[0];
        let registry = Registry::builder()
            .max_relays(world.relays.len())
            .ttl(churn::TTL)
            .tick(churn::TICK)
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
            is_overload: AtomicBool::new(false),
            over: AtomicBool::new(false),
        })
    }

    fn is_steady(&self) -> bool {
        !self.is_overload.load(Relaxed)
    }

    fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    fn end(&self) {
        self.is_overload.store(true, Relaxed);
        self.over.store(true, Relaxed);
    }

    fn churn_generator(&self) -> ChurnGenerator<'a> {
        let registry = self.registry.clone();
        ChurnGenerator::new(self.world, self.home, registry, self.ledger, self.seed)
    }

    /// Starts the churn thread and the clients.
    fn start<'scope>(
        &'scope self,
        threads: usize,
        churn: &'scope mut ChurnGenerator<'_>,
        scope: &'scope Scope<'scope, '_>,
    ) -> Result<Vec<Running<'scope>>, Failure> {
        let keep = || {
            while !self.is_over() {
                churn.step();
                thread::sleep(CHURN_EVERY);
            }
        };
        Builder::new()
            .spawn_scoped(scope, keep)
            .map_err(cannot_start)?;
        let ask = |thread| {
            let seed = self.seed.wrapping_add(thread);
            let run = move || Client::new(self, seed).map(Client::run);
            Builder::new()
                .spawn_scoped(scope, run)
                .map_err(cannot_start)
        };
        (1..=threads as u64).map(ask).collect()
    }

    /// Waits for both phases. Returns how long the steady phase was.
    fn wait_for_phases(&self, start: Instant, progress: &Progress) -> f64 {
        wait(start, STEADY, progress);
        let steady = start.elapsed();
        self.is_overload.store(true, Relaxed);
        wait(start, STEADY + OVERLOAD, progress);
        steady.as_secs_f64()
    }
}

/// Sleeps until `until` after the start, and shows the progress.
fn wait(start: Instant, until: Duration, progress: &Progress) {
    while start.elapsed() < until {
        thread::sleep(PROGRESS_EVERY);
        progress.full_speed(start.elapsed().as_secs_f64() / (STEADY + OVERLOAD).as_secs_f64());
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
        assert!(tally.overload.reservations > 0 && tally.overload.found_none > 0);
        assert!(outcome.churn.renewed > 0 && outcome.churn.unregistered > 0);
    }
}

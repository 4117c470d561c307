//! The discrete-event simulation: all registries use one injected clock.
//!
//! Relays start, renew every 20 s with a TTL of 60 s, and stop after 10 minutes on average. Half of them
//! unregister and finish their sessions; the other half stop without notice, and their sessions end.
//! They start again later. At every report interval a relay reports its total load to every registry. At
//! each renewal a registry measures its round trip to the relay, with some queueing delay.
//!
//! Sessions begin at random embedding nodes as a Poisson process. They offer `--load` of the capacity of
//! the running relays, and last 60 s on average. A relay that other nodes filled after its last report
//! refuses. A relay that is down does not answer. The node then returns the lease and asks again without
//! that relay, until none is left. The outcome of each attempt is reported to the registry. `--rule`
//! selects how relays are chosen; all else is equal. With `--views`, nodes without a registry measure
//! relays as well, and publish what they measured.

mod choosing;
mod churn;
mod peers;
mod queue;
mod requests;
mod sessions;
mod trace;
mod truth;

use std::time::Duration;

use fastrand::Rng;
use relay_registry::{Maintenance, ManualClock, Registry};

use crate::args::Args;
use crate::checks::Checks;
use crate::error::Failure;
use crate::figures::quantile;
use crate::progress::Progress;
use crate::world::World;
pub use choosing::{ASSUMED_MS, Rule};
use peers::Peers;
pub use peers::Views;
use queue::{Micros, Queue, SECOND, seconds};
use sessions::Sessions;
use std::thread;
pub use trace::{Decision, PAIRS, Sample, Trace};
pub use truth::Meter;
use truth::TrueRelay;

const TICK: Duration = Duration::from_millis(100);
const TTL: Duration = Duration::from_secs(60);
/// Over how many seconds the relays start; at most the warm-up.
const FIRST_JOINS: f64 = 5.0;
/// The share of the run in which the load grows, and which is not measured.
pub const WARM_UP_SHARE: f64 = 0.2;

/// An event, with the number of the relay or session. Events of a relay's stay name the stay, and are
/// ignored once it is over.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Tick,
    WarmedUp,
    Arrive,
    End(u64),
    Join(usize),
    Renew(usize, u32),
    Report(usize, u32),
    Go(usize, u32),
    Probe(usize),
    Sample,
}

/// The outcome. Checks, churn and samples cover the whole run, the rest only the time after the warm-up.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub measured_seconds: f64,
    pub checks: Checks,
    pub churn: Churn,
    pub requests: Requests,
    pub meter: Meter,
    pub trace: Trace,
}

/// How often relays joined and left; `expired` is as a registry counted it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Churn {
    pub joined: u64,
    pub left: u64,
    pub lapsed: u64,
    pub expired: u64,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Requests {
    pub made: u64,
    pub refused: u64,
    /// Refused although a relay had room.
    pub failed: u64,
    /// Attempts of all requests.
    pub tries: u64,
    /// Attempts that found the relay full, or down.
    pub found_full: u64,
    pub found_down: u64,
    /// Round trip divided by the shortest possible one, where both are known; sorted at the end.
    pub stretches: Vec<f32>,
}

impl Requests {
    /// The stretch that this share of the sessions does not exceed.
    pub fn stretch(&self, share: f64) -> f64 {
        quantile(&self.stretches, share)
    }

    pub fn tries_mean(&self) -> f64 {
        self.tries as f64 / self.made as f64
    }

    pub fn failed_share(&self) -> f64 {
        self.failed as f64 / self.made as f64
    }
}

struct Simulation<'a> {
    world: &'a World,
    args: &'a Args,
    clock: ManualClock,
    now: Micros,
    /// The time that the registries read last.
    shown: Micros,
    rng: Rng,
    queue: Queue<Event>,
    registries: Vec<Registry>,
    relays: Vec<TrueRelay>,
    sessions: Sessions,
    peers: Peers,
    checks: Checks,
    churn: Churn,
    requests: Requests,
    trace: Trace,
}

pub fn run(world: &World, args: &Args, progress: &Progress) -> Result<Outcome, Failure> {
    // A find keeps a random draw of its thread for up to 64 calls. In a thread of its own no
    // simulation gets a draw of the one before.
    thread::scope(|scope| {
        let simulation = scope.spawn(|| simulate_seeded(world, args, progress));
        simulation
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn simulate_seeded(world: &World, args: &Args, progress: &Progress) -> Result<Outcome, Failure> {
    // The registry samples with this thread's generator, so it is seeded as well.
    fastrand::seed(args.seed);
    let mut simulation = Simulation::new(world, args)?;
    simulation.begin();
    let end = args.seconds * SECOND;
    while let Some((at, event)) = simulation.queue.pop_before(end) {
        simulation.advance(at);
        simulation.handle(event)?;
        if at % SECOND == 0 {
            progress.simulated(at / SECOND);
        }
    }
    simulation.advance(end);
    Ok(simulation.outcome())
}

impl<'a> Simulation<'a> {
    fn new(world: &'a World, args: &'a Args) -> Result<Self, Failure> {
        let clock = ManualClock::new();
        let registry = |&home: &usize| {
            Registry::builder()
                .max_relays(world.relays.len())
                .ttl(TTL)
                .tick(TICK)
                .maintenance(Maintenance::Manual)
                .clock(clock.clone())
                .local_id(world.id(home))
                // What a target says is in the options of each call.
                .max_peers(0)
                .build()
                .map_err(Failure::registry)
        };
        let registries = world.homes.iter().map(registry).collect::<Result<_, _>>()?;
        let relays = world.relays.iter();
        Ok(Self {
            world,
            args,
            now: 0,
            shown: 0,
            // Another stream than the one that assigned the roles.
            rng: Rng::with_seed(!args.seed),
            queue: Queue::new(),
            registries,
            relays: relays.map(|relay| TrueRelay::new(relay.capacity)).collect(),
            sessions: Sessions::new(world.homes.len(), world.relays.len()),
            peers: Peers::new(world.nodes(), args.seed),
            checks: Checks::default(),
            churn: Churn::default(),
            requests: Requests::default(),
            trace: Trace::new(world.homes.len(), world.relays.len()),
            clock,
        })
    }

    fn begin(&mut self) {
        let warm_up = self.args.seconds as f64 * WARM_UP_SHARE;
        self.after(warm_up, Event::WarmedUp);
        self.after(TICK.as_secs_f64(), Event::Tick);
        let first_joins = FIRST_JOINS.min(warm_up);
        for relay in 0..self.relays.len() {
            let delay = self.rng.f64() * first_joins;
            self.after(delay, Event::Join(relay));
        }
        self.after(first_joins, Event::Arrive);
        self.begin_probing();
        self.after(0.0, Event::Sample);
    }

    fn advance(&mut self, to: Micros) {
        self.clock.advance(Duration::from_micros(to - self.now));
        self.now = to;
    }

    fn after(&mut self, delay: f64, event: Event) {
        self.queue
            .push(self.now.saturating_add(seconds(delay)), event);
    }

    /// A random time with an exponential distribution.
    fn random(&mut self, mean: f64) -> f64 {
        exponential(&mut self.rng, mean)
    }

    fn handle(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Tick => self.maintain(),
            Event::WarmedUp => self.start_measuring(),
            Event::Arrive => self.arrive(),
            Event::End(session) => self.end(session),
            Event::Join(relay) => self.join(relay)?,
            Event::Renew(relay, stay) if self.is_in(relay, stay) => self.renew(relay)?,
            Event::Report(relay, stay) if self.is_in(relay, stay) => self.report(relay),
            Event::Go(relay, stay) if self.is_in(relay, stay) => self.go(relay),
            Event::Probe(node) => self.probe(node),
            Event::Sample => self.sample(),
            Event::Renew(..) | Event::Report(..) | Event::Go(..) => {}
        }
        Ok(())
    }

    fn is_in(&self, relay: usize, stay: u32) -> bool {
        let relay = &self.relays[relay];
        relay.is_up() && relay.stay == stay
    }

    fn maintain(&mut self) {
        for registry in &self.registries {
            registry.maintain();
        }
        self.shown = self.now;
        self.after(TICK.as_secs_f64(), Event::Tick);
    }

    fn start_measuring(&mut self) {
        self.requests = Requests::default();
        self.trace.start_measuring();
        for relay in &mut self.relays {
            relay.read_meter(self.now);
        }
    }

    fn outcome(mut self) -> Outcome {
        let mut meter = Meter::default();
        for relay in &mut self.relays {
            let of_relay = relay.read_meter(self.now);
            meter.add(of_relay);
            self.trace.meters.push(of_relay);
        }
        // All registries receive the same calls at the same times, so one count is enough.
        let expired = self
            .registries
            .first()
            .map(|first| first.stats().expirations);
        self.churn.expired = expired.unwrap_or(0);
        self.requests.stretches.sort_by(f32::total_cmp);
        self.trace.decision = self.decide();
        Outcome {
            measured_seconds: self.args.seconds as f64 * (1.0 - WARM_UP_SHARE),
            checks: self.checks,
            churn: self.churn,
            requests: self.requests,
            meter,
            trace: self.trace,
        }
    }
}

/// A random value with an exponential distribution.
fn exponential(rng: &mut Rng, mean: f64) -> f64 {
    -mean * (1.0 - rng.f64()).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cities;

    pub(super) fn simulate(args: &Args) -> Outcome {
        let world = World::new(cities::matrix(), args).unwrap();
        run(&world, args, &Progress::new(args.seconds)).unwrap()
    }

    pub(super) fn args(seed: u64, load: f64) -> Args {
        Args {
            seed,
            load,
            seconds: 150,
            ..Args::default()
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_figures() {
        for rule in Rule::ALL {
            let with_seed = |seed| Args {
                rule,
                ..args(seed, 0.6)
            };
            let first = simulate(&with_seed(7));
            assert_eq!(first, simulate(&with_seed(7)), "{}", rule.name());
            assert_ne!(first, simulate(&with_seed(8)), "{}", rule.name());
        }
    }

    #[test]
    fn no_promise_is_broken_even_when_overloaded() {
        let outcome = simulate(&Args {
            seconds: 600,
            ..args(1, 1.3)
        });
        let faultless = Checks {
            handed_out: outcome.checks.handed_out,
            ..Checks::default()
        };
        assert_eq!(outcome.checks, faultless);
        assert!(outcome.requests.refused > 0);
        let utilisation = outcome.meter.utilisation();
        assert!(utilisation > 0.8, "{utilisation}");
        let churn = outcome.churn;
        assert!(churn.left > 0 && churn.expired > 0, "{churn:?}");
        assert!(churn.expired <= churn.lapsed, "{churn:?}");
    }
}

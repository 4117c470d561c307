//! The discrete-event simulation: every registry on one injected clock.
//!
//! Relays come up, renew every 20 s of a TTL of 60 s, and go after a while: half
//! of them unregister and finish the sessions they have, half stop without a word
//! and take their sessions with them. Those that went come back later. A relay
//! tells every registry its total load at every report interval; with each renewal
//! a registry also measures its round trip to the relay, with a little queueing.
//!
//! Sessions begin at random embedding nodes as a Poisson process that offers
//! `--load` of the capacity of the relays that are up, and last 60 s on average. A
//! relay that is in truth full, since others filled it after its last report, says
//! so; one that is down does not answer. The one who asked then gives the lease
//! back and asks again without that relay, until none is left. By which rule a
//! relay is chosen is `--rule`'s affair, all else is the same. Each try's end is
//! reported to the registry that was asked. With `--views` the nodes without a
//! registry measure relays too, and tell of it.

mod asking;
mod choosing;
mod comings;
mod peers;
mod queue;
mod rule;
mod sessions;
mod truth;
mod views;

use std::time::Duration;

use fastrand::Rng;
use relay_registry::{Maintenance, ManualClock, Registry};

use crate::args::Args;
use crate::checks::Checks;
use crate::error::Failure;
use crate::figures::quantile;
use crate::progress::Progress;
use crate::world::World;
use peers::Peers;
use queue::{Micros, Queue, SECOND, seconds};
pub use rule::Rule;
use sessions::Sessions;
use truth::{Meter, TrueRelay};
pub use views::Views;

const TICK: Duration = Duration::from_millis(100);
const TTL: Duration = Duration::from_secs(60);
/// The relays come up one after the other over so many seconds, or the warm-up.
const FIRST_JOINS: f64 = 5.0;
/// The share of the run that brings the load near its balance, unmeasured.
pub const WARM_UP_SHARE: f64 = 0.2;

/// What happens next, to a relay or a session by number. Events of a relay's
/// stay name the stay, and mean nothing once it is over.
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
}

/// What came of it. Checks and comings and goings cover the whole run, the rest
/// the time after the warm-up.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub measured_seconds: f64,
    pub checks: Checks,
    pub comings: Comings,
    pub requests: Requests,
    pub meter: Meter,
}

/// Relays coming and going, as they did and (`expired`) as the registries saw it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Comings {
    pub joined: u64,
    pub left: u64,
    pub lapsed: u64,
    pub expired: u64,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Requests {
    pub made: u64,
    pub refused: u64,
    /// Of these, the ones that a relay would have taken.
    pub failed: u64,
    /// Relays that were tried, by all requests together.
    pub tries: u64,
    /// Tries that found the relay full, or down.
    pub found_full: u64,
    pub found_down: u64,
    /// Path over the best possible path, where both are known; sorted at the end.
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
    /// The time that the registries were shown last.
    shown: Micros,
    rng: Rng,
    queue: Queue<Event>,
    registries: Vec<Registry>,
    relays: Vec<TrueRelay>,
    sessions: Sessions,
    peers: Peers,
    checks: Checks,
    comings: Comings,
    requests: Requests,
}

/// Simulates `args.seconds` in the world.
pub fn run(world: &World, args: &Args, progress: &Progress) -> Result<Outcome, Failure> {
    // The registry samples with this thread's generator: it has to be seeded too.
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
            // Another stream than the one that dealt the roles.
            rng: Rng::with_seed(!args.seed),
            queue: Queue::new(),
            registries,
            relays: relays.map(|relay| TrueRelay::new(relay.capacity)).collect(),
            sessions: Sessions::new(world.homes.len(), world.relays.len()),
            peers: Peers::new(world.nodes(), args.seed),
            checks: Checks::default(),
            comings: Comings::default(),
            requests: Requests::default(),
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
    }

    fn advance(&mut self, to: Micros) {
        self.clock.advance(Duration::from_micros(to - self.now));
        self.now = to;
    }

    fn after(&mut self, delay: f64, event: Event) {
        self.queue
            .push(self.now.saturating_add(seconds(delay)), event);
    }

    /// A random time with this mean: exponential, without memory.
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
        for relay in &mut self.relays {
            relay.read_meter(self.now);
        }
    }

    fn outcome(mut self) -> Outcome {
        let mut meter = Meter::default();
        for relay in &mut self.relays {
            meter.add(relay.read_meter(self.now));
        }
        // All registries are told the same at the same times: any speaks for all.
        let expired = self
            .registries
            .first()
            .map(|first| first.stats().expirations);
        self.comings.expired = expired.unwrap_or(0);
        self.requests.stretches.sort_by(f32::total_cmp);
        Outcome {
            measured_seconds: self.args.seconds as f64 * (1.0 - WARM_UP_SHARE),
            checks: self.checks,
            comings: self.comings,
            requests: self.requests,
            meter,
        }
    }
}

/// A random value with this mean, without memory.
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
        let comings = outcome.comings;
        assert!(comings.left > 0 && comings.expired > 0, "{comings:?}");
        assert!(comings.expired <= comings.lapsed, "{comings:?}");
    }
}

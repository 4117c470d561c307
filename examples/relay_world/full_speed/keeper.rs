//! The thread that keeps the full-speed run's relays coming and going.

use std::time::Duration;

use fastrand::Rng;
use relay_registry::{RegisterError, RegisterOptions, Registration, Registry};

use super::ledger::{GENERATIONS, Ledger};
use crate::world::{World, endpoint};

pub const TICK: Duration = Duration::from_millis(20);
pub const TTL: Duration = Duration::from_millis(500);
/// A deadline is rounded up to a tick, and holds until that tick is over.
const LONGEST: Duration = TTL.saturating_add(TICK.saturating_mul(2));
/// The port of a relay's first generation.
const FIRST_PORT: u16 = 4000;
/// What queues add to a measured round trip, on average in us.
const MEAN_QUEUEING_US: f64 = 1000.0;

/// The relays, as the keeper has left them.
pub struct Keeper<'a> {
    world: &'a World,
    home: usize,
    registry: Registry,
    ledger: &'a Ledger,
    rng: Rng,
    kept: Vec<Kept>,
    churn: Churn,
}

/// What the keeper did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Churn {
    pub registered: u64,
    pub renewed: u64,
    pub unregistered: u64,
    pub lapsed: u64,
    /// Registrations that the registry refused; the next turn tries again.
    pub refused: u64,
}

struct Kept {
    standing: Standing,
    /// Its next one, while absent.
    generation: u16,
    /// Generations that expired under the keeper's hands and were registered anew
    /// by what was meant as a renewal: two records share each of them.
    blurred: Vec<u16>,
}

#[derive(Clone, Copy)]
enum Standing {
    Absent,
    Present,
    /// Not renewed any more.
    Lapsing,
}

/// The generation that an endpoint's port tells, if it is one.
pub fn generation(port: u16) -> Option<u16> {
    let generation = port.checked_sub(FIRST_PORT)?;
    (generation < GENERATIONS).then_some(generation)
}

impl<'a> Keeper<'a> {
    /// Registers every relay.
    pub fn new(
        world: &'a World,
        home: usize,
        registry: Registry,
        ledger: &'a Ledger,
        seed: u64,
    ) -> Self {
        let absent = || Kept {
            standing: Standing::Absent,
            generation: 0,
            blurred: Vec::new(),
        };
        let mut keeper = Self {
            world,
            home,
            registry,
            ledger,
            rng: Rng::with_seed(seed),
            kept: world.relays.iter().map(|_| absent()).collect(),
            churn: Churn::default(),
        };
        for relay in 0..keeper.kept.len() {
            keeper.register(relay);
        }
        keeper
    }

    /// Sees to about a third of the relays, picked at random.
    pub fn round(&mut self) {
        for _ in 0..=self.kept.len() / 3 {
            let relay = self.rng.usize(..self.kept.len());
            self.turn(relay);
        }
    }

    pub fn churn(&self) -> Churn {
        self.churn
    }

    /// How often a relay had more leases than its capacity, for certain.
    pub fn exceeded(&self) -> u64 {
        let of_relay = |(relay, kept): (usize, &Kept)| -> u64 {
            (0..GENERATIONS)
                .filter(|generation| !kept.blurred.contains(generation))
                .map(|generation| self.ledger.exceeded(relay, generation))
                .sum()
        };
        self.kept.iter().enumerate().map(of_relay).sum()
    }

    fn turn(&mut self, relay: usize) {
        let kept = &self.kept[relay];
        let can_return = kept.generation + 1 < GENERATIONS;
        match kept.standing {
            Standing::Absent => self.register(relay),
            Standing::Lapsing => self.await_expiry(relay),
            Standing::Present => match self.rng.u32(..1000) {
                0 if can_return => self.lapse(relay),
                1..40 if can_return => self.unregister(relay),
                40..200 => self.report(relay),
                200..300 => self.measure(relay),
                _ => self.renew(relay),
            },
        }
    }

    fn register(&mut self, relay: usize) {
        match self.announce(relay) {
            Ok(_) => {
                self.churn.registered += 1;
                self.kept[relay].standing = Standing::Present;
                self.measure(relay);
            }
            Err(_) => self.churn.refused += 1,
        }
    }

    fn renew(&mut self, relay: usize) {
        match self.announce(relay) {
            Ok(Registration::Renewed) => self.churn.renewed += 1,
            Ok(_) => {
                self.churn.registered += 1;
                let kept = &mut self.kept[relay];
                kept.blurred.push(kept.generation);
            }
            Err(_) => self.churn.refused += 1,
        }
    }

    fn announce(&self, relay: usize) -> Result<Registration, RegisterError> {
        let address = endpoint(relay, FIRST_PORT + self.kept[relay].generation);
        let options = RegisterOptions::new().capacity(self.world.relays[relay].capacity);
        let began = self.ledger.registering(relay);
        let registration =
            self.registry
                .register_with(self.world.relay_id(relay), address, &options)?;
        self.ledger.registered(relay, began, LONGEST);
        Ok(registration)
    }

    fn unregister(&mut self, relay: usize) {
        self.registry.unregister(&self.world.relay_id(relay));
        self.ledger.unregistered(relay);
        self.churn.unregistered += 1;
        self.become_absent(relay);
    }

    fn lapse(&mut self, relay: usize) {
        self.churn.lapsed += 1;
        self.kept[relay].standing = Standing::Lapsing;
    }

    fn await_expiry(&mut self, relay: usize) {
        if self.ledger.now() > self.ledger.expired_by(relay) {
            self.become_absent(relay);
        }
    }

    fn become_absent(&mut self, relay: usize) {
        let kept = &mut self.kept[relay];
        kept.standing = Standing::Absent;
        kept.generation += 1;
    }

    /// Any total up to its capacity: others fill it too.
    fn report(&mut self, relay: usize) {
        let load = self.rng.u32(0..=self.world.relays[relay].capacity);
        self.registry.report_load(&self.world.relay_id(relay), load);
    }

    fn measure(&mut self, relay: usize) {
        let queueing = -MEAN_QUEUEING_US * (1.0 - self.rng.f64()).ln();
        if let Some(rtt) = self.world.measured(self.home, relay) {
            let rtt = rtt + Duration::from_micros(queueing as u64);
            self.registry.record_rtt(&self.world.relay_id(relay), rtt);
        }
    }
}

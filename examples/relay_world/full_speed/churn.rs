//! Churn: one thread makes relays register, renew, lapse and leave.

use std::time::Duration;

use fastrand::Rng;
use relay_registry::{RegisterError, RegisterOptions, Registration, Registry};

use super::ledger::{GENERATIONS, Ledger};
use crate::world::{World, endpoint};

pub const TICK: Duration = Duration::from_millis(20);
pub const TTL: Duration = Duration::from_millis(500);
/// A deadline is rounded up to a tick, and the relay is live until that tick is over.
const LONGEST: Duration = TTL.saturating_add(TICK.saturating_mul(2));
/// The port of the first generation of a relay.
const FIRST_PORT: u16 = 4000;
/// The mean queueing delay in a measured round trip, in us.
const MEAN_QUEUEING_US: f64 = 1000.0;

pub struct ChurnGenerator<'a> {
    world: &'a World,
    home: usize,
    registry: Registry,
    ledger: &'a Ledger,
    rng: Rng,
    relays: Vec<RelayState>,
    churn: ChurnTally,
}

/// What the thread did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChurnTally {
    pub registered: u64,
    pub renewed: u64,
    pub unregistered: u64,
    pub lapsed: u64,
    /// Registrations that the registry refused. The next step tries again.
    pub refused: u64,
}

struct RelayState {
    presence: Presence,
    /// The next generation, while the relay is absent.
    generation: u16,
    /// Generations in which a relay expired before its renewal arrived, so that the renewal was a new
    /// registration. Two records share each of them, so their leases are not judged.
    ambiguous: Vec<u16>,
}

#[derive(Clone, Copy)]
enum Presence {
    Absent,
    Present,
    /// Not renewed any more.
    Lapsing,
}

/// The generation of the relay with an endpoint at this port.
pub fn generation(port: u16) -> Option<u16> {
    let generation = port.checked_sub(FIRST_PORT)?;
    (generation < GENERATIONS).then_some(generation)
}

impl<'a> ChurnGenerator<'a> {
    /// Registers every relay.
    pub fn new(
        world: &'a World,
        home: usize,
        registry: Registry,
        ledger: &'a Ledger,
        seed: u64,
    ) -> Self {
        let absent = || RelayState {
            presence: Presence::Absent,
            generation: 0,
            ambiguous: Vec::new(),
        };
        let mut generator = Self {
            world,
            home,
            registry,
            ledger,
            rng: Rng::with_seed(seed),
            relays: world.relays.iter().map(|_| absent()).collect(),
            churn: ChurnTally::default(),
        };
        for relay in 0..generator.relays.len() {
            generator.register(relay);
        }
        generator
    }

    /// Acts on about a third of the relays, chosen at random.
    pub fn step(&mut self) {
        for _ in 0..=self.relays.len() / 3 {
            let relay = self.rng.usize(..self.relays.len());
            self.act(relay);
        }
    }

    pub fn churn(&self) -> ChurnTally {
        self.churn
    }

    /// How often a relay certainly had more leases than capacity.
    pub fn exceeded(&self) -> u64 {
        let of_relay = |(relay, state): (usize, &RelayState)| -> u64 {
            (0..GENERATIONS)
                .filter(|generation| !state.ambiguous.contains(generation))
                .map(|generation| self.ledger.exceeded(relay, generation))
                .sum()
        };
        self.relays.iter().enumerate().map(of_relay).sum()
    }

    fn act(&mut self, relay: usize) {
        let state = &self.relays[relay];
        let can_return = state.generation + 1 < GENERATIONS;
        match state.presence {
            Presence::Absent => self.register(relay),
            Presence::Lapsing => self.await_expiry(relay),
            Presence::Present => match self.rng.u32(..1000) {
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
                self.relays[relay].presence = Presence::Present;
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
                let state = &mut self.relays[relay];
                state.ambiguous.push(state.generation);
            }
            Err(_) => self.churn.refused += 1,
        }
    }

    fn announce(&self, relay: usize) -> Result<Registration, RegisterError> {
        let address = endpoint(relay, FIRST_PORT + self.relays[relay].generation);
        let options = RegisterOptions::new().capacity(self.world.relays[relay].capacity);
        let began = self.ledger.begin_registration(relay);
        let registration =
            self.registry
                .register_with(self.world.relay_id(relay), address, &options)?;
        self.ledger.end_registration(relay, began, LONGEST);
        Ok(registration)
    }

    fn unregister(&mut self, relay: usize) {
        self.registry.unregister(&self.world.relay_id(relay));
        self.ledger.note_departure(relay);
        self.churn.unregistered += 1;
        self.become_absent(relay);
    }

    fn lapse(&mut self, relay: usize) {
        self.churn.lapsed += 1;
        self.relays[relay].presence = Presence::Lapsing;
    }

    fn await_expiry(&mut self, relay: usize) {
        if self.ledger.now() > self.ledger.expired_by(relay) {
            self.become_absent(relay);
        }
    }

    fn become_absent(&mut self, relay: usize) {
        let state = &mut self.relays[relay];
        state.presence = Presence::Absent;
        state.generation += 1;
    }

    /// Reports any load up to the capacity.
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

//! Transient relays: each registers once or twice and leaves. There are more than the registry remembers.
//! Some are leased when they leave.

use std::collections::VecDeque;
use std::sync::Arc;

use fastrand::Rng;
use relay_registry::{Lease, RegisterOptions, Registry};

use crate::ledger::Ledger;
use crate::owner::TTL;
use crate::relays::{self, Announced, CAPACITIES, TRANSIENTS};
use crate::tally::Tally;

/// How many leases on departed relays are held at most.
pub const MAX_HELD: usize = 64;
const ANNOUNCED: Announced = Announced {
    incarnation: 0,
    capacity_index: 0,
};

pub struct Transients<'a> {
    ledger: &'a Ledger,
    registry: Registry,
    label: Arc<str>,
    rng: Rng,
    /// How many have registered.
    arrived: u32,
    held: VecDeque<(u32, Lease)>,
    tally: Tally,
}

impl<'a> Transients<'a> {
    pub fn new(ledger: &'a Ledger, registry: Registry, label: Arc<str>, rng: Rng) -> Self {
        Self {
            ledger,
            registry,
            label,
            rng,
            arrived: 0,
            held: VecDeque::new(),
            tally: Tally::default(),
        }
    }

    pub fn tally(self) -> Tally {
        self.tally
    }

    /// A new relay, or one that is still leased, registers and leaves.
    pub fn step(&mut self) {
        let back = self.rng.u32(..4) == 0 && !self.held.is_empty();
        let relay = match back {
            true => self.held[self.rng.usize(..self.held.len())].0,
            false => {
                self.arrived += 1;
                TRANSIENTS + self.arrived
            }
        };
        self.ledger.may_arrive();
        self.visit(relay);
        self.ledger.is_gone();
        self.tally.transients += 1;
    }

    fn visit(&mut self, relay: u32) {
        let id = relays::id(relay);
        let options = RegisterOptions::new()
            .capacity(CAPACITIES[0])
            .ttl(TTL)
            .failure_domain(Arc::clone(&self.label));
        let endpoint = relays::endpoint(relay, ANNOUNCED);
        let outcome = self.registry.register_with(id, endpoint, &options);
        self.tally.registered(&outcome);
        if outcome.is_err() {
            return;
        }
        self.lease(relay);
        self.tally.unregistered += u64::from(self.registry.unregister(&id));
    }

    /// A relay that returns still has the leases that it had when it left.
    fn lease(&mut self, relay: u32) {
        let id = relays::id(relay);
        let before = self.held.iter().filter(|held| held.0 == relay).count();
        if self.rng.bool() {
            if let Ok(lease) = self.registry.lease(&id) {
                self.held.push_back((relay, lease));
            }
        }
        let own = self.held.iter().filter(|held| held.0 == relay).count();
        let load = self.registry.relay(&id).map(|info| info.current_load());
        if load.is_some_and(|load| (load as usize) < own) || own > CAPACITIES[0] as usize {
            let relay = relays::name(relay);
            self.ledger.fault(format!(
                "{relay}: {before} leases when it registered, {own} now, and load {load:?}"
            ));
        }
        if self.held.len() > MAX_HELD {
            self.held.pop_front();
        }
    }
}

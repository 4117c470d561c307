//! Relays that come once or twice, more of them than are remembered; some are leased when
//! they leave.

use std::collections::VecDeque;
use std::sync::Arc;

use fastrand::Rng;
use relay_registry::{Lease, RegisterOptions, Registry};

use crate::ledger::Ledger;
use crate::owner::TTL;
use crate::relays::{self, Announced, CAPACITIES, TRANSIENTS};
use crate::tally::Tally;

/// Leases on relays that left, at most.
pub const QUOTA: usize = 64;
const FACE: Announced = Announced { life: 0, terms: 0 };

pub struct Transients<'a> {
    ledger: &'a Ledger,
    registry: Registry,
    label: Arc<str>,
    rng: Rng,
    /// How many have come.
    passed: u32,
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
            passed: 0,
            held: VecDeque::new(),
            tally: Tally::default(),
        }
    }

    pub fn tally(self) -> Tally {
        self.tally
    }

    /// A new one comes, or one that is leased still, and goes.
    pub fn turn(&mut self) {
        let back = self.rng.u32(..4) == 0 && !self.held.is_empty();
        let relay = match back {
            true => self.held[self.rng.usize(..self.held.len())].0,
            false => {
                self.passed += 1;
                TRANSIENTS + self.passed
            }
        };
        self.ledger.may_arrive();
        self.pass(relay);
        self.ledger.is_gone();
        self.tally.transients += 1;
    }

    fn pass(&mut self, relay: u32) {
        let id = relays::id(relay);
        let options = RegisterOptions::new()
            .capacity(CAPACITIES[0])
            .ttl(TTL)
            .failure_domain(Arc::clone(&self.label));
        let endpoint = relays::endpoint(relay, FACE);
        let outcome = self.registry.register_with(id, endpoint, &options);
        self.tally.registered(&outcome);
        if outcome.is_err() {
            return;
        }
        self.lease(relay);
        self.tally.unregistered += u64::from(self.registry.unregister(&id));
    }

    /// What it carried when it left it carries when it is back.
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
                "{relay}: {before} leases when it came, {own} now, and load {load:?}"
            ));
        }
        if self.held.len() > QUOTA {
            self.held.pop_front();
        }
    }
}

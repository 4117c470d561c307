//! The operator: it drains and bans relays by id, and sets their tiers and costs, whether they are held, gone
//! or never registered, and lifts that again. Each setting holds until it is lifted.

use std::time::Duration;

use fastrand::Rng;
use relay_registry::{BanError, OperatorError, Registry};

use crate::ledger::{Account, Ledger};
use crate::relays::{self, PERMANENT};
use crate::tally::Tally;

/// Longer than all jumps of the clock together.
const BAN: Duration = Duration::from_secs(10_000_000);

pub struct Operator<'a> {
    ledger: &'a Ledger,
    registry: Registry,
    /// The settings of each relay.
    states: Vec<OperatorState>,
    rng: Rng,
    tally: Tally,
}

#[derive(Clone, Copy, Default, PartialEq)]
struct OperatorState {
    drains: bool,
    bans: bool,
    tier: Option<u8>,
    cost: Option<f64>,
}

impl<'a> Operator<'a> {
    pub fn new(ledger: &'a Ledger, registry: Registry, rng: Rng) -> Self {
        let states = vec![OperatorState::default(); ledger.relays() as usize];
        Self {
            ledger,
            registry,
            states,
            rng,
            tally: Tally::default(),
        }
    }

    /// Drains or bans some relays before they first register.
    pub fn begin(&mut self) {
        for relay in PERMANENT..self.ledger.relays() {
            match self.rng.u32(..16) {
                0 => self.drain(relay),
                1 => self.ban(relay),
                2 => self.set_tier(relay),
                _ => {}
            }
        }
    }

    /// Changes or lifts a setting of one relay.
    pub fn step(&mut self) {
        let relay = self.rng.u32(PERMANENT..self.ledger.relays());
        let state = self.states[relay as usize];
        match self.rng.u32(..20) {
            0 if !state.drains => self.drain(relay),
            1 if !state.bans => self.ban(relay),
            2..6 if state.drains => self.end_draining(relay),
            6..10 if state.bans => self.unban(relay),
            10..13 if state != OperatorState::default() => self.lift(relay),
            16..18 => self.set_tier(relay),
            18 => self.set_cost(relay),
            _ => {}
        }
        self.check_info(relay);
    }

    pub fn tally(self) -> Tally {
        self.tally
    }

    fn account(&self, relay: u32) -> &'a Account {
        self.ledger.account(relay)
    }

    fn fault(&self, relay: u32, what: std::fmt::Arguments<'_>) {
        self.ledger
            .fault(format!("{}: {what}", relays::name(relay)));
    }

    fn drain(&mut self, relay: u32) {
        let account = self.account(relay);
        account.free.clear();
        match self.registry.set_draining(&relays::id(relay), true) {
            Ok(()) => account.draining.enter(self.ledger),
            Err(OperatorError::Backlogged { .. }) => return self.not_kept(relay),
            Err(error) => self.fault(relay, format_args!("not drained: {error}")),
        }
        self.states[relay as usize].drains = true;
        self.tally.drainings += 1;
    }

    fn end_draining(&mut self, relay: u32) {
        self.account(relay).draining.clear();
        if let Err(error) = self.registry.set_draining(&relays::id(relay), false) {
            self.fault(relay, format_args!("drains on: {error}"));
        }
        self.states[relay as usize].drains = false;
        self.tally.drainings += 1;
        self.may_be_free(relay);
    }

    fn ban(&mut self, relay: u32) {
        let account = self.account(relay);
        account.free.clear();
        let banned = account.forget_failure(|| self.registry.ban(&relays::id(relay), BAN));
        match banned {
            Ok(()) => account.banned.enter(self.ledger),
            Err(BanError::Backlogged { .. }) => return self.not_kept(relay),
            Err(error) => self.fault(relay, format_args!("not banned: {error}")),
        }
        self.states[relay as usize].bans = true;
        self.tally.bans += 1;
    }

    fn unban(&mut self, relay: u32) {
        let account = self.account(relay);
        account.banned.clear();
        if !account.forget_failure(|| self.registry.unban(&relays::id(relay))) {
            self.fault(relay, format_args!("its ban was lost"));
        }
        self.states[relay as usize].bans = false;
        self.tally.bans += 1;
        self.may_be_free(relay);
    }

    fn set_tier(&mut self, relay: u32) {
        let tier = match relays::is_in_reserve(relay) {
            true => self.rng.u8(1..9),
            false => self.rng.u8(..3),
        };
        match self.registry.set_tier(&relays::id(relay), tier) {
            Ok(()) => {}
            Err(OperatorError::Backlogged { .. }) => return self.not_kept(relay),
            Err(error) => self.fault(relay, format_args!("tier not set: {error}")),
        }
        self.states[relay as usize].tier = Some(tier);
        self.tally.policies += 1;
    }

    fn set_cost(&mut self, relay: u32) {
        let cost = f64::from(self.rng.u32(1..=100)) / 10.0;
        match self.registry.set_cost(&relays::id(relay), cost) {
            Ok(()) => {}
            Err(OperatorError::Backlogged { .. }) => return self.not_kept(relay),
            Err(error) => self.fault(relay, format_args!("cost not set: {error}")),
        }
        self.states[relay as usize].cost = Some(cost);
        self.tally.policies += 1;
    }

    fn lift(&mut self, relay: u32) {
        let account = self.account(relay);
        account.draining.clear();
        account.banned.clear();
        if !account.forget_failure(|| self.registry.lift(&relays::id(relay))) {
            self.fault(relay, format_args!("nothing to lift"));
        }
        self.states[relay as usize] = OperatorState::default();
        self.tally.lifted += 1;
        self.may_be_free(relay);
    }

    /// A thread is stalled, and there was no record for the setting. Nothing has changed.
    fn not_kept(&mut self, relay: u32) {
        self.tally.settings_backlogged += 1;
        self.may_be_free(relay);
    }

    fn may_be_free(&self, relay: u32) {
        let state = self.states[relay as usize];
        if !state.drains && !state.bans {
            self.account(relay).free.enter(self.ledger);
        }
    }

    /// A held relay shows the operator's last settings.
    fn check_info(&mut self, relay: u32) {
        let Some(info) = self.registry.relay(&relays::id(relay)) else {
            return;
        };
        self.tally.checked += 1;
        let state = self.states[relay as usize];
        let is_tier = state.tier.is_none_or(|tier| tier == info.tier());
        let is_cost = state.cost.is_none_or(|cost| cost == info.cost());
        if !is_tier || !is_cost {
            let (tier, cost) = (info.tier(), info.cost());
            self.fault(
                relay,
                format_args!(
                    "tier {tier}, not {:?}; cost {cost}, not {:?}",
                    state.tier, state.cost
                ),
            );
        }
        if (info.is_draining(), info.is_banned()) != (state.drains, state.bans) {
            let (is_draining, is_banned) = (info.is_draining(), info.is_banned());
            self.fault(
                relay,
                format_args!(
                    "draining {is_draining}, not {}; banned {is_banned}, not {}",
                    state.drains, state.bans
                ),
            );
        }
    }
}

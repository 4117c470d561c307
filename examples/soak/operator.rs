//! The operator: it drains and bans relays by id, whether they are held, gone or never registered, and
//! lifts that again. Each setting holds until it is lifted.

use std::time::Duration;

use fastrand::Rng;
use relay_registry::Registry;

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

#[derive(Clone, Copy, Default)]
struct OperatorState {
    drains: bool,
    bans: bool,
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
                _ => {}
            }
        }
    }

    /// Changes or lifts a setting of one relay.
    pub fn step(&mut self) {
        let relay = self.rng.u32(PERMANENT..self.ledger.relays());
        let state = self.states[relay as usize];
        match self.rng.u32(..16) {
            0 if !state.drains => self.drain(relay),
            1 if !state.bans => self.ban(relay),
            2..6 if state.drains => self.end_draining(relay),
            6..10 if state.bans => self.unban(relay),
            10..13 if state.drains || state.bans => self.lift(relay),
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

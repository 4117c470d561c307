//! The operator: drains and bans relays by id, there or away or never seen, and lifts that
//! again. What it says holds until then, whatever the relays do.

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
    /// What it said of each relay.
    words: Vec<Word>,
    rng: Rng,
    tally: Tally,
}

#[derive(Clone, Copy, Default)]
struct Word {
    drains: bool,
    bans: bool,
}

impl<'a> Operator<'a> {
    pub fn new(ledger: &'a Ledger, registry: Registry, rng: Rng) -> Self {
        let words = vec![Word::default(); ledger.relays() as usize];
        Self {
            ledger,
            registry,
            words,
            rng,
            tally: Tally::default(),
        }
    }

    /// Says something of relays that were never registered.
    pub fn begin(&mut self) {
        for relay in PERMANENT..self.ledger.relays() {
            match self.rng.u32(..16) {
                0 => self.drain(relay),
                1 => self.ban(relay),
                _ => {}
            }
        }
    }

    /// Says something of one relay, or takes it back.
    pub fn turn(&mut self) {
        let relay = self.rng.u32(PERMANENT..self.ledger.relays());
        let word = self.words[relay as usize];
        match self.rng.u32(..16) {
            0 if !word.drains => self.drain(relay),
            1 if !word.bans => self.ban(relay),
            2..6 if word.drains => self.end_draining(relay),
            6..10 if word.bans => self.unban(relay),
            10..13 if word.drains || word.bans => self.lift(relay),
            _ => {}
        }
        self.look_at(relay);
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
        account.free.strike();
        match self.registry.set_draining(&relays::id(relay), true) {
            Ok(()) => account.draining.enter(self.ledger),
            Err(error) => self.fault(relay, format_args!("not drained: {error}")),
        }
        self.words[relay as usize].drains = true;
        self.tally.drainings += 1;
    }

    fn end_draining(&mut self, relay: u32) {
        self.account(relay).draining.strike();
        if let Err(error) = self.registry.set_draining(&relays::id(relay), false) {
            self.fault(relay, format_args!("drains on: {error}"));
        }
        self.words[relay as usize].drains = false;
        self.tally.drainings += 1;
        self.may_be_free(relay);
    }

    fn ban(&mut self, relay: u32) {
        let account = self.account(relay);
        account.free.strike();
        let banned = account.forget_failure(|| self.registry.ban(&relays::id(relay), BAN));
        match banned {
            Ok(()) => account.banned.enter(self.ledger),
            Err(error) => self.fault(relay, format_args!("not banned: {error}")),
        }
        self.words[relay as usize].bans = true;
        self.tally.bans += 1;
    }

    fn unban(&mut self, relay: u32) {
        let account = self.account(relay);
        account.banned.strike();
        if !account.forget_failure(|| self.registry.unban(&relays::id(relay))) {
            self.fault(relay, format_args!("its ban was lost"));
        }
        self.words[relay as usize].bans = false;
        self.tally.bans += 1;
        self.may_be_free(relay);
    }

    fn lift(&mut self, relay: u32) {
        let account = self.account(relay);
        account.draining.strike();
        account.banned.strike();
        if !account.forget_failure(|| self.registry.lift(&relays::id(relay))) {
            self.fault(relay, format_args!("nothing to lift"));
        }
        self.words[relay as usize] = Word::default();
        self.tally.lifted += 1;
        self.may_be_free(relay);
    }

    fn may_be_free(&self, relay: u32) {
        let word = self.words[relay as usize];
        if !word.drains && !word.bans {
            self.account(relay).free.enter(self.ledger);
        }
    }

    /// A relay that is there is as the operator last said.
    fn look_at(&mut self, relay: u32) {
        let Some(info) = self.registry.relay(&relays::id(relay)) else {
            return;
        };
        self.tally.checked += 1;
        let word = self.words[relay as usize];
        if (info.is_draining(), info.is_banned()) != (word.drains, word.bans) {
            let (is_draining, is_banned) = (info.is_draining(), info.is_banned());
            self.fault(
                relay,
                format_args!(
                    "draining {is_draining}, not {}; banned {is_banned}, not {}",
                    word.drains, word.bans
                ),
            );
        }
    }
}

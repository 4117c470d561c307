//! What happens to all relays at once: the clock jumps, relays fail together, and all leave while a thread
//! is held up, and come back.

use std::ops::RangeInclusive;
use std::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{Relaxed, SeqCst},
};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use relay_registry::{CircuitState, Failure, FindOptions, Registry};

use crate::client::Client;
use crate::clock::Time;
use crate::ledger::Ledger;
use crate::owner::TTL;
use crate::relays::{self, PERMANENT, SITES};
use crate::tally::Tally;

const QUIET: RangeInclusive<u64> = 20..=250;
const OUTAGE: RangeInclusive<u64> = 50..=300;
const MASS_DEPARTURE: RangeInclusive<u64> = 20..=150;
/// Hours that a machine is suspended for, and how often it is in one round: it is bounded
/// by what outlasts it, such as bans.
const SUSPENDED: RangeInclusive<u64> = 1..=8;
const SUSPENSIONS: u32 = 20;

const NO_SITE: u32 = u32::MAX;
const ALL_SITES: u32 = SITES;

/// What all owners heed.
pub struct Conditions {
    site_that_fails: AtomicU32,
    is_mass_departure: AtomicBool,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            site_that_fails: AtomicU32::new(NO_SITE),
            is_mass_departure: AtomicBool::new(false),
        }
    }
}

impl Conditions {
    /// Whether the relay fails whenever it is used.
    pub fn is_out(&self, relay: u32) -> bool {
        let site = self.site_that_fails.load(Relaxed);
        site == ALL_SITES || site == relay % SITES
    }

    /// Whether all relays leave, and none come.
    pub fn is_mass_departure(&self) -> bool {
        self.is_mass_departure.load(Relaxed)
    }
}

/// The thread that makes the events.
pub struct EventThread<'a> {
    pub conditions: &'a Conditions,
    pub ledger: &'a Ledger,
    pub time: &'a Time,
    pub registry: Registry,
    /// Is held up while all leave.
    pub witness: Client,
    /// How long, in ms.
    pub stalls: RangeInclusive<u64>,
    pub rng: Rng,
    pub suspensions: u32,
    pub tally: Tally,
}

impl EventThread<'_> {
    pub fn bring_events(mut self, is_over: impl Fn() -> bool) -> Tally {
        while !is_over() {
            self.rest(QUIET);
            match self.rng.u32(..10) {
                0..4 => self.jump(),
                4..7 => self.fail_together(),
                _ => self.leave_together(),
            }
            self.renew_permanent();
        }
        let mut tally = self.witness.finish();
        tally += self.tally;
        tally
    }

    fn rest(&mut self, millis: RangeInclusive<u64>) {
        thread::sleep(Duration::from_millis(self.rng.u64(millis)));
    }

    fn jump(&mut self) {
        let by = match self.rng.u32(..4) {
            0 => TTL.mul_f64(self.rng.f64()),
            1 | 2 => TTL.mul_f64(1.0 + 2.0 * self.rng.f64()),
            _ if self.suspensions < SUSPENSIONS => {
                self.suspensions += 1;
                Duration::from_secs(3600 * self.rng.u64(SUSPENDED))
            }
            _ => TTL,
        };
        self.tally.jumps += 1;
        self.time.jump(by);
    }

    /// All relays of a site fail, or all there are; and work again.
    fn fail_together(&mut self) {
        let spares_none = self.rng.u32(..3) == 0;
        let site = match spares_none {
            true => ALL_SITES,
            false => self.rng.u32(..SITES),
        };
        self.tally.outages += 1;
        self.conditions.site_that_fails.store(site, Relaxed);
        // Where any share may back off, nothing is handed out when all do.
        if spares_none && self.ledger.terms().max_ejected_share < 1.0 {
            for relay in 0..PERMANENT {
                self.ledger.account(relay).usable.strike();
                self.tally.failures += 1;
                self.registry
                    .report_failure(&relays::id(relay), Failure::Refused);
            }
        }
        self.rest(OUTAGE);
        self.conditions.site_that_fails.store(NO_SITE, Relaxed);
    }

    /// All leave while a thread is held up inside a call, and come back.
    fn leave_together(&mut self) {
        let (stall, exodus) = (
            self.rng.u64(self.stalls.clone()),
            self.rng.u64(MASS_DEPARTURE),
        );
        let Self {
            conditions,
            witness,
            ..
        } = self;
        thread::scope(|scope| {
            let held_up = scope.spawn(|| witness.explain_slowly(Duration::from_millis(stall)));
            conditions.is_mass_departure.store(true, SeqCst);
            thread::sleep(Duration::from_millis(exodus));
            conditions.is_mass_departure.store(false, SeqCst);
            // A handle that is dropped is freed behind a fence, which ThreadSanitizer does not see.
            held_up.join().expect("no panic");
        });
        self.tally.exoduses += 1;
    }

    /// Steadfast relays that failed succeed as often as it takes.
    fn renew_permanent(&mut self) {
        for relay in 0..PERMANENT {
            let account = self.ledger.account(relay);
            let id = relays::id(relay);
            if account.usable.stood_at(&self.ledger.mark()) {
                continue;
            }
            let others = (0..self.ledger.relays()).filter(|other| *other != relay);
            let only = FindOptions::new().exclude(others.map(relays::id));
            if self
                .registry
                .find_relay_with(&relays::non_relay(), &only)
                .is_ok()
            {
                self.tally.successes += 1;
                self.registry.report_success(&id);
            }
            let circuit = self.registry.relay(&id).map(|info| info.circuit());
            if circuit == Some(CircuitState::Closed) {
                account.usable.enter(self.ledger);
            }
        }
    }
}

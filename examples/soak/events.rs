//! Events that concern all relays: the clock jumps, relays fail together, and all relays leave while a
//! thread is stalled, and return.

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
/// For how many hours the machine is suspended, and how often in one round. Bans must outlast the sum.
const SUSPENDED: RangeInclusive<u64> = 1..=8;
const SUSPENSIONS: u32 = 20;

const NO_SITE: u32 = u32::MAX;
const ALL_SITES: u32 = SITES;

/// Conditions that all owners follow.
pub struct Conditions {
    site_that_fails: AtomicU32,
    are_all_to_leave: AtomicBool,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            site_that_fails: AtomicU32::new(NO_SITE),
            are_all_to_leave: AtomicBool::new(false),
        }
    }
}

impl Conditions {
    /// Whether uses of the relay fail.
    pub fn is_out(&self, relay: u32) -> bool {
        let site = self.site_that_fails.load(Relaxed);
        site == ALL_SITES || site == relay % SITES
    }

    /// Whether all relays leave, and none registers.
    pub fn are_all_to_leave(&self) -> bool {
        self.are_all_to_leave.load(Relaxed)
    }
}

/// The thread that causes the events.
pub struct EventThread<'a> {
    pub conditions: &'a Conditions,
    pub ledger: &'a Ledger,
    pub time: &'a Time,
    pub registry: Registry,
    /// The client that stalls while all relays leave.
    pub held_up_client: Client,
    /// How long it stalls, in ms.
    pub stalls: RangeInclusive<u64>,
    pub rng: Rng,
    pub suspensions: u32,
    pub tally: Tally,
}

impl EventThread<'_> {
    pub fn run(mut self, is_over: impl Fn() -> bool) -> Tally {
        while !is_over() {
            self.rest(QUIET);
            match self.rng.u32(..10) {
                0..4 => self.jump(),
                4..7 => self.fail_together(),
                _ => self.leave_together(),
            }
            self.restore_permanent();
        }
        let mut tally = self.held_up_client.finish();
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

    /// All relays of a site, or all relays, fail for some time.
    fn fail_together(&mut self) {
        let is_everywhere = self.rng.u32(..3) == 0;
        let site = match is_everywhere {
            true => ALL_SITES,
            false => self.rng.u32(..SITES),
        };
        self.tally.outages += 1;
        self.conditions.site_that_fails.store(site, Relaxed);
        // With a limit of 1.0 there is no last resort, so the permanent relays must not fail.
        if is_everywhere && self.ledger.settings().max_ejected_share < 1.0 {
            for relay in 0..PERMANENT {
                self.ledger.account(relay).usable.clear();
                self.tally.failures += 1;
                self.registry
                    .report_failure(&relays::id(relay), Failure::Refused);
            }
        }
        self.rest(OUTAGE);
        self.conditions.site_that_fails.store(NO_SITE, Relaxed);
    }

    /// All relays leave while a thread is stalled inside a call, and return.
    fn leave_together(&mut self) {
        let (stall, absence) = (
            self.rng.u64(self.stalls.clone()),
            self.rng.u64(MASS_DEPARTURE),
        );
        let Self {
            conditions,
            held_up_client,
            ..
        } = self;
        thread::scope(|scope| {
            let held_up =
                scope.spawn(|| held_up_client.explain_slowly(Duration::from_millis(stall)));
            conditions.are_all_to_leave.store(true, SeqCst);
            thread::sleep(Duration::from_millis(absence));
            conditions.are_all_to_leave.store(false, SeqCst);
            // A dropped join handle is freed behind a fence, which ThreadSanitizer does not see.
            held_up.join().expect("no panic");
        });
        self.tally.mass_departures += 1;
    }

    /// Reports successes of permanent relays that failed, until their circuits are closed.
    fn restore_permanent(&mut self) {
        for relay in 0..PERMANENT {
            let account = self.ledger.account(relay);
            let id = relays::id(relay);
            if account.usable.was_certain_at(&self.ledger.mark()) {
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

//! An owner: the only thread that registers, renews, restarts and unregisters its relays. So it knows
//! their state for certain.

mod checks;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use relay_registry::{CircuitState, Failure, RegisterError, Registration, Registry};

use crate::clock;
use crate::events::Conditions;
use crate::ledger::{Account, Ledger, micros};
use crate::relays::{self, Announced, CAPACITIES, LARGE};
use crate::tally::Tally;

pub const TICK: Duration = Duration::from_millis(5);
pub const TTL: Duration = Duration::from_millis(400);
/// The shortest back-off after a first failure of each kind, less jitter and a tick.
const BACK_OFFS: [(Failure, Duration); 2] = [
    (Failure::Refused, Duration::from_millis(740)),
    (Failure::TimedOut, Duration::from_millis(1_490)),
];
/// How long an owner without a registered relay waits for room.
const FULL_DELAY: Duration = Duration::from_millis(1);
/// How long a thread stalls, in ms. During a long stall, registrations are refused because no memory can
/// be reclaimed.
pub const SHORT_STALL: RangeInclusive<u64> = 5..=120;
pub const LONG_STALL: RangeInclusive<u64> = 600..=1_200;

pub struct Owner<'a> {
    ledger: &'a Ledger,
    conditions: &'a Conditions,
    registry: Registry,
    label: Arc<str>,
    owned: Vec<Owned>,
    rng: Rng,
    /// How long it sometimes stalls inside a call, in ms.
    stalls: Option<RangeInclusive<u64>>,
    /// Whether the last registration was refused because the registry was full.
    is_full: bool,
    tally: Tally,
}

struct Owned {
    relay: u32,
    presence: Presence,
    announced: Announced,
    /// While it is absent: when it may return, in us.
    returns_at: u64,
    /// When it left or expired, if that is certain.
    gone: Option<Gone>,
    /// Whether a restart was refused. The next registration then begins another incarnation, because it is
    /// not certain whether the leases of this one are void.
    is_in_doubt: bool,
    has_failed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Absent,
    Present,
    /// No longer renewed: until it has expired, or only until it is late.
    Lapsing {
        is_only_late: bool,
    },
}

/// The earliest and the latest time, in us, at which a relay left or expired.
#[derive(Clone, Copy)]
struct Gone {
    from: u64,
    by: u64,
    lapsed: bool,
}

impl<'a> Owner<'a> {
    pub fn new(
        ledger: &'a Ledger,
        conditions: &'a Conditions,
        registry: Registry,
        label: Arc<str>,
        relays: impl Iterator<Item = u32>,
        seed: u64,
    ) -> Self {
        let owned = |relay| Owned {
            relay,
            presence: Presence::Absent,
            announced: Announced {
                incarnation: 0,
                capacity_index: 0,
            },
            returns_at: 0,
            gone: None,
            is_in_doubt: false,
            has_failed: false,
        };
        Self {
            ledger,
            conditions,
            registry,
            label,
            owned: relays.map(owned).collect(),
            rng: Rng::with_seed(seed),
            stalls: None,
            is_full: false,
            tally: Tally::default(),
        }
    }

    /// Makes the owner stall now and then while a call reads the clock.
    pub fn stalling(mut self, millis: RangeInclusive<u64>) -> Self {
        self.stalls = Some(millis);
        self
    }

    pub fn tally(self) -> Tally {
        self.tally
    }

    /// Acts on one relay.
    pub fn step(&mut self) {
        if self.owned.is_empty() {
            return;
        }
        let index = self.pick();
        if let Some(millis) = self.stalls.clone().filter(|_| self.rng.u32(..64) == 0) {
            clock::stall_next_reading(Duration::from_millis(self.rng.u64(millis)));
            self.tally.stalls += 1;
        }
        let are_all_to_leave = self.conditions.are_all_to_leave();
        match self.owned[index].presence {
            Presence::Absent if are_all_to_leave => thread::yield_now(),
            Presence::Absent => self.arrive(index),
            Presence::Lapsing { is_only_late: true } => self.be_late(index),
            Presence::Lapsing {
                is_only_late: false,
            } => self.await_expiry(index),
            Presence::Present if are_all_to_leave => self.leave(index),
            Presence::Present => self.act(index),
        }
    }

    /// Picks any relay; while the registry is full, mostly one that is registered.
    fn pick(&mut self) -> usize {
        let any = self.rng.usize(..self.owned.len());
        let is_exception = self.rng.u32(..32) == 0;
        if !self.is_full || is_exception {
            return any;
        }
        let around = (any..self.owned.len()).chain(0..any);
        let mut present = around.filter(|&n| self.owned[n].presence == Presence::Present);
        present.next().unwrap_or_else(|| {
            thread::sleep(FULL_DELAY);
            any
        })
    }

    fn act(&mut self, index: usize) {
        let relay = self.owned[index].relay;
        let id = relays::id(relay);
        if self.conditions.is_out(relay) && self.rng.bool() {
            return self.fail(index);
        }
        match self.rng.u32(..100) {
            0..28 => self.renew(index),
            28..36 => self.renew_by_id(index),
            36..40 => self.restart(index),
            40..53 => self.leave(index),
            53..57 => self.lapse(index),
            57..70 if !relays::is_plain(relay) => self.report_load(index),
            57..82 => {
                self.tally.measurements += 1;
                self.registry
                    .record_rtt(&id, relays::rtt(relay, &mut self.rng));
            }
            82..85 => self.fail(index),
            85..93 => {
                self.tally.successes += 1;
                self.account(index)
                    .forget_failure(|| self.registry.report_success(&id));
            }
            _ => self.register_invalid(index),
        }
    }

    /// Reports the total load, or the load of others.
    fn report_load(&mut self, index: usize) {
        let id = relays::id(self.owned[index].relay);
        let load = self.rng.u32(..12);
        self.tally.reports += 1;
        match self.rng.bool() {
            true => self.registry.report_load(&id, load),
            false => self.registry.report_load_of_others(&id, load),
        };
    }

    /// The relay stops renewing, or its next renewal is late.
    fn lapse(&mut self, index: usize) {
        let is_only_late = self.rng.u32(..3) == 0;
        self.owned[index].presence = Presence::Lapsing { is_only_late };
        self.tally.lapsed += 1;
    }

    fn account(&self, index: usize) -> &'a Account {
        self.ledger.account(self.owned[index].relay)
    }

    fn fault(&self, index: usize, what: std::fmt::Arguments<'_>) {
        let relay = relays::name(self.owned[index].relay);
        self.ledger.fault(format!("{relay}: {what}"));
    }

    /// Registers a relay that is certainly not held, once it may return.
    fn arrive(&mut self, index: usize) {
        if self.ledger.now() < self.owned[index].returns_at {
            return thread::yield_now();
        }
        let restarted = self.rng.u32(..8) == 0;
        let Some(announced) = self.next_announced(index, restarted) else {
            return;
        };
        let account = self.account(index);
        account.left.clear();
        let mark = self.ledger.mark();
        self.ledger.may_arrive();
        let outcome = self.announce(index, announced, restarted);
        self.is_full = matches!(outcome, Err(RegisterError::Full { .. }));
        match outcome {
            Ok(Registration::Renewed) => self.fault(index, format_args!("renewed while absent")),
            Ok(registration) => {
                self.check_return(index, registration, &mark);
                self.become_present(index);
            }
            Err(error) => {
                if self.is_full && !self.ledger.may_have_been_full(&mark) {
                    self.fault(index, format_args!("refused below the bound: {error}"));
                }
                self.ledger.is_gone();
                account.left.enter(self.ledger);
            }
        }
    }

    /// The relay was just registered: each call that starts from now on sees it.
    fn become_present(&mut self, index: usize) {
        self.owned[index].presence = Presence::Present;
        self.account(index).held.enter(self.ledger);
        if self.owned[index].announced.capacity_index == LARGE {
            self.expect_to_find(index);
        }
        if self.rng.u32(..3) == 0 {
            let relay = self.owned[index].relay;
            let rtt = relays::rtt(relay, &mut self.rng);
            self.registry.record_rtt(&relays::id(relay), rtt);
        }
    }

    fn renew(&mut self, index: usize) {
        self.register_again(index, false);
    }

    /// Registers as restarted.
    fn restart(&mut self, index: usize) {
        self.register_again(index, true);
    }

    fn register_again(&mut self, index: usize, restarted: bool) {
        let Some(announced) = self.next_announced(index, restarted) else {
            return;
        };
        let account = self.account(index);
        if restarted {
            // During a restart it may not be found.
            account.held.clear();
        }
        let (expires_from, expired_by) = (account.expires_from(), account.expired_by());
        let mark = self.ledger.mark();
        let outcome = self.announce(index, announced, restarted);
        let was_held = self.ledger.now() < expires_from;
        match outcome {
            Ok(Registration::Renewed) if restarted => account.held.enter(self.ledger),
            // No second record was free, so it left first.
            Ok(Registration::Returned) if restarted && was_held => {
                self.tally.displaced += 1;
                self.become_present(index);
            }
            Ok(Registration::Renewed) => {}
            Ok(registration) if was_held => {
                self.fault(index, format_args!("{registration:?} while held"));
                self.become_present(index);
            }
            Ok(registration) => {
                // The renewal was late.
                self.owned[index].gone = Some(Gone {
                    from: expires_from,
                    by: expired_by,
                    lapsed: true,
                });
                self.check_return(index, registration, &mark);
                self.become_present(index);
            }
            Err(error) if was_held => self.check_refusal(index, restarted, &error),
            Err(error) => {
                self.tally.displaced += u64::from(restarted);
                if !matches!(error, RegisterError::Backlogged { .. }) {
                    self.owned[index].presence = Presence::Lapsing {
                        is_only_late: false,
                    };
                }
            }
        }
    }

    /// Moves the deadline, and changes nothing else.
    fn renew_by_id(&mut self, index: usize) {
        let account = self.account(index);
        let (expires_from, expired_by) = (account.expires_from(), account.expired_by());
        account.clear_expiry();
        let began = self.ledger.now();
        let outcome = self.registry.renew(&relays::id(self.owned[index].relay));
        let ended = self.ledger.now();
        match outcome {
            Ok(()) => {
                self.enter_deadline(index, began, ended);
                self.tally.renewed += 1;
            }
            Err(error) => {
                if ended < expires_from {
                    self.fault(index, format_args!("not renewed by id: {error}"));
                }
                account.set_expiry(expires_from, expired_by);
            }
        }
    }

    fn enter_deadline(&self, index: usize, began: u64, ended: u64) {
        let latest = ended + micros(TTL + 2 * TICK);
        self.account(index).set_expiry(began + micros(TTL), latest);
        // A thread that stalls has an old reading.
        if self.stalls.is_none() {
            self.ledger.note_seen(began);
        }
    }

    /// Registers a relay, and enters its deadline.
    fn announce(
        &mut self,
        index: usize,
        announced: Announced,
        restarted: bool,
    ) -> Result<Registration, RegisterError> {
        let account = self.account(index);
        let (before_from, before_by) = (account.expires_from(), account.expired_by());
        account.clear_expiry();
        // The record may be new, without these failures.
        account.clear_failure();
        let began = self.ledger.now();
        let outcome = self.announce_as(index, announced, restarted);
        let ended = self.ledger.now();
        match &outcome {
            Ok(registration) => {
                if *registration != Registration::Renewed {
                    account.held.clear();
                }
                if *registration == Registration::New {
                    account.forget_failure(|| ());
                }
                self.owned[index].announced = announced;
                self.owned[index].is_in_doubt = false;
                self.enter_deadline(index, began, ended);
            }
            Err(_) => {
                self.owned[index].is_in_doubt |= restarted;
                account.set_expiry(before_from, before_by);
            }
        }
        account.enter_failure_again(self.ledger);
        outcome
    }

    /// What the relay announces next; `None` if all its incarnations have leases.
    fn next_announced(&mut self, index: usize, restarted: bool) -> Option<Announced> {
        let account = self.account(index);
        let owned = &self.owned[index];
        let mut announced = owned.announced;
        if restarted || owned.is_in_doubt {
            announced.incarnation = account.next_incarnation(announced.incarnation)?;
        }
        if !relays::is_plain(owned.relay) && self.rng.bool() {
            // The large capacity is rare, so that relays become full.
            announced.capacity_index = match self.rng.u32(..32) {
                0 => LARGE,
                _ => self.rng.u16(..LARGE),
            };
        }
        Some(announced)
    }

    fn announce_as(
        &mut self,
        index: usize,
        announced: Announced,
        restarted: bool,
    ) -> Result<Registration, RegisterError> {
        let relay = self.owned[index].relay;
        let options = relays::options(relay, announced)
            .capacity(CAPACITIES[usize::from(announced.capacity_index)])
            .tier(self.tier_of(relay))
            .cost(self.rng.f64() + 0.5)
            .ttl(TTL)
            .restarted(restarted)
            .failure_domain(Arc::clone(&self.label));
        let endpoint = relays::endpoint(relay, announced);
        let outcome = self
            .registry
            .register_with(relays::id(relay), endpoint, &options);
        self.tally.registered(&outcome);
        self.tally.restarted += u64::from(restarted && outcome.is_ok());
        outcome
    }

    fn tier_of(&mut self, relay: u32) -> u8 {
        match self.rng.u32(..8) {
            _ if relays::is_in_reserve(relay) => self.rng.u8(1..4),
            0 => self.rng.u8(..3),
            _ => 0,
        }
    }

    fn leave(&mut self, index: usize) {
        let account = self.account(index);
        account.held.clear();
        let from = self.ledger.seen();
        let was_there = self
            .registry
            .unregister(&relays::id(self.owned[index].relay));
        let by = self.ledger.now();
        if !was_there && by < account.expires_from() {
            self.fault(index, format_args!("not there to unregister"));
        }
        self.tally.unregistered += u64::from(was_there);
        let lapsed = false;
        self.owned[index].gone = was_there.then_some(Gone { from, by, lapsed });
        self.owned[index].returns_at = match self.rng.u32(..4) {
            0 | 1 => by,
            2 => by + self.rng.u64(..micros(TTL)),
            _ => by + micros(2 * TTL),
        };
        self.become_absent(index);
        self.is_full = false;
        if self.rng.u32(..16) == 0 {
            self.expect_not_to_find(index);
        }
    }

    /// Renews at the deadline: just in time, or a tick late.
    fn be_late(&mut self, index: usize) {
        if self.ledger.now() < self.account(index).expires_from() {
            return thread::yield_now();
        }
        self.owned[index].presence = Presence::Present;
        self.renew(index);
    }

    fn await_expiry(&mut self, index: usize) {
        let account = self.account(index);
        let mark = self.ledger.mark();
        if !self.ledger.is_absent(self.owned[index].relay, &mark) {
            thread::yield_now();
            return;
        }
        account.held.clear();
        let id = relays::id(self.owned[index].relay);
        if self.registry.is_relay(&id) {
            self.fault(index, format_args!("there after its deadline"));
        }
        let (from, by) = (account.expires_from(), account.expired_by());
        let lapsed = true;
        self.owned[index].gone = Some(Gone { from, by, lapsed });
        self.owned[index].returns_at = match self.rng.u32(..3) {
            0 => by,
            1 => by + self.rng.u64(..micros(TTL)),
            _ => by + micros(2 * TTL),
        };
        self.become_absent(index);
    }

    fn become_absent(&mut self, index: usize) {
        let account = self.account(index);
        account.left.enter(self.ledger);
        account.clear_expiry();
        self.ledger.is_gone();
        self.owned[index].presence = Presence::Absent;
    }

    fn fail(&mut self, index: usize) {
        let account = self.account(index);
        let (failure, back_off) = BACK_OFFS[self.rng.usize(..BACK_OFFS.len())];
        let id = relays::id(self.owned[index].relay);
        self.tally.failures += 1;
        self.owned[index].has_failed = true;
        account.fail(self.ledger, || {
            let began = self.ledger.now();
            // A failure during a back-off does not count, and the back-off ends earlier than one from now.
            let is_closed = self.circuit(index) == Some(CircuitState::Closed);
            let is_known = self.registry.report_failure(&id, failure);
            (is_known && is_closed).then_some(began + micros(back_off))
        });
    }

    fn circuit(&self, index: usize) -> Option<CircuitState> {
        let info = self.registry.relay(&relays::id(self.owned[index].relay))?;
        Some(info.circuit())
    }
}

//! A thread that owns some of the relays: it alone makes them come, renew, restart, lapse,
//! leave and come back, and knows for certain what became of that.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use relay_registry::{
    CircuitState, Endpoint, Failure, FindError, FindOptions, NatType, RegisterError,
    RegisterOptions, Registration, Registry, RelayInfo,
};

use crate::clock;
use crate::events::Conditions;
use crate::ledger::{Account, Ledger, Mark, micros};
use crate::relays::{self, Announced, CAPACITIES, ROOMY};
use crate::tally::Tally;

pub const TICK: Duration = Duration::from_millis(5);
pub const TTL: Duration = Duration::from_millis(400);
/// The shortest back-off after a relay refused or timed out, jitter and a tick off.
const BACK_OFFS: [(Failure, Duration); 2] = [
    (Failure::Refused, Duration::from_millis(740)),
    (Failure::TimedOut, Duration::from_millis(1_490)),
];
/// How long who has no relay in the registry waits for room.
const NO_PLACE: Duration = Duration::from_millis(1);
/// How much less than its grace a relay is certain to have that expired, of a long one:
/// until it is swept, each call that reads it moves its deadline back by a tick.
const GRACE_SLACK: Duration = Duration::from_secs(60);
/// How long a thread is held up, in ms: briefly, or until newcomers are refused for
/// want of memory that could be used again.
pub const BRIEFLY: RangeInclusive<u64> = 5..=120;
pub const FOR_LONG: RangeInclusive<u64> = 600..=1_200;

pub struct Owner<'a> {
    ledger: &'a Ledger,
    conditions: &'a Conditions,
    registry: Registry,
    label: Arc<str>,
    owned: Vec<Owned>,
    rng: Rng,
    /// How long it is held up inside a call now and then, in ms.
    stalls: Option<RangeInclusive<u64>>,
    /// Whether the last newcomer found the registry full.
    is_full: bool,
    tally: Tally,
}

struct Owned {
    relay: u32,
    standing: Standing,
    announced: Announced,
    /// While it is away: when it may come back, in us.
    returns_at: u64,
    /// When it left or expired, if that is certain.
    gone: Option<Gone>,
    /// Whether a restart was refused, so that the next registration begins another life,
    /// of which nothing is certain that was of the last one.
    is_in_doubt: bool,
    has_failed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Absent,
    Present,
    /// Not renewed any more, for good or until it is late.
    Lapsing {
        hurries: bool,
    },
}

/// When a relay went, in us: not before, and by then.
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
            standing: Standing::Absent,
            announced: Announced { life: 0, terms: 0 },
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

    /// One that is held up while it reads the clock, in the middle of a call.
    pub fn stalling(mut self, millis: RangeInclusive<u64>) -> Self {
        self.stalls = Some(millis);
        self
    }

    pub fn tally(self) -> Tally {
        self.tally
    }

    /// Sees to one relay.
    pub fn turn(&mut self) {
        if self.owned.is_empty() {
            return;
        }
        let index = self.pick();
        if let Some(millis) = self.stalls.clone().filter(|_| self.rng.u32(..64) == 0) {
            clock::stall_next_reading(Duration::from_millis(self.rng.u64(millis)));
            self.tally.stalls += 1;
        }
        let is_mass_departure = self.conditions.is_mass_departure();
        match self.owned[index].standing {
            Standing::Absent if is_mass_departure => thread::yield_now(),
            Standing::Absent => self.arrive(index),
            Standing::Lapsing { hurries: true } => self.be_late(index),
            Standing::Lapsing { hurries: false } => self.await_expiry(index),
            Standing::Present if is_mass_departure => self.leave(index),
            Standing::Present => self.rule(index),
        }
    }

    /// Any relay; while there is no room, mostly one that is there.
    fn pick(&mut self) -> usize {
        let any = self.rng.usize(..self.owned.len());
        let insists = self.rng.u32(..32) == 0;
        if !self.is_full || insists {
            return any;
        }
        let around = (any..self.owned.len()).chain(0..any);
        let mut present = around.filter(|&n| self.owned[n].standing == Standing::Present);
        present.next().unwrap_or_else(|| {
            thread::sleep(NO_PLACE);
            any
        })
    }

    fn rule(&mut self, index: usize) {
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
            _ => self.ask_the_impossible(index),
        }
    }

    /// Of now, or of what others had put there at some earlier time.
    fn report_load(&mut self, index: usize) {
        let id = relays::id(self.owned[index].relay);
        let load = self.rng.u32(..12);
        self.tally.reports += 1;
        match self.rng.bool() {
            true => self.registry.report_load(&id, load),
            false => self.registry.report_load_of_others(&id, load),
        };
    }

    /// No heartbeat comes any more, or the next is late.
    fn lapse(&mut self, index: usize) {
        let hurries = self.rng.u32(..3) == 0;
        self.owned[index].standing = Standing::Lapsing { hurries };
        self.tally.lapsed += 1;
    }

    fn account(&self, index: usize) -> &'a Account {
        self.ledger.account(self.owned[index].relay)
    }

    fn fault(&self, index: usize, what: std::fmt::Arguments<'_>) {
        let relay = relays::name(self.owned[index].relay);
        self.ledger.fault(format!("{relay}: {what}"));
    }

    /// Registers a relay that is certainly not held, when its time has come.
    fn arrive(&mut self, index: usize) {
        if self.ledger.now() < self.owned[index].returns_at {
            return thread::yield_now();
        }
        let restarted = self.rng.u32(..8) == 0;
        let Some(announced) = self.next_announced(index, restarted) else {
            return;
        };
        let account = self.account(index);
        account.left.strike();
        let mark = self.ledger.mark();
        self.ledger.may_arrive();
        let outcome = self.announce(index, announced, restarted);
        self.is_full = matches!(outcome, Err(RegisterError::Full { .. }));
        match outcome {
            Ok(Registration::Renewed) => self.fault(index, format_args!("renewed while absent")),
            Ok(registration) => {
                self.judge_return(index, registration, &mark);
                self.settle(index);
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

    /// Late is not gone: within its grace, and not beyond it, a relay is what it was.
    fn judge_return(&self, index: usize, registration: Registration, mark: &Mark) {
        let Some(gone) = self.owned[index].gone else {
            return;
        };
        let grace = micros(self.ledger.terms().grace.unwrap_or(TTL));
        let slack = match gone.lapsed {
            true => micros(GRACE_SLACK),
            false => micros(2 * TICK),
        };
        let is_certain = self.ledger.now().saturating_add(slack) < gone.from.saturating_add(grace);
        if registration == Registration::New && is_certain && self.ledger.remembers_all() {
            self.fault(index, format_args!("forgotten within its grace"));
        }
        let over = gone.by.saturating_add(grace);
        if registration == Registration::Returned
            && mark.seen() >= over.saturating_add(micros(2 * TICK))
        {
            self.fault(index, format_args!("remembered beyond its grace"));
        }
    }

    /// It was just registered: each call that starts from now on sees it.
    fn settle(&mut self, index: usize) {
        self.owned[index].standing = Standing::Present;
        self.account(index).held.enter(self.ledger);
        if self.owned[index].announced.terms == ROOMY {
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

    /// It lost its sessions, and says so.
    fn restart(&mut self, index: usize) {
        self.register_again(index, true);
    }

    fn register_again(&mut self, index: usize, restarted: bool) {
        let Some(announced) = self.next_announced(index, restarted) else {
            return;
        };
        let account = self.account(index);
        if restarted {
            // For a moment it may not be found.
            account.held.strike();
        }
        let (expires_from, expired_by) = (account.expires_from(), account.expired_by());
        let mark = self.ledger.mark();
        let outcome = self.announce(index, announced, restarted);
        let was_held = self.ledger.now() < expires_from;
        match outcome {
            Ok(Registration::Renewed) if restarted => account.held.enter(self.ledger),
            // For want of a record it left at first.
            Ok(Registration::Returned) if restarted && was_held => {
                self.tally.displaced += 1;
                self.settle(index);
            }
            Ok(Registration::Renewed) => {}
            Ok(registration) if was_held => {
                self.fault(index, format_args!("{registration:?} while held"));
                self.settle(index);
            }
            Ok(registration) => {
                // It was late.
                self.owned[index].gone = Some(Gone {
                    from: expires_from,
                    by: expired_by,
                    lapsed: true,
                });
                self.judge_return(index, registration, &mark);
                self.settle(index);
            }
            Err(error) if was_held => self.stay_as_it_was(index, restarted, &error),
            Err(error) => {
                self.tally.displaced += u64::from(restarted);
                if !matches!(error, RegisterError::Backlogged { .. }) {
                    self.owned[index].standing = Standing::Lapsing { hurries: false };
                }
            }
        }
    }

    /// A refusal changes nothing; but for a relay that restarts while it is held, which then
    /// has left.
    fn stay_as_it_was(&mut self, index: usize, restarted: bool, error: &RegisterError) {
        let account = self.account(index);
        let is_there = self.registry.is_relay(&relays::id(self.owned[index].relay));
        if !is_there && self.ledger.now() < account.expires_from() {
            if !restarted {
                self.fault(index, format_args!("taken away by a refusal: {error}"));
            }
            self.tally.displaced += 1;
            self.owned[index].gone = None;
            self.become_absent(index);
        } else if matches!(error, RegisterError::Backlogged { .. }) {
            if restarted {
                account.held.enter(self.ledger);
            }
        } else {
            self.fault(index, format_args!("not renewed: {error}"));
        }
    }

    /// The deadline moves, nothing else.
    fn renew_by_id(&mut self, index: usize) {
        let account = self.account(index);
        let (expires_from, expired_by) = (account.expires_from(), account.expired_by());
        account.strike_expiry();
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
        // A thread that stalls comes back with an old reading.
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
        account.strike_expiry();
        // It may turn out to be a new record, of which nothing of this is true.
        account.strike_failure();
        let began = self.ledger.now();
        let outcome = self.announce_as(index, announced, restarted);
        let ended = self.ledger.now();
        match &outcome {
            Ok(registration) => {
                if *registration != Registration::Renewed {
                    account.held.strike();
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

    /// What the relay announces next, under any of the terms; `None` if leases of all its
    /// lives are out.
    fn next_announced(&mut self, index: usize, restarted: bool) -> Option<Announced> {
        let account = self.account(index);
        let owned = &self.owned[index];
        let mut announced = owned.announced;
        if restarted || owned.is_in_doubt {
            announced.life = account.next_life(announced.life)?;
        }
        if !relays::is_plain(owned.relay) && self.rng.bool() {
            // Room for all is rare, or nothing would ever be full.
            announced.terms = match self.rng.u32(..32) {
                0 => ROOMY,
                _ => self.rng.u16(..ROOMY),
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
        let options = RegisterOptions::new()
            .capacity(CAPACITIES[usize::from(announced.terms)])
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

    fn leave(&mut self, index: usize) {
        let account = self.account(index);
        account.held.strike();
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

    /// The heartbeat comes, a tick late or just in time.
    fn be_late(&mut self, index: usize) {
        if self.ledger.now() < self.account(index).expires_from() {
            return thread::yield_now();
        }
        self.owned[index].standing = Standing::Present;
        self.renew(index);
    }

    fn await_expiry(&mut self, index: usize) {
        let account = self.account(index);
        let mark = self.ledger.mark();
        if !self.ledger.is_absent(self.owned[index].relay, &mark) {
            thread::yield_now();
            return;
        }
        account.held.strike();
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
        account.strike_expiry();
        self.ledger.is_gone();
        self.owned[index].standing = Standing::Absent;
    }

    fn fail(&mut self, index: usize) {
        let account = self.account(index);
        let (failure, back_off) = BACK_OFFS[self.rng.usize(..BACK_OFFS.len())];
        let id = relays::id(self.owned[index].relay);
        self.tally.failures += 1;
        self.owned[index].has_failed = true;
        account.fail(self.ledger, || {
            let began = self.ledger.now();
            // A failure that is reported while it backs off counts no more, but then
            // it may come back sooner than from now.
            let is_closed = self.circuit(index) == Some(CircuitState::Closed);
            let is_known = self.registry.report_failure(&id, failure);
            (is_known && is_closed).then_some(began + micros(back_off))
        });
    }

    fn circuit(&self, index: usize) -> Option<CircuitState> {
        let info = self.registry.relay(&relays::id(self.owned[index].relay))?;
        Some(info.circuit())
    }

    /// What must be refused, and change nothing.
    fn ask_the_impossible(&mut self, index: usize) {
        let id = relays::id(self.owned[index].relay);
        let endpoint = relays::endpoint(self.owned[index].relay, self.owned[index].announced);
        let options = RegisterOptions::new();
        let multicast = Endpoint::from(std::net::SocketAddr::from(([224, 0, 0, 1], 9)));
        let (endpoint, options) = match self.rng.u32(..5) {
            0 => (endpoint, options.capacity(0)),
            1 => (endpoint, options.ttl(TICK / 2)),
            2 => (endpoint, options.nat(NatType::Symmetric)),
            3 => (endpoint, options.latency(2 * relay_registry::MAX_RTT)),
            _ => (multicast, options),
        };
        let outcome = self.registry.register_with(id, endpoint, &options);
        self.tally.registered(&outcome);
        self.tally.impossible += 1;
        if let Ok(registration) = outcome {
            self.fault(index, format_args!("{registration:?} where none can be"));
        }
    }

    /// All relays but this one.
    fn only(&self, index: usize) -> FindOptions {
        let only = self.owned[index].relay;
        let others = (0..self.ledger.relays()).filter(|relay| *relay != only);
        FindOptions::new().exclude(others.map(relays::id))
    }

    fn expect_to_find(&mut self, index: usize) {
        let mark = self.ledger.mark();
        let relay = self.owned[index].relay;
        let is_local = relay == relays::local(self.ledger);
        // Its failures outlived its absence; it has one owner, and only that reports any.
        let circuit = self.circuit(index);
        let is_closed = circuit.is_none_or(|circuit| circuit == CircuitState::Closed);
        if !is_closed && !self.owned[index].has_failed {
            self.fault(index, format_args!("{circuit:?} though it never failed"));
        }
        let found = self
            .registry
            .find_relay_with(&relays::non_relay(), &self.only(index));
        self.tally.visibility += 1;
        let objection = self.ledger.objection(relay, &mark);
        if let Err(FindError::NoRelaysAvailable { rejections, .. }) = &found {
            let is_free = !is_local && self.account(index).free.stood_at(&mark);
            if is_free && is_closed && self.ledger.is_held(relay, &mark) {
                self.fault(
                    index,
                    format_args!("not found once it had come: {rejections:?}"),
                );
            }
        } else if is_it(relay, &found) && (is_local || objection.is_some()) {
            self.fault(
                index,
                format_args!("found though this node, or {objection:?}"),
            );
        }
    }

    fn expect_not_to_find(&mut self, index: usize) {
        let found = self
            .registry
            .find_relay_with(&relays::non_relay(), &self.only(index));
        self.tally.visibility += 1;
        if is_it(self.owned[index].relay, &found) {
            self.fault(index, format_args!("found once it had left"));
        }
    }
}

/// Whether it was found, and no passer-by.
fn is_it(relay: u32, found: &Result<RelayInfo, FindError>) -> bool {
    let found = found.as_ref().map(RelayInfo::node_id);
    found.is_ok_and(|id| id == relays::id(relay))
}

//! A thread that owns some of the relays: it alone makes them come, renew, lapse
//! and leave, drains and bans them, and knows for certain what became of that.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use relay_registry::{
    CircuitState, Endpoint, Failure, FindError, FindOptions, NatType, RegisterError,
    RegisterOptions, Registration, Registry,
};

use crate::book::{BLURRED, Book, Page, micros};
use crate::clock;
use crate::relays::{self, CAPACITIES, Face, ROOMY};
use crate::tally::Tally;

pub const TICK: Duration = Duration::from_millis(5);
const TTL: Duration = Duration::from_millis(400);
const BAN: Duration = Duration::from_secs(3600);
/// The shortest back-off after a relay refused or timed out, jitter and a tick off.
const BACK_OFFS: [(Failure, Duration); 2] = [
    (Failure::Refused, Duration::from_millis(740)),
    (Failure::TimedOut, Duration::from_millis(1_490)),
];
/// How long who has no relay in the registry waits for room.
const NO_PLACE: Duration = Duration::from_millis(1);
/// How long a thread is held up, in ms: briefly, or until newcomers are refused for
/// want of memory that could be used again.
pub const BRIEFLY: RangeInclusive<u64> = 5..=120;
pub const FOR_LONG: RangeInclusive<u64> = 600..=1_200;

pub struct Owner<'a> {
    book: &'a Book,
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
    face: Face,
    is_draining: bool,
    is_banned: bool,
    is_failing: bool,
    has_failed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Absent,
    Present,
    /// Not renewed any more.
    Lapsing,
}

impl<'a> Owner<'a> {
    pub fn new(
        book: &'a Book,
        registry: Registry,
        label: Arc<str>,
        relays: impl Iterator<Item = u32>,
        seed: u64,
    ) -> Self {
        let owned = |relay| Owned {
            relay,
            standing: Standing::Absent,
            face: Face { life: 0, terms: 0 },
            is_draining: false,
            is_banned: false,
            is_failing: false,
            has_failed: false,
        };
        Self {
            book,
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
        match self.owned[index].standing {
            Standing::Absent => self.arrive(index),
            Standing::Lapsing => self.await_expiry(index),
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
        match self.rng.u32(..100) {
            0..40 => self.renew(index),
            40..53 => self.leave(index),
            53..56 => {
                self.owned[index].standing = Standing::Lapsing;
                self.tally.lapsed += 1;
            }
            56..66 if !relays::is_plain(relay) => {
                let load = self.rng.u32(..12);
                self.tally.reports += 1;
                self.registry.report_load(&id, load);
            }
            56..78 => {
                self.tally.measurements += 1;
                self.registry
                    .record_rtt(&id, relays::rtt(relay, &mut self.rng));
            }
            78..83 => self.drain_or_not(index),
            83..87 => self.ban_or_not(index),
            87..91 => self.fail(index),
            91..95 => {
                self.forget_failure(index);
                self.tally.successes += 1;
                self.registry.report_success(&id);
            }
            _ => self.ask_the_impossible(index),
        }
    }

    fn page(&self, index: usize) -> &'a Page {
        self.book.page(self.owned[index].relay)
    }

    fn fault(&self, index: usize, what: std::fmt::Arguments<'_>) {
        let relay = relays::name(self.owned[index].relay);
        self.book.fault(format!("{relay}: {what}"));
    }

    /// Registers a relay that is certainly not held.
    fn arrive(&mut self, index: usize) {
        let page = self.page(index);
        let Some(life) = page.next_life(self.owned[index].face.life) else {
            return;
        };
        self.book.judge_life(self.owned[index].relay, life);
        page.begin_life(life);
        self.owned[index].face.life = life;
        page.left.strike();
        let mark = self.book.mark();
        self.book.may_arrive();
        let outcome = self.announce(index);
        self.is_full = matches!(outcome, Err(RegisterError::Full { .. }));
        match outcome {
            Ok(Registration::New) => self.settle(index),
            Ok(Registration::Renewed) => self.fault(index, format_args!("renewed while absent")),
            Err(error) => {
                if self.is_full && !self.book.may_have_been_full(&mark) {
                    self.fault(index, format_args!("refused below the bound: {error}"));
                }
                self.book.is_gone();
                page.left.enter(self.book);
            }
        }
    }

    /// It has just come: whoever looks from now on sees it.
    fn settle(&mut self, index: usize) {
        self.owned[index].standing = Standing::Present;
        self.owned[index].is_draining = false;
        self.owned[index].is_failing = false;
        self.page(index).held.enter(self.book);
        if self.owned[index].face.terms == ROOMY {
            self.expect_to_find(index);
        }
        if self.rng.u32(..3) == 0 {
            let relay = self.owned[index].relay;
            let rtt = relays::rtt(relay, &mut self.rng);
            self.registry.record_rtt(&relays::id(relay), rtt);
        }
    }

    fn renew(&mut self, index: usize) {
        let page = self.page(index);
        let expires_from = page.expires_from();
        let outcome = self.announce(index);
        let was_held = self.book.now() < expires_from;
        match outcome {
            Ok(Registration::Renewed) => self.enter_again(index),
            Ok(Registration::New) if was_held => {
                self.fault(index, format_args!("new while held"));
            }
            Ok(Registration::New) => {
                // It was late. Two records share this life: no bound is certain.
                page.held.strike();
                page.raise_ceiling(self.owned[index].face.life, BLURRED);
                self.settle(index);
            }
            Err(RegisterError::Backlogged { .. }) => {}
            Err(error) if was_held => self.fault(index, format_args!("not renewed: {error}")),
            Err(_) => self.owned[index].standing = Standing::Lapsing,
        }
    }

    /// A renewal changed nothing of what was ruled.
    fn enter_again(&self, index: usize) {
        let page = self.page(index);
        if self.owned[index].is_draining {
            page.draining.enter(self.book);
        }
        if self.owned[index].is_failing {
            page.failing.enter(self.book);
        }
    }

    /// Registers a relay under any of the terms, and enters its deadline.
    fn announce(&mut self, index: usize) -> Result<Registration, RegisterError> {
        let page = self.page(index);
        let owned = &mut self.owned[index];
        if !relays::is_plain(owned.relay) && self.rng.bool() {
            // Room for all is rare, or nothing would ever be full.
            owned.face.terms = match self.rng.u32(..32) {
                0 => ROOMY,
                _ => self.rng.u16(..ROOMY),
            };
        }
        let capacity = CAPACITIES[usize::from(owned.face.terms)];
        page.raise_ceiling(owned.face.life, capacity);
        let options = RegisterOptions::new()
            .capacity(capacity)
            .ttl(TTL)
            .failure_domain(Arc::clone(&self.label));
        let endpoint = relays::endpoint(owned.relay, owned.face);
        let (before_from, before_by) = (page.expires_from(), page.expired_by());
        page.strike_expiry();
        // It may turn out to be a new record, of which nothing of this is true.
        page.draining.strike();
        page.failing.strike();
        let began = self.book.now();
        let outcome = self
            .registry
            .register_with(relays::id(owned.relay), endpoint, &options);
        let ended = self.book.now();
        match &outcome {
            Ok(registration) => {
                if *registration == Registration::New {
                    page.held.strike();
                }
                let latest = ended + micros(TTL + 2 * TICK);
                page.set_expiry(began + micros(TTL), latest);
            }
            Err(_) => page.set_expiry(before_from, before_by),
        }
        self.tally.registered(&outcome);
        // Who stalls comes back with an old reading.
        if self.stalls.is_none() && outcome.is_ok() {
            self.book.note_seen(began);
        }
        outcome
    }

    fn leave(&mut self, index: usize) {
        let page = self.page(index);
        page.held.strike();
        let was_there = self
            .registry
            .unregister(&relays::id(self.owned[index].relay));
        if !was_there && self.book.now() < page.expires_from() {
            self.fault(index, format_args!("not there to unregister"));
        }
        self.tally.unregistered += u64::from(was_there);
        self.become_absent(index);
        self.is_full = false;
        if self.rng.u32(..16) == 0 {
            self.expect_not_to_find(index);
        }
    }

    fn await_expiry(&mut self, index: usize) {
        let page = self.page(index);
        let mark = self.book.mark();
        if !self.book.is_absent(self.owned[index].relay, &mark) {
            thread::yield_now();
            return;
        }
        page.held.strike();
        let id = relays::id(self.owned[index].relay);
        if self.registry.is_relay(&id) {
            self.fault(index, format_args!("there after its deadline"));
        }
        self.become_absent(index);
    }

    fn become_absent(&mut self, index: usize) {
        let page = self.page(index);
        page.left.enter(self.book);
        page.strike_expiry();
        self.book.is_gone();
        self.owned[index].standing = Standing::Absent;
    }

    fn drain_or_not(&mut self, index: usize) {
        let page = self.page(index);
        let drains = !self.owned[index].is_draining;
        page.draining.strike();
        let id = relays::id(self.owned[index].relay);
        let is_known = self.registry.set_draining(&id, drains);
        self.owned[index].is_draining = drains && is_known;
        if drains && is_known {
            page.draining.enter(self.book);
        }
        self.tally.drainings += 1;
    }

    fn ban_or_not(&mut self, index: usize) {
        let page = self.page(index);
        let id = relays::id(self.owned[index].relay);
        let bans = !self.owned[index].is_banned;
        page.banned.strike();
        self.forget_failure(index);
        if bans {
            match self.registry.ban(&id, BAN) {
                Ok(()) => page.banned.enter(self.book),
                Err(error) => self.fault(index, format_args!("not banned: {error}")),
            }
        } else if !self.registry.unban(&id) {
            self.fault(index, format_args!("its ban was lost"));
        }
        self.owned[index].is_banned = bans;
        self.tally.bans += 1;
    }

    fn fail(&mut self, index: usize) {
        let page = self.page(index);
        let (failure, back_off) = BACK_OFFS[self.rng.usize(..BACK_OFFS.len())];
        self.forget_failure(index);
        let began = self.book.now();
        let id = relays::id(self.owned[index].relay);
        self.tally.failures += 1;
        // A failure that is reported while it backs off counts no more, but then
        // it may come back sooner than from now.
        let is_closed = self.circuit(index) == Some(CircuitState::Closed);
        self.owned[index].has_failed = true;
        if self.registry.report_failure(&id, failure) && is_closed {
            page.set_failing_until(began + micros(back_off));
            page.failing.enter(self.book);
            self.owned[index].is_failing = true;
        }
    }

    fn circuit(&self, index: usize) -> Option<CircuitState> {
        let info = self.registry.relay(&relays::id(self.owned[index].relay))?;
        Some(info.circuit())
    }

    fn forget_failure(&mut self, index: usize) {
        self.page(index).failing.strike();
        self.owned[index].is_failing = false;
    }

    /// What must be refused, and change nothing.
    fn ask_the_impossible(&mut self, index: usize) {
        let id = relays::id(self.owned[index].relay);
        let endpoint = relays::endpoint(self.owned[index].relay, self.owned[index].face);
        let options = RegisterOptions::new();
        let multicast = Endpoint::from(std::net::SocketAddr::from(([224, 0, 0, 1], 9)));
        let (endpoint, options) = match self.rng.u32(..5) {
            0 => (endpoint, options.capacity(0)),
            1 => (endpoint, options.ttl(TICK / 2)),
            2 => (endpoint, options.nat(NatType::Symmetric)),
            3 => (endpoint, options.latency(Duration::ZERO)),
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
        let others = (0..self.book.relays()).filter(|relay| *relay != only);
        FindOptions::new().exclude(others.map(relays::id))
    }

    fn expect_to_find(&mut self, index: usize) {
        let mark = self.book.mark();
        let relay = self.owned[index].relay;
        let stays_out = self.owned[index].is_banned || relay == relays::local(self.book);
        // Its failures outlived its absence; nobody else reports any.
        let circuit = self.circuit(index);
        let is_closed = circuit.is_none_or(|circuit| circuit == CircuitState::Closed);
        if !is_closed && !self.owned[index].has_failed && !self.owned[index].is_banned {
            self.fault(index, format_args!("{circuit:?} though it never failed"));
        }
        let found = self
            .registry
            .find_relay_with(&relays::stranger(), &self.only(index));
        self.tally.visibility += 1;
        if let Err(FindError::NoRelaysAvailable { passed_over, .. }) = found {
            if !stays_out && is_closed && self.book.is_held(relay, &mark) {
                self.fault(
                    index,
                    format_args!("not found once it had come: {passed_over:?}"),
                );
            }
        } else if stays_out {
            self.fault(index, format_args!("found though banned or this node"));
        }
    }

    fn expect_not_to_find(&mut self, index: usize) {
        let found = self
            .registry
            .find_relay_with(&relays::stranger(), &self.only(index));
        self.tally.visibility += 1;
        if found.is_ok() {
            self.fault(index, format_args!("found once it had left"));
        }
    }
}

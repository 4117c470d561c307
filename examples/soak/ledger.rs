//! What is known for certain while threads race: the ledger against which all that
//! the registry says is held.
//!
//! Each relay has one owner, the only thread that registers it and takes it away; and one
//! operator rules over all. They enter what they did when the call has returned, and
//! strike it out before the call that ends it. Other threads note the state of
//! the ledger (a [`Mark`]) before a call and look up what the answer names after
//! it: an entry from before the mark that still stands was true throughout. So
//! whatever is counted as a fault is one; in case of doubt nothing is.

use std::sync::atomic::{
    AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Time;
use crate::relays::{self, Announced, CAPACITIES};

/// Lives of one relay that are told apart at a time.
pub const LIVES: u16 = 512;
const NEVER: u64 = u64::MAX;
/// Faults that are kept word for word.
const KEPT_FAULTS: usize = 20;

pub struct Ledger {
    time: Time,
    terms: Terms,
    entries: AtomicU64,
    /// The time, in us, that the registry has seen for certain.
    seen: AtomicU64,
    pages: Vec<Account>,
    /// Relays that may be held, as far as is known.
    perhaps_held: AtomicUsize,
    /// How often that came to be more than the bound.
    crowds: AtomicU64,
    faults: AtomicU64,
    told: Mutex<Vec<String>>,
}

/// What the registry was built with.
#[derive(Clone, Copy)]
pub struct Terms {
    pub max_relays: usize,
    /// How long a relay that is gone is what it was; `None`: for its TTL.
    pub grace: Option<Duration>,
    pub max_ejected_share: f64,
    /// Relays that are gone and kept for a lease, or for what the operator said, at most.
    pub max_kept: usize,
    /// Whether a thread reads the clock, and not each call.
    pub has_keeper: bool,
    /// Whether transients-by come, because of whom others are forgotten.
    pub has_passers: bool,
}

/// What is certain of one relay.
#[derive(Default)]
pub struct Account {
    pub held: Since,
    pub left: Since,
    /// Of a permanent relay, that no failure was reported of it.
    pub usable: Since,
    pub draining: Since,
    pub banned: Since,
    /// Neither draining nor banned.
    pub free: Since,
    failing: Failing,
    /// It does not expire before, in us.
    expires_from: AtomicU64,
    /// It is expired once the registry has seen this time, in us; 0: not known.
    expired_by: AtomicU64,
    lives: Vec<Life>,
}

/// That a relay backs off. Its owner reports failures, and bans end what those began.
#[derive(Default)]
struct Failing {
    since: Since,
    /// It is left alone until then at least, in us.
    until: AtomicU64,
    /// Whether it is certain; locked while the circuit is changed.
    is_certain: Mutex<bool>,
}

/// Leases of a relay between two restarts, through whatever registrations there were: how
/// many are held for certain that were taken under each of the capacities, or a smaller
/// one.
///
/// Of those, the one that was taken last was one of all that are counted, and had such a
/// capacity. So there are never more than that, also where the capacity was raised and
/// lowered in between.
#[derive(Default)]
struct Life([AtomicU32; CAPACITIES.len()]);

/// The number of the entry that says so; 0 while it is not certain.
#[derive(Default)]
pub struct Since(AtomicU64);

/// The state of the ledger before a call.
#[derive(Clone, Copy)]
pub struct Mark {
    entries: u64,
    seen: u64,
    crowds: u64,
    is_crowded: bool,
    jumps: u64,
}

impl Since {
    /// It is so from now on, for those that look at the ledger later.
    pub fn enter(&self, ledger: &Ledger) {
        self.0
            .store(ledger.entries.fetch_add(1, SeqCst) + 1, SeqCst);
    }

    pub fn strike(&self) {
        self.0.store(0, SeqCst);
    }

    pub fn stood_at(&self, mark: &Mark) -> bool {
        (1..=mark.entries).contains(&self.0.load(SeqCst))
    }
}

impl Ledger {
    pub fn new(relays: u32, time: Time, terms: Terms) -> Self {
        let account = |_| Account {
            lives: (0..LIVES).map(|_| Life::default()).collect(),
            ..Account::default()
        };
        let ledger = Self {
            time,
            terms,
            entries: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            pages: (0..relays).map(account).collect(),
            perhaps_held: AtomicUsize::new(0),
            crowds: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            told: Mutex::default(),
        };
        ledger
            .pages
            .iter()
            .for_each(|account| account.free.enter(&ledger));
        ledger
    }

    pub fn relays(&self) -> u32 {
        self.pages.len() as u32
    }

    pub fn terms(&self) -> Terms {
        self.terms
    }

    pub fn max_relays(&self) -> usize {
        self.terms.max_relays
    }

    /// How many relays that are gone are remembered at most, at rest.
    pub fn max_remembered(&self) -> usize {
        self.max_relays().max(1024)
    }

    /// Whether none is forgotten within its grace.
    pub fn remembers_all(&self) -> bool {
        !self.terms.has_passers && self.pages.len() < self.max_remembered()
    }

    pub fn account(&self, relay: u32) -> &Account {
        &self.pages[relay as usize]
    }

    /// Microseconds since the ledger was opened.
    pub fn now(&self) -> u64 {
        micros(self.time.now())
    }

    /// The registry has seen this time.
    pub fn note_seen(&self, time: u64) {
        self.seen.fetch_max(time, SeqCst);
    }

    pub fn seen(&self) -> u64 {
        self.seen.load(SeqCst)
    }

    pub fn mark(&self) -> Mark {
        // A call that reads the clock sees no less than what it is now.
        let seen = match self.terms.has_keeper {
            true => self.seen(),
            false => self.now(),
        };
        Mark {
            entries: self.entries.load(SeqCst),
            seen,
            crowds: self.crowds.load(SeqCst),
            is_crowded: self.is_crowded(),
            jumps: self.time.jumps(),
        }
    }

    /// Whether the clock may have jumped since the mark.
    pub fn may_have_jumped(&self, mark: &Mark) -> bool {
        self.time.jumps() != mark.jumps
    }

    /// Counts a fault, and keeps the first ones for the report.
    pub fn fault(&self, what: String) {
        self.faults.fetch_add(1, Relaxed);
        let mut told = self.told.lock();
        if told.len() < KEPT_FAULTS {
            told.push(what);
        }
    }

    /// Faults by number, and the first ones word for word.
    pub fn faults(&self) -> (u64, Vec<String>) {
        (self.faults.load(Relaxed), self.told.lock().clone())
    }
}

impl Mark {
    /// The time that the registry had seen, in us.
    pub fn seen(&self) -> u64 {
        self.seen
    }
}

/// The bound.
impl Ledger {
    /// A relay that is not held is about to be registered.
    pub fn may_arrive(&self) {
        if self.perhaps_held.fetch_add(1, SeqCst) >= self.max_relays() {
            self.crowds.fetch_add(1, SeqCst);
        }
    }

    /// It was not, or has left.
    pub fn is_gone(&self) {
        self.perhaps_held.fetch_sub(1, SeqCst);
    }

    /// Whether as many others as the registry takes may have been held at a
    /// moment since the mark.
    pub fn may_have_been_full(&self, mark: &Mark) -> bool {
        mark.is_crowded || self.is_crowded() || self.crowds.load(SeqCst) > mark.crowds
    }

    fn is_crowded(&self) -> bool {
        self.perhaps_held.load(SeqCst) > self.max_relays()
    }
}

/// Being there.
impl Ledger {
    pub fn is_held(&self, relay: u32, mark: &Mark) -> bool {
        let account = self.account(relay);
        account.held.stood_at(mark)
            && self.now() < account.expires_from.load(SeqCst)
            // Not registered anew between the two readings.
            && account.held.stood_at(mark)
    }

    pub fn is_absent(&self, relay: u32, mark: &Mark) -> bool {
        let account = self.account(relay);
        let expired_by = account.expired_by.load(SeqCst);
        account.left.stood_at(mark) || (expired_by != 0 && expired_by <= mark.seen)
    }

    /// Why the relay must not be handed out.
    pub fn objection(&self, relay: u32, mark: &Mark) -> Option<&'static str> {
        let account = self.account(relay);
        if self.is_absent(relay, mark) {
            Some("absent")
        } else if account.draining.stood_at(mark) {
            Some("draining")
        } else if account.banned.stood_at(mark) {
            Some("banned")
        } else {
            None
        }
    }

    /// Whether the relay failed, and is to be left alone. Where no more than a share may
    /// back off at once, others' failures and successes can end a back-off.
    pub fn is_failing(&self, relay: u32, mark: &Mark) -> bool {
        let failing = &self.account(relay).failing;
        self.terms.max_ejected_share >= 1.0
            && failing.since.stood_at(mark)
            && self.now() < failing.until.load(SeqCst)
            && failing.since.stood_at(mark)
    }
}

/// For the owner of a relay.
impl Account {
    pub fn set_expiry(&self, from: u64, by: u64) {
        self.expires_from.store(from, SeqCst);
        self.expired_by.store(by, SeqCst);
    }

    /// A registration is under way: it may live on.
    pub fn strike_expiry(&self) {
        self.expired_by.store(0, SeqCst);
    }

    pub fn expires_from(&self) -> u64 {
        self.expires_from.load(SeqCst)
    }

    pub fn expired_by(&self) -> u64 {
        match self.expired_by.load(SeqCst) {
            0 => NEVER,
            time => time,
        }
    }

    /// Changes the circuit in a way after which it may be closed.
    pub fn forget_failure<R>(&self, change: impl FnOnce() -> R) -> R {
        let mut is_certain = self.failing.is_certain.lock();
        *is_certain = false;
        self.failing.since.strike();
        change()
    }

    /// Has a failure reported, if `report` does, and enters until when the relay is left
    /// alone, if that is certain.
    pub fn fail(&self, ledger: &Ledger, report: impl FnOnce() -> Option<u64>) {
        let mut is_certain = self.failing.is_certain.lock();
        self.failing.since.strike();
        let until = report();
        *is_certain = until.is_some();
        if let Some(until) = until {
            self.failing.until.store(until, SeqCst);
            self.failing.since.enter(ledger);
        }
    }

    /// A registration is under way, after which nothing may be known of failures.
    pub fn strike_failure(&self) {
        let _not_while_it_changes = self.failing.is_certain.lock();
        self.failing.since.strike();
    }

    /// All is known that was.
    pub fn enter_failure_again(&self, ledger: &Ledger) {
        let is_certain = self.failing.is_certain.lock();
        if *is_certain {
            self.failing.since.enter(ledger);
        }
    }

    /// The first life after this one of which no lease is left.
    pub fn next_life(&self, life: u16) -> Option<u16> {
        let next = (1..LIVES).map(|step| (life + step) % LIVES);
        let mut vacant = next.filter(|&next| self.lives[usize::from(next)].is_over());
        vacant.next()
    }
}

impl Life {
    fn is_over(&self) -> bool {
        self.0.iter().all(|leases| leases.load(SeqCst) == 0)
    }
}

/// For those who hold leases.
impl Ledger {
    /// A lease was taken.
    pub fn took(&self, relay: u32, announced: Announced) {
        for (leases, capacity) in self.counts(relay, announced) {
            let leases = leases.fetch_add(1, SeqCst) + 1;
            if leases > capacity {
                let relay = relays::name(relay);
                self.fault(format!(
                    "{relay}: {leases} leases of {capacity}: {announced:?}"
                ));
            }
        }
    }

    /// A lease is about to be given back.
    pub fn gives_back(&self, relay: u32, announced: Announced) {
        for (leases, _) in self.counts(relay, announced) {
            leases.fetch_sub(1, SeqCst);
        }
    }

    /// The counts that a lease is part of. None are kept of transients-by, nor of relays whose
    /// capacity is without bound.
    fn counts(&self, relay: u32, announced: Announced) -> impl Iterator<Item = (&AtomicU32, u32)> {
        let is_counted = (relays::PERMANENT..self.relays()).contains(&relay);
        let life = is_counted.then(|| &self.account(relay).lives[usize::from(announced.life)]);
        life.into_iter()
            .flat_map(|life| life.0.iter().zip(CAPACITIES))
            .skip(usize::from(announced.terms))
    }
}

pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(NEVER)
}

//! The ledger: what is certain while threads run at once. All answers are checked against it.
//!
//! Each relay has one owner, the only thread that registers and unregisters it. There is one operator.
//! Both enter a fact after the call that makes it true has returned, and clear it before the call that
//! ends it. Other threads take a [`Mark`] of the ledger before a call, and look at the facts after it. A
//! fact that was entered before the mark and is still there was true during the whole call. So each fault
//! that is counted is a fault. In case of doubt, none is counted.

use std::sync::atomic::{
    AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Time;
use crate::relays::{self, Announced, CAPACITIES};

/// Incarnations of one relay that are messages apart at a time.
pub const INCARNATIONS: u16 = 512;
const NEVER: u64 = u64::MAX;
/// How many faults are reported in words.
const KEPT_FAULTS: usize = 20;

pub struct Ledger {
    time: Time,
    settings: Settings,
    facts_entered: AtomicU64,
    /// The latest time, in us, that the registry is certain to have read.
    seen: AtomicU64,
    accounts: Vec<Account>,
    /// How many relays may be held.
    possibly_held: AtomicUsize,
    /// How often that was more than the bound.
    times_beyond_bound: AtomicU64,
    faults: AtomicU64,
    messages: Mutex<Vec<String>>,
}

/// The settings of the registry.
#[derive(Clone, Copy)]
pub struct Settings {
    pub max_relays: usize,
    /// The return grace; `None` is the TTL of the relay.
    pub grace: Option<Duration>,
    pub max_ejected_share: f64,
    /// How many relays that are gone can be kept, for a lease or a setting of the operator.
    pub max_kept: usize,
    /// With a maintenance thread, that reads the clock; without, each call does.
    pub has_maintenance_thread: bool,
    /// Whether there are transients, for which other relays are forgotten early.
    pub has_transients: bool,
}

/// What is certain of one relay.
#[derive(Default)]
pub struct Account {
    pub held: Fact,
    pub left: Fact,
    /// For a permanent relay: no failure was reported.
    pub usable: Fact,
    pub draining: Fact,
    pub banned: Fact,
    /// Neither draining nor banned.
    pub free: Fact,
    failing: Failing,
    /// It does not expire before this time, in us.
    expires_from: AtomicU64,
    /// It is expired once the registry has read this time, in us; 0 if this is not known.
    expired_by: AtomicU64,
    incarnations: Vec<Incarnation>,
}

/// That a relay is backing off. Its owner reports failures, and a ban ends a back-off.
#[derive(Default)]
struct Failing {
    since: Fact,
    /// The earliest end of the back-off, in us.
    until: AtomicU64,
    /// Whether the back-off is certain; locked while the circuit is changed.
    is_certain: Mutex<bool>,
}

/// The leases of a relay between two restarts, over all its registrations: for each capacity, how many
/// units are certainly held that were taken at this capacity or a smaller one.
///
/// When the last of these was taken, all of them were held, and the capacity was at most this. So the
/// count never exceeds the capacity, even if that was raised and lowered in between.
#[derive(Default)]
struct Incarnation([AtomicU32; CAPACITIES.len()]);

/// The number of the entry of this fact; 0 while it is not certain.
#[derive(Default)]
pub struct Fact(AtomicU64);

/// The state of the ledger before a call.
#[derive(Clone, Copy)]
pub struct Mark {
    facts_entered: u64,
    seen: u64,
    times_beyond_bound: u64,
    is_beyond_bound: bool,
    jumps: u64,
}

impl Fact {
    /// The fact is certain for marks that are taken from now on.
    pub fn enter(&self, ledger: &Ledger) {
        self.0
            .store(ledger.facts_entered.fetch_add(1, SeqCst) + 1, SeqCst);
    }

    pub fn clear(&self) {
        self.0.store(0, SeqCst);
    }

    pub fn was_certain_at(&self, mark: &Mark) -> bool {
        (1..=mark.facts_entered).contains(&self.0.load(SeqCst))
    }
}

impl Ledger {
    pub fn new(relays: u32, time: Time, settings: Settings) -> Self {
        let account = |_| Account {
            incarnations: (0..INCARNATIONS).map(|_| Incarnation::default()).collect(),
            ..Account::default()
        };
        let ledger = Self {
            time,
            settings,
            facts_entered: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            accounts: (0..relays).map(account).collect(),
            possibly_held: AtomicUsize::new(0),
            times_beyond_bound: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            messages: Mutex::default(),
        };
        ledger
            .accounts
            .iter()
            .for_each(|account| account.free.enter(&ledger));
        ledger
    }

    pub fn relays(&self) -> u32 {
        self.accounts.len() as u32
    }

    pub fn settings(&self) -> Settings {
        self.settings
    }

    pub fn max_relays(&self) -> usize {
        self.settings.max_relays
    }

    /// At rest, how many relays that are gone are remembered at most.
    pub fn max_remembered(&self) -> usize {
        self.max_relays().max(1024)
    }

    /// Whether no relay is forgotten within its grace.
    pub fn remembers_all(&self) -> bool {
        !self.settings.has_transients && self.accounts.len() < self.max_remembered()
    }

    pub fn account(&self, relay: u32) -> &Account {
        &self.accounts[relay as usize]
    }

    /// Microseconds since the ledger was made.
    pub fn now(&self) -> u64 {
        micros(self.time.now())
    }

    /// The registry has certainly read this time.
    pub fn note_seen(&self, time: u64) {
        self.seen.fetch_max(time, SeqCst);
    }

    pub fn seen(&self) -> u64 {
        self.seen.load(SeqCst)
    }

    pub fn mark(&self) -> Mark {
        // A call that reads the clock reads at least the current time.
        let seen = match self.settings.has_maintenance_thread {
            true => self.seen(),
            false => self.now(),
        };
        Mark {
            facts_entered: self.facts_entered.load(SeqCst),
            seen,
            times_beyond_bound: self.times_beyond_bound.load(SeqCst),
            is_beyond_bound: self.is_beyond_bound(),
            jumps: self.time.jumps(),
        }
    }

    /// Whether the clock may have jumped since the mark.
    pub fn may_have_jumped(&self, mark: &Mark) -> bool {
        self.time.jumps() != mark.jumps
    }

    /// Counts a fault, and keeps its text if it is among the first.
    pub fn fault(&self, what: String) {
        self.faults.fetch_add(1, Relaxed);
        let mut messages = self.messages.lock();
        if messages.len() < KEPT_FAULTS {
            messages.push(what);
        }
    }

    /// The number of faults, and the texts of the first.
    pub fn faults(&self) -> (u64, Vec<String>) {
        (self.faults.load(Relaxed), self.messages.lock().clone())
    }
}

impl Mark {
    /// The time that the registry had read, in us.
    pub fn seen(&self) -> u64 {
        self.seen
    }
}

/// The bound.
impl Ledger {
    /// A relay that is not held is about to be registered.
    pub fn may_arrive(&self) {
        if self.possibly_held.fetch_add(1, SeqCst) >= self.max_relays() {
            self.times_beyond_bound.fetch_add(1, SeqCst);
        }
    }

    /// It was refused, or has left.
    pub fn is_gone(&self) {
        self.possibly_held.fetch_sub(1, SeqCst);
    }

    /// Whether the registry may have been full at a moment since the mark.
    pub fn may_have_been_full(&self, mark: &Mark) -> bool {
        mark.is_beyond_bound
            || self.is_beyond_bound()
            || self.times_beyond_bound.load(SeqCst) > mark.times_beyond_bound
    }

    fn is_beyond_bound(&self) -> bool {
        self.possibly_held.load(SeqCst) > self.max_relays()
    }
}

/// Facts about relays.
impl Ledger {
    pub fn is_held(&self, relay: u32, mark: &Mark) -> bool {
        let account = self.account(relay);
        account.held.was_certain_at(mark)
            && self.now() < account.expires_from.load(SeqCst)
            // Not registered again between the two readings.
            && account.held.was_certain_at(mark)
    }

    pub fn is_absent(&self, relay: u32, mark: &Mark) -> bool {
        let account = self.account(relay);
        let expired_by = account.expired_by.load(SeqCst);
        account.left.was_certain_at(mark) || (expired_by != 0 && expired_by <= mark.seen)
    }

    /// Why the relay must not be handed out.
    pub fn objection(&self, relay: u32, mark: &Mark) -> Option<&'static str> {
        let account = self.account(relay);
        if self.is_absent(relay, mark) {
            Some("absent")
        } else if account.draining.was_certain_at(mark) {
            Some("draining")
        } else if account.banned.was_certain_at(mark) {
            Some("banned")
        } else {
            None
        }
    }

    /// Whether the relay is certainly backing off. With a limit on the share of backing-off relays, the
    /// outcomes of other relays can end a back-off, so nothing is certain.
    pub fn is_failing(&self, relay: u32, mark: &Mark) -> bool {
        let failing = &self.account(relay).failing;
        self.settings.max_ejected_share >= 1.0
            && failing.since.was_certain_at(mark)
            && self.now() < failing.until.load(SeqCst)
            && failing.since.was_certain_at(mark)
    }
}

/// For the owner of a relay.
impl Account {
    pub fn set_expiry(&self, from: u64, by: u64) {
        self.expires_from.store(from, SeqCst);
        self.expired_by.store(by, SeqCst);
    }

    /// A registration begins, which may move the deadline.
    pub fn clear_expiry(&self) {
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

    /// Makes a change after which the circuit may be closed.
    pub fn forget_failure<R>(&self, change: impl FnOnce() -> R) -> R {
        let mut is_certain = self.failing.is_certain.lock();
        *is_certain = false;
        self.failing.since.clear();
        change()
    }

    /// Reports a failure. `report` returns the earliest end of the back-off, if that is certain.
    pub fn fail(&self, ledger: &Ledger, report: impl FnOnce() -> Option<u64>) {
        let mut is_certain = self.failing.is_certain.lock();
        self.failing.since.clear();
        let until = report();
        *is_certain = until.is_some();
        if let Some(until) = until {
            self.failing.until.store(until, SeqCst);
            self.failing.since.enter(ledger);
        }
    }

    /// A registration begins, after which the failures may be forgotten.
    pub fn clear_failure(&self) {
        let _not_while_it_changes = self.failing.is_certain.lock();
        self.failing.since.clear();
    }

    /// The registration has ended, and the failures are still known.
    pub fn enter_failure_again(&self, ledger: &Ledger) {
        let is_certain = self.failing.is_certain.lock();
        if *is_certain {
            self.failing.since.enter(ledger);
        }
    }

    /// The next incarnation without leases.
    pub fn next_incarnation(&self, incarnation: u16) -> Option<u16> {
        let next = (1..INCARNATIONS).map(|step| (incarnation + step) % INCARNATIONS);
        let mut vacant = next.filter(|&next| self.incarnations[usize::from(next)].is_over());
        vacant.next()
    }
}

impl Incarnation {
    fn is_over(&self) -> bool {
        self.0.iter().all(|leases| leases.load(SeqCst) == 0)
    }
}

/// Leases.
impl Ledger {
    /// Counts the units of a lease after it was taken.
    pub fn add_lease(&self, relay: u32, announced: Announced, units: u32) {
        for (leases, capacity) in self.counts(relay, announced) {
            let leased = leases.fetch_add(units, SeqCst) + units;
            if leased > capacity {
                let relay = relays::name(relay);
                self.fault(format!(
                    "{relay}: {leased} units of {capacity} leased: {announced:?}"
                ));
            }
        }
    }

    /// Removes the units of a lease before it is released.
    pub fn remove_lease(&self, relay: u32, announced: Announced, units: u32) {
        for (leases, _) in self.counts(relay, announced) {
            leases.fetch_sub(units, SeqCst);
        }
    }

    /// The counts that include a lease. Transients and permanent relays have none.
    fn counts(&self, relay: u32, announced: Announced) -> impl Iterator<Item = (&AtomicU32, u32)> {
        let is_counted = (relays::PERMANENT..self.relays()).contains(&relay);
        let incarnation = is_counted
            .then(|| &self.account(relay).incarnations[usize::from(announced.incarnation)]);
        incarnation
            .into_iter()
            .flat_map(|incarnation| incarnation.0.iter().zip(CAPACITIES))
            .skip(usize::from(announced.capacity_index))
    }
}

pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(NEVER)
}

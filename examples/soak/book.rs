//! What is known for certain while threads race: the book against which all that
//! the registry says is held.
//!
//! Each relay has one owner, the only thread that registers it, takes it away and
//! rules over it. An owner enters what it did when the call has returned, and
//! strikes it out before the call that ends it. Other threads note the state of
//! the book (a [`Mark`]) before a call and look up what the answer names after
//! it: an entry from before the mark that still stands was true throughout. So
//! whatever is counted as a fault is one; in case of doubt nothing is.

use std::sync::atomic::{
    AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::relays;

/// Registrations anew of one relay that are told apart at a time.
pub const LIVES: u16 = 2048;
pub const BLURRED: u32 = u32::MAX;
const NEVER: u64 = u64::MAX;
/// Faults that are kept word for word.
const KEPT_FAULTS: usize = 20;

pub struct Book {
    start: Instant,
    entries: AtomicU64,
    /// The time, in us, that the registry has seen for certain.
    seen: AtomicU64,
    pages: Vec<Page>,
    max_relays: usize,
    /// Relays that may be held, as far as is known.
    perhaps_held: AtomicUsize,
    /// How often that came to be more than the bound.
    crowds: AtomicU64,
    faults: AtomicU64,
    told: Mutex<Vec<String>>,
}

/// What is certain of one relay.
#[derive(Default)]
pub struct Page {
    pub held: Since,
    pub left: Since,
    pub draining: Since,
    pub banned: Since,
    pub failing: Since,
    /// It does not expire before, in us.
    expires_from: AtomicU64,
    /// It is expired once the registry has seen this time, in us; 0: not known.
    expired_by: AtomicU64,
    /// It is left alone until then at least, in us.
    failing_until: AtomicU64,
    lives: Vec<Life>,
}

/// One record of a relay, from registration to departure.
#[derive(Default)]
struct Life {
    leases: AtomicU32,
    /// The largest capacity that it ever had; `BLURRED` when two records share
    /// the life, so that nothing is certain of either.
    ceiling: AtomicU32,
    /// The most leases, where they were more than the ceiling.
    exceeded: AtomicU32,
}

/// The number of the entry that says so; 0 while it is not certain.
#[derive(Default)]
pub struct Since(AtomicU64);

/// The state of the book before a call.
#[derive(Clone, Copy)]
pub struct Mark {
    entries: u64,
    seen: u64,
    crowds: u64,
    is_crowded: bool,
}

impl Since {
    /// It is so from now on, by whoever looks at the book later.
    pub fn enter(&self, book: &Book) {
        self.0.store(book.entries.fetch_add(1, SeqCst) + 1, SeqCst);
    }

    pub fn strike(&self) {
        self.0.store(0, SeqCst);
    }

    fn stood_at(&self, mark: &Mark) -> bool {
        (1..=mark.entries).contains(&self.0.load(SeqCst))
    }
}

impl Book {
    pub fn new(relays: u32, max_relays: usize) -> Self {
        let page = |_| Page {
            lives: (0..LIVES).map(|_| Life::default()).collect(),
            ..Page::default()
        };
        Self {
            start: Instant::now(),
            entries: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            pages: (0..relays).map(page).collect(),
            max_relays,
            perhaps_held: AtomicUsize::new(0),
            crowds: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            told: Mutex::default(),
        }
    }

    pub fn start(&self) -> Instant {
        self.start
    }

    pub fn relays(&self) -> u32 {
        self.pages.len() as u32
    }

    pub fn max_relays(&self) -> usize {
        self.max_relays
    }

    pub fn page(&self, relay: u32) -> &Page {
        &self.pages[relay as usize]
    }

    /// Microseconds since the book was opened.
    pub fn now(&self) -> u64 {
        micros(self.start.elapsed())
    }

    /// The registry has seen this time.
    pub fn note_seen(&self, time: u64) {
        self.seen.fetch_max(time, SeqCst);
    }

    pub fn mark(&self) -> Mark {
        Mark {
            entries: self.entries.load(SeqCst),
            seen: self.seen.load(SeqCst),
            crowds: self.crowds.load(SeqCst),
            is_crowded: self.is_crowded(),
        }
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

/// The bound.
impl Book {
    /// A relay that is not held is about to be registered.
    pub fn may_arrive(&self) {
        if self.perhaps_held.fetch_add(1, SeqCst) >= self.max_relays {
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
        self.perhaps_held.load(SeqCst) > self.max_relays
    }
}

/// Being there.
impl Book {
    pub fn is_held(&self, relay: u32, mark: &Mark) -> bool {
        let page = self.page(relay);
        page.held.stood_at(mark)
            && self.now() < page.expires_from.load(SeqCst)
            // Not registered anew between the two readings.
            && page.held.stood_at(mark)
    }

    pub fn is_absent(&self, relay: u32, mark: &Mark) -> bool {
        let page = self.page(relay);
        let expired_by = page.expired_by.load(SeqCst);
        page.left.stood_at(mark) || (expired_by != 0 && expired_by <= mark.seen)
    }

    /// Why the relay must not be handed out.
    pub fn objection(&self, relay: u32, mark: &Mark) -> Option<&'static str> {
        let page = self.page(relay);
        if self.is_absent(relay, mark) {
            Some("absent")
        } else if page.draining.stood_at(mark) {
            Some("draining")
        } else if page.banned.stood_at(mark) {
            Some("banned")
        } else {
            None
        }
    }

    /// Whether the relay failed, and is to be left alone.
    pub fn is_failing(&self, relay: u32, mark: &Mark) -> bool {
        let page = self.page(relay);
        page.failing.stood_at(mark)
            && self.now() < page.failing_until.load(SeqCst)
            && page.failing.stood_at(mark)
    }
}

/// For the owner of a relay.
impl Page {
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

    pub fn set_failing_until(&self, time: u64) {
        self.failing_until.store(time, SeqCst);
    }

    /// The first life after this one of which no lease is left.
    pub fn next_life(&self, life: u16) -> Option<u16> {
        let next = (1..LIVES).map(|step| (life + step) % LIVES);
        let mut vacant = next.filter(|&next| self.life(next).leases.load(SeqCst) == 0);
        vacant.next()
    }

    pub fn begin_life(&self, life: u16) {
        self.life(life).ceiling.store(0, SeqCst);
    }

    /// The most leases of a life, if there were too many for certain.
    pub fn excess(&self, life: u16) -> Option<u32> {
        let life = self.life(life);
        let exceeded = life.exceeded.swap(0, SeqCst);
        (exceeded > 0 && life.ceiling.load(SeqCst) != BLURRED).then_some(exceeded)
    }

    /// A capacity that the life is about to have.
    pub fn raise_ceiling(&self, life: u16, capacity: u32) {
        self.life(life).ceiling.fetch_max(capacity, SeqCst);
    }

    fn life(&self, life: u16) -> &Life {
        &self.lives[usize::from(life)]
    }
}

/// For those who hold leases.
impl Book {
    /// A lease was taken.
    pub fn took(&self, relay: u32, life: u16) {
        let life = self.page(relay).life(life);
        let leases = life.leases.fetch_add(1, SeqCst) + 1;
        if leases > life.ceiling.load(SeqCst) {
            life.exceeded.fetch_max(leases, SeqCst);
        }
    }

    /// Judges all lives, once their owners have said which are blurred.
    pub fn judge_leases(&self) {
        for relay in 0..self.relays() {
            for life in 0..LIVES {
                self.judge_life(relay, life);
            }
        }
    }

    pub fn judge_life(&self, relay: u32, life: u16) {
        if let Some(leases) = self.page(relay).excess(life) {
            let relay = relays::name(relay);
            self.fault(format!("{relay}: {leases} leases, beyond its capacity"));
        }
    }

    /// A lease is about to be given back.
    pub fn gives_back(&self, relay: u32, life: u16) {
        let life = self.page(relay).life(life);
        life.leases.fetch_sub(1, SeqCst);
    }
}

pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(NEVER)
}

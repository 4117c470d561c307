//! What is known for certain while threads race: the book against which every
//! hand-out of the full-speed run is held.
//!
//! One thread, the keeper, registers and unregisters and writes down what it did;
//! the threads that ask note the state of the book before each call and look the
//! hand-out up afterwards. Every entry errs in the registry's favour, so whatever
//! is counted as a fault is one:
//!
//! - a departure is entered when `unregister` has returned, and struck out before
//!   the relay is registered again;
//! - a deadline is entered as late as it can be, and as "never" while a
//!   registration is under way; the time the registry must know is that read
//!   before the last registration that has returned, since registering raises
//!   the registry's tick;
//! - a lease is counted after it was taken and until before it is given back, for
//!   each registration anew of a relay apart (its generation, which the endpoint's
//!   port tells).

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// How often one relay can be registered anew.
pub const GENERATIONS: u16 = 256;
const NEVER: u64 = u64::MAX;

pub struct Ledger {
    start: Instant,
    /// The time, in us since `start`, that the registry has seen for certain.
    seen: AtomicU64,
    departures: AtomicU64,
    pages: Vec<Page>,
}

/// What is written of one relay.
struct Page {
    capacity: u32,
    /// The number of its departure, or 0 unless it is certainly gone.
    departure: AtomicU64,
    /// It must be expired when the registry has seen this time, in us.
    expired_by: AtomicU64,
    generations: Vec<Generation>,
}

#[derive(Default)]
struct Generation {
    leases: AtomicU32,
    exceeded: AtomicU64,
}

/// The state of the book before a call.
pub struct Mark {
    seen: u64,
    departures: u64,
}

impl Ledger {
    pub fn new(capacities: impl IntoIterator<Item = u32>) -> Self {
        Self {
            start: Instant::now(),
            seen: AtomicU64::new(0),
            departures: AtomicU64::new(0),
            pages: capacities.into_iter().map(Page::new).collect(),
        }
    }

    /// Microseconds since the book was opened.
    pub fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(NEVER)
    }
}

/// For the keeper.
impl Ledger {
    /// A registration begins. Answers with the time, to be told when it has ended.
    pub fn registering(&self, relay: usize) -> u64 {
        let page = &self.pages[relay];
        page.departure.store(0, SeqCst);
        page.expired_by.store(NEVER, SeqCst);
        self.now()
    }

    /// The registration has ended, and holds for so long at most.
    pub fn registered(&self, relay: usize, began: u64, longest: Duration) {
        let longest = u64::try_from(longest.as_micros()).unwrap_or(NEVER);
        let expired_by = self.now().saturating_add(longest);
        self.pages[relay].expired_by.store(expired_by, SeqCst);
        self.seen.store(began, SeqCst);
    }

    pub fn unregistered(&self, relay: usize) {
        let number = self.departures.load(SeqCst) + 1;
        self.pages[relay].departure.store(number, SeqCst);
        self.departures.store(number, SeqCst);
    }

    /// When this relay is expired at the latest.
    pub fn expired_by(&self, relay: usize) -> u64 {
        self.pages[relay].expired_by.load(SeqCst)
    }
}

/// For the threads that ask.
impl Ledger {
    pub fn mark(&self) -> Mark {
        Mark {
            departures: self.departures.load(SeqCst),
            seen: self.seen.load(SeqCst),
        }
    }

    /// Was the relay gone before the mark, and has not come back?
    pub fn is_departed(&self, relay: usize, mark: &Mark) -> bool {
        let departure = self.pages[relay].departure.load(SeqCst);
        departure != 0 && departure <= mark.departures
    }

    /// Was the relay expired at the mark, and has not come back?
    pub fn is_expired(&self, relay: usize, mark: &Mark) -> bool {
        self.pages[relay].expired_by.load(SeqCst) < mark.seen
    }

    /// A lease was taken.
    pub fn took(&self, relay: usize, generation: u16) {
        let page = &self.pages[relay];
        let entry = &page.generations[usize::from(generation)];
        if entry.leases.fetch_add(1, SeqCst) >= page.capacity {
            entry.exceeded.fetch_add(1, SeqCst);
        }
    }

    /// A lease is about to be given back.
    pub fn gives_back(&self, relay: usize, generation: u16) {
        let generation = usize::from(generation);
        self.pages[relay].generations[generation]
            .leases
            .fetch_sub(1, SeqCst);
    }

    /// How often a generation had more leases than the relay's capacity.
    pub fn exceeded(&self, relay: usize, generation: u16) -> u64 {
        let generation = usize::from(generation);
        self.pages[relay].generations[generation]
            .exceeded
            .load(SeqCst)
    }
}

impl Page {
    fn new(capacity: u32) -> Self {
        let generations = (0..GENERATIONS).map(|_| Generation::default());
        Self {
            capacity,
            departure: AtomicU64::new(0),
            expired_by: AtomicU64::new(NEVER),
            generations: generations.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_departure_counts_for_calls_that_begin_after_it() {
        let ledger = Ledger::new([20, 20]);
        let before = ledger.mark();
        ledger.unregistered(1);
        let after = ledger.mark();
        assert!(!ledger.is_departed(1, &before));
        assert!(ledger.is_departed(1, &after));
        assert!(!ledger.is_departed(0, &after));
        ledger.registering(1);
        assert!(!ledger.is_departed(1, &after));
    }

    #[test]
    fn a_deadline_counts_once_the_registry_has_seen_a_later_time() {
        let ledger = Ledger::new([20, 20]);
        let began = ledger.registering(0);
        ledger.registered(0, began, Duration::from_micros(1));
        std::thread::sleep(Duration::from_millis(2));
        assert!(!ledger.is_expired(0, &ledger.mark()));
        let began = ledger.registering(1);
        ledger.registered(1, began, Duration::from_secs(60));
        let mark = ledger.mark();
        assert!(ledger.is_expired(0, &mark));
        assert!(!ledger.is_expired(1, &mark));
        ledger.registering(0);
        assert!(!ledger.is_expired(0, &mark));
    }

    #[test]
    fn a_lease_too_many_is_counted_in_its_generation() {
        let ledger = Ledger::new([2]);
        ledger.took(0, 5);
        ledger.took(0, 5);
        ledger.took(0, 6);
        ledger.gives_back(0, 5);
        ledger.took(0, 5);
        assert_eq!(ledger.exceeded(0, 5), 0);
        ledger.took(0, 5);
        assert_eq!((ledger.exceeded(0, 5), ledger.exceeded(0, 6)), (1, 0));
    }
}

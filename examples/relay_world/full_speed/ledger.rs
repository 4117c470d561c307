//! The ledger: what is certain while threads run at once. Every hand-out of the full-speed run is
//! checked against it.
//!
//! The churn thread registers and unregisters relays, and enters what it did. A client marks the state
//! of the ledger before a call, and checks the hand-out afterwards. Every entry errs in the registry's
//! favour, so each fault that is counted is a fault:
//!
//! - A departure is entered after `unregister` has returned, and removed before the relay is registered
//!   again.
//! - A deadline is entered as late as it can be, and as "never" during a registration. A registration
//!   raises the registry's tick, so the registry knows at least the time that was read before the last
//!   registration that returned.
//! - A lease is counted after it was taken, until before it is released. Each generation of a relay has
//!   its own count; the endpoint's port has the generation.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// How many generations one relay can have.
pub const GENERATIONS: u16 = 256;
const NEVER: u64 = u64::MAX;

pub struct Ledger {
    start: Instant,
    /// The latest time, in us since `start`, that the registry is certain to have read.
    seen: AtomicU64,
    departures: AtomicU64,
    accounts: Vec<Account>,
}

/// What is certain of one relay.
struct Account {
    capacity: u32,
    /// The number of its departure; 0 if it is not certain that it is gone.
    departure: AtomicU64,
    /// The relay is expired once the registry has read this time, in us.
    expired_by: AtomicU64,
    generations: Vec<Generation>,
}

#[derive(Default)]
struct Generation {
    leases: AtomicU32,
    exceeded: AtomicU64,
}

/// The state of the ledger before a call.
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
            accounts: capacities.into_iter().map(Account::new).collect(),
        }
    }

    /// Microseconds since the ledger was made.
    pub fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(NEVER)
    }
}

/// For the churn thread.
impl Ledger {
    /// A registration begins. Returns the time, for [`Self::end_registration`].
    pub fn begin_registration(&self, relay: usize) -> u64 {
        let account = &self.accounts[relay];
        account.departure.store(0, SeqCst);
        account.expired_by.store(NEVER, SeqCst);
        self.now()
    }

    /// The registration has ended. The relay is live for `longest` at most.
    pub fn end_registration(&self, relay: usize, began: u64, longest: Duration) {
        let longest = u64::try_from(longest.as_micros()).unwrap_or(NEVER);
        let expired_by = self.now().saturating_add(longest);
        self.accounts[relay].expired_by.store(expired_by, SeqCst);
        self.seen.store(began, SeqCst);
    }

    pub fn note_departure(&self, relay: usize) {
        let number = self.departures.load(SeqCst) + 1;
        self.accounts[relay].departure.store(number, SeqCst);
        self.departures.store(number, SeqCst);
    }

    /// The latest time at which this relay expires.
    pub fn expired_by(&self, relay: usize) -> u64 {
        self.accounts[relay].expired_by.load(SeqCst)
    }
}

/// For clients.
impl Ledger {
    pub fn mark(&self) -> Mark {
        Mark {
            departures: self.departures.load(SeqCst),
            seen: self.seen.load(SeqCst),
        }
    }

    /// Whether the relay left before the mark, and has not returned.
    pub fn is_departed(&self, relay: usize, mark: &Mark) -> bool {
        let departure = self.accounts[relay].departure.load(SeqCst);
        departure != 0 && departure <= mark.departures
    }

    /// Whether the relay was expired at the mark, and has not returned.
    pub fn is_expired(&self, relay: usize, mark: &Mark) -> bool {
        self.accounts[relay].expired_by.load(SeqCst) < mark.seen
    }

    /// Counts a lease after it was taken.
    pub fn add_lease(&self, relay: usize, generation: u16) {
        let account = &self.accounts[relay];
        let entry = &account.generations[usize::from(generation)];
        if entry.leases.fetch_add(1, SeqCst) >= account.capacity {
            entry.exceeded.fetch_add(1, SeqCst);
        }
    }

    /// Removes a lease before it is released.
    pub fn remove_lease(&self, relay: usize, generation: u16) {
        let generation = usize::from(generation);
        self.accounts[relay].generations[generation]
            .leases
            .fetch_sub(1, SeqCst);
    }

    /// How often a generation had more leases than the relay has capacity.
    pub fn exceeded(&self, relay: usize, generation: u16) -> u64 {
        let generation = usize::from(generation);
        self.accounts[relay].generations[generation]
            .exceeded
            .load(SeqCst)
    }
}

impl Account {
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
        ledger.note_departure(1);
        let after = ledger.mark();
        assert!(!ledger.is_departed(1, &before));
        assert!(ledger.is_departed(1, &after));
        assert!(!ledger.is_departed(0, &after));
        ledger.begin_registration(1);
        assert!(!ledger.is_departed(1, &after));
    }

    #[test]
    fn a_deadline_counts_once_the_registry_has_seen_a_later_time() {
        let ledger = Ledger::new([20, 20]);
        let began = ledger.begin_registration(0);
        ledger.end_registration(0, began, Duration::from_micros(1));
        std::thread::sleep(Duration::from_millis(2));
        assert!(!ledger.is_expired(0, &ledger.mark()));
        let began = ledger.begin_registration(1);
        ledger.end_registration(1, began, Duration::from_secs(60));
        let mark = ledger.mark();
        assert!(ledger.is_expired(0, &mark));
        assert!(!ledger.is_expired(1, &mark));
        ledger.begin_registration(0);
        assert!(!ledger.is_expired(0, &mark));
    }

    #[test]
    fn a_lease_too_many_is_counted_in_its_generation() {
        let ledger = Ledger::new([2]);
        ledger.add_lease(0, 5);
        ledger.add_lease(0, 5);
        ledger.add_lease(0, 6);
        ledger.remove_lease(0, 5);
        ledger.add_lease(0, 5);
        assert_eq!(ledger.exceeded(0, 5), 0);
        ledger.add_lease(0, 5);
        assert_eq!((ledger.exceeded(0, 5), ledger.exceeded(0, 6)), (1, 0));
    }
}

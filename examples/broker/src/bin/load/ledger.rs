//! What the load generator knows of relays and sessions, and what the broker's answers must agree with.

use crate::world::Relay;
use hdrhistogram::Histogram;
use relay_registry::NodeId;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many broken promises are told one by one.
const TOLD: usize = 10;

pub struct Ledger {
    relays: HashMap<NodeId, Account>,
    broken: Mutex<Vec<String>>,
    pub broken_count: AtomicU64,
    pub tallies: Tallies,
    /// From asking to the first answer.
    pub asked: Mutex<Histogram<u64>>,
    /// From telling that a relay failed to the next relay.
    pub asked_again: Mutex<Histogram<u64>>,
}

/// What happened how often.
#[derive(Default)]
pub struct Tallies {
    pub relays_given: AtomicU64,
    pub failures_told: AtomicU64,
    pub refused: AtomicU64,
    pub unanswered: AtomicU64,
    pub lost: AtomicU64,
    pub renewals: AtomicU64,
}

struct Account {
    capacity: u32,
    /// Sessions that a peer holds here. A place is taken before the peer hears of it and given back after the peer ended
    /// the session, so the broker counts at least as many.
    held: AtomicU32,
    /// What relays of other brokers put here.
    others: AtomicU32,
    /// Since when it has been draining, as the broker confirmed.
    drains_since: Mutex<Option<Instant>>,
    /// Whether it does not work at present.
    is_broken: AtomicBool,
}

impl Ledger {
    pub fn new(relays: &[Relay]) -> Self {
        let account = |relay: &Relay| Account {
            capacity: relay.capacity,
            held: AtomicU32::new(0),
            others: AtomicU32::new(0),
            drains_since: Mutex::new(None),
            is_broken: AtomicBool::new(false),
        };
        Self {
            relays: relays
                .iter()
                .map(|relay| (relay.id, account(relay)))
                .collect(),
            broken: Mutex::default(),
            broken_count: AtomicU64::new(0),
            tallies: Tallies::default(),
            asked: Mutex::new(histogram()),
            asked_again: Mutex::new(histogram()),
        }
    }

    /// A peer that asked at `asked` was given a relay. Returns whether the relay works.
    pub fn take(&self, relay: &NodeId, asked: Instant) -> bool {
        count(&self.tallies.relays_given);
        let Some(account) = self.relays.get(relay) else {
            self.is_broken(format!(
                "relay {relay:.8} was given, which is not registered"
            ));
            return true;
        };
        let held = account.held.fetch_add(1, SeqCst) + 1;
        if held > account.capacity {
            let capacity = account.capacity;
            self.is_broken(format!(
                "relay {relay:.8} has {held} sessions, and a capacity of {capacity}"
            ));
        }
        if lock(&account.drains_since).is_some_and(|since| since < asked) {
            self.is_broken(format!("relay {relay:.8} was given while it drained"));
        }
        !account.is_broken.load(SeqCst)
    }

    /// A peer is about to give a relay back.
    pub fn give_back(&self, relay: &NodeId) {
        if let Some(account) = self.relays.get(relay) {
            account.held.fetch_sub(1, SeqCst);
        }
    }

    /// The load that a relay sees.
    pub fn load(&self, relay: &NodeId) -> u32 {
        let account = &self.relays[relay];
        account.held.load(SeqCst) + account.others.load(SeqCst)
    }

    pub fn set_others(&self, relay: &NodeId, others: u32) {
        self.relays[relay].others.store(others, SeqCst);
    }

    pub fn set_draining(&self, relay: &NodeId, since: Option<Instant>) {
        *lock(&self.relays[relay].drains_since) = since;
    }

    pub fn set_broken(&self, relay: &NodeId, is_broken: bool) {
        self.relays[relay].is_broken.store(is_broken, SeqCst);
    }

    /// A promise was broken.
    pub fn is_broken(&self, what: String) {
        count(&self.broken_count);
        let mut broken = lock(&self.broken);
        if broken.len() < TOLD {
            broken.push(what);
        }
    }

    /// The times of the first answers so far, which are not counted any more.
    pub fn take_times(&self) -> Histogram<u64> {
        std::mem::replace(&mut *lock(&self.asked), histogram())
    }

    /// The first broken promises.
    pub fn broken(&self) -> Vec<String> {
        lock(&self.broken).clone()
    }
}

pub fn count(tally: &AtomicU64) {
    tally.fetch_add(1, SeqCst);
}

/// Adds a time to those measured.
pub fn record(times: &Mutex<Histogram<u64>>, time: Duration) {
    lock(times).saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
}

/// Times in microseconds, to three digits, up to a minute.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are valid")
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay() -> Relay {
        Relay {
            id: NodeId::from([1; 32]),
            endpoint: "a.example:1".into(),
            capacity: 1,
            labels: Vec::new(),
            failure_domain: String::new(),
            tier: 0,
            site: 0,
        }
    }

    #[test]
    fn a_session_beyond_the_capacity_is_seen() {
        let (relay, now) = (relay(), Instant::now());
        let ledger = Ledger::new(std::slice::from_ref(&relay));
        assert!(ledger.take(&relay.id, now));
        ledger.give_back(&relay.id);
        assert!(ledger.take(&relay.id, now));
        assert_eq!(ledger.broken_count.load(SeqCst), 0);
        ledger.take(&relay.id, now);
        assert!(ledger.broken()[0].contains("2 sessions, and a capacity of 1"));
    }

    #[test]
    fn a_relay_that_drains_may_be_given_to_who_asked_before() {
        let (relay, before) = (relay(), Instant::now());
        let ledger = Ledger::new(std::slice::from_ref(&relay));
        ledger.set_draining(&relay.id, Some(before + Duration::from_millis(1)));
        ledger.take(&relay.id, before);
        assert_eq!(ledger.broken_count.load(SeqCst), 0);
        ledger.give_back(&relay.id);
        ledger.take(&relay.id, before + Duration::from_secs(1));
        assert!(ledger.broken()[0].contains("while it drained"));
    }
}

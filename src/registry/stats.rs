//! Counters and gauges.

use crate::errors::RegisterError;
use crate::registry::register::Registration;
use crate::sync::{AtomicU64, Ordering, Padded, stripe};
use std::time::Duration;

/// What a registry has done so far, and what it holds now.
///
/// Each figure is right on its own; together they are no snapshot, for the
/// registry goes on while they are gathered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Relays registered that were not held, those that came back included.
    pub registrations: u64,
    /// Renewals of relays already held.
    pub renewals: u64,
    /// Relays that were unregistered.
    pub unregistrations: u64,
    /// Relays that were removed past their deadline.
    pub expirations: u64,
    /// Calls of `register` and `register_with` that were refused.
    pub refused: u64,
    /// Live relays.
    pub relays: usize,
    /// Relays that left or expired and are remembered, in case they come back; not those
    /// that are kept for their leases or for what the operator said.
    pub remembered: usize,
    /// Leases held, also those on relays that left.
    pub leases: usize,
    /// Records that departed and were not given back yet, because a thread may still
    /// see them or because neither a registration nor maintenance has come by. While
    /// a thread is stalled inside a call they add up: with the relays held and those
    /// remembered, to three times `max_relays` and 2,048 at most, and beyond that only
    /// those that were kept for their leases or for what the operator said.
    pub awaiting_reclamation: usize,
    /// Time since relays were last sorted, in whole ticks.
    pub snapshot_age: Duration,
    /// Relays in sorted order, including those departed since.
    pub snapshot_len: usize,
    /// Relays that arrived since and are not yet sorted in.
    pub arrivals: usize,
    /// Records on the timer wheel.
    pub wheel_len: usize,
    /// Housekeeping passes completed.
    pub maintenance_passes: u64,
    /// Panics in the [threads](crate::Maintenance::Thread) that keep the registry,
    /// which the clock can cause; they go on.
    pub maintenance_panics: u64,
    /// What is published and learned; `None` without
    /// [`dht`](crate::RegistryBuilder::dht).
    #[cfg(feature = "dht")]
    pub dht: Option<crate::dht::DhtStats>,
}

const STRIPES: usize = 8;

/// Counters, striped so that threads seldom meet on a cache line.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    stripes: [Padded<Stripe>; STRIPES],
    pub(super) passes: AtomicU64,
    pub(super) panics: AtomicU64,
}

#[derive(Debug, Default)]
struct Stripe {
    registrations: AtomicU64,
    renewals: AtomicU64,
    unregistrations: AtomicU64,
    expirations: AtomicU64,
    refused: AtomicU64,
}

/// Sums of the striped counters.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(super) registrations: u64,
    pub(super) renewals: u64,
    pub(super) unregistrations: u64,
    pub(super) expirations: u64,
    pub(super) refused: u64,
}

impl Counters {
    pub(super) fn count_registration(&self, outcome: &Result<Registration, RegisterError>) {
        let stripe = self.stripe();
        add_one(match outcome {
            Ok(Registration::New | Registration::Returned) => &stripe.registrations,
            Ok(Registration::Renewed) => &stripe.renewals,
            Err(_) => &stripe.refused,
        });
    }

    pub(super) fn count_renewal(&self) {
        add_one(&self.stripe().renewals);
    }

    pub(super) fn count_unregistration(&self) {
        add_one(&self.stripe().unregistrations);
    }

    pub(super) fn count_expiration(&self) {
        add_one(&self.stripe().expirations);
    }

    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for stripe in &self.stripes {
            totals.registrations += get(&stripe.registrations);
            totals.renewals += get(&stripe.renewals);
            totals.unregistrations += get(&stripe.unregistrations);
            totals.expirations += get(&stripe.expirations);
            totals.refused += get(&stripe.refused);
        }
        totals
    }

    /// Relays that left or expired.
    pub(super) fn departures(&self) -> u64 {
        let totals = self.totals();
        totals.unregistrations + totals.expirations
    }

    fn stripe(&self) -> &Stripe {
        &self.stripes[stripe(STRIPES)]
    }
}

/// Relaxed: counters order nothing.
pub(super) fn add_one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Relaxed: counters order nothing.
pub(super) fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

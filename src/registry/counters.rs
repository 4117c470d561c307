//! Counters of what a registry has done.

use crate::errors::RegisterError;
use crate::registry::request::Registration;
use crate::sync::{AtomicU64, Ordering, Padded, stripe};

const STRIPES: usize = 8;

/// Counters, striped so that threads seldom meet on a cache line.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    stripes: [Padded<Stripe>; STRIPES],
    passes: AtomicU64,
    panics: AtomicU64,
    saves: AtomicU64,
    failed_saves: AtomicU64,
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

    pub(super) fn count_pass(&self) {
        add_one(&self.passes);
    }

    pub(super) fn count_panic(&self) {
        add_one(&self.panics);
    }

    pub(super) fn passes(&self) -> u64 {
        get(&self.passes)
    }

    pub(super) fn panics(&self) -> u64 {
        get(&self.panics)
    }

    #[cfg_attr(not(feature = "persistence"), allow(dead_code))]
    pub(super) fn count_save(&self, has_succeeded: bool) {
        add_one(match has_succeeded {
            true => &self.saves,
            false => &self.failed_saves,
        });
    }

    pub(super) fn saves(&self) -> u64 {
        get(&self.saves)
    }

    pub(super) fn failed_saves(&self) -> u64 {
        get(&self.failed_saves)
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
fn add_one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Relaxed: counters order nothing.
fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

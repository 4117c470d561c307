//! How many calls looked for a relay, and why some found none.

use crate::errors::Rejections;
use crate::relay::Rejection;
use crate::sync::Ordering;
use crate::sync::unmodelled::AtomicU64;

/// What one thread counted of its calls, or some threads did.
#[derive(Debug, Default)]
pub(super) struct CallCounts {
    pub(super) finds: AtomicU64,
    pub(super) reservations: AtomicU64,
    refusals: [AtomicU64; REASONS],
}

/// One for each reason, and one for a registry without relays.
const REASONS: usize = Rejection::ALL.len() + 1;

/// The place of the count of refusals for lack of any relay.
const NO_RELAYS: usize = Rejection::ALL.len();

/// The sums over all threads.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CallTotals {
    pub(super) finds: u64,
    pub(super) reservations: u64,
    refusals: [u64; REASONS],
}

impl CallCounts {
    /// The count of refusals for the main reason of these.
    pub(super) fn of_refusals(&self, rejections: &Rejections) -> &AtomicU64 {
        let reason = rejections.main();
        &self.refusals[reason.map_or(NO_RELAYS, |reason| reason as usize)]
    }
}

impl CallTotals {
    pub(super) fn add(&mut self, counts: &CallCounts) {
        let CallCounts {
            finds,
            reservations,
            refusals,
        } = counts;
        // Relaxed: counters order nothing.
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.finds += get(finds);
        self.reservations += get(reservations);
        for (sum, count) in self.refusals.iter_mut().zip(refusals) {
            *sum += get(count);
        }
    }

    /// The calls that found no relay, by their main reason.
    pub(super) fn refused_for(&self, reason: Rejection) -> u64 {
        self.refusals[reason as usize]
    }

    /// The calls that found no relay, for none is registered.
    pub(super) fn refused_without_relays(&self) -> u64 {
        self.refusals[NO_RELAYS]
    }
}

//! How many calls looked for a relay, and why some found none.
//!
//! A find must not write what other threads write. So each thread counts in a *cell* of its
//! own: its number, from [`crate::sync`], names one that no other thread writes while it has
//! that number. There it adds by a load and a store. When another thread gets the number, it
//! goes on with the cell. Threads without a number share one more cell, and add by
//! read-modify-writes.
//!
//! The cells of a registry are numbered as those of all others, so it has as many as there
//! may be threads with a number.

use crate::errors::Rejections;
use crate::footprint::Footprint;
use crate::relay::Rejection;
// No model checks counts, and each would have one more step for every find. That numbers of
// threads are handed over rightly has a model of its own.
use crate::sync::unmodelled::AtomicU64;
use crate::sync::{Ordering, Padded, THREAD_INDICES, claim_thread_index, thread_index};

/// See the module's description.
#[derive(Debug)]
pub(crate) struct CallCounts {
    /// One for each number of a thread, which alone writes to it.
    cells: Box<[Padded<Cell>]>,
    /// For threads without a number.
    shared: Padded<Cell>,
}

/// What one thread counted, or some.
#[derive(Debug, Default)]
struct Cell {
    finds: AtomicU64,
    reservations: AtomicU64,
    refusals: [AtomicU64; REASONS],
}

/// One for each reason, and one for a registry without relays.
const REASONS: usize = Rejection::ALL.len() + 1;

/// The place of the count of refusals for lack of any relay.
const NO_RELAYS: usize = Rejection::ALL.len();

/// The sums of all cells.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CallTotals {
    pub(super) finds: u64,
    pub(super) reservations: u64,
    refusals: [u64; REASONS],
}

impl Default for CallCounts {
    fn default() -> Self {
        Self {
            cells: (0..THREAD_INDICES).map(|_| Padded::default()).collect(),
            shared: Padded::default(),
        }
    }
}

impl CallCounts {
    /// Counts a call that looks for relays.
    #[inline(always)]
    pub(super) fn count_find(&self) {
        self.count(|cell| &cell.finds);
    }

    /// Counts a call that looks for a relay to take units of.
    #[inline(always)]
    pub(super) fn count_reservation(&self) {
        self.count(|cell| &cell.reservations);
    }

    /// Counts a call of either kind that found no relay, by how many relays were rejected for
    /// which reason.
    #[cold]
    pub(super) fn count_refusal(&self, rejections: &Rejections) {
        let reason = rejections.main();
        let place = reason.map_or(NO_RELAYS, |reason| reason as usize);
        self.count(|cell| &cell.refusals[place]);
    }

    #[inline(always)]
    fn count(&self, counter: impl Fn(&Cell) -> &AtomicU64) {
        match self.cells.get(thread_index()) {
            Some(cell) => add_one_alone(counter(cell)),
            None => self.count_in_new_or_shared(counter),
        }
    }

    #[cold]
    fn count_in_new_or_shared(&self, counter: impl Fn(&Cell) -> &AtomicU64) {
        match self.cells.get(claim_thread_index()) {
            Some(cell) => add_one_alone(counter(cell)),
            // Relaxed: counters order nothing.
            None => _ = counter(&self.shared).fetch_add(1, Ordering::Relaxed),
        }
    }

    pub(super) fn footprint(&self) -> Footprint {
        Footprint::of_items::<Padded<Cell>>(self.cells.len())
    }

    pub(super) fn totals(&self) -> CallTotals {
        let mut totals = CallTotals::default();
        let cells = self.cells.iter().chain([&self.shared]);
        cells.for_each(|cell| totals.add(cell));
        totals
    }
}

/// Adds one to a counter that no other thread changes.
#[inline(always)]
fn add_one_alone(counter: &AtomicU64) {
    // Relaxed, both: counters order nothing. If the number of this thread was that of another
    // one before, what that one stored happens before its claim here, so it is not lost.
    let count = counter.load(Ordering::Relaxed);
    counter.store(count.wrapping_add(1), Ordering::Relaxed);
}

impl CallTotals {
    fn add(&mut self, cell: &Cell) {
        let Cell {
            finds,
            reservations,
            refusals,
        } = cell;
        // Relaxed: counters order nothing. A thread that knows of the end of a call sees that
        // call counted.
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

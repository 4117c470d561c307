//! Counters of what a registry has done.
//!
//! A frequent call must not write what other threads write. So each thread counts in a *cell* of
//! its own: its number, from [`crate::sync`], names one that no other thread writes while it has
//! that number. There it adds by a load and a store. When another thread gets the number, it
//! goes on with the cell. Threads without a number share one more cell, and add by
//! read-modify-writes.
//!
//! The cells of a registry are numbered as those of all others, so it has as many as there
//! may be threads with a number.

use crate::errors::{RegisterError, Rejections};
use crate::footprint::Footprint;
use crate::registry::call_counts::{CallCounts, CallTotals};
use crate::registry::request::Registration;
// No model checks counts, and each would have one more step for every find. That numbers of
// threads are handed over rightly has a model of its own.
use crate::sync::unmodelled::AtomicU64;
use crate::sync::{Ordering, Padded, THREAD_INDICES, claim_thread_index, thread_index};

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Counters {
    /// One for each number of a thread, which alone writes to it.
    cells: Box<[Padded<Cell>]>,
    /// For threads without a number.
    shared: Padded<Cell>,
    passes: AtomicU64,
    panics: AtomicU64,
    saves: AtomicU64,
    failed_saves: AtomicU64,
}

/// What a thread does some extra work after, each so many times.
#[derive(Clone, Copy)]
pub(super) enum Occasion {
    Arrival,
    Departure,
}

/// What one thread counted, or some.
#[derive(Debug, Default)]
struct Cell {
    calls: CallCounts,
    registrations: AtomicU64,
    renewals: AtomicU64,
    unregistrations: AtomicU64,
    expirations: AtomicU64,
    refused: AtomicU64,
    occasions: [AtomicU64; 2],
}

/// The sums of all cells.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(super) calls: CallTotals,
    pub(super) registrations: u64,
    pub(super) renewals: u64,
    pub(super) unregistrations: u64,
    pub(super) expirations: u64,
    pub(super) refused: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            cells: (0..THREAD_INDICES).map(|_| Padded::default()).collect(),
            shared: Padded::default(),
            passes: AtomicU64::default(),
            panics: AtomicU64::default(),
            saves: AtomicU64::default(),
            failed_saves: AtomicU64::default(),
        }
    }
}

impl Counters {
    /// Counts a call that looks for relays.
    #[inline(always)]
    pub(super) fn count_find(&self) {
        self.add_one(|cell| &cell.calls.finds);
    }

    /// Counts a call that looks for a relay to take units of.
    #[inline(always)]
    pub(super) fn count_reservation(&self) {
        self.add_one(|cell| &cell.calls.reservations);
    }

    /// Counts a call of either kind that found no relay, by how many relays were rejected for
    /// each reason.
    #[cold]
    pub(super) fn count_refusal(&self, rejections: &Rejections) {
        self.add_one(|cell| cell.calls.of_refusals(rejections));
    }

    pub(super) fn count_registration(&self, outcome: &Result<Registration, RegisterError>) {
        self.add_one(|cell| match outcome {
            Ok(Registration::New | Registration::Returned) => &cell.registrations,
            Ok(Registration::Renewed) => &cell.renewals,
            Err(_) => &cell.refused,
        });
    }

    #[inline(always)]
    pub(super) fn count_renewal(&self) {
        self.add_one(|cell| &cell.renewals);
    }

    pub(super) fn count_unregistration(&self) {
        self.add_one(|cell| &cell.unregistrations);
    }

    pub(super) fn count_expiration(&self) {
        self.add_one(|cell| &cell.expirations);
    }

    /// Counts one more, and returns whether this thread has counted a multiple of `n` now.
    pub(super) fn is_nth(&self, n: u64, occasion: Occasion) -> bool {
        self.add_one(|cell| &cell.occasions[occasion as usize]) % n == 0
    }

    pub(super) fn count_pass(&self) {
        add_one_shared(&self.passes);
    }

    pub(super) fn count_panic(&self) {
        add_one_shared(&self.panics);
    }

    pub(super) fn passes(&self) -> u64 {
        get(&self.passes)
    }

    pub(super) fn panics(&self) -> u64 {
        get(&self.panics)
    }

    #[cfg_attr(not(feature = "persistence"), allow(dead_code))]
    pub(super) fn count_save(&self, has_succeeded: bool) {
        add_one_shared(match has_succeeded {
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

    /// Adds one to a counter of this thread, and returns how many it has now.
    #[inline(always)]
    fn add_one(&self, counter: impl Fn(&Cell) -> &AtomicU64) -> u64 {
        match self.cells.get(thread_index()) {
            Some(cell) => add_one_alone(counter(cell)),
            None => self.add_one_to_new_or_shared(counter),
        }
    }

    #[cold]
    fn add_one_to_new_or_shared(&self, counter: impl Fn(&Cell) -> &AtomicU64) -> u64 {
        match self.cells.get(claim_thread_index()) {
            Some(cell) => add_one_alone(counter(cell)),
            None => add_one_shared(counter(&self.shared)),
        }
    }

    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.each_cell().for_each(|cell| totals.add(cell));
        totals
    }

    /// Relays that left or expired.
    pub(super) fn departures(&self) -> u64 {
        let departures = |cell: &Cell| get(&cell.unregistrations) + get(&cell.expirations);
        self.each_cell().map(departures).sum()
    }

    fn each_cell(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().chain([&self.shared]).map(|cell| &**cell)
    }

    pub(super) fn footprint(&self) -> Footprint {
        Footprint::of_items::<Padded<Cell>>(self.cells.len())
    }
}

impl Totals {
    fn add(&mut self, cell: &Cell) {
        let Cell {
            calls,
            registrations,
            renewals,
            unregistrations,
            expirations,
            refused,
            occasions: _,
        } = cell;
        self.calls.add(calls);
        self.registrations += get(registrations);
        self.renewals += get(renewals);
        self.unregistrations += get(unregistrations);
        self.expirations += get(expirations);
        self.refused += get(refused);
    }
}

/// Adds one to a counter that no other thread changes.
#[inline(always)]
fn add_one_alone(counter: &AtomicU64) -> u64 {
    // Relaxed, both: counters order nothing. If the number of this thread was that of another
    // one before, what that one stored happens before its claim here, so it is not lost.
    let count = counter.load(Ordering::Relaxed).wrapping_add(1);
    counter.store(count, Ordering::Relaxed);
    count
}

/// Adds one to a counter that other threads may change.
fn add_one_shared(counter: &AtomicU64) -> u64 {
    // Relaxed: counters order nothing.
    counter.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
}

/// The count so far. A thread that knows of the end of a call sees that call counted.
fn get(counter: &AtomicU64) -> u64 {
    // Relaxed: counters order nothing.
    counter.load(Ordering::Relaxed)
}

//! The filters that finds ask for, each with forests of its own.
//!
//! A find with a [`Filter`] searches the relays that pass it, as if there were no others. For
//! that, each part of a snapshot has a [forest](super::forest) for each *active* filter. There
//! are at most [16](Filters::MAX) filters: the first ones that are asked for. A find with any
//! other filter searches all relays, and checks each that it meets.
//!
//! # How a filter becomes active
//!
//! 1. A find asks for it. It does not wait and does not allocate: if another thread asks at
//!    that moment, a later find does it.
//! 2. A maintenance pass *installs* it. From here on, a registration computes for each
//!    installed filter whether its relay passes, and keeps that in the policy of the record.
//! 3. The pass touches the admission word, and then computes the same for each record. A
//!    registration from before step 2 was admitted, and the pass sees its record; or it is
//!    admitted after the touch, sees the filter then, and computes it itself. A relay may be
//!    renewed beside the visit. Then the thread that renews it computes the same for what it
//!    announces now (`copy_policy` in `table/policy_updates.rs`).
//! 4. The pass *activates* the filter: each part that is made from now on has a forest for
//!    it. The next merge follows.
//!
//! If there is no memory for the policies of all records, filters are given up: finds check
//! each relay that they meet.

use crate::relay::Filter;
use crate::sync::{Arc, AtomicU32, Mutex, OnceBox, Ordering};
use crate::table::record::Announcement;
use std::fmt;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FilterId(u8);

impl FilterId {
    /// Its bit among those of all filters.
    #[inline]
    pub(crate) fn bit(self) -> u32 {
        1 << self.0
    }
}

/// See the module's description.
pub(crate) struct Filters {
    filters: [OnceBox<Arc<Filter>>; Filters::MAX],
    /// A bit for each that registrations compute.
    installed: AtomicU32,
    /// A bit for each active filter. One more bit, [`GIVEN_UP`], is set if there was no memory:
    /// then no filter is active, whatever the other bits say. It is never cleared, so a thread
    /// that activates a filter at that moment does not undo it.
    active: AtomicU32,
    /// Those that were asked for; its memory is taken at the start.
    wanted: Mutex<Vec<Arc<Filter>>>,
}

const GIVEN_UP: u32 = 1 << 31;
const _: () = assert!(Filters::MAX < 31);

impl Filters {
    /// The most filters with forests.
    pub(crate) const MAX: usize = if cfg!(relay_loom) { 1 } else { 16 };

    pub(super) fn new() -> Self {
        Self {
            filters: std::array::from_fn(|_| OnceBox::new()),
            installed: AtomicU32::default(),
            active: AtomicU32::default(),
            wanted: Mutex::new(Vec::with_capacity(Self::MAX)),
        }
    }

    /// Whether registrations have to compute any.
    #[inline]
    pub(crate) fn are_any(&self) -> bool {
        // Acquire: with the bits come the filters.
        self.installed.load(Ordering::Acquire) != 0
    }

    /// A bit for each installed filter that a relay with this announcement passes.
    pub(crate) fn passed_by(&self, announcement: &Announcement) -> u32 {
        // Acquire: with the bits come the filters.
        let installed = each(self.installed.load(Ordering::Acquire));
        let passes = |filter: &FilterId| {
            let filter = self.get(*filter);
            filter.is_some_and(|filter| announcement.passes(filter))
        };
        installed.filter(passes).fold(0, |bits, it| bits | it.bit())
    }

    fn get(&self, id: FilterId) -> Option<&Arc<Filter>> {
        self.filters[usize::from(id.0)].get()
    }

    /// Those for which parts made from now on have a forest.
    pub(crate) fn active(&self) -> impl Iterator<Item = FilterId> {
        // Acquire: the records have been computed.
        let active = self.active.load(Ordering::Acquire);
        each(if active & GIVEN_UP == 0 { active } else { 0 })
    }

    /// The number of a filter, if it is active. If it is not known, it is asked for.
    pub(crate) fn find(&self, filter: &Arc<Filter>) -> Option<FilterId> {
        if let Some(active) = self.active().find(|&id| self.is(id, filter)) {
            return Some(active);
        }
        self.ask_for(filter);
        None
    }

    fn is(&self, id: FilterId, filter: &Arc<Filter>) -> bool {
        self.get(id)
            .is_some_and(|known| Arc::ptr_eq(known, filter) || known == filter)
    }

    #[cold]
    fn ask_for(&self, filter: &Arc<Filter>) {
        // Relaxed: a hint.
        let installed = self.installed.load(Ordering::Relaxed);
        let is_full = installed.count_ones() as usize == Self::MAX;
        if is_full || self.are_given_up() {
            return;
        }
        if each(installed).any(|id| self.is(id, filter)) {
            return;
        }
        if let Some(mut wanted) = self.wanted.try_lock() {
            if wanted.len() < Self::MAX && !wanted.contains(filter) {
                wanted.push(Arc::clone(filter));
            }
        }
    }

    /// Installs the filters that were asked for; a bit for each.
    pub(crate) fn install_wanted(&self) -> u32 {
        let mut wanted = self.wanted.lock();
        let mut bits = 0;
        for filter in wanted.drain(..) {
            // Relaxed: changed only with the lock.
            let installed = self.installed.load(Ordering::Relaxed);
            let is_known = each(installed).any(|id| self.is(id, &filter));
            let next = installed.count_ones() as u8;
            if is_known || usize::from(next) == Self::MAX {
                continue;
            }
            let id = FilterId(next);
            self.filters[usize::from(next)].get_or_init(|| filter);
            // Release: with the bit goes the filter.
            self.installed.fetch_or(id.bit(), Ordering::Release);
            bits |= id.bit();
        }
        bits
    }

    /// The parts that are made from now on have a forest for these.
    pub(crate) fn activate(&self, bits: u32) {
        // Release: the records have been computed.
        self.active.fetch_or(bits, Ordering::Release);
    }

    /// There is no memory to compute them for every record.
    #[cold]
    pub(crate) fn give_up(&self) {
        // Relaxed: a find that sees this late may have searched a forest without the record.
        self.active.fetch_or(GIVEN_UP, Ordering::Relaxed);
    }

    fn are_given_up(&self) -> bool {
        self.active.load(Ordering::Relaxed) & GIVEN_UP != 0
    }
}

fn each(bits: u32) -> impl Iterator<Item = FilterId> {
    let ids = (0..Filters::MAX as u8).map(FilterId);
    ids.filter(move |id| bits & id.bit() != 0)
}

impl fmt::Debug for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let installed = each(self.installed.load(Ordering::Acquire));
        let filters = installed.filter_map(|id| self.get(id));
        f.debug_list().entries(filters).finish()
    }
}

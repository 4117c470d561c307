//! The storage of all records and announcements of one registry.
//!
//! # Bounds
//!
//! [`permits`](super::permits) has the numbers. Before [`take_record`](Store::take_record)
//! fails, or uses a never-used slot, it frees one [batch](super::reclaim) of reclaimable
//! records.
//!
//! # Invariants
//!
//! - A record is retired once: by the thread that closed it to forget it.
//! - An unreachable record without leases is freed once: by the thread that took it from
//!   those [reclaimable](super::reclaim), or by the last lease, which finds the flag that
//!   this thread set.
//! - A lease may outlive the registry. For each record that has leases then, one reference
//!   to the store is left, which the last lease of the record drops.

use crate::events::EventLog;
use crate::footprint::Footprint;
use crate::limits::MAX_CAPACITY;
use crate::sync::epoch::Guard;
use crate::sync::{Arc, AtomicBool, AtomicU32, Ordering, Padded, UnsafeCell, Zeroable};
use crate::table::admission_word::INDICES;
use crate::table::permits::{Permits, SPARE_PERMITS, announcements};
use crate::table::record::{
    Announcement, Extra, Handle, Load, Parts, Policies, Policy, Record, Subject,
};
use crate::table::segments::Segments;
use crate::table::slab::Slab;
use crate::table::snapshot::{Publication, SelectionSettings};
use crate::table::stack::{Chain, Stack, TaggedStack};
use crate::time::Watch;
use crate::wheel::Inbox;
use std::iter;
use std::mem::MaybeUninit;

/// How many records, or announcements, a thread frees at a time. As many of the one as of the
/// other: a record and an announcement that were taken together should be taken together
/// again.
const BATCH: usize = if cfg!(relay_loom) { 1 } else { 64 };

/// Records and announcements of one registry.
pub(super) struct Store {
    records: Slab<Record>,
    /// One for each record.
    extras: Segments<Extra>,
    policies: Policies,
    /// How many records there is usually room for.
    usual: u32,
    announcements: Slab<AnnouncementCell>,
    pub(super) permits: Padded<Permits>,
    /// Records retired and neither freed yet nor left to their leases.
    awaiting: Padded<AtomicU32>,
    /// Announcements that no lifecycle word names any more and that are not yet freed.
    superseded: Padded<AtomicU32>,
    retired_records: Stack,
    retired_announcements: Stack,
    /// What no thread can reach any more, to be freed in batches.
    reclaimable_records: TaggedStack,
    reclaimable_announcements: TaggedStack,
    /// Whether a round of reclamation is under way.
    pub(super) round: AtomicBool,
    /// Records that are not yet on the wheel, or have to be moved there.
    pub(super) inbox: Inbox,
    /// The snapshot that finds search.
    pub(super) publication: Publication,
}

/// What was retired before a round began.
pub(super) struct Retired {
    records: Option<Chain>,
    announcements: Option<Chain>,
}

/// No record or announcement is left: all wait for a thread that stays pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted;

#[repr(align(64))]
struct AnnouncementCell(UnsafeCell<MaybeUninit<Announcement>>);

#[cfg(not(relay_loom))]
const _: () = assert!(size_of::<AnnouncementCell>() == 64);

// SAFETY: uninitialised content has no invalid bit pattern.
unsafe impl Zeroable for AnnouncementCell {
    fn vacant() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }
}

// SAFETY: content is written only by the one thread that took the cell, before
// it is published, and dropped only once unreachable; in between it is shared
// for reading, and an announcement is `Sync`.
unsafe impl Sync for AnnouncementCell {}
// SAFETY: an announcement is `Send`.
unsafe impl Send for AnnouncementCell {}

impl Store {
    /// Room for `max_relays` live relays and those in reclamation; `None` when
    /// the memory is not to be had.
    pub(super) fn new(
        max_relays: usize,
        settings: SelectionSettings,
        watch: Watch,
        events: Arc<EventLog>,
    ) -> Option<Self> {
        // The others are allocated once so many are in reclamation or leased.
        let usual = u32::try_from(max_relays + SPARE_PERMITS).ok()?;
        let permits = Permits::new(max_relays)?;
        let announcements = u32::try_from(announcements(max_relays)).ok()?;
        Some(Self {
            records: Slab::new(usual, INDICES)?,
            extras: Segments::new(usual)?,
            policies: Policies::new(),
            usual,
            announcements: Slab::new(usual, announcements)?,
            permits: Padded(permits),
            awaiting: Padded(AtomicU32::default()),
            superseded: Padded(AtomicU32::default()),
            retired_records: Stack::default(),
            retired_announcements: Stack::default(),
            reclaimable_records: TaggedStack::default(),
            reclaimable_announcements: TaggedStack::default(),
            round: AtomicBool::default(),
            inbox: Inbox::default(),
            publication: Publication::new(settings, watch, events),
        })
    }

    /// The record at an index that is in use.
    #[inline]
    pub(super) fn record(&self, index: u32) -> &Record {
        self.records.get(index)
    }

    /// What goes with that record.
    #[inline]
    pub(super) fn extra(&self, index: u32) -> &Extra {
        self.extras.get(index)
    }

    /// The record that a handle names, for its leaves.
    #[inline]
    pub(super) fn subject(&self, handle: Handle) -> Subject<'_> {
        self.parts(handle.index).with_handle(handle)
    }

    /// A record with what goes with it.
    #[inline]
    pub(super) fn parts(&self, index: u32) -> Parts<'_> {
        Parts {
            record: self.record(index),
            extra: self.extra(index),
            policies: &self.policies,
            index,
        }
    }

    /// Whether any record may have a policy that is not the default.
    #[inline]
    pub(super) fn has_policies(&self) -> bool {
        self.policies.are_any()
    }

    /// The policy of a record; `None` if no memory was taken for it, which means the default.
    #[inline]
    pub(super) fn policy(&self, index: u32) -> Option<&Policy> {
        self.policies.get(index)
    }

    /// The same, with room for one; `None` when the memory is not to be had.
    pub(super) fn ensure_policy(&self, index: u32) -> Option<&Policy> {
        self.policies.ensure(index, self.usual)
    }

    /// One more than the highest index that was ever in use.
    pub(super) fn high_water(&self) -> u32 {
        self.records.high_water()
    }

    /// Of all records, with what goes with them.
    pub(super) fn footprint_of_records(&self) -> Footprint {
        let used = self.high_water();
        self.records.footprint() + self.extras.footprint(used) + self.policies.footprint(used)
    }

    /// Of all announcements, without what they point to.
    pub(super) fn footprint_of_announcements(&self) -> Footprint {
        self.announcements.footprint()
    }

    /// Records retired and neither freed yet nor left to their leases.
    pub(super) fn awaiting_reclamation(&self) -> usize {
        // Relaxed, here and below: a count that carries nothing but itself.
        self.awaiting.load(Ordering::Relaxed) as usize
    }

    /// Announcements that no lifecycle word names any more and that are not yet freed.
    pub(super) fn superseded(&self) -> usize {
        self.superseded.load(Ordering::Relaxed) as usize
    }

    /// Takes a record, private to the caller until published.
    pub(super) fn take_record(&self, guard: &Guard) -> Result<u32, Exhausted> {
        let has_permit = self.permits.take();
        if !has_permit {
            // What is reclaimable holds permits.
            self.free_records(guard);
            if !self.permits.take() {
                return Err(Exhausted);
            }
        }
        // A call frees at most one batch.
        let taken = self.take_record_permitted(guard, has_permit);
        if taken.is_none() {
            self.permits.release();
        }
        taken.ok_or(Exhausted)
    }

    /// The same, for a thread that has a permit for it.
    pub(super) fn take_record_permitted(&self, guard: &Guard, may_refill: bool) -> Option<u32> {
        let refill =
            || may_refill && !self.reclaimable_records.is_empty() && self.free_records(guard);
        let index = self.records.take(guard, refill)?;
        if self.extras.ensure(index).is_none() {
            self.records.release(index);
            return None;
        }
        Some(index)
    }

    /// Frees a record that was never published.
    pub(super) fn return_record(&self, index: u32) {
        self.records.release(index);
        self.permits.release();
    }

    /// Stores an announcement; the caller publishes or returns it.
    ///
    /// Its capacity is within the bounds from here on: the load word has no room for more.
    pub(super) fn put_announcement(
        &self,
        mut announcement: Announcement,
        guard: &Guard,
    ) -> Result<u32, Exhausted> {
        debug_assert!((1..=MAX_CAPACITY).contains(&announcement.capacity));
        announcement.capacity = announcement.capacity.clamp(1, MAX_CAPACITY);
        let refill =
            || !self.reclaimable_announcements.is_empty() && self.free_announcements(guard);
        let index = self.announcements.take(guard, refill).ok_or(Exhausted)?;
        self.announcements.get(index).0.with_mut(|content| {
            // SAFETY: the cell was taken from the slab, so it is this
            // thread's alone and its former content was dropped.
            unsafe { (*content).write(announcement) };
        });
        Ok(index)
    }

    /// The announcement that a record's lifecycle word names.
    ///
    /// # Safety
    ///
    /// `index` was read from a lifecycle word under `_guard`, or the
    /// announcement was put by this thread and not yet published.
    #[inline]
    pub(super) unsafe fn announcement<'g>(
        &'g self,
        index: u32,
        _guard: &'g Guard,
    ) -> &'g Announcement {
        self.announcements.get(index).0.with(|content| {
            // SAFETY: it was filled before it was published, and is not
            // dropped while a thread is pinned that read the word.
            unsafe { (*content).assume_init_ref() }
        })
    }

    /// Prefetches the announcement at an index, if there is one.
    #[inline]
    pub(super) fn prefetch_announcement(&self, index: u32) {
        self.announcements.prefetch(index);
    }

    /// Frees an announcement that was never published.
    pub(super) fn return_announcement(&self, index: u32) {
        self.announcements.get(index).0.with_mut(|content| {
            // SAFETY: filled, and no other thread can reach it: never
            // published, or unreachable (the only other caller's case).
            unsafe { (*content).assume_init_drop() };
        });
        self.announcements.release(index);
    }

    /// Retires an announcement that no lifecycle word names any more.
    pub(super) fn retire_announcement(&self, index: u32, guard: &Guard) {
        self.push_retired_announcement(index);
        self.begin_round_if_none(guard);
    }

    /// If a round is under way, the next one takes what was retired since.
    fn begin_round_if_none(&self, guard: &Guard) {
        let _ = self.begin_round(guard);
    }

    fn push_retired_announcement(&self, index: u32) {
        // Relaxed, as all changes of this count.
        self.superseded.fetch_add(1, Ordering::Relaxed);
        let link = self.announcements.link(index);
        self.retired_announcements.push(index, link);
    }

    /// Retires a closed record, which is out of its bucket, and its announcement; once, by the
    /// thread that closed it.
    pub(super) fn retire(&self, record: u32, announcement: Option<u32>, guard: &Guard) {
        // Relaxed, as all changes of this count.
        self.awaiting.fetch_add(1, Ordering::Relaxed);
        let link = self.records.link(record);
        self.retired_records.push(record, link);
        match announcement {
            Some(announcement) => self.retire_announcement(announcement, guard),
            None => self.begin_round_if_none(guard),
        }
    }

    pub(super) fn has_retired(&self) -> bool {
        !(self.retired_records.is_empty() && self.retired_announcements.is_empty())
    }

    /// Takes all that is retired so far.
    pub(super) fn take_retired(&self) -> Retired {
        Retired {
            records: self.retired_records.take_all(),
            announcements: self.retired_announcements.take_all(),
        }
    }

    /// To be called when no pinned thread can reach these. Splices both chains in O(1).
    pub(super) fn make_reclaimable(&self, retired: Retired) {
        if let Some(records) = retired.records {
            self.reclaimable_records
                .push(records, |index| self.records.link(index));
        }
        if let Some(announcements) = retired.announcements {
            self.reclaimable_announcements
                .push(announcements, |index| self.announcements.link(index));
        }
    }

    /// Frees a batch of the reclaimable records; whether there were any.
    #[cold]
    pub(super) fn free_records(&self, _pinned: &Guard) -> bool {
        let link_of = |index| self.records.link(index);
        let taken = iter::from_fn(|| self.reclaimable_records.pop(link_of));
        free_batch(taken, |index| self.on_unreachable(index))
    }

    /// Frees a batch of the reclaimable announcements; whether there were any.
    #[cold]
    pub(super) fn free_announcements(&self, _pinned: &Guard) -> bool {
        let link_of = |index| self.announcements.link(index);
        let taken = iter::from_fn(|| self.reclaimable_announcements.pop(link_of));
        free_batch(taken, |index| {
            self.return_announcement(index);
            self.superseded.fetch_sub(1, Ordering::Relaxed);
        })
    }

    /// Only leases can reach the record any more; for the thread that took it from those
    /// reclaimable.
    pub(super) fn on_unreachable(&self, index: u32) {
        let before = self.record(index).set_flags(Load::UNREACHABLE);
        debug_assert!(before.is_closed());
        self.awaiting.fetch_sub(1, Ordering::Relaxed);
        self.permits.release();
        if before.leases() == 0 {
            self.free_record(index);
        }
    }

    /// Frees an unreachable record without leases.
    pub(super) fn free_record(&self, index: u32) {
        self.records.release(index);
    }

    /// Pushes a record that is kept to the inbox of the wheel, for it may have no reason any
    /// more.
    #[cold]
    pub(super) fn reconsider(&self, index: u32) {
        if self.record(index).lifecycle().is_kept() {
            self.inbox.push(index, self.extra(index).inbox_link());
        }
    }

    /// The registry is being dropped: makes every record vacant, and leaves a reference to the
    /// store for each that has leases.
    ///
    /// Calls through leases, releases and deferred reclamation may be under way. So the
    /// announcements are retired, for the last round to take.
    ///
    /// # Safety
    ///
    /// No operation of the table is under way or begins later.
    pub(super) unsafe fn detach(self: &Arc<Self>) {
        for index in 0..self.high_water() {
            let record = self.record(index);
            if let Some(announcement) = record.vacate().announced() {
                self.push_retired_announcement(announcement);
            }
            // Before the flag: the last lease may drop it at once.
            let reference = Arc::clone(self);
            if record.set_flags(Load::CLOSED | Load::DETACHED).leases() > 0 {
                // The record's last lease drops it.
                std::mem::forget(reference);
            }
        }
    }
}

/// Frees the first items of these, a batch at most; whether there were any.
fn free_batch(taken: impl Iterator<Item = u32>, free: impl Fn(u32)) -> bool {
    let mut were_any = false;
    for index in taken.take(BATCH) {
        free(index);
        were_any = true;
    }
    were_any
}

/// Models keep what is deferred, so whatever frees a store there does so early.
#[cfg(all(test, relay_loom))]
impl Drop for Store {
    fn drop(&mut self) {
        panic!("a store was freed that was yet to be deferred");
    }
}

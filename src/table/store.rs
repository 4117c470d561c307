//! The storage of all records and announcements of one registry.
//!
//! # Bounds
//!
//! [`bounds`](super::bounds) has the numbers. Before [`take_record`](Store::take_record)
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
use crate::sync::{Arc, Ordering, UnsafeCell, Zeroable};
use crate::table::bounds::{announcements, records, usual_records};
use crate::table::record::{
    Announcement, Extra, Handle, Lifecycle, Load, Parts, Policies, Policy, Record, Subject,
};
use crate::table::segments::Segments;
use crate::table::shards::admission_word::INDICES;
use crate::table::shards::{FreeItems, Shard, ShardId, ShardLayout, Shards};
use crate::table::slab::{Freed, Slab};
use crate::table::snapshot::{PendingChanges, Publication, SelectionSettings};
use crate::table::stack::{Chain, Stack};
use crate::time::Watch;
use std::mem::MaybeUninit;

/// How many records, or announcements, a thread frees at a time.
const BATCH: u32 = if cfg!(relay_loom) { 1 } else { 64 };

/// With so many retired items a thread begins a round: a round costs far more than what it is for,
/// and those that follow cost less together. 2^8 is a multiple.
const PER_ROUND: u32 = if cfg!(relay_loom) { 1 } else { 32 };

const _: () = assert!(INDICES as u64 <= Stack::INDICES);
const _: () = assert!(Lifecycle::ANNOUNCEMENTS as u64 <= Stack::INDICES);

/// How many lines there are for departures.
const DEPARTURE_LINES: usize = if cfg!(relay_loom) { 1 } else { 8 };

/// Records and announcements of one registry.
pub(super) struct Store {
    records: Slab<Record>,
    /// One for each record.
    extras: Segments<Extra>,
    policies: Policies,
    /// How many records there is usually room for.
    usual: u32,
    announcements: Slab<AnnouncementCell>,
    pub(super) shards: Shards,
    /// Departures begun, and perhaps not yet counted out.
    pub(super) departures: PendingChanges<DEPARTURE_LINES>,
    /// How many records a shard may use that are not exempt, and how many announcements.
    record_bound: u32,
    announcement_bound: u32,
    /// The snapshot that finds search.
    pub(super) publication: Publication,
}

/// What was retired in a shard before a round began.
pub(super) struct Retired {
    pub(super) records: Option<Chain>,
    pub(super) announcements: Option<Chain>,
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
        layout: ShardLayout,
        settings: SelectionSettings,
        watch: Watch,
        events: Arc<EventLog>,
    ) -> Option<Self> {
        // The others are allocated once so many are in reclamation or leased.
        let usual = layout.indices_for(u32::try_from(usual_records(max_relays)).ok()?);
        let announcements = u32::try_from(announcements(max_relays)).ok()?;
        Some(Self {
            records: Slab::new(usual, INDICES, layout)?,
            extras: Segments::new(usual)?,
            policies: Policies::new(),
            usual,
            announcements: Slab::new(usual, Lifecycle::ANNOUNCEMENTS as u32, layout)?,
            shards: Shards::new(u32::try_from(max_relays).ok()?, layout),
            departures: PendingChanges::default(),
            record_bound: layout.share_of(u32::try_from(records(max_relays)).ok()?),
            announcement_bound: layout.share_of(announcements),
            publication: Publication::new(layout.count(), settings, watch, events),
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

    /// The shard of the record or announcement at an index.
    #[inline]
    pub(super) fn shard_of(&self, index: u32) -> &Shard {
        self.shards.of_index(index)
    }

    /// One more than the highest index that was ever in use.
    pub(super) fn high_water(&self) -> u32 {
        self.highest(|shard| &shard.records)
    }

    fn highest(&self, items: impl Fn(&Shard) -> &FreeItems) -> u32 {
        let layout = self.shards.layout();
        let high_water = |(id, shard)| layout.high_water(id, items(shard));
        self.shards.iter().map(high_water).max().unwrap_or(0)
    }

    /// Of all records, with what goes with them.
    pub(super) fn footprint_of_records(&self) -> Footprint {
        let used = self.high_water();
        self.records.footprint(used) + self.extras.footprint(used) + self.policies.footprint(used)
    }

    /// Of all announcements, without what they point to.
    pub(super) fn footprint_of_announcements(&self) -> Footprint {
        let used = self.highest(|shard| &shard.announcements);
        self.announcements.footprint(used)
    }

    /// Records retired and neither freed yet nor left to their leases. While other threads retire
    /// records, it may miss a few of the latest, up to [`PER_ROUND`] of each shard.
    pub(super) fn awaiting_reclamation(&self) -> usize {
        let newest = |(_, shard): (_, &Shard)| not_in_awaiting(shard.retired_records.count());
        let newest: u32 = self.shards.iter().map(newest).sum();
        self.shards.sum(|shard| &shard.awaiting) + newest as usize
    }

    /// Announcements that no lifecycle word names any more and that are not yet freed.
    pub(super) fn superseded(&self) -> usize {
        self.shards.sum(|shard| &shard.superseded)
    }

    /// Takes a record of a shard, private to the caller until published.
    #[inline(always)]
    pub(super) fn take_record(&self, id: ShardId, guard: &Guard) -> Result<u32, Exhausted> {
        let shard = self.shards.get(id);
        let from = shard.free_records(id);
        let refill = || self.refill(shard, id, guard);
        let bound = || self.record_bound.saturating_add_signed(shard.exempt());
        let taken = self.records.take(from, guard, refill, bound);
        let index = taken.ok_or(Exhausted)?;
        if self.extras.ensure(index).is_none() {
            self.free_record(index);
            return Err(Exhausted);
        }
        Ok(index)
    }

    /// Frees a batch of records with their announcements; false if none are reclaimable. Then it
    /// begins a round with what is retired.
    fn refill(&self, shard: &Shard, id: ShardId, guard: &Guard) -> bool {
        if !shard.reclaimable_records.is_empty() {
            return self.free_records(id, guard);
        }
        if shard.has_retired() {
            self.begin_round_if_none(id, guard);
        }
        false
    }

    /// Frees a record that was never published.
    pub(super) fn return_record(&self, index: u32) {
        self.free_record(index);
    }

    /// Stores the first announcement of a record that was taken, in the cell that goes with it if
    /// there is one; otherwise as [`put_announcement`](Self::put_announcement) does.
    #[inline(always)]
    pub(super) fn put_announcement_of(
        &self,
        record: u32,
        id: ShardId,
        announcement: Announcement,
        guard: &Guard,
    ) -> Result<u32, Exhausted> {
        let extra = self.extra(record);
        let Some(index) = extra.kept_announcement() else {
            return self.put_announcement(id, announcement, guard);
        };
        extra.keep_announcement(None);
        self.fill(index, announcement);
        Ok(index)
    }

    /// Stores an announcement of a relay of a shard; the caller publishes or returns it.
    pub(super) fn put_announcement(
        &self,
        id: ShardId,
        announcement: Announcement,
        guard: &Guard,
    ) -> Result<u32, Exhausted> {
        let index = self.take_announcement(id, guard).ok_or(Exhausted)?;
        self.fill(index, announcement);
        Ok(index)
    }

    fn take_announcement(&self, id: ShardId, guard: &Guard) -> Option<u32> {
        let shard = self.shards.get(id);
        let from = shard.free_announcements(id);
        let reclaimable = &shard.reclaimable_announcements;
        let refill = || match reclaimable.is_empty() {
            true => self.refill(shard, id, guard),
            false => self.free_announcements(id, guard),
        };
        // Records that were exempt may have a cell each, too.
        let bound = || {
            // Relaxed: a number, for a bound.
            let records = shard.records.used.load(Ordering::Relaxed);
            self.announcement_bound + records.saturating_sub(self.record_bound)
        };
        self.announcements.take(from, guard, refill, bound)
    }

    /// Stores an announcement in a cell that this thread took, from the slab or with a record.
    ///
    /// Its capacity is within the bounds from here on: the load word has no room for more.
    #[inline(always)]
    fn fill(&self, index: u32, mut announcement: Announcement) {
        debug_assert!((1..=MAX_CAPACITY).contains(&announcement.capacity));
        announcement.capacity = announcement.capacity.clamp(1, MAX_CAPACITY);
        self.announcements.get(index).0.with_mut(|content| {
            // SAFETY: the cell is this thread's alone, and its former content was dropped.
            unsafe { (*content).write(announcement) };
        });
    }

    /// Takes away the cell that goes with a record, if there is one, to be freed.
    fn part_with_announcement(&self, record: u32, freed: &mut Freed) {
        let extra = self.extra(record);
        if let Some(index) = extra.kept_announcement() {
            extra.keep_announcement(None);
            self.announcements.free_later(freed, index);
        }
    }

    /// The same, freed at once: for a record that has no announcement.
    pub(super) fn free_announcement_of(&self, record: u32, id: ShardId) {
        let mut freed = Freed::default();
        self.part_with_announcement(record, &mut freed);
        let free = self.shards.get(id).free_announcements(id);
        self.announcements.release(free, freed);
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
        self.drop_announcement(index);
        let id = self.shards.layout().of_index(index);
        let free = self.shards.get(id).free_announcements(id);
        self.announcements.release_one(free, index);
    }

    /// Of an announcement that was never published, or that no thread can reach any more.
    fn drop_announcement(&self, index: u32) {
        self.announcements.get(index).0.with_mut(|content| {
            // SAFETY: filled, and no other thread can reach it.
            unsafe { (*content).assume_init_drop() };
        });
    }

    /// Retires an announcement that no lifecycle word names any more.
    pub(super) fn retire_announcement(&self, index: u32, guard: &Guard) {
        if self.push_retired_announcement(index) {
            self.begin_round_if_none(self.shards.layout().of_index(index), guard);
        }
    }

    /// If a round is under way, the next one takes what was retired since.
    fn begin_round_if_none(&self, shard: ShardId, guard: &Guard) {
        let _ = self.begin_round(shard, guard);
    }

    /// Whether it is time to begin a round.
    #[cfg_attr(relay_loom, allow(clippy::modulo_one))] // Models begin one each time.
    fn push_retired_announcement(&self, index: u32) -> bool {
        let shard = self.shard_of(index);
        // Relaxed, as all changes of this count.
        let before = shard.superseded.fetch_add(1, Ordering::Relaxed);
        let link = self.announcements.link(index);
        shard.retired_announcements.push(index, link);
        before % PER_ROUND == 0
    }

    /// Retires a closed record, which is out of its bucket, with its announcement; once, by the
    /// thread that closed it.
    #[inline(always)]
    pub(super) fn retire(
        &self,
        (index, shard_id): (u32, ShardId),
        announcement: Option<u32>,
        guard: &Guard,
    ) {
        let shard = self.shards.get(shard_id);
        self.extra(index).keep_announcement(announcement);
        let retired = shard.retired_records.push(index, self.records.link(index));
        if not_in_awaiting(retired) == 0 {
            // Relaxed, as all changes of this count.
            shard.awaiting.fetch_add(PER_ROUND, Ordering::Relaxed);
            self.begin_round_if_none(shard_id, guard);
        }
    }

    /// To be called when no pinned thread can reach these. Splices both chains in O(1).
    pub(super) fn make_reclaimable(&self, shard: &Shard, retired: Retired) {
        if let Some(records) = retired.records {
            let link_of = |index| self.records.link(index);
            shard.reclaimable_records.push(records, link_of);
        }
        if let Some(announcements) = retired.announcements {
            let link_of = |index| self.announcements.link(index);
            shard.reclaimable_announcements.push(announcements, link_of);
        }
    }

    /// Frees a batch of the reclaimable records of a shard, and their announcements; whether there
    /// were any. The cell of an announcement goes with its record, which has it when it is taken
    /// again; but not with a record that leases still reach.
    #[cold]
    pub(super) fn free_records(&self, id: ShardId, _pinned: &Guard) -> bool {
        let shard = self.shards.get(id);
        let link_of = |index| self.records.link(index);
        let find_link = |index| self.records.find_link(index);
        let Some((freed, count)) = shard.reclaimable_records.pop_chain(BATCH, find_link) else {
            return false;
        };
        let (mut records, mut announcements) = (Freed::default(), Freed::default());
        for index in freed.into_items(link_of) {
            if let Some(announcement) = self.extra(index).kept_announcement() {
                self.drop_announcement(announcement);
                if self.record(index).load().leases() > 0 {
                    self.part_with_announcement(index, &mut announcements);
                }
            }
            if self.is_unreachable_to_all(index) {
                self.records.free_later(&mut records, index);
            }
        }
        self.announcements
            .release(shard.free_announcements(id), announcements);
        self.records.release(shard.free_records(id), records);
        shard.awaiting.fetch_sub(count, Ordering::Relaxed);
        true
    }

    /// Frees a batch of the reclaimable announcements of a shard; whether there were any.
    #[cold]
    pub(super) fn free_announcements(&self, id: ShardId, _pinned: &Guard) -> bool {
        let shard = self.shards.get(id);
        let link_of = |index| self.announcements.link(index);
        let find_link = |index| self.announcements.find_link(index);
        let reclaimable = &shard.reclaimable_announcements;
        let Some((freed, count)) = reclaimable.pop_chain(BATCH, find_link) else {
            return false;
        };
        let mut announcements = Freed::default();
        for index in freed.into_items(link_of) {
            self.drop_announcement(index);
            self.announcements.free_later(&mut announcements, index);
        }
        self.announcements
            .release(shard.free_announcements(id), announcements);
        shard.superseded.fetch_sub(count, Ordering::Relaxed);
        true
    }

    /// Marks a record that only leases can reach any more; whether none does. For the thread that
    /// took it from those reclaimable.
    pub(super) fn is_unreachable_to_all(&self, index: u32) -> bool {
        // It is closed, so no lease is added to none.
        if self.record(index).load().leases() == 0 {
            return true;
        }
        let before = self.record(index).set_flags(Load::UNREACHABLE);
        debug_assert!(before.is_closed());
        let has_leases = before.leases() > 0;
        if has_leases {
            self.shard_of(index).exempt_one();
        }
        !has_leases
    }

    /// Frees an unreachable record whose last lease was released.
    pub(super) fn free_leased_record(&self, index: u32) {
        self.shard_of(index).exempt_one_less();
        self.free_record(index);
    }

    fn free_record(&self, index: u32) {
        let id = self.shards.layout().of_index(index);
        let free = self.shards.get(id).free_records(id);
        self.records.release_one(free, index);
    }

    /// Pushes a record to the inbox of the wheel.
    #[inline]
    pub(super) fn push_to_inbox(&self, index: u32) {
        let link = self.extra(index).inbox_link();
        self.shard_of(index).inbox.push(index, link);
    }

    /// Pushes a record that is kept to the inbox of the wheel, for it may have no reason any
    /// more.
    #[cold]
    pub(super) fn reconsider(&self, index: u32) {
        if self.record(index).lifecycle().is_kept() {
            self.push_to_inbox(index);
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
                let _ = self.push_retired_announcement(announcement);
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

/// Of so many retired records that no round has taken, how many are not in the count of those
/// awaiting reclamation: so that few threads write that.
#[cfg_attr(relay_loom, allow(clippy::modulo_one))] // Models begin a round each time.
pub(super) fn not_in_awaiting(retired: u8) -> u32 {
    u32::from(retired) % PER_ROUND
}

/// Models keep what is deferred, so whatever frees a store there does so early.
#[cfg(all(test, relay_loom))]
impl Drop for Store {
    fn drop(&mut self) {
        panic!("a store was freed that was yet to be deferred");
    }
}

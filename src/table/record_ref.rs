//! A record as the users of the table see it: found, and protected by a guard.
//!
//! Each operation here is safe for every record and every caller, because the types carry
//! what it relies on:
//!
//! - [`RecordRef`]: a pinned thread found the record;
//! - [`ObservedRecord`]: this lifecycle word was read from this record, under this guard;
//! - [`LiveRecord`]: and the word was live, so it names an announcement.
//!
//! A word comes only from the first two. So no call can be given the word of another record,
//! nor one that was read under a guard that has ended.

use crate::limits::MAX_CAPACITY;
use crate::relay::{Cost, NodeId};
use crate::sync::epoch::Guard;
use crate::sync::{Arc, prefetch};
#[cfg(feature = "persistence")]
use crate::table::record::RttSample;
use crate::table::record::{
    Announcement, Circuit, Extra, Handle, Lifecycle, Load, Measurement, Parts, Policy, PolicyWord,
    Record, RttUpdate, Second, Subject,
};
use crate::table::snapshot::{Arrival, PendingChange, Publication, Weight};
use crate::table::store::{Exhausted, Store};
use crate::time::Tick;
use std::cell::Cell;
use std::convert::Infallible;
use std::ops::Deref;

/// A record that is not reused for another id while its guard exists. Its relay may depart
/// and return meanwhile.
///
/// It is made where a pinned thread found the record in its bucket, by a handle of the present
/// generation, or not vacant. `Record::identity` then reads one id, unless the record was seen
/// staged: such a record may be withdrawn and reused at once.
#[derive(Clone, Copy)]
pub(crate) struct RecordRef<'g> {
    pub(super) record: &'g Record,
    pub(super) index: u32,
    pub(super) store: &'g Arc<Store>,
    pub(super) guard: &'g Guard,
}

/// A record and a lifecycle word that was read from it under the guard.
///
/// The word may have been replaced since. The announcement that it names is not dropped
/// before the guard is.
#[derive(Clone, Copy)]
pub(crate) struct ObservedRecord<'g> {
    seen: RecordRef<'g>,
    word: Lifecycle,
}

/// An [`ObservedRecord`] whose word was live: there is an announcement that it names.
#[derive(Clone, Copy)]
pub(crate) struct LiveRecord<'g> {
    seen: RecordRef<'g>,
    word: Lifecycle,
}

impl<'g> RecordRef<'g> {
    #[inline]
    pub(crate) fn identity(&self) -> NodeId {
        self.record.identity(|| self.extra())
    }

    #[inline]
    pub(crate) fn is_of(&self, id: &NodeId) -> bool {
        self.record.matches(|| self.extra(), id)
    }

    #[inline]
    pub(super) fn extra(&self) -> &'g Extra {
        self.store.extra(self.index)
    }

    #[inline]
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    #[inline]
    pub(crate) fn guard(&self) -> &'g Guard {
        self.guard
    }

    /// A copy of the lifecycle word, for a caller that asks for nothing it names.
    #[inline]
    pub(crate) fn lifecycle(&self) -> Lifecycle {
        self.record.lifecycle()
    }

    /// Reads the lifecycle word.
    #[inline]
    pub(crate) fn observe(self) -> ObservedRecord<'g> {
        ObservedRecord {
            seen: self,
            word: self.record.lifecycle(),
        }
    }

    /// Reads the lifecycle word, where it is live.
    #[inline]
    pub(crate) fn observe_live(self) -> Option<LiveRecord<'g>> {
        self.observe().live()
    }

    #[inline]
    pub(crate) fn load(&self) -> Load {
        self.record.load()
    }

    /// The same, by a read-modify-write; see [`Record::touch_load`].
    pub(crate) fn touch_load(&self) -> Load {
        self.record.touch_load()
    }

    #[inline]
    pub(crate) fn circuit(&self) -> Circuit {
        self.record.circuit()
    }

    /// The round trip in force, in microseconds, perhaps one that has lapsed.
    #[inline]
    pub(crate) fn rtt_micros(&self) -> Option<u32> {
        self.record.rtt_micros()
    }

    /// The tier of the relay.
    #[inline]
    pub(crate) fn tier(&self) -> u8 {
        self.policy_word().tier()
    }

    /// Tier and cost of the relay.
    #[inline]
    pub(crate) fn policy_word(&self) -> PolicyWord {
        let policy = self.store.policy(self.index);
        policy.map_or(PolicyWord::default(), Policy::word)
    }

    /// The same, taken apart.
    #[inline(always)]
    pub(crate) fn tier_and_cost(&self) -> (u8, Cost) {
        match self.store.policy(self.index) {
            None => (0, Cost::ONE),
            Some(policy) => policy.word().tier_and_cost(),
        }
    }

    /// What changes the score of the relay now, if anything does.
    #[inline(always)]
    pub(crate) fn weight(&self) -> Option<Weight> {
        let policy = self.store.policy(self.index)?;
        let context = &self.store.publication.context;
        Some(policy.weight(&context.settings, context.now()))
    }

    /// Adds a measurement.
    pub(crate) fn record_rtt(&self, elapsed_nanos: u64, micros: u32) -> RttUpdate {
        let oldest = self.oldest_sample(elapsed_nanos);
        let extra = self.extra();
        self.record.add_sample(extra, elapsed_nanos, micros, oldest);
        self.refresh_rtt_by(oldest)
    }

    /// Adds a figure that counts while there is no measurement that does.
    pub(crate) fn seed_rtt(&self, elapsed_nanos: u64, micros: u32) -> RttUpdate {
        let oldest = self.oldest_sample(elapsed_nanos);
        let extra = self.extra();
        match self.record.add_seed(extra, elapsed_nanos, micros, oldest) {
            true => self.refresh_rtt_by(oldest),
            // What was measured counts as it was when the latest sample came.
            false => RttUpdate::Unchanged,
        }
    }

    /// Recomputes the round trip in force from the samples, as of a tick, and the leaves of the
    /// relay: a round trip that has lapsed is forgotten.
    pub(crate) fn refresh_rtt(&self, now: Tick) -> RttUpdate {
        self.refresh_rtt_by(self.oldest_sample(self.nanos_of(now)))
    }

    fn refresh_rtt_by(&self, oldest: Second) -> RttUpdate {
        self.change_rtt(|begin_pending| {
            self.record.refresh_rtt(self.extra(), oldest, begin_pending)
        })
    }

    /// Forgets all that was measured or reported of the round trip.
    pub(crate) fn forget_rtt(&self, elapsed_nanos: u64) -> RttUpdate {
        self.change_rtt(|begin_pending| {
            let (record, extra) = (self.record, self.extra());
            record.forget_rtt(extra, elapsed_nanos, begin_pending)
        })
    }

    fn change_rtt(&self, change: impl FnOnce(&mut dyn FnMut()) -> RttUpdate) -> RttUpdate {
        let mut pending = None;
        let update = change(&mut || {
            pending.get_or_insert_with(|| self.begin_pending());
        });
        if update.is_change() {
            self.refresh(true);
            self.store.publication.mark_unsorted();
        }
        update
    }

    /// What is known of the round trip at a moment: nothing once it has lapsed.
    #[inline]
    pub(crate) fn measurement(&self, elapsed_nanos: u64) -> Option<Measurement> {
        let oldest = self.oldest_sample(elapsed_nanos);
        self.record.measurement(self.extra(), oldest)
    }

    /// What the window of round trips holds, in no order.
    #[cfg(feature = "persistence")]
    pub(crate) fn rtt_samples(&self) -> impl Iterator<Item = RttSample> {
        self.extra().rtt_samples()
    }

    /// Whether a round trip is in force that has lapsed at a tick.
    #[inline]
    pub(crate) fn has_lapsed(&self, now: Tick) -> bool {
        let oldest = || self.oldest_sample(self.nanos_of(now));
        self.record.has_lapsed(self.extra(), oldest)
    }

    /// The tick at which what counts now lapses; for the thread that has just read the
    /// deadline.
    pub(crate) fn lapse(&self, now: Tick) -> Option<Tick> {
        let settings = &self.store.publication.context.settings;
        let oldest = self.oldest_sample(self.nanos_of(now));
        let latest = self.record.latest_sample(self.extra(), oldest)?;
        let lapses_at = latest.lapses_at(settings.rtt_lifetime_nanos);
        Some(Tick(lapses_at.div_ceil(settings.tick_nanos)))
    }

    /// The first second of which a sample counts at a moment.
    #[inline]
    fn oldest_sample(&self, elapsed_nanos: u64) -> Second {
        let settings = &self.store.publication.context.settings;
        Second::oldest(elapsed_nanos, settings.rtt_lifetime_nanos)
    }

    /// The nanoseconds from the beginning to a tick.
    #[inline]
    pub(super) fn nanos_of(&self, tick: Tick) -> u64 {
        let settings = &self.store.publication.context.settings;
        tick.0.saturating_mul(settings.tick_nanos)
    }

    /// Prefetches the second cache line of the record.
    #[inline]
    pub(crate) fn prefetch_extra(&self) {
        prefetch(self.extra());
    }

    /// Stores the total load that the relay reports.
    pub(crate) fn report_load(&self, total: u32) {
        self.change_load(|load| load.with_report(total));
    }

    /// Stores the load that others put on the relay.
    pub(crate) fn report_load_of_others(&self, others: u32) {
        self.change_load(|load| load.with_report_of_others(others));
    }

    /// Starts or ends draining.
    pub(crate) fn set_draining(&self, draining: bool) {
        let was_draining = Cell::new(draining);
        self.change_load(|load| {
            was_draining.set(load.is_draining());
            load.with_draining(draining)
        });
        if was_draining.get() != draining {
            self.publish_draining(draining);
        }
    }

    /// Stores a capacity beside the load.
    pub(crate) fn set_capacity(&self, capacity: u32) {
        debug_assert!((1..=MAX_CAPACITY).contains(&capacity));
        let capacity = capacity.clamp(1, MAX_CAPACITY);
        self.change_load(|load| load.with_capacity(capacity));
    }

    fn change_load(&self, next: impl Fn(Load) -> Load) {
        let next = |load| Ok::<_, Infallible>(next(load));
        let publication = &self.store.publication;
        let Ok(()) = publication.change_load(self.index, self.parts(), next);
    }

    /// Publishes the snapshot that finds search.
    pub(crate) fn publication(&self) -> &'g Publication {
        &self.store.publication
    }

    /// The record that `handle` names, if it still has that generation. The guard was pinned
    /// before the load, so the record then keeps its id; see [`Record::end_generation`].
    #[inline]
    pub(super) fn resolve(store: &'g Arc<Store>, handle: Handle, guard: &'g Guard) -> Option<Self> {
        let index = handle.index;
        let record = store.record(index);
        (record.generation() == handle.generation).then_some(Self {
            record,
            index,
            store,
            guard,
        })
    }

    /// The record without its guard, for its leaves.
    pub(crate) fn subject(&self) -> Subject<'g> {
        self.parts().with_handle(self.handle())
    }

    #[inline]
    fn parts(&self) -> Parts<'g> {
        self.store.parts(self.index)
    }

    /// Recomputes the leaves of the relay from its record, `fully` if the relay may have
    /// become eligible.
    pub(crate) fn refresh(&self, fully: bool) {
        // Before the handle is read, as in `Publication::change_load`.
        self.touch_load();
        let publication = &self.store.publication;
        publication.refresh_touched(&self.subject(), fully);
    }

    /// The same, fully, for a relay that has just been appended and made live.
    ///
    /// If its record is new, no other thread has changed the load without having seen the relay
    /// live, so there is nothing to touch: such a thread judges whether the leaf stays as it is by
    /// all that this one sees.
    #[inline(always)]
    pub(crate) fn refresh_arrival(&self, arrival: &Arrival<'_>) {
        let publication = &self.store.publication;
        publication.refresh_arrival(arrival, &self.subject());
    }

    /// Opens a pending change. To be held around a change by which the relay may become
    /// eligible.
    pub(crate) fn begin_pending(&self) -> PendingChange<'g> {
        self.store.publication.begin_pending(self.index)
    }

    #[inline]
    pub(crate) fn handle(&self) -> Handle {
        self.record.handle(self.index)
    }

    /// Copies the announced capacity beside the load, and tier and cost to the policy, where
    /// searches read them.
    ///
    /// Of several threads that do this at once, the last to touch the load sees the
    /// announcement that is in force, and leaves what that says. If the relay is away, nothing
    /// is copied: the thread that makes it live again does this afterwards. Until then the two
    /// may differ. Every decision about capacity goes by the announcement.
    pub(crate) fn copy_announced(&self) {
        loop {
            let Some(live) = self.observe_live() else {
                return;
            };
            let announcement = live.announcement();
            // Touched: a thread that copies another announcement later sees this one.
            if self.touch_load().capacity() != announcement.capacity {
                self.set_capacity(announcement.capacity);
            } else if !self.copy_policy(announcement) {
                return;
            }
        }
    }
}

impl<'g> ObservedRecord<'g> {
    #[inline]
    pub(crate) fn word(&self) -> Lifecycle {
        self.word
    }

    /// The same record, where the word was live.
    #[inline]
    pub(crate) fn live(self) -> Option<LiveRecord<'g>> {
        let Self { seen, word } = self;
        word.is_live().then_some(LiveRecord { seen, word })
    }

    /// The same record, where the word was live at `tick`.
    #[inline]
    pub(crate) fn live_at(self, tick: Tick) -> Option<LiveRecord<'g>> {
        let Self { seen, word } = self;
        word.is_live_at(tick).then_some(LiveRecord { seen, word })
    }

    /// The same, for a caller that relies on the relay being gone otherwise: one that was
    /// past its deadline is read once more, so that a renewal from before that is seen, or else
    /// sees the tick, and [publishes](RecordRef::publish_updated) the relay.
    pub(crate) fn settled_at(self, tick: Tick) -> Option<LiveRecord<'g>> {
        let is_late = self.word.is_live() && !self.word.is_live_at(tick);
        let word = match is_late {
            true => self.record.touch_lifecycle(),
            false => self.word,
        };
        Self { word, ..self }.live_at(tick)
    }

    /// What the relay announced, if the word names that.
    pub(crate) fn announcement(&self) -> Option<&'g Announcement> {
        let index = self.word.announced()?;
        // SAFETY: read from this record's lifecycle word under the guard.
        Some(unsafe { self.store.announcement(index, self.guard) })
    }
}

impl<'g> LiveRecord<'g> {
    #[inline]
    pub(crate) fn word(&self) -> Lifecycle {
        self.word
    }

    /// What the relay announces.
    #[inline]
    pub(crate) fn announcement(&self) -> &'g Announcement {
        // SAFETY: read from this record's lifecycle word under the guard, and live, so
        // there is one.
        unsafe {
            self.store
                .announcement(self.word.announcement(), self.guard)
        }
    }

    /// Whether the word is still that of the record, so that what was read of the record
    /// meanwhile was so while the word was in force.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        self.record.is_still(self.word)
    }

    /// Replaces the deadline; false when the word is not the record's any more.
    #[inline]
    pub(crate) fn postpone(&self, deadline: Tick) -> bool {
        let next = Lifecycle::live(deadline, self.word.announcement());
        self.record.transition(self.word, next)
    }

    /// Replaces deadline and, if given, announcement; false when the word is not the
    /// record's any more.
    pub(crate) fn renew(
        &self,
        deadline: Tick,
        announcement: Option<Announcement>,
    ) -> Result<bool, Exhausted> {
        let Some(announcement) = announcement else {
            return Ok(self.postpone(deadline));
        };
        self.prepare_policy(self.announced_policy(&announcement), None)?;
        let shard = self.store.shards.layout().of_index(self.index);
        let index = self
            .store
            .put_announcement(shard, announcement, self.guard)?;
        let next = Lifecycle::live(deadline, index);
        let renewed = self.record.transition(self.word, next);
        if renewed {
            self.store
                .retire_announcement(self.word.announcement(), self.guard);
        } else {
            self.store.return_announcement(index);
        }
        Ok(renewed)
    }

    /// The load, by the capacity that is announced.
    #[inline]
    pub(crate) fn announced_load(&self) -> Load {
        self.load().with_capacity(self.announcement().capacity)
    }

    /// Whether there was room for so many units while the word was in force.
    #[inline]
    pub(crate) fn has_room(&self, units: u32) -> bool {
        let capacity = self.announcement().capacity;
        self.load().rejection_at(units, capacity).is_none() && self.is_current()
    }
}

impl<'g> From<LiveRecord<'g>> for ObservedRecord<'g> {
    fn from(LiveRecord { seen, word }: LiveRecord<'g>) -> Self {
        Self { seen, word }
    }
}

impl<'g> Deref for ObservedRecord<'g> {
    type Target = RecordRef<'g>;

    #[inline]
    fn deref(&self) -> &RecordRef<'g> {
        &self.seen
    }
}

impl<'g> Deref for LiveRecord<'g> {
    type Target = RecordRef<'g>;

    #[inline]
    fn deref(&self) -> &RecordRef<'g> {
        &self.seen
    }
}

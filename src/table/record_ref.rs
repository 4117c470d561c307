//! A record as the table's users see it: found, and held on to by a guard.

use crate::limits::MAX_CAPACITY;
use crate::relay::{NodeId, Rejection};
use crate::sync::epoch::Guard;
use crate::sync::{Arc, AtomicU32, prefetch};
use crate::table::back_off::end_outage;
use crate::table::record::{
    Announcement, BackOff, Circuit, Extra, Handle, Lifecycle, Load, Measurement, Record, RttUpdate,
    Second,
};
use crate::table::snapshot::{PendingChange, Publication, Snapshot, Subject};
use crate::table::store::{Exhausted, Store};
use crate::table::unit::Unit;
use crate::time::Tick;
use std::convert::Infallible;
use std::ops::Deref;

/// A record that cannot begin another life while its guard lives.
///
/// Only made from what makes `Record::identity` read one life: the record was
/// seen not vacant, or under its present generation, by a pinned thread.
#[derive(Clone, Copy)]
pub(crate) struct RecordRef<'g> {
    pub(super) record: &'g Record,
    pub(super) index: u32,
    pub(super) store: &'g Arc<Store>,
    pub(super) guard: &'g Guard,
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

    /// Takes over what is known of the relay from the record that it had before; only
    /// before this one is admitted.
    pub(crate) fn inherit_from(&self, before: &RecordRef<'_>) {
        self.record
            .inherit(self.extra(), before.record, before.extra());
    }

    /// The link of the wheel's inbox.
    pub(crate) fn inbox_link(&self) -> &'g AtomicU32 {
        self.extra().inbox_link()
    }

    /// Takes in a measurement.
    pub(crate) fn record_rtt(&self, elapsed_nanos: u64, micros: u32) -> RttUpdate {
        let oldest = self.oldest_sample(elapsed_nanos);
        let extra = self.extra();
        self.record.add_sample(extra, elapsed_nanos, micros, oldest);
        self.refresh_rtt_by(oldest)
    }

    /// Takes in a figure that counts while there is no measurement that does.
    pub(crate) fn seed_rtt(&self, elapsed_nanos: u64, micros: u32) -> RttUpdate {
        let oldest = self.oldest_sample(elapsed_nanos);
        let extra = self.extra();
        self.record.add_seed(extra, elapsed_nanos, micros, oldest);
        self.refresh_rtt_by(oldest)
    }

    /// Brings the round trip in force, what searches see of it and the order of relays in
    /// line with what was measured, as of a tick: one that has lapsed is forgotten.
    pub(crate) fn refresh_rtt(&self, now: Tick) -> RttUpdate {
        self.refresh_rtt_by(self.oldest_sample(self.nanos_of(now)))
    }

    fn refresh_rtt_by(&self, oldest: Second) -> RttUpdate {
        self.change_rtt(|announce| self.record.refresh_rtt(self.extra(), oldest, announce))
    }

    /// Forgets all that was measured or told of the round trip.
    pub(crate) fn forget_rtt(&self, elapsed_nanos: u64) -> RttUpdate {
        self.change_rtt(|announce| {
            let (record, extra) = (self.record, self.extra());
            record.forget_rtt(extra, elapsed_nanos, announce)
        })
    }

    fn change_rtt(&self, change: impl FnOnce(&mut dyn FnMut()) -> RttUpdate) -> RttUpdate {
        let mut note = None;
        let settled = change(&mut || {
            note.get_or_insert_with(|| self.announce());
        });
        if settled.is_change() {
            self.refresh(true);
            self.store.publication.mark_unsorted();
        }
        settled
    }

    /// What is known of the round trip at a moment: nothing once it has lapsed.
    #[inline]
    pub(crate) fn measurement(&self, elapsed_nanos: u64) -> Option<Measurement> {
        let oldest = self.oldest_sample(elapsed_nanos);
        self.record.measurement(self.extra(), oldest)
    }

    /// Whether a round trip is in force that has lapsed at a tick.
    #[inline]
    pub(crate) fn has_lapsed(&self, now: Tick) -> bool {
        self.record.rtt_micros().is_some() && self.measurement(self.nanos_of(now)).is_none()
    }

    /// The tick at which what counts now lapses; for the thread that has just read the
    /// deadline.
    pub(crate) fn lapse(&self, now: Tick) -> Option<Tick> {
        let terms = &self.store.publication.context.settings;
        let oldest = self.oldest_sample(self.nanos_of(now));
        let latest = self.record.latest_sample(self.extra(), oldest)?;
        let lapses_at = latest.lapses_at(terms.rtt_lifetime_nanos);
        Some(Tick(lapses_at.div_ceil(terms.tick_nanos)))
    }

    /// The first second of which a sample counts at a moment.
    #[inline]
    fn oldest_sample(&self, elapsed_nanos: u64) -> Second {
        let terms = &self.store.publication.context.settings;
        Second::oldest(elapsed_nanos, terms.rtt_lifetime_nanos)
    }

    /// The nanoseconds from the beginning to a tick.
    #[inline]
    fn nanos_of(&self, tick: Tick) -> u64 {
        let terms = &self.store.publication.context.settings;
        tick.0.saturating_mul(terms.tick_nanos)
    }

    /// Prefetches what is seldom read.
    #[inline]
    pub(crate) fn prefetch_extra(&self) {
        prefetch(self.extra());
    }

    /// Notes what the relay says of its total load.
    pub(crate) fn report_load(&self, total: u32) {
        self.change_load(|load| load.with_report(total));
    }

    /// Notes what others put on the relay.
    pub(crate) fn report_load_of_others(&self, others: u32) {
        self.change_load(|load| load.with_report_of_others(others));
    }

    /// Starts or ends draining.
    pub(crate) fn set_draining(&self, draining: bool) {
        self.change_load(|load| load.with_draining(draining));
    }

    /// Notes a changed capacity beside the load.
    pub(crate) fn set_capacity(&self, capacity: u32) {
        debug_assert!((1..=MAX_CAPACITY).contains(&capacity));
        self.change_load(|load| load.with_capacity(capacity));
    }

    fn change_load(&self, next: impl Fn(Load) -> Load) {
        let next = |load| Ok::<_, Infallible>(next(load));
        let Ok(()) = self.store.publication.change_load(&self.subject(), next);
    }

    /// Sets the circuit of a record that no search finds: before it is admitted, or after
    /// its relay is gone.
    pub(crate) fn begin_circuit(&self, next: impl Fn(Circuit) -> Circuit) {
        self.record.change_circuit(next);
    }

    /// Brings the circuit forward by one event; whether that changed anything.
    pub(crate) fn change_circuit(&self, next: impl Fn(Circuit) -> Circuit) -> bool {
        let circuit = self.record.circuit();
        if next(circuit) == circuit {
            return false;
        }
        let context = &self.store.publication.context;
        context.expect_suspended();
        let _note = self.announce();
        let has_changed = self.record.change_circuit(next);
        self.refresh(true);
        has_changed
    }

    /// How long the relay is left alone, counted from now.
    pub(crate) fn back_off(&self) -> BackOff {
        let context = &self.publication().context;
        context.settings.back_off(self.record, context.now())
    }

    /// The order in which searches go through relays.
    pub(crate) fn publication(&self) -> &'g Publication {
        &self.store.publication
    }

    /// Makes relays available whose back-off is over, up to so many in each part of a
    /// snapshot.
    pub(crate) fn wake_others(&self, snapshot: &Snapshot, most: usize) {
        let tick = self.publication().context.now();
        self.store.wake_due(snapshot, tick, most);
    }

    /// Puts relays on trial that failed in an outage which is over. At most so many are
    /// looked at; whether that were all.
    pub(crate) fn end_outage(&self, most: usize) -> bool {
        end_outage(self.store, most)
    }

    /// The record that `handle` names, in the life that it names.
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

    /// Claims the trial that `seen` allows; false if it is no longer so.
    pub(crate) fn claim_trial(&self, seen: Circuit, back_off: BackOff) -> bool {
        if seen.with_trial(back_off) == seen {
            // A last resort that was handed out in this tick before: of its word, and so
            // of the summaries, nothing changes.
            return self.record.circuit() == seen;
        }
        // Until this is in the summaries, the trial may be over again.
        let _note = self.announce();
        let is_claimed = self.record.claim_trial(seen, back_off);
        self.refresh(false);
        is_claimed
    }

    /// This life, for the order of relays.
    pub(crate) fn subject(&self) -> Subject<'g> {
        Subject {
            record: self.record,
            extra: self.extra(),
            handle: self.handle(),
        }
    }

    /// Brings what searches see in line with the record, `fully` where the relay may
    /// have become available.
    pub(crate) fn refresh(&self, fully: bool) {
        self.store.publication.refresh(&self.subject(), fully);
    }

    /// To be held around a change by which the relay may become available.
    pub(crate) fn announce(&self) -> PendingChange<'g> {
        self.store.publication.begin_pending(self.index)
    }

    #[inline]
    pub(crate) fn handle(&self) -> Handle {
        Handle {
            index: self.index,
            generation: self.record.generation(),
        }
    }

    /// The announcement that `word`, read from this record, names.
    #[inline]
    pub(crate) fn announcement(&self, word: Lifecycle) -> &'g Announcement {
        debug_assert!(word.announced().is_some());
        // SAFETY: read from this record's lifecycle word under the guard.
        unsafe { self.store.announcement(word.announcement(), self.guard) }
    }

    /// Replaces the deadline; false when `current` is no longer the lifecycle word.
    #[inline]
    pub(crate) fn postpone(&self, current: Lifecycle, deadline: Tick) -> bool {
        let next = Lifecycle::live(deadline, current.announcement());
        self.record.transition(current, next)
    }

    /// Replaces deadline and, if given, announcement; false when `current` is
    /// no longer the lifecycle word.
    pub(crate) fn renew(
        &self,
        current: Lifecycle,
        deadline: Tick,
        announcement: Option<Announcement>,
    ) -> Result<bool, Exhausted> {
        let Some(announcement) = announcement else {
            return Ok(self.postpone(current, deadline));
        };
        let index = self.store.put_announcement(announcement, self.guard)?;
        let renewed = self
            .record
            .transition(current, Lifecycle::live(deadline, index));
        if renewed {
            self.store
                .retire_announcement(current.announcement(), self.guard);
        } else {
            self.store.return_announcement(index);
        }
        Ok(renewed)
    }

    /// Takes one unit of the capacity that is announced, or says why not; with
    /// the lifecycle that decides it.
    ///
    /// A renewal or a departure may come between a look at the lifecycle and a
    /// step on the load, so there is a second look: a refusal holds if nothing
    /// changed, and a unit is given back, before anyone has it, if by now there is
    /// no room for it. So none is held beyond the capacity that was announced
    /// when it was taken, nor by a relay that had left. Until it is given back, it
    /// keeps others from that unit: which of the two, the one who takes it or the
    /// one who changes the lifecycle, came first is not to be known.
    ///
    /// `snapshot` is one that is at hand, for the summary to be brought in line.
    #[inline]
    pub(crate) fn lease(
        &self,
        snapshot: Option<&Snapshot>,
    ) -> Result<(Unit, Lifecycle), (Rejection, Lifecycle)> {
        loop {
            let word = self.record.lifecycle();
            if !word.is_live() {
                return Err((Rejection::Departed, word));
            }
            match self.record.take_lease(self.announcement(word).capacity) {
                Ok(change) => {
                    let unit = Unit::taken(self.store, self.index);
                    if let Some(word) = self.allowing(change.1.total()) {
                        let publication = &self.store.publication;
                        publication.refresh_load(&self.subject(), change, snapshot);
                        return Ok((unit, word));
                    }
                }
                Err(reason) if self.record.is_still(word) => return Err((reason, word)),
                Err(_) => {}
            }
        }
    }

    /// The lifecycle, if what is announced allows for a load of `total`.
    #[inline]
    fn allowing(&self, total: u32) -> Option<Lifecycle> {
        let word = self.record.lifecycle();
        let allows = word.is_live() && total <= self.announcement(word).capacity;
        allows.then_some(word)
    }

    /// Copies the announced capacity beside the load, where searches read it.
    ///
    /// Of several renewals at once, the last to store looks again and finds its
    /// own figure there or that of a later one. Until then the two may differ;
    /// whatever decides goes by the announcement.
    pub(crate) fn copy_capacity(&self) {
        loop {
            let word = self.record.lifecycle();
            if !word.is_live() {
                return;
            }
            let capacity = self.announcement(word).capacity;
            if self.record.load().capacity() == capacity {
                return;
            }
            self.set_capacity(capacity);
        }
    }

    /// Its load, by the capacity that `word`, read from it, announces.
    pub(crate) fn announced_load(&self, word: Lifecycle) -> Load {
        let capacity = self.announcement(word).capacity;
        self.record.load().with_capacity(capacity)
    }

    /// Whether there was room while `word`, read from it before, was in force.
    #[inline]
    pub(crate) fn has_room(&self, word: Lifecycle) -> bool {
        let capacity = self.announcement(word).capacity;
        self.record.load().rejection_at(capacity).is_none() && self.record.is_still(word)
    }
}

impl Deref for RecordRef<'_> {
    type Target = Record;

    #[inline]
    fn deref(&self) -> &Record {
        self.record
    }
}

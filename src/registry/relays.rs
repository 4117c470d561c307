//! The relays of one registry: the base that every component builds on.

use crate::events::{EventLog, WakeGuard};
use crate::registry::counters::Counters;
use crate::registry::reputation::Reputation;
use crate::registry::settings::Settings;
use crate::relay::NodeId;
use crate::sync::epoch::{self, Guard};
use crate::sync::{Arc, yield_now};
use crate::table::record::{RttUpdate, State};
use crate::table::snapshot::Publication;
use crate::table::{Hash, LiveRecord, ObservedRecord, RecordRef, Table};
use crate::time::{Tick, Timeline};
use crate::trace::RegistryTrace;
use std::convert::Infallible;

/// Records by id, the time they are judged by, and what outlives a record.
pub(crate) struct Relays {
    pub(super) settings: Settings,
    pub(super) timeline: Arc<Timeline>,
    pub(super) table: Table,
    pub(super) reputation: Reputation,
    pub(super) counters: Counters,
    pub(super) trace: RegistryTrace,
}

/// How many records are visited under one pin.
const PER_PIN: u32 = 1024;

impl Relays {
    /// The tick that a call uses. Each public call asks for it once, before it
    /// pins the epoch or takes a lock, and passes it on: this may read the clock, which
    /// is the embedder's code.
    #[inline]
    pub(super) fn present(&self) -> Tick {
        self.timeline.present()
    }

    /// Tells the subscriber of `tracing` that the registry was built.
    pub(super) fn say_built(&self) {
        let Settings { ttl, tick, .. } = self.settings;
        self.trace.built(self.table.max_relays(), ttl, tick);
    }

    /// To which changes are published.
    pub(super) fn events(&self) -> &Arc<EventLog> {
        &self.publication().context.events
    }

    /// For a call that changes relays: its first value.
    #[inline]
    pub(super) fn wake_guard(&self) -> WakeGuard<'_> {
        self.events().wake_guard()
    }

    /// The snapshots that finds search.
    pub(super) fn publication(&self) -> &Publication {
        self.table.publication()
    }

    /// An id with its hash, whose bucket is prefetched.
    #[inline(always)]
    pub(super) fn named<'a>(&self, id: &'a NodeId) -> (&'a NodeId, Hash) {
        let hash = self.table.hash(id);
        self.table.prefetch(hash);
        (id, hash)
    }

    /// The record of `id`, if it is live at `now`.
    #[inline]
    pub(super) fn find_live<'g>(
        &'g self,
        id: &NodeId,
        now: Tick,
        guard: &'g Guard,
    ) -> Option<LiveRecord<'g>> {
        self.find_live_hashed((id, self.table.hash(id)), now, guard)
    }

    /// The same, for a caller that has hashed the id.
    #[inline(always)]
    pub(super) fn find_live_hashed<'g>(
        &'g self,
        (id, hash): (&NodeId, Hash),
        now: Tick,
        guard: &'g Guard,
    ) -> Option<LiveRecord<'g>> {
        let found = self.table.find_hashed(hash, id, guard)?;
        found.observe().live_at(now)
    }

    /// Whether a relay is live at `now`.
    #[inline(always)]
    pub(super) fn is_live(&self, id: &NodeId, now: Tick) -> bool {
        self.table.holds(id, |word| word.is_live_at(now))
    }

    /// Whether a relay is live now.
    #[inline(always)]
    pub(super) fn is_live_now(&self, id: &NodeId) -> bool {
        match self.timeline.raised_by_thread() {
            Some(now) => self.is_live(id, now),
            None => self.is_live_at_present(id),
        }
    }

    #[inline(never)]
    fn is_live_at_present(&self, id: &NodeId) -> bool {
        self.is_live(id, self.present())
    }

    /// Does something with the record of `id`; false if it is not live at `now`.
    #[inline]
    pub(super) fn with_live(
        &self,
        id: &NodeId,
        now: Tick,
        act: impl FnOnce(RecordRef<'_>),
    ) -> bool {
        let guard = epoch::pin();
        self.find_live(id, now, &guard)
            .map(|record| act(*record))
            .is_some()
    }

    /// Visits every record that is live at `now` and throughout the visit, and none
    /// that never was, without staying pinned for long.
    pub(super) fn for_each_live(&self, now: Tick, mut visit: impl FnMut(LiveRecord<'_>)) {
        self.for_each_known(|record| {
            if let Some(record) = record.settled_at(now) {
                visit(record);
            }
        });
    }

    /// The same for every record that is not vacant.
    pub(super) fn for_each_known(&self, mut visit: impl FnMut(ObservedRecord<'_>)) {
        let between = || Ok::<_, Infallible>(());
        let Ok(()) = self.for_each_known_in_turns(&mut visit, between);
    }

    /// The same, with a call now and then that is made without a pin; an error of that ends the
    /// visit.
    pub(super) fn for_each_known_in_turns<E>(
        &self,
        mut visit: impl FnMut(ObservedRecord<'_>),
        mut between: impl FnMut() -> Result<(), E>,
    ) -> Result<(), E> {
        let high_water = self.table.high_water();
        for start in (0..high_water).step_by(PER_PIN as usize) {
            let guard = epoch::pin();
            for index in start..high_water.min(start + PER_PIN) {
                if let Some(record) = self.table.record_at(index, &guard) {
                    visit(record.observe());
                }
            }
            drop(guard);
            between()?;
        }
        Ok(())
    }

    /// Updates the record of a relay, if its id has one. If another record replaces it
    /// meanwhile, updates that one, too: it may have been copied before the update. Returns
    /// whether `update` returned true for any of them.
    pub(super) fn update_each_record(
        &self,
        relay: &NodeId,
        update: impl Fn(&RecordRef<'_>) -> bool,
    ) -> bool {
        let mut is_any = false;
        while let Some((is_so, state)) = self.update_record(relay, &update) {
            is_any |= is_so;
            if !matches!(state, State::Closing | State::Vacant) {
                break;
            }
            yield_now();
        }
        is_any
    }

    /// Updates the record of a relay, live or gone; what `update` returned and the state
    /// of the record afterwards, or `None` if the id has no record.
    pub(super) fn update_record<R>(
        &self,
        relay: &NodeId,
        update: impl Fn(&RecordRef<'_>) -> R,
    ) -> Option<(R, State)> {
        let guard = epoch::pin();
        let hash = self.table.hash(relay);
        let record = self.table.find_known_beside_moves(hash, relay, &guard)?;
        let updated = update(&record);
        // Either the thread that closes the record sees the update, also where another
        // thread had made the same one just before, or this one sees that it is closing.
        record.touch_load();
        let state = record.lifecycle().state();
        if state == State::Gone {
            self.table.reconsider(&record);
        }
        Some((updated, state))
    }

    /// Applies the round trip that a registration gives.
    pub(super) fn seed_rtt(&self, record: &RecordRef<'_>, reported_at: u64, micros: u32) {
        let update = record.seed_rtt(reported_at, micros);
        self.schedule_lapse(record, update);
    }

    pub(super) fn forget_rtt_of(&self, record: &RecordRef<'_>, now: Tick) {
        let update = record.forget_rtt(self.timeline.nanos_of(now));
        self.schedule_lapse(record, update);
    }

    /// Puts a relay that counts as measured from now on into the wheel's inbox, if the wheel
    /// would otherwise visit it too late to see that lapse.
    ///
    /// The wheel visits each relay at its deadline or before, and then looks at what was
    /// measured. So it knows of every later lapse.
    pub(super) fn schedule_lapse(&self, record: &RecordRef<'_>, update: RttUpdate) {
        if update != RttUpdate::Begun {
            return;
        }
        let lapse = record.lapse(self.timeline.tick());
        if lapse.is_some_and(|lapse| lapse < record.lifecycle().deadline()) {
            self.table.enqueue_for_wheel(record);
        }
    }
}

//! Renewal: the deadline moves, and what the request changes takes effect.
//!
//! If the relay announces the same as before ([`Inner::renew_unchanged`]):
//!
//! 1. The thread prefetches the bucket, reads the clock, pins, and finds the record. It loads the
//!    lifecycle with acquire: live. It compares the request with the announcement.
//! 2. If the deadline has not passed by the current tick (acquire), a compare-and-swap
//!    (acquire and release) replaces the deadline alone. If it fails, the thread starts again,
//!    by the steps below.
//! 3. The old deadline may have passed by the tick of the leaves (acquire); then a search may
//!    have left the relay out, and the thread refreshes its leaf. It may have passed by the
//!    current tick (acquire); then a subscriber may have left the relay out, and the thread
//!    publishes it.
//!
//! The wheel is not touched: it finds the new deadline when the old one is due.
//!
//! If the request changes something ([`Inner::renew`]):
//!
//! 1. As above. If the relay restarts and has leases, it moves to another record: see
//!    [`returning`](crate::registry::returning).
//! 2. If the new deadline is earlier, the deadline counts as in flight until step 6
//!    (`fetch_add`, acquire), so that no sweep is declared complete without it.
//! 3. A pending change is opened (compare-and-swap, acquire and release): with a higher
//!    capacity, the relay may have room from now on.
//! 4. The new announcement is written. A compare-and-swap (acquire and release) of the
//!    lifecycle names it, with the new deadline, and decides. The old one is retired.
//! 5. The announced capacity is copied to the load (compare-and-swap, acquire and release),
//!    and the leaf is refreshed; then as in step 3 above.
//! 6. If the new deadline is earlier, the record is pushed to the inbox of the wheel.

use crate::registry::announcement::{amended, is_changed};
use crate::registry::inner::Inner;
use crate::registry::request::{AttemptError, Registration, Request};
use crate::relay::{Endpoint, NodeId, RegisterOptions};
use crate::sync::epoch::{self, Guard};
use crate::table::record::{Announcement, Lifecycle, Origin};
use crate::table::{Hash, LiveRecord, RecordRef};
use crate::time::{Moment, Tick};

impl Inner {
    /// Renews a relay whose announcement stays as it is, as nearly all renewals do. If there is more
    /// to do, nothing is changed, and the guard is returned.
    ///
    /// The announcement was checked when it came, so there is nothing to check.
    pub(super) fn renew_unchanged(
        &self,
        named: (&NodeId, Hash),
        endpoint: &Endpoint,
        options: &RegisterOptions,
        now: Moment,
        guard: Guard,
    ) -> Result<(), Guard> {
        if options.latency.is_some() || options.restarted {
            return Err(guard);
        }
        let is_unchanged = |current: &Announcement| !is_changed(current, endpoint, options);
        if !self.postpone(named, now, &guard, is_unchanged) {
            return Err(guard);
        }
        // A notification may wake a thread.
        drop(guard);
        self.relays.counters.count_renewal();
        self.link.notify_change(named.0);
        Ok(())
    }

    /// Renews a relay that is registered here, without changing what it announced.
    pub(super) fn renew_by_id(&self, id: &NodeId) -> bool {
        let named = self.relays.named(id);
        let now = self.relays.timeline.advance();
        self.renew_named(named, now)
    }

    pub(super) fn renew_by_id_at(&self, id: &NodeId, now: Moment) -> bool {
        self.renew_named(self.relays.named(id), now)
    }

    #[inline(always)]
    fn renew_named(&self, named: (&NodeId, Hash), now: Moment) -> bool {
        let is_renewed = self.postpone(named, now, &epoch::pin(), |_| true);
        if is_renewed {
            self.relays.counters.count_renewal();
            self.link.notify_change(named.0);
        }
        is_renewed
    }

    /// Moves the deadline of a local relay, if `accept` returns true for its announcement.
    #[inline(always)]
    fn postpone(
        &self,
        (id, hash): (&NodeId, Hash),
        now: Moment,
        guard: &Guard,
        accept: impl Fn(&Announcement) -> bool,
    ) -> bool {
        let found = self.relays.table.find_to_renew(hash, id, guard);
        let Some(record) = found.and_then(RecordRef::observe_live) else {
            return false;
        };
        let (word, current) = (record.word(), record.announcement());
        if current.origin != Origin::Local || !accept(current) {
            return false;
        }
        let Some(deadline) = self.relays.timeline.deadline(now, current.ttl_nanos) else {
            return false;
        };
        // A renewal that was preempted does not undo a later one.
        let deadline = deadline.max(word.deadline());
        let tick = self.relays.timeline.tick();
        // The word is live, so only its deadline is compared; the new one is not earlier.
        let is_renewed = word.deadline() > tick
            && deadline <= Lifecycle::LAST_DEADLINE
            && record.postpone(deadline);
        if is_renewed {
            self.restore_leaf(&record, word);
        }
        is_renewed
    }

    /// Restores the leaf of a renewed relay, if a search may have taken it out at the very
    /// tick of its old deadline; and publishes it, if a subscriber may have left it out then.
    #[inline(always)]
    fn restore_leaf(&self, record: &RecordRef<'_>, before: Lifecycle) {
        if !before.is_live_at(self.relays.publication().context.leaf_tick()) {
            record.refresh(true);
        }
        // See `ObservedRecord::settled_at`.
        if !before.is_live_at(self.relays.timeline.tick()) {
            // This rarely happens. Where the call holds no guard that wakes subscribers, the next
            // one does, as that of a maintenance pass.
            record.publish_updated();
        }
    }

    /// Replaces deadline, endpoint and what else has changed; or has a relay depart that
    /// has expired.
    pub(super) fn renew(
        &self,
        record: LiveRecord<'_>,
        request: &Request<'_>,
        now: Moment,
    ) -> Result<Registration, AttemptError> {
        if !record.word().is_live_at(now.tick) {
            // It expires, and returns from there.
            self.expiry.expire(&self.relays, record);
            return Err(AttemptError::Conflict);
        }
        self.reject_other_origin(record, request)?;
        if request.options.restarted && record.load().leases() > 0 {
            return self.restart(record, request, now);
        }
        let amended = amended(record.announcement(), request);
        if let Some(amended) = &amended {
            self.check_announced(request, amended)?;
        }
        let deadline = self.deadline_of_renewal(record, amended.as_ref(), now)?;
        self.apply(record, deadline, amended, request, now)?;
        Ok(Registration::Renewed)
    }

    /// Rejects a registration here of a relay that was learned, and the reverse.
    #[inline(always)]
    fn reject_other_origin(
        &self,
        record: LiveRecord<'_>,
        request: &Request<'_>,
    ) -> Result<(), AttemptError> {
        match (record.announcement().origin, request.origin) {
            (Origin::Learned, Origin::Local) => {
                // What another node claimed is not what this relay announces.
                self.remove_learned(*record);
                Err(AttemptError::LearnedRemoved)
            }
            (Origin::Local, Origin::Learned) => Err(AttemptError::Conflict),
            _ => Ok(()),
        }
    }

    /// The deadline by the TTL that the relay announces from now on.
    #[inline(always)]
    fn deadline_of_renewal(
        &self,
        record: LiveRecord<'_>,
        amended: Option<&Announcement>,
        now: Moment,
    ) -> Result<Tick, AttemptError> {
        let current = record.announcement().ttl_nanos;
        let ttl_nanos = amended.map_or(current, |amended| amended.ttl_nanos);
        let deadline = self.deadline(now, ttl_nanos)?;
        Ok(match ttl_nanos == current {
            // A renewal that was preempted does not undo a later one.
            true => deadline.max(record.word().deadline()),
            false => deadline,
        })
    }

    /// Renews the record, and applies what else the request says.
    #[inline(always)]
    fn apply(
        &self,
        record: LiveRecord<'_>,
        deadline: Tick,
        amended: Option<Announcement>,
        request: &Request<'_>,
        now: Moment,
    ) -> Result<(), AttemptError> {
        let word = record.word();
        let is_sooner = deadline < word.deadline();
        let _in_flight = is_sooner.then(|| self.relays.table.in_flight(request.hash));
        let tick = self.relays.timeline.tick();
        let in_time = word.is_live_at(tick) && deadline > tick;
        // With a higher capacity the relay may have room from here on.
        let pending = amended.is_some().then(|| record.begin_pending());
        if !in_time || !record.renew(deadline, amended)? {
            return Err(AttemptError::Conflict);
        }
        // If the terms are the same, no capacity is copied: an older one that this thread
        // read could overwrite a newer one.
        if pending.is_some() {
            record.copy_announced();
        }
        self.restore_leaf(&record, word);
        if request.options.restarted {
            record.report_load_of_others(0);
        }
        if let Some(micros) = request.rtt_seed {
            self.relays.seed_rtt(&record, now.nanos, micros);
        }
        if is_sooner {
            self.relays.table.enqueue_for_wheel(&record);
        }
        if pending.is_some() || request.options.restarted {
            drop(pending);
            record.publish_updated();
        }
        Ok(())
    }
}

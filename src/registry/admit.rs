//! How a relay is admitted in a record of its own.
//!
//! 1. There must be room: relays that are past their deadline depart first, then learned
//!    relays make room for a local one.
//! 2. The deadline is computed, and counted as in flight until step 6. So no sweep reports
//!    itself complete that does not know of it.
//! 3. A record is *staged*: written and in its bucket, but no other call takes it for a
//!    relay.
//! 4. It takes over what is known of the relay: from the record that it replaces, or the
//!    penalties of a record that was forgotten.
//! 5. It is appended to the arrivals of the snapshot and put into the wheel's inbox, and a
//!    pending change is opened.
//! 6. It is *admitted*, by one compare-and-swap that counts it. From then on the relay is
//!    live, found and due; nothing else has to happen first.
//! 7. What happened to all relays between steps 4 and 6, an outage's end or a reset, is
//!    applied to it.

use crate::errors::RegisterError;
use crate::registry::inner::Inner;
use crate::registry::reputation::{Resets, apply_outage_end, recheck_outage_end};
use crate::registry::request::{AttemptError, Request};
use crate::sync::epoch::Guard;
use crate::table::record::{Announcement, Circuit, Lifecycle, Origin};
use crate::table::{AdmitOutcome, Closing, RecordRef, Staged};
use crate::time::{Moment, Tick};

impl Inner {
    /// Admits a relay in a new record, if there is room. `replaced` is the record that it
    /// had, if any.
    pub(super) fn admit(
        &self,
        request: &Request<'_>,
        now: Moment,
        announcement: Announcement,
        replaced: Option<&Closing<'_>>,
        guard: &Guard,
    ) -> Result<(), AttemptError> {
        let (table, reputation) = (&self.relays.table, &self.relays.reputation);
        if !replaced.is_some_and(Closing::is_counted) {
            self.ensure_room(request, guard)?;
        }
        let in_flight = self.expiry.in_flight();
        let deadline = self.future_deadline(now, announcement.ttl_nanos)?;
        let staged = table.stage(
            (request.id, request.hash),
            announcement,
            deadline,
            request.rtt_seed,
            guard,
        )?;
        let record = staged.record();
        let resets = reputation.resets_ended();
        match replaced {
            Some(before) => {
                let is_remembered = before.is_remembered(now.tick);
                self.inherit(&staged, &before.record(), request, now, is_remembered);
            }
            None => reputation.restore(&record, request.id),
        }
        staged.append();
        let pending = record.begin_pending();
        match staged.admit(replaced) {
            AdmitOutcome::Admitted => {
                record.refresh(true);
                if replaced.is_some() || record.circuit() != Circuit::CLOSED {
                    self.catch_up(&record, resets, now.tick);
                }
                drop(pending);
                drop(in_flight);
                Ok(())
            }
            AdmitOutcome::AlreadyPresent | AdmitOutcome::Full => Err(AttemptError::Conflict),
        }
    }

    fn inherit(
        &self,
        staged: &Staged<'_>,
        before: &RecordRef<'_>,
        request: &Request<'_>,
        now: Moment,
        is_remembered: bool,
    ) {
        let record = staged.record();
        staged.inherit_from(before);
        apply_outage_end(&record, is_remembered);
        if let Some(seed) = request.rtt_seed {
            self.relays.seed_rtt(&record, now.nanos, seed);
        }
    }

    /// Step 7.
    fn catch_up(&self, record: &RecordRef<'_>, before: Resets, now: Tick) {
        recheck_outage_end(record);
        let after = self.relays.reputation.resets_begun();
        if after.circuits != before.circuits {
            record.change_circuit(Circuit::with_reset);
        }
        if after.rtts != before.rtts {
            self.relays.forget_rtt_of(record, now);
        }
    }

    /// Rejects a new relay when the table is full of relays that live.
    pub(super) fn ensure_room(
        &self,
        request: &Request<'_>,
        guard: &Guard,
    ) -> Result<(), AttemptError> {
        let relays = &self.relays;
        while let Some(full) = relays.table.full_without(request.id, guard) {
            self.expiry.expire_due(relays, relays.timeline.tick());
            relays.table.help_departures(guard);
            // Unchanged, so it was full when nothing due or departing was left.
            if relays.table.full_without(request.id, guard) == Some(full) {
                if request.origin == Origin::Local && self.evict_learned(guard) {
                    continue;
                }
                let max = relays.table.max_relays();
                return Err(RegisterError::Full { max }.into());
            }
        }
        Ok(())
    }

    pub(super) fn deadline(&self, now: Moment, ttl_nanos: u64) -> Result<Tick, AttemptError> {
        let deadline = self.relays.timeline.deadline(now, ttl_nanos);
        deadline
            .filter(|&deadline| deadline <= Lifecycle::LAST_DEADLINE)
            .ok_or(AttemptError::Rejected(RegisterError::ClockExhausted))
    }

    /// The same, for a deadline that is counted as in flight: it has not passed by now.
    pub(super) fn future_deadline(
        &self,
        now: Moment,
        ttl_nanos: u64,
    ) -> Result<Tick, AttemptError> {
        let deadline = self.deadline(now, ttl_nanos)?;
        match deadline > self.relays.timeline.tick() {
            true => Ok(deadline),
            false => Err(AttemptError::Conflict),
        }
    }
}

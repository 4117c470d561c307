//! Registers a relay in a record of its own, within the steps of `table/admission.rs`.
//!
//! That file says how a record is staged, admitted and made live. This one adds what a
//! registry does before, between and after:
//!
//! - Before it stages a record, it makes room: relays past their deadline depart first, then a
//!   learned relay makes room for a local one.
//! - Before the record is appended, it takes over what is known of the relay: from the record
//!   that it replaces, or the penalties of a record that was forgotten.
//! - Once the record is in the inbox of the wheel, it looks whether the deadline has passed by
//!   now: see [`expiry`](crate::registry::expiry).
//! - After the relay is admitted, its leaf is updated. If the end of an outage or a reset of all
//!   relays happened since the record took over what was known, that is applied to it, too.

use crate::errors::RegisterError;
use crate::registry::inner::Inner;
use crate::registry::reputation::{Resets, apply_outage_end, recheck_outage_end};
use crate::registry::request::{AttemptError, Request};
use crate::sync::epoch::Guard;
use crate::table::record::{Announcement, Circuit, Lifecycle, Origin};
use crate::table::{AdmitOutcome, Before, Beginning, Closing, RecordRef, Staged};
use crate::time::{Moment, Tick};

impl Inner {
    /// Admits a relay in a new record, if there is room.
    #[inline(always)]
    pub(super) fn admit(
        &self,
        request: &Request<'_>,
        now: Moment,
        announcement: Announcement,
        before: Before<'_, '_>,
        guard: &Guard,
    ) -> Result<(), AttemptError> {
        let (table, reputation) = (&self.relays.table, &self.relays.reputation);
        let replaced = before.replaced();
        if !replaced.is_some_and(Closing::is_counted) {
            self.ensure_room(request, guard)?;
        }
        // A relay that is restored keeps its deadline, also if that has passed.
        let in_flight = request.resumed.map(|_| table.in_flight(request.hash));
        let deadline = match request.resumed {
            Some(resumed) => resumed.deadline,
            None => self.deadline(now, announcement.ttl_nanos)?,
        };
        let registered_at = announcement.registered_at;
        let staged = table.stage(
            (request.id, request.hash),
            announcement,
            deadline,
            self.beginning(request, now, replaced),
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
        let arrival = staged.append();
        if in_flight.is_none() && !self.is_in_time(deadline) {
            staged.withdraw();
            return Err(AttemptError::Conflict);
        }
        let pending = record.begin_pending();
        match staged.admit(before) {
            AdmitOutcome::Admitted => {
                record.refresh_arrival(&arrival);
                if replaced.is_some() || record.circuit() != Circuit::CLOSED {
                    self.catch_up(&record, resets, now.tick);
                }
                drop(pending);
                drop(in_flight);
                match replaced {
                    Some(before) if before.is_counted() => record.publish_updated(),
                    _ => {
                        let returned = replaced.is_some_and(|it| it.is_remembered(now.tick));
                        record.publish_joined(registered_at, returned);
                    }
                }
                Ok(())
            }
            AdmitOutcome::AlreadyPresent | AdmitOutcome::NoPlace => Err(AttemptError::Conflict),
        }
    }

    fn beginning<'g>(
        &self,
        request: &Request<'_>,
        now: Moment,
        replaced: Option<&Closing<'g>>,
    ) -> Beginning<'g> {
        let is_newcomer = request.resumed.is_none()
            && !replaced.is_some_and(|before| before.is_remembered(now.tick));
        Beginning {
            rtt_seed: request.rtt_seed,
            arrived_at: match replaced {
                // A slow start goes on.
                Some(before) if !is_newcomer => before.record().arrived_at(),
                _ => self.arrival(is_newcomer, now),
            },
            before: replaced.map(Closing::record),
        }
    }

    /// When a relay arrived, if it starts slowly.
    pub(super) fn arrival(&self, is_newcomer: bool, now: Moment) -> Option<Tick> {
        let starts_slowly = is_newcomer && self.relays.settings.slow_start_nanos > 0;
        starts_slowly.then_some(now.tick)
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

    /// Applies what happened to all relays since the record took over what was known.
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
    #[inline(always)]
    pub(super) fn ensure_room(
        &self,
        request: &Request<'_>,
        guard: &Guard,
    ) -> Result<(), AttemptError> {
        let relays = &self.relays;
        let named = (request.id, request.hash);
        while let Some(full) = relays.table.full_without(named, guard) {
            self.expiry.expire_due(relays, relays.timeline.tick());
            relays.table.help_departures(guard);
            // No place came or went, so the table was full when nothing due or departing was left.
            if relays.table.full_without(named, guard) == Some(full) {
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

    /// Whether the deadline of a record that is in the inbox of the wheel has not passed. If it
    /// has, a sweep may be complete that has not seen it.
    #[inline]
    pub(super) fn is_in_time(&self, deadline: Tick) -> bool {
        deadline > self.relays.timeline.tick()
    }
}

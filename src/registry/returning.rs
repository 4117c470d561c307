//! Relays that return: late, or after they left; and relays that restart.
//!
//! A relay that returns is admitted in the record that it had, by the steps of
//! `table/returning.rs`. A relay that restarts while it has leases moves to another record, so
//! that the leases stay behind and are void:
//!
//! 1. A compare-and-swap (acquire and release) changes the lifecycle from live, or gone, to
//!    *closing*. The relay is absent from here on. Threads that want to change it spin.
//! 2. A touch of the load (acquire and release): an operator setting is either seen below, or
//!    its thread sees that the record is closing, and repeats the update.
//! 3. A new record is staged, takes over round trips, circuit and settings from the old one,
//!    and is admitted, by the steps of `table/admission.rs`. If the relay was live, the new
//!    record takes its place in the count.
//! 4. If it was admitted, the old record is forgotten. If not, its lifecycle is set back to
//!    what it was.

use crate::registry::announcement::{self, amended};
use crate::registry::forgetting::is_local_in_grace;
use crate::registry::inner::Inner;
use crate::registry::reputation::{apply_outage_end, recheck_outage_end};
use crate::registry::request::{AttemptError, Registration, Request};
use crate::table::record::{Announcement, Origin};
use crate::table::{Before, Closing, LiveRecord, ObservedRecord};
use crate::time::Moment;

impl Inner {
    /// Admits a relay that is gone, in the record that it had; as what it was, if it is
    /// remembered.
    pub(super) fn readmit(
        &self,
        record: ObservedRecord<'_>,
        request: &Request<'_>,
        now: Moment,
    ) -> Result<Registration, AttemptError> {
        let is_remembered = record.word().is_remembered_at(now.tick);
        if request.origin == Origin::Learned && is_local_in_grace(&record, now.tick) {
            return Err(AttemptError::Conflict);
        }
        let announcement = self.announcement_on_return(&record, request, now, is_remembered);
        self.check_announced(request, &announcement)?;
        let registration = match is_remembered {
            true => Registration::Returned,
            false => Registration::New,
        };
        if request.options.restarted && record.load().leases() > 0 {
            // Before anything changes: what is remembered outlasts a refusal.
            self.ensure_room(request, record.guard())?;
            let closing = self.relays.table.close_gone(record);
            let closing = closing.ok_or(AttemptError::Conflict)?;
            if !is_remembered {
                record.forget_rtt(now.nanos);
            }
            self.move_to_new_record(closing, request, now, announcement)?;
            return Ok(registration);
        }
        self.readmit_in_place(record, request, now, announcement, is_remembered)?;
        Ok(registration)
    }

    /// What the relay announces from now on: of one that expired, what it did before, but
    /// for what the request changes.
    fn announcement_on_return(
        &self,
        record: &ObservedRecord<'_>,
        request: &Request<'_>,
        now: Moment,
        is_remembered: bool,
    ) -> Announcement {
        match record.announcement() {
            Some(last) if is_remembered && request.origin == Origin::Local => {
                announcement::returned(last, request, now)
            }
            _ => announcement::first(request, now.nanos, self.relays.settings.ttl),
        }
    }

    fn readmit_in_place(
        &self,
        record: ObservedRecord<'_>,
        request: &Request<'_>,
        now: Moment,
        announcement: Announcement,
        is_remembered: bool,
    ) -> Result<(), AttemptError> {
        let guard = record.guard();
        self.ensure_room(request, guard)?;
        let deadline = self.deadline(now, announcement.ttl_nanos)?;
        let loses_load = request.options.restarted || !is_remembered;
        let registered_at = announcement.registered_at;
        let returning = self.relays.table.bring_back(
            record,
            announcement,
            deadline,
            loses_load,
            self.arrival(!is_remembered, now),
        )?;
        let returning = returning.ok_or(AttemptError::Conflict)?;
        if !is_remembered {
            record.forget_rtt(now.nanos);
        } else if record.has_lapsed(now.tick) {
            record.refresh_rtt(now.tick);
        }
        if let Some(seed) = request.rtt_seed {
            self.relays.seed_rtt(&record, now.nanos, seed);
        }
        apply_outage_end(&record, is_remembered);
        let arrival = returning.append();
        if !self.is_in_time(deadline) {
            returning.refuse();
            return Err(AttemptError::Conflict);
        }
        let pending = record.begin_pending();
        if !returning.admit() {
            return Err(AttemptError::Conflict);
        }
        // A lease may have been released before this: see `Publication::refresh_load`.
        record.touch_load();
        record.refresh_arrival(&arrival);
        recheck_outage_end(&record);
        drop(pending);
        record.publish_returned(registered_at, is_remembered);
        Ok(())
    }

    /// Renews a relay that lost its sessions. The leases that are held on it are void: they
    /// stay with the record that it had.
    pub(super) fn restart(
        &self,
        record: LiveRecord<'_>,
        request: &Request<'_>,
        now: Moment,
    ) -> Result<Registration, AttemptError> {
        let current = record.announcement();
        let announcement = amended(current, request).unwrap_or_else(|| current.clone());
        self.check_announced(request, &announcement)?;
        self.deadline(now, announcement.ttl_nanos)?;
        // If there is no new record, it is live again with the deadline that it has.
        let _in_flight = self.relays.table.in_flight(request.hash);
        if !self.is_in_time(record.word().deadline()) {
            return Err(AttemptError::Conflict);
        }
        let closing = self.relays.table.close_live(record);
        let closing = closing.ok_or(AttemptError::Conflict)?;
        self.move_to_new_record(closing, request, now, announcement)?;
        Ok(Registration::Renewed)
    }

    /// Admits a relay in a new record without leases, which takes over what is known of it.
    /// A relay that was live keeps its place in the count. If that fails, nothing has changed.
    ///
    /// Until then the record that it had is closing, so that other threads wait.
    fn move_to_new_record(
        &self,
        closing: Closing<'_>,
        request: &Request<'_>,
        now: Moment,
        announcement: Announcement,
    ) -> Result<(), AttemptError> {
        let before = closing.record();
        // What is updated later is updated again: see `update_each_record`.
        before.touch_load();
        let guard = before.guard();
        let entered = loop {
            let before = Before::Record(&closing);
            match self.admit(request, now, announcement.clone(), before, guard) {
                // Another relay was admitted meanwhile.
                Err(AttemptError::Conflict)
                    if self
                        .deadline(now, announcement.ttl_nanos)
                        .is_ok_and(|deadline| self.is_in_time(deadline)) => {}
                entered => break entered,
            }
        };
        match entered {
            Ok(()) => closing.forget(),
            Err(_) => closing.leave_as_it_was(),
        }
        entered
    }
}

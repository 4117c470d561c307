//! Registering and leaving.

use crate::errors::RegisterError;
use crate::registry::announcement;
use crate::registry::core::{Core, Resets};
use crate::registry::request::{AttemptError, Registration, Request, check};
use crate::relay::{Endpoint, NodeId, RegisterOptions};
use crate::sync::epoch::{self, Guard};
use crate::sync::yield_now;
use crate::table::record::{Announcement, Circuit, Lifecycle, Origin, State};
use crate::table::{AdmitOutcome, Closing, RecordRef};
use crate::time::{Moment, Tick};

/// How often a registration helps to reclaim before it gives up.
const MAX_ATTEMPTS: usize = 256;

impl Core {
    /// Registers a relay, or renews it where more is said of it than it
    /// announced.
    pub(super) fn register(
        &self,
        id: &NodeId,
        endpoint: &Endpoint,
        options: &RegisterOptions,
    ) -> Result<Registration, RegisterError> {
        let outcome = check(&self.settings, endpoint, options).and_then(|rtt_seed| {
            self.register_checked(&Request {
                id,
                hash: self.table.hash(id),
                endpoint,
                options,
                rtt_seed,
                origin: Origin::Local,
            })
        });
        self.counters.count_registration(&outcome);
        if outcome.is_ok() {
            self.note_change(id);
        }
        outcome
    }

    fn register_checked(&self, request: &Request<'_>) -> Result<Registration, RegisterError> {
        let mut attempts_left = MAX_ATTEMPTS;
        let mut reading = None;
        loop {
            // The clock is the embedder's: it is not called while pinned, nor after
            // anything has changed for which this call would have to be repeated.
            let now = reading.take().unwrap_or_else(|| self.timeline.advance());
            // The guard ends with this statement: a thread that helps must not be
            // pinned.
            let outcome = self.try_register(request, now, &epoch::pin());
            match outcome {
                Ok(registration) => return Ok(registration),
                Err(AttemptError::Conflict) => {}
                Err(AttemptError::LearnedRemoved) => reading = Some(now),
                Err(AttemptError::Busy) => yield_now(),
                Err(AttemptError::Rejected(error)) => return Err(error),
                Err(AttemptError::Exhausted) if attempts_left == 0 => {
                    let awaiting_reclamation = self.table.backlog();
                    return Err(RegisterError::Backlogged {
                        awaiting_reclamation,
                    });
                }
                Err(AttemptError::Exhausted) => {
                    // A thread that was preempted inside a call holds the epoch
                    // back: give it a chance to finish.
                    yield_now();
                    self.forget_surplus();
                    self.table.help_reclamation();
                    attempts_left -= 1;
                }
            }
        }
    }

    pub(super) fn try_register(
        &self,
        request: &Request<'_>,
        now: Moment,
        guard: &Guard,
    ) -> Result<Registration, AttemptError> {
        let found = self.table.find_known(request.hash, request.id, guard);
        let Some(record) = found else {
            let announcement = announcement::first(request, now, self.settings.ttl);
            self.enter(request, now, announcement, None, guard)?;
            return Ok(Registration::New);
        };
        let word = record.lifecycle();
        match word.state() {
            State::Live => self.renew(record, word, request, now),
            State::Gone => self.come_back(record, word, request, now),
            State::Vacant | State::Pending => Err(AttemptError::Conflict),
            State::Departing | State::Closing | State::Returning => Err(AttemptError::Busy),
        }
    }

    /// Lets a relay in that has no record, if there is room; `replaced` has what is known
    /// of it, if anything.
    ///
    /// It is in the arrivals and in the wheel's inbox before it is admitted, so
    /// the moment that makes it a relay is also the one from which it is found,
    /// handed out and due.
    pub(super) fn enter(
        &self,
        request: &Request<'_>,
        now: Moment,
        announcement: Announcement,
        replaced: Option<&Closing<'_>>,
        guard: &Guard,
    ) -> Result<(), AttemptError> {
        if !replaced.is_some_and(Closing::is_counted) {
            self.ensure_room(request, guard)?;
        }
        let in_flight = self.in_flight();
        let deadline = self.deadline_ahead(now, announcement.ttl_nanos)?;
        let staged = self.table.stage(
            (request.id, request.hash),
            announcement,
            deadline,
            request.rtt_seed,
            guard,
        )?;
        let record = staged.record();
        let resets = self.resets.ended();
        match replaced {
            Some(before) => {
                let is_remembered = before.is_remembered(now.tick);
                self.inherit(&record, &before.record(), request, now, is_remembered);
            }
            None => self.note_failures(&record, request),
        }
        self.table.append(&record);
        self.table.announce_to_wheel(&record);
        let note = record.announce();
        match self.table.admit(&staged, request.id, replaced, guard) {
            AdmitOutcome::Admitted => {
                record.refresh(true);
                if replaced.is_some() || record.circuit() != Circuit::CLOSED {
                    self.catch_up(&record, resets, now.tick);
                }
                drop(note);
                drop(in_flight);
                Ok(())
            }
            AdmitOutcome::Held | AdmitOutcome::Full => {
                self.table.withdraw(&staged);
                Err(AttemptError::Conflict)
            }
        }
    }

    fn inherit(
        &self,
        record: &RecordRef<'_>,
        before: &RecordRef<'_>,
        request: &Request<'_>,
        now: Moment,
        is_remembered: bool,
    ) {
        record.inherit_from(before);
        self.resume_circuit(record, is_remembered);
        if let Some(seed) = request.rtt_seed {
            self.seed_rtt(record, now.nanos, seed);
        }
    }

    /// Applies to a record that was just admitted what happened to all relays while it took
    /// over what was known of its relay: an outage that ended, and resets.
    fn catch_up(&self, record: &RecordRef<'_>, before: Resets, now: Tick) {
        self.finish_outage(record);
        let after = self.resets.begun();
        if after.circuits != before.circuits {
            record.change_circuit(Circuit::with_reset);
        }
        if after.rtts != before.rtts {
            self.forget_rtt_of(record, now);
        }
    }

    /// One that failed before it was forgotten stands as it did then.
    fn note_failures(&self, record: &RecordRef<'_>, request: &Request<'_>) {
        if let Some(earned) = self.circuit_history.of(request.id) {
            self.publication().context.expect_waiting();
            record.begin_circuit(|_| earned);
        }
    }

    /// Refuses a newcomer when the table is full of relays that live.
    pub(super) fn ensure_room(
        &self,
        request: &Request<'_>,
        guard: &Guard,
    ) -> Result<(), AttemptError> {
        while let Some(full) = self.table.full_without(request.id, guard) {
            self.make_room(self.timeline.tick());
            self.table.help_departures(guard);
            // Unchanged, so it was full when nothing due or departing was left.
            if self.table.full_without(request.id, guard) == Some(full) {
                if request.origin == Origin::Local && self.evict_learned(guard) {
                    continue;
                }
                let max = self.table.max_relays();
                return Err(RegisterError::Full { max }.into());
            }
        }
        Ok(())
    }

    pub(super) fn deadline(&self, now: Moment, ttl_nanos: u64) -> Result<Tick, AttemptError> {
        self.timeline
            .deadline(now, ttl_nanos)
            .filter(|&deadline| deadline <= Lifecycle::LAST_DEADLINE)
            .ok_or(AttemptError::Rejected(RegisterError::ClockExhausted))
    }

    /// The same, for a deadline that the wheel is yet to be told of: it has not passed by
    /// now, and is noted as on its way.
    pub(super) fn deadline_ahead(&self, now: Moment, ttl_nanos: u64) -> Result<Tick, AttemptError> {
        let deadline = self.deadline(now, ttl_nanos)?;
        match deadline > self.timeline.tick() {
            true => Ok(deadline),
            false => Err(AttemptError::Conflict),
        }
    }

    pub(super) fn unregister(&self, id: &NodeId) -> bool {
        let left = self.remove_live(id);
        if left {
            self.counters.count_unregistration();
            self.note_change(id);
        }
        left
    }

    fn remove_live(&self, id: &NodeId) -> bool {
        let now = self.present();
        let guard = epoch::pin();
        while let Some((record, word)) = self.find_live(id, now, &guard) {
            if let Some(closing) = self.table.depart(record, word) {
                self.remember(closing, now, false);
                return true;
            }
        }
        false
    }

    /// Since when a relay is late, give or take some ticks.
    ///
    /// What brings its leaves in line with that moves its deadline back, by a tick for each
    /// leaf. But it was not due when all that was due had departed last.
    fn lapsed_since(&self, word: Lifecycle) -> Tick {
        let not_due_at = self.swept();
        word.deadline().max(Tick(not_due_at.0 + 1))
    }

    /// Makes an expired record depart, unless another thread was faster.
    pub(super) fn expire(&self, record: RecordRef<'_>, word: Lifecycle) -> bool {
        let departed = self.table.depart(record, word);
        let expired = departed.is_some();
        if let Some(closing) = departed {
            self.counters.count_expiration();
            self.remember(closing, self.lapsed_since(word), true);
        }
        expired
    }
}

//! Registering: a relay is admitted, renewed, or returns.

use crate::errors::RegisterError;
use crate::registry::announcement;
use crate::registry::inner::Inner;
use crate::registry::request::{
    AttemptError, Registration, Request, TimeSource, check, check_reachable,
};
use crate::relay::{Endpoint, NodeId, RegisterOptions};
use crate::sync::epoch::Guard;
use crate::sync::yield_now;
use crate::table::record::{Announcement, Origin, State};
use crate::table::{Before, Hash};
use crate::time::Moment;

/// How often a call that needs a record makes room before it gives up.
pub(super) const MAX_ATTEMPTS: usize = 256;

impl Inner {
    /// Registers a relay, or renews it where the request changes what it announced. The caller has
    /// just read the clock, and then pinned.
    pub(super) fn register(
        &self,
        named: (&NodeId, Hash),
        endpoint: &Endpoint,
        options: &RegisterOptions,
        (now, guard): (Moment, Guard),
    ) -> Result<Registration, RegisterError> {
        let _wakes = self.relays.wake_guard();
        let time = TimeSource::Clock(now);
        let outcome = self.try_register_local(named, endpoint, options, false, (time, Some(guard)));
        self.conclude_registration(named.0, &outcome);
        outcome
    }

    /// Registers a relay with options that may be the whole of what it announces. The caller
    /// [concludes](Self::conclude_registration) it, and wakes what waits for a relay. If it is
    /// pinned, the guard serves the first attempt.
    pub(super) fn try_register_local(
        &self,
        (id, hash): (&NodeId, Hash),
        endpoint: &Endpoint,
        options: &RegisterOptions,
        is_whole: bool,
        (time, guard): (TimeSource, Option<Guard>),
    ) -> Result<Registration, RegisterError> {
        let relays = &self.relays;
        let rtt_seed = check(&relays.settings, endpoint, options)?;
        let (_claim, time, guard) = match &options.details {
            None => (None, time, guard),
            Some(details) => {
                // This may wait for a lock, and read the clock.
                drop(guard);
                let claim = self.labels.claim_of(details, relays, time)?;
                (claim, time.after_wait(&relays.timeline), None)
            }
        };
        let request = Request {
            id,
            hash,
            endpoint,
            options,
            rtt_seed,
            origin: Origin::Local,
            is_whole,
            resumed: None,
        };
        self.register_checked(&request, time, guard)
    }

    /// Counts the outcome of a registration, and tells subscribers or the DHT.
    pub(super) fn conclude_registration(
        &self,
        id: &NodeId,
        outcome: &Result<Registration, RegisterError>,
    ) {
        self.relays.counters.count_registration(outcome);
        match outcome {
            Ok(_) => self.link.notify_change(id),
            Err(error) => {
                self.relays.trace.note_refusal(error);
                self.relays.publish_refusal(id, error);
            }
        }
    }

    #[inline(always)]
    fn register_checked(
        &self,
        request: &Request<'_>,
        time: TimeSource,
        mut guard: Option<Guard>,
    ) -> Result<Registration, RegisterError> {
        let relays = &self.relays;
        let mut attempts_left = MAX_ATTEMPTS;
        let mut now = time.first(&relays.timeline);
        loop {
            // Nothing is pinned afterwards: a thread that helps must not be.
            match self.attempt(request, now, guard.take()) {
                Ok(registration) => return Ok(registration),
                Err(AttemptError::Conflict) => {}
                // The clock is the embedder's: it is not called while pinned, nor after
                // anything has changed for which this call would have to be repeated.
                Err(AttemptError::LearnedRemoved) => continue,
                Err(AttemptError::Busy) => yield_now(),
                Err(AttemptError::Rejected(error)) => return Err(error),
                Err(AttemptError::Exhausted) if attempts_left == 0 => {
                    let awaiting_reclamation = relays.table.backlog();
                    return Err(RegisterError::Backlogged {
                        awaiting_reclamation,
                    });
                }
                Err(AttemptError::Exhausted) => {
                    self.make_room();
                    attempts_left -= 1;
                }
            }
            now = time.again(&relays.timeline);
        }
    }

    /// Makes room for a record. Nothing may be pinned.
    pub(super) fn make_room(&self) {
        let relays = &self.relays;
        // A thread that was preempted inside a call holds the epoch back: give it a chance to
        // finish.
        yield_now();
        if relays.table.is_to_forget() {
            self.expiry.forget_excess(relays);
        }
        relays.table.help_reclamation();
    }

    /// Checks what a relay would announce together with what it announced before.
    pub(super) fn check_announced(
        &self,
        request: &Request<'_>,
        announcement: &Announcement,
    ) -> Result<(), RegisterError> {
        check_reachable(&announcement.endpoint, announcement.nat)?;
        self.link.check_publishable(request.id, announcement)
    }

    /// One attempt: admits the relay, renews it or has it return, by what its record says.
    #[inline(always)]
    pub(super) fn try_register(
        &self,
        request: &Request<'_>,
        now: Moment,
        guard: &Guard,
    ) -> Result<Registration, AttemptError> {
        let relays = &self.relays;
        let table = &relays.table;
        let record = match table.find_known_or_absence(request.hash, request.id, guard) {
            Ok(record) => record,
            Err(absence) => {
                let ttl = relays.settings.ttl;
                let registered_at = request.resumed.map_or(now.nanos, |it| it.registered_at);
                let announcement = announcement::first(request, registered_at, ttl);
                self.link.check_publishable(request.id, &announcement)?;
                self.admit(request, now, announcement, Before::None(absence), guard)?;
                return Ok(Registration::New);
            }
        };
        let record = record.observe();
        if let Some(live) = record.live() {
            return self.renew(live, request, now);
        }
        match record.word().state() {
            State::Gone => self.readmit(record, request, now),
            State::Live | State::Vacant | State::Staged => Err(AttemptError::Conflict),
            State::Departing | State::Closing | State::Returning => Err(AttemptError::Busy),
        }
    }
}

//! Registering and leaving.

use crate::errors::RegisterError;
use crate::limits::MAX_CAPACITY;
use crate::registry::core::{Core, Resets};
use crate::relay::{Endpoint, NatType, NodeId, RegisterOptions};
use crate::rtt::sane_micros;
use crate::sync::epoch::{self, Guard};
use crate::sync::yield_now;
use crate::table::record::{Announcement, Circuit, Lifecycle, Origin, State};
use crate::table::{AdmitOutcome, Closing, Exhausted, Hash, RecordRef};
use crate::time::{Moment, Tick, nanos};
use std::fmt;
use std::time::Duration;

/// What a successful registration was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Registration {
    /// The relay was not held, nor remembered. Leases on an earlier registration of it
    /// count all the same.
    New,
    /// The relay was held: its deadline and endpoint were replaced, and what
    /// else the options set. Load, leases and measurements stay.
    Renewed,
    /// The relay had left or expired, and is what it was, for it came back within its
    /// [grace](crate::RegistryBuilder::return_grace): leases, load, round trips and
    /// circuit. One that had expired also has what it announced, but for what the options
    /// set.
    Returned,
}

impl fmt::Display for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::New => "new",
            Self::Renewed => "renewed",
            Self::Returned => "returned",
        })
    }
}

/// The capacity of a relay that does not declare one.
const DEFAULT_CAPACITY: u32 = 100;

/// The longest label of a failure domain, in bytes.
pub(super) const MAX_LABEL: usize = 63;

/// How often a registration helps to reclaim before it gives up.
const MAX_ATTEMPTS: usize = 256;

/// A checked request to register.
pub(super) struct Request<'a> {
    pub(super) id: &'a NodeId,
    pub(super) hash: Hash,
    pub(super) endpoint: &'a Endpoint,
    pub(super) options: &'a RegisterOptions,
    pub(super) rtt_seed: Option<u32>,
    pub(super) origin: Origin,
}

/// Why an attempt to register did not come to its end.
pub(super) enum RegisterFailure {
    /// Another thread changed what the attempt built on.
    Overtaken,
    /// Another thread has the record of this id for a few steps: the relay is just
    /// leaving, being forgotten, or coming back.
    InHand,
    /// No record or announcement is to be had before more is reclaimed.
    Exhausted,
    /// A learned relay made way for a local one.
    MadeWay,
    /// It cannot be.
    Refused(RegisterError),
}

impl From<Exhausted> for RegisterFailure {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}

impl Core {
    /// Registers a relay, or renews it where more is said of it than it
    /// announced.
    pub(super) fn register(
        &self,
        id: &NodeId,
        endpoint: &Endpoint,
        options: &RegisterOptions,
    ) -> Result<Registration, RegisterError> {
        let outcome = self.check(endpoint, options).and_then(|rtt_seed| {
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
            self.link.note_change(id);
        }
        outcome
    }

    /// Judges everything that does not depend on what is held.
    pub(super) fn check(
        &self,
        endpoint: &Endpoint,
        options: &RegisterOptions,
    ) -> Result<Option<u32>, RegisterError> {
        endpoint.check(self.settings.address_policy)?;
        check_reachable(endpoint, options.nat)?;
        match *options {
            RegisterOptions {
                capacity: Some(capacity),
                ..
            } if !(1..=MAX_CAPACITY).contains(&capacity) => {
                Err(RegisterError::InvalidCapacity { capacity })
            }
            RegisterOptions { ttl: Some(ttl), .. } if !is_countable(ttl, self.settings.tick) => {
                Err(RegisterError::InvalidTtl {
                    ttl,
                    min: self.settings.tick,
                    max: longest_ttl(self.settings.tick),
                })
            }
            RegisterOptions {
                failure_domain: Some(ref label),
                ..
            } if !(1..=MAX_LABEL).contains(&label.len()) => {
                Err(RegisterError::InvalidFailureDomain { len: label.len() })
            }
            RegisterOptions {
                latency: Some(latency),
                ..
            } => sane_micros(latency)
                .map(Some)
                .ok_or(RegisterError::InvalidLatency { latency }),
            _ => Ok(None),
        }
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
                Err(RegisterFailure::Overtaken) => {}
                Err(RegisterFailure::MadeWay) => reading = Some(now),
                Err(RegisterFailure::InHand) => yield_now(),
                Err(RegisterFailure::Refused(error)) => return Err(error),
                Err(RegisterFailure::Exhausted) if attempts_left == 0 => {
                    let awaiting_reclamation = self.table.backlog();
                    return Err(RegisterError::Backlogged {
                        awaiting_reclamation,
                    });
                }
                Err(RegisterFailure::Exhausted) => {
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
    ) -> Result<Registration, RegisterFailure> {
        let found = self.table.find_known(request.hash, request.id, guard);
        let Some(record) = found else {
            let announcement = first_announcement(request, now, self.settings.ttl);
            self.enter(request, now, announcement, None, guard)?;
            return Ok(Registration::New);
        };
        let word = record.lifecycle();
        match word.state() {
            State::Live => self.renew(record, word, request, now),
            State::Gone => self.come_back(record, word, request, now),
            State::Vacant | State::Pending => Err(RegisterFailure::Overtaken),
            State::Departing | State::Closing | State::Returning => Err(RegisterFailure::InHand),
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
    ) -> Result<(), RegisterFailure> {
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
                Err(RegisterFailure::Overtaken)
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
    ) -> Result<(), RegisterFailure> {
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

    pub(super) fn deadline(&self, now: Moment, ttl_nanos: u64) -> Result<Tick, RegisterFailure> {
        self.timeline
            .deadline(now, ttl_nanos)
            .filter(|&deadline| deadline <= Lifecycle::LAST_DEADLINE)
            .ok_or(RegisterFailure::Refused(RegisterError::ClockExhausted))
    }

    /// The same, for a deadline that the wheel is yet to be told of: it has not passed by
    /// now, and is noted as on its way.
    pub(super) fn deadline_ahead(
        &self,
        now: Moment,
        ttl_nanos: u64,
    ) -> Result<Tick, RegisterFailure> {
        let deadline = self.deadline(now, ttl_nanos)?;
        match deadline > self.timeline.tick() {
            true => Ok(deadline),
            false => Err(RegisterFailure::Overtaken),
        }
    }

    pub(super) fn unregister(&self, id: &NodeId) -> bool {
        let left = self.remove_live(id);
        if left {
            self.counters.count_unregistration();
            self.link.note_change(id);
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

impl From<RegisterError> for RegisterFailure {
    fn from(error: RegisterError) -> Self {
        Self::Refused(error)
    }
}

/// Whether a span is at least a tick, and leaves room to count deadlines.
pub(super) fn is_countable(ttl: Duration, tick: Duration) -> bool {
    (tick..=longest_ttl(tick)).contains(&ttl)
}

/// The longest span that leaves room to count deadlines.
pub(super) fn longest_ttl(tick: Duration) -> Duration {
    let ticks = Lifecycle::LAST_DEADLINE.0 / 2 + 1;
    Duration::from_nanos(nanos(tick).saturating_mul(ticks) - 1)
}

/// A peer that strangers cannot reach cannot relay.
pub(super) fn check_reachable(
    endpoint: &Endpoint,
    nat: Option<NatType>,
) -> Result<(), RegisterError> {
    match nat {
        Some(nat) if !nat.can_relay() => Err(RegisterError::NotReachable { nat }),
        Some(nat @ NatType::PublicIp) if !endpoint.is_public() => {
            Err(RegisterError::NotReachable { nat })
        }
        _ => Ok(()),
    }
}

pub(super) fn first_announcement(
    request: &Request<'_>,
    now: Moment,
    default_ttl: Duration,
) -> Announcement {
    let options = request.options;
    let capacity = options.capacity.unwrap_or(DEFAULT_CAPACITY);
    let ttl = options.ttl.unwrap_or(default_ttl);
    Announcement {
        nat: options.nat,
        origin: request.origin,
        failure_domain: options.failure_domain.clone(),
        registered_at: now.nanos,
        ..Announcement::new(request.endpoint.clone(), capacity, ttl)
    }
}

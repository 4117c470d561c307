//! What the DHT asks of the registry, and what the registry answers.

use crate::dht::{Announcement, EnterOutcome, FailureDomain, Load, LocalRelay, RegistryBackend};
use crate::errors::RegisterError;
use crate::registry::forgetting::is_local_in_grace;
use crate::registry::inner::Inner;
use crate::registry::reputation::{record_failure, record_success};
use crate::registry::request::{AttemptError, MAX_LABEL, Registration, Request, check};
use crate::relay::{Endpoint, NodeId, RegisterOptions};
use crate::sync::{epoch, yield_now};
use crate::table::record::{Failure, Origin, Source};
use crate::table::{self, Hash};
use crate::time::{Moment, nanos};
use std::time::Duration;

/// Only `now` reads the clock, which is the embedder's code: the caller of the others holds
/// a lock.
impl RegistryBackend for Inner {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.relays.timeline.advance().nanos)
    }

    fn elapsed(&self) -> Duration {
        self.relays.timeline.elapsed()
    }

    fn local(&self, id: &NodeId) -> Option<LocalRelay> {
        self.announced(id)
    }

    fn is_local(&self, id: &NodeId) -> bool {
        self.is_held(id, Origin::Local)
    }

    fn is_learned(&self, id: &NodeId) -> bool {
        self.is_held(id, Origin::Learned)
    }

    fn enter(
        &self,
        id: &NodeId,
        announcement: &Announcement,
        capacity: u32,
        ttl: Duration,
        now: Duration,
    ) -> EnterOutcome {
        let Announcement {
            endpoint,
            capacity: _, // `capacity` is the part of it that is admitted
            nat,
            load: _, // a claim that ranks nothing
            failure_domain,
        } = announcement;
        let mut options = RegisterOptions::new().capacity(capacity).ttl(ttl);
        if let &Some(nat) = nat {
            options = options.nat(nat);
        }
        // What a record can say the registry takes, and the other way round.
        const { assert!(FailureDomain::MAX_LEN == MAX_LABEL) };
        if let Some(domain) = failure_domain {
            options = options.failure_domain(domain.as_str());
        }
        self.learn_relay(id, endpoint, &options, now)
    }

    fn measured(&self, id: &NodeId, rtt: Duration) {
        let now = self.relays.timeline.tick();
        self.record_rtt_at(id, rtt, now);
        self.relays
            .with_live(id, now, |record| record_success(&record, Source::Probe));
    }

    fn failed(&self, id: &NodeId) {
        self.relays
            .with_live(id, self.relays.timeline.tick(), |record| {
                record_failure(&record, Failure::TimedOut, Source::Probe);
            });
    }

    fn leave(&self, id: &NodeId) -> bool {
        let now = self.relays.timeline.tick();
        let guard = epoch::pin();
        let found = self.relays.find_live(id, now, &guard);
        found.is_some_and(|record| self.remove_learned(*record))
    }

    fn held(&self) -> usize {
        self.relays.table.estimate()
    }
}

impl Inner {
    /// What is to be published of a local relay. One that drains or is banned here is
    /// published as full.
    fn announced(&self, id: &NodeId) -> Option<LocalRelay> {
        let now = self.relays.timeline.tick();
        let guard = epoch::pin();
        let record = self.relays.find_live(id, now, &guard)?;
        let &table::record::Announcement {
            ref endpoint,
            capacity,
            nat,
            origin,
            ttl_nanos: _,
            ref failure_domain,
            registered_at: _,
        } = record.announcement();
        if origin == Origin::Learned {
            return None;
        }
        let is_banned = record.circuit().is_banned(self.relays.timeline.tick());
        let is_open = !record.load().is_draining() && !is_banned;
        let load = if is_open {
            Load::of(record.load().total(), capacity)
        } else {
            Load::FULL
        };
        let domain = failure_domain.as_deref();
        let domain = domain.and_then(|name| FailureDomain::new(name).ok());
        let announcement = Announcement::new(endpoint.clone(), capacity).ok()?;
        let announcement = announcement
            .with_nat(nat)
            .with_load(load)
            .with_failure_domain(domain);
        Some(LocalRelay {
            announcement,
            is_open,
        })
    }

    /// Registers or renews a relay that other nodes announced; a local registration of
    /// the same id stays as it is. The TTL counts from `read_at`, a reading of the clock.
    fn learn_relay(
        &self,
        id: &NodeId,
        endpoint: &Endpoint,
        options: &RegisterOptions,
        read_at: Duration,
    ) -> EnterOutcome {
        let rtt_seed = match check(&self.relays.settings, endpoint, options) {
            Ok(rtt_seed) => rtt_seed,
            Err(error) => return outcome_of(&error),
        };
        let request = Request {
            id,
            hash: self.relays.table.hash(id),
            endpoint,
            options,
            rtt_seed,
            origin: Origin::Learned,
        };
        loop {
            if self.is_held(id, Origin::Local) || self.is_local_late(request.hash, id) {
                return EnterOutcome::HeldLocally;
            }
            // The clock is the embedder's code. It is not called here, because the caller
            // holds a lock; the caller has read it before.
            let now = Moment {
                nanos: nanos(read_at),
                tick: self.relays.timeline.tick(),
            };
            if self.has_ended(now, options) {
                return EnterOutcome::Ended;
            }
            let outcome = self.try_register(&request, now, &epoch::pin());
            match outcome {
                Ok(registration) => {
                    self.relays.counters.count_registration(&Ok(registration));
                    if registration != Registration::Renewed {
                        // The maintenance thread is not woken: its next pass is soon enough.
                        self.merge_if_due();
                    }
                    return EnterOutcome::Entered;
                }
                Err(AttemptError::Conflict | AttemptError::LearnedRemoved) => {}
                Err(AttemptError::Busy) => yield_now(),
                Err(AttemptError::Exhausted) => return EnterOutcome::NoRoom,
                Err(AttemptError::Rejected(error)) => return outcome_of(&error),
            }
        }
    }

    /// Whether a relay that is learned with this TTL would have expired already.
    fn has_ended(&self, now: Moment, options: &RegisterOptions) -> bool {
        let ttl = options.ttl.unwrap_or(self.relays.settings.ttl);
        let deadline = self.relays.timeline.deadline(now, nanos(ttl));
        deadline.is_some_and(|deadline| deadline <= now.tick)
    }

    /// Whether a relay was registered here and is late: then it may be learned only after
    /// it is forgotten.
    fn is_local_late(&self, hash: Hash, id: &NodeId) -> bool {
        let now = self.relays.timeline.tick();
        let guard = epoch::pin();
        let known = self.relays.table.find_known(hash, id, &guard);
        known.is_some_and(|record| {
            let record = record.observe();
            let is_expired = record.live().is_some_and(|live| {
                !live.word().is_live_at(now) && live.announcement().origin == Origin::Local
            });
            is_expired || is_local_in_grace(&record, now)
        })
    }

    fn is_held(&self, id: &NodeId, origin: Origin) -> bool {
        let now = self.relays.timeline.tick();
        let guard = epoch::pin();
        self.relays
            .find_live(id, now, &guard)
            .is_some_and(|record| record.announcement().origin == origin)
    }
}

/// The outcome for a relay that the registry rejects with this error.
fn outcome_of(error: &RegisterError) -> EnterOutcome {
    match error {
        RegisterError::Full { .. } | RegisterError::Backlogged { .. } => EnterOutcome::NoRoom,
        _ => EnterOutcome::Invalid,
    }
}

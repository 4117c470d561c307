//! What the DHT asks of the registry, and what the registry answers.

use super::learned::is_learned;
use crate::dht::{Announcement, EnterOutcome, FailureDomain, Load, LocalRelay, RegistryBackend};
use crate::errors::RegisterError;
use crate::registry::Registration;
use crate::registry::core::Core;
use crate::registry::outcomes::{note_failure, note_success};
use crate::registry::register::{MAX_LABEL, RegisterFailure, Request};
use crate::relay::{Endpoint, NodeId, RegisterOptions};
use crate::sync::{epoch, yield_now};
use crate::table::Hash;
use crate::table::record::{Failure, Origin, Source};
use crate::time::{Moment, nanos};
use std::time::Duration;

/// Only `now` reads the clock, which is the embedder's code: the caller of the others holds
/// a lock.
impl RegistryBackend for Core {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.timeline.advance().nanos)
    }

    fn elapsed(&self) -> Duration {
        self.timeline.elapsed()
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
        let mut options = RegisterOptions::new().capacity(capacity).ttl(ttl);
        if let Some(nat) = announcement.nat() {
            options = options.nat(nat);
        }
        // What a record can say the registry takes, and the other way round.
        const { assert!(FailureDomain::MAX_LEN == MAX_LABEL) };
        if let Some(domain) = announcement.failure_domain() {
            options = options.failure_domain(domain.as_str());
        }
        let endpoint = announcement.endpoint();
        self.learn_relay(id, endpoint, &options, now)
    }

    fn measured(&self, id: &NodeId, rtt: Duration) {
        let now = self.timeline.tick();
        self.record_rtt(id, rtt, now);
        self.with_live(id, now, |record| note_success(&record, Source::Probe));
    }

    fn failed(&self, id: &NodeId) {
        self.with_live(id, self.timeline.tick(), |record| {
            note_failure(&record, Failure::TimedOut, Source::Probe);
        });
    }

    fn leave(&self, id: &NodeId) -> bool {
        let now = self.timeline.tick();
        let guard = epoch::pin();
        let found = self.find_live(id, now, &guard);
        found.is_some_and(|(record, _)| self.remove_learned(record))
    }

    fn held(&self) -> usize {
        self.table.estimate()
    }
}

impl Core {
    /// What is to be published of a local relay. One that drains or is banned here is
    /// published as full.
    fn announced(&self, id: &NodeId) -> Option<LocalRelay> {
        let now = self.timeline.tick();
        let guard = epoch::pin();
        let (record, word) = self.find_live(id, now, &guard)?;
        if is_learned(&record, word) {
            return None;
        }
        let said = record.announcement(word);
        let is_banned = record.circuit().is_banned(self.timeline.tick());
        let is_open = !record.load().is_draining() && !is_banned;
        let load = if is_open {
            Load::of(record.load().total(), said.capacity)
        } else {
            Load::FULL
        };
        let domain = said.failure_domain.as_deref();
        let domain = domain.and_then(|name| FailureDomain::new(name).ok());
        let announcement = Announcement::new(said.endpoint.clone(), said.capacity).ok()?;
        let announcement = announcement
            .with_nat(said.nat)
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
        let rtt_seed = match self.check(endpoint, options) {
            Ok(rtt_seed) => rtt_seed,
            Err(error) => return outcome_of(&error),
        };
        let request = Request {
            id,
            hash: self.table.hash(id),
            endpoint,
            options,
            rtt_seed,
            origin: Origin::Learned,
        };
        loop {
            if self.is_held(id, Origin::Local) || self.is_late(request.hash, id) {
                return EnterOutcome::HeldLocally;
            }
            // The clock is the embedder's code. It is not called here, because the caller
            // holds a lock; the caller has read it before.
            let now = Moment {
                nanos: nanos(read_at),
                tick: self.timeline.tick(),
            };
            if self.has_ended(now, options) {
                return EnterOutcome::Ended;
            }
            let outcome = self.try_register(&request, now, &epoch::pin());
            match outcome {
                Ok(registration) => {
                    self.counters.count_registration(&Ok(registration));
                    if registration != Registration::Renewed {
                        // The maintenance thread comes by soon enough.
                        self.merge_if_due();
                    }
                    return EnterOutcome::Entered;
                }
                Err(RegisterFailure::Overtaken | RegisterFailure::MadeWay) => {}
                Err(RegisterFailure::InHand) => yield_now(),
                Err(RegisterFailure::Exhausted) => return EnterOutcome::NoRoom,
                Err(RegisterFailure::Refused(error)) => return outcome_of(&error),
            }
        }
    }

    /// Whether a relay that is learned with this TTL would have expired already.
    fn has_ended(&self, now: Moment, options: &RegisterOptions) -> bool {
        let ttl = options.ttl.unwrap_or(self.settings.ttl);
        let deadline = self.timeline.deadline(now, nanos(ttl));
        deadline.is_some_and(|deadline| deadline <= now.tick)
    }

    /// Whether a relay was registered here and is late: then it may be learned only after
    /// it is forgotten.
    fn is_late(&self, hash: Hash, id: &NodeId) -> bool {
        let now = self.timeline.tick();
        let guard = epoch::pin();
        let known = self.table.find_known(hash, id, &guard);
        known.is_some_and(|record| {
            let word = record.lifecycle();
            let is_expired = word.is_live()
                && !word.is_live_at(now)
                && record.announcement(word).origin == Origin::Local;
            is_expired || self.is_late_local(&record, word, now)
        })
    }

    fn is_held(&self, id: &NodeId, origin: Origin) -> bool {
        let now = self.timeline.tick();
        let guard = epoch::pin();
        self.find_live(id, now, &guard)
            .is_some_and(|(record, word)| record.announcement(word).origin == origin)
    }
}

/// How the attempt to learn a relay ends that the registry refused for this.
fn outcome_of(error: &RegisterError) -> EnterOutcome {
    match error {
        RegisterError::Full { .. } | RegisterError::Backlogged { .. } => EnterOutcome::NoRoom,
        _ => EnterOutcome::Invalid,
    }
}

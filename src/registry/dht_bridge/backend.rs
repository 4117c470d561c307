//! What the DHT asks of the registry, and what the registry answers.

use super::learned::LearnError;
use crate::dht::{Announcement, EnterOutcome, FailureDomain, Load, LocalRelay, RegistryBackend};
use crate::registry::inner::Inner;
use crate::registry::reputation::{record_failure, record_success};
use crate::registry::request::MAX_LABEL;
use crate::relay::{NodeId, RegisterOptions};
use crate::sync::epoch;
use crate::table;
use crate::table::record::{Failure, Origin, Source};
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
        match self.learn_relay(id, endpoint, &options, now) {
            Ok(_) => EnterOutcome::Entered,
            Err(LearnError::Ended) => EnterOutcome::Ended,
            Err(LearnError::HeldLocally) => EnterOutcome::HeldLocally,
            Err(LearnError::Invalid) => EnterOutcome::Invalid,
            Err(LearnError::NoRoom) => EnterOutcome::NoRoom,
        }
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
}

//! [`RegistryBackend`]: the operations that the DHT calls on the registry.

use super::publishable::published;
use crate::dht::{Announcement, LearnError, Load, LocalRelay, RegistryBackend, RejectReason};
use crate::registry::inner::Inner;
use crate::registry::reputation::{record_failure, record_success};
use crate::relay::{DetailOptions, NodeId, RegisterOptions};
use crate::sync::epoch;
use crate::table::record::{Failure, Origin, Source};
use std::time::Duration;

/// Only `now` reads the clock, and `wake_waiting` wakes tasks, which are the embedder's code. The
/// caller of the other methods holds a lock.
impl RegistryBackend for Inner {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.relays.timeline.advance().nanos)
    }

    fn elapsed(&self) -> Duration {
        self.relays.timeline.elapsed()
    }

    fn local_relay(&self, id: &NodeId) -> Option<LocalRelay> {
        self.local_announcement(id)
    }

    fn is_local(&self, id: &NodeId) -> bool {
        self.is_held(id, Origin::Local)
    }

    fn is_learned(&self, id: &NodeId) -> bool {
        self.is_held(id, Origin::Learned)
    }

    fn register_learned(
        &self,
        id: &NodeId,
        announcement: &Announcement,
        capacity: u32,
        ttl: Duration,
        now: Duration,
    ) -> Result<(), LearnError> {
        let Announcement {
            endpoint,
            capacity: _, // replaced by the argument, which is limited
            nat,
            load: _, // an unverified claim, which must not affect the score
            failure_domain,
            labels,
            also_at,
            payload,
        } = announcement;
        let mut options = RegisterOptions::new().capacity(capacity).ttl(ttl);
        if let &Some(nat) = nat {
            options = options.nat(nat);
        }
        let domain = failure_domain.as_ref();
        options.details = Some(Box::new(DetailOptions {
            failure_domain: domain.map(|domain| domain.as_str().into()),
            tier: Some(self.link.learned_tier()),
            cost: None,
            labels: Some(labels.clone()),
            also_at: also_at.as_ref().map(|others| others.to_vec()),
            payload: payload.clone(),
        }));
        self.learn_relay(id, endpoint, &options, now).map(|_| ())
    }

    fn probe_succeeded(&self, id: &NodeId, rtt: Duration) {
        let now = self.relays.timeline.tick();
        self.record_rtt_at(id, rtt, now);
        self.relays
            .with_live(id, now, |record| record_success(&record, Source::Probe));
    }

    fn probe_failed(&self, id: &NodeId) {
        self.relays
            .with_live(id, self.relays.timeline.tick(), |record| {
                record_failure(&record, Failure::TimedOut, Source::Probe);
            });
    }

    fn unregister_learned(&self, id: &NodeId) -> bool {
        let now = self.relays.timeline.tick();
        let guard = epoch::pin();
        let found = self.relays.find_live(id, now, &guard);
        found.is_some_and(|record| self.remove_learned(*record))
    }

    fn record_rejected(&self, id: &NodeId, reason: RejectReason) {
        self.relays.publish_rejection(id, reason);
    }

    fn is_relay_awaited(&self) -> bool {
        self.relays.events().is_relay_awaited()
    }

    fn wake_waiting(&self) {
        drop(self.relays.wake_guard());
    }

    fn relay_count(&self) -> usize {
        self.relays.table.estimate()
    }
}

impl Inner {
    /// What is published of a local relay. A relay that is draining or banned is published as
    /// full, so that other nodes do not hand it out.
    fn local_announcement(&self, id: &NodeId) -> Option<LocalRelay> {
        let now = self.relays.timeline.tick();
        let guard = epoch::pin();
        let record = self.relays.find_live(id, now, &guard)?;
        let announced = record.announcement();
        if announced.origin == Origin::Learned {
            return None;
        }
        let is_banned = record.circuit().is_banned(self.relays.timeline.tick());
        let is_open = !record.load().is_draining() && !is_banned;
        let load = if is_open {
            Load::of(record.load().total(), announced.capacity)
        } else {
            Load::FULL
        };
        Some(LocalRelay {
            announcement: published(announced, load).checked().ok()?,
            is_open,
        })
    }
}

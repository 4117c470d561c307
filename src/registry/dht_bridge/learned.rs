//! Registers learned relays. [`removal`](crate::registry::removal) removes them when local
//! relays need the room.

use crate::dht::LearnError;
use crate::errors::RegisterError;
use crate::registry::forgetting::is_local_in_grace;
use crate::registry::inner::Inner;
use crate::registry::request::{AttemptError, Registration, Request, check};
use crate::relay::{Endpoint, NodeId, RegisterOptions};
use crate::sync::epoch;
use crate::sync::yield_now;
use crate::table::Hash;
use crate::table::record::Origin;
use crate::time::{Moment, nanos};
use std::time::Duration;

impl From<RegisterError> for LearnError {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Full { .. }
            | RegisterError::Backlogged { .. }
            | RegisterError::EndpointTaken { .. } => Self::NoRoom,
            _ => Self::Invalid,
        }
    }
}

impl Inner {
    /// Registers or renews a learned relay. A local registration of the same id is not changed.
    /// The TTL counts from `read_at`, a reading of the clock.
    pub(super) fn learn_relay(
        &self,
        id: &NodeId,
        endpoint: &Endpoint,
        options: &RegisterOptions,
        read_at: Duration,
    ) -> Result<Registration, LearnError> {
        let rtt_seed = check(&self.relays.settings, endpoint, options)?;
        let request = Request {
            id,
            hash: self.relays.table.hash(id),
            endpoint,
            options,
            rtt_seed,
            origin: Origin::Learned,
            // A record is the whole of what a learned relay announces.
            is_whole: true,
            resumed: None,
        };
        loop {
            if self.is_held(id, Origin::Local) || self.is_local_in_grace(request.hash, id) {
                return Err(LearnError::HeldLocally);
            }
            // The clock is not read here: it is the embedder's code, and the caller holds a
            // lock.
            let now = Moment {
                nanos: nanos(read_at),
                tick: self.relays.timeline.tick(),
            };
            if self.has_expired(now, options) {
                return Err(LearnError::Expired);
            }
            match self.attempt(&request, now, None) {
                Ok(registration) => {
                    self.relays.counters.count_registration(&Ok(registration));
                    if registration != Registration::Renewed {
                        // No wake-up: the next pass of the maintenance thread suffices.
                        self.merge_if_due();
                    }
                    return Ok(registration);
                }
                Err(AttemptError::Conflict | AttemptError::LearnedRemoved) => {}
                Err(AttemptError::Busy) => yield_now(),
                Err(AttemptError::Exhausted) => return Err(LearnError::NoRoom),
                Err(AttemptError::Rejected(error)) => return Err(error.into()),
            }
        }
    }

    /// Whether a relay with this TTL would have expired already.
    fn has_expired(&self, now: Moment, options: &RegisterOptions) -> bool {
        let ttl = options.ttl.unwrap_or(self.relays.settings.ttl);
        let deadline = self.relays.timeline.deadline(now, nanos(ttl));
        deadline.is_some_and(|deadline| deadline <= now.tick)
    }

    /// Whether a local relay has expired or left, and is within its return grace. Then it may not
    /// be learned yet.
    fn is_local_in_grace(&self, hash: Hash, id: &NodeId) -> bool {
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

    pub(super) fn is_held(&self, id: &NodeId, origin: Origin) -> bool {
        let now = self.relays.timeline.tick();
        let guard = epoch::pin();
        self.relays
            .find_live(id, now, &guard)
            .is_some_and(|record| record.announcement().origin == origin)
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::dht::{Announcement, DhtOptions, Memory, RegistryBackend};
    use crate::registry::{Maintenance, Registry};
    use std::net::SocketAddr;
    use std::sync::Barrier;
    use std::thread;

    fn id(n: u8) -> NodeId {
        NodeId::from([n; 32])
    }

    fn endpoint() -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], 4433))
    }

    fn registry(max_relays: usize) -> Registry {
        let options = DhtOptions::new()
            .worker_threads(0)
            .probe(|_: &_, _: &_, _| Ok(Duration::from_millis(1)));
        Registry::builder()
            .max_relays(max_relays)
            .maintenance(Maintenance::Manual)
            .dht(Memory::new(), options)
            .build()
            .unwrap()
    }

    fn learn_relay(registry: &Registry, n: u8) -> Result<(), LearnError> {
        let announcement = Announcement::new(endpoint().into(), 1).unwrap();
        let ttl = Duration::from_secs(600);
        RegistryBackend::register_learned(
            registry.inner(),
            &id(n),
            &announcement,
            1,
            ttl,
            RegistryBackend::now(registry.inner()),
        )
    }

    /// A thread reads the record of a learned relay. Then the relay is registered locally. Then
    /// the thread tries to remove it.
    #[test]
    fn a_learned_relay_that_becomes_local_is_not_evicted() {
        let registry = registry(1);
        let inner = registry.inner();
        assert_eq!(learn_relay(&registry, 1), Ok(()));
        let guard = epoch::pin();
        let record = inner
            .relays
            .find_live(&id(1), inner.relays.present(), &guard)
            .unwrap();
        let lease = registry.lease(&id(1)).unwrap();
        registry.register(id(1), endpoint()).unwrap();
        let again = inner
            .relays
            .find_live(&id(1), inner.relays.present(), &guard)
            .unwrap();
        assert_eq!(
            record.index(),
            again.index(),
            "it keeps its record and its leases"
        );
        assert!(!inner.remove_learned(*record));
        assert!(
            inner
                .learned_to_remove(0..inner.relays.table.high_water(), &guard)
                .is_none()
        );
        drop(lease);
    }

    #[test]
    fn local_relays_that_register_at_once_all_evict_learned_ones() {
        for _ in 0..300 {
            let registry = registry(8);
            for n in 1..=8 {
                assert_eq!(learn_relay(&registry, n), Ok(()));
            }
            let start = Barrier::new(4);
            let rejected = thread::scope(|scope| {
                let threads: Vec<_> = (0..4_u8)
                    .map(|number| {
                        let (registry, start) = (&registry, &start);
                        scope.spawn(move || {
                            start.wait();
                            (0..2).find_map(|n| {
                                registry
                                    .register(id(100 + number * 2 + n), endpoint())
                                    .err()
                            })
                        })
                    })
                    .collect();
                threads
                    .into_iter()
                    .find_map(|thread| thread.join().unwrap())
            });
            assert_eq!(rejected, None);
        }
    }
}

//! Registers the relays that were learned from other nodes. How they are removed again is
//! told in [`eviction`](crate::registry::eviction).

use crate::errors::RegisterError;
use crate::registry::gone::is_local_in_grace;
use crate::registry::inner::Inner;
use crate::registry::request::{AttemptError, Registration, Request, check};
use crate::relay::{Endpoint, NodeId, RegisterOptions};
use crate::sync::epoch;
use crate::sync::yield_now;
use crate::table::Hash;
use crate::table::record::Origin;
use crate::time::{Moment, nanos};
use std::time::Duration;

/// Why a relay was not learned.
pub(super) enum LearnError {
    /// Its record has ended.
    Ended,
    HeldLocally,
    NoRoom,
    Invalid,
}

impl From<RegisterError> for LearnError {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Full { .. } | RegisterError::Backlogged { .. } => Self::NoRoom,
            _ => Self::Invalid,
        }
    }
}

impl Inner {
    /// Registers or renews a relay that other nodes announced; a local registration of
    /// the same id stays as it is. The TTL counts from `read_at`, a reading of the clock.
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
        };
        loop {
            if self.is_held(id, Origin::Local) || self.is_local_late(request.hash, id) {
                return Err(LearnError::HeldLocally);
            }
            // The clock is the embedder's code. It is not called here, because the caller
            // holds a lock; the caller has read it before.
            let now = Moment {
                nanos: nanos(read_at),
                tick: self.relays.timeline.tick(),
            };
            if self.has_ended(now, options) {
                return Err(LearnError::Ended);
            }
            let outcome = self.try_register(&request, now, &epoch::pin());
            match outcome {
                Ok(registration) => {
                    self.relays.counters.count_registration(&Ok(registration));
                    if registration != Registration::Renewed {
                        // The maintenance thread comes by soon enough.
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
    use crate::dht::{Announcement, DhtOptions, EnterOutcome, Memory, RegistryBackend};
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

    fn learn_relay(registry: &Registry, n: u8) -> EnterOutcome {
        let said = Announcement::new(endpoint().into(), 1).unwrap();
        let ttl = Duration::from_secs(600);
        RegistryBackend::enter(
            registry.inner(),
            &id(n),
            &said,
            1,
            ttl,
            RegistryBackend::now(registry.inner()),
        )
    }

    /// The record is a learned relay's when a thread reads it, and a local one's when that
    /// thread removes it.
    #[test]
    fn a_local_relay_in_the_place_of_a_learned_one_does_not_give_way() {
        let registry = registry(1);
        let inner = registry.inner();
        assert_eq!(learn_relay(&registry, 1), EnterOutcome::Entered);
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
        assert_eq!(record.index(), again.index(), "its leases go with it");
        assert!(!inner.remove_learned(*record));
        assert!(
            inner
                .victim_among(0..inner.relays.table.reach(), &guard)
                .is_none()
        );
        drop(lease);
    }

    #[test]
    fn local_relays_that_come_at_once_all_find_room_among_learned_ones() {
        for _ in 0..300 {
            let registry = registry(8);
            for n in 1..=8 {
                assert_eq!(learn_relay(&registry, n), EnterOutcome::Entered);
            }
            let together = Barrier::new(4);
            let refused = thread::scope(|scope| {
                let threads: Vec<_> = (0..4_u8)
                    .map(|number| {
                        let (registry, together) = (&registry, &together);
                        scope.spawn(move || {
                            together.wait();
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
            assert_eq!(refused, None);
        }
    }
}

//! Relays that were learned from other nodes, in the registry that holds them.
//!
//! What a record announces says where its relay comes from, and its lifecycle word names
//! that announcement. A learned relay is never renewed by a local registration: it departs,
//! and the local one takes over nothing that the other node claimed. A learned relay is
//! removed by a compare-and-swap of the word that said so. So that removal cannot hit a
//! local relay, whatever other threads do at the same time.

use crate::registry::core::Core;
use crate::sync::epoch::Guard;
use crate::table::RecordRef;
use crate::table::record::{Lifecycle, Origin};

impl Core {
    /// Removes a learned relay to make room for a local one; false if there is none. One
    /// without a recent round trip goes first, then the one of the lowest index.
    pub(in crate::registry) fn evict_learned(&self, guard: &Guard) -> bool {
        if !self.link.is_connected() {
            return false;
        }
        let victim = self.victim_among(0..self.table.reach(), guard);
        // One that left in between has made room, too.
        victim.map(|record| self.remove_learned(record)).is_some()
    }

    /// Which of the learned relays at these indices goes first.
    fn victim_among<'g>(
        &'g self,
        indices: impl Iterator<Item = u32>,
        guard: &'g Guard,
    ) -> Option<RecordRef<'g>> {
        let learned = |index: u32| {
            let record = self.table.record_at(index, guard)?;
            is_learned(&record, record.lifecycle()).then_some(record)
        };
        let mut victim = None;
        for record in indices.filter_map(learned) {
            let is_unmeasured = record.rtt_micros().is_none();
            if victim.is_none() || is_unmeasured {
                victim = Some(record);
            }
            if is_unmeasured {
                break;
            }
        }
        victim
    }

    /// Makes a relay depart, if it was learned.
    pub(in crate::registry) fn remove_learned(&self, record: RecordRef<'_>) -> bool {
        loop {
            let word = record.lifecycle();
            if !is_learned(&record, word) {
                return false;
            }
            if let Some(closing) = self.table.depart(record, word) {
                self.counters.count_unregistration();
                self.remember(closing, self.timeline.tick(), false);
                return true;
            }
        }
    }
}

/// Whether the relay is live, as `word` says that was read from its record, and was
/// learned.
pub(super) fn is_learned(record: &RecordRef<'_>, word: Lifecycle) -> bool {
    word.is_live() && record.announcement(word).origin == Origin::Learned
}

#[cfg(all(test, not(relay_loom), feature = "dht"))]
mod tests {
    use crate::dht::{Announcement, DhtOptions, EnterOutcome, Memory, RegistryBackend};
    use crate::registry::{Maintenance, Registry};
    use crate::relay::NodeId;
    use crate::sync::epoch;
    use std::net::SocketAddr;
    use std::sync::Barrier;
    use std::thread;
    use std::time::Duration;

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
            registry.core(),
            &id(n),
            &said,
            1,
            ttl,
            RegistryBackend::now(registry.core()),
        )
    }

    /// The record is a learned relay's when a thread reads it, and a local one's when that
    /// thread removes it.
    #[test]
    fn a_local_relay_in_the_place_of_a_learned_one_does_not_give_way() {
        let registry = registry(1);
        let core = registry.core();
        assert_eq!(learn_relay(&registry, 1), EnterOutcome::Entered);
        let guard = epoch::pin();
        let (record, _) = core.find_live(&id(1), core.present(), &guard).unwrap();
        let lease = registry.lease(&id(1)).unwrap();
        registry.register(id(1), endpoint()).unwrap();
        let (again, _) = core.find_live(&id(1), core.present(), &guard).unwrap();
        assert_eq!(record.index(), again.index(), "its leases go with it");
        assert!(!core.remove_learned(record));
        assert!(core.victim_among(0..core.table.reach(), &guard).is_none());
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

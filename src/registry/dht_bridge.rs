//! What a registry and its distribution know of each other.
//!
//! Relays come from two sides: registered locally, and learned from other nodes.
//! What a record announces says which, and its lifecycle word names that. A learned
//! relay is never renewed by a local registration: it departs, and the local one
//! says nothing of what the other node claimed. So when the
//! distribution removes a learned relay, by a compare-and-swap of the word that said so, it
//! cannot hit a local one, whatever happens at the same time.

use crate::dht::{
    Announcement, EnterOutcome, FailureDomain, Load, LocalRelay, RegistryBackend, WakeFlags,
};
use crate::errors::RegisterError;
use crate::registry::core::Core;
use crate::registry::request::MAX_LABEL;
use crate::relay::{NodeId, RegisterOptions};
use crate::sync::Arc;
use crate::sync::epoch::{self, Guard};
use crate::table::record::{Lifecycle, Origin};
use crate::table::{self, RecordRef};
use std::time::Duration;

/// The registry's end of it.
#[derive(Debug)]
pub(crate) struct DhtLink {
    wake_flags: Arc<WakeFlags>,
    /// Whose registration is published.
    own: Option<NodeId>,
}

/// Why a relay was not learned.
pub(super) enum LearnError {
    /// Its record has ended.
    Ended,
    HeldLocally,
    NoRoom,
    Invalid,
}

impl DhtLink {
    pub(super) fn new(wake_flags: Arc<WakeFlags>, own: Option<NodeId>) -> Self {
        Self { wake_flags, own }
    }
}

impl Core {
    /// Tells the distribution that something about `id` has changed.
    #[inline]
    pub(super) fn note_change(&self, id: &NodeId) {
        if let Some(link) = &self.link {
            if link.own.as_ref() == Some(id) {
                link.wake_flags.notify_changed();
            }
        }
    }

    /// Tells the distribution that a caller found no relay.
    pub(super) fn note_miss(&self) {
        if let Some(link) = &self.link {
            link.wake_flags.notify_miss();
        }
    }

    /// Makes a learned relay give way to a local one; false if there is none.
    /// One that was not measured of late goes first, then the one of the lowest
    /// index.
    pub(super) fn evict_learned(&self, guard: &Guard) -> bool {
        if self.link.is_none() {
            return false;
        }
        let victim = self.victim_among(0..self.table.reach(), guard);
        // One that left in between has made room, too.
        victim.map(|record| self.remove_learned(record)).is_some()
    }

    /// Which of the learned relays at these indices is to give way.
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
    pub(super) fn remove_learned(&self, record: RecordRef<'_>) -> bool {
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

    /// What is to be published of a local relay. One to which nobody is sent, because
    /// it drains or is banned here, is published as full.
    fn announced(&self, id: &NodeId) -> Option<LocalRelay> {
        let now = self.timeline.tick();
        let guard = epoch::pin();
        let (record, word) = self.find_live(id, now, &guard)?;
        if is_learned(&record, word) {
            return None;
        }
        let &table::record::Announcement {
            ref endpoint,
            capacity,
            nat,
            origin: _,
            ttl_nanos: _,
            ref failure_domain,
            registered_at: _,
        } = record.announcement(word);
        let is_banned = record.circuit().is_banned(self.timeline.tick());
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

    pub(super) fn is_held(&self, id: &NodeId, origin: Origin) -> bool {
        let now = self.timeline.tick();
        let guard = epoch::pin();
        self.find_live(id, now, &guard)
            .is_some_and(|(record, word)| record.announcement(word).origin == origin)
    }
}

/// Whether the relay is live, as `word` says that was read from its record, and was
/// learned.
fn is_learned(record: &RecordRef<'_>, word: Lifecycle) -> bool {
    word.is_live() && record.announcement(word).origin == Origin::Learned
}

/// But for `now`, nothing here reads the clock: the distribution holds a lock while it
/// asks, and has read the clock before.
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
        self.record_rtt(id, rtt, self.timeline.tick());
        self.note_probe(id);
    }

    fn failed(&self, id: &NodeId) {
        self.note_failed_probe(id);
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

impl From<RegisterError> for LearnError {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Full { .. } | RegisterError::Backlogged { .. } => Self::NoRoom,
            _ => Self::Invalid,
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::dht::{DhtOptions, Memory};
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
            registry.core(),
            &id(n),
            &said,
            1,
            ttl,
            RegistryBackend::now(registry.core()),
        )
    }

    /// A record that was a learned relay's when a thread looked, and a local one's when it
    /// came for it.
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

//! What a registry and its distribution know of each other.
//!
//! Relays come from two sides: registered locally, and learned from strangers.
//! Which it is stands in one bit beside each record, written while the record is
//! still private, so whoever may read a record also knows the bit. A learned
//! record is never renewed by a local registration: it departs, and a new one
//! enters, that says nothing of what a stranger claimed. So when the
//! distribution removes a learned record, it cannot hit a local one, whatever
//! happens at the same time.

use crate::dht::{Announcement, Bell, Entry, FailureDomain, Ground, Load};
use crate::errors::RegisterError;
use crate::registry::core::Core;
use crate::registry::registration::MAX_LABEL;
use crate::relay::{NodeId, RegisterOptions};
use crate::sync::epoch::{self, Guard};
use crate::sync::{Arc, AtomicU64, Ordering};
use crate::table::RecordRef;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// The registry's end of it.
#[derive(Debug)]
pub(crate) struct Link {
    bell: Arc<Bell>,
    /// Whose registration is published.
    own: Option<NodeId>,
    learned: Learned,
}

/// Which records were learned: a bit for each that holds a permit.
#[derive(Debug)]
struct Learned(Box<[AtomicU64]>);

/// Where a registration comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Local,
    Learned,
}

/// Why a relay was not learned.
pub(super) enum Unlearned {
    HeldLocally,
    NoRoom,
    Refused,
}

impl Link {
    pub(super) fn new(bell: Arc<Bell>, own: Option<NodeId>, max_relays: usize) -> Self {
        // As many as hold a permit; of the few that leases make beyond, none
        // is used for a learned relay.
        let words = (2 * max_relays + 1_024).div_ceil(64);
        let words = (0..words).map(|_| AtomicU64::new(0)).collect();
        Self {
            bell,
            own,
            learned: Learned(words),
        }
    }
}

impl Learned {
    fn contains(&self, index: u32) -> bool {
        // Relaxed: written before the record was published, which the caller has
        // seen.
        self.word(index)
            .is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// Notes where a record that is still private comes from; false if there is
    /// no place to note that it was learned.
    fn note(&self, index: u32, origin: Origin) -> bool {
        let Some((word, bit)) = self.word(index) else {
            return origin == Origin::Local;
        };
        // Relaxed: see `contains`.
        let noted = word.load(Ordering::Relaxed) & bit != 0;
        match origin {
            Origin::Learned => word.fetch_or(bit, Ordering::Relaxed),
            Origin::Local if noted => word.fetch_and(!bit, Ordering::Relaxed),
            Origin::Local => 0,
        };
        true
    }

    /// Indices of all records that are, or were last, learned.
    fn indices(&self) -> impl Iterator<Item = u32> {
        self.0.iter().enumerate().flat_map(|(number, word)| {
            let word = word.load(Ordering::Relaxed);
            let set = (0..64).filter(move |bit| word >> bit & 1 == 1);
            set.filter_map(move |bit| u32::try_from(number * 64 + bit).ok())
        })
    }

    fn word(&self, index: u32) -> Option<(&AtomicU64, u64)> {
        let word = self.0.get(index as usize / 64)?;
        Some((word, 1 << (index % 64)))
    }
}

impl Core {
    /// Tells the distribution that something about `id` has changed.
    #[inline]
    pub(super) fn note_change(&self, id: &NodeId) {
        if let Some(link) = &self.link {
            if link.own.as_ref() == Some(id) {
                link.bell.changed();
            }
        }
    }

    /// Tells the distribution that a caller found no relay.
    pub(super) fn note_miss(&self) {
        if let Some(link) = &self.link {
            link.bell.missed();
        }
    }

    pub(super) fn is_learned_record(&self, record: &RecordRef<'_>) -> bool {
        let link = self.link.as_ref();
        link.is_some_and(|link| link.learned.contains(record.index()))
    }

    pub(super) fn origin(&self, record: &RecordRef<'_>) -> Origin {
        if self.is_learned_record(record) {
            Origin::Learned
        } else {
            Origin::Local
        }
    }

    /// Notes where a record comes from that is still private.
    pub(super) fn note_origin(&self, record: &RecordRef<'_>, origin: Origin) -> bool {
        match &self.link {
            Some(link) => link.learned.note(record.index(), origin),
            None => origin == Origin::Local,
        }
    }

    /// Makes a learned relay give way to a local one; false if there is none.
    /// One that was not measured of late goes first, then the one of the lowest
    /// index.
    pub(super) fn evict_learned(&self, guard: &Guard) -> bool {
        let Some(link) = &self.link else {
            return false;
        };
        let victim = self.victim_among(link.learned.indices(), guard);
        // One that left in between has made room, too.
        victim.map(|record| self.remove_record(record)).is_some()
    }

    /// Who is to give way, of the learned relays at these indices.
    fn victim_among<'g>(
        &'g self,
        indices: impl Iterator<Item = u32>,
        guard: &'g Guard,
    ) -> Option<RecordRef<'g>> {
        let live = |index: u32| {
            let record = self.table.occupant(index, guard)?;
            // The place may be another's by now: its origin is to be asked for
            // once it is seen to live.
            (record.lifecycle().is_live() && self.is_learned_record(&record)).then_some(record)
        };
        let mut victim = None;
        for record in indices.filter_map(live) {
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

    /// Makes this very record depart, and no other of the same id.
    pub(super) fn remove_record(&self, record: RecordRef<'_>) -> bool {
        loop {
            let word = record.lifecycle();
            if !word.is_live() {
                return false;
            }
            if self.depart(record, word) {
                self.counters.count_unregistration();
                return true;
            }
        }
    }

    fn announced(&self, id: &NodeId) -> Option<Announcement> {
        let guard = epoch::pin();
        let (record, word) = self.find_live(id, &guard)?;
        if self.is_learned_record(&record) {
            return None;
        }
        let said = record.announcement(word);
        let load = Load::of(record.load().total(), said.capacity);
        let domain = said.failure_domain.as_deref();
        let domain = domain.and_then(|name| FailureDomain::new(name).ok());
        Announcement::new(said.endpoint.clone(), said.capacity)
            .ok()
            .map(|announcement| {
                announcement
                    .with_nat(said.nat)
                    .with_load(load)
                    .with_failure_domain(domain)
            })
    }

    pub(super) fn is_held(&self, id: &NodeId, origin: Origin) -> bool {
        let guard = epoch::pin();
        self.find_live(id, &guard)
            .is_some_and(|(record, _)| self.origin(&record) == origin)
    }
}

impl Ground for Core {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.timeline.advance().nanos)
    }

    fn local(&self, id: &NodeId) -> Option<Announcement> {
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
    ) -> Entry {
        let mut options = RegisterOptions::new().capacity(capacity).ttl(ttl);
        if let Some(nat) = announcement.nat() {
            options = options.nat(nat);
        }
        let domain = announcement.failure_domain().map(FailureDomain::as_str);
        if let Some(domain) = domain.filter(|domain| domain.len() <= MAX_LABEL) {
            options = options.failure_domain(domain);
        }
        let endpoint = announcement.endpoint();
        // The clock is the embedder's, and is read before anything changes.
        let learned = catch_unwind(AssertUnwindSafe(|| {
            self.learn_relay(id, endpoint, &options)
        }));
        match learned {
            Ok(Ok(_)) => Entry::Entered,
            Ok(Err(Unlearned::HeldLocally)) => Entry::HeldLocally,
            Ok(Err(Unlearned::Refused)) => Entry::Refused,
            Ok(Err(Unlearned::NoRoom)) => Entry::NoRoom,
            Err(payload) => {
                // Dropping it could panic again.
                std::mem::forget(payload);
                Entry::NoRoom
            }
        }
    }

    fn measured(&self, id: &NodeId, rtt: Duration) {
        self.record_rtt(id, rtt);
        self.note_probe(id);
    }

    fn failed(&self, id: &NodeId) {
        self.note_failed_probe(id);
    }

    fn leave(&self, id: &NodeId) -> bool {
        let guard = epoch::pin();
        let found = self.find_live(id, &guard);
        found.is_some_and(|(record, _)| {
            self.is_learned_record(&record) && self.remove_record(record)
        })
    }

    fn held(&self) -> usize {
        self.table.estimate()
    }
}

impl From<RegisterError> for Unlearned {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Full { .. } | RegisterError::Backlogged { .. } => Self::NoRoom,
            _ => Self::Refused,
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
            .workers(0)
            .probe(|_: &_, _: &_, _| Ok(Duration::from_millis(1)));
        Registry::builder()
            .max_relays(max_relays)
            .maintenance(Maintenance::Manual)
            .dht(Memory::new(), options)
            .build()
            .unwrap()
    }

    fn learn(registry: &Registry, n: u8) -> Entry {
        let said = Announcement::new(endpoint().into(), 1).unwrap();
        let ttl = Duration::from_secs(600);
        registry.core().enter(&id(n), &said, 1, ttl)
    }

    /// A place that was a learned relay's when somebody looked, and a local one's
    /// when they came for it.
    #[test]
    fn a_local_relay_in_the_place_of_a_learned_one_does_not_give_way() {
        let registry = registry(1);
        let core = registry.core();
        assert_eq!(learn(&registry, 1), Entry::Entered);
        let learned = &core.link.as_ref().unwrap().learned;
        let seen: Vec<u32> = learned.indices().collect();
        assert!(core.leave(&id(1)));
        let local = (2..100).find(|&n| {
            registry.maintain();
            registry.register(id(n), endpoint()).unwrap();
            let (record, _) = core
                .find_live(&id(n), &epoch::pin())
                .map(|(record, word)| (record.index(), word))
                .unwrap();
            let is_there = seen.contains(&record);
            if !is_there {
                registry.unregister(&id(n));
            }
            is_there
        });
        assert!(local.is_some(), "places are used again");
        let guard = epoch::pin();
        assert!(core.victim_among(seen.into_iter(), &guard).is_none());
    }

    #[test]
    fn local_relays_that_come_at_once_all_find_room_among_learned_ones() {
        for _ in 0..300 {
            let registry = registry(8);
            for n in 1..=8 {
                assert_eq!(learn(&registry, n), Entry::Entered);
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

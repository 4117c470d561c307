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
use crate::record::Failure;
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
        let live = |index: u32| {
            let record = self.table.occupant(index, guard)?;
            record.lifecycle().is_live().then_some(record)
        };
        let mut victim: Option<RecordRef<'_>> = None;
        for record in link.learned.indices().filter_map(live) {
            let is_unmeasured = record.rtt_micros().is_none();
            if victim.is_none() || is_unmeasured {
                victim = Some(record);
            }
            if is_unmeasured {
                break;
            }
        }
        victim.is_some_and(|record| self.remove_record(record))
    }

    /// Makes this very record depart, and no other of the same id.
    pub(super) fn remove_record(&self, record: RecordRef<'_>) -> bool {
        loop {
            let word = record.lifecycle();
            if !word.is_live() {
                return false;
            }
            if self.table.depart(record, word) {
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
        let endpoint = announcement.endpoint().clone();
        // The clock is the embedder's, and is read before anything changes.
        let learned = catch_unwind(AssertUnwindSafe(|| {
            self.learn_relay(*id, endpoint, &options)
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
        self.report_success(id);
    }

    fn failed(&self, id: &NodeId) {
        self.report_failure(id, Failure::TimedOut);
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

//! Decides which relays of other nodes are registered.
//!
//! A valid signature shows which key announced a relay, and nothing else. So a relay passes
//! these steps:
//!
//! 1. Its record is checked: network, address, freshness, quota of the prefix, rate of updates.
//! 2. It is a *candidate*, which no caller sees.
//! 3. When the embedder's [`Probe`](crate::dht::Probe) of it succeeds, it is
//!    *verified*: registered as a learned relay.
//! 4. It is probed again at intervals, and its record is requested again.
//! 5. It is removed when its probes fail, its record expires or is withdrawn, or another relay
//!    needs the room. If an endpoint or its payload changes, it is a candidate again.
//!
//! ```text
//! record ──check──> candidate ──probe──> verified, registered ──┐
//!            │          │  ▲                 │  └─ probe again <─┘
//!         rejected    fails └─ new contact ──┤
//!                       ▼                    ▼ fails, expires, withdrawn
//!                    removed              removed
//! ```
//!
//! [`Admission`] does no I/O and reads no clock: the caller passes the time.

mod eviction;
mod limiter;
mod policy;
mod probe_queue;
mod probe_schedule;
mod probing;
mod quotas;
mod remote_relay;
mod remote_relays;
mod requery;
#[cfg(feature = "persistence")]
mod saved;
#[cfg(all(test, not(relay_loom)))]
mod tests;
mod track_record;

use std::time::Duration;

use fastrand::Rng;

pub(super) use policy::AdmissionPolicy;
pub(super) use quotas::PerPrefix;
pub(crate) use quotas::Prefix;
#[cfg(feature = "persistence")]
pub(crate) use saved::SavedRemote;

use super::backend::{LearnError, Now, RegistryBackend};
use super::expiring_map::ExpiringMap;
use super::record::{Announcement, Freshness, MAX_TTL, SequenceMemory, SignedRecord};
use super::reject_reason::RejectReason;
use crate::relay::{Endpoint, NodeId};
use limiter::ProbeLimiter;
use probe_queue::ProbeQueue;
use probe_schedule::ProbeSchedule;
use remote_relay::History;
use remote_relays::RemoteRelays;
use track_record::TrackRecord;

/// What an accepted record has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum OfferOutcome {
    /// Its relay is a candidate now, and is registered once a probe succeeds.
    Candidate,
    /// It replaces an older record of a relay that stays what it was, candidate or registered.
    Renewed,
    /// It was known already. Nothing has changed.
    Known,
    /// It withdraws its relay, which is removed.
    Withdrawn,
}

/// The most relays whose sequence is remembered although they were never verified.
const MAX_DEPARTED_UNVERIFIED: usize = 4_096;

/// The most relays that are blocked.
const MAX_BLOCKED: usize = 4_096;

/// The most keys whose offences are remembered after their relay was removed.
const MAX_DEPARTED_TRACK_RECORDS: usize = 4_096;

/// The remote relays that are known, and what is remembered of those that were removed.
#[derive(Debug)]
pub(super) struct Admission {
    policy: AdmissionPolicy,
    remote: RemoteRelays,
    /// The latest sequences of removed relays that were verified.
    departed_verified: SequenceMemory,
    /// The latest sequences of removed relays that were never verified. They are kept apart
    /// because anyone can create any number of them: they must not evict an entry of
    /// `departed_verified`, nor raise its floor.
    departed_unverified: SequenceMemory,
    /// Relays whose records are rejected for a time, because of failed probes.
    blocked: ExpiringMap<NodeId>,
    /// Removed relays that were verified. Each is probed with priority once.
    priorities: ExpiringMap<NodeId>,
    /// The offences of keys whose relay was removed.
    departed_track_records: ExpiringMap<NodeId, TrackRecord>,
    random: Rng,
}

impl Admission {
    pub(super) fn new(policy: AdmissionPolicy, per_prefix: PerPrefix, mut random: Rng) -> Self {
        let max_remote = policy.max_candidates.saturating_add(policy.max_learned());
        let max_departed = max_remote.saturating_mul(4).max(1_024);
        let unprobed = ProbeQueue::new(policy.probe_interval, &mut random);
        let limiter = ProbeLimiter::new(policy.probe_interval);
        Self {
            remote: RemoteRelays::new(per_prefix, ProbeSchedule::new(unprobed, limiter)),
            departed_verified: SequenceMemory::new(max_departed),
            departed_unverified: SequenceMemory::new(MAX_DEPARTED_UNVERIFIED),
            blocked: ExpiringMap::new(MAX_BLOCKED),
            priorities: ExpiringMap::new(max_departed),
            departed_track_records: ExpiringMap::new(MAX_DEPARTED_TRACK_RECORDS),
            policy,
            random,
        }
    }

    /// The number of relays that are not verified.
    pub(super) fn candidates(&self) -> usize {
        self.remote.candidates()
    }

    pub(super) fn verified(&self) -> usize {
        self.remote.verified()
    }

    /// The sequence of the record that is held of a relay.
    pub(super) fn sequence(&self, id: &NodeId) -> Option<u64> {
        Some(self.remote.get(id)?.record.sequence())
    }

    /// Whether a relay is a candidate or verified.
    pub(super) fn is_known(&self, id: &NodeId) -> bool {
        self.remote.get(id).is_some()
    }

    /// Whether a relay passed a probe at its endpoint, and that has this prefix.
    pub(super) fn is_proven(&self, id: &NodeId, prefix: &Prefix) -> bool {
        let relay = self.remote.get(id);
        relay.is_some_and(|relay| relay.is_verified && relay.prefix == *prefix)
    }

    /// Checks a record from any source, and applies it if it is accepted.
    pub(super) fn offer_record(
        &mut self,
        record: &SignedRecord,
        backend: &dyn RegistryBackend,
        now: Now,
    ) -> Result<OfferOutcome, RejectReason> {
        self.policy.check_author(record)?;
        let Some(announcement) = record.record().announcement() else {
            return self.withdraw(record, backend, now);
        };
        self.policy.check_announcement(announcement)?;
        let freshness = self.freshness(record, now)?;
        let id = record.node_id();
        if backend.is_local(&id) {
            self.untrack(&id, now.at);
            return Err(RejectReason::HeldLocally);
        }
        if self.is_known(&id) && freshness == Freshness::Same {
            return Ok(OfferOutcome::Known);
        }
        if self
            .policy
            .remaining_ttl(record.record(), now.wall)
            .is_none()
        {
            return Err(RejectReason::Expired);
        }
        let endpoint = announcement.endpoint();
        if !self.is_known(&id) {
            return self.add_candidate(record, endpoint, backend, now);
        }
        self.count_update(&id, now.at)?;
        self.update(record, announcement, backend, now)
    }

    /// Adds a relay that is not known. Earlier offences of its key still count.
    fn add_candidate(
        &mut self,
        record: &SignedRecord,
        endpoint: &Endpoint,
        backend: &dyn RegistryBackend,
        now: Now,
    ) -> Result<OfferOutcome, RejectReason> {
        let id = record.node_id();
        let verified_sequence = self.departed_verified.highest(&id);
        let sequence = verified_sequence.max(self.departed_unverified.highest(&id));
        let departed = self.departed_track_records.get(&id, now.at).copied();
        let mut track_record = departed.unwrap_or_else(|| TrackRecord::new(now.at));
        let max = self.policy.max_updates_per_minute;
        let is_update = sequence.is_some_and(|sequence| sequence < record.sequence());
        if is_update && !track_record.count_update(max, now.at) {
            return Err(RejectReason::TooOften);
        }
        self.make_room_for_candidate(&id, endpoint, backend, now)?;
        let history = History {
            was_verified: verified_sequence.is_some(),
            has_priority: self.priorities.contains(&id, now.at),
            track_record,
        };
        self.remote.insert(record, endpoint, history, now.at);
        self.priorities.remove(&id);
        self.departed_track_records.remove(&id);
        self.schedule_requery(&id, now);
        Ok(OfferOutcome::Candidate)
    }

    /// Whether a record is the latest of its relay, among all that were seen.
    fn freshness(&self, record: &SignedRecord, now: Now) -> Result<Freshness, RejectReason> {
        let held = self
            .remote
            .get(&record.node_id())
            .map(|relay| &relay.record);
        let by_verified = self.departed_verified.judge(record, now.wall);
        let by_unverified = match self.departed_unverified.judge(record, now.wall) {
            // Anyone can raise this floor, so it does not reject a record.
            Freshness::Forgotten { .. } => by_verified,
            freshness => freshness,
        };
        let both = match held {
            // The held record shows which sequence is the latest, whatever was forgotten.
            Some(_) if matches!(by_verified, Freshness::Forgotten { .. }) => [by_unverified; 2],
            _ => [by_verified, by_unverified],
        };
        if let Some(reason) = both.into_iter().find_map(RejectReason::from_freshness) {
            return Err(reason);
        }
        match held {
            Some(held) if record.sequence() < held.sequence() => Err(RejectReason::Replayed),
            Some(held) if record == held => Ok(Freshness::Same),
            Some(held) if record.sequence() == held.sequence() => Err(RejectReason::Conflict),
            _ => Ok(by_verified),
        }
    }

    fn withdraw(
        &mut self,
        tombstone: &SignedRecord,
        backend: &dyn RegistryBackend,
        now: Now,
    ) -> Result<OfferOutcome, RejectReason> {
        let id = tombstone.node_id();
        let is_known = self.is_known(&id) || self.departed_verified.highest(&id).is_some();
        let freshness = if is_known {
            self.freshness(tombstone, now)?
        } else {
            let freshness = self.departed_unverified.judge(tombstone, now.wall);
            RejectReason::from_freshness(freshness).map_or(Ok(freshness), Err)?
        };
        if freshness == Freshness::Same {
            return Ok(OfferOutcome::Known);
        }
        let was_verified = self.remote.get(&id).map(|relay| relay.was_verified);
        self.remove(&id, backend, now.at);
        if was_verified.unwrap_or(is_known) {
            self.departed_verified.remember_latest(tombstone);
        } else {
            self.departed_unverified.remember_latest(tombstone);
        }
        Ok(OfferOutcome::Withdrawn)
    }

    fn count_update(&mut self, id: &NodeId, now: Duration) -> Result<(), RejectReason> {
        let max = self.policy.max_updates_per_minute;
        let relay = self.remote.get_mut(id);
        let is_accepted = relay.is_none_or(|relay| relay.track_record.count_update(max, now));
        is_accepted.then_some(()).ok_or(RejectReason::TooOften)
    }

    /// Replaces the record of a known relay. If its endpoints or its payload have changed, it
    /// is a candidate again: they were not probed.
    fn update(
        &mut self,
        record: &SignedRecord,
        announcement: &Announcement,
        backend: &dyn RegistryBackend,
        now: Now,
    ) -> Result<OfferOutcome, RejectReason> {
        let id = record.node_id();
        let endpoint = announcement.endpoint();
        let known = self.remote.get(&id);
        let stays = known.is_some_and(|relay| relay.has_contact_of(announcement));
        if stays {
            self.remote.renew(record);
        } else {
            if !self.remote.has_quota(&id, endpoint) {
                return Err(RejectReason::TooManyOfPrefix);
            }
            backend.unregister_learned(&id);
            self.remote.relocate(record, endpoint, now.at);
        }
        self.schedule_requery(&id, now);
        let is_verified = self.remote.get(&id).is_some_and(|relay| relay.is_verified);
        if is_verified {
            self.register(&id, backend, now)?;
        }
        Ok(if stays {
            OfferOutcome::Renewed
        } else {
            OfferOutcome::Candidate
        })
    }

    /// Registers or renews a relay whose probe has succeeded. If the registry has no room, it
    /// is a candidate again.
    fn register(
        &mut self,
        id: &NodeId,
        backend: &dyn RegistryBackend,
        now: Now,
    ) -> Result<(), RejectReason> {
        let Some(record) = self
            .remote
            .get(id)
            .map(|relay| relay.record.record().clone())
        else {
            return Ok(());
        };
        let Some(announcement) = record.announcement() else {
            return Ok(());
        };
        let Some(ttl) = self.policy.remaining_ttl(&record, now.wall) else {
            self.remove(id, backend, now.at);
            return Err(RejectReason::Expired);
        };
        let capacity = announcement.capacity().min(self.policy.max_capacity);
        match backend.register_learned(id, announcement, capacity, ttl, now.at) {
            Ok(()) => {
                self.remote.set_verified(id, now.at.saturating_add(ttl));
                self.schedule_requery(id, now);
            }
            Err(LearnError::NoRoom) => self.demote(id, backend, now),
            Err(LearnError::Expired) => {
                self.remove(id, backend, now.at);
                return Err(RejectReason::Expired);
            }
            Err(LearnError::HeldLocally) => {
                self.untrack(id, now.at);
                return Err(RejectReason::HeldLocally);
            }
            Err(LearnError::Invalid) => {
                self.block(id, backend, now.at);
                return Err(RejectReason::NotReachable);
            }
        }
        Ok(())
    }

    /// Makes a relay a candidate again, because the registry has no room.
    fn demote(&mut self, id: &NodeId, backend: &dyn RegistryBackend, now: Now) {
        backend.unregister_learned(id);
        self.remote.set_candidate(id);
        let later = now.at.saturating_add(self.policy.probe_interval);
        self.remote.schedule_probe(id, later);
    }

    /// Removes a relay, and rejects its records until failures lapse.
    fn block(&mut self, id: &NodeId, backend: &dyn RegistryBackend, now: Duration) {
        self.remove(id, backend, now);
        self.blocked.insert(*id, (), self.failures_lapse_at(now));
    }

    /// When a failure of now lapses: after two probe intervals.
    fn failures_lapse_at(&self, now: Duration) -> Duration {
        now.saturating_add(self.policy.probe_interval.saturating_mul(2))
    }

    /// Removes a relay from here and from the registry.
    fn remove(&mut self, id: &NodeId, backend: &dyn RegistryBackend, now: Duration) {
        self.untrack(id, now);
        backend.unregister_learned(id);
    }

    /// Removes a relay from here only. Its sequence, its offences and its priority are
    /// remembered.
    fn untrack(&mut self, id: &NodeId, now: Duration) {
        let Some(relay) = self.remote.remove(id) else {
            return;
        };
        let memory = if relay.was_verified {
            &mut self.departed_verified
        } else {
            &mut self.departed_unverified
        };
        memory.remember_latest(&relay.record);
        if relay.has_earned_priority {
            self.priorities.insert(*id, (), now.saturating_add(MAX_TTL));
        }
        let lapses_at = relay.track_record.lapses_at(self.failures_lapse_at(now));
        self.departed_track_records
            .insert(*id, relay.track_record, lapses_at);
    }

    /// Removes relays whose record has expired, and learned relays whose room local ones need.
    pub(super) fn remove_expired(&mut self, backend: &dyn RegistryBackend, now: Now) {
        self.departed_verified.forget_expired(now.wall);
        self.departed_unverified.forget_expired(now.wall);
        while let Some(id) = self.remote.first_expired(now.wall) {
            self.remove(&id, backend, now.at);
        }
        let excess = self
            .remote
            .verified()
            .saturating_sub(self.max_verified(backend));
        for id in self.least_recently_verified(excess) {
            self.remove(&id, backend, now.at);
        }
    }

    /// The ids of the verified relays.
    pub(super) fn all_verified(&self) -> impl Iterator<Item = &NodeId> {
        self.remote.iter_verified().map(|(id, _)| id)
    }
}

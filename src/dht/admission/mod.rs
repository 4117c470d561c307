//! Strangers at the fixture: what it takes for a relay that others told us of to be
//! handed out.
//!
//! A record that verifies says who announces a relay, and nothing else. It is
//! judged by what can be told from it (addresses, quotas, whether it is the
//! relay's latest word), then waits as a *candidate*, which no caller sees,
//! until the embedder's [`Probe`](crate::dht::Probe) found it to work. Only then
//! does it enter the registry. It is probed again and again, and leaves when its
//! probes fail, its record ends, or it is withdrawn.
//!
//! ```text
//! record ──judged──> candidate ──probe──> verified: in the registry ──┐
//!            │           │  ▲                 │  └── probed again <───┘
//!         refused     fails │ moved        fails, ends, withdrawn ──> out
//! ```
//!
//! [`Admission`] is plain data, driven by the time that is passed in.

mod eviction;
mod limiter;
mod policy;
mod probe_queue;
mod probing;
mod quotas;
mod remote_relays;
mod reputation;
mod requery;
#[cfg(all(test, not(relay_loom)))]
mod tests;

use std::time::Duration;

use fastrand::Rng;

pub(super) use policy::AdmissionPolicy;
pub(super) use quotas::PerPrefix;

use super::backend::{EnterOutcome, Now, RegistryBackend};
use super::discovery::NegativeCache;
use super::record::{Freshness, MAX_TTL, SequenceMemory, SignedRecord};
use super::reject_reason::RejectReason;
use crate::relay::{Endpoint, NodeId};
use limiter::ProbeLimiter;
use probe_queue::ProbeQueue;
use remote_relays::{Past, RemoteRelays};
use reputation::{DepartedReputations, Reputation};

/// What became of a record that was believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OfferOutcome {
    /// Its relay is a candidate now, and handed out once a probe succeeded.
    Candidate,
    /// It renews what was known of its relay.
    Renewed,
    /// It was known already.
    Known,
    /// It withdraws its relay, which is gone.
    Withdrawn,
}

/// How many relays that were never in the registry are remembered.
const MAX_STRANGERS_GONE: usize = 4_096;

/// How many relays that failed are remembered as such.
const MAX_SHUNNED: usize = 4_096;

/// Who waits, who is in, and what was heard of all of them.
#[derive(Debug)]
pub(super) struct Admission {
    policy: AdmissionPolicy,
    remote: RemoteRelays,
    /// The last word of those that were in the registry and are here no more.
    gone: SequenceMemory,
    /// The last word of those that left before a probe of them succeeded, or were
    /// never here. Anyone can make up any number of those, so they must not drive
    /// anything out of `gone`, nor raise what is believed of others.
    strangers_gone: SequenceMemory,
    blocked: NegativeCache,
    /// Those that were in the registry and left: each comes first once.
    first_places: NegativeCache,
    /// What counts against keys that are not here.
    departed: DepartedReputations,
    random: Rng,
}

impl Admission {
    pub(super) fn new(policy: AdmissionPolicy, per_prefix: PerPrefix, mut random: Rng) -> Self {
        let places = policy.max_candidates.saturating_add(policy.most_learned());
        let most_gone = places.saturating_mul(4).max(1_024);
        let newcomers = ProbeQueue::new(policy.probe_every, &mut random);
        let limiter = ProbeLimiter::new(policy.probe_every);
        Self {
            remote: RemoteRelays::new(per_prefix, newcomers, limiter),
            gone: SequenceMemory::new(most_gone),
            strangers_gone: SequenceMemory::new(MAX_STRANGERS_GONE),
            blocked: NegativeCache::new(MAX_SHUNNED),
            first_places: NegativeCache::new(most_gone),
            departed: DepartedReputations::default(),
            policy,
            random,
        }
    }

    /// Relays that wait for a probe to succeed.
    pub(super) fn candidates(&self) -> usize {
        self.remote.candidates()
    }

    /// Relays in the registry.
    pub(super) fn verified(&self) -> usize {
        self.remote.verified()
    }

    /// The sequence above which anything said of a relay that is here is news.
    pub(super) fn highest(&self, id: &NodeId) -> Option<u64> {
        Some(self.remote.get(id)?.record.sequence())
    }

    /// Whether a relay is here, in the registry or not.
    pub(super) fn knows(&self, id: &NodeId) -> bool {
        self.remote.get(id).is_some()
    }

    /// Judges a record, whoever handed it over, and takes it in if it is to be
    /// believed.
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
        let verdict = self.judge(record, now)?;
        let id = record.node_id();
        if backend.is_local(&id) {
            self.release(&id, now.at);
            return Err(RejectReason::HeldLocally);
        }
        if self.knows(&id) && verdict == Freshness::Same {
            return Ok(OfferOutcome::Known);
        }
        if self.policy.time_left(record.record(), now.wall).is_none() {
            return Err(RejectReason::Expired);
        }
        let endpoint = announcement.endpoint();
        if !self.knows(&id) {
            return self.take_in(record, endpoint, backend, now);
        }
        self.count_news(&id, now.at)?;
        self.amend(record, endpoint, backend, now)
    }

    /// Takes in a relay that is not here. What was counted against its key before
    /// counts on.
    fn take_in(
        &mut self,
        record: &SignedRecord,
        endpoint: &Endpoint,
        backend: &dyn RegistryBackend,
        now: Now,
    ) -> Result<OfferOutcome, RejectReason> {
        let id = record.node_id();
        let was_verified = self.gone.highest(&id);
        let last = was_verified.max(self.strangers_gone.highest(&id));
        let left = self.departed.of(&id, now.at);
        let mut reputation = left.unwrap_or_else(|| Reputation::new(now.at));
        let most = self.policy.news_per_minute;
        let is_news = last.is_some_and(|last| last < record.sequence());
        if is_news && !reputation.count_news(most, now.at) {
            return Err(RejectReason::TooOften);
        }
        self.make_room(&id, endpoint, backend, now)?;
        let past = Past {
            was_verified: was_verified.is_some(),
            comes_first: self.comes_first(&id, now.at),
            reputation,
        };
        self.remote.insert(record, endpoint.clone(), past, now.at);
        self.first_places.remove(&id);
        self.departed.take(&id);
        self.ask_in_time(&id, now);
        Ok(OfferOutcome::Candidate)
    }

    /// Whether a record is its relay's latest word, as far as was ever heard.
    fn judge(&self, record: &SignedRecord, now: Now) -> Result<Freshness, RejectReason> {
        let held = self
            .remote
            .get(&record.node_id())
            .map(|entry| &entry.record);
        let of_gone = self.gone.judge(record, now.wall);
        // What the other memory forgot, it forgot for lack of room.
        let of_strangers = match self.strangers_gone.judge(record, now.wall) {
            Freshness::Forgotten { .. } => of_gone,
            verdict => verdict,
        };
        let verdicts = match held {
            // Whose last word is at hand was not forgotten.
            Some(_) if matches!(of_gone, Freshness::Forgotten { .. }) => [of_strangers; 2],
            _ => [of_gone, of_strangers],
        };
        if let Some(refused) = verdicts.into_iter().find_map(RejectReason::by) {
            return Err(refused);
        }
        match held {
            Some(held) if record.sequence() < held.sequence() => Err(RejectReason::Replayed),
            Some(held) if record == held => Ok(Freshness::Same),
            Some(held) if record.sequence() == held.sequence() => Err(RejectReason::Conflict),
            _ => Ok(of_gone),
        }
    }

    fn withdraw(
        &mut self,
        tombstone: &SignedRecord,
        backend: &dyn RegistryBackend,
        now: Now,
    ) -> Result<OfferOutcome, RejectReason> {
        let id = tombstone.node_id();
        let is_known = self.knows(&id) || self.gone.highest(&id).is_some();
        let verdict = if is_known {
            self.judge(tombstone, now)?
        } else {
            let verdict = self.strangers_gone.judge(tombstone, now.wall);
            RejectReason::by(verdict).map_or(Ok(verdict), Err)?
        };
        if verdict == Freshness::Same {
            return Ok(OfferOutcome::Known);
        }
        let was_verified = self.remote.get(&id).map(|entry| entry.was_verified);
        self.dismiss(&id, backend, now.at);
        if was_verified.unwrap_or(is_known) {
            self.gone.remember_latest(tombstone);
        } else {
            self.strangers_gone.remember_latest(tombstone);
        }
        Ok(OfferOutcome::Withdrawn)
    }

    /// Counts something new that a relay says; only so much a minute is heeded.
    fn count_news(&mut self, id: &NodeId, now: Duration) -> Result<(), RejectReason> {
        let most = self.policy.news_per_minute;
        let entry = self.remote.get_mut(id);
        let is_heeded = entry.is_none_or(|entry| entry.reputation.count_news(most, now));
        is_heeded.then_some(()).ok_or(RejectReason::TooOften)
    }

    /// Takes in what a relay that is known says anew. One that moved is a
    /// candidate again.
    fn amend(
        &mut self,
        record: &SignedRecord,
        endpoint: &Endpoint,
        backend: &dyn RegistryBackend,
        now: Now,
    ) -> Result<OfferOutcome, RejectReason> {
        let id = record.node_id();
        let stays = (self.remote.get(&id)).is_some_and(|entry| entry.endpoint == *endpoint);
        if stays {
            self.remote.renew(record);
        } else {
            if !self.remote.has_room(&id, endpoint) {
                return Err(RejectReason::TooManyOfPrefix);
            }
            backend.leave(&id);
            self.remote.relocate(record, endpoint.clone(), now.at);
        }
        self.ask_in_time(&id, now);
        let is_verified = self.remote.get(&id).is_some_and(|entry| entry.is_verified);
        if is_verified {
            self.enter(&id, backend, now)?;
        }
        Ok(if stays {
            OfferOutcome::Renewed
        } else {
            OfferOutcome::Candidate
        })
    }

    /// Registers a relay whose probe succeeded, or renews it.
    fn enter(
        &mut self,
        id: &NodeId,
        backend: &dyn RegistryBackend,
        now: Now,
    ) -> Result<(), RejectReason> {
        let Some(record) = self
            .remote
            .get(id)
            .map(|entry| entry.record.record().clone())
        else {
            return Ok(());
        };
        let Some(announcement) = record.announcement() else {
            return Ok(());
        };
        let Some(ttl) = self.policy.time_left(&record, now.wall) else {
            self.dismiss(id, backend, now.at);
            return Err(RejectReason::Expired);
        };
        let capacity = announcement.capacity().min(self.policy.max_capacity);
        match backend.enter(id, announcement, capacity, ttl, now.at) {
            EnterOutcome::Entered => {
                self.remote.set_verified(id, now.at.saturating_add(ttl));
                self.ask_in_time(id, now);
            }
            EnterOutcome::NoRoom => self.step_back(id, backend, now),
            EnterOutcome::Ended => {
                self.dismiss(id, backend, now.at);
                return Err(RejectReason::Expired);
            }
            EnterOutcome::HeldLocally => {
                self.release(id, now.at);
                return Err(RejectReason::HeldLocally);
            }
            EnterOutcome::Invalid => {
                self.block(id, backend, now.at);
                return Err(RejectReason::NotReachable);
            }
        }
        Ok(())
    }

    /// One that finds no room in the registry is a candidate again.
    fn step_back(&mut self, id: &NodeId, backend: &dyn RegistryBackend, now: Now) {
        backend.leave(id);
        self.remote.set_candidate(id);
        let later = now.at.saturating_add(self.policy.probe_every);
        self.remote.probe_again(id, later);
    }

    /// Removes a relay, and does not take it in again for a while.
    fn block(&mut self, id: &NodeId, backend: &dyn RegistryBackend, now: Duration) {
        self.dismiss(id, backend, now);
        self.blocked.insert(*id, self.forgiven_at(now));
    }

    /// Until when failures count that were seen now.
    fn forgiven_at(&self, now: Duration) -> Duration {
        now.saturating_add(self.policy.probe_every.saturating_mul(2))
    }

    /// Removes a relay here and from the registry.
    fn dismiss(&mut self, id: &NodeId, backend: &dyn RegistryBackend, now: Duration) {
        self.release(id, now);
        backend.leave(id);
    }

    /// Gives up a relay's place here, and keeps its last word and what counts
    /// against it.
    fn release(&mut self, id: &NodeId, now: Duration) {
        let Some(entry) = self.remote.remove(id) else {
            return;
        };
        let memory = if entry.was_verified {
            &mut self.gone
        } else {
            &mut self.strangers_gone
        };
        memory.remember_latest(&entry.record);
        if entry.may_come_first {
            self.first_places.insert(*id, now.saturating_add(MAX_TTL));
        }
        let forgiven_at = self.forgiven_at(now);
        self.departed.keep(*id, entry.reputation, forgiven_at, now);
    }

    /// What time brings: records end, and local relays need the room.
    pub(super) fn remove_expired(&mut self, backend: &dyn RegistryBackend, now: Now) {
        self.gone.forget_expired(now.wall);
        self.strangers_gone.forget_expired(now.wall);
        while let Some(id) = self.remote.first_expired(now.wall) {
            self.dismiss(&id, backend, now.at);
        }
        let excess = self.remote.verified().saturating_sub(self.places(backend));
        for id in self.longest_unmeasured_of_all(excess) {
            self.dismiss(&id, backend, now.at);
        }
    }

    /// Those in the registry.
    pub(super) fn all_verified(&self) -> impl Iterator<Item = &NodeId> {
        self.remote.iter_verified().map(|(id, _)| id)
    }
}

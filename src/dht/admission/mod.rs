//! Strangers at the door: what it takes for a relay that others told us of to be
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

mod asking;
mod conduct;
mod limiter;
mod newcomers;
mod pool;
mod probing;
mod quotas;
mod room;
mod terms;
#[cfg(all(test, not(relay_loom)))]
mod tests;

use std::time::Duration;

use fastrand::Rng;

pub(super) use quotas::PerPrefix;
pub(super) use terms::Terms;

use super::discovery::Absences;
use super::ground::{Entry as Entrance, Ground};
use super::publisher::Now;
use super::{MAX_TTL, Refused, SequenceMemory, SignedRecord, Verdict};
use crate::relay::{Endpoint, NodeId};
use conduct::{Conduct, LeftBehind};
use limiter::ProbeLimiter;
use newcomers::Newcomers;
use pool::{Past, Pool};

/// What became of a record that was believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Offered {
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
    terms: Terms,
    pool: Pool,
    /// The last word of those that were in the registry and are here no more.
    gone: SequenceMemory,
    /// The last word of those that left before a probe of them succeeded, or were
    /// never here. Anyone can make up any number of those, so they must not drive
    /// anything out of `gone`, nor raise what is believed of others.
    strangers_gone: SequenceMemory,
    shunned: Absences,
    /// Those that were in the registry and left: each comes first once.
    first_places: Absences,
    /// What counts against keys that are not here.
    left_behind: LeftBehind,
    random: Rng,
}

impl Admission {
    pub(super) fn new(terms: Terms, per_prefix: PerPrefix, mut random: Rng) -> Self {
        let places = terms.max_candidates.saturating_add(terms.most_learned());
        let most_gone = places.saturating_mul(4).max(1_024);
        let newcomers = Newcomers::new(terms.probe_every, &mut random);
        let limiter = ProbeLimiter::new(terms.probe_every);
        Self {
            pool: Pool::new(per_prefix, newcomers, limiter),
            gone: SequenceMemory::new(most_gone),
            strangers_gone: SequenceMemory::new(MAX_STRANGERS_GONE),
            shunned: Absences::new(MAX_SHUNNED),
            first_places: Absences::new(most_gone),
            left_behind: LeftBehind::default(),
            terms,
            random,
        }
    }

    /// Relays that wait for a probe to succeed.
    pub(super) fn candidates(&self) -> usize {
        self.pool.candidates()
    }

    /// Relays in the registry.
    pub(super) fn verified(&self) -> usize {
        self.pool.verified()
    }

    /// The sequence above which anything said of a relay that is here is news.
    pub(super) fn highest(&self, id: &NodeId) -> Option<u64> {
        Some(self.pool.get(id)?.record.sequence())
    }

    /// Whether a relay is here, in the registry or not.
    pub(super) fn knows(&self, id: &NodeId) -> bool {
        self.pool.get(id).is_some()
    }

    /// Judges a record, whoever handed it over, and takes it in if it is to be
    /// believed.
    pub(super) fn offer(
        &mut self,
        record: &SignedRecord,
        ground: &dyn Ground,
        now: Now,
    ) -> Result<Offered, Refused> {
        self.terms.check_author(record)?;
        let Some(announcement) = record.record().announcement() else {
            return self.withdraw(record, ground, now);
        };
        self.terms.check_announcement(announcement)?;
        let verdict = self.judge(record, now)?;
        let id = record.node_id();
        if ground.is_local(&id) {
            self.release(&id, now.at);
            return Err(Refused::HeldLocally);
        }
        if self.knows(&id) && verdict == Verdict::Same {
            return Ok(Offered::Known);
        }
        if self.terms.time_left(record.record(), now.wall).is_none() {
            return Err(Refused::Expired);
        }
        let endpoint = announcement.endpoint();
        if !self.knows(&id) {
            return self.take_in(record, endpoint, ground, now);
        }
        self.count_news(&id, now.at)?;
        self.amend(record, endpoint, ground, now)
    }

    /// Takes in a relay that is not here. What was counted against its key before
    /// counts on.
    fn take_in(
        &mut self,
        record: &SignedRecord,
        endpoint: &Endpoint,
        ground: &dyn Ground,
        now: Now,
    ) -> Result<Offered, Refused> {
        let id = record.node_id();
        let was_verified = self.gone.highest(&id);
        let last = was_verified.max(self.strangers_gone.highest(&id));
        let left = self.left_behind.of(&id, now.at);
        let mut conduct = left.unwrap_or_else(|| Conduct::new(now.at));
        let most = self.terms.news_per_minute;
        let is_news = last.is_some_and(|last| last < record.sequence());
        if is_news && !conduct.count_news(most, now.at) {
            return Err(Refused::TooOften);
        }
        self.make_room(&id, endpoint, ground, now)?;
        let past = Past {
            was_verified: was_verified.is_some(),
            comes_first: self.comes_first(&id, now.at),
            conduct,
        };
        self.pool.insert(record, endpoint.clone(), past, now.at);
        self.first_places.remove(&id);
        self.left_behind.take(&id);
        self.ask_in_time(&id, now);
        Ok(Offered::Candidate)
    }

    /// Whether a record is its relay's latest word, as far as was ever heard.
    fn judge(&self, record: &SignedRecord, now: Now) -> Result<Verdict, Refused> {
        let held = self.pool.get(&record.node_id()).map(|entry| &entry.record);
        let of_gone = self.gone.judge(record, now.wall);
        // What the other memory forgot, it forgot for lack of room.
        let of_strangers = match self.strangers_gone.judge(record, now.wall) {
            Verdict::Forgotten { .. } => of_gone,
            verdict => verdict,
        };
        let verdicts = match held {
            // Whose last word is at hand was not forgotten.
            Some(_) if matches!(of_gone, Verdict::Forgotten { .. }) => [of_strangers; 2],
            _ => [of_gone, of_strangers],
        };
        if let Some(refused) = verdicts.into_iter().find_map(Refused::by) {
            return Err(refused);
        }
        match held {
            Some(held) if record.sequence() < held.sequence() => Err(Refused::Replayed),
            Some(held) if record == held => Ok(Verdict::Same),
            Some(held) if record.sequence() == held.sequence() => Err(Refused::Conflict),
            _ => Ok(of_gone),
        }
    }

    fn withdraw(
        &mut self,
        tombstone: &SignedRecord,
        ground: &dyn Ground,
        now: Now,
    ) -> Result<Offered, Refused> {
        let id = tombstone.node_id();
        let is_known = self.knows(&id) || self.gone.highest(&id).is_some();
        let verdict = if is_known {
            self.judge(tombstone, now)?
        } else {
            let verdict = self.strangers_gone.judge(tombstone, now.wall);
            Refused::by(verdict).map_or(Ok(verdict), Err)?
        };
        if verdict == Verdict::Same {
            return Ok(Offered::Known);
        }
        let was_verified = self.pool.get(&id).map(|entry| entry.was_verified);
        self.dismiss(&id, ground, now.at);
        if was_verified.unwrap_or(is_known) {
            self.gone.remember_latest(tombstone);
        } else {
            self.strangers_gone.remember_latest(tombstone);
        }
        Ok(Offered::Withdrawn)
    }

    /// Counts something new that a relay says; only so much a minute is heeded.
    fn count_news(&mut self, id: &NodeId, now: Duration) -> Result<(), Refused> {
        let most = self.terms.news_per_minute;
        let entry = self.pool.get_mut(id);
        let is_heeded = entry.is_none_or(|entry| entry.conduct.count_news(most, now));
        is_heeded.then_some(()).ok_or(Refused::TooOften)
    }

    /// Takes in what a relay that is known says anew. One that moved is a
    /// candidate again.
    fn amend(
        &mut self,
        record: &SignedRecord,
        endpoint: &Endpoint,
        ground: &dyn Ground,
        now: Now,
    ) -> Result<Offered, Refused> {
        let id = record.node_id();
        let stays = (self.pool.get(&id)).is_some_and(|entry| entry.endpoint == *endpoint);
        if stays {
            self.pool.renew(record);
        } else {
            if !self.pool.has_room(&id, endpoint) {
                return Err(Refused::TooManyOfPrefix);
            }
            ground.leave(&id);
            self.pool.relocate(record, endpoint.clone(), now.at);
        }
        self.ask_in_time(&id, now);
        let is_verified = self.pool.get(&id).is_some_and(|entry| entry.is_verified);
        if is_verified {
            self.enter(&id, ground, now)?;
        }
        Ok(if stays {
            Offered::Renewed
        } else {
            Offered::Candidate
        })
    }

    /// Registers a relay whose probe succeeded, or renews it.
    fn enter(&mut self, id: &NodeId, ground: &dyn Ground, now: Now) -> Result<(), Refused> {
        let Some(record) = self.pool.get(id).map(|entry| entry.record.record().clone()) else {
            return Ok(());
        };
        let Some(announcement) = record.announcement() else {
            return Ok(());
        };
        let Some(ttl) = self.terms.time_left(&record, now.wall) else {
            self.dismiss(id, ground, now.at);
            return Err(Refused::Expired);
        };
        let capacity = announcement.capacity().min(self.terms.max_capacity);
        match ground.enter(id, announcement, capacity, ttl, now.at) {
            Entrance::Entered => {
                self.pool.set_verified(id, now.at.saturating_add(ttl));
                self.ask_in_time(id, now);
            }
            Entrance::NoRoom => self.step_back(id, ground, now),
            Entrance::Ended => {
                self.dismiss(id, ground, now.at);
                return Err(Refused::Expired);
            }
            Entrance::HeldLocally => {
                self.release(id, now.at);
                return Err(Refused::HeldLocally);
            }
            Entrance::Refused => {
                self.shun(id, ground, now.at);
                return Err(Refused::NotReachable);
            }
        }
        Ok(())
    }

    /// One that finds no room in the registry is a candidate again.
    fn step_back(&mut self, id: &NodeId, ground: &dyn Ground, now: Now) {
        ground.leave(id);
        self.pool.set_candidate(id);
        let later = now.at.saturating_add(self.terms.probe_every);
        self.pool.probe_again(id, later);
    }

    /// Removes a relay, and does not take it in again for a while.
    fn shun(&mut self, id: &NodeId, ground: &dyn Ground, now: Duration) {
        self.dismiss(id, ground, now);
        self.shunned.insert(*id, self.forgiven_at(now));
    }

    /// Until when failures count that were seen now.
    fn forgiven_at(&self, now: Duration) -> Duration {
        now.saturating_add(self.terms.probe_every.saturating_mul(2))
    }

    /// Removes a relay here and from the registry.
    fn dismiss(&mut self, id: &NodeId, ground: &dyn Ground, now: Duration) {
        self.release(id, now);
        ground.leave(id);
    }

    /// Gives up a relay's place here, and keeps its last word and what counts
    /// against it.
    fn release(&mut self, id: &NodeId, now: Duration) {
        let Some(entry) = self.pool.remove(id) else {
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
        self.left_behind.keep(*id, entry.conduct, forgiven_at, now);
    }

    /// What time brings: records end, and local relays need the room.
    pub(super) fn tidy(&mut self, ground: &dyn Ground, now: Now) {
        self.gone.forget_expired(now.wall);
        self.strangers_gone.forget_expired(now.wall);
        while let Some(id) = self.pool.first_expired(now.wall) {
            self.dismiss(&id, ground, now.at);
        }
        let excess = self.pool.verified().saturating_sub(self.places(ground));
        for id in self.pool.longest_unmeasured_of_all(excess) {
            self.dismiss(&id, ground, now.at);
        }
    }

    /// Those in the registry.
    pub(super) fn all_verified(&self) -> impl Iterator<Item = &NodeId> {
        self.pool.all_verified()
    }
}

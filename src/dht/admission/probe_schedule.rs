//! The order of probes, and their rate limit.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::limiter::ProbeLimiter;
use super::probe_queue::{ProbeQueue, QueueKey};
use super::quotas::{Prefix, Quotas};
use super::remote_relay::{Queue, RemoteRelay, ScheduleKey};
use crate::dht::record::Announcement;
use crate::relay::{Endpoint, NodeId};

/// Which relay is probed next.
///
/// Unprobed candidates, other candidates and verified relays take turns. So a large number of
/// one kind does not delay the probes of another. Among the other candidates, returning ones
/// alternate with the rest.
#[derive(Debug)]
pub(super) struct ProbeSchedule {
    unprobed: ProbeQueue,
    returning: BTreeSet<ScheduleKey>,
    candidates: BTreeSet<ScheduleKey>,
    verified: BTreeSet<ScheduleKey>,
    /// The index in [`KINDS`] whose turn is next.
    turn: usize,
    /// Whether returning candidates are next among the other candidates.
    returning_first: bool,
    limiter: ProbeLimiter,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Unprobed,
    Candidates,
    Verified,
}

const KINDS: [Kind; 3] = [Kind::Unprobed, Kind::Candidates, Kind::Verified];

/// The relays whose probes are scheduled.
pub(super) type Relays = BTreeMap<NodeId, RemoteRelay>;

impl ProbeSchedule {
    pub(super) const fn new(unprobed: ProbeQueue, limiter: ProbeLimiter) -> Self {
        Self {
            unprobed,
            returning: BTreeSet::new(),
            candidates: BTreeSet::new(),
            verified: BTreeSet::new(),
            turn: 0,
            returning_first: true,
            limiter,
        }
    }

    /// Starts the next probe that is due.
    pub(super) fn begin_probe(
        &mut self,
        relays: &mut Relays,
        quotas: &Quotas,
        now: Duration,
    ) -> Option<(NodeId, Announcement)> {
        let turn = self.turn;
        let mut turns = (0..KINDS.len()).map(|ahead| (turn + ahead) % KINDS.len());
        let (taken, id) =
            turns.find_map(|turn| Some((turn, self.pop_due(KINDS[turn], relays, quotas, now)?)))?;
        self.turn = (taken + 1) % KINDS.len();
        let relay = relays.get_mut(&id)?;
        relay.queue = Queue::Scheduled;
        relay.is_probing = true;
        Some((id, relay.record.record().announcement()?.clone()))
    }

    fn pop_due(
        &mut self,
        kind: Kind,
        relays: &mut Relays,
        quotas: &Quotas,
        now: Duration,
    ) -> Option<NodeId> {
        match kind {
            Kind::Verified => {
                let id = first_due(&self.verified, now)?;
                self.verified.pop_first();
                Some(id)
            }
            _ if self.limiter.is_exhausted(now) => None,
            Kind::Unprobed => self.pop_unprobed(relays, quotas, now),
            Kind::Candidates => self.pop_candidate(relays, quotas, now),
        }
    }

    fn pop_unprobed(
        &mut self,
        relays: &mut Relays,
        quotas: &Quotas,
        now: Duration,
    ) -> Option<NodeId> {
        while let Some(id) = self.unprobed.first() {
            if self.take_token(&id, relays, quotas, now) {
                return self.unprobed.pop();
            }
        }
        None
    }

    fn pop_candidate(
        &mut self,
        relays: &mut Relays,
        quotas: &Quotas,
        now: Duration,
    ) -> Option<NodeId> {
        for is_returning in [self.returning_first, !self.returning_first] {
            while let Some(id) = first_due(self.candidates(is_returning), now) {
                if self.take_token(&id, relays, quotas, now) {
                    self.candidates(is_returning).pop_first();
                    self.returning_first = !is_returning;
                    return Some(id);
                }
            }
        }
        None
    }

    fn candidates(&mut self, is_returning: bool) -> &mut BTreeSet<ScheduleKey> {
        if is_returning {
            &mut self.returning
        } else {
            &mut self.candidates
        }
    }

    /// Takes a token of the candidate's prefix. If there is none, the probe is postponed until
    /// there is one.
    fn take_token(
        &mut self,
        id: &NodeId,
        relays: &mut Relays,
        quotas: &Quotas,
        now: Duration,
    ) -> bool {
        let Some(relay) = relays.get_mut(id) else {
            return false;
        };
        let quota = quotas.limit_of(&relay.prefix);
        match self.limiter.take(&relay.prefix, quota, now) {
            Ok(()) => true,
            Err(until) => {
                self.remove(id, relay);
                if relay.queue == Queue::Unprobed {
                    relay.queue = Queue::Scheduled;
                }
                relay.probe_at = until;
                self.insert(id, relay);
                false
            }
        }
    }

    /// Empties the token bucket of the prefix of `endpoint`.
    pub(super) fn drain_tokens(&mut self, endpoint: &Endpoint, quotas: &Quotas, now: Duration) {
        let prefix = Prefix::of(endpoint);
        let quota = quotas.limit_of(&prefix);
        self.limiter.drain(&prefix, quota, now);
    }

    /// Schedules the next probe of a relay, unless one is in flight.
    pub(super) fn insert(&mut self, id: &NodeId, relay: &RemoteRelay) {
        if relay.is_probing {
            return;
        }
        match self.scheduled(relay) {
            Some(scheduled) => {
                scheduled.insert(relay.schedule_key(id));
            }
            None => self.unprobed.insert(*id, relay.queue_key),
        }
    }

    pub(super) fn remove(&mut self, id: &NodeId, relay: &RemoteRelay) {
        match self.scheduled(relay) {
            Some(scheduled) => {
                scheduled.remove(&relay.schedule_key(id));
            }
            None => self.unprobed.remove(id, relay.queue_key),
        }
    }

    /// The set that a relay is scheduled in, if it is not among the unprobed ones.
    fn scheduled(&mut self, relay: &RemoteRelay) -> Option<&mut BTreeSet<ScheduleKey>> {
        match relay.queue {
            _ if relay.is_verified => Some(&mut self.verified),
            Queue::Unprobed => None,
            Queue::Returning => Some(&mut self.returning),
            Queue::Scheduled => Some(&mut self.candidates),
        }
    }

    /// The number of candidates that wait for their first probe.
    pub(super) fn unprobed(&self) -> usize {
        self.unprobed.len()
    }

    pub(super) fn queue_key(&self, id: &NodeId, now: Duration) -> QueueKey {
        self.unprobed.key(id, now)
    }
}

fn first_due(scheduled: &BTreeSet<ScheduleKey>, now: Duration) -> Option<NodeId> {
    let (.., id) = scheduled.first().filter(|(due, ..)| *due <= now)?;
    Some(*id)
}

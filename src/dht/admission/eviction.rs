//! The limits on the number of remote relays, and which relay gives way at a limit.

use std::time::Duration;

use super::Admission;
use super::quotas::Prefix;
use crate::dht::backend::{Now, RegistryBackend};
use crate::dht::reject_reason::RejectReason;
use crate::relay::{Endpoint, NodeId};

impl Admission {
    /// Makes room for another candidate: within the quota of its prefix, and within the limit
    /// of candidates.
    pub(super) fn make_room_for_candidate(
        &mut self,
        id: &NodeId,
        endpoint: &Endpoint,
        backend: &dyn RegistryBackend,
        now: Now,
    ) -> Result<(), RejectReason> {
        if self.blocked.contains(id, now.at) {
            return Err(RejectReason::FailedProbes);
        }
        let rank = if self.priorities.contains(id, now.at) {
            0
        } else {
            self.remote.rank(id, now.at)
        };
        if !self.remote.has_quota(id, endpoint) {
            let victim = self.victim_of_prefix(rank, endpoint, now.at);
            self.remove(
                &victim.ok_or(RejectReason::TooManyOfPrefix)?,
                backend,
                now.at,
            );
        }
        if self.remote.candidates() >= self.policy.max_candidates {
            let failed = self.most_failed_candidate(None);
            let victim = failed.or_else(|| self.worst_unprobed(rank, None));
            self.remove(&victim.ok_or(RejectReason::Full)?, backend, now.at);
        }
        Ok(())
    }

    /// The relay that gives way to a candidate of the same prefix. In this order: a candidate
    /// that failed a probe; a verified relay whose probes are overdue; an unprobed candidate
    /// whose rank is worse than `rank`.
    fn victim_of_prefix(&self, rank: u64, endpoint: &Endpoint, now: Duration) -> Option<NodeId> {
        let prefix = Prefix::of(endpoint);
        self.most_failed_candidate(Some(&prefix))
            .or_else(|| self.overdue(Some(&prefix), now))
            .or_else(|| self.worst_unprobed(rank, Some(&prefix)))
    }

    /// Whether another learned relay may be registered. At the limit, a verified relay whose
    /// probes are overdue is removed first.
    pub(super) fn make_room_in_registry(
        &mut self,
        backend: &dyn RegistryBackend,
        now: Duration,
    ) -> bool {
        if self.remote.verified() < self.max_verified(backend) {
            return true;
        }
        match self.overdue(None, now) {
            Some(victim) => {
                self.remove(&victim, backend, now);
                self.remote.verified() < self.max_verified(backend)
            }
            None => false,
        }
    }

    /// The most verified relays, given the number of local ones at present.
    pub(super) fn max_verified(&self, backend: &dyn RegistryBackend) -> usize {
        let locals = backend.relay_count().saturating_sub(self.remote.verified());
        self.policy.max_learned_beside(locals)
    }

    /// The candidate with the most failed probes, and of several the earliest to arrive. A
    /// candidate without a failed probe does not give way here.
    fn most_failed_candidate(&self, of: Option<&Prefix>) -> Option<NodeId> {
        self.remote
            .iter()
            .filter(|(_, relay)| !relay.is_verified && relay.track_record.failures > 0)
            .filter(|(_, relay)| relay.is_of(of))
            .min_by_key(|(id, relay)| (u32::MAX - relay.track_record.failures, relay.arrival, **id))
            .map(|(id, _)| *id)
    }

    /// The unprobed candidate with the worst rank, if that is worse than `rank`.
    fn worst_unprobed(&self, rank: u64, of: Option<&Prefix>) -> Option<NodeId> {
        self.remote
            .iter()
            .filter(|(_, relay)| relay.is_of(of))
            .filter_map(|(id, relay)| Some((relay.unprobed_rank()?, *id)))
            .max()
            .filter(|(worst, _)| *worst > rank)
            .map(|(_, id)| id)
    }

    /// The verified relay whose last successful probe is the oldest, if that is more than two
    /// probe intervals ago.
    fn overdue(&self, of: Option<&Prefix>, now: Duration) -> Option<NodeId> {
        let max_age = self.policy.probe_interval.saturating_mul(2);
        self.remote
            .iter_verified()
            .filter(|(_, relay)| relay.is_of(of))
            .map(|(id, relay)| (relay.last_success.unwrap_or_default(), *id))
            .min()
            .filter(|&(last_success, _)| now.saturating_sub(last_success) > max_age)
            .map(|(_, id)| id)
    }

    /// The `count` verified relays whose last successful probe is the oldest.
    pub(super) fn least_recently_verified(&self, count: usize) -> Vec<NodeId> {
        if count == 0 {
            return Vec::new();
        }
        let verified = self.remote.iter_verified();
        let mut order: Vec<_> = verified
            .map(|(id, relay)| (relay.last_success.unwrap_or_default(), *id))
            .collect();
        order.sort_unstable();
        order.into_iter().take(count).map(|(_, id)| id).collect()
    }
}

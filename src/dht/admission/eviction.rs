//! Who has a place, and who gives way.

use std::time::Duration;

use super::Admission;
use super::quotas::Prefix;
use crate::dht::backend::{Now, RegistryBackend};
use crate::dht::reject_reason::RejectReason;
use crate::relay::{Endpoint, NodeId};

impl Admission {
    /// Finds a place for a newcomer, if need be by making one.
    pub(super) fn make_room(
        &mut self,
        id: &NodeId,
        endpoint: &Endpoint,
        backend: &dyn RegistryBackend,
        now: Now,
    ) -> Result<(), RejectReason> {
        if self.blocked.contains(id, now.at) {
            return Err(RejectReason::FailedProbes);
        }
        let lot = if self.comes_first(id, now.at) {
            0
        } else {
            self.remote.lot(id, now.at)
        };
        if !self.remote.has_room(id, endpoint) {
            let victim = self.victim(lot, endpoint, now.at);
            self.dismiss(
                &victim.ok_or(RejectReason::TooManyOfPrefix)?,
                backend,
                now.at,
            );
        }
        if self.remote.candidates() >= self.policy.max_candidates {
            let worst = self.worst_candidate(None);
            let victim = worst.or_else(|| self.unluckiest(lot, None));
            self.dismiss(&victim.ok_or(RejectReason::Full)?, backend, now.at);
        }
        Ok(())
    }

    /// The relay that gives way to a newcomer of the same prefix: first a candidate that
    /// failed, then one without a recent measurement, then one that drew a worse lot than
    /// the newcomer.
    fn victim(&self, lot: u64, endpoint: &Endpoint, now: Duration) -> Option<NodeId> {
        let prefix = Prefix::of(endpoint);
        self.worst_candidate(Some(&prefix))
            .or_else(|| {
                let longest = self.longest_unmeasured(Some(&prefix));
                self.overdue(longest, now)
            })
            .or_else(|| self.unluckiest(lot, Some(&prefix)))
    }

    /// Whether a relay that is not here goes before strangers: it was in the registry
    /// before, as far as is remembered, and did not come first for that yet.
    pub(super) fn comes_first(&mut self, id: &NodeId, now: Duration) -> bool {
        self.first_places.contains(id, now)
    }

    fn overdue(&self, longest: Option<(NodeId, Duration)>, now: Duration) -> Option<NodeId> {
        let (id, measured_at) = longest?;
        let longest = self.policy.probe_every.saturating_mul(2);
        (now.saturating_sub(measured_at) > longest).then_some(id)
    }

    /// Whether one more may enter the registry; one that nobody could measure
    /// for long gives way.
    pub(super) fn has_place(&mut self, backend: &dyn RegistryBackend, now: Duration) -> bool {
        if self.remote.verified() < self.places(backend) {
            return true;
        }
        let longest = self.longest_unmeasured(None);
        match self.overdue(longest, now) {
            Some(victim) => {
                self.dismiss(&victim, backend, now);
                self.remote.verified() < self.places(backend)
            }
            None => false,
        }
    }

    /// How many learned relays there may be at present.
    pub(super) fn places(&self, backend: &dyn RegistryBackend) -> usize {
        let locals = backend.held().saturating_sub(self.remote.verified());
        self.policy.places(locals)
    }

    /// The candidate that failed most probes; of several, the first to come. A candidate
    /// that failed none keeps its place.
    fn worst_candidate(&self, of: Option<&Prefix>) -> Option<NodeId> {
        self.remote
            .iter()
            .filter(|(_, entry)| !entry.is_verified && entry.reputation.failures > 0)
            .filter(|(_, entry)| entry.is_of(of))
            .min_by_key(|(id, entry)| (u32::MAX - entry.reputation.failures, entry.arrival, **id))
            .map(|(id, _)| *id)
    }

    /// The relay that drew the worst lot and was never probed, if that lot is worse than
    /// `lot`.
    fn unluckiest(&self, lot: u64, of: Option<&Prefix>) -> Option<NodeId> {
        self.remote
            .iter()
            .filter(|(_, entry)| entry.is_of(of))
            .filter_map(|(id, entry)| Some((entry.untried_lot()?, *id)))
            .max()
            .filter(|(worst, _)| *worst > lot)
            .map(|(_, id)| id)
    }

    /// The verified relay that was not measured for longest.
    fn longest_unmeasured(&self, of: Option<&Prefix>) -> Option<(NodeId, Duration)> {
        self.remote
            .iter_verified()
            .filter(|(_, entry)| entry.is_of(of))
            .map(|(id, entry)| (*id, entry.measured_at.unwrap_or_default()))
            .min_by_key(|&(id, measured_at)| (measured_at, id))
    }

    /// So many verified relays that were not measured for longest.
    pub(super) fn longest_unmeasured_of_all(&self, count: usize) -> Vec<NodeId> {
        if count == 0 {
            return Vec::new();
        }
        let verified = self.remote.iter_verified();
        let mut order: Vec<_> = verified
            .map(|(id, entry)| (entry.measured_at.unwrap_or_default(), *id))
            .collect();
        order.sort_unstable();
        order.into_iter().take(count).map(|(_, id)| id).collect()
    }
}

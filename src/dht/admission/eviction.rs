//! Who has a place, and who gives way.

use std::time::Duration;

use super::Admission;
use crate::dht::RejectReason;
use crate::dht::backend::RegistryBackend;
use crate::dht::publisher::Now;
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
            let worst = self.remote.worst_candidate(None);
            let victim = worst.or_else(|| self.remote.unluckiest(lot, None));
            self.dismiss(&victim.ok_or(RejectReason::Full)?, backend, now.at);
        }
        Ok(())
    }

    /// Who gives way to a newcomer of the same prefix: candidates that failed
    /// first, then those that nobody could measure for long, then who drew a worse
    /// lot than the newcomer.
    fn victim(&self, lot: u64, endpoint: &Endpoint, now: Duration) -> Option<NodeId> {
        self.remote
            .worst_candidate(Some(endpoint))
            .or_else(|| {
                let longest = self.remote.longest_unmeasured(Some(endpoint));
                self.overdue(longest, now)
            })
            .or_else(|| self.remote.unluckiest(lot, Some(endpoint)))
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
        let longest = self.remote.longest_unmeasured(None);
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
}

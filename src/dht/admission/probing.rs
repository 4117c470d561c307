//! Which relay is probed, and what follows from the outcome.

use std::time::Duration;

use super::Admission;
use crate::dht::backend::{Now, RegistryBackend};
use crate::dht::probe::ProbeError;
use crate::dht::record::Announcement;
use crate::dht::retry::with_jitter;
use crate::limits::MAX_RTT;
use crate::relay::NodeId;

impl Admission {
    /// Starts the next probe that is due. The caller passes its outcome to
    /// [`probe_finished`](Self::probe_finished).
    pub(in crate::dht) fn next_probe(&mut self, now: Duration) -> Option<(NodeId, Announcement)> {
        self.remote.begin_probe(now)
    }

    /// Whether the probe of this relay has a short deadline: it is the first of what the record
    /// announces, and more candidates wait for their first probe than a probe interval has time
    /// for.
    pub(in crate::dht) fn is_short_probe(&self, id: &NodeId) -> bool {
        let is_first = self.remote.get(id).is_some_and(|relay| !relay.was_probed);
        is_first && self.remote.unprobed() > self.policy.short_probes_above
    }

    /// Applies the outcome of a probe; true if it led to the registration of the relay.
    pub(in crate::dht) fn probe_finished(
        &mut self,
        id: &NodeId,
        probed: &Announcement,
        outcome: Result<Duration, ProbeError>,
        backend: &dyn RegistryBackend,
        now: Now,
    ) -> bool {
        let outcome = match outcome {
            Ok(rtt) if rtt > MAX_RTT => Err(ProbeError::Unreachable),
            outcome => outcome,
        };
        let relay = self.remote.get_mut(id);
        let relay = relay.filter(|relay| relay.has_contact_of(probed));
        let is_verified = relay.as_ref().is_some_and(|relay| relay.is_verified);
        let is_known_there = relay.map(|relay| relay.was_probed = true).is_some();
        if outcome.is_err() && !is_verified {
            self.remote.drain_tokens(probed.endpoint(), now.at);
        }
        if !is_known_there {
            return false; // It was withdrawn, or its endpoints or payload have changed.
        }
        if backend.is_local(id) {
            self.untrack(id, now.at);
            return false;
        }
        if is_verified && !backend.is_learned(id) {
            self.no_longer_registered(id, backend, now.at);
            return false;
        }
        match outcome {
            Ok(rtt) => {
                let rtt = rtt.max(Duration::from_micros(1));
                self.probe_succeeded(id, rtt, backend, now) && !is_verified
            }
            Err(error) => {
                self.probe_failed(id, error, backend, now.at);
                false
            }
        }
    }

    /// Removes a verified relay that the registry no longer holds. If its record has not ended,
    /// the embedder or the registry has removed it, so it is blocked, too.
    fn no_longer_registered(&mut self, id: &NodeId, backend: &dyn RegistryBackend, now: Duration) {
        let until = self.remote.get(id).map(|relay| relay.registered_until);
        if until.is_some_and(|until| until <= backend.elapsed()) {
            self.remove(id, backend, now);
        } else {
            self.block(id, backend, now);
        }
    }

    /// True if the relay is registered afterwards.
    fn probe_succeeded(
        &mut self,
        id: &NodeId,
        rtt: Duration,
        backend: &dyn RegistryBackend,
        now: Now,
    ) -> bool {
        let next = with_jitter(self.policy.probe_interval, &mut self.random);
        self.remote.schedule_probe(id, now.at.saturating_add(next));
        let is_verified = match self.remote.get_mut(id) {
            Some(relay) => {
                relay.track_record.failures = 0;
                relay.last_success = Some(now.at);
                relay.is_verified
            }
            None => return false,
        };
        if !is_verified {
            if !self.make_room_in_registry(backend, now.at)
                || self.register(id, backend, now).is_err()
            {
                return false;
            }
            if !self.remote.get(id).is_some_and(|relay| relay.is_verified) {
                return false;
            }
        }
        backend.probe_succeeded(id, rtt);
        true
    }

    fn probe_failed(
        &mut self,
        id: &NodeId,
        error: ProbeError,
        backend: &dyn RegistryBackend,
        now: Duration,
    ) {
        let Some(relay) = self.remote.get_mut(id) else {
            return;
        };
        let failures = relay.track_record.failures.saturating_add(1);
        relay.track_record.failures = failures;
        if error == ProbeError::WrongIdentity || failures >= self.policy.max_failed_probes {
            self.block(id, backend, now);
            return;
        }
        if relay.is_verified {
            backend.probe_failed(id);
        }
        let wait = (self.policy.probe_interval / 8).saturating_mul(1 << failures.min(3));
        let wait = with_jitter(wait.min(self.policy.probe_interval), &mut self.random);
        self.remote.schedule_probe(id, now.saturating_add(wait));
    }
}

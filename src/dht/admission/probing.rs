//! Whom to probe, and what comes of it.

use std::time::Duration;

use super::Admission;
use crate::dht::backend::{Now, RegistryBackend};
use crate::dht::probe::ProbeError;
use crate::dht::retry::a_little_less;
use crate::limits::MAX_RTT;
use crate::relay::{Endpoint, NodeId};

impl Admission {
    /// Who is to be probed now, and where. Each probe must be
    /// [ended](Self::probed).
    pub(in crate::dht) fn next_probe(&mut self, now: Duration) -> Option<(NodeId, Endpoint)> {
        self.remote.begin_probe(now)
    }

    /// Whether a probe of this relay should be a short one: it is the first where
    /// the relay says that it is, and more wait for theirs than can be probed at
    /// length within a probe interval.
    pub(in crate::dht) fn is_short(&self, id: &NodeId) -> bool {
        let is_untried = self.remote.get(id).is_some_and(|entry| !entry.is_tried);
        is_untried && self.remote.newcomers() > self.policy.crowd
    }

    /// Takes in how a probe ended; whether a relay has entered by it.
    pub(in crate::dht) fn probed(
        &mut self,
        id: &NodeId,
        endpoint: &Endpoint,
        outcome: Result<Duration, ProbeError>,
        backend: &dyn RegistryBackend,
        now: Now,
    ) -> bool {
        let outcome = match outcome {
            Ok(rtt) if rtt > MAX_RTT => Err(ProbeError::Unreachable),
            outcome => outcome,
        };
        let entry = self.remote.get_mut(id);
        let entry = entry.filter(|entry| entry.endpoint == *endpoint);
        let is_verified = entry.as_ref().is_some_and(|entry| entry.is_verified);
        let is_here = entry.map(|entry| entry.is_tried = true).is_some();
        if outcome.is_err() && !is_verified {
            self.remote.let_rest(endpoint, now.at);
        }
        if !is_here {
            return false; // It left, or moved, and waits for another probe.
        }
        if backend.is_local(id) {
            self.release(id, now.at);
            return false;
        }
        if is_verified && !backend.is_learned(id) {
            self.taken_out(id, backend, now.at);
            return false;
        }
        match outcome {
            Ok(rtt) => {
                let rtt = rtt.max(Duration::from_micros(1));
                self.succeeded(id, rtt, backend, now) && !is_verified
            }
            Err(error) => {
                self.failed(id, error, backend, now.at);
                false
            }
        }
    }

    /// A relay is not in the registry any more. Either its record has ended, which is no
    /// mark against it, or the embedder took it out, or the registry made room.
    fn taken_out(&mut self, id: &NodeId, backend: &dyn RegistryBackend, now: Duration) {
        let until = self.remote.get(id).map(|entry| entry.verified_until);
        if until.is_some_and(|until| until <= backend.elapsed()) {
            self.dismiss(id, backend, now);
        } else {
            self.block(id, backend, now);
        }
    }

    fn succeeded(
        &mut self,
        id: &NodeId,
        rtt: Duration,
        backend: &dyn RegistryBackend,
        now: Now,
    ) -> bool {
        let next = a_little_less(self.policy.probe_every, &mut self.random);
        self.remote.probe_again(id, now.at.saturating_add(next));
        let is_verified = match self.remote.get_mut(id) {
            Some(entry) => {
                entry.reputation.failures = 0;
                entry.measured_at = Some(now.at);
                entry.is_verified
            }
            None => return false,
        };
        if !is_verified {
            if !self.has_place(backend, now.at) || self.enter(id, backend, now).is_err() {
                return false;
            }
            if !self.remote.get(id).is_some_and(|entry| entry.is_verified) {
                return false;
            }
        }
        backend.measured(id, rtt);
        true
    }

    fn failed(
        &mut self,
        id: &NodeId,
        error: ProbeError,
        backend: &dyn RegistryBackend,
        now: Duration,
    ) {
        let Some(entry) = self.remote.get_mut(id) else {
            return;
        };
        let failures = entry.reputation.failures.saturating_add(1);
        entry.reputation.failures = failures;
        if error == ProbeError::WrongIdentity || failures >= self.policy.max_failed_probes {
            self.block(id, backend, now);
            return;
        }
        if entry.is_verified {
            backend.failed(id);
        }
        let wait = (self.policy.probe_every / 8).saturating_mul(1 << failures.min(3));
        let wait = a_little_less(wait.min(self.policy.probe_every), &mut self.random);
        self.remote.probe_again(id, now.saturating_add(wait));
    }
}

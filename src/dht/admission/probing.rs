//! Whom to probe, and what comes of it.

use std::time::Duration;

use super::Admission;
use crate::dht::ProbeError;
use crate::dht::ground::Ground;
use crate::dht::pace::a_little_less;
use crate::dht::publisher::Now;
use crate::limits::MAX_RTT;
use crate::relay::{Endpoint, NodeId};

impl Admission {
    /// Who is to be probed now, and where. Each probe must be
    /// [ended](Self::probed).
    pub(in crate::dht) fn next_probe(&mut self, now: Duration) -> Option<(NodeId, Endpoint)> {
        self.pool.begin_probe(now)
    }

    /// Whether a probe of this relay should be a short one: it is the first where
    /// the relay says that it is, and more wait for theirs than can be probed at
    /// length within a probe interval.
    pub(in crate::dht) fn is_hurried(&self, id: &NodeId) -> bool {
        let is_untried = self.pool.get(id).is_some_and(|entry| !entry.is_tried);
        is_untried && self.pool.newcomers() > self.terms.crowd
    }

    /// Takes in how a probe ended; whether a relay has entered by it.
    pub(in crate::dht) fn probed(
        &mut self,
        id: &NodeId,
        endpoint: &Endpoint,
        outcome: Result<Duration, ProbeError>,
        ground: &dyn Ground,
        now: Now,
    ) -> bool {
        let outcome = match outcome {
            Ok(rtt) if rtt > MAX_RTT => Err(ProbeError::Unreachable),
            outcome => outcome,
        };
        let entry = self.pool.get_mut(id);
        let entry = entry.filter(|entry| entry.endpoint == *endpoint);
        let is_verified = entry.as_ref().is_some_and(|entry| entry.is_verified);
        let is_here = entry.map(|entry| entry.is_tried = true).is_some();
        if outcome.is_err() && !is_verified {
            self.pool.let_rest(endpoint, now.at);
        }
        if !is_here {
            return false; // It left, or moved, and waits for another probe.
        }
        if ground.is_local(id) {
            self.release(id, now.at);
            return false;
        }
        if is_verified && !ground.is_learned(id) {
            self.taken_out(id, ground, now.at);
            return false;
        }
        match outcome {
            Ok(rtt) => {
                let rtt = rtt.max(Duration::from_micros(1));
                self.succeeded(id, rtt, ground, now) && !is_verified
            }
            Err(error) => {
                self.failed(id, error, ground, now.at);
                false
            }
        }
    }

    /// A relay is not in the registry any more. Either its record has ended, which is no
    /// mark against it, or the embedder took it out, or the registry made room.
    fn taken_out(&mut self, id: &NodeId, ground: &dyn Ground, now: Duration) {
        let until = self.pool.get(id).map(|entry| entry.verified_until);
        if until.is_some_and(|until| until <= ground.elapsed()) {
            self.dismiss(id, ground, now);
        } else {
            self.shun(id, ground, now);
        }
    }

    fn succeeded(&mut self, id: &NodeId, rtt: Duration, ground: &dyn Ground, now: Now) -> bool {
        let next = a_little_less(self.terms.probe_every, &mut self.random);
        self.pool.probe_again(id, now.at.saturating_add(next));
        let is_verified = match self.pool.get_mut(id) {
            Some(entry) => {
                entry.conduct.failures = 0;
                entry.measured_at = Some(now.at);
                entry.is_verified
            }
            None => return false,
        };
        if !is_verified {
            if !self.has_place(ground, now.at) || self.enter(id, ground, now).is_err() {
                return false;
            }
            if !self.pool.get(id).is_some_and(|entry| entry.is_verified) {
                return false;
            }
        }
        ground.measured(id, rtt);
        true
    }

    fn failed(&mut self, id: &NodeId, error: ProbeError, ground: &dyn Ground, now: Duration) {
        let Some(entry) = self.pool.get_mut(id) else {
            return;
        };
        let failures = entry.conduct.failures.saturating_add(1);
        entry.conduct.failures = failures;
        if error == ProbeError::WrongIdentity || failures >= self.terms.patience {
            self.shun(id, ground, now);
            return;
        }
        if entry.is_verified {
            ground.failed(id);
        }
        let wait = (self.terms.probe_every / 8).saturating_mul(1 << failures.min(3));
        let wait = a_little_less(wait.min(self.terms.probe_every), &mut self.random);
        self.pool.probe_again(id, now.saturating_add(wait));
    }
}

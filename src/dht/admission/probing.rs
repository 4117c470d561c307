//! Whom to probe, and what comes of it.

use std::time::Duration;

use super::Admission;
use super::quotas::Prefix;
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

    /// Whether a probe of this relay should be a short one: it is the first of a
    /// stranger, and more wait for theirs than can be probed at length within a
    /// probe interval.
    pub(in crate::dht) fn is_hurried(&self, id: &NodeId) -> bool {
        let is_untried = self.pool.get(id).is_some_and(|entry| entry.is_untried());
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
        let is_stranger = self.pool.get(id).is_none_or(|entry| !entry.was_verified);
        if is_stranger && outcome.is_err() {
            // The more may be known of a prefix, the more may be tried.
            let prefix = Prefix::of(endpoint);
            let most = u32::try_from(self.pool.most_of(&prefix)).unwrap_or(u32::MAX);
            let rest = self.terms.probe_every / most.saturating_mul(2).max(1);
            self.resting.insert(prefix, now.at.saturating_add(rest));
        }
        let Some(entry) = self
            .pool
            .get(id)
            .filter(|entry| entry.endpoint == *endpoint)
        else {
            return false; // It left, or moved, and waits for another probe.
        };
        let was_verified = entry.is_verified;
        if ground.is_local(id) {
            self.release(id);
            return false;
        }
        if was_verified && !ground.is_learned(id) {
            // The embedder took it out, or the registry made room.
            self.shun(id, ground, now.at);
            return false;
        }
        match outcome {
            Ok(rtt) if rtt <= MAX_RTT => {
                let rtt = rtt.max(Duration::from_micros(1));
                self.succeeded(id, rtt, ground, now) && !was_verified
            }
            Ok(_) => {
                self.failed(id, ProbeError::Unreachable, ground, now.at);
                false
            }
            Err(error) => {
                self.failed(id, error, ground, now.at);
                false
            }
        }
    }

    fn succeeded(&mut self, id: &NodeId, rtt: Duration, ground: &dyn Ground, now: Now) -> bool {
        let next = a_little_less(self.terms.probe_every, &mut self.random);
        self.pool.probe_again(id, now.at.saturating_add(next));
        let is_verified = match self.pool.get_mut(id) {
            Some(entry) => {
                entry.failures = 0;
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
        entry.failures = entry.failures.saturating_add(1);
        let failures = entry.failures;
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

    /// Puts off the first probe of a relay where others were not found just now.
    pub(super) fn let_rest(&mut self, id: &NodeId, endpoint: &Endpoint, now: Duration) {
        if let Some(until) = self.resting.end(&Prefix::of(endpoint), now) {
            self.pool.probe_again(id, until);
        }
    }
}

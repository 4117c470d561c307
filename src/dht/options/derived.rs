//! What follows from the options: rhythms, terms and deadlines.

use std::time::{Duration, Instant};

use super::DhtOptions;
use crate::dht::admission::{AdmissionPolicy, PerPrefix};
use crate::dht::{Limits, discovery, publisher};
use crate::relay::NodeId;

impl DhtOptions {
    pub(super) fn refresh_every(&self) -> Duration {
        self.refresh.unwrap_or(self.ttl / 2)
    }

    pub(super) fn reserve(&self, max_relays: usize) -> usize {
        self.reserve.unwrap_or(max_relays / 4)
    }

    pub(super) fn candidates(&self, max_relays: usize) -> usize {
        self.max_candidates
            .unwrap_or_else(|| max_relays.clamp(64, 4_096))
    }

    /// The identity of this node, if it has a key.
    pub(crate) fn own(&self) -> Option<NodeId> {
        self.key.as_ref().map(|key| key.node_id())
    }

    pub(in crate::dht) fn publisher_intervals(&self, limits: Limits) -> publisher::Intervals {
        publisher::Intervals {
            debounce: self.debounce,
            ttl: self.ttl,
            refresh: self.refresh_every().min(limits.refresh),
            load_every: self.load_every,
            time_limit: self.request_deadline.saturating_mul(2),
        }
    }

    pub(in crate::dht) fn discovery_intervals(&self) -> discovery::Intervals {
        discovery::Intervals {
            sweep_every: self.sweep_every,
            sweep_soon: self.sweep_every.min(Duration::from_secs(2)),
            negative_cache_ttl: self.negative_cache_ttl,
            time_limit: self.request_deadline.saturating_mul(2),
        }
    }

    pub(in crate::dht) fn policy(
        &self,
        max_relays: usize,
        tick: Duration,
        limits: Limits,
    ) -> AdmissionPolicy {
        AdmissionPolicy {
            network: self.network,
            own: self.own(),
            allowed: self.allowed.clone(),
            addresses: self.addresses,
            names: self.names,
            max_relays,
            reserve: self.reserve(max_relays),
            max_candidates: self.candidates(max_relays),
            crowd: self.probes_in_an_interval(),
            max_capacity: self.max_capacity,
            news_per_minute: self.news_per_minute,
            probe_every: self.probe_every,
            // The rest of a refresh is for the way there and back.
            ask_every: self.refresh_every().min(limits.refresh) * 3 / 4,
            max_failed_probes: self.max_failed_probes,
            tick,
        }
    }

    /// How many probes that take all their time can be made in a probe interval.
    fn probes_in_an_interval(&self) -> usize {
        let each = self.probe_deadline.as_nanos().max(1);
        let rounds = self.probe_every.as_nanos() / each;
        usize::try_from(rounds)
            .unwrap_or(usize::MAX)
            .saturating_mul(self.probe_threads)
    }

    /// So far from now.
    pub(in crate::dht) fn deadline(&self, span: Duration) -> Instant {
        // Spans are an hour at most.
        Instant::now() + span
    }

    pub(in crate::dht) const fn per_prefix(&self) -> PerPrefix {
        PerPrefix {
            v4: self.per_v4,
            v6: self.per_v6,
        }
    }
}

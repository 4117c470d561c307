//! Values derived from the options: intervals, the admission policy, deadlines.

use std::time::{Duration, Instant};

use super::DhtOptions;
use crate::dht::admission::{AdmissionPolicy, PerPrefix};
use crate::dht::engine::Limits;
use crate::dht::{discovery, publisher};
use crate::relay::NodeId;

impl DhtOptions {
    pub(super) fn refresh_interval(&self) -> Duration {
        self.refresh.unwrap_or(self.ttl / 2)
    }

    pub(super) fn local_reserve_of(&self, max_relays: usize) -> usize {
        self.local_reserve.unwrap_or(max_relays / 4)
    }

    pub(super) fn max_candidates_of(&self, max_relays: usize) -> usize {
        self.max_candidates
            .unwrap_or_else(|| max_relays.clamp(64, 4_096))
    }

    pub(in crate::dht) fn wanted_relays_of(&self, max_relays: usize) -> usize {
        self.wanted_relays
            .unwrap_or_else(|| max_relays.clamp(1, 512))
    }

    /// The tier of learned relays.
    pub(crate) fn tier_of_learned(&self) -> u8 {
        self.learned_tier
    }

    /// The id of this node, if it has a key.
    pub(crate) fn own(&self) -> Option<NodeId> {
        self.key.as_ref().map(|key| key.node_id())
    }

    pub(in crate::dht) fn publisher_intervals(&self, limits: Limits) -> publisher::Intervals {
        publisher::Intervals {
            debounce: self.debounce,
            ttl: self.ttl,
            refresh: self.refresh_interval().min(limits.refresh),
            load_interval: self.load_interval,
            timeout: self.request_deadline.saturating_mul(2),
        }
    }

    pub(in crate::dht) fn discovery_intervals(&self) -> discovery::Intervals {
        discovery::Intervals {
            sweep_interval: self.sweep_interval,
            min_sweep_interval: self.sweep_interval.min(Duration::from_secs(2)),
            negative_cache_ttl: self.negative_cache_ttl,
            timeout: self.request_deadline.saturating_mul(2),
        }
    }

    pub(in crate::dht) fn admission_policy(
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
            accept_names: self.accept_names,
            max_relays,
            local_reserve: self.local_reserve_of(max_relays),
            max_candidates: self.max_candidates_of(max_relays),
            short_probes_above: self.probes_per_interval(),
            max_capacity: self.max_capacity,
            max_updates_per_minute: self.max_updates_per_minute,
            probe_interval: self.probe_interval,
            // The rest of a refresh is for the requests themselves.
            requery_interval: self.refresh_interval().min(limits.refresh) * 3 / 4,
            max_failed_probes: self.max_failed_probes,
            tick,
        }
    }

    /// How many probes fit in a probe interval, if each takes until its deadline.
    fn probes_per_interval(&self) -> usize {
        let each = self.probe_deadline.as_nanos().max(1);
        let rounds = self.probe_interval.as_nanos() / each;
        usize::try_from(rounds)
            .unwrap_or(usize::MAX)
            .saturating_mul(self.probe_threads)
    }

    pub(in crate::dht) fn deadline(&self, timeout: Duration) -> Instant {
        // Does not overflow: a timeout is at most an hour.
        Instant::now() + timeout
    }

    pub(in crate::dht) const fn per_prefix(&self) -> PerPrefix {
        PerPrefix {
            v4: self.max_per_ipv4_24,
            v6: self.max_per_ipv6_48,
        }
    }
}

//! [`DhtStats`]: the counters and the present state of a registry's DHT.

use super::reject_reason::RejectReason;

/// The counters and the present state of a registry's DHT; see
/// [`Stats::dht`](crate::Stats::dht).
///
/// Fields of type `u64` count events since the registry was built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct DhtStats {
    /// Whether the registry has a key, which it needs to publish.
    pub publishes: bool,
    /// Whether the registry has a probe, which it needs to learn relays.
    pub learns: bool,
    /// Whether a change of this node's relay is not yet published or withdrawn.
    pub pending: bool,
    /// Whether the last record that the engine stored is an announcement.
    pub published: bool,
    /// Records and withdrawals that the engine stored.
    pub puts: u64,
    /// Learned relays that are registered.
    pub learned: usize,
    /// Remote relays that are not registered, because no probe has succeeded yet, or for
    /// lack of room.
    pub candidates: usize,
    /// Learned relays that were registered after a probe.
    pub admitted: u64,
    /// Announcements from other nodes that were accepted.
    pub accepted: u64,
    /// Withdrawals from other nodes that were accepted.
    pub withdrawn: u64,
    /// Probes that succeeded.
    pub probes: u64,
    /// Probes that failed.
    pub failed_probes: u64,
    /// Shards of the directory that were read.
    pub sweeps: u64,
    /// Lookups of one relay's record.
    pub fetches: u64,
    /// Changes that the engine [reported](crate::dht::RelayDht::changed).
    pub changes: u64,
    /// Lookups that are queued or in flight.
    pub wanted: usize,
    /// Relays in the negative cache: a complete lookup found no record.
    pub absent: usize,
    /// Requests that failed because of the engine, panics included.
    pub engine_failures: u64,
    /// Panics of the engine, the probe or a clock, and with the feature `tracing` of the
    /// subscriber. All were caught.
    pub panics: u64,
    /// Whether the circuit breaker of the engine is open: after 5 failures in a row, requests
    /// pause for a back-off. An engine that answers that it is
    /// [unavailable](crate::dht::DhtError::Unavailable) does not open it.
    pub breaker_open: bool,
    /// By the number of the reason.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "crate::serde_impls::by_reason")
    )]
    pub(crate) refused: [u64; RejectReason::ALL.len()],
}

impl DhtStats {
    /// Records from other nodes that were rejected for this reason.
    #[must_use]
    pub fn refused(&self, reason: RejectReason) -> u64 {
        self.refused[reason as usize]
    }

    /// Records from other nodes that were rejected for any reason.
    #[must_use]
    pub fn refused_in_all(&self) -> u64 {
        self.refused.iter().sum()
    }

    /// Records from other nodes that were rejected: each reason by its
    /// [name](RejectReason::name), in the order of [`RejectReason::ALL`], with its count.
    ///
    /// ```
    /// # use relay_registry::dht::DhtStats;
    /// let stats = DhtStats::default();
    /// assert!(stats.refused_by_name().any(|(name, count)| name == "replayed" && count == 0));
    /// ```
    pub fn refused_by_name(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let reasons = RejectReason::ALL.iter();
        reasons.map(|&reason| (reason.name(), self.refused(reason)))
    }

    pub(super) fn count_rejected(&mut self, reason: RejectReason) {
        self.refused[reason as usize] += 1;
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_counted_separately() {
        let mut stats = DhtStats::default();
        for reason in RejectReason::ALL {
            assert_eq!(stats.refused(reason), 0);
            stats.count_rejected(reason);
            assert_eq!(stats.refused(reason), 1);
        }
        assert_eq!(stats.refused_in_all(), RejectReason::ALL.len() as u64);
    }
}

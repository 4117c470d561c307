//! [`DhtStats`]: the counters and the present state of a registry's DHT.

use std::fmt;

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
    /// Whether a change of this node's relay is not yet published or withdrawn. It stays so if the
    /// engine refuses the record or its membership.
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
    /// Shards of the directory that were read: at least one storage node answered.
    pub sweeps: u64,
    /// Lookups of one relay's record.
    pub fetches: u64,
    /// Changes that the engine [reported](crate::dht::RelayDht::changed).
    pub changes: u64,
    /// Lookups that are queued or in flight.
    pub wanted: usize,
    /// Relays in the negative cache: a complete lookup found no record that this node accepts.
    pub absent: usize,
    /// Requests that the engine did not carry out: its network failed, it refused them, as for a
    /// wrong password, it does not support them, or it panicked. `Registry::last_engine_error`
    /// has the last error. That a newer record is stored, or a shard is full, is no failure.
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
    pub(crate) refused: Refused,
}

/// The number of rejected records, by the number of the reason.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Refused([u64; RejectReason::ALL.len()]);

impl Refused {
    /// Each reason with its count, in the order of [`RejectReason::ALL`].
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RejectReason, u64)> + '_ {
        RejectReason::ALL.into_iter().zip(self.0)
    }

    fn by_name(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.iter().map(|(reason, count)| (reason.name(), count))
    }
}

/// Shows the reasons that there were.
impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.by_name().filter(|(_, count)| *count > 0);
        f.debug_map().entries(counts).finish()
    }
}

impl DhtStats {
    /// Records from other nodes that were rejected for this reason.
    #[must_use]
    pub fn refused(&self, reason: RejectReason) -> u64 {
        self.refused.0[reason as usize]
    }

    /// Records from other nodes that were rejected for any reason.
    #[must_use]
    pub fn refused_in_all(&self) -> u64 {
        self.refused.0.iter().sum()
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
        self.refused.by_name()
    }

    pub(super) fn count_rejected(&mut self, reason: RejectReason) {
        self.refused.0[reason as usize] += 1;
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

    #[test]
    fn what_was_refused_is_shown_by_name() {
        let mut stats = DhtStats::default();
        assert!(format!("{stats:?}").contains("refused: {}"));
        stats.count_rejected(RejectReason::PrivateAddress);
        assert!(format!("{stats:?}").contains("refused: {\"private_address\": 1}"));
    }
}

//! [`DhtStats`]: what a registry's distribution has done, and what it holds.

use super::reject_reason::RejectReason;

/// What the distribution of a registry has done so far, and what it holds now:
/// [`Stats::dht`](crate::Stats::dht).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DhtStats {
    /// Whether the registry has a key, and so can publish.
    pub publishes: bool,
    /// Whether the registry has a probe, and so can learn.
    pub learns: bool,
    /// Whether something is yet to be published or withdrawn.
    pub pending: bool,
    /// Whether this node's relay is published at present.
    pub published: bool,
    /// Records and withdrawals that the engine stored.
    pub puts: u64,
    /// Learned relays in the registry.
    pub learned: usize,
    /// Relays that wait for a probe to succeed.
    pub candidates: usize,
    /// Relays that entered the registry after a probe.
    pub admitted: u64,
    /// Records from elsewhere that were believed.
    pub accepted: u64,
    /// Withdrawals from elsewhere that were believed.
    pub withdrawn: u64,
    /// Probes that succeeded.
    pub probes: u64,
    /// Probes that failed.
    pub failed_probes: u64,
    /// Shards of the directory that were read.
    pub sweeps: u64,
    /// Relays that were asked for by name.
    pub fetches: u64,
    /// Relays that are being asked for, or wait to be.
    pub wanted: usize,
    /// Relays known to have no record.
    pub absent: usize,
    /// Requests that the engine failed, panics included.
    pub engine_failures: u64,
    /// Panics of the engine, the probe or a clock, all of them contained.
    pub panics: u64,
    /// Whether the engine has failed so often that it is left alone for a while.
    pub breaker_open: bool,
    pub(super) refused: [u64; RejectReason::ALL.len()],
}

impl DhtStats {
    /// Records from elsewhere that were refused for this reason.
    #[must_use]
    pub fn refused(&self, reason: RejectReason) -> u64 {
        self.refused[reason as usize]
    }

    /// Records from elsewhere that were refused for any reason.
    #[must_use]
    pub fn refused_in_all(&self) -> u64 {
        self.refused.iter().sum()
    }

    pub(super) fn refuse(&mut self, reason: RejectReason) {
        self.refused[reason as usize] += 1;
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_counted_by_itself() {
        let mut stats = DhtStats::default();
        for reason in RejectReason::ALL {
            assert_eq!(stats.refused(reason), 0);
            stats.refuse(reason);
            assert_eq!(stats.refused(reason), 1);
        }
        assert_eq!(stats.refused_in_all(), RejectReason::ALL.len() as u64);
    }
}

//! Limits how often remote nodes can have a network prefix probed.
//!
//! Keys and addresses cost an attacker nothing. So a count per key or per address does not limit
//! the probes that reach a victim; a count per destination does. Each prefix has a token bucket
//! with one token for each relay that its quota allows. A probe of an endpoint at which no relay
//! is verified takes one token. A bucket refills within half a probe interval. A probe that fails
//! empties the bucket.
//!
//! A bucket is stored as the time at which it is full again (the virtual scheduling of the generic
//! cell rate algorithm, ITU-T I.371). A full bucket is not stored.

use std::time::Duration;

use super::quotas::Prefix;
use crate::dht::expiring_map::ExpiringMap;

/// The most buckets. None is evicted before it is full: at this limit, candidates are not probed.
const MAX_PREFIXES: usize = 16_384;

/// The token buckets of all prefixes.
#[derive(Debug)]
pub(super) struct ProbeLimiter {
    interval: Duration,
    /// Each bucket that is not full, and when it will be.
    full_at: ExpiringMap<Prefix>,
}

impl ProbeLimiter {
    pub(super) const fn new(probe_interval: Duration) -> Self {
        Self {
            interval: probe_interval,
            full_at: ExpiringMap::new(MAX_PREFIXES),
        }
    }

    /// Whether no further bucket can be stored.
    pub(super) fn is_exhausted(&mut self, now: Duration) -> bool {
        self.full_at.remove_expired(now);
        self.full_at.len() >= MAX_PREFIXES
    }

    /// Takes a token of a prefix whose quota is `quota`.
    ///
    /// # Errors
    ///
    /// If the bucket is empty: when it will have a token.
    pub(super) fn take(
        &mut self,
        prefix: &Prefix,
        quota: usize,
        now: Duration,
    ) -> Result<(), Duration> {
        let (tokens, per_token) = self.rate(quota);
        let full_at = self.full_at.end(prefix, now).unwrap_or(now);
        let next = full_at.saturating_sub(per_token.saturating_mul(tokens - 1));
        if next > now {
            return Err(next);
        }
        self.set_full_at(prefix, full_at.saturating_add(per_token));
        Ok(())
    }

    /// Empties the bucket of a prefix, because a probe failed there.
    pub(super) fn drain(&mut self, prefix: &Prefix, quota: usize, now: Duration) {
        let (tokens, per_token) = self.rate(quota);
        let empty = now.saturating_add(per_token.saturating_mul(tokens));
        let full_at = self.full_at.end(prefix, now).unwrap_or(empty);
        self.set_full_at(prefix, full_at.max(empty));
    }

    /// The size of a bucket, and how long one token takes to return.
    fn rate(&self, quota: usize) -> (u32, Duration) {
        let tokens = u32::try_from(quota.max(1)).unwrap_or(u32::MAX);
        (tokens, self.interval / tokens.saturating_mul(2))
    }

    fn set_full_at(&mut self, prefix: &Prefix, full_at: Duration) {
        // Exceeds the limit only if a probe took longer than its token took to return.
        self.full_at.insert(prefix.clone(), (), full_at);
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;
    const PREFIX: Prefix = Prefix::V4([9, 9, 9]);

    /// The seconds at which probes of one prefix can start, if each ends at once.
    fn starts(limiter: &mut ProbeLimiter, quota: usize, fails: bool, seconds: u64) -> Vec<u64> {
        let mut starts = Vec::new();
        for now in 0..seconds {
            while starts.len() < 100 && limiter.take(&PREFIX, quota, S(now)).is_ok() {
                starts.push(now);
                if fails {
                    limiter.drain(&PREFIX, quota, S(now));
                }
            }
        }
        starts
    }

    #[test]
    fn a_full_bucket_allows_a_burst_and_then_refills_token_by_token() {
        let mut limiter = ProbeLimiter::new(S(80));
        let at = starts(&mut limiter, 4, false, 31);
        assert_eq!(at, [0, 0, 0, 0, 10, 20, 30]);
    }

    #[test]
    fn a_failed_probe_empties_the_bucket() {
        let mut limiter = ProbeLimiter::new(S(80));
        assert_eq!(starts(&mut limiter, 4, true, 31), [0, 10, 20, 30]);
        assert_eq!(limiter.take(&PREFIX, 4, S(31)), Err(S(40)));
        assert_eq!(limiter.take(&Prefix::V4([9, 9, 8]), 4, S(31)), Ok(()));
    }

    #[test]
    fn a_full_bucket_is_not_stored() {
        let mut limiter = ProbeLimiter::new(S(80));
        assert_eq!(starts(&mut limiter, 4, true, 1), [0]);
        assert!(!limiter.is_exhausted(S(39)) && limiter.full_at.len() == 1);
        assert!(!limiter.is_exhausted(S(40)) && limiter.full_at.len() == 0);
    }

    #[test]
    fn no_number_of_prefixes_evicts_a_bucket_that_is_not_full() {
        let mut limiter = ProbeLimiter::new(S(80));
        let number = |n: u32| {
            let [_, a, b, c] = n.to_be_bytes();
            Prefix::V4([a, b, c])
        };
        let mut probed = 0;
        while probed < 100_000 && !limiter.is_exhausted(S(0)) {
            assert_eq!(limiter.take(&number(probed), 1, S(0)), Ok(()));
            probed += 1;
        }
        assert_eq!(probed as usize, MAX_PREFIXES);
        assert!((0..probed).all(|n| limiter.take(&number(n), 1, S(39)).is_err()));
        assert!(!limiter.is_exhausted(S(40)));
    }

    #[test]
    fn the_largest_quota_never_limits() {
        let mut limiter = ProbeLimiter::new(S(1));
        assert!((0..1_000).all(|_| limiter.take(&PREFIX, usize::MAX, S(0)).is_ok()));
    }
}

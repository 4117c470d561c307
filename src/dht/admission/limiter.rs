//! How often strangers can have a network prefix probed.
//!
//! What a key or an address costs a stranger is nothing, so no count that is kept for either bounds the probes of a
//! victim: only one that is kept for where they go. Each prefix has a bucket of tokens, one for each relay that there
//! may be of it, and a probe of an endpoint that is not verified takes one. They come back one by one, all of them
//! within half a probe interval. A probe that fails empties the bucket.
//!
//! A bucket is the time at which it is full again (the virtual scheduling of the generic cell rate algorithm, ITU-T
//! I.371). One that is full need not be kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::quotas::Prefix;

/// How many prefixes can have been probed of late. None is forgotten early: when there are as many, first probes wait.
const MAX_PREFIXES: usize = 16_384;

/// The tokens of all prefixes.
#[derive(Debug)]
pub(super) struct ProbeLimiter {
    interval: Duration,
    full_at: BTreeMap<Prefix, Duration>,
    by_time: BTreeSet<(Duration, Prefix)>,
}

impl ProbeLimiter {
    /// None was probed yet.
    pub(super) const fn new(probe_interval: Duration) -> Self {
        Self {
            interval: probe_interval,
            full_at: BTreeMap::new(),
            by_time: BTreeSet::new(),
        }
    }

    /// Whether there are as many buckets as can be kept.
    pub(super) fn is_exhausted(&mut self, now: Duration) -> bool {
        while self.by_time.first().is_some_and(|(full, _)| *full <= now) {
            self.forget_first();
        }
        self.full_at.len() >= MAX_PREFIXES
    }

    /// Takes a token of a prefix of which there may be `most` relays.
    ///
    /// # Errors
    ///
    /// When there will be one, if there is none.
    pub(super) fn take(
        &mut self,
        prefix: &Prefix,
        most: usize,
        now: Duration,
    ) -> Result<(), Duration> {
        let (tokens, each) = self.rate(most);
        let full_at = self.full_at.get(prefix).map_or(now, |full| *full.max(&now));
        let next = full_at.saturating_sub(each.saturating_mul(tokens - 1));
        if next > now {
            return Err(next);
        }
        self.fill_by(prefix, full_at.saturating_add(each));
        Ok(())
    }

    /// Takes all tokens of a prefix: a probe there failed.
    pub(super) fn drain(&mut self, prefix: &Prefix, most: usize, now: Duration) {
        let (tokens, each) = self.rate(most);
        let empty = now.saturating_add(each.saturating_mul(tokens));
        let full_at = self
            .full_at
            .get(prefix)
            .map_or(empty, |full| *full.max(&empty));
        self.fill_by(prefix, full_at);
    }

    /// How many tokens there are, and how long one takes to come back.
    fn rate(&self, most: usize) -> (u32, Duration) {
        let tokens = u32::try_from(most.max(1)).unwrap_or(u32::MAX);
        (tokens, self.interval / tokens.saturating_mul(2))
    }

    fn fill_by(&mut self, prefix: &Prefix, full_at: Duration) {
        if let Some(before) = self.full_at.insert(prefix.clone(), full_at) {
            self.by_time.remove(&(before, prefix.clone()));
        }
        self.by_time.insert((full_at, prefix.clone()));
        // Only the end of a probe that took longer than its token did can be one too many.
        while self.full_at.len() > MAX_PREFIXES {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, prefix)) = self.by_time.pop_first() {
            self.full_at.remove(&prefix);
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;
    const PREFIX: Prefix = Prefix::V4([9, 9, 9]);

    /// When probes of one prefix can begin, of which there may be `most` relays, if each ends as it begins.
    fn begun(limiter: &mut ProbeLimiter, most: usize, fails: bool, seconds: u64) -> Vec<u64> {
        let mut begun = Vec::new();
        for now in 0..seconds {
            while begun.len() < 100 && limiter.take(&PREFIX, most, S(now)).is_ok() {
                begun.push(now);
                if fails {
                    limiter.drain(&PREFIX, most, S(now));
                }
            }
        }
        begun
    }

    #[test]
    fn as_many_as_there_may_be_are_probed_at_once_and_then_one_by_one() {
        let mut limiter = ProbeLimiter::new(S(80));
        let at = begun(&mut limiter, 4, false, 31);
        assert_eq!(at, [0, 0, 0, 0, 10, 20, 30]);
    }

    #[test]
    fn where_a_probe_fails_the_next_waits() {
        let mut limiter = ProbeLimiter::new(S(80));
        assert_eq!(begun(&mut limiter, 4, true, 31), [0, 10, 20, 30]);
        assert_eq!(limiter.take(&PREFIX, 4, S(31)), Err(S(40)));
        assert_eq!(limiter.take(&Prefix::V4([9, 9, 8]), 4, S(31)), Ok(()));
    }

    #[test]
    fn what_has_rested_is_forgotten() {
        let mut limiter = ProbeLimiter::new(S(80));
        assert_eq!(begun(&mut limiter, 4, true, 1), [0]);
        assert!(!limiter.is_exhausted(S(39)) && limiter.full_at.len() == 1);
        assert!(!limiter.is_exhausted(S(40)) && limiter.full_at.is_empty());
        assert!(limiter.by_time.is_empty());
    }

    #[test]
    fn no_number_of_prefixes_drives_one_out_before_it_has_rested() {
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
    fn a_limit_beyond_counting_is_none() {
        let mut limiter = ProbeLimiter::new(S(1));
        assert!((0..1_000).all(|_| limiter.take(&PREFIX, usize::MAX, S(0)).is_ok()));
    }
}

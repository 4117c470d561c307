//! Retry delays: exponential back-off with jitter, and the circuit breaker of the engine.

use std::time::Duration;

use fastrand::Rng;

/// Exponential back-off with full jitter (Brooker, *Exponential Backoff and Jitter*, AWS
/// 2015). The ceiling is `base`, and doubles with each failure up to `cap`. A delay is random
/// between `base / 8` and the ceiling. The minimum prevents several retries at once.
#[derive(Clone, Debug)]
pub(super) struct RetryBackoff {
    base: Duration,
    cap: Duration,
    failures: u32,
}

impl RetryBackoff {
    pub(super) const fn new(base: Duration, cap: Duration) -> Self {
        Self {
            base,
            cap,
            failures: 0,
        }
    }

    /// Counts a failure, and returns the delay before the next attempt.
    pub(super) fn fail(&mut self, random: &mut Rng) -> Duration {
        let ceiling = self.base.saturating_mul(1 << self.failures.min(20));
        self.failures = self.failures.saturating_add(1);
        jittered(ceiling.min(self.cap), self.base / 8, random)
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

fn jittered(most: Duration, least: Duration, random: &mut Rng) -> Duration {
    most.mul_f64(random.f64()).max(least)
}

/// Shortens an interval by up to a quarter, at random, so that nodes which started at the
/// same time do not stay in step.
pub(super) fn with_jitter(span: Duration, random: &mut Rng) -> Duration {
    span.mul_f64(0.75 + 0.25 * random.f64())
}

/// The circuit breaker of the engine (Nygard, *Release It!*, 2007). [`MAX_FAILURES`] failures
/// in a row open it for a back-off of up to 60 s. Then one request at a time is a trial; the
/// others wait for its result.
#[derive(Clone, Debug)]
pub(super) struct EngineBreaker {
    /// Failures since the last success.
    failures: u32,
    open_until: Option<Duration>,
    trial_since: Option<Duration>,
    back_off: RetryBackoff,
}

/// This many failures in a row open the breaker.
const MAX_FAILURES: u32 = 5;

/// After this time, a trial that has not ended no longer prevents another.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(120);

impl EngineBreaker {
    pub(super) const fn new() -> Self {
        Self {
            failures: 0,
            open_until: None,
            trial_since: None,
            back_off: RetryBackoff::new(Duration::from_secs(2), Duration::from_secs(60)),
        }
    }

    /// Whether a request may start now.
    pub(super) fn permits(&self, now: Duration) -> bool {
        let Some(until) = self.open_until else {
            return true;
        };
        let trial = self
            .trial_since
            .is_some_and(|since| now.saturating_sub(since) < TRIAL_TIMEOUT);
        now >= until && !trial
    }

    pub(super) fn is_open(&self) -> bool {
        self.open_until.is_some()
    }

    /// Notes that a permitted request starts.
    pub(super) fn begin(&mut self, now: Duration) {
        if self.is_open() {
            self.trial_since = Some(now);
        }
    }

    /// Notes that the engine answered. An error about the request itself counts as an answer.
    pub(super) fn succeed(&mut self) {
        *self = Self::new();
    }

    pub(super) fn fail(&mut self, now: Duration, random: &mut Rng) {
        self.trial_since = None;
        self.failures = self.failures.saturating_add(1);
        if self.failures >= MAX_FAILURES {
            let wait = self.back_off.fail(random);
            self.open_until = Some(now.saturating_add(wait));
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn delays_double_up_to_a_cap_and_are_random() {
        let mut random = Rng::with_seed(1);
        let mut longest = [Duration::ZERO; 8];
        for _ in 0..500 {
            let mut back_off = RetryBackoff::new(S(1), S(30));
            for longest in &mut longest {
                let wait = back_off.fail(&mut random);
                assert!(wait >= S(1) / 8);
                *longest = wait.max(*longest);
            }
        }
        for (longest, ceiling) in longest.into_iter().zip([1, 2, 4, 8, 16, 30, 30, 30]) {
            assert!(longest <= S(ceiling) && longest > S(ceiling) * 9 / 10);
        }
    }

    #[test]
    fn a_failing_engine_is_not_called_and_then_gets_one_trial() {
        let mut random = Rng::with_seed(1);
        let mut breaker = EngineBreaker::new();
        for _ in 0..MAX_FAILURES {
            assert!(breaker.permits(S(0)));
            breaker.begin(S(0));
            breaker.fail(S(0), &mut random);
        }
        assert!(!breaker.permits(S(0)));
        assert!(breaker.permits(S(60)));
        breaker.begin(S(60));
        assert!(!breaker.permits(S(60)), "one trial at a time");
        breaker.fail(S(60), &mut random);
        assert!(!breaker.permits(S(60)));
        breaker.begin(S(120));
        breaker.succeed();
        assert!(breaker.permits(S(120)) && !breaker.is_open());
    }

    #[test]
    fn a_trial_that_never_ends_times_out() {
        let mut random = Rng::with_seed(1);
        let mut breaker = EngineBreaker::new();
        (0..MAX_FAILURES).for_each(|_| breaker.fail(S(0), &mut random));
        breaker.begin(S(60));
        assert!(!breaker.permits(S(100)));
        assert!(breaker.permits(S(60) + TRIAL_TIMEOUT));
    }
}

//! [`Limiter`]: one warning of a kind in a minute of the registry's time.

use crate::sync::Mutex;
use std::time::Duration;

/// The shortest interval between two warnings of one kind.
const INTERVAL: Duration = Duration::from_secs(60);

/// Limits one kind of warning.
#[derive(Debug, Default)]
pub(super) struct Limiter(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When the last warning was let through, in the registry's time.
    warned_at: Option<Duration>,
    /// What happened since without a warning.
    suppressed: u64,
}

impl Limiter {
    /// Whether a warning may be given at `now` for a thing that happened `count` times since the
    /// last call: then how many others it stands for. `count` is at least 1.
    ///
    /// If the thing does not happen again after the interval, what was suppressed is not said.
    pub(super) fn permit(&self, now: Duration, count: u64) -> Option<u64> {
        let mut state = self.0.lock();
        let happened = state.suppressed.saturating_add(count);
        // Another thread may have warned at a later time than this thread read.
        let is_time = |at: Duration| now.saturating_sub(at) >= INTERVAL;
        if state.warned_at.is_none_or(is_time) {
            *state = State {
                warned_at: Some(now),
                suppressed: 0,
            };
            return Some(happened.saturating_sub(1));
        }
        state.suppressed = happened;
        None
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn one_warning_a_minute_says_how_many_were_suppressed() {
        let limiter = Limiter::default();
        assert_eq!(limiter.permit(S(5), 1), Some(0), "the first at once");
        assert_eq!(limiter.permit(S(5), 1), None);
        assert_eq!(limiter.permit(S(64), 2), None);
        assert_eq!(limiter.permit(S(65), 1), Some(3));
        assert_eq!(limiter.permit(S(500), 4), Some(3), "nothing is said twice");
        assert_eq!(limiter.permit(S(559), 1), None);
        assert_eq!(limiter.permit(S(560), 1), Some(1));
    }

    #[test]
    fn an_earlier_time_of_another_thread_warns_no_sooner() {
        let limiter = Limiter::default();
        assert_eq!(limiter.permit(S(100), 1), Some(0));
        assert_eq!(limiter.permit(S(0), 1), None);
        assert_eq!(limiter.permit(S(159), 1), None);
        assert_eq!(limiter.permit(S(160), 1), Some(2));
    }
}

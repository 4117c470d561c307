//! Round-trip times in whole microseconds.

use crate::limits::MAX_RTT;
use std::time::Duration;

/// A round-trip time in whole microseconds, rounded up. At least one, because a coarse clock
/// may measure zero. `None` above [`MAX_RTT`].
pub(crate) fn sane_micros(rtt: Duration) -> Option<u32> {
    if rtt > MAX_RTT {
        return None;
    }
    u32::try_from(rtt.as_nanos().div_ceil(1_000).max(1)).ok()
}

/// The whole microseconds within a bound on round trips.
pub(crate) fn micros_at_most(bound: Duration) -> u32 {
    u32::try_from(bound.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    #[test]
    fn only_sane_values_are_taken_to_the_microsecond() {
        assert_eq!(sane_micros(Duration::ZERO), Some(1));
        assert_eq!(sane_micros(Duration::from_nanos(1)), Some(1));
        assert_eq!(sane_micros(Duration::from_nanos(1_001)), Some(2));
        assert_eq!(sane_micros(MAX_RTT), Some(10_000_000));
        assert_eq!(sane_micros(MAX_RTT + Duration::from_nanos(1)), None);
    }

    #[test]
    fn a_bound_beyond_all_round_trips_admits_them_all() {
        assert_eq!(micros_at_most(Duration::from_millis(80)), 80_000);
        assert_eq!(micros_at_most(Duration::MAX), u32::MAX);
    }
}

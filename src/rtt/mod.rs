//! Round-trip times: measured, and estimated.
//!
//! What is measured here stays in a [`window`]. What nobody here can measure,
//! the leg from a relay to a stranger, is estimated between [`coordinate`]s. A
//! node finds its own by [`vivaldi`]; a relay's is learned as that of a
//! [`landmark`], from round trips that others measured to it; the [`atlas`] has
//! those of one registry; [`repeats`] tells outliers that are evidence; and [`places`] are some of them, for estimates of all at
//! once. Where a stranger has no coordinate, its [`vicinity`] makes do with the
//! round trips it knows.

mod atlas;
mod coordinate;
mod error;
mod landmark;
mod places;
mod repeats;
mod spring;
mod vicinity;
mod vivaldi;
mod window;

pub use coordinate::Coordinate;
pub use error::{CoordinateError, ObserveError};
pub use landmark::Landmark;
pub use vivaldi::Vivaldi;

pub(crate) use atlas::Atlas;
pub(crate) use places::{Each, Places};
pub(crate) use vicinity::Vicinity;
pub(crate) use window::{Measurement, RttWindow, Second};

use crate::limits::MAX_RTT;
use std::time::Duration;

/// [`MAX_RTT`] in microseconds. Whole numbers up to here are exact in `f32`.
const MAX_MICROS: f32 = MAX_RTT.as_secs() as f32 * 1e6;

/// A round-trip time in whole microseconds, rounded up, at least one: a clock may be too
/// coarse to see a short one. `None` for anything above [`MAX_RTT`].
pub(crate) fn sane_micros(rtt: Duration) -> Option<u32> {
    if rtt > MAX_RTT {
        return None;
    }
    u32::try_from(rtt.as_nanos().div_ceil(1_000).max(1)).ok()
}

/// The whole microseconds within a bound.
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

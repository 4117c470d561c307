//! For how long relays back off: between the shortest and the longest back-off of a registry,
//! by the level of the circuit.

use super::LEVEL_MASK;
use crate::time::Tick;
use std::time::Duration;

/// The shortest and the longest back-off in one registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BackOffRange {
    shortest_nanos: u64,
    longest_nanos: u64,
}

/// How long a relay backs off, counted from now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BackOff {
    pub(crate) now: Tick,
    pub(crate) tick_nanos: u64,
    /// Between 0 and 255, fixed for one relay in one registry.
    pub(crate) jitter: u8,
    pub(crate) back_off_range: BackOffRange,
}

impl BackOffRange {
    pub(crate) const SHORTEST: Duration = Duration::from_secs(1);
    pub(crate) const LONGEST: Duration = Duration::from_secs(600);

    #[cfg(test)]
    pub(crate) const DEFAULT: Self = Self {
        shortest_nanos: 1_000_000_000,
        longest_nanos: 600_000_000_000,
    };

    /// `None` unless both are above zero, in order, and counted in 64 bits.
    pub(crate) fn new(shortest: Duration, longest: Duration) -> Option<Self> {
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).ok();
        let (shortest_nanos, longest_nanos) = (nanos(shortest)?, nanos(longest)?);
        (1..=longest_nanos)
            .contains(&shortest_nanos)
            .then_some(Self {
                shortest_nanos,
                longest_nanos,
            })
    }

    /// By how many times two the longest is above the shortest.
    fn doublings(self) -> u64 {
        let times = self.longest_nanos.div_ceil(self.shortest_nanos);
        u64::from(u64::BITS - (times - 1).leading_zeros())
    }

    /// One, unless that takes more levels than there are.
    fn doublings_per_level(self) -> u64 {
        self.doublings().div_ceil(LEVEL_MASK - 1).max(1)
    }

    /// The level of the longest back-off.
    pub(super) fn last_level(self) -> u64 {
        1 + self.doublings().div_ceil(self.doublings_per_level())
    }

    /// Half way between the shortest and the longest, in levels.
    pub(super) fn last_level_of_refusals(self) -> u64 {
        self.last_level().div_ceil(2)
    }

    /// What back-offs of this level take, give or take a quarter.
    fn nominal_nanos(self, level: u64) -> u64 {
        let doublings = level.saturating_sub(1) * self.doublings_per_level();
        let nanos = u128::from(self.shortest_nanos) << doublings.min(64);
        u64::try_from(nanos).map_or(self.longest_nanos, |nanos| nanos.min(self.longest_nanos))
    }

    /// Time without a failure that takes one level off.
    pub(crate) fn nanos_per_level(self) -> u64 {
        (self.longest_nanos / 10).max(1)
    }
}

impl BackOff {
    /// The length of a back-off: that of its level, give or take a quarter,
    /// so that those who learnt of a fault together do not return together.
    pub(super) fn ticks(self, level: u64) -> u64 {
        let nominal = self.back_off_range.nominal_nanos(level);
        self.whole_ticks((nominal / 512).saturating_mul(384 + u64::from(self.jitter)))
    }

    /// The longest that one of this level can be.
    pub(super) fn most_ticks(self, level: u64) -> u64 {
        let nominal = self.back_off_range.nominal_nanos(level);
        self.whole_ticks(nominal.saturating_add(nominal / 4))
    }

    fn whole_ticks(self, nanos: u64) -> u64 {
        nanos
            .clamp(
                self.back_off_range.shortest_nanos,
                self.back_off_range.longest_nanos,
            )
            .div_ceil(self.tick_nanos)
    }

    pub(super) fn end(self, level: u64) -> Tick {
        Tick(self.now.0.saturating_add(self.ticks(level)))
    }
}

//! [`LeafState`]: what a leaf says of its relay, and how many leaves say so.

use crate::relay::Rejection;

/// What a leaf says of its relay to callers without criteria of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeafState {
    /// There is no relay, or it was not admitted yet.
    Vacant,
    /// It is backing off, and is rejected for nothing else: it may be a last resort.
    LastResort,
    /// It is not eligible. [`BackingOff`](Rejection::BackingOff) stands for a relay that is
    /// draining or full as well.
    Rejected(Rejection),
    /// It is eligible, and the round trip from this node was measured.
    Measured,
    /// It is eligible, and the round trip from this node was not measured.
    Unmeasured,
}

impl LeafState {
    const COUNT: usize = 4 + Rejection::ALL.len();

    /// Whether the relay is eligible.
    pub(crate) fn is_eligible(self) -> bool {
        matches!(self, Self::Measured | Self::Unmeasured)
    }

    /// A number for each state; those of relays that are not eligible are the smallest.
    #[inline]
    pub(crate) const fn number(self) -> usize {
        match self {
            Self::Vacant => 0,
            Self::LastResort => 1,
            Self::Rejected(reason) => 2 + reason as usize,
            Self::Measured => 2 + Rejection::ALL.len(),
            Self::Unmeasured => 3 + Rejection::ALL.len(),
        }
    }

    /// The state of a relay that is not eligible, by its number.
    #[inline]
    pub(super) fn not_eligible(number: usize) -> Self {
        match number {
            0 => Self::Vacant,
            1 => Self::LastResort,
            _ => Rejection::ALL
                .get(number - 2)
                .map_or(Self::Vacant, |&reason| Self::Rejected(reason)),
        }
    }
}

/// How many relays are in each state.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StateCounts(pub(super) [usize; LeafState::COUNT]);

impl StateCounts {
    pub(super) const LEN: usize = LeafState::COUNT;

    pub(crate) fn of(&self, state: LeafState) -> usize {
        self.0[state.number()]
    }

    /// How many relays are not eligible to any caller for this reason.
    pub(crate) fn rejected(&self, reason: Rejection) -> usize {
        let last_resorts = match reason {
            Rejection::BackingOff => self.of(LeafState::LastResort),
            _ => 0,
        };
        self.of(LeafState::Rejected(reason)) + last_resorts
    }

    /// How many are eligible to callers without criteria of their own.
    pub(crate) fn eligible(&self) -> usize {
        self.of(LeafState::Measured) + self.of(LeafState::Unmeasured)
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_a_number_of_its_own() {
        let rejected = Rejection::ALL.iter().map(|&it| LeafState::Rejected(it));
        let states = [LeafState::Vacant, LeafState::LastResort].into_iter();
        let states: Vec<_> = states.chain(rejected).collect();
        for (number, &state) in states.iter().enumerate() {
            assert_eq!(state.number(), number);
            assert_eq!(LeafState::not_eligible(number), state);
        }
        assert_eq!(LeafState::Measured.number(), states.len());
        assert_eq!(LeafState::Unmeasured.number() + 1, LeafState::COUNT);
    }
}

//! [`Cost`]: a factor on a relay's score.

use crate::limits::{MAX_COST, MIN_COST};

/// A factor on a relay's score, in thousandths: 0.1 to 10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Cost(u16);

impl Cost {
    /// The cost of a relay for which none was given.
    pub(crate) const ONE: Self = Self(1000);

    /// This factor, rounded to a thousandth; `None` if it is out of range or not a number.
    pub(crate) fn new(factor: f64) -> Option<Self> {
        // No NaN is in a range.
        let is_in_range = (MIN_COST..=MAX_COST).contains(&factor);
        is_in_range.then(|| Self((factor * 1000.0).round() as u16))
    }

    pub(crate) fn factor(self) -> f64 {
        f64::from(self.0) / 1000.0
    }

    /// Of thousandths that were taken from another cost.
    pub(crate) fn from_thousandths(thousandths: u16) -> Self {
        Self(thousandths)
    }

    /// The factor in thousandths: 100 to 10,000.
    pub(crate) fn thousandths(self) -> u16 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_kept_to_a_thousandth() {
        let kept = |factor| Cost::new(factor).map(Cost::factor);
        assert_eq!(kept(1.0), Some(Cost::ONE.factor()));
        assert_eq!(kept(0.1), Some(0.1));
        assert_eq!(kept(10.0), Some(10.0));
        assert_eq!(kept(1.234_56), Some(1.235));
        for factor in [0.0, 0.099_99, -1.0, 10.001, f64::NAN, f64::INFINITY] {
            assert_eq!(kept(factor), None, "{factor}");
        }
    }
}

//! Quantised figures: a rank for each score, round trip and penalty.
//!
//! The rank of a figure is read off the bits of the float: its exponent and the
//! first few bits of its mantissa. So ranks cover the whole range of figures, the
//! figures of one rank differ by a known share at most, and no logarithm is
//! computed. Ranks run the other way than figures: the least figure has the
//! highest rank, and 0 is left for "none".

use crate::simd::Bits;

/// How finely figures are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bins {
    /// Bits of the mantissa that a rank leaves out.
    dropped_bits: u32,
}

/// The rank of 1, the least figure there is.
const TOP: u32 = 0x7fff;
const ONE: u32 = 1.0_f32.to_bits();

impl Bins {
    /// 512 to an octave: equal ranks are within 0.2 %.
    pub(crate) const FINE: Self = Self { dropped_bits: 14 };
    /// 32 to an octave: equal ranks are within 1/32.
    pub(crate) const COARSE: Self = Self { dropped_bits: 18 };

    /// The rank of a figure; of one that is above 2^43, or no number, 1.
    #[inline(always)]
    pub(crate) fn rank(self, figure: f32) -> u16 {
        let bits = figure.to_bits().max(ONE);
        let bin = (bits - ONE) >> self.dropped_bits;
        TOP.saturating_sub(bin).max(1) as u16
    }

    /// The least figure that has this rank.
    #[inline(always)]
    pub(crate) fn least(self, rank: u16) -> f32 {
        f32::from_bits(ONE + (TOP.saturating_sub(rank.into()) << self.dropped_bits))
    }

    /// The same for several ranks; infinite for rank 0.
    #[inline(always)]
    pub(crate) fn least_of_each<B: Bits>(self, ranks: B) -> B::Floats {
        ranks.floats_below(TOP, self.dropped_bits, ONE)
    }

    /// By which share two figures of one rank differ at most.
    #[inline(always)]
    pub(crate) fn width(self) -> f32 {
        f32::from_bits(ONE + (1 << self.dropped_bits)) - 1.0
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Bins; 2] = [Bins::FINE, Bins::COARSE];

    proptest! {
        #[test]
        fn a_rank_names_a_figure_to_within_its_width(figure in 1.0_f32..5e12) {
            for bins in ALL {
                let least = bins.least(bins.rank(figure));
                prop_assert!(least <= figure && figure < least * (1.0 + bins.width()) * 1.000_001);
            }
        }

        #[test]
        fn lesser_figures_have_higher_ranks(one in 1.0_f32..5e12, other in 1.0_f32..5e12) {
            for bins in ALL {
                if one <= other {
                    prop_assert!(bins.rank(one) >= bins.rank(other));
                }
            }
        }
    }

    #[test]
    fn the_ends_of_the_range_have_ranks() {
        for bins in ALL {
            assert_eq!(u32::from(bins.rank(0.0)), TOP);
            assert_eq!(u32::from(bins.rank(1.0)), TOP);
            assert_eq!(
                bins.rank(f32::INFINITY),
                bins.rank(f32::MAX).min(bins.rank(f32::INFINITY))
            );
            assert!(bins.rank(f32::INFINITY) >= 1 && bins.rank(f32::NAN) >= 1);
            // The longest path, by a relay that is full but for one unit of a million.
            assert!(bins.rank(2e7 * 262_144.0) > 1);
        }
    }
}

//! What makes one relay better than another, and the ranks that words of the trees have
//! instead of such figures.
//!
//! The rank of a figure is taken from the bits of the float: its exponent and the first
//! bits of its mantissa. So ranks cover the whole range of figures, figures of one rank
//! differ by a known share at most, and no logarithm is computed. A lower figure has a
//! higher rank, and rank 0 means that there is no figure.

use crate::simd::Bits;
use crate::table::record::Load;

/// The score of a relay at the end of a path: lower is better.
///
/// `e / (1 - u^4)`, where `e` is the expected round trip of the path and `u` the relay's
/// utilisation. Below half load the distance decides. Near the capacity the penalty outgrows
/// any distance, so other relays are chosen before the nearest one is full. In simulations
/// on measured matrices this rule gave the shortest paths of all that leave no relay
/// saturated; the others were greedy nearest, power of two choices, products as in
/// Peak-EWMA, and threshold bands (see ARCHITECTURE.md).
///
/// The load must be below the capacity.
#[inline]
pub(crate) fn score(path_micros: u32, load: Load) -> f32 {
    let utilisation = load.utilisation();
    let square = utilisation * utilisation;
    path_micros as f32 / (1.0 - square * square)
}

/// The factor on a path for the load of its relay; infinite at the capacity and above.
pub(crate) fn penalty(load: Load) -> f32 {
    if load.total() < load.capacity() {
        score(1, load)
    } else {
        f32::INFINITY
    }
}

/// How finely figures are distinguished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bins {
    /// Bits of the mantissa that a rank leaves out.
    dropped_bits: u32,
}

/// The rank of 1, the least figure that is distinguished.
const TOP: u32 = 0x7fff;
const ONE: u32 = 1.0_f32.to_bits();

impl Bins {
    /// 512 to an octave: equal ranks are within 0.2 %.
    pub(crate) const FINE: Self = Self { dropped_bits: 14 };
    /// 32 to an octave: equal ranks are within 1/32.
    pub(crate) const COARSE: Self = Self { dropped_bits: 18 };

    /// The rank of a figure; 1 if that is above 2^43 or not a number.
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

    /// [`least`](Self::least) of several ranks; infinite for rank 0.
    #[inline(always)]
    pub(crate) fn least_of_each<B: Bits>(self, ranks: B) -> B::Floats {
        ranks.floats_below(TOP, self.dropped_bits, ONE)
    }

    /// The share by which two figures of one rank differ at most.
    #[inline(always)]
    pub(crate) fn width(self) -> f32 {
        f32::from_bits(ONE + (1 << self.dropped_bits)) - 1.0
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::limits::MAX_CAPACITY;
    use proptest::prelude::*;

    fn load(total: u32) -> Load {
        Load::idle(1_000).with_report(total)
    }

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

    #[test]
    fn an_idle_relay_scores_its_path() {
        assert_eq!(score(150_000, load(0)), 150_000.0);
    }

    #[test]
    fn load_outweighs_distance_only_when_it_is_high() {
        assert!(score(100_000, load(500)) < score(110_000, load(0)));
        assert!(score(100_000, load(900)) > score(200_000, load(0)));
    }

    #[test]
    fn the_score_stays_finite_up_to_the_last_free_unit() {
        let load = Load::idle(MAX_CAPACITY).with_report(MAX_CAPACITY - 1);
        assert!(score(20_000_000, load).is_finite());
    }
}

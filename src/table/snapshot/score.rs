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
/// A [weight](Weight) changes this to `cost * e / (1 - u^4)`, with the utilisation of the
/// part of the capacity that counts.
///
/// The load must be below the capacity.
#[inline(always)]
pub(crate) fn score(path_micros: u32, load: Load, weight: Weight) -> f32 {
    if weight == Weight::PLAIN {
        return by_utilisation(path_micros, load.utilisation());
    }
    weight.cost * by_utilisation(path_micros, weight.utilisation(load))
}

#[inline(always)]
fn by_utilisation(path_micros: u32, utilisation: f32) -> f32 {
    let square = utilisation * utilisation;
    path_micros as f32 / (1.0 - square * square)
}

/// The factor on a path for the load and the cost of its relay; infinite at the capacity and
/// above.
#[inline(always)]
pub(crate) fn penalty(load: Load, weight: Weight) -> f32 {
    if load.total() < load.capacity() {
        score(1, load, weight)
    } else {
        f32::INFINITY
    }
}

/// What changes the score of a relay, besides path and load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Weight {
    /// The factor on the score.
    pub(crate) cost: f32,
    /// The share of the capacity that counts: less than one during the slow start of a
    /// newcomer.
    pub(crate) share: f32,
}

impl Weight {
    /// That of a relay without a cost and past its slow start.
    pub(crate) const PLAIN: Self = Self {
        cost: 1.0,
        share: 1.0,
    };

    /// A relay with more load than the share that counts is still eligible: it ranks as one
    /// of this utilisation, if it has no more.
    const LIMIT: f32 = 1.0 - 1.0 / 256.0;

    fn utilisation(self, load: Load) -> f32 {
        let whole = load.utilisation();
        (whole / self.share).min(Self::LIMIT).max(whole)
    }
}

/// How finely figures are distinguished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bins {
    /// Bits of the mantissa that a rank leaves out.
    dropped_bits: u32,
}

/// The rank of the least figure that is distinguished.
const TOP: u32 = 0x7fff;
/// That figure: 1/16, since a [cost](Weight) makes a penalty less than one.
const LEAST: u32 = 0.0625_f32.to_bits();
const _: () = assert!(crate::limits::MIN_COST > 0.0625);

impl Bins {
    /// 512 to an octave: equal ranks are within 0.2 %.
    pub(crate) const FINE: Self = Self { dropped_bits: 14 };
    /// 32 to an octave: equal ranks are within 1/32.
    pub(crate) const COARSE: Self = Self { dropped_bits: 18 };

    /// The rank of a figure; 1 if that is above 2^59 or not a number.
    #[inline(always)]
    pub(crate) fn rank(self, figure: f32) -> u16 {
        let bits = figure.to_bits().max(LEAST);
        let bin = (bits - LEAST) >> self.dropped_bits;
        TOP.saturating_sub(bin).max(1) as u16
    }

    /// The least figure that has this rank.
    #[inline(always)]
    pub(crate) fn least(self, rank: u16) -> f32 {
        f32::from_bits(LEAST + (TOP.saturating_sub(rank.into()) << self.dropped_bits))
    }

    /// [`least`](Self::least) of several ranks; infinite for rank 0.
    #[inline(always)]
    pub(crate) fn least_of_each<B: Bits>(self, ranks: B) -> B::Floats {
        ranks.floats_below(TOP, self.dropped_bits, LEAST)
    }

    /// The share by which two figures of one rank differ at most.
    #[inline(always)]
    pub(crate) fn width(self) -> f32 {
        f32::from_bits(1.0_f32.to_bits() + (1 << self.dropped_bits)) - 1.0
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
        fn a_rank_names_a_figure_to_within_its_width(figure in 0.0625_f32..5e13) {
            for bins in ALL {
                let least = bins.least(bins.rank(figure));
                prop_assert!(least <= figure && figure < least * (1.0 + bins.width()) * 1.000_001);
            }
        }

        #[test]
        fn lesser_figures_have_higher_ranks(one in 0.0625_f32..5e13, other in 0.0625_f32..5e13) {
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
            assert_eq!(u32::from(bins.rank(0.0625)), TOP);
            assert_eq!(
                bins.rank(f32::INFINITY),
                bins.rank(f32::MAX).min(bins.rank(f32::INFINITY))
            );
            assert!(bins.rank(f32::INFINITY) >= 1 && bins.rank(f32::NAN) >= 1);
            // The longest path, by the dearest relay that is full but for one unit of a million.
            assert!(bins.rank(10.0 * 2e7 * 262_144.0) > 1);
        }
    }

    #[test]
    fn an_idle_relay_scores_its_path() {
        assert_eq!(score(150_000, load(0), Weight::PLAIN), 150_000.0);
    }

    #[test]
    fn load_outweighs_distance_only_when_it_is_high() {
        assert!(score(100_000, load(500), Weight::PLAIN) < score(110_000, load(0), Weight::PLAIN));
        assert!(score(100_000, load(900), Weight::PLAIN) > score(200_000, load(0), Weight::PLAIN));
    }

    #[test]
    fn a_cost_is_a_factor_on_the_score() {
        for cost in [0.1, 10.0] {
            let weight = Weight {
                cost,
                ..Weight::PLAIN
            };
            let plain = score(100_000, load(700), Weight::PLAIN);
            assert_eq!(score(100_000, load(700), weight), cost * plain);
            assert_eq!(penalty(load(1_000), weight), f32::INFINITY);
        }
    }

    #[test]
    fn a_newcomer_ranks_by_the_share_that_counts_and_keeps_a_finite_score() {
        let weight = Weight {
            share: 0.1,
            ..Weight::PLAIN
        };
        let at = |total| score(100_000, load(total), weight);
        assert_eq!(at(0), 100_000.0);
        assert_eq!(at(70), score(100_000, load(700), Weight::PLAIN));
        assert!(at(99) > 10.0 * 100_000.0);
        assert!(at(100).is_finite() && at(100) == at(500));
        assert!(at(999).is_finite() && at(999) > at(500));
    }

    #[test]
    fn the_score_stays_finite_up_to_the_last_free_unit() {
        let load = Load::idle(MAX_CAPACITY).with_report(MAX_CAPACITY - 1);
        assert!(score(20_000_000, load, Weight::PLAIN).is_finite());
    }
}

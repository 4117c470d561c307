//! Words of four lanes, as [`leaf`](super::leaf) describes them: all words of a node at
//! once.
//!
//! The three lower lanes hold ranks. These are below 2^15, so lanes compare alike as signed
//! and as unsigned numbers.

use crate::simd::{Bits, Lanes};
use crate::table::snapshot::score::Bins;
use crate::table::snapshot::tree::{FANOUT, Node};

/// The three lower lanes.
pub(super) const LANES: u64 = (1 << 48) - 1;
/// The lowest bit of the highest lane; a node has it if any of its words has it.
pub(super) const FLAG: u64 = 1 << 48;
pub(super) const SCORE_SHIFT: u32 = 32;
pub(super) const RTT_SHIFT: u32 = 16;

/// The highest score rank among the words of a node, and a bit for each that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BestChildren {
    pub(crate) score_rank: u16,
    pub(crate) mask: u32,
}

impl BestChildren {
    /// Of a tree without relays.
    pub(crate) const NONE: Self = Self {
        score_rank: 0,
        mask: 0,
    };
}

/// The maximum of each lane of so many words, and the flag if any has it.
#[inline(always)]
pub(super) fn join<const N: usize>(word: impl Fn(usize) -> u64) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if N % 16 == 0 {
        return sse::join::<N>(word);
    }
    portable::join(std::array::from_fn::<_, N, _>(word))
}

/// The same for two words.
#[inline(always)]
pub(super) fn join_two(one: u64, other: u64) -> u64 {
    #[cfg(target_arch = "x86_64")]
    return sse::join_two(one, other);
    #[cfg(not(target_arch = "x86_64"))]
    portable::join([one, other])
}

/// The words with the highest score rank.
#[inline(always)]
pub(crate) fn best_children<const N: usize>(words: [u64; N]) -> BestChildren {
    #[cfg(target_arch = "x86_64")]
    if N % 16 == 0 {
        return sse::best_children(words);
    }
    portable::best_children(words)
}

/// The rank in the lowest lane of half a word.
const RANK: u32 = 0x7fff;

/// The least figures of the relays below several words; infinite where a word has none.
#[derive(Clone, Copy)]
pub(crate) struct LeastFigures<L> {
    pub(crate) score: L,
    /// The round trip from this node, of relays for which that was measured.
    pub(crate) rtt: L,
    pub(crate) penalty: L,
    /// The assumed round trip, if it was measured for some relays only.
    pub(crate) unmeasured: L,
}

/// The least figures of several words of a node, from `at` on.
#[inline(always)]
pub(crate) fn least_figures<L: Lanes>(
    node: &Node,
    at: usize,
    bins: Bins,
    assumed: L,
) -> LeastFigures<L> {
    let (lower, upper) = L::Bits::halves(|lane| node.word(at + lane));
    LeastFigures {
        score: bins.least_of_each(upper.and(RANK)),
        rtt: Bins::FINE.least_of_each(lower.upper_half()),
        penalty: bins.least_of_each(lower.and(RANK)),
        unmeasured: upper
            .and((FLAG >> 32) as u32)
            .if_zero(L::splat(f32::INFINITY), assumed),
    }
}

/// The least figures of several words of a node of the joint tree, from `at` on; the lowest
/// lane first. 0 where a word has none.
#[inline(always)]
pub(crate) fn joint_figures<L: Lanes>(node: &Node, at: usize) -> [L; 3] {
    let (lower, upper) = L::Bits::halves(|lane| node.word(at + lane));
    let mut figures = [L::splat(0.0); 3];
    let lanes = [lower.and(RANK), lower.upper_half(), upper.and(RANK)];
    for (figure, ranks) in figures.iter_mut().zip(lanes) {
        *figure = ranks.if_zero(*figure, Bins::FINE.least_of_each(ranks));
    }
    figures
}

#[cfg(target_arch = "x86_64")]
#[allow(unused_unsafe, reason = "needed up to Rust 1.86")]
mod sse {
    use super::{BestChildren, FLAG, LANES};
    use std::arch::x86_64::*;

    #[inline(always)]
    fn pair(words: &[u64], at: usize) -> __m128i {
        // SAFETY: SSE2 is part of x86_64, and this touches no memory.
        unsafe { _mm_set_epi64x(words[at + 1] as i64, words[at] as i64) }
    }

    #[inline(always)]
    pub(super) fn join<const N: usize>(word: impl Fn(usize) -> u64) -> u64 {
        // SAFETY: SSE2 is part of x86_64, and nothing here touches memory.
        unsafe {
            let (mut most, mut any) = (_mm_setzero_si128(), _mm_setzero_si128());
            for at in (0..N).step_by(2) {
                let pair = pair(&[word(at), word(at + 1)], 0);
                most = _mm_max_epi16(most, pair);
                any = _mm_or_si128(any, pair);
            }
            most = _mm_max_epi16(most, _mm_unpackhi_epi64(most, most));
            any = _mm_or_si128(any, _mm_unpackhi_epi64(any, any));
            _mm_cvtsi128_si64(most) as u64 & LANES | _mm_cvtsi128_si64(any) as u64 & FLAG
        }
    }

    #[inline(always)]
    pub(super) fn join_two(one: u64, other: u64) -> u64 {
        // SAFETY: SSE2 is part of x86_64, and nothing here touches memory.
        let most = unsafe {
            let [one, other] = [one, other].map(|word| _mm_cvtsi64_si128(word as i64));
            _mm_cvtsi128_si64(_mm_max_epi16(one, other)) as u64
        };
        most & LANES | (one | other) & FLAG
    }

    /// The score ranks of eight words.
    #[inline(always)]
    fn score_ranks(words: &[u64], at: usize) -> __m128i {
        // SAFETY: SSE2 is part of x86_64, and nothing here touches memory.
        unsafe {
            let upper = |at| {
                let (one, other) = (pair(words, at), pair(words, at + 2));
                let (one, other) = (_mm_castsi128_ps(one), _mm_castsi128_ps(other));
                let halves = _mm_castps_si128(_mm_shuffle_ps::<0b11_01_11_01>(one, other));
                _mm_srai_epi32::<16>(_mm_slli_epi32::<16>(halves))
            };
            _mm_packs_epi32(upper(at), upper(at + 4))
        }
    }

    #[inline(always)]
    pub(super) fn best_children<const N: usize>(words: [u64; N]) -> BestChildren {
        // SAFETY: SSE2 is part of x86_64, and nothing here touches memory.
        unsafe {
            let mut most = _mm_setzero_si128();
            for at in (0..N).step_by(8) {
                most = _mm_max_epi16(most, score_ranks(&words, at));
            }
            most = _mm_max_epi16(most, _mm_srli_si128::<8>(most));
            most = _mm_max_epi16(most, _mm_srli_si128::<4>(most));
            most = _mm_max_epi16(most, _mm_srli_si128::<2>(most));
            let score_rank = _mm_extract_epi16::<0>(most) as u16;
            let wanted = _mm_set1_epi16(score_rank as i16);
            let mut mask = 0;
            for at in (0..N).step_by(16) {
                let equal = |at| _mm_cmpeq_epi16(score_ranks(&words, at), wanted);
                let bytes = _mm_packs_epi16(equal(at), equal(at + 8));
                mask |= (_mm_movemask_epi8(bytes) as u32) << at;
            }
            BestChildren { score_rank, mask }
        }
    }
}

#[cfg_attr(target_arch = "x86_64", allow(dead_code))]
mod portable {
    use super::{BestChildren, FLAG, LANES, SCORE_SHIFT};

    const HIGHEST: u64 = 0x0000_8000_8000_8000;

    /// The greater of two words, lane by lane.
    fn most(one: u64, other: u64) -> u64 {
        // A lane keeps its highest bit where `one` is at least as great.
        let kept = ((one | HIGHEST) - (other & !HIGHEST)) & HIGHEST;
        let mask = kept | (kept - (kept >> 15));
        one & mask | other & !mask
    }

    pub(super) fn join<const N: usize>(words: [u64; N]) -> u64 {
        words.iter().fold(0, |joined, &word| {
            most(joined & LANES, word & LANES) | (joined | word) & FLAG
        })
    }

    fn score_rank(word: u64) -> u16 {
        (word >> SCORE_SHIFT) as u16
    }

    pub(super) fn best_children<const N: usize>(words: [u64; N]) -> BestChildren {
        let best = words
            .iter()
            .map(|&word| score_rank(word))
            .max()
            .unwrap_or(0);
        let equal = words
            .iter()
            .map(|&word| u32::from(score_rank(word) == best));
        let mask = equal.rev().fold(0, |mask, bit| mask << 1 | bit);
        BestChildren {
            score_rank: best,
            mask,
        }
    }
}

/// One of the children that are set in a mask that is not empty: the first one from a
/// random child on, which the lowest bits of `random` name.
///
/// The chance of a child is proportional to its distance from the one before. So slots are
/// filled at equal distances. (To draw the `k`-th child that is set would cost a branch that
/// no processor predicts.)
#[inline(always)]
pub(crate) fn pick(mask: u32, random: u64) -> u32 {
    const CHILDREN: u32 = FANOUT as u32;
    let first = random as u32 % CHILDREN;
    let turned = (mask | mask << CHILDREN) >> first;
    (turned.trailing_zeros() + first) % CHILDREN
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Words with any version and few score ranks, so that many are equal.
    fn words() -> impl Strategy<Value = [u64; 16]> {
        let lane = || prop_oneof![0_u64..4, 0x7ffc_u64..=0x7fff, 0_u64..=0x7fff];
        let word = (any::<u16>(), lane(), lane(), lane()).prop_map(|(top, score, rtt, penalty)| {
            u64::from(top) << 48 | score << 32 | rtt << 16 | penalty
        });
        prop::array::uniform16(word)
    }

    proptest! {
        #[test]
        fn several_at_once_are_as_one_by_one(words in words()) {
            let lane = |word: u64, lane: u32| word >> (16 * lane) & 0xffff;
            let joined = join::<16>(|at| words[at]);
            for at in 0..3 {
                let most = words.iter().map(|&word| lane(word, at)).max().unwrap();
                prop_assert_eq!(lane(joined, at), most);
            }
            let flag = words.iter().any(|word| word & FLAG != 0);
            prop_assert_eq!(joined >> 48, u64::from(flag));
            prop_assert_eq!(portable::join(words), joined);
            prop_assert_eq!(words.into_iter().fold(0, join_two), joined);

            let best = best_children(words);
            prop_assert_eq!(u64::from(best.score_rank), lane(joined, 2));
            for (at, &word) in words.iter().enumerate() {
                prop_assert_eq!(best.mask >> at & 1 == 1, lane(word, 2) == lane(joined, 2));
            }
            prop_assert_eq!(portable::best_children(words), best);
        }

        #[test]
        fn each_child_that_is_set_is_picked(mask in 1_u32..1 << FANOUT) {
            let picked = (0..FANOUT as u64).map(|random| 1 << pick(mask, random));
            prop_assert_eq!(picked.fold(0, |all, bit| all | bit), mask);
        }
    }

    #[test]
    fn words_without_a_score_have_no_score_rank() {
        assert_eq!(best_children([7; 16]).score_rank, 0);
        assert_eq!(join::<2>(|_| 0), 0);
    }
}

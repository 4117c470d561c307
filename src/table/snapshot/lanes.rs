//! Words of four lanes, those of a node at once.
//!
//! A word is `version and flag | merit | near | slack`, 16 bits each. The three
//! lower lanes never have their highest bit set, so that they are in order also
//! as signed numbers.

use crate::simd::{Bits, Lanes};
use crate::table::snapshot::bins::Bins;
use crate::table::snapshot::tree::{FANOUT, Node};

/// The three lower lanes.
pub(super) const LANES: u64 = (1 << 48) - 1;
/// The lowest bit of the highest lane, which a node has if any child has it.
pub(super) const FLAG: u64 = 1 << 48;
pub(super) const MERIT_SHIFT: u32 = 32;

/// The highest merit among some words, and a bit for each that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Best {
    pub(crate) merit: u16,
    pub(crate) mask: u32,
}

/// The maximum of each lane, and the flag of any.
#[inline(always)]
pub(super) fn join<const N: usize>(words: [u64; N]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if N % 16 == 0 {
        return sse::join(words);
    }
    portable::join(words)
}

/// Which words have the highest merit.
#[inline(always)]
pub(crate) fn best<const N: usize>(words: [u64; N]) -> Best {
    #[cfg(target_arch = "x86_64")]
    if N % 16 == 0 {
        return sse::best(words);
    }
    portable::best(words)
}

/// The rank in the lowest lane of half a word.
const RANK: u32 = 0x7fff;

/// The least figures that some words stand for; infinite for what they do not say.
#[derive(Clone, Copy)]
pub(crate) struct Figures<L> {
    pub(crate) score: L,
    /// The round trip from here, of those that were measured.
    pub(crate) near: L,
    pub(crate) penalty: L,
    /// What is assumed, where any was not measured.
    pub(crate) unmeasured: L,
}

/// What some words of a node say, from one on.
#[inline(always)]
pub(crate) fn figures<L: Lanes>(node: &Node, at: usize, bins: Bins, assumed: L) -> Figures<L> {
    let (lower, upper) = L::Bits::halves(|lane| node.word(at + lane));
    Figures {
        score: bins.least_of_each(upper.and(RANK)),
        near: Bins::FINE.least_of_each(lower.upper_half()),
        penalty: bins.least_of_each(lower.and(RANK)),
        unmeasured: upper
            .and((FLAG >> 32) as u32)
            .if_zero(L::splat(f32::INFINITY), assumed),
    }
}

/// The least figures that the fine ranks in the lanes of some words of a node stand for,
/// from one on, the lowest lane first; 0 for what they do not say.
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
    use super::{Best, FLAG, LANES};
    use std::arch::x86_64::*;

    #[inline(always)]
    fn pair(words: &[u64], at: usize) -> __m128i {
        // SAFETY: SSE2 is part of x86_64, and this touches no memory.
        unsafe { _mm_set_epi64x(words[at + 1] as i64, words[at] as i64) }
    }

    #[inline(always)]
    pub(super) fn join<const N: usize>(words: [u64; N]) -> u64 {
        // SAFETY: SSE2 is part of x86_64, and nothing here touches memory.
        unsafe {
            let (mut most, mut any) = (_mm_setzero_si128(), _mm_setzero_si128());
            for at in (0..N).step_by(2) {
                let pair = pair(&words, at);
                most = _mm_max_epi16(most, pair);
                any = _mm_or_si128(any, pair);
            }
            most = _mm_max_epi16(most, _mm_unpackhi_epi64(most, most));
            any = _mm_or_si128(any, _mm_unpackhi_epi64(any, any));
            _mm_cvtsi128_si64(most) as u64 & LANES | _mm_cvtsi128_si64(any) as u64 & FLAG
        }
    }

    /// The merits of eight words.
    #[inline(always)]
    fn merits(words: &[u64], at: usize) -> __m128i {
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
    pub(super) fn best<const N: usize>(words: [u64; N]) -> Best {
        // SAFETY: SSE2 is part of x86_64, and nothing here touches memory.
        unsafe {
            let mut most = _mm_setzero_si128();
            for at in (0..N).step_by(8) {
                most = _mm_max_epi16(most, merits(&words, at));
            }
            most = _mm_max_epi16(most, _mm_srli_si128::<8>(most));
            most = _mm_max_epi16(most, _mm_srli_si128::<4>(most));
            most = _mm_max_epi16(most, _mm_srli_si128::<2>(most));
            let merit = _mm_extract_epi16::<0>(most) as u16;
            let wanted = _mm_set1_epi16(merit as i16);
            let mut mask = 0;
            for at in (0..N).step_by(16) {
                let equal = |at| _mm_cmpeq_epi16(merits(&words, at), wanted);
                let bytes = _mm_packs_epi16(equal(at), equal(at + 8));
                mask |= (_mm_movemask_epi8(bytes) as u32) << at;
            }
            Best { merit, mask }
        }
    }
}

#[cfg_attr(target_arch = "x86_64", allow(dead_code))]
mod portable {
    use super::{Best, FLAG, LANES, MERIT_SHIFT};

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

    fn merit(word: u64) -> u16 {
        (word >> MERIT_SHIFT) as u16
    }

    pub(super) fn best<const N: usize>(words: [u64; N]) -> Best {
        let best = words.iter().map(|&word| merit(word)).max().unwrap_or(0);
        let equal = words.iter().map(|&word| u32::from(merit(word) == best));
        let mask = equal.rev().fold(0, |mask, bit| mask << 1 | bit);
        Best { merit: best, mask }
    }
}

/// One of the children that are set in a mask that is not empty: the first from a
/// random one on, by the lowest bits of `random`.
///
/// The chance of a child is proportional to its distance from the one before, so
/// places are filled at equal distances. (To draw the `k`-th child that is set would
/// cost a branch that no processor predicts.)
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

    /// Words with few merits, so that many are equal, and any version.
    fn words() -> impl Strategy<Value = [u64; 16]> {
        let lane = || prop_oneof![0_u64..4, 0x7ffc_u64..=0x7fff, 0_u64..=0x7fff];
        let word = (any::<u16>(), lane(), lane(), lane()).prop_map(|(top, merit, near, slack)| {
            u64::from(top) << 48 | merit << 32 | near << 16 | slack
        });
        prop::array::uniform16(word)
    }

    proptest! {
        #[test]
        fn several_at_once_are_as_one_by_one(words in words()) {
            let lane = |word: u64, lane: u32| word >> (16 * lane) & 0xffff;
            let joined = join(words);
            for at in 0..3 {
                let most = words.iter().map(|&word| lane(word, at)).max().unwrap();
                prop_assert_eq!(lane(joined, at), most);
            }
            let flag = words.iter().any(|word| word & FLAG != 0);
            prop_assert_eq!(joined >> 48, u64::from(flag));
            prop_assert_eq!(portable::join(words), joined);

            let best = best(words);
            prop_assert_eq!(u64::from(best.merit), lane(joined, 2));
            for (at, &word) in words.iter().enumerate() {
                prop_assert_eq!(best.mask >> at & 1 == 1, lane(word, 2) == lane(joined, 2));
            }
            prop_assert_eq!(portable::best(words), best);
        }

        #[test]
        fn each_child_that_is_set_is_picked(mask in 1_u32..1 << FANOUT) {
            let picked = (0..FANOUT as u64).map(|random| 1 << pick(mask, random));
            prop_assert_eq!(picked.fold(0, |all, bit| all | bit), mask);
        }
    }

    #[test]
    fn a_line_without_merit_has_none() {
        assert_eq!(best([7; 16]).merit, 0);
        assert_eq!(join([0; 2]), 0);
    }
}

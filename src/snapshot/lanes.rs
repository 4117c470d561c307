//! Words of four lanes, several at once.
//!
//! A word is `version and flag | merit | near | slack`, 16 bits each. The three
//! lower lanes never have their highest bit set, so that they are in order also
//! as signed numbers.

/// The three lower lanes.
pub(super) const LANES: u64 = (1 << 48) - 1;
/// The lowest bit of the highest lane, which a node has if any child has it.
pub(super) const FLAG: u64 = 1 << 48;
pub(super) const MERIT_SHIFT: u32 = 32;

/// The highest merit among some words, and a bit for each that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Best {
    pub(crate) merit: u16,
    pub(crate) mask: u64,
}

/// The maximum of each lane, and the flag of any.
#[inline]
pub(super) fn join(words: &[u64]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if words.len() % 2 == 0 {
        return sse::join(words);
    }
    portable::join(words)
}

/// Which of up to 64 words have the highest merit.
#[inline]
pub(crate) fn best(words: &[u64]) -> Best {
    #[cfg(target_arch = "x86_64")]
    if words.len() % 16 == 0 {
        return sse::best(words);
    }
    portable::best(words)
}

#[cfg(target_arch = "x86_64")]
#[allow(unused_unsafe, reason = "needed up to Rust 1.86")]
mod sse {
    use super::{Best, FLAG, LANES};
    use std::arch::x86_64::*;

    #[inline(always)]
    fn pair(words: &[u64], at: usize) -> __m128i {
        let pair: &[u64] = &words[at..at + 2];
        // SAFETY: SSE2 is part of x86_64; two words lie at the address.
        unsafe { _mm_loadu_si128(pair.as_ptr().cast()) }
    }

    #[inline(always)]
    pub(super) fn join(words: &[u64]) -> u64 {
        // SAFETY: SSE2 is part of x86_64, and nothing here touches memory.
        unsafe {
            let (mut most, mut any) = (_mm_setzero_si128(), _mm_setzero_si128());
            for at in (0..words.len()).step_by(2) {
                let pair = pair(words, at);
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
    pub(super) fn best(words: &[u64]) -> Best {
        // SAFETY: SSE2 is part of x86_64, and nothing here touches memory.
        unsafe {
            let mut most = _mm_setzero_si128();
            for at in (0..words.len()).step_by(8) {
                most = _mm_max_epi16(most, merits(words, at));
            }
            most = _mm_max_epi16(most, _mm_srli_si128::<8>(most));
            most = _mm_max_epi16(most, _mm_srli_si128::<4>(most));
            most = _mm_max_epi16(most, _mm_srli_si128::<2>(most));
            let merit = _mm_extract_epi16::<0>(most) as u16;
            let wanted = _mm_set1_epi16(merit as i16);
            let mut mask = 0;
            for at in (0..words.len()).step_by(16) {
                let equal = |at| _mm_cmpeq_epi16(merits(words, at), wanted);
                let bytes = _mm_packs_epi16(equal(at), equal(at + 8));
                mask |= u64::from(_mm_movemask_epi8(bytes) as u16) << at;
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

    pub(super) fn join(words: &[u64]) -> u64 {
        words.iter().fold(0, |joined, &word| {
            most(joined & LANES, word & LANES) | (joined | word) & FLAG
        })
    }

    fn merit(word: u64) -> u16 {
        (word >> MERIT_SHIFT) as u16
    }

    pub(super) fn best(words: &[u64]) -> Best {
        let best = words.iter().map(|&word| merit(word)).max().unwrap_or(0);
        let equal = words.iter().map(|&word| u64::from(merit(word) == best));
        let mask = equal.rev().fold(0, |mask, bit| mask << 1 | bit);
        Best { merit: best, mask }
    }
}

/// The place of the `k`-th bit that is set, counted from 0.
///
/// Bits are counted by bytes first (Vigna, "Broadword implementation of rank/select
/// queries", 2008).
#[inline]
pub(crate) fn select(mask: u64, k: u32) -> u32 {
    const EACH_BYTE: u64 = u64::MAX / 0xff;
    const HIGHEST: u64 = EACH_BYTE << 7;
    let sums = byte_sums(mask);
    let not_after = ((u64::from(k) * EACH_BYTE | HIGHEST) - sums) & HIGHEST;
    let byte = ((not_after >> 7).wrapping_mul(EACH_BYTE) >> 56) as u32;
    let before = (sums << 8) >> (byte * 8) & 0xff;
    let mut bits = mask >> (byte * 8);
    for _ in before..u64::from(k) {
        bits &= bits - 1;
    }
    byte * 8 + bits.trailing_zeros()
}

/// How many bits are set.
#[inline]
pub(crate) fn count(mask: u64) -> u32 {
    (byte_sums(mask) >> 56) as u32
}

/// For each byte, the bits that are set in it and those below.
#[inline]
fn byte_sums(mask: u64) -> u64 {
    let pairs = mask - (mask >> 1 & 0x5555_5555_5555_5555);
    let fours = (pairs & 0x3333_3333_3333_3333) + (pairs >> 2 & 0x3333_3333_3333_3333);
    let bytes = (fours + (fours >> 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    bytes.wrapping_mul(0x0101_0101_0101_0101)
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Words with few merits, so that many are equal, and any version.
    fn words(len: usize) -> impl Strategy<Value = Vec<u64>> {
        let lane = || prop_oneof![0_u64..4, 0x7ffc_u64..=0x7fff, 0_u64..=0x7fff];
        let word = (any::<u16>(), lane(), lane(), lane()).prop_map(|(top, merit, near, slack)| {
            u64::from(top) << 48 | merit << 32 | near << 16 | slack
        });
        prop::collection::vec(word, len)
    }

    proptest! {
        #[test]
        fn several_at_once_are_as_one_by_one(words in prop_oneof![words(64), words(16)]) {
            let lane = |word: u64, lane: u32| word >> (16 * lane) & 0xffff;
            let joined = join(&words);
            for at in 0..3 {
                let most = words.iter().map(|&word| lane(word, at)).max().unwrap();
                prop_assert_eq!(lane(joined, at), most);
            }
            let flag = words.iter().any(|word| word & FLAG != 0);
            prop_assert_eq!(joined >> 48, u64::from(flag));
            prop_assert_eq!(portable::join(&words), joined);

            let best = best(&words);
            prop_assert_eq!(u64::from(best.merit), lane(joined, 2));
            for (at, &word) in words.iter().enumerate() {
                prop_assert_eq!(best.mask >> at & 1 == 1, lane(word, 2) == lane(joined, 2));
            }
            prop_assert_eq!(portable::best(&words), best);
        }

        #[test]
        fn bits_are_selected_in_order(mask in prop_oneof![any::<u64>(), Just(u64::MAX), 1_u64..9]) {
            prop_assume!(mask != 0);
            prop_assert_eq!(count(mask), mask.count_ones());
            let set = (0..64).filter(|at| mask >> at & 1 == 1);
            for (k, at) in set.enumerate() {
                prop_assert_eq!(select(mask, k as u32), at);
            }
        }
    }

    #[test]
    fn a_line_without_merit_has_none() {
        assert_eq!(best(&[7; 16]).merit, 0);
        assert_eq!(join(&[0; 2]), 0);
    }
}

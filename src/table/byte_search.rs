//! Sixteen bytes compared at once.

/// Which of the bytes, lowest of the first word first, are as wanted: a bit for
/// each.
#[cfg(target_arch = "x86_64")]
#[inline]
#[allow(unused_unsafe, reason = "needed up to Rust 1.86")]
pub(super) fn equal_bytes([first, second]: [u64; 2], wanted: u8) -> u32 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};
    // SAFETY: every x86_64 has these instructions (SSE2), and they touch no memory.
    unsafe {
        let bytes = _mm_set_epi64x(second as i64, first as i64);
        let equal = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(wanted as i8));
        _mm_movemask_epi8(equal) as u32
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) use portable::equal_bytes;

#[cfg(any(all(test, not(relay_loom)), not(target_arch = "x86_64")))]
mod portable {
    const LOWEST_BITS: u64 = u64::MAX / 0xff;
    const HIGHEST_BITS: u64 = LOWEST_BITS << 7;

    /// The same on machines without such instructions.
    #[inline]
    pub(in crate::table) fn equal_bytes([first, second]: [u64; 2], wanted: u8) -> u32 {
        let wanted = u64::from(wanted) * LOWEST_BITS;
        zero_bytes(first ^ wanted) | zero_bytes(second ^ wanted) << 8
    }

    /// A bit for each byte that is zero.
    #[inline]
    fn zero_bytes(word: u64) -> u32 {
        // No sum reaches the next byte.
        let sums = (word & !HIGHEST_BITS) + !HIGHEST_BITS;
        let zeros = !(sums | word) & HIGHEST_BITS;
        // Each product but those of the top byte falls out, and no two meet.
        ((zeros >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::{equal_bytes, portable};
    use proptest::prelude::*;

    fn one_by_one(words: [u64; 2], wanted: u8) -> u32 {
        let bytes = words.into_iter().flat_map(u64::to_le_bytes);
        let equal = bytes.enumerate().filter(|&(_, byte)| byte == wanted);
        equal.map(|(lane, _)| 1 << lane).sum()
    }

    proptest! {
        #[test]
        fn bytes_are_found_as_one_by_one(
            words in prop_oneof![
                any::<[u64; 2]>(),
                // Few values, so that neighbours are equal or differ by one.
                prop::array::uniform16(126u8..130).prop_map(halves),
                prop::array::uniform16(0u8..3).prop_map(halves),
            ],
            wanted in prop_oneof![any::<u8>(), 126u8..130, 0u8..3],
        ) {
            let expected = one_by_one(words, wanted);
            prop_assert_eq!(equal_bytes(words, wanted), expected);
            prop_assert_eq!(portable::equal_bytes(words, wanted), expected);
        }
    }

    fn halves(bytes: [u8; 16]) -> [u64; 2] {
        [0, 8].map(|at| u64::from_le_bytes(std::array::from_fn(|n| bytes[at + n])))
    }
}

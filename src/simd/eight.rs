//! Vectors of eight by AVX2; see the parent's section on safety. Unsafe code here touches no
//! memory, unless its comment says so.
#![allow(unused_unsafe, reason = "needed up to Rust 1.86")]

use super::{Bits, Lanes};
use std::arch::x86_64::*;
use std::ops::{Add, Div, Mul, Sub};

#[derive(Clone, Copy)]
pub(super) struct Eight(__m256);

#[derive(Clone, Copy)]
pub(super) struct EightBits(__m256i);

operators! {
    Eight:
    Add, add, _mm256_add_ps;
    Sub, sub, _mm256_sub_ps;
    Mul, mul, _mm256_mul_ps;
    Div, div, _mm256_div_ps;
}

impl Lanes for Eight {
    const MANY: usize = 8;

    type Bits = EightBits;

    #[inline(always)]
    fn splat(number: f32) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_set1_ps(number) })
    }

    #[inline(always)]
    fn of<const N: usize>(numbers: &[f32; N], at: usize) -> Self {
        let numbers = &numbers[at..at + Self::MANY];
        // SAFETY: eight floats are there to be read.
        Self(unsafe { _mm256_loadu_ps(numbers.as_ptr()) })
    }

    #[inline(always)]
    fn put<const N: usize>(self, numbers: &mut [f32; N], at: usize) {
        let numbers = &mut numbers[at..at + Self::MANY];
        // SAFETY: there is room for eight floats.
        unsafe { _mm256_storeu_ps(numbers.as_mut_ptr(), self.0) };
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_sqrt_ps(self.0) })
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_min_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn equal(self, other: Self) -> u32 {
        // SAFETY: see above.
        unsafe { _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_EQ_OQ>(self.0, other.0)) as u32 }
    }

    #[inline(always)]
    fn if_below(self, other: Self, then: Self, otherwise: Self) -> Self {
        // SAFETY: see above.
        unsafe {
            let mask = _mm256_cmp_ps::<_CMP_LT_OQ>(self.0, other.0);
            Self(_mm256_blendv_ps(otherwise.0, then.0, mask))
        }
    }
}

impl Bits for EightBits {
    type Floats = Eight;

    #[inline(always)]
    fn halves(word: impl Fn(usize) -> u64) -> (Self, Self) {
        let word = |number| word(number) as i64;
        // SAFETY: see above.
        unsafe {
            // Shuffles stay within halves of a vector.
            let one = _mm256_castsi256_ps(_mm256_set_epi64x(word(5), word(4), word(1), word(0)));
            let other = _mm256_castsi256_ps(_mm256_set_epi64x(word(7), word(6), word(3), word(2)));
            let lower = _mm256_shuffle_ps::<0b10_00_10_00>(one, other);
            let upper = _mm256_shuffle_ps::<0b11_01_11_01>(one, other);
            let [lower, upper] = [_mm256_castps_si256(lower), _mm256_castps_si256(upper)];
            (Self(lower), Self(upper))
        }
    }

    #[inline(always)]
    fn and(self, mask: u32) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_and_si256(self.0, _mm256_set1_epi32(mask as i32)) })
    }

    #[inline(always)]
    fn upper_half(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_srli_epi32::<16>(self.0) })
    }

    #[inline(always)]
    fn floats_below(self, top: u32, shift: u32, base: u32) -> Eight {
        // SAFETY: see above.
        let floats = unsafe {
            let below = _mm256_sub_epi32(_mm256_set1_epi32(top as i32), self.0);
            let below = _mm256_sll_epi32(below, _mm_cvtsi32_si128(shift as i32));
            _mm256_castsi256_ps(_mm256_add_epi32(below, _mm256_set1_epi32(base as i32)))
        };
        self.if_zero(Eight::splat(f32::INFINITY), Eight(floats))
    }

    #[inline(always)]
    fn if_zero(self, then: Eight, otherwise: Eight) -> Eight {
        // SAFETY: see above.
        unsafe {
            let mask = _mm256_cmpeq_epi32(self.0, _mm256_setzero_si256());
            let mask = _mm256_castsi256_ps(mask);
            Eight(_mm256_blendv_ps(otherwise.0, then.0, mask))
        }
    }
}

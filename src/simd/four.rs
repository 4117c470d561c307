//! Vectors of four by SSE2, which every x86_64 has. Unsafe code here touches no memory,
//! unless its comment says so.
#![allow(unused_unsafe, reason = "needed up to Rust 1.86")]

use super::{Bits, Lanes};
use std::arch::x86_64::*;
use std::ops::{Add, Div, Mul, Sub};

#[derive(Clone, Copy)]
pub(crate) struct Four(__m128);

#[derive(Clone, Copy)]
pub(crate) struct FourBits(__m128i);

operators! {
    Four:
    Add, add, _mm_add_ps;
    Sub, sub, _mm_sub_ps;
    Mul, mul, _mm_mul_ps;
    Div, div, _mm_div_ps;
}

#[inline(always)]
fn select(mask: __m128, then: __m128, otherwise: __m128) -> Four {
    // SAFETY: see above.
    Four(unsafe { _mm_or_ps(_mm_and_ps(mask, then), _mm_andnot_ps(mask, otherwise)) })
}

impl Lanes for Four {
    const MANY: usize = 4;

    type Bits = FourBits;

    #[inline(always)]
    fn splat(number: f32) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_set1_ps(number) })
    }

    #[inline(always)]
    fn of<const N: usize>(numbers: &[f32; N], at: usize) -> Self {
        let numbers = &numbers[at..at + Self::MANY];
        // SAFETY: four floats are there to be read.
        Self(unsafe { _mm_loadu_ps(numbers.as_ptr()) })
    }

    #[inline(always)]
    fn put<const N: usize>(self, numbers: &mut [f32; N], at: usize) {
        let numbers = &mut numbers[at..at + Self::MANY];
        // SAFETY: there is room for four floats.
        unsafe { _mm_storeu_ps(numbers.as_mut_ptr(), self.0) };
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_sqrt_ps(self.0) })
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_min_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn equal(self, other: Self) -> u32 {
        // SAFETY: see above.
        unsafe { _mm_movemask_ps(_mm_cmpeq_ps(self.0, other.0)) as u32 }
    }

    #[inline(always)]
    fn if_below(self, other: Self, then: Self, otherwise: Self) -> Self {
        // SAFETY: see above.
        let mask = unsafe { _mm_cmplt_ps(self.0, other.0) };
        select(mask, then.0, otherwise.0)
    }
}

impl Bits for FourBits {
    type Floats = Four;

    #[inline(always)]
    fn halves(word: impl Fn(usize) -> u64) -> (Self, Self) {
        let word = |number| word(number) as i64;
        // SAFETY: see above.
        unsafe {
            let one = _mm_castsi128_ps(_mm_set_epi64x(word(1), word(0)));
            let other = _mm_castsi128_ps(_mm_set_epi64x(word(3), word(2)));
            let lower = _mm_shuffle_ps::<0b10_00_10_00>(one, other);
            let upper = _mm_shuffle_ps::<0b11_01_11_01>(one, other);
            (Self(_mm_castps_si128(lower)), Self(_mm_castps_si128(upper)))
        }
    }

    #[inline(always)]
    fn and(self, mask: u32) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_and_si128(self.0, _mm_set1_epi32(mask as i32)) })
    }

    #[inline(always)]
    fn upper_half(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_srli_epi32::<16>(self.0) })
    }

    #[inline(always)]
    fn floats_below(self, top: u32, shift: u32, base: u32) -> Four {
        // SAFETY: see above.
        let floats = unsafe {
            let below = _mm_sub_epi32(_mm_set1_epi32(top as i32), self.0);
            let below = _mm_sll_epi32(below, _mm_cvtsi32_si128(shift as i32));
            _mm_castsi128_ps(_mm_add_epi32(below, _mm_set1_epi32(base as i32)))
        };
        self.if_zero(Four::splat(f32::INFINITY), Four(floats))
    }

    #[inline(always)]
    fn if_zero(self, then: Four, otherwise: Four) -> Four {
        // SAFETY: see above.
        let mask = unsafe { _mm_castsi128_ps(_mm_cmpeq_epi32(self.0, _mm_setzero_si128())) };
        select(mask, then.0, otherwise.0)
    }
}

//! Four numbers at once.
//!
//! What is done to each of many relays alike is done to four with one instruction:
//! by SSE2, which every x86_64 has, or by the compiler's own means elsewhere.

use std::ops::{Add, Div, Mul, Sub};

/// See the module's description.
#[derive(Clone, Copy)]
pub(crate) struct Four(imp::Four);

impl Four {
    #[inline(always)]
    pub(crate) fn splat(number: f32) -> Self {
        Self(imp::of([number; 4]))
    }

    /// Four of many numbers, from one on.
    #[inline(always)]
    pub(crate) fn of<const N: usize>(numbers: &[f32; N], at: usize) -> Self {
        Self(imp::of(std::array::from_fn(|lane| numbers[at + lane])))
    }

    #[inline(always)]
    pub(crate) fn array(self) -> [f32; 4] {
        imp::array(self.0)
    }

    #[inline(always)]
    pub(crate) fn sqrt(self) -> Self {
        Self(imp::sqrt(self.0))
    }

    /// The lesser of each two; of a pair with one that is no number, the other's.
    #[inline(always)]
    pub(crate) fn min(self, other: Self) -> Self {
        Self(imp::min(self.0, other.0))
    }

    /// The greater of each two; of a pair with one that is no number, the other's.
    #[inline(always)]
    pub(crate) fn max(self, other: Self) -> Self {
        Self(imp::max(self.0, other.0))
    }

    /// A bit for each that is below the other's.
    #[inline(always)]
    pub(crate) fn below(self, other: Self) -> u32 {
        imp::below(self.0, other.0)
    }

    /// A bit for each that equals the other's.
    #[inline(always)]
    pub(crate) fn equal(self, other: Self) -> u32 {
        imp::equal(self.0, other.0)
    }

    /// For each, whether it is below the other: `then`, or else `otherwise`.
    #[inline(always)]
    pub(crate) fn if_below(self, other: Self, then: Self, otherwise: Self) -> Self {
        Self(imp::if_below(self.0, other.0, then.0, otherwise.0))
    }
}

/// Four whole numbers of 32 bits.
#[derive(Clone, Copy)]
pub(crate) struct FourBits(imp::Bits);

impl FourBits {
    /// The lower and the upper halves of four words.
    #[inline(always)]
    pub(crate) fn halves(words: [u64; 4]) -> (Self, Self) {
        let (lower, upper) = imp::halves(words);
        (Self(lower), Self(upper))
    }

    /// The bits of each that a mask has.
    #[inline(always)]
    pub(crate) fn and(self, mask: u32) -> Self {
        Self(imp::and(self.0, mask))
    }

    #[inline(always)]
    pub(crate) fn upper_half(self) -> Self {
        Self(imp::upper_half(self.0))
    }

    /// `base + ((top - x) << shift)` for each, as the bits of a float; where `x` is 0,
    /// infinite.
    #[inline(always)]
    pub(crate) fn floats_below(self, top: u32, shift: u32, base: u32) -> Four {
        Four(imp::floats_below(self.0, top, shift, base))
    }

    /// For each, whether it is zero: `then`, or else `otherwise`.
    #[inline(always)]
    pub(crate) fn if_zero(self, then: Four, otherwise: Four) -> Four {
        Four(imp::if_zero(self.0, then.0, otherwise.0))
    }
}

macro_rules! operator {
    ($trait:ident, $name:ident) => {
        impl $trait for Four {
            type Output = Self;

            #[inline(always)]
            fn $name(self, other: Self) -> Self {
                Self(imp::$name(self.0, other.0))
            }
        }
    };
}
operator!(Add, add);
operator!(Sub, sub);
operator!(Mul, mul);
operator!(Div, div);

#[cfg(not(target_arch = "x86_64"))]
use portable as imp;
#[cfg(target_arch = "x86_64")]
use sse as imp;

#[cfg(target_arch = "x86_64")]
#[allow(unused_unsafe, reason = "needed up to Rust 1.86")]
mod sse {
    use std::arch::x86_64::*;

    pub(super) type Four = __m128;
    pub(super) type Bits = __m128i;

    #[inline(always)]
    pub(super) fn of([a, b, c, d]: [f32; 4]) -> Four {
        // SAFETY: SSE2 is part of x86_64, here and below; no memory is touched.
        unsafe { _mm_set_ps(d, c, b, a) }
    }

    #[inline(always)]
    pub(super) fn array(four: Four) -> [f32; 4] {
        let mut array = [0.0; 4];
        // SAFETY: the array has room for four.
        unsafe { _mm_storeu_ps(array.as_mut_ptr(), four) };
        array
    }

    macro_rules! of_two {
        ($name:ident, $instruction:ident) => {
            #[inline(always)]
            pub(super) fn $name(one: Four, other: Four) -> Four {
                // SAFETY: see above.
                unsafe { $instruction(one, other) }
            }
        };
    }
    of_two!(add, _mm_add_ps);
    of_two!(sub, _mm_sub_ps);
    of_two!(mul, _mm_mul_ps);
    of_two!(div, _mm_div_ps);
    of_two!(min, _mm_min_ps);
    of_two!(max, _mm_max_ps);

    #[inline(always)]
    pub(super) fn sqrt(four: Four) -> Four {
        // SAFETY: see above.
        unsafe { _mm_sqrt_ps(four) }
    }

    #[inline(always)]
    pub(super) fn below(one: Four, other: Four) -> u32 {
        // SAFETY: see above.
        unsafe { _mm_movemask_ps(_mm_cmplt_ps(one, other)) as u32 }
    }

    #[inline(always)]
    pub(super) fn equal(one: Four, other: Four) -> u32 {
        // SAFETY: see above.
        unsafe { _mm_movemask_ps(_mm_cmpeq_ps(one, other)) as u32 }
    }

    #[inline(always)]
    pub(super) fn if_below(one: Four, other: Four, then: Four, otherwise: Four) -> Four {
        // SAFETY: see above.
        unsafe { select(_mm_cmplt_ps(one, other), then, otherwise) }
    }

    #[inline(always)]
    fn select(mask: Four, then: Four, otherwise: Four) -> Four {
        // SAFETY: see above.
        unsafe { _mm_or_ps(_mm_and_ps(mask, then), _mm_andnot_ps(mask, otherwise)) }
    }

    #[inline(always)]
    pub(super) fn halves([a, b, c, d]: [u64; 4]) -> (Bits, Bits) {
        // SAFETY: see above.
        unsafe {
            let one = _mm_castsi128_ps(_mm_set_epi64x(b as i64, a as i64));
            let other = _mm_castsi128_ps(_mm_set_epi64x(d as i64, c as i64));
            let lower = _mm_shuffle_ps::<0b10_00_10_00>(one, other);
            let upper = _mm_shuffle_ps::<0b11_01_11_01>(one, other);
            (_mm_castps_si128(lower), _mm_castps_si128(upper))
        }
    }

    #[inline(always)]
    pub(super) fn and(bits: Bits, mask: u32) -> Bits {
        // SAFETY: see above.
        unsafe { _mm_and_si128(bits, _mm_set1_epi32(mask as i32)) }
    }

    #[inline(always)]
    pub(super) fn upper_half(bits: Bits) -> Bits {
        // SAFETY: see above.
        unsafe { _mm_srli_epi32::<16>(bits) }
    }

    #[inline(always)]
    pub(super) fn floats_below(bits: Bits, top: u32, shift: u32, base: u32) -> Four {
        // SAFETY: see above.
        unsafe {
            let below = _mm_sub_epi32(_mm_set1_epi32(top as i32), bits);
            let below = _mm_sll_epi32(below, _mm_cvtsi32_si128(shift as i32));
            let floats = _mm_add_epi32(below, _mm_set1_epi32(base as i32));
            if_zero(bits, _mm_set1_ps(f32::INFINITY), _mm_castsi128_ps(floats))
        }
    }

    #[inline(always)]
    pub(super) fn if_zero(bits: Bits, then: Four, otherwise: Four) -> Four {
        // SAFETY: see above.
        unsafe {
            let mask = _mm_cmpeq_epi32(bits, _mm_setzero_si128());
            select(_mm_castsi128_ps(mask), then, otherwise)
        }
    }
}

#[cfg(any(all(test, not(relay_loom)), not(target_arch = "x86_64")))]
mod portable {
    pub(super) type Four = [f32; 4];
    pub(super) type Bits = [u32; 4];

    pub(super) fn of(four: [f32; 4]) -> Four {
        four
    }

    pub(super) fn array(four: Four) -> [f32; 4] {
        four
    }

    macro_rules! of_two {
        ($name:ident, $one:ident, $other:ident, $result:expr) => {
            #[inline(always)]
            pub(super) fn $name(one: Four, other: Four) -> Four {
                std::array::from_fn(|lane| {
                    let ($one, $other) = (one[lane], other[lane]);
                    $result
                })
            }
        };
    }
    of_two!(add, one, other, one + other);
    of_two!(sub, one, other, one - other);
    of_two!(mul, one, other, one * other);
    of_two!(div, one, other, one / other);
    of_two!(min, one, other, if one < other { one } else { other });
    of_two!(max, one, other, if one > other { one } else { other });

    #[inline(always)]
    pub(super) fn sqrt(four: Four) -> Four {
        four.map(f32::sqrt)
    }

    #[inline(always)]
    pub(super) fn below(one: Four, other: Four) -> u32 {
        (0..4)
            .map(|lane| u32::from(one[lane] < other[lane]) << lane)
            .sum()
    }

    #[inline(always)]
    pub(super) fn equal(one: Four, other: Four) -> u32 {
        (0..4)
            .map(|lane| u32::from(one[lane] == other[lane]) << lane)
            .sum()
    }

    #[inline(always)]
    pub(super) fn if_below(one: Four, other: Four, then: Four, otherwise: Four) -> Four {
        std::array::from_fn(|lane| match one[lane] < other[lane] {
            true => then[lane],
            false => otherwise[lane],
        })
    }

    #[inline(always)]
    pub(super) fn halves(words: [u64; 4]) -> (Bits, Bits) {
        (
            words.map(|word| word as u32),
            words.map(|word| (word >> 32) as u32),
        )
    }

    #[inline(always)]
    pub(super) fn and(bits: Bits, mask: u32) -> Bits {
        bits.map(|bits| bits & mask)
    }

    #[inline(always)]
    pub(super) fn upper_half(bits: Bits) -> Bits {
        bits.map(|bits| bits >> 16)
    }

    #[inline(always)]
    pub(super) fn floats_below(bits: Bits, top: u32, shift: u32, base: u32) -> Four {
        bits.map(|bits| match bits {
            0 => f32::INFINITY,
            _ => f32::from_bits((top.wrapping_sub(bits) << shift).wrapping_add(base)),
        })
    }

    #[inline(always)]
    pub(super) fn if_zero(bits: Bits, then: Four, otherwise: Four) -> Four {
        std::array::from_fn(|lane| match bits[lane] {
            0 => then[lane],
            _ => otherwise[lane],
        })
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number() -> impl Strategy<Value = f32> {
        prop_oneof![
            -1e7_f32..1e7,
            Just(0.0),
            Just(f32::INFINITY),
            Just(f32::NAN)
        ]
    }

    fn four() -> impl Strategy<Value = [f32; 4]> {
        prop::array::uniform4(number())
    }

    fn bits(four: [f32; 4]) -> [u32; 4] {
        // Which of the many it is that are no number does not matter.
        four.map(|number| if number.is_nan() { 0 } else { number.to_bits() })
    }

    proptest! {
        #[test]
        fn four_at_once_are_as_one_by_one(a in four(), b in four(), c in four(), d in four()) {
            let [one, other, then, otherwise] = [a, b, c, d].map(|four| Four::of(&four, 0));
            let results = [
                (one + other, portable::add(a, b)),
                (one - other, portable::sub(a, b)),
                (one * other, portable::mul(a, b)),
                (one / other, portable::div(a, b)),
                (one.min(other), portable::min(a, b)),
                (one.max(other), portable::max(a, b)),
                (one.sqrt(), portable::sqrt(a)),
                (one.if_below(other, then, otherwise), portable::if_below(a, b, c, d)),
                (one, portable::of(a)),
            ];
            for (result, expected) in results {
                prop_assert_eq!(bits(result.array()), bits(portable::array(expected)));
            }
            prop_assert_eq!(one.below(other), portable::below(a, b));
            prop_assert_eq!(one.equal(other), portable::equal(a, b));
            prop_assert_eq!(one.equal(one), portable::equal(a, a));
        }

        #[test]
        fn whole_numbers_at_once_are_as_one_by_one(
            words in prop::array::uniform4(prop_oneof![any::<u64>(), 0_u64..3, Just(5 << 32)]),
            a in four(),
            b in four(),
        ) {
            let (lower, upper) = FourBits::halves(words);
            let (plain_lower, plain_upper) = portable::halves(words);
            let (then, otherwise) = (Four::of(&a, 0), Four::of(&b, 0));
            for (whole, plain) in [(lower, plain_lower), (upper, plain_upper)] {
                let (whole, plain) = (whole.and(0x7fff), portable::and(plain, 0x7fff));
                let floats = whole.floats_below(0x7fff, 14, 1.0_f32.to_bits());
                let expected = portable::floats_below(plain, 0x7fff, 14, 1.0_f32.to_bits());
                prop_assert_eq!(bits(floats.array()), bits(expected));
                let selected = whole.if_zero(then, otherwise);
                prop_assert_eq!(bits(selected.array()), bits(portable::if_zero(plain, a, b)));
            }
            let halves = lower.upper_half().if_zero(then, otherwise);
            let expected = portable::if_zero(portable::upper_half(plain_lower), a, b);
            prop_assert_eq!(bits(halves.array()), bits(expected));
        }
    }
}

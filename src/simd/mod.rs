//! Several numbers at once: what is done to each of many relays alike is done to four
//! or eight of them with one instruction.
//!
//! A computation is written once, as a [`Kernel`] over any vectors, and [`widest`] runs
//! it with the widest that the processor has: AVX2 or SSE2 on x86_64, elsewhere arrays,
//! which compilers turn into what there is. All of them give the same results, bit for
//! bit.
//!
//! # Safety
//!
//! AVX2 instructions may only run where the processor has them. All of them are in
//! methods of [`eight::Eight`], which is private to this module: [`widest`] alone hands
//! that type to a kernel, after it has asked the processor.

/// Each operator of vectors is one instruction.
#[cfg(target_arch = "x86_64")]
macro_rules! operators {
    ($vector:ident: $($trait:ident, $name:ident, $instruction:ident;)*) => {$(
        impl $trait for $vector {
            type Output = Self;

            #[inline(always)]
            fn $name(self, other: Self) -> Self {
                // SAFETY: the processor has it, as the module says; no memory is touched.
                Self(unsafe { $instruction(self.0, other.0) })
            }
        }
    )*};
}

#[cfg(target_arch = "x86_64")]
mod eight;
#[cfg(target_arch = "x86_64")]
mod four;
#[cfg(any(all(test, not(relay_loom)), not(target_arch = "x86_64")))]
mod portable;
#[cfg(all(test, not(relay_loom)))]
mod tests;

use std::ops::{Add, Div, Mul, Sub};

#[cfg(target_arch = "x86_64")]
pub(crate) use four::Four;
#[cfg(not(target_arch = "x86_64"))]
pub(crate) type Four = portable::Portable<4>;

/// One number, for tests of what is computed with vectors.
#[cfg(all(test, not(relay_loom)))]
pub(crate) type One = portable::Portable<1>;

/// Several numbers.
pub(crate) trait Lanes:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// How many.
    const MANY: usize;

    /// As many whole numbers.
    type Bits: Bits<Floats = Self>;

    fn splat(number: f32) -> Self;

    /// Some of many numbers, from one on.
    fn of<const N: usize>(numbers: &[f32; N], at: usize) -> Self;

    /// Puts them among many, from one on.
    fn put<const N: usize>(self, numbers: &mut [f32; N], at: usize);

    fn sqrt(self) -> Self;

    /// The lesser of each two; the other's where either is no number.
    fn min(self, other: Self) -> Self;

    /// The greater of each two; the other's where either is no number.
    fn max(self, other: Self) -> Self;

    /// A bit for each that equals the other's.
    fn equal(self, other: Self) -> u32;

    /// For each, whether it is below the other: `then`, or else `otherwise`.
    fn if_below(self, other: Self, then: Self, otherwise: Self) -> Self;
}

/// Several whole numbers of 32 bits.
pub(crate) trait Bits: Copy {
    type Floats;

    /// The lower and the upper halves of some words, by their numbers from 0.
    fn halves(word: impl Fn(usize) -> u64) -> (Self, Self);

    /// The bits of each that a mask has.
    fn and(self, mask: u32) -> Self;

    fn upper_half(self) -> Self;

    /// `base + ((top - x) << shift)` for each, as the bits of a float; where `x` is 0,
    /// infinite.
    fn floats_below(self, top: u32, shift: u32, base: u32) -> Self::Floats;

    /// For each, whether it is zero: `then`, or else `otherwise`.
    fn if_zero(self, then: Self::Floats, otherwise: Self::Floats) -> Self::Floats;
}

/// Vectors of which each holds one of these numbers everywhere.
#[inline(always)]
pub(crate) fn splats<L: Lanes, const N: usize>(numbers: &[f32; N]) -> [L; N] {
    let mut vectors = [L::splat(0.0); N];
    for (vector, &number) in vectors.iter_mut().zip(numbers) {
        *vector = L::splat(number);
    }
    vectors
}

/// A computation on several numbers at once.
///
/// All that it calls with vectors must be `#[inline(always)]`, which closures are not:
/// code of another function may not use wider vectors than that function.
pub(crate) trait Kernel {
    type Output;

    fn run<L: Lanes>(self) -> Self::Output;
}

/// Runs a computation with the widest vectors that this processor has.
#[inline(always)]
pub(crate) fn widest<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has the instructions.
        return unsafe { by_avx2(kernel) };
    }
    kernel.run::<Four>()
}

/// # Safety
///
/// The processor must have AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn by_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<eight::Eight>()
}

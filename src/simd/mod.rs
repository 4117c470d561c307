//! Vectors: one instruction computes four or eight numbers, each of another relay.
//!
//! A computation is written once, as a [`Kernel`] over any type of vectors. [`widest`] runs it
//! with the widest vectors of the processor: AVX2 or SSE2 on x86_64, and arrays elsewhere,
//! which the compiler vectorises. All of them give the same results, bit for bit.
//!
//! # Safety
//!
//! AVX2 instructions may only run if the processor has them. All of them are in methods of
//! [`eight::Eight`], which is private to this module. Only [`widest`] gives that type to a
//! kernel, after it has detected AVX2.

/// Implements operators of vectors by one instruction each.
#[cfg(target_arch = "x86_64")]
macro_rules! operators {
    ($vector:ident: $($trait:ident, $name:ident, $instruction:ident;)*) => {$(
        impl $trait for $vector {
            type Output = Self;

            #[inline(always)]
            fn $name(self, other: Self) -> Self {
                // SAFETY: the processor has the instruction, as the module says; it touches no
                // memory.
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

/// Vectors of one number, for tests of computations.
#[cfg(all(test, not(relay_loom)))]
pub(crate) type One = portable::Portable<1>;

/// A vector of floats.
pub(crate) trait Lanes:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// How many floats a vector has.
    const MANY: usize;

    /// A vector of as many integers.
    type Bits: Bits<Floats = Self>;

    fn splat(number: f32) -> Self;

    /// Some of many numbers, from `at` on.
    fn of<const N: usize>(numbers: &[f32; N], at: usize) -> Self;

    /// Stores the floats among many, from `at` on.
    fn put<const N: usize>(self, numbers: &mut [f32; N], at: usize);

    fn sqrt(self) -> Self;

    /// The lesser of each two floats; that of `other` if either is not a number.
    fn min(self, other: Self) -> Self;

    /// The greater of each two floats; that of `other` if either is not a number.
    fn max(self, other: Self) -> Self;

    /// A bit for each float that equals that of `other`.
    fn equal(self, other: Self) -> u32;

    /// For each float, `then` if it is below that of `other`, else `otherwise`.
    fn if_below(self, other: Self, then: Self, otherwise: Self) -> Self;
}

/// A vector of integers of 32 bits.
pub(crate) trait Bits: Copy {
    type Floats;

    /// The lower and the upper halves of several words, which are numbered from 0.
    fn halves(word: impl Fn(usize) -> u64) -> (Self, Self);

    /// The bits of each integer that are set in a mask.
    fn and(self, mask: u32) -> Self;

    fn upper_half(self) -> Self;

    /// `base + ((top - x) << shift)` for each integer `x`, as the bits of a float; infinite if
    /// `x` is 0.
    fn floats_below(self, top: u32, shift: u32, base: u32) -> Self::Floats;

    /// For each integer, `then` if it is zero, else `otherwise`.
    fn if_zero(self, then: Self::Floats, otherwise: Self::Floats) -> Self::Floats;
}

/// A vector for each number, which has that number in all lanes.
#[inline(always)]
pub(crate) fn splats<L: Lanes, const N: usize>(numbers: &[f32; N]) -> [L; N] {
    let mut vectors = [L::splat(0.0); N];
    for (vector, &number) in vectors.iter_mut().zip(numbers) {
        *vector = L::splat(number);
    }
    vectors
}

/// A computation with vectors.
///
/// All functions that it calls with vectors must be `#[inline(always)]`, which closures are
/// not: code that is not inlined may not use wider vectors than its own function enables.
pub(crate) trait Kernel {
    type Output;

    fn run<L: Lanes>(self) -> Self::Output;
}

/// Runs a computation with the widest vectors of this processor.
#[inline(always)]
pub(crate) fn widest<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
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

//! Vectors of any width, as arrays.

use super::{Bits, Lanes};
use std::array::from_fn;
use std::ops::{Add, Div, Mul, Sub};

#[derive(Clone, Copy)]
pub(crate) struct Portable<const MANY: usize>([f32; MANY]);

#[cfg(test)]
impl Portable<1> {
    pub(crate) fn number(self) -> f32 {
        self.0[0]
    }
}

#[derive(Clone, Copy)]
pub(crate) struct PortableBits<const MANY: usize>([u32; MANY]);

impl<const MANY: usize> Portable<MANY> {
    #[inline(always)]
    fn each_two(self, other: Self, of_two: impl Fn(f32, f32) -> f32) -> Self {
        Self(from_fn(|lane| of_two(self.0[lane], other.0[lane])))
    }
}

macro_rules! operator {
    ($trait:ident, $name:ident, $operator:tt) => {
        impl<const MANY: usize> $trait for Portable<MANY> {
            type Output = Self;

            #[inline(always)]
            fn $name(self, other: Self) -> Self {
                self.each_two(other, |one, other| one $operator other)
            }
        }
    };
}
operator!(Add, add, +);
operator!(Sub, sub, -);
operator!(Mul, mul, *);
operator!(Div, div, /);

impl<const MANY: usize> Lanes for Portable<MANY> {
    const MANY: usize = MANY;

    type Bits = PortableBits<MANY>;

    #[inline(always)]
    fn splat(number: f32) -> Self {
        Self([number; MANY])
    }

    #[inline(always)]
    fn of<const N: usize>(numbers: &[f32; N], at: usize) -> Self {
        Self(from_fn(|lane| numbers[at + lane]))
    }

    #[inline(always)]
    fn put<const N: usize>(self, numbers: &mut [f32; N], at: usize) {
        numbers[at..at + MANY].copy_from_slice(&self.0);
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(self.0.map(f32::sqrt))
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.each_two(other, |one, other| if one < other { one } else { other })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.each_two(other, |one, other| if one > other { one } else { other })
    }

    #[inline(always)]
    fn equal(self, other: Self) -> u32 {
        (0..MANY)
            .map(|lane| u32::from(self.0[lane] == other.0[lane]) << lane)
            .sum()
    }

    #[inline(always)]
    fn if_below(self, other: Self, then: Self, otherwise: Self) -> Self {
        Self(from_fn(|lane| match self.0[lane] < other.0[lane] {
            true => then.0[lane],
            false => otherwise.0[lane],
        }))
    }
}

impl<const MANY: usize> Bits for PortableBits<MANY> {
    type Floats = Portable<MANY>;

    #[inline(always)]
    fn halves(word: impl Fn(usize) -> u64) -> (Self, Self) {
        let words: [u64; MANY] = from_fn(word);
        (
            Self(words.map(|word| word as u32)),
            Self(words.map(|word| (word >> 32) as u32)),
        )
    }

    #[inline(always)]
    fn and(self, mask: u32) -> Self {
        Self(self.0.map(|bits| bits & mask))
    }

    #[inline(always)]
    fn upper_half(self) -> Self {
        Self(self.0.map(|bits| bits >> 16))
    }

    #[inline(always)]
    fn floats_below(self, top: u32, shift: u32, base: u32) -> Portable<MANY> {
        Portable(self.0.map(|bits| match bits {
            0 => f32::INFINITY,
            _ => f32::from_bits((top.wrapping_sub(bits) << shift).wrapping_add(base)),
        }))
    }

    #[inline(always)]
    fn if_zero(self, then: Portable<MANY>, otherwise: Portable<MANY>) -> Portable<MANY> {
        Portable(from_fn(|lane| match self.0[lane] {
            0 => then.0[lane],
            _ => otherwise.0[lane],
        }))
    }
}

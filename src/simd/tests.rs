//! Every type of vectors, compared with the portable one.

use super::portable::{Portable, PortableBits};
use super::*;
use proptest::prelude::*;

type Numbers = [f32; 8];

fn number() -> impl Strategy<Value = f32> {
    prop_oneof![
        -1e7_f32..1e7,
        Just(0.0),
        Just(f32::INFINITY),
        Just(f32::NAN)
    ]
}

fn numbers() -> impl Strategy<Value = Numbers> {
    prop::array::uniform8(number())
}

fn words() -> impl Strategy<Value = [u64; 8]> {
    prop::array::uniform8(prop_oneof![any::<u64>(), 0_u64..3, Just(5 << 32)])
}

/// A kernel with all operations; its results as bits, and masks.
#[derive(Clone)]
struct Everything {
    numbers: [Numbers; 4],
    words: [u64; 8],
}

impl Kernel for &Everything {
    type Output = (Vec<[u32; 8]>, Vec<u32>);

    #[inline(always)]
    fn run<L: Lanes>(self) -> Self::Output {
        let mut results = vec![[0; 8]; 16];
        let mut masks = [0; 2];
        for at in (0..8).step_by(L::MANY) {
            let [one, other, then, otherwise] = self.numbers.each_ref().map(|all| L::of(all, at));
            let (lower, upper) = L::Bits::halves(|lane| self.words[at + lane]);
            let float = |bits: L::Bits| bits.and(0x7fff).floats_below(0x7fff, 14, 1_f32.to_bits());
            let all = [
                one,
                L::splat(self.numbers[0][0]),
                one + other,
                one - other,
                one * other,
                one / other,
                one.min(other),
                one.max(other),
                one.sqrt(),
                one.if_below(other, then, otherwise),
                float(lower),
                float(upper),
                lower.and(1).if_zero(then, otherwise),
                upper.and(1).if_zero(then, otherwise),
                lower.upper_half().if_zero(then, otherwise),
                upper.upper_half().if_zero(then, otherwise),
            ];
            for (result, value) in results.iter_mut().zip(all) {
                let mut numbers = [0.0; 8];
                value.put(&mut numbers, at);
                // Any NaN equals any other.
                let bits = |number: f32| if number.is_nan() { 1 } else { number.to_bits() };
                for lane in at..at + L::MANY {
                    result[lane] = bits(numbers[lane]);
                }
            }
            let some = [one.equal(other), one.equal(one)];
            for (mask, some) in masks.iter_mut().zip(some) {
                *mask |= some << at;
            }
        }
        (results, masks.to_vec())
    }
}

proptest! {
    #[test]
    fn all_vectors_give_the_same_results(numbers in prop::array::uniform4(numbers()), words in words()) {
        let everything = &Everything { numbers, words };
        let expected = everything.run::<Portable<1>>();
        prop_assert_eq!(&everything.run::<Portable<4>>(), &expected);
        prop_assert_eq!(&everything.run::<Four>(), &expected);
        prop_assert_eq!(&widest(everything), &expected);
    }
}

#[test]
fn halves_are_in_the_order_of_words() {
    let (lower, upper) = PortableBits::<8>::halves(|at| (at as u64 + 1) << 32 | at as u64);
    let is_zero = |bits: PortableBits<8>| {
        let (then, otherwise) = (Portable::splat(1.0), Portable::splat(2.0));
        bits.if_zero(then, otherwise).equal(then)
    };
    assert_eq!(is_zero(lower), 1);
    assert_eq!(is_zero(upper), 0);
}

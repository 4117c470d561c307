//! Threads that are delayed in the middle of an operation.
//!
//! Between two steps of an operation there are a few nanoseconds, so real threads
//! seldom come between; here they do more often. (Noise injection: Edelstein et al.,
//! "Multithreaded Java program test generation", 2002.)

use std::hint::spin_loop;

/// One operation in 100 is delayed, by up to 3,000 turns of a loop. Such delays are rare and
/// long, so that other threads complete whole operations meanwhile.
const ONE_IN: u32 = 100;
const LONGEST: u32 = 3_000;

pub(super) fn step() {
    if fastrand::u32(..ONE_IN) == 0 {
        (0..fastrand::u32(..LONGEST)).for_each(|_| spin_loop());
        std::thread::yield_now();
    }
}

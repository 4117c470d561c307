//! [`Touch`]: a read-modify-write that changes nothing.

use super::{AtomicU32, AtomicU64, Ordering};

/// A read-modify-write that changes nothing.
///
/// All read-modify-writes of a word have one order, so of two threads that touch or change it,
/// the later one sees what the other did before.
///
/// Acquire and release would do by the memory model. But for x86, LLVM turns a read-modify-write that
/// adds nothing into a fence and a load (issue 101551 of llvm-project). With an order below
/// `SeqCst` it leaves out the fence as well, where the result is not used: then both threads may
/// miss what the other did. With the fence, one of them sees it, because on x86 each
/// read-modify-write that changes a word is a fence, too.
pub(crate) trait Touch {
    /// What the word holds.
    type Value;

    /// Touches the word, and returns what it holds.
    fn touch(&self) -> Self::Value;
}

impl Touch for AtomicU32 {
    type Value = u32;

    #[inline(always)]
    fn touch(&self) -> u32 {
        // SeqCst: acquire and release, which the compiler keeps; see above.
        self.fetch_add(0, Ordering::SeqCst)
    }
}

impl Touch for AtomicU64 {
    type Value = u64;

    #[inline(always)]
    fn touch(&self) -> u64 {
        // SeqCst: as above.
        self.fetch_add(0, Ordering::SeqCst)
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    /// Words on lines of their own, as the threads of a registry have them.
    #[derive(Default)]
    #[repr(align(128))]
    struct Word(AtomicU64);

    /// One of the two threads sees what the other did. Once the compiler left out the touch, and both
    /// missed it, mostly within a few thousand rounds.
    #[test]
    fn of_two_threads_that_touch_a_word_one_sees_the_other() {
        const ROUNDS: u64 = 200_000;
        let (words, touched) = (<[Word; 2]>::default(), Word::default());
        let starts = Word::default();
        let seen = |ours: usize| {
            let mut seen = Vec::new();
            for round in 1..=ROUNDS {
                // Both begin at once, as far as they can.
                starts.0.fetch_add(1, Ordering::AcqRel);
                let mut spins = 0;
                while starts.0.load(Ordering::Acquire) < 2 * round {
                    spins += 1;
                    // The other thread may wait for the processor.
                    if spins % 1_000 == 0 {
                        std::thread::yield_now();
                    }
                }
                words[ours].0.store(round, Ordering::Relaxed);
                touched.0.touch();
                seen.push(words[1 - ours].0.load(Ordering::Relaxed));
            }
            seen
        };
        let (one, other) = std::thread::scope(|scope| {
            let other = scope.spawn(|| seen(1));
            (seen(0), other.join().expect("no panic"))
        });
        for (round, seen) in (1..).zip(one.into_iter().zip(other)) {
            assert!(
                seen.0 == round || seen.1 == round,
                "round {round}: {seen:?}"
            );
        }
    }
}

//! Small numbers for threads: the lowest that no other thread has.
//!
//! A thread claims its number when it first needs one, and gives it back when it ends. So
//! memory that has a place for each number can have one writer for each place, at any
//! moment.
//!
//! # How a number goes from one thread to the next
//!
//! The thread that ends clears the bit of its number with release, after its last use of
//! it. The thread that claims the number sets that bit with acquire, before its first use.
//! In between, the word is changed by read-modify-writes alone, which continue the release
//! sequence. So all that the first thread wrote happens before all that the second one
//! does, and the second one may go on by plain loads and stores where the first one
//! stopped.

use super::{AtomicU64, Ordering};

const WORDS: usize = if cfg!(relay_loom) { 1 } else { 2 };

/// How many threads have a number at once. Models have one, so that it is handed over.
pub(crate) const THREAD_INDICES: usize = if cfg!(relay_loom) { 1 } else { WORDS * 64 };

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct ThreadIndices {
    /// A bit for each number that a thread has.
    words: [AtomicU64; WORDS],
}

impl ThreadIndices {
    #[cfg(not(relay_loom))]
    pub(super) const fn new() -> Self {
        Self {
            words: [const { AtomicU64::new(0) }; WORDS],
        }
    }

    /// Claims the lowest number that no thread has; `None` if all are claimed.
    pub(crate) fn claim(&self) -> Option<usize> {
        (0..WORDS).find_map(|at| {
            let bit = claim_bit(&self.words[at], (THREAD_INDICES - at * 64).min(64))?;
            Some(at * 64 + bit)
        })
    }

    /// Gives back a number that the caller claimed, and does not use any more.
    pub(crate) fn release(&self, index: usize) {
        // Release: see the module's description.
        self.words[index / 64].fetch_and(!(1 << (index % 64)), Ordering::Release);
    }
}

/// Sets the lowest bit of a word that is clear, among the lowest `bits`.
fn claim_bit(word: &AtomicU64, bits: usize) -> Option<usize> {
    // Relaxed: the compare-and-swap decides.
    let mut seen = word.load(Ordering::Relaxed);
    loop {
        let lowest = seen.trailing_ones() as usize;
        if lowest >= bits {
            return None;
        }
        // Acquire: see the module's description. Relaxed: on failure only the number is used.
        match word.compare_exchange_weak(
            seen,
            seen | 1 << lowest,
            Ordering::Acquire,
            Ordering::Relaxed,
        ) {
            Ok(_) => return Some(lowest),
            Err(current) => seen = current,
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_number_that_is_free_is_claimed() {
        let indices = ThreadIndices::default();
        for index in 0..THREAD_INDICES {
            assert_eq!(indices.claim(), Some(index));
        }
        assert_eq!(indices.claim(), None, "all are claimed");
        for index in [THREAD_INDICES - 1, 64, 7] {
            indices.release(index);
        }
        for index in [7, 64, THREAD_INDICES - 1] {
            assert_eq!(indices.claim(), Some(index));
        }
        assert_eq!(indices.claim(), None);
    }
}

#[cfg(all(test, relay_loom))]
mod models {
    use super::*;
    use crate::sync::{Arc, check};
    use loom::thread;

    /// Two threads that have the number one after the other add to one counter, each by a
    /// load and a store.
    #[test]
    fn a_number_is_handed_over_with_what_was_counted() {
        check(3, || {
            let shared = Arc::new((ThreadIndices::default(), AtomicU64::default()));
            let other = Arc::clone(&shared);
            let thread = thread::spawn(move || add_one(&other));
            let added = add_one(&shared) + thread.join().unwrap();
            // Relaxed: that of the other thread was joined.
            assert_eq!(shared.1.load(Ordering::Relaxed), added);
            assert_eq!(shared.0.claim(), Some(0), "it was given back");
        });
    }

    /// How often it added one: not at all if the other thread has the number.
    fn add_one((indices, counter): &(ThreadIndices, AtomicU64)) -> u64 {
        let Some(index) = indices.claim() else {
            return 0;
        };
        // Relaxed, both: the number is handed over with what was stored.
        let count = counter.load(Ordering::Relaxed);
        counter.store(count + 1, Ordering::Relaxed);
        indices.release(index);
        1
    }
}

//! Bytes that one thread writes while others may read them, as words.
//!
//! A reader that is not held off by anything may see some words of one life and
//! some of the next; it has to find that out by other means, and must not
//! believe what it read until then.

use crate::sync::{AtomicU64, Ordering};

/// See the module's description.
#[derive(Debug)]
#[repr(transparent)]
pub(super) struct AtomicWords<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for AtomicWords<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::default()))
    }
}

impl<const N: usize> AtomicWords<N> {
    #[inline]
    pub(super) fn read(&self) -> [u64; N] {
        // Relaxed, here and below: ordered by what publishes the whole.
        std::array::from_fn(|word| self.0[word].load(Ordering::Relaxed))
    }

    pub(super) fn write(&self, words: [u64; N]) {
        for (place, word) in self.0.iter().zip(words) {
            place.store(word, Ordering::Relaxed);
        }
    }

    /// Whether they are these.
    #[inline(always)]
    pub(super) fn are(&self, words: [u64; N]) -> bool {
        let places = self.0.iter().zip(words);
        places.fold(true, |all, (place, word)| {
            all && place.load(Ordering::Relaxed) == word
        })
    }
}

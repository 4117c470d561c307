//! [`LoadInOrder`]: a load that comes after the changes that its thread made before.

use super::{AtomicU32, AtomicU64, Ordering};

/// A load that comes after the changes that its thread made before, if these were sequentially
/// consistent read-modify-writes.
///
/// It is for one of two threads of which one has to see what the other did:
///
/// - The first one changes a word by a sequentially consistent read-modify-write, and then loads
///   another one in order. If it finds the word changed by another thread in its place, it has
///   read that by a sequentially consistent operation, too.
/// - The second one changes that other word, executes a sequentially consistent fence, and then
///   loads the first word.
///
/// So the first thread needs no fence. On x86 the load costs no more than any other: there each
/// read-modify-write is a fence. The rules are those of coherence-ordered-before, C++20
/// \[atomics.order\] 4. loom takes sequentially consistent loads for acquire loads, so in models
/// this executes a fence.
pub(crate) trait LoadInOrder {
    /// What the word holds.
    type Value;

    /// Loads the word.
    fn load_in_order(&self) -> Self::Value;
}

impl LoadInOrder for AtomicU32 {
    type Value = u32;

    #[inline(always)]
    fn load_in_order(&self) -> u32 {
        #[cfg(relay_loom)]
        super::fence(Ordering::SeqCst);
        // SeqCst: see above.
        self.load(Ordering::SeqCst)
    }
}

impl LoadInOrder for AtomicU64 {
    type Value = u64;

    #[inline(always)]
    fn load_in_order(&self) -> u64 {
        #[cfg(relay_loom)]
        super::fence(Ordering::SeqCst);
        // SeqCst: see above.
        self.load(Ordering::SeqCst)
    }
}

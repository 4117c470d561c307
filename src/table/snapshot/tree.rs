//! A tree of summaries. A word above the leaves is the maximum, field by field, of the
//! words of the node below it, so that a search goes from the root to the best leaf.
//!
//! The shape is implicit: leaves lie in nodes of [`FANOUT`] words, and each word of
//! a level above stands for one node below.
//!
//! # Changes
//!
//! A word consists of fields and, above them, a version. A thread that changed what a
//! word depends on *settles* it:
//!
//! 1. read the word;
//! 2. compute the fields from what they depend on;
//! 3. swap them in, with the next version, if the word is still the same; else begin
//!    anew. The version changes also where the fields stay as they are.
//!
//! So a computation that began before another one was swapped in fails, and one that
//! begins later sees what the other thread had changed before (release and acquire, on
//! one word): a word is never set to fields from before a change whose settling has
//! ended. With plain swaps an updater that was held up between 2 and 3 could put old
//! fields over new ones where the word looks as it did before. (The tree is an f-array,
//! P. Jayanti, "f-arrays: implementation and applications", PODC 2002; versions stand
//! for its load-linked and store-conditional. A version has 15 bits or more: a thread
//! would have to sleep through exactly that many changes of a word, and find its fields
//! as they were.)
//!
//! A change of a leaf *climbs*: the word above is settled, and so on, until fields
//! do not change. That leaves each word as its children are once all have ended.
//!
//! A change by which something becomes available climbs to the root in any case.
//! Once it has ended, each word on its way says at least as much as the leaf, at
//! every moment, for as long as the leaf says it: a search that begins later and
//! sees less is impossible. It must not stop where a word needs no
//! change: another thread may have set that word and not the one above it yet.

use crate::sync::{AtomicU64, Ordering, Zeroable, ZeroedSlice, prefetch};
use std::marker::PhantomData;

/// Words in a node: as many as two cache lines hold.
pub(crate) const FANOUT: usize = if cfg!(relay_loom) { 2 } else { 16 };

/// The words of one node, copied, with their versions.
pub(crate) type Words = [u64; FANOUT];

/// What words say, and what a node says for its children.
pub(crate) trait Join {
    /// The bits of a word below its version.
    const FIELDS: u64;

    /// The fields of a node with these words; all zeros say nothing.
    fn join(words: Words) -> u64;
}

/// See the module's description.
pub(crate) struct Tree<J> {
    /// The leaves first.
    levels: Box<[ZeroedSlice<Node>]>,
    join: PhantomData<fn() -> J>,
}

/// Words on cache lines of their own.
#[repr(C, align(128))]
pub(crate) struct Node([AtomicU64; FANOUT]);

// SAFETY: atomics of integers, for which all zeros are valid.
unsafe impl Zeroable for Node {
    fn vacant() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::default()))
    }
}

impl Node {
    #[inline(always)]
    pub(crate) fn word(&self, at: usize) -> u64 {
        // Acquire: what is below, and the records, are at least as new.
        self.0[at].load(Ordering::Acquire)
    }

    #[inline(always)]
    pub(crate) fn words(&self) -> Words {
        std::array::from_fn(|at| self.word(at))
    }
}

/// Leaves below a node of this level.
pub(crate) const fn span(level: usize) -> usize {
    FANOUT.pow(level as u32 + 1)
}

impl<J: Join> Tree<J> {
    /// A tree for so many leaves, at least one; its root is one node, or with a
    /// *crown* one word.
    pub(crate) fn new(leaves: usize, has_single_root: bool) -> Self {
        let mut levels = Vec::new();
        let mut words = leaves.max(1);
        loop {
            let nodes = words.div_ceil(FANOUT);
            levels.push(ZeroedSlice::new_or_abort(nodes));
            if nodes == 1 && !(has_single_root && words > 1) {
                break;
            }
            words = nodes;
        }
        Self {
            levels: levels.into_boxed_slice(),
            join: PhantomData,
        }
    }

    /// The level of the root.
    #[inline(always)]
    pub(crate) fn top(&self) -> usize {
        self.levels.len() - 1
    }

    #[inline(always)]
    fn word(&self, level: usize, at: usize) -> &AtomicU64 {
        &self.levels[level][at / FANOUT].0[at % FANOUT]
    }

    /// Prefetches a leaf and its siblings, and those of the word above, which are read
    /// when the leaf changes. The levels above are few words.
    pub(crate) fn prefetch(&self, leaf: usize) {
        let mut at = leaf;
        for level in self.levels.iter().take(2) {
            at /= FANOUT;
            let Node(words) = &level[at];
            prefetch(&words[0]);
            prefetch(&words[FANOUT / 2]);
        }
    }

    /// The fields of a leaf.
    #[inline]
    pub(crate) fn leaf(&self, leaf: usize) -> u64 {
        // Acquire: with what a leaf says comes what it was computed from.
        self.word(0, leaf).load(Ordering::Acquire) & J::FIELDS
    }

    /// The fields of the first word of the root: all there is with a crown.
    #[inline(always)]
    pub(crate) fn root_fields(&self) -> u64 {
        // Acquire: as for a leaf.
        self.word(self.top(), 0).load(Ordering::Acquire) & J::FIELDS
    }

    /// The words of a node.
    #[inline(always)]
    pub(crate) fn words(&self, level: usize, node: usize) -> Words {
        self.node(level, node).words()
    }

    #[inline(always)]
    pub(crate) fn node(&self, level: usize, node: usize) -> &Node {
        &self.levels[level][node]
    }

    /// Sets a leaf to what `fields` computes, after a change of what that depends
    /// on, and climbs: to the root if `fully`, else as far as anything changes. The
    /// fields before and after.
    pub(crate) fn update(&self, leaf: usize, fully: bool, fields: impl Fn() -> u64) -> (u64, u64) {
        let (before, after) = self.settle(0, leaf, fields);
        if before != after || fully {
            self.climb(leaf, fully);
        }
        (before, after)
    }

    /// Sets a leaf, of a tree whose nodes are [joined](Self::join_all) later.
    pub(crate) fn set(&self, leaf: usize, fields: impl Fn() -> u64) -> (u64, u64) {
        self.settle(0, leaf, fields)
    }

    /// Settles every word above the leaves, from below.
    pub(crate) fn join_all(&self) {
        for level in 1..self.levels.len() {
            for at in 0..self.levels[level - 1].len() {
                self.settle(level, at, || J::join(self.words(level - 1, at)));
            }
        }
    }

    fn climb(&self, leaf: usize, fully: bool) {
        let mut at = leaf;
        for level in 1..self.levels.len() {
            at /= FANOUT;
            let (before, after) = self.settle(level, at, || J::join(self.words(level - 1, at)));
            if before == after && !fully {
                return;
            }
        }
    }

    /// See the module's description.
    fn settle(&self, level: usize, at: usize, fields: impl Fn() -> u64) -> (u64, u64) {
        let word = self.word(level, at);
        // Acquire: what is computed below sees what others changed before they swapped
        // in what is read here.
        let mut seen = word.load(Ordering::Acquire);
        loop {
            let after = fields();
            let next = (seen & !J::FIELDS).wrapping_add(J::FIELDS + 1) | after;
            // AcqRel: what others compute later sees what was changed before this.
            match word.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return (seen & J::FIELDS, after),
                Err(current) => seen = current,
            }
        }
    }
}

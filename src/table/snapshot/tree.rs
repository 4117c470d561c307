//! A tree of summaries. A word above the leaves is the join (the maximum of each field) of
//! the words of the node below it, so a search goes from the root to the best leaf.
//!
//! The shape is implicit: nodes have [`FANOUT`] words, and each word of a level above stands
//! for one node below.
//!
//! # Updates
//!
//! A word consists of fields and, above them, a version. A thread that changed what a word
//! depends on *recomputes* it:
//!
//! 1. read the word;
//! 2. compute the fields from what they depend on;
//! 3. by compare-and-swap, replace the word by these fields and the next version; if that
//!    fails, begin again. The version changes even if the fields do not.
//!
//! So step 3 fails if another thread has replaced the word since step 1. If step 1 reads
//! what another thread wrote in step 3, step 2 sees what that thread had changed before
//! (acquire and release on one word). Therefore a word is never set to fields from before a
//! change whose recomputation has ended. Without versions a thread that was delayed between
//! steps 2 and 3 could overwrite new fields by old ones.
//!
//! A thread that *raised* a word, so that no field is less than before, does not read the other
//! words of its node: in step 2 it joins the word above with the raised one. That says too much if
//! another thread has lowered the raised word meanwhile, and recomputed the word above before this
//! thread read it. So the thread reads the raised word once more after step 3. If its fields have
//! changed, it recomputes the word above from the whole node. If it lowers that, perhaps from what
//! another thread wrote, it goes on upwards as any thread that lowers a word. If the raised word is
//! lowered later, the thread that does so recomputes the word above after this thread wrote it.
//!
//! Above a word that says enough already, step 1 raises the version, by one addition, and the
//! others are left out. What other threads computed from before the addition fails as well, and
//! those that read the word later see the change. So threads that climb to the root mostly write
//! it by an addition, which never has to begin again.
//!
//! The tree is an f-array (P. Jayanti, "f-arrays: implementation and applications", PODC
//! 2002), with versions in place of load-linked and store-conditional. A version has 15 bits
//! or more. It fails to detect a change only if exactly 2^15 changes, or a multiple, happen
//! between steps 1 and 3, and leave the fields as they were.
//!
//! An update of a leaf *propagates*: the word above is recomputed, and so on, until fields
//! do not change. Once all updates have ended, each word is the join of its children.
//!
//! An update by which a relay becomes eligible propagates to the root in any case. Once it
//! has ended, each word on its way says at least as much as the leaf, for as long as the
//! leaf says it, so a search that begins later cannot miss the relay. Such an update must
//! not stop where a word needs no change: another thread may have set that word, and not yet
//! the one above.

use crate::footprint::Footprint;
use crate::sync::{AtomicU64, Ordering, Zeroable, ZeroedSlice, prefetch};
use std::marker::PhantomData;

/// Words in a node: as many as two cache lines hold.
pub(crate) const FANOUT: usize = if cfg!(relay_loom) { 2 } else { 16 };

/// The words of one node, copied, with their versions.
pub(crate) type Words = [u64; FANOUT];

/// The fields of words, and how the words of a node are joined.
pub(crate) trait Join {
    /// The bits of a word below its version.
    const FIELDS: u64;

    /// The maximum of each field of two words. Zero is the neutral element.
    fn join_two(one: u64, other: u64) -> u64;

    /// The fields of the word above a node, whose words `word` reads, in order.
    fn join(word: impl Fn(usize) -> u64) -> u64 {
        (0..FANOUT).fold(0, |joined, at| Self::join_two(joined, word(at)))
    }
}

/// See the module's description.
pub(crate) struct Tree<J> {
    /// The leaves first.
    levels: Box<[Level]>,
    join: PhantomData<fn() -> J>,
}

type Level = ZeroedSlice<Node>;

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
        // Acquire: the words below and the records are read as of this word, or later.
        self.0[at].load(Ordering::Acquire)
    }

    #[inline(always)]
    pub(crate) fn words(&self) -> Words {
        std::array::from_fn(|at| self.word(at))
    }

    #[inline(always)]
    fn joined<J: Join>(&self) -> u64 {
        J::join(|at| self.word(at))
    }
}

/// The number of leaves below a node of this level.
pub(crate) const fn span(level: usize) -> usize {
    FANOUT.pow(level as u32 + 1)
}

impl<J: Join> Tree<J> {
    /// What raises the version of a word by one.
    const VERSION: u64 = J::FIELDS + 1;

    /// A tree for so many leaves, at least one. Its root is one node, or one word if it
    /// `has_single_root`.
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

    pub(crate) fn footprint(&self) -> Footprint {
        let nodes = self.levels.iter().map(|level| level.len()).sum();
        Footprint::of_items::<Node>(nodes)
    }

    /// The level of the root.
    #[inline(always)]
    pub(crate) fn top(&self) -> usize {
        self.levels.len() - 1
    }

    #[inline(always)]
    fn word(level: &Level, at: usize) -> &AtomicU64 {
        &level[at / FANOUT].0[at % FANOUT]
    }

    /// Prefetches what is read when a leaf changes: the node of the leaf, and the one
    /// above. The levels above those are few words.
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
        Self::fields(&self.levels[0], leaf)
    }

    /// The fields of the root, if that is a single word.
    #[inline(always)]
    pub(crate) fn root_fields(&self) -> u64 {
        Self::fields(&self.levels[self.top()], 0)
    }

    #[inline(always)]
    fn fields(level: &Level, at: usize) -> u64 {
        // Acquire: this thread sees what the fields were computed from.
        Self::word(level, at).load(Ordering::Acquire) & J::FIELDS
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

    /// Recomputes a leaf, after a change of what its `fields` depend on, and propagates
    /// that: to the root if `to_root`, else as far as fields change. If they are `None`, the leaf
    /// stays as it is. Returns the fields of the leaf before and after.
    #[inline(always)]
    pub(crate) fn update(
        &self,
        leaf: usize,
        to_root: bool,
        fields: impl Fn() -> Option<u64>,
    ) -> (u64, u64) {
        let change = self.set(leaf, fields);
        if to_root || change.0 != change.1 {
            self.propagate(leaf, to_root, change);
        }
        change
    }

    /// [`update`](Self::update) for a tree whose nodes are [joined](Self::join_all) later.
    pub(crate) fn set(&self, leaf: usize, fields: impl Fn() -> Option<u64>) -> (u64, u64) {
        Self::recompute(&self.levels[0], leaf, fields)
    }

    /// Recomputes all words above the leaves, the lowest level first.
    pub(crate) fn join_all(&self) {
        for (level, above) in self.steps_upwards() {
            for (at, node) in level.iter().enumerate() {
                Self::recompute(above, at, || Some(node.joined::<J>()));
            }
        }
    }

    /// Each level with the one above, from the leaves on.
    #[inline(always)]
    fn steps_upwards(&self) -> impl Iterator<Item = (&Level, &Level)> {
        self.levels.iter().zip(&self.levels[1..])
    }

    /// Recomputes the words above a leaf whose fields were changed from the first to the second.
    fn propagate(&self, leaf: usize, to_root: bool, mut change: (u64, u64)) {
        let mut at = leaf;
        for step in self.steps_upwards() {
            let (before, after) = change;
            change = match J::join_two(before, after) == after {
                true => Self::raise(step, at, after, before == after),
                false => Self::recompute_above(step, at / FANOUT),
            };
            at /= FANOUT;
            if !to_root && change.0 == change.1 {
                return;
            }
        }
    }

    /// Recomputes the word above a node.
    #[inline(always)]
    fn recompute_above((level, above): (&Level, &Level), node: usize) -> (u64, u64) {
        let below = &level[node];
        Self::recompute(above, node, || Some(below.joined::<J>()))
    }

    /// Raises the word above the one at `below`, which has these `fields`: by a change of this
    /// thread, unless that word `is_unchanged`. See the module's description. Returns the fields of
    /// the word above before and after.
    #[inline(always)]
    fn raise(step: (&Level, &Level), below: usize, fields: u64, is_unchanged: bool) -> (u64, u64) {
        let (level, above) = step;
        let word = Self::word(above, below / FANOUT);
        let raised = |seen| J::join_two(seen, fields);
        let seen = match is_unchanged {
            // AcqRel: what is read below is as of the word that is read here, and computations of
            // others that read the word later see what this thread had changed.
            true => word
                .fetch_add(Self::VERSION, Ordering::AcqRel)
                .wrapping_add(Self::VERSION),
            // Acquire: what is read below is as of the word that is read here.
            false => word.load(Ordering::Acquire),
        };
        if is_unchanged && raised(seen) == seen & J::FIELDS {
            return (seen & J::FIELDS, seen & J::FIELDS);
        }
        let (before, after) = Self::replace(word, seen, |seen| Some(raised(seen)));
        if before == after || Self::fields(level, below) == fields {
            return (before, after);
        }
        let (replaced, corrected) = Self::recompute_above(step, below / FANOUT);
        // Another thread may have computed the word above from either.
        let most = J::join_two(after, replaced);
        match J::join_two(most, corrected) == corrected {
            true => (before, corrected),
            false => (most, corrected),
        }
    }

    /// See the module's description. Returns the fields before and after.
    #[inline(always)]
    fn recompute(level: &Level, at: usize, fields: impl Fn() -> Option<u64>) -> (u64, u64) {
        let word = Self::word(level, at);
        // Acquire: the computation sees what others had changed before they wrote the word that is
        // read here.
        let seen = word.load(Ordering::Acquire);
        Self::replace(word, seen, |_| fields())
    }

    /// Replaces the word that was `seen` by the fields that follow from it, if there are any, with
    /// the next version; again and again while other threads replace it. Returns the fields before
    /// and after.
    #[inline(always)]
    fn replace(word: &AtomicU64, mut seen: u64, fields: impl Fn(u64) -> Option<u64>) -> (u64, u64) {
        loop {
            let before = seen & J::FIELDS;
            let Some(after) = fields(seen) else {
                return (before, before);
            };
            let next = (seen & !J::FIELDS).wrapping_add(Self::VERSION) | after;
            // AcqRel: computations of others that read this word see what this thread had
            // changed before. Acquire on failure: as for the first reading.
            match word.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return (before, after),
                Err(current) => seen = current,
            }
        }
    }
}

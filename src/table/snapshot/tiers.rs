//! The trees of each tier.
//!
//! A relay is in the trees of its tier, and in those of no other. So a search for the best
//! relay of the lowest tier that has any goes from tier to tier, and what it pays for one
//! does not depend on the relays of the others.
//!
//! Most registries have one tier, 0, whose trees each part has from the start. Those of the
//! others are made when the first relay needs them.
//!
//! # How a relay moves from one tier to another
//!
//! The thread that changes the tier in the record touches the load of the record, and then
//! recomputes the leaf of the relay in the trees of the new tier, which it makes if there are
//! none, and in those of all others. A thread that changes something else recomputes the leaf
//! in the trees of the tier that it reads. So a leaf of the last tier can say that the relay
//! is there only until the first thread has recomputed it:
//!
//! - Each thread recomputes by what it reads in the record then. If it read the last tier and
//!   wrote its leaf, either the first thread recomputes that leaf later, or this thread's
//!   compare-and-swap fails, and it reads the new tier.
//! - A thread that makes trees touches the load before it recomputes. Of this touch and that of
//!   the first thread, one is the later. Either the first thread finds those trees, or this
//!   thread reads the new tier.
//!
//! The leaf in the new tier is there before that in the last one is gone, so a search that
//! goes upwards meets a relay that moves up. A relay that moves down may pass it:
//! [`Context`](super::context) counts moves, and a search that found no relay of a lower tier
//! looks again if the count has changed.

use crate::sync::{AtomicU64, OnceBox, Ordering};
use crate::table::snapshot::lanes::{BestChildren, best_children};
use crate::table::snapshot::leaf::Summary;
use crate::table::snapshot::tree::Tree;

/// The trees over the relays of one tier in one part of a snapshot. Their leaves are those of
/// the slots; where a slot has a relay of another tier, the leaf is empty.
pub(crate) struct TierTrees {
    pub(crate) summaries: Tree<Summary>,
    /// If positions are known: see [`leaf`](super::leaf).
    pub(crate) joint: Option<Tree<Summary>>,
}

impl TierTrees {
    pub(super) fn new(leaves: usize, has_positions: bool) -> Self {
        Self {
            summaries: Tree::new(leaves, false),
            joint: has_positions.then(|| Tree::new(leaves, false)),
        }
    }

    /// The words of the root that have the best score.
    #[inline(always)]
    pub(crate) fn root(&self) -> BestChildren {
        best_children(self.summaries.words(self.summaries.top(), 0))
    }

    /// Computes all words above the leaves.
    pub(super) fn join_all(&self) {
        self.summaries.join_all();
        if let Some(joint) = &self.joint {
            joint.join_all();
        }
    }
}

/// How many tiers there are above the lowest.
const HIGHER: usize = if cfg!(relay_loom) {
    2
} else {
    u8::MAX as usize
};

/// Trees of the tiers above the lowest, as far as any relay was there.
pub(super) struct HigherTiers {
    trees: [OnceBox<TierTrees>; HIGHER],
    made: TierSet,
}

/// Some tiers; a tier that was added stays.
#[derive(Debug, Default)]
pub(super) struct TierSet([AtomicU64; WORDS]);

const WORDS: usize = if cfg!(relay_loom) { 1 } else { 4 };

impl HigherTiers {
    pub(super) fn new() -> Self {
        Self {
            trees: std::array::from_fn(|_| OnceBox::new()),
            made: TierSet::default(),
        }
    }

    /// The trees of a tier above the lowest, if they were made.
    #[inline]
    pub(super) fn get(&self, tier: u8) -> Option<&TierTrees> {
        self.trees[usize::from(tier) - 1].get()
    }

    /// The same, made by `make` unless there are any; `on_made` is called after that.
    pub(super) fn get_or_make(
        &self,
        tier: u8,
        make: impl FnOnce() -> TierTrees,
        on_made: impl FnOnce(),
    ) -> &TierTrees {
        if let Some(trees) = self.get(tier) {
            return trees;
        }
        // First: a thread that finds the trees also finds them among all.
        self.made.add(tier);
        let trees = self.trees[usize::from(tier) - 1].get_or_init(make);
        on_made();
        trees
    }

    /// The trees that were made, the lowest tier first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u8, &TierTrees)> {
        let made = self.made.iter();
        made.filter_map(|tier| Some((tier, self.get(tier)?)))
    }
}

impl TierSet {
    pub(super) fn add(&self, tier: u8) {
        let (word, bit) = (&self.0[usize::from(tier) / 64], 1 << (tier % 64));
        // Relaxed: a hint. AcqRel: a thread that sees the bit sees what came before.
        if word.load(Ordering::Relaxed) & bit == 0 {
            word.fetch_or(bit, Ordering::AcqRel);
        }
    }

    /// In ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u8> {
        (0..).zip(&self.0).flat_map(|(at, word)| {
            // Acquire: see `add`.
            let mut left = word.load(Ordering::Acquire);
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros();
                (left != 0).then(|| {
                    left &= left - 1;
                    (at * 64 + bit) as u8
                })
            })
        })
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_tiers_is_in_order() {
        let set = TierSet::default();
        assert_eq!(set.iter().count(), 0);
        for tier in [200, 3, 64, 0, 255, 63, 3] {
            set.add(tier);
        }
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 3, 63, 64, 200, 255]);
    }
}

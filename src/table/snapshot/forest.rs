//! The trees over the relays of one part of a snapshot, or over those that pass a filter: one
//! set of trees for each tier.
//!
//! A relay is in the trees of its tier, and in those of no other. So a search for the best
//! relay of the lowest tier that has any goes from tier to tier, and what it pays for one
//! does not depend on the relays of the others. In the same way a forest for a filter has the
//! relays that pass it, and a find with that filter does not pay for the others.
//!
//! Most registries have one tier, 0, whose trees each forest has from the start. Those of the
//! others are made when the first relay needs them. Forests for filters are made with their
//! part; see [`filters`](super::filters).
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
//! - A thread that recomputes in a higher tier touches the load after it has made or found the
//!   trees there. Of this touch and that of the first thread, one is the later. Either the first
//!   thread finds those trees, or this thread reads the new tier.
//!
//! The leaf in the new tier is there before that in the last one is gone, so a search that
//! goes upwards meets a relay that moves up. A relay that moves down may pass it:
//! [`Context`] counts moves, and a search whose answer is not of the lowest tier looks again if
//! the count has changed.
//!
//! The same holds for a relay that passes a filter by another announcement, or no longer.

use crate::footprint::Footprint;
use crate::relay::Rejection;
use crate::sync::{AtomicU32, AtomicU64, OnceBox, Ordering, Padded, thread_index};
use crate::table::record::Subject;
use crate::table::snapshot::context::Context;
use crate::table::snapshot::filters::FilterId;
use crate::table::snapshot::free_units::FreeUnits;
use crate::table::snapshot::lanes::{BestChildren, best_children};
use crate::table::snapshot::leaf::{Leaf, Summary, SummaryWord};
use crate::table::snapshot::leaf_state::{LeafState, StateCounts};
use crate::table::snapshot::leaves::Leaves;
use crate::table::snapshot::tree::Tree;
use crate::time::Tick;

/// See the module's description.
pub(crate) struct Forest {
    /// `None` if all relays of the part are here.
    pub(super) filter: Option<FilterId>,
    /// The trees of tier 0.
    pub(crate) lowest: TierTrees,
    /// Allocated when the first relay is in any other tier.
    higher: OnceBox<HigherTiers>,
    /// How many relays are in each state, by its number; that of [`VACANT`] says nothing. They are
    /// in several stripes. Each of the first half belongs to one thread, by its number, and is
    /// written by plain stores. The other threads share the second half.
    counts: Box<[Padded<[AtomicU32; StateCounts::LEN]>]>,
}

/// The trees over the relays of one tier. Their leaves are those of the slots; where a slot
/// has another relay, the leaf is empty.
pub(crate) struct TierTrees {
    pub(crate) summaries: Tree<Summary>,
    /// If positions are known: see [`leaf`](super::leaf).
    pub(crate) joint: Option<Tree<Summary>>,
    /// If calls had asked for several units when the part was made.
    pub(crate) free_units: Option<Box<FreeUnits>>,
}

/// What the trees of a part have in common.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) slots: usize,
    pub(super) has_positions: bool,
    /// See [`free_units`](super::free_units).
    pub(super) most_free_units: u32,
}

/// What the leaves of a relay in a part are computed from.
#[derive(Clone, Copy)]
pub(super) struct LeafSource<'a> {
    pub(super) slot: usize,
    pub(super) leaves: &'a Leaves,
    pub(super) subject: &'a Subject<'a>,
    pub(super) context: &'a Context,
}

/// The number of the state of a slot without a relay.
const VACANT: usize = LeafState::Vacant.number();

impl LeafSource<'_> {
    /// What the record says at a tick; `None` if the relay has left the slot.
    #[inline(always)]
    pub(super) fn leaf_at(&self, tick: Tick) -> Option<Leaf> {
        let bins = self.leaves.precision.bins;
        self.is_there()
            .then(|| Leaf::of(self.subject, self.context, bins, tick))
    }

    #[inline(always)]
    fn is_there(&self) -> bool {
        self.leaves.at(self.slot) == Some(self.subject.handle)
    }

    /// The fields of the leaf in the summary tree of a tier, in a forest for a filter.
    #[inline(always)]
    fn summary(&self, tier: u8, filter: Option<FilterId>) -> Option<u64> {
        match self.subject.is_in(tier, filter) {
            true => Some(self.leaf_at(self.context.leaf_tick())?.summary),
            false => self.is_there().then_some(0),
        }
    }

    /// The fields of the tree of free units.
    fn free_units(&self, tier: u8, filter: Option<FilterId>, free: &FreeUnits) -> Option<u64> {
        let state = SummaryWord(self.summary(tier, filter)?).state();
        Some(free.fields(state, self.subject.record.load()))
    }

    fn shape(&self) -> Shape {
        Shape {
            slots: self.leaves.len(),
            has_positions: self.leaves.geometry.is_some(),
            most_free_units: self.leaves.precision.most_free_units,
        }
    }

    #[inline(always)]
    pub(super) fn passes(&self, filter: Option<FilterId>) -> bool {
        filter.is_none_or(|filter| self.subject.passes(filter))
    }

    /// The word of the joint tree that follows from the summary of a leaf.
    fn joint(&self, trees: &TierTrees) -> u64 {
        let summary = SummaryWord(trees.summaries.leaf(self.slot));
        let geometry = self.leaves.geometry.as_ref();
        let height = geometry.map_or(0.0, |geometry| geometry.height(self.slot));
        let bins = self.leaves.precision.bins;
        summary.joint(bins, &self.context.settings, height)
    }
}

impl Forest {
    /// With so many stripes of counts, a power of two.
    pub(super) fn new(filter: Option<FilterId>, shape: Shape, stripes: usize) -> Self {
        Self {
            filter,
            lowest: TierTrees::new(shape),
            higher: OnceBox::new(),
            counts: (0..stripes).map(|_| Padded::default()).collect(),
        }
    }

    /// Without itself, for it is in a part.
    pub(super) fn footprint(&self) -> Footprint {
        let higher = self.higher.get().map(|_| Footprint::of::<HigherTiers>());
        let trees = self.each_tier().map(|(tier, trees)| match tier {
            0 => trees.footprint(),
            _ => Footprint::of::<TierTrees>() + trees.footprint(),
        });
        higher.into_iter().chain(trees).sum()
    }

    /// The trees of a tier, if any relay was there.
    #[inline]
    pub(super) fn trees(&self, tier: u8) -> Option<&TierTrees> {
        match tier {
            0 => Some(&self.lowest),
            _ => self.higher.get()?.get(tier),
        }
    }

    /// The trees of the tier of a relay, to recompute its leaf there; above the lowest tier, its
    /// record is touched.
    #[inline(always)]
    fn trees_of(&self, source: &LeafSource<'_>) -> (u8, &TierTrees) {
        match source.subject.tier() {
            0 => (0, &self.lowest),
            tier => (tier, self.higher_trees_of(source, tier)),
        }
    }

    #[cold]
    fn higher_trees_of(&self, source: &LeafSource<'_>, tier: u8) -> &TierTrees {
        let higher = self.higher.get_or_init(HigherTiers::new);
        let trees = higher.get_or_make(tier, || TierTrees::new(source.shape()));
        // Also if another thread made them, perhaps for another relay.
        source.subject.record.touch_load();
        trees
    }

    /// The trees of all tiers in which any relay was, the lowest first.
    pub(super) fn each_tier(&self) -> impl Iterator<Item = (u8, &TierTrees)> {
        let higher = self.higher.get().into_iter();
        let higher = higher.flat_map(HigherTiers::iter);
        std::iter::once((0, &self.lowest)).chain(higher)
    }

    /// Whether the leaf of a relay says that it departed.
    #[inline(always)]
    pub(super) fn hides(&self, source: &LeafSource<'_>) -> bool {
        // The word of a rejected relay has nothing but the state.
        let departed = const { LeafState::Rejected(Rejection::Departed).number() as u64 };
        let trees = self.trees(source.subject.tier());
        trees.is_some_and(|trees| trees.summaries.leaf(source.slot) == departed)
    }

    /// Recomputes the leaf of a relay, and the words above as far as they change; up to the
    /// root if `to_root`.
    #[inline(always)]
    pub(super) fn refresh(&self, source: &LeafSource<'_>, to_root: bool) {
        let (tier, trees) = self.trees_of(source);
        self.refresh_in((tier, trees), source, to_root);
        if to_root && self.higher.get().is_some() {
            let others = self.each_tier().filter(|&(other, _)| other != tier);
            others.for_each(|other| self.refresh_in(other, source, false));
        }
    }

    /// Recomputes the leaf of a relay in the trees of one tier, which may not be its own.
    #[inline(always)]
    fn refresh_in(&self, (tier, trees): (u8, &TierTrees), source: &LeafSource<'_>, to_root: bool) {
        let summary = || source.summary(tier, self.filter);
        let (before, after) = trees.summaries.update(source.slot, to_root, summary);
        self.recount(before, after);
        if let Some(joint) = trees.joint.as_ref().filter(|_| to_root || before != after) {
            joint.update(source.slot, to_root, || Some(source.joint(trees)));
        }
        // Also if the summary is the same: free units change more often.
        if let Some(free) = &trees.free_units {
            let fields = || source.free_units(tier, self.filter, free);
            free.update(source.slot, to_root, fields);
        }
    }

    /// [`refresh`](Self::refresh) for trees that are [joined](Self::join_all) later.
    pub(super) fn refresh_leaf(&self, source: &LeafSource<'_>) {
        let (tier, trees) = self.trees_of(source);
        let summary = || source.summary(tier, self.filter);
        let (before, after) = trees.summaries.set(source.slot, summary);
        self.recount(before, after);
        if let Some(joint) = &trees.joint {
            joint.set(source.slot, || Some(source.joint(trees)));
        }
        if let Some(free) = &trees.free_units {
            free.set(source.slot, || source.free_units(tier, self.filter, free));
        }
    }

    /// Zeroes the leaf of a slot, while `is_vacant` says that there is no relay.
    #[inline(always)]
    pub(super) fn clear(&self, slot: usize, is_vacant: impl Fn() -> bool) {
        self.clear_in(&self.lowest, slot, &is_vacant);
        if let Some(higher) = self.higher.get() {
            let each = higher.iter();
            each.for_each(|(_, trees)| self.clear_in(trees, slot, &is_vacant));
        }
    }

    #[inline(always)]
    fn clear_in(&self, trees: &TierTrees, slot: usize, is_vacant: &impl Fn() -> bool) {
        let zero = || is_vacant().then_some(0);
        let (before, after) = trees.summaries.update(slot, false, zero);
        self.recount(before, after);
        if let Some(joint) = &trees.joint {
            joint.update(slot, false, zero);
        }
        if let Some(free) = &trees.free_units {
            free.update(slot, false, zero);
        }
    }

    /// Computes all words above the leaves.
    pub(super) fn join_all(&self) {
        self.each_tier().for_each(|(_, trees)| trees.join_all());
    }

    #[inline(always)]
    fn recount(&self, before: u64, after: u64) {
        let number = |word| SummaryWord(word).state_number();
        let (before, after) = (number(before), number(after));
        if before == after {
            return;
        }
        let thread = thread_index();
        let (owned, shared) = self.counts.split_at(self.counts.len() / 2);
        // Relaxed, six times: see `counts`.
        if let Some(own) = owned.get(thread) {
            let (before, after) = (&own[before], &own[after]);
            let left = before.load(Ordering::Relaxed).wrapping_sub(1);
            before.store(left, Ordering::Relaxed);
            let come = after.load(Ordering::Relaxed).wrapping_add(1);
            after.store(come, Ordering::Relaxed);
        } else {
            let stripe = &shared[thread & (shared.len() - 1)];
            stripe[before].fetch_sub(1, Ordering::Relaxed);
            stripe[after].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many relays are in each state.
    #[inline]
    pub(crate) fn counts(&self) -> StateCounts {
        let mut sums = [0_i32; StateCounts::LEN];
        for stripe in self.counts.iter() {
            for (sum, count) in sums.iter_mut().zip(&**stripe) {
                // Relaxed: nothing is read by way of a count.
                *sum = sum.wrapping_add(count.load(Ordering::Relaxed) as i32);
            }
        }
        // A sum is below zero for a moment if one thread counts a relay out before another has
        // counted it in. A count alone may be below zero for long.
        sums[VACANT] = 0;
        StateCounts(sums.map(|sum| sum.max(0) as usize))
    }

    /// The leaf of a slot in the summary tree of each tier.
    pub(super) fn leaves_at(&self, slot: usize) -> impl Iterator<Item = (u8, u64)> {
        let tiers = self.each_tier();
        tiers.map(move |(tier, trees)| (tier, trees.summaries.leaf(slot)))
    }

    /// The state of the relay in a slot, by its leaf in the lowest tier that has one.
    pub(super) fn state_at(&self, slot: usize) -> LeafState {
        let words = self.leaves_at(slot).map(|(_, word)| word);
        let mut words = words.filter(|&word| word != 0);
        SummaryWord(words.next().unwrap_or(0)).state()
    }
}

impl TierTrees {
    fn new(shape: Shape) -> Self {
        let Shape {
            slots,
            has_positions,
            most_free_units: most,
        } = shape;
        Self {
            summaries: Tree::new(slots, false),
            joint: has_positions.then(|| Tree::new(slots, false)),
            free_units: (most > 1).then(|| Box::new(FreeUnits::new(slots, most))),
        }
    }

    fn footprint(&self) -> Footprint {
        let Self {
            summaries,
            joint,
            free_units,
        } = self;
        let joint = joint.iter().map(Tree::footprint);
        let free_units = free_units.iter().map(|free| free.footprint());
        joint.chain(free_units).sum::<Footprint>() + summaries.footprint()
    }

    /// The words of the root that have the best score.
    #[inline(always)]
    pub(crate) fn root(&self) -> BestChildren {
        best_children(self.summaries.words(self.summaries.top(), 0))
    }

    /// Whether the words of the root say that no relay is eligible.
    #[inline(always)]
    pub(crate) fn are_empty(&self) -> bool {
        let root = self.summaries.words(self.summaries.top(), 0);
        let any = root.iter().fold(0, |any, word| any | word);
        SummaryWord(any).score_rank() == 0
    }

    /// Computes all words above the leaves.
    pub(super) fn join_all(&self) {
        self.summaries.join_all();
        if let Some(joint) = &self.joint {
            joint.join_all();
        }
        if let Some(free) = &self.free_units {
            free.join_all();
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

    /// The same, made by `make` unless there are any.
    pub(super) fn get_or_make(&self, tier: u8, make: impl FnOnce() -> TierTrees) -> &TierTrees {
        if let Some(trees) = self.get(tier) {
            return trees;
        }
        // First: a thread that finds the trees also finds them among all.
        self.made.add(tier);
        self.trees[usize::from(tier) - 1].get_or_init(make)
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

    #[inline]
    pub(super) fn are_any(&self) -> bool {
        // Relaxed: a relay that was there before the call began is seen.
        self.0.iter().any(|word| word.load(Ordering::Relaxed) != 0)
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

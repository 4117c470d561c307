//! Some relays, each in a slot, and the trees over them.

use crate::relay::Rejection;
use crate::sync::{AtomicU32, AtomicU64, OnceBox, Ordering, Padded, ZeroedSlice, prefetch};
use crate::table::record::{Handle, Subject};
use crate::table::snapshot::context::Context;
use crate::table::snapshot::geometry::Geometry;
use crate::table::snapshot::leaf::{Leaf, SummaryWord};
use crate::table::snapshot::leaf_state::{LeafState, StateCounts};
use crate::table::snapshot::score::Bins;
use crate::table::snapshot::suspended::Suspended;
use crate::table::snapshot::tiers::{HigherTiers, TierTrees};
use crate::table::snapshot::tree::FANOUT;
use crate::time::Tick;

/// See the module's description.
pub(crate) struct Leaves {
    /// Handles, [packed](pack).
    slots: ZeroedSlice<AtomicU64>,
    /// The trees of tier 0.
    pub(crate) lowest: TierTrees,
    /// Allocated when the first relay is in any other tier.
    higher: OnceBox<HigherTiers>,
    /// Allocated when the first relay is suspended.
    suspended: OnceBox<Suspended>,
    /// How many relays are in each state, by its number.
    counts: Padded<[AtomicU32; StateCounts::LEN]>,
    pub(crate) bins: Bins,
    /// Where the relays are, if the position of any is known.
    pub(crate) geometry: Option<Geometry>,
}

/// The relays of one tier in a part.
#[derive(Clone, Copy)]
pub(crate) struct TierPart<'a> {
    pub(crate) leaves: &'a Leaves,
    pub(crate) trees: &'a TierTrees,
}

/// A slot that is not filled yet.
const EMPTY: u64 = 0;
/// A slot that was closed before it was filled.
const CLOSED: u64 = u64::MAX;

/// Indices are below 2^31, so neither [`EMPTY`] nor [`CLOSED`] is a handle.
fn pack(handle: Handle) -> u64 {
    u64::from(handle.generation) << 32 | u64::from(handle.index + 1)
}

fn unpack(entry: u64) -> Option<Handle> {
    match entry {
        EMPTY | CLOSED => None,
        _ => Some(Handle {
            index: entry as u32 - 1,
            generation: (entry >> 32) as u32,
        }),
    }
}

impl Leaves {
    pub(crate) fn new(slots: usize, bins: Bins) -> Self {
        Self {
            slots: ZeroedSlice::new_or_abort(slots.max(1)),
            lowest: TierTrees::new(slots, false),
            higher: OnceBox::new(),
            suspended: OnceBox::new(),
            counts: Padded::default(),
            bins,
            geometry: None,
        }
    }

    /// Before any leaf is computed.
    pub(super) fn locate(&mut self, geometry: Geometry) {
        self.lowest = TierTrees::new(self.len(), true);
        self.geometry = Some(geometry);
    }

    /// The relays of one tier, if there may be any.
    #[inline]
    pub(crate) fn tier(&self, tier: u8) -> Option<TierPart<'_>> {
        let trees = self.trees(tier)?;
        Some(TierPart {
            leaves: self,
            trees,
        })
    }

    #[inline]
    fn trees(&self, tier: u8) -> Option<&TierTrees> {
        match tier {
            0 => Some(&self.lowest),
            _ => self.higher.get()?.get(tier),
        }
    }

    /// The trees of the tier of a relay; if they are made here, its record is touched.
    #[inline]
    fn trees_of(&self, subject: &Subject<'_>) -> (u8, &TierTrees) {
        match subject.tier() {
            0 => (0, &self.lowest),
            tier => (tier, self.higher_trees_of(subject, tier)),
        }
    }

    fn higher_trees_of(&self, subject: &Subject<'_>, tier: u8) -> &TierTrees {
        let higher = self.higher.get_or_init(HigherTiers::new);
        let make = || TierTrees::new(self.len(), self.geometry.is_some());
        higher.get_or_make(tier, make, || {
            subject.record.touch_load();
        })
    }

    /// The trees of all tiers in which any relay was, the lowest first.
    pub(super) fn each_tier(&self) -> impl Iterator<Item = (u8, &TierTrees)> {
        let higher = self.higher.get().into_iter();
        let higher = higher.flat_map(HigherTiers::iter);
        std::iter::once((0, &self.lowest)).chain(higher)
    }

    /// The words of a node in the summary tree of each tier.
    pub(crate) fn summaries_of_tiers(
        &self,
        level: usize,
        node: usize,
    ) -> impl Iterator<Item = [SummaryWord; FANOUT]> {
        self.each_tier()
            .map(move |(_, trees)| trees.summaries.words(level, node).map(SummaryWord))
    }

    /// The level of the root of each tree.
    #[inline]
    pub(crate) fn top(&self) -> usize {
        self.lowest.summaries.top()
    }

    /// How many slots there are, filled or not.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The relay in a slot, if there is one.
    #[inline]
    pub(crate) fn at(&self, slot: usize) -> Option<Handle> {
        // Acquire: with the handle, this thread sees the record.
        unpack(self.slots.get(slot)?.load(Ordering::Acquire))
    }

    /// Puts a relay into a slot; false if that was closed.
    pub(super) fn put(&self, slot: usize, handle: Handle) -> bool {
        // Release: readers of the handle see the record. Relaxed: on failure nothing is read.
        self.slots[slot]
            .compare_exchange(EMPTY, pack(handle), Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }

    /// Prefetches a slot that will be filled soon, and the words above it.
    pub(super) fn prefetch(&self, slot: usize) {
        prefetch(&self.slots[slot]);
        self.lowest.summaries.prefetch(slot);
    }

    /// Closes a slot, unless it is filled.
    pub(super) fn close(&self, slot: usize) {
        // Acquire: with the handle in a filled slot, this thread sees the record. Release is not
        // needed.
        let _ =
            self.slots[slot].compare_exchange(EMPTY, CLOSED, Ordering::AcqRel, Ordering::Acquire);
    }

    /// How many relays are in each state.
    #[inline]
    pub(crate) fn counts(&self) -> StateCounts {
        StateCounts(std::array::from_fn(|state| {
            // Relaxed: nothing is read by way of a count. It is below zero for a moment if
            // one thread counts a relay out before another has counted it in.
            let count = self.counts[state].load(Ordering::Relaxed);
            (count as i32).max(0) as usize
        }))
    }

    /// Recomputes the leaf of a relay, after its record changed, and the words above as far as
    /// they change; up to the root if `to_root`, which a relay that becomes eligible needs.
    ///
    /// 1. If the leaf hides a relay that is past its deadline, and the change made no relay
    ///    eligible, there is nothing to do: a renewal that follows refreshes the leaf itself.
    /// 2. If the relay is suspended, the trees of suspensions are told when that ends.
    /// 3. The summary is recomputed, and the words above; the states are counted. Then the
    ///    tree for pairs, if this part has one.
    /// 4. If the trees of suspensions do not agree with the record now, they are corrected.
    ///
    /// A search is to see at every moment that a relay is eligible, or that its suspension is
    /// due. So step 2 comes before step 3, and step 4 takes a suspension out only after the
    /// root has the summary.
    pub(crate) fn refresh(
        &self,
        slot: usize,
        subject: &Subject<'_>,
        context: &Context,
        to_root: bool,
    ) {
        // The word of a rejected relay has nothing but the state.
        let departed = const { LeafState::Rejected(Rejection::Departed).number() as u64 };
        let (_, trees) = self.trees_of(subject);
        let is_hidden = trees.summaries.leaf(slot) == departed;
        if !to_root && is_hidden && subject.record.is_late(context.leaf_tick()) {
            return;
        }
        if context.may_have_suspended() {
            self.begin_suspension(slot, subject, context);
        }
        self.refresh_summary(slot, subject, context, to_root);
        if context.may_have_suspended() {
            self.correct_suspension(slot, subject, context);
        }
    }

    /// [`refresh`](Self::refresh) for a leaf of trees that are [joined](Self::join_all)
    /// later.
    pub(super) fn refresh_leaf(&self, slot: usize, subject: &Subject<'_>, context: &Context) {
        if context.may_have_suspended() {
            self.begin_suspension(slot, subject, context);
        }
        let (tier, trees) = self.trees_of(subject);
        let summary = || self.summary_in(tier, subject, context);
        let (before, after) = trees.summaries.set(slot, summary);
        self.recount(before, after);
        if let Some(joint) = &trees.joint {
            joint.set(slot, || self.joint_of(trees, slot, context));
        }
        if context.may_have_suspended() {
            self.correct_suspension(slot, subject, context);
        }
    }

    #[inline(always)]
    fn refresh_summary(
        &self,
        slot: usize,
        subject: &Subject<'_>,
        context: &Context,
        to_root: bool,
    ) {
        let (tier, trees) = self.trees_of(subject);
        self.refresh_in((tier, trees), slot, subject, context, to_root);
        if to_root && self.higher.get().is_some() {
            let others = self.each_tier().filter(|&(other, _)| other != tier);
            for other in others {
                self.refresh_in(other, slot, subject, context, false);
            }
        }
    }

    /// Recomputes the leaf of a relay in the trees of one tier, which may not be its own.
    #[inline(always)]
    fn refresh_in(
        &self,
        (tier, trees): (u8, &TierTrees),
        slot: usize,
        subject: &Subject<'_>,
        context: &Context,
        to_root: bool,
    ) {
        let summary = || self.summary_in(tier, subject, context);
        let (before, after) = trees.summaries.update(slot, to_root, summary);
        self.recount(before, after);
        if let Some(joint) = trees.joint.as_ref().filter(|_| to_root || before != after) {
            joint.update(slot, to_root, || self.joint_of(trees, slot, context));
        }
    }

    /// The fields of the leaf of a relay in the summary tree of a tier.
    #[inline(always)]
    fn summary_in(&self, tier: u8, subject: &Subject<'_>, context: &Context) -> u64 {
        match subject.tier() == tier {
            true => self.leaf_now(subject, context).summary,
            false => 0,
        }
    }

    /// Computes all words above the leaves.
    pub(super) fn join_all(&self) {
        self.each_tier().for_each(|(_, trees)| trees.join_all());
    }

    /// Before the summary: the trees of suspensions have a relay that is suspended.
    ///
    /// Here and below, the words are computed as of one tick. If that has passed meanwhile, a
    /// suspension is due that has ended, and the next find takes it out.
    fn begin_suspension(&self, slot: usize, subject: &Subject<'_>, context: &Context) {
        let tick = context.leaf_tick();
        let leaf = || self.leaf_at(subject, context, tick);
        if leaf().due != 0 {
            self.refresh_suspension(slot, leaf);
        }
    }

    /// After the summary: whichever thread changed that, the trees of suspensions have a
    /// relay that is suspended by now, and do not have one that is not.
    fn correct_suspension(&self, slot: usize, subject: &Subject<'_>, context: &Context) {
        let tick = context.leaf_tick();
        let leaf = || self.leaf_at(subject, context, tick);
        let Leaf { due, since, .. } = leaf();
        if self.suspension_at(slot) == (due, since) {
            return;
        }
        if due == 0 {
            // The thread that changed the summary may not have climbed to the root yet.
            self.refresh_summary(slot, subject, context, true);
        }
        self.refresh_suspension(slot, leaf);
    }

    fn suspension_at(&self, slot: usize) -> (u64, u64) {
        self.suspended()
            .map_or((0, 0), |suspended| suspended.leaf(slot))
    }

    fn refresh_suspension(&self, slot: usize, leaf: impl Fn() -> Leaf) {
        let Leaf { due, since, .. } = leaf();
        let trees = self.suspended.get_or_init(|| Suspended::new(self.len()));
        // To the root, also if another thread has set the leaf: it may not have climbed yet.
        trees.due.update(slot, due != 0, || leaf().due);
        trees.since.update(slot, since != 0, || leaf().since);
    }

    /// The word of the joint tree that follows from the summary of a leaf.
    fn joint_of(&self, trees: &TierTrees, slot: usize, context: &Context) -> u64 {
        let summary = SummaryWord(trees.summaries.leaf(slot));
        let geometry = self.geometry.as_ref();
        let height = geometry.map_or(0.0, |geometry| geometry.height(slot));
        summary.joint(self.bins, &context.settings, height)
    }

    fn leaf_now(&self, subject: &Subject<'_>, context: &Context) -> Leaf {
        self.leaf_at(subject, context, context.leaf_tick())
    }

    fn leaf_at(&self, subject: &Subject<'_>, context: &Context, tick: Tick) -> Leaf {
        Leaf::of(subject, context, self.bins, tick)
    }

    fn recount(&self, before: u64, after: u64) {
        let number = |word| SummaryWord(word).state_number();
        let (before, after) = (number(before), number(after));
        if before != after {
            // Relaxed: see `counts`.
            self.counts[before].fetch_sub(1, Ordering::Relaxed);
            self.counts[after].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The trees of suspended relays, once there was any.
    #[inline(always)]
    pub(crate) fn suspended(&self) -> Option<&Suspended> {
        self.suspended.get()
    }

    /// Whether any suspension has ended at `tick`.
    #[inline(always)]
    pub(crate) fn are_due(&self, tick: Tick) -> bool {
        self.suspended()
            .is_some_and(|suspended| suspended.are_due(tick))
    }

    /// The state of the relay in a slot, by its leaf in the lowest tier that has one.
    pub(crate) fn state_at(&self, slot: usize) -> LeafState {
        let words = self.leaves_at(slot).map(|(_, word)| word);
        let mut words = words.filter(|&word| word != 0);
        SummaryWord(words.next().unwrap_or(0)).state()
    }

    /// The leaf of a slot in the summary tree of each tier.
    pub(super) fn leaves_at(&self, slot: usize) -> impl Iterator<Item = (u8, u64)> {
        let tiers = self.each_tier();
        tiers.map(move |(tier, trees)| (tier, trees.summaries.leaf(slot)))
    }

    /// The first slot from `from` on whose relay is suspended.
    pub(crate) fn suspended_from(&self, from: usize) -> Option<usize> {
        self.suspended()?.first_from(from)
    }

    /// The slot of a relay whose suspension has ended at `tick`.
    pub(crate) fn due_at(&self, tick: Tick) -> Option<usize> {
        self.suspended()?.due_at(tick)
    }
}

//! Some relays, each in a slot, and the trees over them.

use crate::footprint::Footprint;
use crate::sync::{AtomicU64, OnceBox, Ordering, ZeroedSlice, prefetch};
use crate::table::record::{Handle, Subject};
use crate::table::snapshot::context::Context;
use crate::table::snapshot::filters::FilterId;
use crate::table::snapshot::forest::{Forest, LeafSource, Shape, TierTrees};
use crate::table::snapshot::geometry::Geometry;
use crate::table::snapshot::leaf::{Leaf, SummaryWord};
use crate::table::snapshot::leaf_state::LeafState;
use crate::table::snapshot::score::Bins;
use crate::table::snapshot::suspended::Suspended;
use crate::table::snapshot::tree::FANOUT;
use crate::time::Tick;

/// See the module's description.
pub(crate) struct Leaves {
    /// Handles, [packed](pack).
    slots: ZeroedSlice<AtomicU64>,
    /// The trees over all relays.
    pub(crate) all: Forest,
    /// Those over the relays that pass a filter.
    filtered: Box<[Forest]>,
    /// Allocated when the first relay is suspended.
    suspended: OnceBox<Suspended>,
    pub(crate) precision: Precision,
    /// Where the relays are, if the position of any is known.
    pub(crate) geometry: Option<Geometry>,
}

/// How finely the trees of a part tell relays apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Precision {
    pub(crate) bins: Bins,
    /// Up to how many [free units](super::free_units) they count; with 1, no tree does.
    pub(crate) most_free_units: u32,
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
    /// With a forest for each of these filters, and so many stripes of counts.
    pub(crate) fn new(
        slots: usize,
        precision: Precision,
        filters: impl Iterator<Item = FilterId>,
        geometry: Option<Geometry>,
        stripes: usize,
    ) -> Self {
        let shape = Shape {
            slots,
            has_positions: geometry.is_some(),
            most_free_units: precision.most_free_units,
        };
        let forest = |filter| Forest::new(filter, shape, stripes);
        Self {
            slots: ZeroedSlice::new_or_abort(slots.max(1)),
            all: forest(None),
            filtered: filters.map(|filter| forest(Some(filter))).collect(),
            suspended: OnceBox::new(),
            precision,
            geometry,
        }
    }

    /// Without itself, for it is in a base or a run.
    pub(super) fn footprint(&self) -> Footprint {
        let Self {
            slots,
            all,
            filtered,
            suspended,
            precision: _,
            geometry,
        } = self;
        let filtered: Footprint = filtered
            .iter()
            .map(|forest| Footprint::of::<Forest>() + forest.footprint())
            .sum();
        let suspended = suspended.get().map(Suspended::footprint);
        let geometry = geometry.as_ref().map(Geometry::footprint);
        Footprint::of_items::<AtomicU64>(slots.len())
            + all.footprint()
            + filtered
            + suspended.into_iter().chain(geometry).sum()
    }

    /// The relays of one tier, if there may be any: of those that pass a filter, where there
    /// is a forest for it.
    #[inline]
    pub(crate) fn tier(&self, tier: u8, filter: Option<FilterId>) -> Option<TierPart<'_>> {
        let forest = filter.and_then(|filter| self.forest(filter));
        let trees = forest.unwrap_or(&self.all).trees(tier)?;
        Some(TierPart {
            leaves: self,
            trees,
        })
    }

    /// The forest for a filter.
    pub(crate) fn forest(&self, filter: FilterId) -> Option<&Forest> {
        let mut forests = self.filtered.iter();
        forests.find(|forest| forest.filter == Some(filter))
    }

    /// The trees of all tiers in which any relay was, the lowest first.
    pub(crate) fn each_tier(&self) -> impl Iterator<Item = &TierTrees> {
        self.all.each_tier().map(|(_, trees)| trees)
    }

    /// The words of a node in the summary tree of each tier.
    pub(crate) fn summaries_of_tiers(
        &self,
        level: usize,
        node: usize,
    ) -> impl Iterator<Item = [SummaryWord; FANOUT]> {
        let tiers = self.all.each_tier();
        tiers.map(move |(_, trees)| trees.summaries.words(level, node).map(SummaryWord))
    }

    /// The level of the root of each tree.
    #[inline]
    pub(crate) fn top(&self) -> usize {
        self.all.lowest.summaries.top()
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
        self.all.lowest.summaries.prefetch(slot);
    }

    /// Closes a slot, unless it is filled. It is not filled afterwards, except if it was
    /// [vacated](Self::vacate) later: the thread that did that sees what this one did before.
    pub(super) fn close(&self, slot: usize) {
        let word = &self.slots[slot];
        // Relaxed, here and on failure: the compare-and-swap decides.
        let mut entry = word.load(Ordering::Relaxed);
        loop {
            let closed = if entry == EMPTY { CLOSED } else { entry };
            // AcqRel, also where nothing changes: see above, and with the handle this thread sees
            // the record.
            match word.compare_exchange_weak(entry, closed, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(current) => entry = current,
            }
        }
    }

    /// Recomputes the leaf of a relay, after its record changed, and the words above as far as
    /// they change; up to the root if `to_root`, which a relay that becomes eligible needs.
    ///
    /// 1. If the leaf hides a relay that is past its deadline, and the change made no relay
    ///    eligible, there is nothing to do: a renewal that follows refreshes the leaf itself.
    /// 2. If the relay is suspended, the trees of suspensions are told when that ends.
    /// 3. The summary is recomputed, and the words above; the states are counted. Then the
    ///    tree for pairs and that of free units, if this part has them.
    /// 4. If the trees of suspensions do not agree with the record now, they are corrected.
    ///
    /// A search is to see at every moment that a relay is eligible, or that its suspension is
    /// due. So step 2 comes before step 3, and step 4 takes a suspension out only after the
    /// roots have the summary and the free units.
    pub(crate) fn refresh(
        &self,
        slot: usize,
        subject: &Subject<'_>,
        context: &Context,
        to_root: bool,
    ) {
        let source = self.source(slot, subject, context);
        if !to_root && self.all.hides(&source) && subject.record.is_late(context.leaf_tick()) {
            return;
        }
        if context.may_have_suspended() {
            self.begin_suspension(&source);
        }
        self.refresh_summary(&source, to_root);
        if context.may_have_suspended() {
            self.correct_suspension(&source);
        }
    }

    #[inline(always)]
    fn source<'a>(
        &'a self,
        slot: usize,
        subject: &'a Subject<'a>,
        context: &'a Context,
    ) -> LeafSource<'a> {
        LeafSource {
            slot,
            leaves: self,
            subject,
            context,
        }
    }

    /// [`refresh`](Self::refresh) for a leaf of trees that are [joined](Self::join_all)
    /// later.
    pub(super) fn refresh_leaf(&self, slot: usize, subject: &Subject<'_>, context: &Context) {
        let source = self.source(slot, subject, context);
        if context.may_have_suspended() {
            self.begin_suspension(&source);
        }
        self.each_forest()
            .for_each(|forest| forest.refresh_leaf(&source));
        if context.may_have_suspended() {
            self.correct_suspension(&source);
        }
    }

    #[inline(always)]
    fn refresh_summary(&self, source: &LeafSource<'_>, to_root: bool) {
        self.all.refresh(source, to_root);
        for forest in &self.filtered {
            // As for tiers: the thread by whose change the relay does not pass any more
            // recomputes the leaf in every forest.
            if to_root || source.passes(forest.filter) {
                forest.refresh(source, to_root);
            }
        }
    }

    pub(super) fn each_forest(&self) -> impl Iterator<Item = &Forest> {
        std::iter::once(&self.all).chain(&self.filtered)
    }

    /// Computes all words above the leaves.
    pub(super) fn join_all(&self) {
        self.each_forest().for_each(Forest::join_all);
    }

    /// Before the summary: the trees of suspensions have a relay that is suspended.
    ///
    /// Here and below, the words are computed as of one tick. If that has passed meanwhile, a
    /// suspension is due that has ended, and the next find takes it out.
    fn begin_suspension(&self, source: &LeafSource<'_>) {
        let tick = source.context.leaf_tick();
        let leaf = || source.leaf_at(tick);
        if leaf().is_some_and(|leaf| leaf.due != 0) {
            self.refresh_suspension(source.slot, leaf);
        }
    }

    /// After the summary: whichever thread changed that, the trees of suspensions have a
    /// relay that is suspended by now, and do not have one that is not.
    fn correct_suspension(&self, source: &LeafSource<'_>) {
        let tick = source.context.leaf_tick();
        let leaf = || source.leaf_at(tick);
        let Some(Leaf { due, since, .. }) = leaf() else {
            return;
        };
        if self.suspension_at(source.slot) == (due, since) {
            return;
        }
        if due == 0 {
            // The thread that changed the summary may not have climbed to the root yet.
            self.refresh_summary(source, true);
        }
        self.refresh_suspension(source.slot, leaf);
    }

    fn suspension_at(&self, slot: usize) -> (u64, u64) {
        self.suspended()
            .map_or((0, 0), |suspended| suspended.leaf(slot))
    }

    fn refresh_suspension(&self, slot: usize, leaf: impl Fn() -> Option<Leaf>) {
        let Some(Leaf { due, since, .. }) = leaf() else {
            return;
        };
        let trees = self.suspended.get_or_init(|| Suspended::new(self.len()));
        // To the root, also if another thread has set the leaf: it may not have climbed yet.
        let (new_due, new_since) = (|| Some(leaf()?.due), || Some(leaf()?.since));
        trees.due.update(slot, due != 0, new_due);
        trees.since.update(slot, since != 0, new_since);
    }

    /// Takes a relay that has departed out of its slot; whether this thread did. Its leaf is zero
    /// afterwards.
    ///
    /// The slot may then have another relay. A thread that still recomputes the leaf of this one
    /// looks for it in the slot after it has read the word that it is to replace. If it found
    /// it there, its compare-and-swap comes before the leaf is zeroed, or fails.
    pub(super) fn vacate(&self, slot: usize, relay: Handle) -> bool {
        // AcqRel: a thread that reads the zeroed leaf finds the slot vacant, or filled again; and
        // this thread sees whether the slot was to be closed. Relaxed: on failure nothing is read.
        let is_vacated = self.slots[slot]
            .compare_exchange(pack(relay), EMPTY, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok();
        if is_vacated {
            self.clear_vacant(slot);
        }
        is_vacated
    }

    /// Zeroes the leaf of a slot, if there is no relay.
    #[inline(always)]
    pub(crate) fn clear_vacant(&self, slot: usize) {
        let is_vacant = || self.at(slot).is_none();
        self.all.clear(slot, is_vacant);
        for forest in &self.filtered {
            forest.clear(slot, is_vacant);
        }
        if let Some(trees) = self.suspended() {
            let zero = || is_vacant().then_some(0);
            trees.due.update(slot, false, zero);
            trees.since.update(slot, false, zero);
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

    pub(crate) fn state_at(&self, slot: usize) -> LeafState {
        self.all.state_at(slot)
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

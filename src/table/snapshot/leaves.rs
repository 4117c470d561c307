//! Some relays, each in a slot, and the trees over them.

use crate::relay::Rejection;
use crate::sync::{AtomicU32, AtomicU64, OnceBox, Ordering, Padded, ZeroedSlice, prefetch};
use crate::table::record::{Handle, Subject};
use crate::table::snapshot::context::Context;
use crate::table::snapshot::free_units::FreeUnits;
use crate::table::snapshot::geometry::Geometry;
use crate::table::snapshot::lanes::{BestChildren, best_children};
use crate::table::snapshot::leaf::{Leaf, Summary, SummaryWord};
use crate::table::snapshot::leaf_state::{LeafState, StateCounts};
use crate::table::snapshot::score::Bins;
use crate::table::snapshot::suspended::Suspended;
use crate::table::snapshot::tree::Tree;
use crate::time::Tick;

/// See the module's description.
pub(crate) struct Leaves {
    /// Handles, [packed](pack).
    slots: ZeroedSlice<AtomicU64>,
    pub(crate) summaries: Tree<Summary>,
    /// Allocated when the first relay is suspended.
    suspended: OnceBox<Suspended>,
    /// How many relays are in each state, by its number.
    counts: Padded<[AtomicU32; StateCounts::LEN]>,
    pub(crate) bins: Bins,
    /// Where the relays are, if the position of any is known.
    pub(crate) located: Option<Located>,
    /// If calls had asked for several units when this part was made.
    pub(crate) free_units: Option<Box<FreeUnits>>,
}

/// What there is in addition where positions of relays are known.
pub(crate) struct Located {
    pub(crate) geometry: Geometry,
    /// See [`leaf`](crate::table::snapshot::leaf).
    pub(crate) joint: Tree<Summary>,
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
            summaries: Tree::new(slots, false),
            suspended: OnceBox::new(),
            counts: Padded::default(),
            bins,
            located: None,
            free_units: None,
        }
    }

    pub(super) fn locate(&mut self, geometry: Geometry) {
        let joint = Tree::new(self.len(), false);
        self.located = Some(Located { geometry, joint });
    }

    /// From now on counts free units up to so many, unless that is one. Only before the first
    /// leaf is computed.
    pub(super) fn count_free_units(&mut self, most: u32) {
        self.free_units = (most > 1).then(|| Box::new(FreeUnits::new(self.len(), most)));
    }

    /// Up to how many free units are counted.
    pub(super) fn most_free_units(&self) -> u32 {
        self.free_units.as_ref().map_or(1, |free| free.most())
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
        self.summaries.prefetch(slot);
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
        // The word of a rejected relay has nothing but the state.
        let departed = const { LeafState::Rejected(Rejection::Departed).number() as u64 };
        let is_hidden = self.summaries.leaf(slot) == departed;
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
        let summary = || self.leaf_now(subject, context).summary;
        let (before, after) = self.summaries.set(slot, summary);
        self.recount(before, after);
        if let Some(located) = &self.located {
            let joint = || self.joint_of(located, slot, context);
            located.joint.set(slot, joint);
        }
        if let Some(free) = &self.free_units {
            free.set(slot, || self.free_units_of(free, subject, context));
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
        let summary = || self.leaf_now(subject, context).summary;
        let (before, after) = self.summaries.update(slot, to_root, summary);
        self.recount(before, after);
        if let Some(located) = self.located.as_ref().filter(|_| to_root || before != after) {
            let joint = || self.joint_of(located, slot, context);
            located.joint.update(slot, to_root, joint);
        }
        // Also if the summary is the same: free units change more often.
        if let Some(free) = &self.free_units {
            free.update(slot, to_root, || self.free_units_of(free, subject, context));
        }
    }

    /// Computes all words above the leaves.
    pub(super) fn join_all(&self) {
        self.summaries.join_all();
        if let Some(located) = &self.located {
            located.joint.join_all();
        }
        if let Some(free) = &self.free_units {
            free.join_all();
        }
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
    fn joint_of(&self, located: &Located, slot: usize, context: &Context) -> u64 {
        let summary = SummaryWord(self.summaries.leaf(slot));
        let height = located.geometry.height(slot);
        summary.joint(self.bins, &context.settings, height)
    }

    /// The fields of the tree of free units that follow from the record of a relay.
    fn free_units_of(&self, free: &FreeUnits, subject: &Subject<'_>, context: &Context) -> u64 {
        let state = SummaryWord(self.leaf_now(subject, context).summary).state();
        free.fields(state, subject.record.load())
    }

    fn leaf_now(&self, subject: &Subject<'_>, context: &Context) -> Leaf {
        self.leaf_at(subject, context, context.leaf_tick())
    }

    fn leaf_at(&self, subject: &Subject<'_>, context: &Context, tick: Tick) -> Leaf {
        Leaf::of(subject, &context.settings, self.bins, tick)
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

    /// The words of the root that have the best score.
    #[inline(always)]
    pub(crate) fn root(&self) -> BestChildren {
        best_children(self.summaries.words(self.summaries.top(), 0))
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
        SummaryWord(self.summaries.leaf(slot)).state()
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

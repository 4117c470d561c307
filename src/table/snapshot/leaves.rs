//! Some relays, each at a place, and the trees over them.

use crate::sync::{
    AtomicBool, AtomicU32, AtomicU64, OnceBox, Ordering, Padded, ZeroedSlice, prefetch,
};
use crate::table::record::Handle;
use crate::table::snapshot::bins::Bins;
use crate::table::snapshot::geometry::Geometry;
use crate::table::snapshot::lanes::{Best, best};
use crate::table::snapshot::leaf::{
    Class, Earliest, Greatest, Leaf, Subject, Summary, SummaryWord, Terms,
};
use crate::table::snapshot::outage::Outage;
use crate::table::snapshot::tree::{FANOUT, Join, Tree, span};
use crate::time::{Tick, Watch};

/// What leaves are computed with, beside the records.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) terms: Terms,
    /// The tick at which leaves judge deadlines, bans and back-offs.
    pub(crate) judged_at: Padded<AtomicU64>,
    /// By which leases tell the time, too.
    pub(crate) watch: Watch,
    pub(crate) outage: Outage,
    /// Set for good before the first relay is left alone.
    may_wait: AtomicBool,
    /// Whether scores are told apart coarsely, as in a large base.
    is_coarse: AtomicBool,
}

/// See the module's description.
pub(crate) struct Leaves {
    /// Handles, [packed](pack).
    entries: ZeroedSlice<AtomicU64>,
    pub(crate) summaries: Tree<Summary>,
    /// Set aside when the first relay is left alone.
    waiting: OnceBox<Waiting>,
    /// How many there are of each class.
    counts: Padded<[AtomicU32; Class::COUNT]>,
    pub(crate) bins: Bins,
    /// Where the relays are, if that is known of any.
    pub(crate) located: Option<Located>,
}

/// Of relays that are left alone, in [`Earliest`] ticks.
pub(crate) struct Waiting {
    /// When that ends.
    pub(super) due: Tree<Greatest>,
    /// When it began.
    pub(crate) since: Tree<Greatest>,
}

/// What there is besides where positions of relays are known.
pub(crate) struct Located {
    pub(crate) geometry: Geometry,
    /// See [`leaf`](crate::table::snapshot::leaf).
    pub(crate) joint: Tree<Summary>,
}

/// A place that is not filled yet.
pub(super) const EMPTY: u64 = 0;
/// A place that was closed before it was filled.
pub(super) const CLOSED: u64 = u64::MAX;

/// Indices stay below 2^31, so neither [`EMPTY`] nor [`CLOSED`] is a handle.
pub(super) fn pack(handle: Handle) -> u64 {
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

impl Context {
    pub(crate) fn new(terms: Terms, watch: Watch) -> Self {
        Self {
            terms,
            watch,
            judged_at: Padded(AtomicU64::default()),
            outage: Outage::default(),
            may_wait: AtomicBool::new(false),
            is_coarse: AtomicBool::new(false),
        }
    }

    #[inline]
    pub(crate) fn judged_at(&self) -> Tick {
        // Acquire: the thread that raised it goes on to refresh leaves.
        Tick(self.judged_at.load(Ordering::Acquire))
    }

    /// The registry's current tick.
    pub(crate) fn now(&self) -> Tick {
        self.watch.tick()
    }

    /// Has what ends up to a tick taken into account from now on.
    pub(crate) fn judge_at(&self, tick: Tick) {
        // AcqRel: see `Record::lifecycle_at`.
        self.judged_at.fetch_max(tick.0, Ordering::AcqRel);
    }

    /// Whether any relay may be left alone for a while.
    #[inline]
    pub(crate) fn may_wait(&self) -> bool {
        // Relaxed: the one who set it sees it.
        self.may_wait.load(Ordering::Relaxed)
    }

    /// How finely leaves tell scores apart.
    #[inline]
    pub(crate) fn bins(&self) -> Bins {
        // Relaxed: right or wrong, it is a matter of precision.
        match self.is_coarse.load(Ordering::Relaxed) {
            true => Bins::COARSE,
            false => Bins::FINE,
        }
    }

    pub(crate) fn set_bins(&self, bins: Bins) {
        self.is_coarse
            .store(bins == Bins::COARSE, Ordering::Relaxed);
    }

    /// Before the first relay is left alone for a while.
    pub(crate) fn expect_waiting(&self) {
        if !self.may_wait() {
            self.may_wait.store(true, Ordering::Relaxed);
        }
    }
}

impl Leaves {
    pub(crate) fn new(places: usize, bins: Bins) -> Self {
        Self {
            entries: ZeroedSlice::new_or_abort(places.max(1)),
            summaries: Tree::new(places, false),
            waiting: OnceBox::new(),
            counts: Padded::default(),
            bins,
            located: None,
        }
    }

    pub(super) fn locate(&mut self, geometry: Geometry) {
        let joint = Tree::new(self.places(), false);
        self.located = Some(Located { geometry, joint });
    }

    pub(crate) fn places(&self) -> usize {
        self.entries.len()
    }

    /// The relay at a place, if there is one.
    #[inline]
    pub(crate) fn at(&self, place: usize) -> Option<Handle> {
        // Acquire: with the handle comes its record.
        unpack(self.entries.get(place)?.load(Ordering::Acquire))
    }

    /// Puts a relay at a place; false if that was closed.
    pub(super) fn put(&self, place: usize, handle: Handle) -> bool {
        // Release: readers see the record behind the handle.
        self.entries[place]
            .compare_exchange(EMPTY, pack(handle), Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }

    /// Prefetches what is at a place, and the words above it, which will change soon.
    pub(super) fn prefetch(&self, place: usize) {
        prefetch(&self.entries[place]);
        self.summaries.prefetch(place);
    }

    /// Closes a place unless it is filled.
    pub(super) fn close(&self, place: usize) {
        // Acquire: with a filled place comes its record.
        let _ = self.entries[place].compare_exchange(
            EMPTY,
            CLOSED,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
    }

    /// How many relays there are of each class.
    #[inline]
    pub(crate) fn counts(&self) -> [usize; Class::COUNT] {
        std::array::from_fn(|class| {
            // Relaxed: a count that carries nothing but itself. It is below zero for a
            // moment if one thread counts a relay out before another has counted it in.
            let count = self.counts[class].load(Ordering::Relaxed);
            (count as i32).max(0) as usize
        })
    }

    /// Brings what is said of a relay in line with its record, after that changed;
    /// up to the root if `fully`, as a relay that becomes available asks for.
    pub(crate) fn refresh(
        &self,
        place: usize,
        subject: &Subject<'_>,
        context: &Context,
        fully: bool,
    ) {
        let is_out_of_sight = self.class_at(place) == Class::Departed && !self.waits(place);
        if is_out_of_sight && subject.record.is_late(context.judged_at()) {
            // A renewal from here on brings its leaf up to date itself.
            return;
        }
        let leaf = || self.leaf_of(subject, context);
        // Before it is out of sight, so that it comes back in time.
        if context.may_wait() && leaf().due != 0 {
            self.refresh_waiting(place, leaf);
        }
        let (before, after) = self.summaries.update(place, fully, || leaf().summary);
        self.recount(before, after);
        if let Some(located) = self.located.as_ref().filter(|_| fully || before != after) {
            let joint = || self.joint_of(located, place, context);
            located.joint.update(place, fully, joint);
        }
        self.settle_waiting(place, leaf, context);
    }

    /// After the summary: a relay that is in sight again does not wait, and one that is
    /// out of sight since waits, whichever thread made it so.
    fn settle_waiting(&self, place: usize, leaf: impl Fn() -> Leaf, context: &Context) {
        if !context.may_wait() {
            return;
        }
        let Leaf { due, since, .. } = leaf();
        if self.said_of_waiting(place) != (due, since) {
            self.refresh_waiting(place, leaf);
        }
    }

    /// Whether the relay at a place is said to be left alone. It may be for a moment after
    /// its summary says otherwise, until the thread that changed that goes on, or another
    /// one comes by.
    fn waits(&self, place: usize) -> bool {
        self.said_of_waiting(place) != (0, 0)
    }

    fn said_of_waiting(&self, place: usize) -> (u64, u64) {
        self.waiting().map_or((0, 0), |waiting| {
            (waiting.due.leaf(place), waiting.since.leaf(place))
        })
    }

    /// The same while the trees are [put together](Self::put_together).
    pub(super) fn refresh_early(&self, place: usize, subject: &Subject<'_>, context: &Context) {
        let leaf = || self.leaf_of(subject, context);
        if context.may_wait() && leaf().due != 0 {
            self.refresh_waiting(place, leaf);
        }
        let (before, after) = self.summaries.set(place, || leaf().summary);
        self.recount(before, after);
        if let Some(located) = &self.located {
            let joint = || self.joint_of(located, place, context);
            located.joint.set(place, joint);
        }
        self.settle_waiting(place, leaf, context);
    }

    pub(super) fn put_together(&self) {
        self.summaries.join_all();
        if let Some(located) = &self.located {
            located.joint.join_all();
        }
    }

    /// By what the summary says by now.
    fn joint_of(&self, located: &Located, place: usize, context: &Context) -> u64 {
        let said = SummaryWord(self.summaries.leaf(place));
        let height = located.geometry.height(place);
        said.joint(self.bins, &context.terms, height)
    }

    fn leaf_of(&self, subject: &Subject<'_>, context: &Context) -> Leaf {
        Leaf::of(subject, &context.terms, self.bins, context.judged_at())
    }

    fn refresh_waiting(&self, place: usize, leaf: impl Fn() -> Leaf) {
        let rises = |tree: &Tree<Greatest>, to: u64| to != 0 && to >= tree.leaf(place);
        let Leaf { due, since, .. } = leaf();
        let Waiting {
            due: ends,
            since: begins,
        } = self.waiting.get_or_init(|| Waiting::new(self.places()));
        ends.update(place, rises(ends, due), || leaf().due);
        begins.update(place, rises(begins, since), || leaf().since);
    }

    fn recount(&self, before: u64, after: u64) {
        let (before, after) = (SummaryWord(before).class(), SummaryWord(after).class());
        if before != after {
            // Relaxed: see `counts`.
            self.counts[before as usize].fetch_sub(1, Ordering::Relaxed);
            self.counts[after as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What the root of the summaries says of the best relays.
    #[inline(always)]
    pub(crate) fn root(&self) -> Best {
        best(self.summaries.words(self.summaries.top(), 0))
    }

    /// What there is of relays that are left alone, once there was any.
    #[inline(always)]
    pub(crate) fn waiting(&self) -> Option<&Waiting> {
        self.waiting.get()
    }

    /// Whether the time of any relay to be left alone is over at `tick`.
    #[inline(always)]
    pub(crate) fn are_due(&self, tick: Tick) -> bool {
        self.waiting().is_some_and(|waiting| waiting.are_due(tick))
    }

    /// What is said of the relay at a place.
    pub(crate) fn class_at(&self, place: usize) -> Class {
        SummaryWord(self.summaries.leaf(place)).class()
    }

    /// The first place from one on whose relay is left alone.
    pub(crate) fn waiting_from(&self, from: usize) -> Option<usize> {
        let due = &self.waiting()?.due;
        waiting_below(due, due.top(), 0, from)
    }

    /// The place of a relay whose time of being left alone is over at `tick`.
    pub(crate) fn due_at(&self, tick: Tick) -> Option<usize> {
        let waiting = self.waiting().filter(|waiting| waiting.are_due(tick))?;
        waiting.due_below(waiting.due.top(), 0, tick)
    }
}

impl Waiting {
    /// A lower bound of when any of those began to be left alone.
    #[inline]
    pub(crate) fn earliest(&self) -> u64 {
        Earliest::number(self.since.root_fields())
    }

    /// The place of a relay that was left alone for longest, as words say, in the tree
    /// whose root without a crown is on level `top`.
    #[inline]
    pub(crate) fn longest(&self, top: usize) -> usize {
        (0..=top).rev().fold(0, |node, level| {
            let (mut most, mut longest) = (0, 0);
            for (child, word) in (0..).zip(self.since.words(level, node)) {
                let since = word & Greatest::FIELDS;
                (most, longest) = if since > most {
                    (since, child)
                } else {
                    (most, longest)
                };
            }
            node * FANOUT + longest
        })
    }

    fn new(places: usize) -> Self {
        Self {
            due: Tree::new(places, true),
            since: Tree::new(places, true),
        }
    }

    #[inline(always)]
    fn are_due(&self, tick: Tick) -> bool {
        is_due(self.due.root_fields(), tick)
    }

    /// Below a node. A word may say for a while that there is one where there is none
    /// any more: then the search goes on beside it.
    fn due_below(&self, level: usize, node: usize, tick: Tick) -> Option<usize> {
        let words = self.due.words(level, node).into_iter().enumerate();
        let mut below = words.filter(|&(_, word)| is_due(word, tick));
        below.find_map(|(child, _)| match (node * FANOUT + child, level) {
            (place, 0) => Some(place),
            (node, _) => self.due_below(level - 1, node, tick),
        })
    }
}

/// The first place from one on, below a node, of which words say anything.
fn waiting_below(due: &Tree<Greatest>, level: usize, node: usize, from: usize) -> Option<usize> {
    let words = due.words(level, node).into_iter().enumerate();
    let mut said = words.filter(|&(_, word)| word & Greatest::FIELDS != 0);
    said.find_map(|(child, _)| match (node * FANOUT + child, level) {
        (place, 0) => (place >= from).then_some(place),
        (node, _) if (node + 1) * span(level - 1) <= from => None,
        (node, _) => waiting_below(due, level - 1, node, from),
    })
}

/// Whether what a word says ends up to a tick.
#[inline(always)]
fn is_due(word: u64, tick: Tick) -> bool {
    Earliest::tick(word).is_some_and(|due| due <= tick)
}

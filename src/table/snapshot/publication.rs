//! Which snapshot is current, and how it is replaced.
//!
//! A registration appends to the newest run, in constant time. Maintenance merges base and
//! runs into a new base, sorted by what is known of the relays then, without those that have
//! departed. Arrivals and changes during a merge are neither lost nor delayed:
//!
//! 1. Publish {base, old runs, fresh run}. Arrivals go to the fresh run.
//! 2. Seal the old runs. Their content is final.
//! 3. Sort base and old runs into the next base. Its leaves are still empty.
//! 4. Publish {base, runs, next base}. A thread that changes a record now refreshes the leaf
//!    in both bases.
//! 5. Compute each leaf of the next base from its record, and then the words above.
//! 6. Publish {next base, fresh run, runs added meanwhile}.
//!
//! # No change is lost between steps 3 and 5
//!
//! A thread that changed a record *touches* its load word, which is a read-modify-write, and
//! then loads the current snapshot. In step 5 the merge touches that word before it reads the
//! record. One of the two touches is the later one. If it is that of the thread, it finds the
//! next base; if it is that of the merge, it sees the change.
//!
//! # Bounds
//!
//! The thread that merges is pinned, so no announcement that is retired during a merge is used
//! again before the merge ends. Each arrival takes an announcement. So the number of
//! announcements (`table/bounds.rs`) bounds the arrivals during a merge. The number of records
//! does not: a relay that leaves and returns has the same record again at once.
//!
//! Runs that were merged are kept while a thread is pinned that may have one from
//! [`newest_run`](super::newest_run), and then until a merge or a maintenance pass drops them.
//!
//! A handle in the base could be mistaken for a later generation of its record only after 2^26
//! generations within one snapshot. Each adds an arrival, and runs are merged long before.

use crate::coordinates::Coordinate;
use crate::events::EventLog;
use crate::footprint::Footprint;
use crate::sync::epoch::{self, Guard};
use crate::sync::{
    Arc, AtomicBool, AtomicU64, Grace, LoadInOrder, Mutex, MutexGuard, Ordering, Padded, Swap,
    fence, thread_index,
};
use crate::table::record::{Extra, Handle, Load, Parts, Subject};
use crate::table::shards::ShardId;
use crate::table::snapshot::base::{Base, MergedRelay};
use crate::table::snapshot::context::{Context, SelectionSettings};
use crate::table::snapshot::filters::{FilterId, Filters};
use crate::table::snapshot::leaf::is_alike;
use crate::table::snapshot::leaf_state::{LeafState, StateCounts};
use crate::table::snapshot::leaves::{Leaves, Precision, TierPart};
use crate::table::snapshot::newest_run::NewestRun;
use crate::table::snapshot::pending::{PendingChange, PendingChanges};
use crate::table::snapshot::run::Run;
use crate::table::snapshot::score::Bins;
use crate::table::snapshot::tree::FANOUT;
use crate::time::{Tick, Watch};
use std::iter;
use std::ops::Deref;
use std::ptr;

/// The relays that a search visits.
pub(crate) struct Snapshot {
    pub(crate) base: Arc<Base>,
    /// The next base, while a merge is under way. No search visits it.
    next: Option<Arc<Base>>,
    /// Oldest first. Only the last one takes arrivals.
    pub(crate) runs: Vec<Arc<Run>>,
    /// The number of snapshots before this one.
    number: u64,
}

/// See the module's description.
pub(crate) struct Publication {
    current: Swap<Snapshot>,
    newest_run: NewestRun,
    /// The number of the current snapshot, or of one that is about to be published.
    latest: Padded<AtomicU64>,
    /// Whether a round trip has changed since the last merge, so that the base may be out of
    /// order.
    is_unsorted: AtomicBool,
    merger: Mutex<Merger>,
    pub(crate) context: Context,
    /// Changes under way by which a relay may become eligible.
    pub(crate) pending: PendingChanges,
}

/// The right to merge, and what merges have replaced. That is kept until no reader holds it
/// any more, so that no reader ever has to free a base or a run. (A reader may free a
/// snapshot that a registration replaced because the run was full: a few pointers.)
#[derive(Default)]
pub(crate) struct Merger {
    snapshots: Vec<Arc<Snapshot>>,
    bases: Vec<Arc<Base>>,
    /// With the time in which a thread may have a run from [`NewestRun`].
    runs: Vec<(Arc<Run>, Grace)>,
}

/// A relay that was appended: its run, the slot there, and the number of the snapshot before that.
pub(crate) struct Arrival<'g> {
    run: &'g Run,
    slot: usize,
    number: u64,
}

/// How many arrivals wait to be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backlog {
    /// Few arrivals, compared to the base.
    Light,
    /// A maintenance thread merges them.
    Due,
    /// Several times as many as the base has, or the base is small: if there is no
    /// maintenance thread, registrations merge them.
    Heavy,
    /// Many of them have departed: registrations merge them if no other thread does.
    Overdue,
}

impl Snapshot {
    fn footprint(&self) -> Footprint {
        let bases = iter::once(&self.base).chain(&self.next);
        let bases: Footprint = bases.map(|base| base.footprint()).sum();
        let runs: Footprint = self.runs.iter().map(|run| run.footprint()).sum();
        bases + runs
    }

    /// How many slots of all runs are claimed; some may be empty or closed.
    #[inline]
    pub(crate) fn arrivals(&self) -> usize {
        self.runs.iter().map(|run| run.len()).sum()
    }

    /// The base and the runs that are not empty, each with trees of its own.
    #[inline]
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Leaves> {
        let runs = self.runs.iter().filter(|run| run.len() > 0);
        iter::once(&self.base.leaves).chain(runs.map(|run| &run.leaves))
    }

    /// The relays of one tier, in the base and the runs that are not empty; of those that
    /// pass a filter, where there is a forest for it.
    #[inline]
    pub(crate) fn tier(
        &self,
        tier: u8,
        filter: Option<FilterId>,
    ) -> impl Iterator<Item = TierPart<'_>> {
        self.parts().filter_map(move |part| part.tier(tier, filter))
    }

    /// Whether the summaries say that no relay of a tier is eligible.
    #[inline]
    pub(crate) fn is_empty(&self, tier: u8, filter: Option<FilterId>) -> bool {
        let mut parts = self.tier(tier, filter);
        parts.all(|part| part.trees.are_empty())
    }

    /// How many relays are in each state.
    pub(crate) fn counts(&self) -> StateCounts {
        let mut counts = StateCounts::default();
        self.parts().for_each(|part| counts.add(&part.all.counts()));
        counts
    }

    /// Whether any suspension has ended at `tick`.
    #[inline]
    pub(crate) fn are_due(&self, tick: Tick) -> bool {
        self.parts().any(|part| part.are_due(tick))
    }

    /// All relays, those in the base first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Handle> {
        let arrivals = self.runs.iter().flat_map(|run| run.iter());
        self.base.iter().map(|(_, relay)| relay).chain(arrivals)
    }

    /// The position of a relay, if it is in the base and its position is known.
    pub(crate) fn position_of(&self, relay: Handle) -> Option<Coordinate> {
        let geometry = self.base.leaves.geometry.as_ref()?;
        geometry.position(self.base.slot_of(relay)?)
    }

    /// The leaves of a relay: in either base, or in a run.
    fn leaves_of(&self, subject: &Subject<'_>) -> impl Iterator<Item = (&Leaves, usize)> {
        let handle = subject.handle;
        let bases = iter::once(&self.base).chain(&self.next);
        let in_bases: [_; 2] = {
            let mut found = bases.map(|base| Some((&base.leaves, base.slot_of(handle)?)));
            [found.next().flatten(), found.next().flatten()]
        };
        let in_run = match in_bases[0] {
            Some(_) => None,
            None => self
                .runs
                .iter()
                .find_map(|run| Some((&run.leaves, run.slot_of(subject.extra.arrival(), handle)?))),
        };
        in_bases.into_iter().flatten().chain(in_run)
    }

    /// The state of a relay, as its leaf says; not the leaf in the next base.
    pub(crate) fn state_of(&self, subject: &Subject<'_>) -> LeafState {
        let mut leaves = self.leaves_of(subject);
        leaves
            .next()
            .map_or(LeafState::Vacant, |(leaves, slot)| leaves.state_at(slot))
    }

    /// Recomputes the leaves of a relay that has departed, and vacates its slot in a run.
    fn take_out(&self, subject: &Subject<'_>, context: &Context, ours: (usize, ShardId)) {
        let (handle, extra) = (subject.handle, subject.extra);
        let refresh_in = |base: &Base| {
            if let Some(slot) = base.slot_of(handle) {
                base.leaves.refresh(slot, subject, context, false);
            }
        };
        refresh_in(&self.base);
        if let Some(next) = &self.next {
            refresh_in(next);
        }
        for run in &self.runs {
            if let Some(slot) = run.slot_of(extra.arrival(), handle) {
                run.vacate(ours, slot, handle);
            }
        }
    }

    fn refresh(&self, subject: &Subject<'_>, context: &Context, to_root: bool) {
        for (leaves, slot) in self.leaves_of(subject) {
            leaves.refresh(slot, subject, context, to_root);
        }
    }

    /// A run for arrivals beside so many that no merge has begun with. Its trees count as many free
    /// units as that of the base.
    fn fresh_run(&self, unmerged: usize, filters: &Filters) -> Arc<Run> {
        let first = (self.base.len() / 64).min(RUN_FIRST);
        let capacity = first.max(next_length(unmerged)).clamp(RUN_MIN, RUN_MAX);
        let number = self.newest_run().next_number();
        let precision = self.base.leaves.precision;
        let filters = filters.active();
        let stripes = self.newest_run().stripes();
        let run = Run::new(capacity as u32, number, stripes, precision, filters);
        Arc::new(run)
    }

    fn newest_run(&self) -> &Arc<Run> {
        self.runs.last().expect("a snapshot has a run")
    }

    fn with_fresh_run(&self, unmerged: usize, filters: &Filters) -> Self {
        let mut next = self.clone();
        next.runs.push(self.fresh_run(unmerged, filters));
        next
    }

    /// How many slots are claimed of runs that no merge has sealed.
    fn unmerged(&self) -> usize {
        let runs = self.runs.iter().filter(|run| !run.is_sealed());
        runs.map(|run| run.len()).sum()
    }
}

impl Clone for Snapshot {
    fn clone(&self) -> Self {
        Self {
            base: Arc::clone(&self.base),
            next: self.next.clone(),
            runs: self.runs.clone(),
            number: self.number,
        }
    }
}

const RUN_MIN: usize = if cfg!(relay_loom) { 1 } else { 64 };
/// The first run after a merge is no longer than this, so that the words above a leaf are few: most
/// arrivals are merged, or leave, before it is full.
const RUN_FIRST: usize = FANOUT * FANOUT;
const RUN_MAX: usize = 1 << 22;

/// The length of the run after those that have so many slots together. While they are short it is
/// three times that, so that there are few.
fn next_length(unmerged: usize) -> usize {
    match unmerged {
        ..0x4000 => 3 * unmerged,
        _ => unmerged,
    }
}

/// If there are so many times as many arrivals as relays in the base, they are
/// [heavy](Backlog::Heavy).
const HEAVY: usize = 3;

/// A base of fewer relays is merged in a few hundred microseconds.
const SMALL: usize = 4096;

impl Publication {
    pub(crate) fn new(
        shards: usize,
        settings: SelectionSettings,
        watch: Watch,
        events: Arc<EventLog>,
    ) -> Self {
        let precision = Precision {
            bins: Bins::FINE,
            most_free_units: 1,
        };
        let run = Run::new(RUN_MIN as u32, 0, shards, precision, iter::empty());
        let run = Arc::new(run);
        Self {
            newest_run: NewestRun::new(&run),
            current: Swap::new(Arc::new(Snapshot {
                base: Arc::new(Base::new(Vec::new(), 1, iter::empty())),
                next: None,
                runs: vec![run],
                number: 0,
            })),
            latest: Padded(AtomicU64::default()),
            is_unsorted: AtomicBool::new(false),
            merger: Mutex::new(Merger::default()),
            context: Context::new(settings, watch, events),
            pending: PendingChanges::default(),
        }
    }

    /// Of the current snapshot, and of those that it replaced and that readers still hold. The
    /// latter are left out while a merge is under way.
    pub(crate) fn footprint(&self) -> Footprint {
        let replaced = self.try_merger().map(|merger| merger.footprint());
        self.load().footprint() + replaced.unwrap_or_default()
    }

    /// The current snapshot; to be held for the caller's operation, and not longer.
    #[inline]
    pub(crate) fn load(&self) -> impl Deref<Target = Arc<Snapshot>> + '_ {
        self.current.load()
    }

    /// The position of a relay as of the last merge, if it is known. While none of any relay
    /// is, this is one load.
    #[inline(always)]
    pub(crate) fn position_of(&self, relay: impl FnOnce() -> Handle) -> Option<Coordinate> {
        match self.context.is_located() {
            true => self.known_position_of(relay()),
            false => None,
        }
    }

    #[inline(never)]
    fn known_position_of(&self, relay: Handle) -> Option<Coordinate> {
        self.load().position_of(relay)
    }

    /// A value that each arrival changes, and that never returns to an earlier one. It
    /// changes before the relay is live.
    pub(crate) fn progress(&self) -> impl PartialEq + use<> {
        let snapshot = self.load();
        let fillings: u64 = snapshot.runs.iter().map(|run| run.fillings()).sum();
        (snapshot.number, fillings)
    }

    /// Whether the snapshot has all changes whose end this thread has seen. A change that
    /// went to a later snapshot alone is not in this one.
    #[inline]
    pub(crate) fn is_latest(&self, snapshot: &Snapshot) -> bool {
        // Acquire: a thread that changed a later snapshot had seen its number here; so has
        // this thread, if it has seen the end of that change.
        self.latest.load(Ordering::Acquire) == snapshot.number
    }

    /// Adds a leaf for a relay; it is empty until it is refreshed.
    #[inline(always)]
    pub(in crate::table) fn append<'g>(
        &'g self,
        (relay, shard): (Handle, ShardId),
        extra: &Extra,
        guard: &'g Guard,
    ) -> Arrival<'g> {
        loop {
            // Acquire: before the run is read, and its slot. See `refresh_arrival`.
            let number = self.latest.load(Ordering::Acquire);
            let run = self.newest_run.get(guard);
            if let Some(slot) = run.push((thread_index(), shard), relay, extra) {
                return Arrival { run, slot, number };
            }
            self.follow(run, guard);
        }
    }

    /// Goes on to the run after one that is full, or sealed by a merge that has published a fresh
    /// one; if there is none, adds it.
    #[cold]
    fn follow(&self, run: &Run, guard: &Guard) {
        let snapshot = self.load();
        // Another thread may have added one, too: if so, do not allocate another.
        if ptr::eq(&**snapshot.newest_run(), run) {
            let unmerged = snapshot.unmerged();
            let next = snapshot.with_fresh_run(unmerged, &self.context.filters);
            self.replace(&snapshot, next);
        }
        self.newest_run.advance(self.load().newest_run(), guard);
    }

    /// Begins a change by which the relay at `index` may become eligible. The thread holds
    /// the result until it has refreshed the leaf: meanwhile a search that finds no relay
    /// looks at the record itself.
    pub(crate) fn begin_pending(&self, index: u32) -> PendingChange<'_> {
        self.pending.begin(index)
    }

    /// Recomputes the leaves of a relay, after its record changed; `to_root` if the relay may
    /// have become eligible.
    pub(crate) fn refresh(&self, subject: &Subject<'_>, to_root: bool) {
        subject.record.touch_load();
        self.refresh_touched(subject, to_root);
    }

    /// Recomputes one leaf as of `tick`, also if its part is not in the current snapshot.
    pub(crate) fn refresh_leaf_at(
        &self,
        part: &Leaves,
        slot: usize,
        subject: &Subject<'_>,
        tick: Tick,
    ) {
        self.context.raise_leaf_tick(tick);
        part.refresh(slot, subject, &self.context, true);
    }

    /// Changes the load of the record at `index` to what `next` computes, and refreshes the
    /// leaves of its relay. If `next` fails, nothing changes.
    ///
    /// The handle is read after the change: the relay may leave and return meanwhile, and
    /// then has another leaf. The returning thread touches the load before it computes that
    /// leaf. So either it sees this change, or this thread sees the other handle.
    ///
    /// If more units are free afterwards, up to the most that calls ask for, the relay may have
    /// become eligible to one of these. While calls ask for one unit, that is so if the relay
    /// was not eligible to any before. The thread is pinned, from before it reads how many
    /// calls ask for; see [`free_units`](super::free_units).
    #[inline]
    pub(in crate::table) fn change_load<E>(
        &self,
        index: u32,
        parts: Parts<'_>,
        next: impl Fn(Load) -> Result<Load, E>,
    ) -> Result<(), E> {
        let most = self.context.units_asked.most();
        let mut pending = None;
        let record = parts.record;
        let change = record.update_load(|load| {
            let next = next(load)?;
            let has_most = load.rejection_of(most).is_none();
            if !has_most && pending.is_none() && next.free_units(most) > load.free_units(most) {
                pending = Some(self.begin_pending(index));
            }
            Ok(next)
        })?;
        let handle = record.handle(index);
        let subject = parts.with_handle(handle);
        match pending {
            Some(_) => self.refresh_touched(&subject, true),
            None => self.refresh_load(&subject, change, None),
        }
        Ok(())
    }

    /// [`refresh`](Self::refresh) after a change of the load word itself.
    pub(crate) fn refresh_touched(&self, subject: &Subject<'_>, to_root: bool) {
        self.load().refresh(subject, &self.context, to_root);
    }

    /// Recomputes the leaf of a relay that has just been appended, and may have become eligible. If
    /// there is no later snapshot, the leaf is in that run alone: a run is merged into a base only
    /// after a later one has been published.
    #[inline(always)]
    pub(crate) fn refresh_arrival(&self, arrival: &Arrival<'_>, subject: &Subject<'_>) {
        let &Arrival { run, slot, number } = arrival;
        // In order after the transition that made the relay live.
        match self.latest.load_in_order() == number {
            true => run.leaves.refresh(slot, subject, &self.context, true),
            // Touched, as before each load of the snapshot.
            false => self.refresh(subject, true),
        }
    }

    /// Recomputes the leaves of a relay that has departed, and vacates its slot among arrivals.
    ///
    /// A relay of the newest run is in no base unless a merge has sealed that run. A merge that does
    /// so, and puts the relay into the next base, touches the load before it computes the leaf, as
    /// this thread has done. If that of the merge is the later one, it sees that the relay has departed.
    /// Otherwise this thread sees the seal, and updates the leaf in the next base, too.
    #[inline(always)]
    pub(in crate::table) fn take_out(&self, subject: &Subject<'_>, shard: ShardId, guard: &Guard) {
        let ours = (thread_index(), shard);
        let run = self.newest_run.get(guard);
        match run.slot_of(subject.extra.arrival(), subject.handle) {
            Some(slot) if !run.is_sealed() => {
                run.vacate(ours, slot, subject.handle);
            }
            _ => self.load().take_out(subject, &self.context, ours),
        }
    }

    /// [`refresh_touched`](Self::refresh_touched) after a change by which the relay did not
    /// become eligible. Most such changes leave the leaf as it is, and cost nothing.
    /// `snapshot` is one that the caller has loaded; it serves unless there is a later one.
    ///
    /// A leaf depends on more than the load. A thread that changes something else touches
    /// the load word before it refreshes the leaf. So either that thread sees this change of
    /// the load, or this thread sees that change here.
    #[inline]
    pub(crate) fn refresh_load(
        &self,
        subject: &Subject<'_>,
        (before, after): (Load, Load),
        snapshot: Option<&Snapshot>,
    ) {
        let context = &self.context;
        let (bins, most) = (context.bins(), context.units_asked.most());
        if is_alike(subject, before, after, context, bins, most) {
            return;
        }
        match snapshot {
            Some(snapshot) if self.is_latest(snapshot) => {
                snapshot.refresh(subject, context, false);
            }
            _ => self.refresh_touched(subject, false),
        }
    }

    /// How urgent it is to merge the arrivals, if so many relays are registered.
    ///
    /// A plain find costs the same for arrivals as for the base; for a pair, arrivals are not
    /// in order of position and round trip. So registrations merge, too, but seldom if a merge
    /// takes long: if many relays arrive and none leaves, each is merged 1.3 times at most,
    /// on average.
    pub(crate) fn backlog(&self, held: impl FnOnce() -> usize) -> Backlog {
        let snapshot = self.load();
        let (arrivals, base) = (snapshot.arrivals(), snapshot.base.len());
        match arrivals {
            _ if arrivals < RUN_MIN.max(base / 4) => Backlog::Light,
            _ if arrivals >= 16 * RUN_MIN && arrivals >= 2 * held() => Backlog::Overdue,
            _ if base < SMALL || arrivals >= HEAVY * base => Backlog::Heavy,
            _ => Backlog::Due,
        }
    }

    /// Marks the base as out of order; to be called after a round trip has changed. The flag
    /// is written once between two merges, so that measurements do not contend for it.
    ///
    /// A merge clears the flag before it reads the round trips. One of its fence and the one
    /// here is the first: either the merge sees the changed round trip, or this thread sees
    /// that the flag is clear.
    #[inline]
    pub(crate) fn mark_unsorted(&self) {
        // SeqCst: see above.
        fence(Ordering::SeqCst);
        // Relaxed, here and where the flag is cleared: the fences order it.
        if !self.is_unsorted.load(Ordering::Relaxed) {
            self.is_unsorted.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a merge would do more than drop departed relays.
    pub(crate) fn wants_merge(&self) -> bool {
        // Relaxed: a later pass sees it if this one does not.
        let snapshot = self.load();
        let counted = snapshot.base.leaves.precision.most_free_units;
        self.is_unsorted.load(Ordering::Relaxed)
            || snapshot.arrivals() > 0
            || counted < self.context.units_asked.settled()
    }

    /// If calls ask for more units than the trees count, has a later merge count them. Not
    /// while pinned: often the merge that follows is that merge.
    pub(crate) fn prepare_free_units(&self) {
        if self.context.units_asked.begin_grace(&epoch::pin()) {
            epoch::collect();
        }
    }

    /// Waits for the right to merge.
    pub(crate) fn merger(&self) -> MutexGuard<'_, Merger> {
        self.merger.lock()
    }

    /// The right to merge, if no other thread has it.
    pub(crate) fn try_merger(&self) -> Option<MutexGuard<'_, Merger>> {
        self.merger.try_lock()
    }

    /// Merges all relays into a new base, in the six steps of the module's description.
    /// `describe` says what is known of a relay, or `None` if it has departed. `subject` finds
    /// the record of a handle.
    pub(crate) fn merge<'a>(
        &self,
        merger: &mut Merger,
        guard: &Guard,
        describe: impl FnMut(Handle) -> Option<MergedRelay>,
        subject: impl Fn(Handle) -> Subject<'a>,
    ) {
        self.is_unsorted.store(false, Ordering::Relaxed);
        // SeqCst: see `mark_unsorted`.
        fence(Ordering::SeqCst);
        // Steps 1 and 2.
        let before = self.seal_old_runs(merger);
        // Step 3.
        let old_runs = before.runs.len() - 1;
        let arrivals = before.runs[..old_runs].iter().flat_map(|run| run.iter());
        let relays = before.base.iter().map(|(_, relay)| relay).chain(arrivals);
        let mut merged = Vec::with_capacity(before.base.len() + before.arrivals());
        merged.extend(relays.filter_map(describe));
        let most = self.context.units_asked.settled();
        let next = Arc::new(Base::new(merged, most, self.context.filters.active()));
        // Step 4. The bins change before the next base is published: `is_alike` compares
        // changes of load by the finest bins of any part.
        if next.leaves.precision.bins == Bins::FINE {
            self.context.set_bins(Bins::FINE);
        }
        self.publish(merger, |snapshot| Snapshot {
            next: Some(Arc::clone(&next)),
            ..snapshot.clone()
        });
        // SeqCst: of a relay that becomes live, either the next base gets the leaf here, or the
        // thread that made it live finds that there is a later snapshot.
        fence(Ordering::SeqCst);
        self.compute_leaves(&next, subject);
        self.put_in_force(merger, &next, old_runs);
        merger.bases.push(Arc::clone(&before.base));
        if old_runs > 0 {
            // Before the grace of the old runs begins.
            self.newest_run.advance(self.load().newest_run(), guard);
            let grace = Grace::begin(guard);
            let old_runs = before.runs[..old_runs].iter();
            let old_runs = old_runs.map(|run| (Arc::clone(run), grace.clone()));
            merger.runs.extend(old_runs);
        }
        drop(before);
        merger.drop_unused();
    }

    /// Steps 1 and 2: publishes a fresh run, unless the newest one is still empty, and seals all
    /// before it.
    fn seal_old_runs(&self, merger: &mut Merger) -> Arc<Snapshot> {
        let snapshot = loop {
            let snapshot = Arc::clone(&self.load());
            if snapshot.newest_run().len() == 0 {
                break snapshot;
            }
            let next = snapshot.with_fresh_run(0, &self.context.filters);
            if let Some(previous) = self.replace(&snapshot, next) {
                merger.snapshots.push(previous);
            }
        };
        let (_, old) = snapshot.runs.split_last().expect("a snapshot has a run");
        for run in old {
            run.seal();
        }
        snapshot
    }

    /// Step 5.
    fn compute_leaves<'a>(&self, next: &Base, subject: impl Fn(Handle) -> Subject<'a>) {
        for (slot, relay) in next.iter() {
            let subject = subject(relay);
            subject.record.touch_load();
            next.leaves.refresh_leaf(slot, &subject, &self.context);
        }
        next.leaves.join_all();
    }

    /// Step 6.
    fn put_in_force(&self, merger: &mut Merger, next: &Arc<Base>, old_runs: usize) {
        self.publish(merger, |snapshot| {
            let after = Snapshot {
                base: Arc::clone(next),
                next: None,
                runs: snapshot.runs[old_runs..].to_vec(),
                number: snapshot.number,
            };
            // Arrivals are compared with the relays of the base, so they have the same bins.
            match after.newest_run().leaves.precision == next.leaves.precision {
                true => after,
                false => after.with_fresh_run(after.unmerged(), &self.context.filters),
            }
        });
        self.context.set_located(next.leaves.geometry.is_some());
        let is_fine = self
            .load()
            .parts()
            .any(|part| part.precision.bins == Bins::FINE);
        self.context.set_bins(match is_fine {
            true => Bins::FINE,
            false => Bins::COARSE,
        });
    }

    /// Replaces the current snapshot by what `next` makes of it.
    fn publish(&self, merger: &mut Merger, next: impl Fn(&Snapshot) -> Snapshot) {
        loop {
            let snapshot = Arc::clone(&self.load());
            if let Some(previous) = self.replace(&snapshot, next(&snapshot)) {
                merger.snapshots.push(previous);
                return;
            }
        }
    }

    fn replace(&self, current: &Arc<Snapshot>, mut next: Snapshot) -> Option<Arc<Snapshot>> {
        next.number = current.number + 1;
        // AcqRel, and before the snapshot is published: see `is_latest`. SeqCst: see `merge`.
        self.latest.fetch_max(next.number, Ordering::SeqCst);
        self.current.replace(current, Arc::new(next))
    }
}

impl Merger {
    /// Of the bases and runs that were replaced and are not dropped yet.
    fn footprint(&self) -> Footprint {
        let bases: Footprint = self.bases.iter().map(|base| base.footprint()).sum();
        let runs: Footprint = self.runs.iter().map(|(run, _)| run.footprint()).sum();
        bases + runs
    }

    /// Drops what no reader holds any more.
    pub(crate) fn drop_unused(&mut self) {
        self.snapshots.retain(|kept| Arc::strong_count(kept) > 1);
        self.bases.retain(|kept| Arc::strong_count(kept) > 1);
        self.runs
            .retain(|(run, grace)| Arc::strong_count(run) > 1 || !grace.is_over());
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::table::snapshot::fixture::Relays;

    /// After a merge a pinned thread may still have a run that was merged.
    #[test]
    fn a_run_is_kept_for_the_threads_that_may_use_it() {
        let relays = Relays::new(1, 1);
        let publication = &relays.publication;
        let guard = epoch::pin();
        let run = publication.newest_run.get(&guard);
        relays.arrive(0);
        relays.merge();
        let newest = Arc::clone(publication.load().newest_run());
        assert!(!ptr::eq(run, &*newest), "it was merged");
        assert!(ptr::eq(publication.newest_run.get(&guard), &*newest));
        let kept = || {
            let mut merger = publication.merger();
            merger.drop_unused();
            merger.runs.len()
        };
        for _ in 0..8 {
            epoch::collect();
            assert_eq!(kept(), 1);
        }
        drop(guard);
        // Threads of other tests hold the epoch back for a while.
        for _ in 0..100_000 {
            if kept() == 0 {
                return;
            }
            epoch::collect();
            crate::sync::yield_now();
        }
        panic!("it was never dropped");
    }
}

//! The snapshot in force, swapped as a whole, and how it is replaced.
//!
//! Registration appends to the newest run, in constant time. Housekeeping merges
//! runs into a new base, sorted by what is known of the relays then, and leaves out
//! records that departed meanwhile. Nothing that arrives or changes during a merge
//! is lost or waits:
//!
//! 1. publish { base, old runs, fresh run }: arrivals go to the fresh run;
//! 2. seal the old runs: what they hold is final;
//! 3. sort base and old runs into the next base, whose leaves say nothing yet;
//! 4. publish { base, runs, next base }: from here on, changes of a relay are
//!    brought to its leaf in either base;
//! 5. have each leaf of the next base say what its record says;
//! 6. publish { next base, fresh run, runs added meanwhile }.
//!
//! A thread that changes a record then touches its load word, by a read-modify-write,
//! and only then looks which snapshot is in force. In step 5 the merge touches that word
//! before it reads the record. Of the two touches one is the later: either the thread
//! finds the next base, or the merge finds the change.
//!
//! The thread that merges is pinned, so no record that departs during a merge
//! begins another life before it ends: what piles up in runs meanwhile is bounded by
//! the number of records.
//!
//! A handle in the base could only be mistaken for a later life of its record
//! after 2^26 lives within one snapshot; each life adds an arrival, and runs
//! are merged long before.

use crate::sync::epoch::Guard;
use crate::sync::{Arc, AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering, Padded, Swap, fence};
use crate::table::record::{Extra, Handle, Load};
use crate::table::snapshot::base::{Base, MergedRelay};
use crate::table::snapshot::bins::Bins;
use crate::table::snapshot::leaf::{Class, Subject, Terms, is_alike};
use crate::table::snapshot::leaves::{Context, Leaves};
use crate::table::snapshot::pending::{PendingChange, PendingChanges};
use crate::table::snapshot::run::Run;
use crate::time::{Tick, Watch};
use std::iter;

/// What searches go through.
pub(crate) struct Snapshot {
    pub(crate) base: Arc<Base>,
    /// The base to be, while a merge is under way; no search goes through it.
    next: Option<Arc<Base>>,
    /// Oldest first; only the last one takes arrivals.
    pub(crate) runs: Vec<Arc<Run>>,
    /// How many there were before.
    number: u64,
}

/// See the module's description.
pub(crate) struct Publication {
    current: Swap<Snapshot>,
    /// The number of the snapshot in force, or one that is just being published.
    latest: Padded<AtomicU64>,
    /// Set when the base no longer is in the order of the RTTs in force.
    reordered: AtomicBool,
    merger: Mutex<Merger>,
    pub(crate) context: Context,
    /// Changes under way by which a relay may become available.
    pub(crate) upcoming: PendingChanges,
}

/// What the thread that merges takes care of: everything replaced that a reader may
/// still hold is kept until no reader does, so that no reader ever frees a base or
/// a run. (A shell of a few pointers, replaced by a registrant that found its
/// run full, it may.)
#[derive(Default)]
pub(crate) struct Merger {
    snapshots: Vec<Arc<Snapshot>>,
    bases: Vec<Arc<Base>>,
    runs: Vec<Arc<Run>>,
}

/// How many arrivals wait to be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backlog {
    /// Few arrivals, compared to the base.
    Light,
    /// Time for a merge, if there is a thread for it.
    Due,
    /// Several times as many as the base has, or the base is small: registrants merge
    /// them if there is no thread for it.
    Heavy,
    /// Many of them have left again: registrants merge them if nothing else does.
    Overdue,
}

impl Snapshot {
    /// Arrivals in all runs; some may be void.
    #[inline]
    pub(crate) fn arrivals(&self) -> usize {
        self.runs.iter().map(|run| run.len()).sum()
    }

    /// What searches go through, each on its own: the base, and runs that are not
    /// empty.
    #[inline]
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Leaves> {
        let runs = self.runs.iter().filter(|run| run.len() > 0);
        iter::once(&self.base.leaves).chain(runs.map(|run| &run.leaves))
    }

    /// How many relays there are of each class.
    pub(crate) fn counts(&self) -> [usize; Class::COUNT] {
        let mut counts = [0; Class::COUNT];
        for part in self.parts() {
            for (sum, count) in counts.iter_mut().zip(part.counts()) {
                *sum += count;
            }
        }
        counts
    }

    /// Whether the time of any relay to be left alone is over at `tick`.
    #[inline]
    pub(crate) fn are_due(&self, tick: Tick) -> bool {
        self.parts().any(|part| part.are_due(tick))
    }

    /// All relays, those in the base first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Handle> {
        let arrivals = self.runs.iter().flat_map(|run| run.iter());
        self.base.iter().map(|(_, relay)| relay).chain(arrivals)
    }

    /// Where a relay is, if it is in the base and that is known.
    pub(crate) fn position_of(&self, relay: Handle) -> Option<crate::coordinates::Coordinate> {
        let located = self.base.leaves.located.as_ref()?;
        located.geometry.position(self.base.place_of(relay)?)
    }

    /// The leaf of a relay, in each base and in the runs.
    fn leaves_of(&self, subject: &Subject<'_>) -> impl Iterator<Item = (&Leaves, usize)> {
        let handle = subject.handle;
        let bases = iter::once(&self.base).chain(&self.next);
        let in_bases: [_; 2] = {
            let mut found = bases.map(|base| Some((&base.leaves, base.place_of(handle)?)));
            [found.next().flatten(), found.next().flatten()]
        };
        let in_run = match in_bases[0] {
            Some(_) => None,
            None => self.runs.iter().find_map(|run| {
                Some((&run.leaves, run.place_of(subject.extra.arrival(), handle)?))
            }),
        };
        in_bases.into_iter().flatten().chain(in_run)
    }

    /// What is said of a relay; of one in both bases, in the one that counts.
    pub(crate) fn class_of(&self, subject: &Subject<'_>) -> Class {
        let mut leaves = self.leaves_of(subject);
        leaves
            .next()
            .map_or(Class::Vacant, |(leaves, place)| leaves.class_at(place))
    }

    fn refresh(&self, subject: &Subject<'_>, context: &Context, fully: bool) {
        for (leaves, place) in self.leaves_of(subject) {
            leaves.refresh(place, subject, context, fully);
        }
    }

    fn fresh_run(&self) -> Arc<Run> {
        // Longer and longer ones, so that there are few.
        let wanted = (self.base.len() / 64).max(self.arrivals());
        let capacity = wanted.clamp(RUN_MIN, RUN_MAX);
        let first = self.newest_run().next_number();
        Arc::new(Run::new(capacity as u32, first, self.base.leaves.bins))
    }

    fn newest_run(&self) -> &Run {
        self.runs.last().expect("a snapshot has a run")
    }

    fn with_fresh_run(&self) -> Self {
        let mut next = self.clone();
        next.runs.push(self.fresh_run());
        next
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
const RUN_MAX: usize = 1 << 22;

/// So many times the base, arrivals are [heavy](Backlog::Heavy).
const HEAVY: usize = 3;

/// A base of fewer relays is merged in some hundred microseconds.
const SMALL: usize = 4096;

impl Publication {
    pub(crate) fn new(terms: Terms, watch: Watch) -> Self {
        Self {
            current: Swap::new(Arc::new(Snapshot {
                base: Arc::new(Base::new(Vec::new())),
                next: None,
                runs: vec![Arc::new(Run::new(RUN_MIN as u32, 0, Bins::FINE))],
                number: 0,
            })),
            latest: Padded(AtomicU64::default()),
            reordered: AtomicBool::new(false),
            merger: Mutex::new(Merger::default()),
            context: Context::new(terms, watch),
            upcoming: PendingChanges::default(),
        }
    }

    /// The current snapshot; not to be held beyond the caller's operation.
    #[inline]
    pub(crate) fn load(&self) -> impl std::ops::Deref<Target = Arc<Snapshot>> + '_ {
        self.current.load()
    }

    /// What changes with every arrival, and never comes round: a relay that is seen live
    /// has arrived before.
    pub(crate) fn progress(&self) -> impl PartialEq + use<> {
        let snapshot = self.load();
        (snapshot.number, snapshot.newest_run().len())
    }

    /// Whether no later snapshot is in force, or none that this thread has to know of.
    ///
    /// It has to know of one if a change went there alone, and this thread saw the note of
    /// that change end.
    #[inline]
    pub(crate) fn is_latest(&self, snapshot: &Snapshot) -> bool {
        // Acquire: a change that went to a later snapshot saw its number here.
        self.latest.load(Ordering::Acquire) == snapshot.number
    }

    /// Gives a relay a leaf, which says nothing until it is refreshed.
    pub(in crate::table) fn append(&self, arrival: Handle, extra: &Extra) {
        loop {
            let snapshot = self.load();
            if snapshot.newest_run().push(arrival, extra) {
                return;
            }
            // Full, or sealed by a merge that has published a fresh one. Others
            // may have added one, too: look before allocating.
            if Arc::ptr_eq(&snapshot, &self.load()) {
                self.replace(&snapshot, snapshot.with_fresh_run());
            }
        }
    }

    /// To be held by a thread from before it makes a change by which the relay may
    /// become available until it has refreshed the leaf: a search that finds none
    /// looks at the record itself meanwhile.
    pub(crate) fn announce(&self, index: u32) -> PendingChange<'_> {
        self.upcoming.begin(index)
    }

    /// Brings what searches see of a relay in line with its record, after that
    /// changed; `fully` where the relay may have become available.
    pub(crate) fn refresh(&self, subject: &Subject<'_>, fully: bool) {
        subject.record.touch_load();
        self.refresh_touched(subject, fully);
    }

    /// Brings the leaf at a place in line with its record as of `tick`, whichever
    /// snapshot is in force.
    pub(crate) fn wake(&self, part: &Leaves, place: usize, subject: &Subject<'_>, tick: Tick) {
        self.context.judge_at(tick);
        part.refresh(place, subject, &self.context, true);
    }

    /// Brings the load of a relay forward by one event, and what searches see of it;
    /// nothing changes where `next` says why it must not.
    #[inline]
    pub(in crate::table) fn change_load<E>(
        &self,
        subject: &Subject<'_>,
        next: impl Fn(Load) -> Result<Load, E>,
    ) -> Result<(), E> {
        let mut note = None;
        let change = subject.record.update_load(|load| {
            let next = next(load)?;
            if note.is_none() && load.refusal().is_some() && next.refusal().is_none() {
                note = Some(self.announce(subject.handle.index));
            }
            Ok(next)
        })?;
        match note {
            Some(_) => self.refresh_touched(subject, true),
            None => self.refresh_load(subject, change, None),
        }
        Ok(())
    }

    /// [`refresh`](Self::refresh) after a change of the load word itself.
    pub(crate) fn refresh_touched(&self, subject: &Subject<'_>, fully: bool) {
        self.load().refresh(subject, &self.context, fully);
    }

    /// The same where the relay has not become available, so that it is seldom worth
    /// the while: most changes make no difference to what a leaf says. `snapshot` is
    /// one that is at hand.
    ///
    /// A leaf depends on more than the load. A thread that changes anything else touches
    /// the load word before it refreshes the leaf. So either it sees this change of the
    /// load, or this thread sees its change here.
    #[inline]
    pub(crate) fn refresh_load(
        &self,
        subject: &Subject<'_>,
        (before, after): (Load, Load),
        snapshot: Option<&Snapshot>,
    ) {
        let Context { terms, .. } = &self.context;
        if is_alike(subject.record, before, after, terms, self.context.bins()) {
            return;
        }
        match snapshot.filter(|snapshot| self.is_latest(snapshot)) {
            Some(snapshot) => snapshot.refresh(subject, &self.context, false),
            None => self.refresh_touched(subject, false),
        }
    }

    /// How urgently the arrivals want merging, where so many relays are held.
    ///
    /// Arrivals are found as fast as others, but they are not in order of place and
    /// round trip. So registrants do merge, but seldom where that takes long: of many
    /// relays that only come, each is merged 1.3 times at most, on average.
    pub(crate) fn backlog(&self, held: usize) -> Backlog {
        let snapshot = self.load();
        let (arrivals, base) = (snapshot.arrivals(), snapshot.base.len());
        match arrivals {
            _ if arrivals < RUN_MIN.max(base / 4) => Backlog::Light,
            _ if arrivals >= (16 * RUN_MIN).max(2 * held) => Backlog::Overdue,
            _ if base < SMALL || arrivals >= HEAVY * base => Backlog::Heavy,
            _ => Backlog::Due,
        }
    }

    /// Notes that an RTT changed, after it did. Written only by the first to do so
    /// since the last merge, so that measuring does not contend.
    ///
    /// A merge takes the note away before it reads the RTTs. Of its fence and the one
    /// here one comes first: either the merge sees the change, or this thread sees that
    /// the note is gone.
    #[inline]
    pub(crate) fn note_reordering(&self) {
        // SeqCst: see above.
        fence(Ordering::SeqCst);
        if !self.reordered.load(Ordering::Relaxed) {
            self.reordered.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a merge would change anything but drop departed relays.
    pub(crate) fn wants_merge(&self) -> bool {
        self.reordered.load(Ordering::Relaxed) || self.load().arrivals() > 0
    }

    /// The right to merge, after waiting for the thread that has it.
    pub(crate) fn merger(&self) -> MutexGuard<'_, Merger> {
        self.merger.lock()
    }

    /// The right to merge, if no thread has it.
    pub(crate) fn try_merger(&self) -> Option<MutexGuard<'_, Merger>> {
        self.merger.try_lock()
    }

    /// Sorts all relays that `describe` knows of into a new base; it answers `None`
    /// for a record that departed. `subject` finds the record of a handle.
    pub(crate) fn merge<'a>(
        &self,
        merger: &mut Merger,
        _pinned: &Guard,
        describe: impl FnMut(Handle) -> Option<MergedRelay>,
        subject: impl Fn(Handle) -> Subject<'a>,
    ) {
        self.reordered.store(false, Ordering::Relaxed);
        // SeqCst: see `note_reordering`.
        fence(Ordering::SeqCst);
        let before = self.with_old_runs_closed(merger);
        let old_runs = before.runs.len() - 1;
        let arrivals = before.runs[..old_runs].iter().flat_map(|run| run.iter());
        let relays = before.base.iter().map(|(_, relay)| relay).chain(arrivals);
        let mut merged = Vec::with_capacity(before.base.len() + before.arrivals());
        merged.extend(relays.filter_map(describe));
        let next = Arc::new(Base::new(merged));
        // Load changes are judged as finely as the finest leaf asks for.
        if next.leaves.bins == Bins::FINE {
            self.context.set_bins(Bins::FINE);
        }
        self.publish(merger, |snapshot| Snapshot {
            next: Some(Arc::clone(&next)),
            ..snapshot.clone()
        });
        for (place, relay) in next.iter() {
            let subject = subject(relay);
            subject.record.touch_load();
            next.leaves.refresh_early(place, &subject, &self.context);
        }
        next.leaves.put_together();
        self.publish(merger, |snapshot| {
            let after = Snapshot {
                base: Arc::clone(&next),
                next: None,
                runs: snapshot.runs[old_runs..].to_vec(),
                number: snapshot.number,
            };
            // Arrivals are compared with the base as finely as that is.
            match after.newest_run().leaves.bins == next.leaves.bins {
                true => after,
                false => after.with_fresh_run(),
            }
        });
        let is_fine = self.load().parts().any(|part| part.bins == Bins::FINE);
        self.context.set_bins(match is_fine {
            true => Bins::FINE,
            false => Bins::COARSE,
        });
        merger.bases.push(Arc::clone(&before.base));
        merger.runs.extend_from_slice(&before.runs[..old_runs]);
        drop(before);
        merger.sweep();
    }

    /// Publishes a fresh run unless the newest one is still empty; seals all
    /// before it.
    fn with_old_runs_closed(&self, merger: &mut Merger) -> Arc<Snapshot> {
        let snapshot = loop {
            let snapshot = Arc::clone(&self.load());
            if snapshot.newest_run().len() == 0 {
                break snapshot;
            }
            if let Some(previous) = self.replace(&snapshot, snapshot.with_fresh_run()) {
                merger.snapshots.push(previous);
            }
        };
        let (_, old) = snapshot.runs.split_last().expect("a snapshot has a run");
        for run in old {
            run.seal();
        }
        snapshot
    }

    /// Publishes what is to follow the snapshot in force, whichever that is.
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
        // Release, and before it is published: see `is_latest`.
        self.latest.fetch_max(next.number, Ordering::AcqRel);
        self.current.replace(current, Arc::new(next))
    }
}

impl Merger {
    /// Drops what no reader holds any more.
    fn sweep(&mut self) {
        self.snapshots.retain(|kept| Arc::strong_count(kept) > 1);
        self.bases.retain(|kept| Arc::strong_count(kept) > 1);
        self.runs.retain(|kept| Arc::strong_count(kept) > 1);
    }
}

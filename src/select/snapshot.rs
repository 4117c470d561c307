//! The view that selection walks: a sorted base and the runs of arrivals since,
//! swapped as a whole.
//!
//! Registration appends to the newest run, in constant time and visible at
//! once. Housekeeping merges runs into a new base, sorted by round-trip time as
//! it is then, and leaves out records that departed meanwhile. Nothing that
//! arrives during a merge is lost or waits:
//!
//! 1. publish { base, old runs, fresh run }: arrivals go to the fresh run;
//! 2. seal the old runs: what they hold is final;
//! 3. sort base and old runs into a new base;
//! 4. publish { new base, fresh run, runs added meanwhile }.
//!
//! Whoever merges is pinned, so no record that departs during a merge begins
//! another life before it ends: what piles up in runs meanwhile is bounded by
//! the number of records.
//!
//! A handle in the base could only be mistaken for a later life of its record
//! after 2^26 lives within one snapshot; each life adds an arrival, and runs
//! are merged long before.

use crate::rtt::Places;
use crate::select::districts::Districts;
use crate::select::order::{EXACT, Entry, Order};
use crate::select::positions::Positions;
use crate::select::run::Run;
use crate::select::survey::{Survey, Surveyed};
use crate::sync::epoch::Guard;
use crate::sync::{Arc, AtomicBool, Mutex, MutexGuard, Ordering, Swap};
use crate::table::Handle;

/// What a merge knew of the relays.
#[derive(Debug, Default)]
pub(crate) struct Base {
    /// By the round trip from here.
    pub(crate) order: Order,
    pub(crate) positions: Positions,
    /// All relays, in that order, where they are few and positions are known.
    pub(crate) head: Box<[Survey]>,
    /// Where they are many, orders of some for where the peers are.
    pub(crate) districts: Districts,
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) base: Arc<Base>,
    /// Oldest first; only the last one takes arrivals.
    pub(crate) runs: Vec<Arc<Run>>,
}

/// The published snapshot, and the right to merge.
#[derive(Debug)]
pub(crate) struct Publication {
    current: Swap<Snapshot>,
    /// Set when the base no longer is in the order of the RTTs in force.
    reordered: AtomicBool,
    merger: Mutex<Merger>,
}

/// What the one who merges takes care of: everything replaced that a reader may
/// still hold is kept until nobody does, so that no reader ever frees a base or
/// a run. (A shell of a few pointers, replaced by a registrant that found its
/// run full, it may.)
#[derive(Debug, Default)]
pub(crate) struct Merger {
    snapshots: Vec<Arc<Snapshot>>,
    bases: Vec<Arc<Base>>,
    runs: Vec<Arc<Run>>,
}

/// Arrivals beyond these are merged by registrants, if nobody else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backlog {
    /// Few arrivals, compared to the base.
    Light,
    /// Time for a merge.
    Due,
    /// So many that finding a relay suffers.
    Overdue,
}

impl Base {
    pub(crate) fn len(&self) -> usize {
        self.order.entries.len()
    }

    /// All relays in it, nearest first.
    pub(crate) fn relays(&self) -> impl Iterator<Item = Handle> {
        self.order.entries.iter().map(|entry| entry.relay)
    }

    fn new(surveyed: Vec<Surveyed>, assumed_micros: u32, previous: &Self) -> Self {
        let position = |relay: &Surveyed| Some((relay.relay, relay.position?));
        let positions = Positions::new(surveyed.iter().filter_map(position));
        let entry = |relay: &Surveyed| Entry {
            micros: relay.own_micros,
            relay: relay.relay,
        };
        let entries = surveyed.iter().map(entry).collect();
        let mut base = Self {
            order: Order::new(entries, assumed_micros),
            positions,
            ..Self::default()
        };
        if base.len() > EXACT {
            let (entries, positions) = (&base.order.entries, &base.positions);
            base.districts = previous.districts.next(entries, positions, assumed_micros);
        } else if !base.positions.is_empty() {
            base.head = base.surveys();
        }
        base
    }

    fn surveys(&self) -> Box<[Survey]> {
        let surveyed = |entry: &Entry| Surveyed {
            relay: entry.relay,
            own_micros: entry.micros,
            position: self.positions.of(entry.relay).copied(),
        };
        let relays: Vec<_> = self.order.entries.iter().map(surveyed).collect();
        relays.chunks(Places::MANY).map(Survey::new).collect()
    }
}

impl Snapshot {
    /// Arrivals in all runs; some may be void.
    #[inline]
    pub(crate) fn arrivals(&self) -> usize {
        self.runs.iter().map(|run| run.len()).sum()
    }

    /// Whether there are so many relays that searches look at some of them only.
    #[inline]
    pub(crate) fn is_sampled(&self) -> bool {
        self.base.len() > EXACT
    }

    /// All relays, those in the base first, nearest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Handle> {
        let arrivals = self.runs.iter().flat_map(|run| run.iter());
        self.base.relays().chain(arrivals)
    }

    fn fresh_run(&self) -> Arc<Run> {
        let capacity = (self.base.len() / 4).clamp(RUN_MIN, RUN_MAX);
        Arc::new(Run::new(capacity))
    }

    fn newest_run(&self) -> &Run {
        self.runs.last().expect("a snapshot has a run")
    }

    fn with_fresh_run(&self) -> Self {
        let mut runs = self.runs.clone();
        runs.push(self.fresh_run());
        Self {
            base: Arc::clone(&self.base),
            runs,
        }
    }
}

const RUN_MIN: usize = if cfg!(relay_loom) { 1 } else { 256 };
const RUN_MAX: usize = 1 << 18;

impl Publication {
    pub(crate) fn new() -> Self {
        Self {
            current: Swap::new(Arc::new(Snapshot {
                base: Arc::default(),
                runs: vec![Arc::new(Run::new(RUN_MIN))],
            })),
            reordered: AtomicBool::new(false),
            merger: Mutex::new(Merger::default()),
        }
    }

    /// The current snapshot; not to be held beyond the caller's operation.
    #[inline]
    pub(crate) fn load(&self) -> impl std::ops::Deref<Target = Arc<Snapshot>> + '_ {
        self.current.load()
    }

    /// Makes a relay visible to every selection that starts later.
    pub(crate) fn append(&self, arrival: Handle) {
        loop {
            let snapshot = self.load();
            if snapshot.newest_run().push(arrival) {
                return;
            }
            // Full, or sealed by a merge that has published a fresh one. Others
            // may have added one, too: look before allocating.
            if Arc::ptr_eq(&snapshot, &self.load()) {
                self.replace(&snapshot, snapshot.with_fresh_run());
            }
        }
    }

    /// How urgently the arrivals want merging.
    pub(crate) fn backlog(&self) -> Backlog {
        let snapshot = self.load();
        let (arrivals, base) = (snapshot.arrivals(), snapshot.base.len());
        match arrivals {
            _ if arrivals < RUN_MIN.max(base / 4) => Backlog::Light,
            _ if arrivals < (4 * RUN_MIN).max(base) => Backlog::Due,
            _ => Backlog::Overdue,
        }
    }

    /// Notes that an RTT changed. Written only by the first to do so since the
    /// last merge, so that measuring does not contend.
    #[inline]
    pub(crate) fn note_reordering(&self) {
        // Relaxed: a hint; the RTTs themselves are read at the merge.
        if !self.reordered.load(Ordering::Relaxed) {
            self.reordered.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a merge would change anything but drop departed relays.
    pub(crate) fn wants_merge(&self) -> bool {
        if self.reordered.load(Ordering::Relaxed) {
            return true;
        }
        let snapshot = self.load();
        snapshot.arrivals() > 0 || snapshot.base.districts.are_wanted()
    }

    /// The right to merge, after waiting for whoever has it.
    pub(crate) fn merger(&self) -> MutexGuard<'_, Merger> {
        self.merger.lock()
    }

    /// The right to merge, if nobody has it.
    pub(crate) fn try_merger(&self) -> Option<MutexGuard<'_, Merger>> {
        self.merger.try_lock()
    }

    /// Sorts all relays that `survey` knows of into a new base.
    ///
    /// It answers `None` for a record that departed; `other_leg_micros` is what
    /// every path has beside the round trip.
    pub(crate) fn merge(
        &self,
        merger: &mut Merger,
        _pinned: &Guard,
        other_leg_micros: u32,
        survey: impl FnMut(Handle) -> Option<Surveyed>,
    ) {
        // Before the RTTs are read, so that a later change is not forgotten.
        self.reordered.store(false, Ordering::Relaxed);
        let before = self.with_old_runs_closed(merger);
        let old_runs = before.runs.len() - 1;
        let arrivals = before.runs[..old_runs].iter().flat_map(|run| run.iter());
        let relays = before.base.relays().chain(arrivals);
        let mut surveyed = Vec::with_capacity(before.base.len() + before.arrivals());
        surveyed.extend(relays.filter_map(survey));
        let base = Arc::new(Base::new(surveyed, other_leg_micros, &before.base));
        loop {
            let snapshot = Arc::clone(&self.load());
            let next = Snapshot {
                base: Arc::clone(&base),
                runs: snapshot.runs[old_runs..].to_vec(),
            };
            if let Some(previous) = self.replace(&snapshot, next) {
                merger.snapshots.push(previous);
                break;
            }
        }
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

    fn replace(&self, current: &Arc<Snapshot>, next: Snapshot) -> Option<Arc<Snapshot>> {
        self.current.replace(current, Arc::new(next))
    }
}

impl Merger {
    /// Drops what nobody else holds any more.
    fn sweep(&mut self) {
        self.snapshots.retain(|kept| Arc::strong_count(kept) > 1);
        self.bases.retain(|kept| Arc::strong_count(kept) > 1);
        self.runs.retain(|kept| Arc::strong_count(kept) > 1);
    }
}

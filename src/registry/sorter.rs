//! When relays are sorted anew, and by what.

use crate::coordinates::CoordinateMap;
use crate::registry::coordinates::Coordinates;
use crate::registry::relays::Relays;
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, epoch};
use crate::table::record::State;
use crate::table::snapshot::{Backlog, MergedRelay, Merger};
use crate::time::nanos;
use std::time::{Duration, Instant};

/// The part of its time that the maintenance thread sorts for is one in this.
const SORTING_SHARE: u32 = 8;

/// It rests no longer than this, also after a sort during which it was preempted.
const LONGEST_REST: Duration = Duration::from_secs(2);

/// What is known of the last sort.
#[derive(Debug)]
pub(crate) struct Sorter {
    /// The departures that the base takes into account.
    departures: AtomicU64,
    /// When it was, in nanoseconds of the registry's time.
    sorted_at: AtomicU64,
    /// Nanoseconds of real time from `origin` until a paced pass may sort again.
    next_at: AtomicU64,
    origin: Instant,
}

impl Sorter {
    pub(super) fn new() -> Self {
        Self {
            departures: AtomicU64::default(),
            sorted_at: AtomicU64::default(),
            next_at: AtomicU64::default(),
            origin: Instant::now(),
        }
    }

    /// Sets when they were sorted, for a registry that is restored.
    #[cfg(feature = "persistence")]
    pub(super) fn set_sorted_at(&self, nanos: u64) {
        self.sorted_at.store(nanos, Ordering::Relaxed);
    }

    /// When relays were last sorted, in nanoseconds of the registry's time.
    pub(super) fn sorted_at(&self) -> u64 {
        // Relaxed, here and below: these pace the work and order nothing.
        self.sorted_at.load(Ordering::Relaxed)
    }

    /// Whether the last sort was long enough ago for a paced pass to sort again.
    pub(super) fn may_sort_again(&self) -> bool {
        nanos(self.origin.elapsed()) >= self.next_at.load(Ordering::Relaxed)
    }

    /// Sorts all relays anew, if anything changed; whether anything did.
    pub(super) fn sort(&self, relays: &Relays, coordinates: &Coordinates) -> bool {
        let mut merger = relays.publication().merger();
        let is_stale = relays.publication().wants_merge()
            || relays.counters.departures() != self.departures.load(Ordering::Relaxed);
        if is_stale {
            let map = coordinates.if_enabled().map(Mutex::lock);
            self.merge(relays, &mut merger, map);
        } else {
            merger.drop_unused();
        }
        is_stale
    }

    /// Sorts all relays anew, unless another thread sorts or holds the map.
    pub(super) fn try_sort(&self, relays: &Relays, coordinates: &Coordinates) {
        let Some(mut merger) = relays.publication().try_merger() else {
            return;
        };
        match coordinates.if_enabled().map(Mutex::try_lock) {
            None => self.merge(relays, &mut merger, None),
            Some(Some(map)) => self.merge(relays, &mut merger, Some(map)),
            Some(None) => {}
        }
    }

    fn merge(
        &self,
        relays: &Relays,
        merger: &mut Merger,
        map: Option<MutexGuard<'_, CoordinateMap>>,
    ) {
        let begun = Instant::now();
        let elapsed_nanos = relays.timeline.elapsed_nanos();
        let departures = relays.counters.departures();
        let assumed_rtt_micros = relays.settings.assumed_rtt_micros;
        // The closure owns the map's guard: it is unlocked before anything is sorted.
        relays
            .table
            .merge(merger, &epoch::pin(), move |relay, record| {
                // What is past its deadline stays until it departs: another thread may
                // be renewing it. What is closing stays: if a restart fails, the relay is
                // live again.
                let stays = matches!(
                    record.lifecycle().state(),
                    State::Staged | State::Live | State::Closing | State::Returning
                );
                stays.then(|| MergedRelay {
                    // Of the generation that was resolved, even if that has ended by now.
                    relay,
                    own_micros: record.rtt_micros().unwrap_or(assumed_rtt_micros),
                    position: map
                        .as_ref()
                        .and_then(|map| map.position(&record.identity()).copied()),
                })
            });
        self.finish(departures, elapsed_nanos, begun);
    }

    /// Only for the thread that has the merger.
    fn finish(&self, departures: u64, elapsed_nanos: u64, begun: Instant) {
        let rest = begun.elapsed() * (SORTING_SHARE - 1);
        let next_at = self.origin.elapsed() + rest.min(LONGEST_REST);
        self.departures.store(departures, Ordering::Relaxed);
        self.sorted_at.store(elapsed_nanos, Ordering::Relaxed);
        self.next_at.store(nanos(next_at), Ordering::Relaxed);
    }
}

/// How many arrivals there are, in proportion to the relays registered.
pub(super) fn backlog(relays: &Relays) -> Backlog {
    relays.publication().backlog(|| relays.table.estimate())
}

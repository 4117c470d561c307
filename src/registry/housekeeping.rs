//! What keeps a registry in order: expiry, sorting, reclamation.
//!
//! The maintenance thread and [`Registry::maintain`](crate::Registry::maintain)
//! run the same pass. Registrants do parts of it when there is nobody else to:
//! they sweep a full table, and merge arrivals that grow out of proportion.

use crate::registry::core::Core;
use crate::registry::stats::{Stats, add_one, get};
use crate::select::{Backlog, Merger};
use crate::sync::{AtomicU64, Ordering, epoch};
use crate::time::Tick;
use crate::wheel::Wheel;
use std::time::Duration;

/// What one housekeeping pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Maintained {
    /// Relays removed because their deadline had passed.
    pub expired: usize,
    /// Whether relays were sorted anew.
    pub sorted: bool,
    /// Departed relays whose memory still awaits reclamation.
    pub awaiting_reclamation: usize,
}

/// When a pass sorts relays anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sorting {
    /// Whenever anything changed.
    Eager,
    /// When anything changed, but for no more than a part of the time.
    Paced,
}

/// The part of its time that the maintenance thread sorts for is one in this.
const SORTING_SHARE: u64 = 8;

impl Core {
    /// One housekeeping pass.
    pub(super) fn maintain(&self, sorting: Sorting) -> Maintained {
        let now = self.timeline.advance();
        let expired = self.sweep(&mut self.wheel.lock(), now.tick);
        let is_time = sorting == Sorting::Eager
            || now.nanos >= self.last_sort.next_at()
            || self.publication.backlog() == Backlog::Overdue;
        let sorted = is_time && self.sort();
        epoch::collect();
        add_one(&self.counters.passes);
        Maintained {
            expired,
            sorted,
            awaiting_reclamation: self.table.awaiting_reclamation(),
        }
    }

    /// Makes all that is due at `tick` depart; how many did.
    fn sweep(&self, wheel: &mut Wheel, tick: Tick) -> usize {
        let mut expired = 0;
        let mut visit = |index| self.visit(index, tick, &mut expired);
        self.inbox.drain(
            |index| self.table.inbox_link(index),
            |index| match visit(index) {
                Some(deadline) => wheel.schedule(index, deadline),
                None => wheel.cancel(index),
            },
        );
        wheel.advance(tick, visit);
        self.note_swept(tick);
        expired
    }

    /// When the wheel should look at this record again: `None` once departed.
    fn visit(&self, index: u32, tick: Tick, expired: &mut usize) -> Option<Tick> {
        let guard = epoch::pin();
        loop {
            let record = self.table.occupant(index, &guard)?;
            let word = record.lifecycle();
            if word.is_pending() {
                // Its registrant has yet to say whether it lives.
                return Some(word.deadline().max(Tick(tick.0 + 1)));
            }
            if word.is_live_at(tick) {
                return Some(word.deadline());
            }
            if word.is_live() && self.expire(record, word) {
                *expired += 1;
                return None;
            }
        }
    }

    /// Frees the places of relays that are past their deadline, at least one
    /// if there is any.
    pub(super) fn make_room(&self, tick: Tick) {
        if self.swept() >= tick {
            return;
        }
        match self.wheel.try_lock() {
            Some(mut wheel) => _ = self.sweep(&mut wheel, tick),
            // Somebody is sweeping: free one place beside them.
            None => self.expire_any(tick),
        }
    }

    fn expire_any(&self, tick: Tick) {
        let guard = epoch::pin();
        self.table.iter(&guard).any(|record| {
            let word = record.lifecycle();
            word.is_live() && !word.is_live_at(tick) && self.expire(record, word)
        });
    }

    /// After an arrival: has the arrivals merged when they are many. Returns
    /// whether the maintenance thread should look at them now.
    pub(super) fn tend_arrivals(&self) -> bool {
        let backlog = self.publication.backlog();
        let is_ours = match backlog {
            Backlog::Light => false,
            Backlog::Due => !self.settings.has_keeper,
            Backlog::Overdue => true,
        };
        if is_ours {
            self.try_sort();
        }
        backlog == Backlog::Due && self.settings.has_keeper
    }

    /// Sorts all relays anew, if anything changed.
    fn sort(&self) -> bool {
        let mut merger = self.publication.merger();
        let is_stale = self.publication.wants_merge()
            || self.counters.departures() != self.last_sort.departures();
        if is_stale {
            self.merge(&mut merger);
        }
        is_stale
    }

    /// The same, unless somebody else is at it.
    fn try_sort(&self) {
        if let Some(mut merger) = self.publication.try_merger() {
            self.merge(&mut merger);
        }
    }

    fn merge(&self, merger: &mut Merger) {
        let begun = self.timeline.advance();
        let departures = self.counters.departures();
        let assumed_rtt_micros = self.settings.assumed_rtt_micros;
        let guard = epoch::pin();
        self.publication
            .merge(merger, &guard, assumed_rtt_micros, |relay| {
                let record = self.table.resolve(relay, &guard)?;
                let word = record.lifecycle();
                let stays = word.is_pending() || word.is_live_at(begun.tick);
                stays.then(|| record.rtt_micros().unwrap_or(assumed_rtt_micros))
            });
        drop(guard);
        let ended = self.timeline.advance();
        self.last_sort.note(departures, begun.nanos, ended.nanos);
    }

    pub(super) fn stats(&self) -> Stats {
        let totals = self.counters.totals();
        let snapshot = self.publication.load();
        let sorted_at = Duration::from_nanos(self.last_sort.begun_at());
        Stats {
            registrations: totals.registrations,
            renewals: totals.renewals,
            unregistrations: totals.unregistrations,
            expirations: totals.expirations,
            refused: totals.refused,
            relays: self.relay_count(),
            leases: self.table.leases(),
            awaiting_reclamation: self.table.awaiting_reclamation(),
            snapshot_age: self.timeline.elapsed().saturating_sub(sorted_at),
            snapshot_len: snapshot.base.entries.len(),
            arrivals: snapshot.arrivals(),
            wheel_len: self.wheel.lock().len(),
            maintenance_passes: get(&self.counters.passes),
            maintenance_panics: get(&self.counters.panics),
        }
    }
}

/// The last time that relays were sorted.
#[derive(Debug, Default)]
pub(crate) struct LastSort {
    departures: AtomicU64,
    begun_at: AtomicU64,
    next_at: AtomicU64,
}

impl LastSort {
    /// The departures that the base takes into account.
    fn departures(&self) -> u64 {
        get(&self.departures)
    }

    /// Nanoseconds from the registry's origin.
    fn begun_at(&self) -> u64 {
        get(&self.begun_at)
    }

    /// When a paced pass may sort again.
    fn next_at(&self) -> u64 {
        get(&self.next_at)
    }

    /// Only for whoever holds the merger.
    fn note(&self, departures: u64, begun_at: u64, ended_at: u64) {
        let rest = (ended_at - begun_at).saturating_mul(SORTING_SHARE - 1);
        // Relaxed: these pace the work and order nothing.
        self.departures.store(departures, Ordering::Relaxed);
        self.begun_at.store(begun_at, Ordering::Relaxed);
        self.next_at
            .store(ended_at.saturating_add(rest), Ordering::Relaxed);
    }
}

//! Maintenance passes: expiry, sorting, reclamation.
//!
//! The maintenance thread and [`Registry::maintain`](crate::Registry::maintain) make the
//! same pass. [`maintain`](crate::Registry::maintain) reads the clock first; for the
//! maintenance thread another thread does. Registrations do parts of a pass themselves: they
//! sweep a full table, and without a maintenance thread they merge arrivals that grow out of
//! proportion.

use crate::registry::counters::Occasion;
use crate::registry::inner::Inner;
use crate::registry::relays::Relays;
use crate::registry::sorter;
use crate::table::free_deferred;
use crate::table::snapshot::Backlog;
use crate::time::Tick;

/// A thread looks for work that was put off after each so many arrivals.
const CHECK_EVERY: u64 = 16;

/// What one maintenance pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct MaintenanceReport {
    /// Relays removed because their deadline had passed.
    pub expired: usize,
    /// Whether relays were sorted anew.
    pub sorted: bool,
    /// Departed relays whose memory still awaits reclamation.
    pub awaiting_reclamation: usize,
}

/// How often passes sort relays anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Whenever anything changed.
    Eager,
    /// When anything changed, but for no more than a part of the time.
    Paced,
}

impl Inner {
    /// One maintenance pass by a thread that reads the clock first.
    pub(super) fn maintain(&self) -> MaintenanceReport {
        let now = self.relays.timeline.advance();
        self.run_maintenance(now.tick, Pace::Eager)
    }

    /// One maintenance pass, which does not read the clock.
    pub(super) fn run_maintenance(&self, now: Tick, pace: Pace) -> MaintenanceReport {
        let Relays {
            timeline,
            counters,
            trace,
            ..
        } = &self.relays;
        let span = trace.pass_span();
        let report = self.run_pass(now, pace);
        span.ended(report.expired, report.sorted, report.awaiting_reclamation);
        let now = timeline.elapsed();
        let panics = trace.warn(now, timeline.went_back(), counters.panics());
        (0..panics).for_each(|_| counters.count_panic());
        report
    }

    fn run_pass(&self, now: Tick, pace: Pace) -> MaintenanceReport {
        let relays = &self.relays;
        let _wakes = relays.wake_guard();
        let publication = relays.publication();
        let expired = self.sweep(now);
        // All of them, so that few are left for finds to do it.
        relays
            .table
            .refresh_ended_suspensions(&publication.load(), now, usize::MAX);
        if publication.context.outage.take_deferred() {
            relays.table.end_outage();
        }
        let has_new_filters = relays.table.activate_filters();
        self.peers.remove_expired(now);
        let is_time = pace == Pace::Eager
            || has_new_filters
            || self.sorter.may_sort_again()
            || sorter::backlog(relays) == Backlog::Overdue;
        publication.prepare_free_units();
        self.coordinates.apply_measurements(relays);
        let sorted = is_time && self.sort_in_span();
        relays.table.reclaim();
        free_deferred();
        relays.counters.count_pass();
        self.export_if_due(now);
        MaintenanceReport {
            expired,
            sorted,
            awaiting_reclamation: relays.table.awaiting_reclamation(),
        }
    }

    /// Makes all that is due at `tick` depart; how many did.
    pub(super) fn sweep(&self, tick: Tick) -> usize {
        let mut schedule = self.expiry.schedule();
        self.expiry.sweep(&self.relays, &mut schedule, tick)
    }

    fn sort_in_span(&self) -> bool {
        let span = self.relays.trace.sort_span();
        let sorted = self.sort();
        span.ended(sorted);
        sorted
    }

    /// Sorts all relays anew, if anything changed.
    pub(super) fn sort(&self) -> bool {
        self.sorter.sort(&self.relays, &self.coordinates)
    }

    /// After an arrival, now and then: has the arrivals merged when they are many, and without a
    /// maintenance thread drains the inbox and forgets relays if too many are remembered. Returns
    /// whether the maintenance thread should look at the arrivals now.
    #[inline(always)]
    pub(super) fn merge_if_due(&self) -> bool {
        self.relays.counters.is_nth(CHECK_EVERY, Occasion::Arrival) && self.check_backlogs()
    }

    #[cold]
    fn check_backlogs(&self) -> bool {
        let relays = &self.relays;
        let has_thread = relays.timeline.has_thread();
        if !has_thread {
            self.expiry.forget_excess(relays);
        }
        match sorter::backlog(relays) {
            Backlog::Light => false,
            Backlog::Due | Backlog::Heavy if has_thread => self.sorter.may_sort_again(),
            Backlog::Due => false,
            Backlog::Heavy | Backlog::Overdue => {
                self.sorter.try_sort(relays, &self.coordinates);
                false
            }
        }
    }
}

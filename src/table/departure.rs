//! How a relay departs, and what is remembered of it.
//!
//! 1. A thread finds the record and loads its lifecycle with acquire: live. It has left, or
//!    its deadline has passed.
//! 2. It notes in `departures` that one is under way, so that a registrant which needs the
//!    room can help ([`help_departures`](Table::help_departures)).
//! 3. A compare-and-swap (acquire and release) changes the lifecycle from live to
//!    *departing* ([`depart`](Table::depart)). This decides against a renewal, an expiry
//!    and other departures: each is such a compare-and-swap of the word that it loaded.
//! 4. A compare-and-swap of the admission word counts the record out and names it. Any
//!    thread that finds it named there changes the lifecycle from departing to *closing*,
//!    and then clears the pending bit.
//! 5. The thread of step 3, which now has the record, closes the load (acquire and release),
//!    so that no lease is given; raises the generation (release), so that no handle names
//!    the record; and refreshes its summaries.
//! 6. It has a [`Closing`], and decides by it. The relay is *remembered* up to a tick, or
//!    the record *kept* for its leases and for operator settings: it is *gone*, and
//!    stays in its bucket. Or it is *forgotten*: removed from its bucket, *vacant*, and
//!    retired with what it announced.
//! 7. A [round](super::reclaim) of reclamation takes what is retired. Once all threads have
//!    unpinned that were pinned then, it is reclaimable, and given back to the pools in
//!    pieces. A record with leases goes back with the last of these instead.
//!
//! # Who may change a record that is gone
//!
//! A relay that leaves or expires may come back, late or soon. Until it is forgotten, its
//! record is not counted and found by no search, but keeps the leases on it, its load,
//! round trips and circuit. So a lease is a unit of the relay and not of one of
//! its registrations, and operator settings hold whatever the relay does.
//!
//! A thread that makes a record *closing* or *returning*, by a compare-and-swap, has it to
//! itself until it sets another state; releases of leases, and the operator's settings, only
//! change the load and the circuit. A registration that meets such a record waits until
//! that thread has made its few steps: else a second record of the same id would be leased
//! beside it.
//!
//! # Why nothing that is kept is forgotten, and nothing is kept for no reason
//!
//! A thread that forgets a record first closes it, and then looks for reasons to keep it,
//! by read-modify-writes of load and circuit. An operator's setting is a read-modify-write of
//! one of these, followed by a look at the lifecycle. Of the two read-modify-writes one is
//! the later: either the thread that forgets sees the word, or the other sees that the record
//! is closing, and says its word again. A last lease that is released beside a record which
//! becomes kept is seen in the same way: by the thread that keeps it, which looks for reasons
//! once more, or by the thread that releases, which then has the wheel look.

use crate::sync::epoch::Guard;
use crate::sync::{AtomicU32, Ordering, Padded};
use crate::table::Table;
use crate::table::index::Hash;
use crate::table::permits;
use crate::table::record::{Announcement, Lifecycle, Load};
use crate::table::record_ref::{LiveRecord, ObservedRecord, RecordRef};
use crate::time::Tick;

/// How many records are gone.
#[derive(Debug, Default)]
pub(super) struct GoneCounts {
    /// Those that hold a permit.
    remembered: Padded<AtomicU32>,
    /// Those that the operator's setting brought into being.
    pub(super) placeholders: Padded<AtomicU32>,
}

/// A record that is the caller's, to be remembered, kept or forgotten.
#[must_use]
pub(crate) struct Closing<'g> {
    table: &'g Table,
    /// With its lifecycle before.
    last: ObservedRecord<'g>,
    /// Whether it is live to the count, until another one takes its place.
    is_counted: bool,
}

impl<'g> Closing<'g> {
    /// Whether its relay was live, or its grace had not ended.
    pub(crate) fn is_remembered(&self, now: Tick) -> bool {
        let last = self.last.word();
        !last.is_kept() && now < last.deadline()
    }

    pub(crate) fn is_counted(&self) -> bool {
        self.is_counted
    }

    pub(crate) fn record(&self) -> RecordRef<'g> {
        *self.last
    }

    /// What its relay announced, if that is remembered.
    pub(crate) fn announcement(&self) -> Option<&'g Announcement> {
        self.last.announcement()
    }

    /// Has it remembered up to a tick, with or without what its relay announced.
    pub(crate) fn remember_until(self, until: Tick, with_announcement: bool) {
        let last = self.last.word();
        let gone = last.closing().gone_until(until);
        self.table.gone.count(gone);
        match (with_announcement, last.announced()) {
            (false, Some(announcement)) => {
                self.set_lifecycle(gone.without_announcement());
                self.retire_announcement(announcement);
            }
            _ => self.set_lifecycle(gone),
        }
        self.table.push_to_inbox(&self.last);
    }

    /// Has it kept for as long as there is a reason.
    pub(crate) fn keep(self) {
        let last = self.last.word();
        self.table.store.permits.release();
        if last.is_placeholder() {
            self.table.gone.count(last);
            self.set_lifecycle(last);
        } else {
            self.set_lifecycle(Lifecycle::kept());
        }
        if let Some(announcement) = last.announced() {
            self.retire_announcement(announcement);
        }
        self.table.push_to_inbox(&self.last);
    }

    /// Leaves a record that was live or gone as it was found.
    pub(crate) fn leave_as_it_was(self) {
        let last = self.last.word();
        let _pending = self.last.begin_pending();
        if !self.is_counted {
            self.table.gone.count(last);
            if last.is_kept() {
                self.table.store.permits.release();
            }
        }
        self.set_lifecycle(last);
        self.table.push_to_inbox(&self.last);
        self.last.refresh(true);
    }

    /// Takes it out of the table; of one that is counted, after another one took its
    /// place. Leases on it are void.
    pub(crate) fn forget(self) {
        let record = self.record();
        if self.is_counted {
            self.table.invalidate_handles(record);
        }
        let hash = self.table.hash(&record.identity());
        self.table
            .unlink_and_retire(record, hash, self.last.word().announced());
    }

    fn set_lifecycle(&self, word: Lifecycle) {
        self.last.record.set_lifecycle(word);
    }

    fn retire_announcement(&self, announcement: u32) {
        let store = &self.table.store;
        store.retire_announcement(announcement, self.last.guard);
    }
}

impl GoneCounts {
    fn word(&self, gone: Lifecycle) -> Option<&AtomicU32> {
        if gone.is_placeholder() {
            return Some(&self.placeholders);
        }
        (!gone.is_kept()).then_some(&self.remembered)
    }

    pub(super) fn count(&self, gone: Lifecycle) {
        // Relaxed, here and below: counts that carry nothing but themselves.
        if let Some(word) = self.word(gone) {
            word.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn discount(&self, gone: Lifecycle) {
        if let Some(word) = self.word(gone) {
            word.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn remembered(&self) -> usize {
        self.remembered.load(Ordering::Relaxed) as usize
    }
}

impl Table {
    /// Ends the life of a record, unless its lifecycle has changed since it was seen live:
    /// the one decision between departure, expiry and renewal. The record is then the
    /// caller's to have remembered or forgotten.
    pub(crate) fn depart<'g>(&'g self, live: LiveRecord<'g>) -> Option<Closing<'g>> {
        self.check_is_own(&live);
        let (record, word) = (*live, live.word());
        let in_progress = self.departures.begin(record.index);
        let departs = record.record.transition(word, word.departing());
        if departs {
            self.count_out(record);
        }
        drop(in_progress);
        departs.then(|| {
            self.invalidate_handles(record);
            self.closing(live.into(), false)
        })
    }

    /// Takes a live record, unless its lifecycle has changed since it was seen, for another
    /// one to take its place; it goes on being counted.
    pub(crate) fn close_live<'g>(&'g self, live: LiveRecord<'g>) -> Option<Closing<'g>> {
        self.check_is_own(&live);
        let word = live.word();
        let closes = live.record.transition(word, word.closing());
        closes.then(|| self.closing(live.into(), true))
    }

    /// Takes a record that is gone, to have it remembered, kept or forgotten; `None` where
    /// it was not gone, or its lifecycle has changed since it was seen.
    pub(crate) fn close_gone<'g>(&'g self, gone: ObservedRecord<'g>) -> Option<Closing<'g>> {
        self.check_is_own(&gone);
        let word = gone.word();
        if !(word.is_gone() && gone.record.transition(word, word.closing())) {
            return None;
        }
        self.gone.discount(word);
        if word.is_kept() {
            self.store.permits.force();
        }
        Some(self.closing(gone, false))
    }

    fn closing<'g>(&'g self, last: ObservedRecord<'g>, is_counted: bool) -> Closing<'g> {
        Closing {
            table: self,
            last,
            is_counted,
        }
    }

    /// Counts a departing record out, unless another thread does.
    pub(super) fn count_out(&self, record: RecordRef<'_>) {
        let handle = record.handle();
        loop {
            let seen = self.help_unfinished(record.guard);
            if !record.lifecycle().is_departing() {
                // Another thread did, but may have to clear the pending bit yet. Until then
                // the admission word names the record, which must not be retired.
                self.help_unfinished(record.guard);
                return;
            }
            if self.admission.count_out(seen, handle) {
                self.help_unfinished(record.guard);
                return;
            }
        }
    }

    /// Counts out what other threads are about to, so that no relay which is gone
    /// keeps a newcomer out.
    pub(crate) fn help_departures(&self, guard: &Guard) {
        let help = |index| {
            let record = self.at(index, guard);
            if record.lifecycle().is_departing() {
                self.count_out(record);
            }
        };
        let departures = self.departures.read();
        departures.indices().for_each(help);
        if departures.has_overflowed() {
            (0..self.store.high_water()).for_each(help);
        }
    }

    /// Makes a record stale that departed.
    fn invalidate_handles(&self, record: RecordRef<'_>) {
        let subject = record.subject();
        record.record.set_flags(Load::CLOSED);
        record.record.end_generation();
        self.store.publication.refresh(&subject, false);
    }

    /// Takes a closed record out of its bucket and retires it.
    pub(super) fn unlink_and_retire(
        &self,
        record: RecordRef<'_>,
        hash: Hash,
        announcement: Option<u32>,
    ) {
        self.index.remove(hash, record.index);
        record.record.set_lifecycle(Lifecycle::VACANT);
        self.store.retire(record.index, announcement, record.guard);
    }

    /// How many relays are remembered that are gone, but for those that are kept for a
    /// reason.
    pub(crate) fn remembered(&self) -> usize {
        self.gone.remembered()
    }

    /// Whether more are remembered than there should be.
    pub(crate) fn is_to_forget(&self) -> bool {
        self.gone.remembered() > permits::remembered(self.max_relays)
    }

    /// Has the wheel look at a record that may have no reason to be kept any more.
    pub(crate) fn reconsider(&self, record: &RecordRef<'_>) {
        self.check_is_own(record);
        self.store.reconsider(record.index);
    }
}

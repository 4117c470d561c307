//! Relays that are gone and remembered, in the records that they had.
//!
//! A relay that leaves or expires may come back, late or soon. Until it is forgotten, its
//! record stays in its bucket, not counted and found by no search, with the leases on
//! it, its load, round trips and circuit. So a lease is a unit of the relay and not of one of
//! its registrations, and what the operator said of a relay holds whatever the relay does.
//!
//! # Who may change such a record
//!
//! A thread that makes a record *closing* or *returning*, by a compare-and-swap, has it to
//! itself until it sets another state; releases of leases, and the operator's words, only
//! change the load and the circuit. A registration that meets such a record waits until
//! that thread has made its few steps: else a second record of the same id would be leased
//! beside it.
//!
//! # Why nothing that is kept is forgotten, and nothing is kept for no reason
//!
//! A thread that forgets a record first closes it, and then looks for reasons to keep it,
//! by read-modify-writes of load and circuit. An operator's word is a read-modify-write of
//! one of these, followed by a look at the lifecycle. Of the two read-modify-writes one is
//! the later: either the thread that forgets sees the word, or the other sees that the record
//! is closing, and says its word again. A last lease that is released beside a record which
//! becomes kept is seen in the same way: by the thread that keeps it, which looks for reasons
//! once more, or by the one that releases, which then has housekeeping look.

use crate::limits::MAX_UNHELD_WORDS;
use crate::relay::NodeId;
use crate::sync::epoch::Guard;
use crate::sync::{AtomicU32, Ordering, Padded};
use crate::table::index::Hash;
use crate::table::lookup::{Held, Known};
use crate::table::record::{Announcement, Lifecycle, Load, Record};
use crate::table::record_ref::RecordRef;
use crate::table::store::{self, Exhausted};
use crate::table::{Staged, Table};
use crate::time::Tick;

/// How many records are gone.
#[derive(Debug, Default)]
pub(super) struct GoneCounts {
    /// Those that hold a permit.
    remembered: Padded<AtomicU32>,
    /// Those that the operator's word brought into being.
    introduced: Padded<AtomicU32>,
}

/// A record that is the caller's, to be remembered, kept or forgotten.
#[must_use]
pub(crate) struct Closing<'g> {
    table: &'g Table,
    record: RecordRef<'g>,
    /// Its lifecycle before.
    last: Lifecycle,
    /// Whether it is live to the count, until another one takes its place.
    is_counted: bool,
}

/// A record whose relay is about to come back, the caller's until it is admitted.
#[must_use]
pub(crate) struct Returning<'g> {
    table: &'g Table,
    record: RecordRef<'g>,
    /// Its lifecycle before.
    last: Lifecycle,
    /// Its lifecycle now.
    word: Lifecycle,
}

/// Why nothing can be kept of an id that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CreateError {
    /// Another record of the id is there by now.
    Overtaken,
    TooMany,
    Exhausted,
}

impl<'g> Closing<'g> {
    pub(super) fn after(table: &'g Table, record: RecordRef<'g>, last: Lifecycle) -> Self {
        Self {
            table,
            record,
            last,
            is_counted: false,
        }
    }

    /// A live record, in the place of which another one is to be admitted.
    pub(super) fn counted(table: &'g Table, record: RecordRef<'g>, last: Lifecycle) -> Self {
        Self {
            is_counted: true,
            ..Self::after(table, record, last)
        }
    }

    /// Whether its relay was live, or its grace had not ended.
    pub(crate) fn is_remembered(&self, now: Tick) -> bool {
        !self.last.is_kept() && now < self.last.deadline()
    }

    pub(crate) fn is_counted(&self) -> bool {
        self.is_counted
    }

    pub(crate) fn record(&self) -> RecordRef<'g> {
        self.record
    }

    /// What its relay announced, if that is remembered.
    pub(crate) fn announcement(&self) -> Option<&'g Announcement> {
        let word = self.last;
        word.announced().map(|_| self.record.announcement(word))
    }

    /// Has it remembered up to a tick, with or without what its relay announced.
    pub(crate) fn remember_until(self, until: Tick, with_announcement: bool) {
        let gone = self.last.closing().gone_until(until);
        self.table.gone.count(gone);
        match (with_announcement, self.last.announced()) {
            (false, Some(announcement)) => {
                self.record.set_lifecycle(gone.without_announcement());
                self.retire_announcement(announcement);
            }
            _ => self.record.set_lifecycle(gone),
        }
        self.table.announce_to_wheel(&self.record);
    }

    /// Has it kept for as long as there is a reason.
    pub(crate) fn keep(self) {
        self.table.store.return_permit();
        if self.last.is_introduced() {
            self.table.gone.count(self.last);
            self.record.set_lifecycle(self.last);
        } else {
            self.record.set_lifecycle(Lifecycle::kept());
        }
        if let Some(announcement) = self.last.announced() {
            self.retire_announcement(announcement);
        }
        self.table.announce_to_wheel(&self.record);
    }

    /// Leaves a record that was live or gone as it was found.
    pub(crate) fn leave_as_it_was(self) {
        let _note = self.record.announce();
        if !self.is_counted {
            self.table.gone.count(self.last);
            if self.last.is_kept() {
                self.table.store.return_permit();
            }
        }
        self.record.set_lifecycle(self.last);
        self.table.announce_to_wheel(&self.record);
        self.record.refresh(true);
    }

    /// Takes it out of the table; of one that is counted, after another one took its
    /// place. Leases on it are void.
    pub(crate) fn forget(self) {
        if self.is_counted {
            self.table.end_life(self.record);
        }
        let hash = self.table.hash(&self.record.identity());
        self.table
            .unlink_and_retire(self.record, hash, self.last.announced());
    }

    fn retire_announcement(&self, announcement: u32) {
        let store = &self.table.store;
        store.retire_announcement(announcement, self.record.guard);
    }
}

impl Returning<'_> {
    /// Lets the relay in again, unless the table is full.
    pub(crate) fn admit(self) -> bool {
        let (table, guard) = (self.table, self.record.guard);
        let handle = self.record.handle();
        loop {
            let gate = table.help_pending(guard);
            if gate.count() < table.max_relays {
                if table.admission.admit(gate, handle) {
                    table.help_pending(guard);
                    self.retire_last_announcement();
                    return true;
                }
            } else if table.admission.read() == gate {
                self.refuse();
                return false;
            }
        }
    }

    fn retire_last_announcement(&self) {
        if let Some(announcement) = self.last.announced() {
            let store = &self.table.store;
            store.retire_announcement(announcement, self.record.guard);
        }
    }

    /// Leaves the record as it was found.
    fn refuse(self) {
        let store = &self.table.store;
        self.record.set_flags(Load::CLOSED);
        // The place that it has among arrivals is void.
        self.record.end_generation();
        self.table.gone.count(self.last);
        if self.last.is_kept() {
            store.return_permit();
        }
        self.record.set_lifecycle(self.last);
        store.retire_announcement(self.word.announcement(), self.record.guard);
        self.table.announce_to_wheel(&self.record);
    }
}

impl GoneCounts {
    fn word(&self, gone: Lifecycle) -> Option<&AtomicU32> {
        if gone.is_introduced() {
            return Some(&self.introduced);
        }
        (!gone.is_kept()).then_some(&self.remembered)
    }

    fn count(&self, gone: Lifecycle) {
        // Relaxed, here and below: counts that carry nothing but themselves.
        if let Some(word) = self.word(gone) {
            word.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn discount(&self, gone: Lifecycle) {
        if let Some(word) = self.word(gone) {
            word.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn remembered(&self) -> usize {
        self.remembered.load(Ordering::Relaxed) as usize
    }
}

impl Table {
    /// How many relays are remembered that are gone, but for those that are kept for a
    /// reason.
    pub(crate) fn remembered(&self) -> usize {
        self.gone.remembered()
    }

    /// How many more are remembered than there should be.
    pub(crate) fn is_to_forget(&self) -> bool {
        self.gone.remembered() > store::remembered(self.max_relays)
    }

    /// Has housekeeping look at a record that may have no reason to be kept any more.
    pub(crate) fn reconsider(&self, record: &RecordRef<'_>) {
        self.store.reconsider(record.index);
    }

    /// Takes a record that is gone, if `word` is still its lifecycle, to have it
    /// remembered, kept or forgotten.
    pub(crate) fn close_gone<'g>(
        &'g self,
        record: RecordRef<'g>,
        word: Lifecycle,
    ) -> Option<Closing<'g>> {
        debug_assert!(word.is_gone());
        if !record.transition(word, word.closing()) {
            return None;
        }
        self.gone.discount(word);
        if word.is_kept() {
            self.store.force_permit();
        }
        Some(Closing::after(self, record, word))
    }

    /// Takes a record that is gone, if `word` is still its lifecycle, for its relay to
    /// come back on other terms. `None` if another thread was faster.
    pub(crate) fn bring_back<'g>(
        &'g self,
        record: RecordRef<'g>,
        word: Lifecycle,
        announcement: Announcement,
        deadline: Tick,
    ) -> Result<Option<Returning<'g>>, Exhausted> {
        if word.is_kept() {
            self.store.take_permit()?;
        }
        let taken = self.store.put_announcement(announcement, record.guard);
        let next = taken.map(|index| Lifecycle::returning(deadline, index));
        if let Ok(next) = next {
            if record.transition(word, next) {
                self.gone.discount(word);
                return Ok(Some(Returning {
                    table: self,
                    record,
                    last: word,
                    word: next,
                }));
            }
            self.store.return_announcement(next.announcement());
        }
        if word.is_kept() {
            self.store.return_permit();
        }
        next.map(|_| None)
    }

    /// Makes a record of an id that is not known, which is gone from the start; `say` says
    /// what is to be known of it.
    pub(crate) fn introduce(
        &self,
        (id, hash): (&NodeId, Hash),
        say: impl FnOnce(&Record),
        guard: &Guard,
    ) -> Result<(), CreateError> {
        let introduced = &self.gone.introduced;
        // Relaxed: a count that carries nothing but itself.
        if introduced.fetch_add(1, Ordering::Relaxed) as usize >= MAX_UNHELD_WORDS {
            introduced.fetch_sub(1, Ordering::Relaxed);
            return Err(CreateError::TooMany);
        }
        let entered = self.introduce_counted((id, hash), say, guard);
        if entered.is_err() {
            introduced.fetch_sub(1, Ordering::Relaxed);
        }
        entered
    }

    fn introduce_counted(
        &self,
        (id, hash): (&NodeId, Hash),
        say: impl FnOnce(&Record),
        guard: &Guard,
    ) -> Result<(), CreateError> {
        // With a permit for as long as it is not known.
        self.store.force_permit();
        let Some(index) = self.store.take_record_permitted(guard, true) else {
            self.store.return_permit();
            return Err(CreateError::Exhausted);
        };
        let record = self.at(index, guard);
        record.begin(record.extra(), id, 1, None);
        record.set_flags(Load::CLOSED);
        say(&record);
        record.set_lifecycle(Lifecycle::unknown());
        if !self.index.insert(hash, index) {
            record.set_lifecycle(Lifecycle::VACANT);
            self.store.return_record(index);
            return Err(CreateError::Exhausted);
        }
        let staged = Staged { record, hash };
        loop {
            let gate = self.help_pending(guard);
            let known = Known(Held { id, guard });
            if self.index.find_further(hash, known, self).is_some() {
                self.withdraw(&staged);
                return Err(CreateError::Overtaken);
            }
            if self.admission.introduce(gate, record.handle()) {
                self.help_pending(guard);
                self.store.return_permit();
                // A ban ends at some tick.
                self.announce_to_wheel(&record);
                return Ok(());
            }
        }
    }
}

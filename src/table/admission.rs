//! How a relay is admitted.
//!
//! 1. The registrant looks for a record of the id ([`find_known`](Table::find_known)). A
//!    relay that is live is renewed, one that is gone is [brought back](Table::bring_back);
//!    what follows is for an id without a record.
//! 2. It makes sure that there is room: [`full_without`](Table::full_without), and
//!    [`help_departures`](Table::help_departures) if there seems to be none.
//! 3. It takes a record and an announcement from the pools, which no other thread knows
//!    of, and writes them ([`stage`](Table::stage)). A store with release sets the
//!    lifecycle to *pending*; a compare-and-swap with release names the record in its
//!    bucket. From here on other threads reach it, but no look-up and no search accepts it.
//! 4. The record gets a place in the order of searches and in the inbox of the wheel
//!    ([`Staged::append`]). So the moment that makes it a relay is also the one from which
//!    it is found and due.
//! 5. The registrant loads the [admission word](super::admission_word) with acquire, after
//!    carrying out what is pending there ([`Staged::admit`]).
//! 6. It looks for another record of the id, and compares the count with the bound. If
//!    there is one, or no room, the record is taken back and retired.
//! 7. A compare-and-swap (acquire and release) of the word that was loaded in step 5 counts
//!    the record in and names it, *pending*. This decides: if any relay was admitted or
//!    counted out since step 5, it fails, and the registrant goes on at step 5.
//! 8. Any thread that finds the word pending, first of all this one, changes the lifecycle
//!    from pending to *live* by a compare-and-swap (acquire and release), and then clears
//!    the pending bit.
//!
//! A [placeholder](Table::create_placeholder), for an operator's setting of an id without a
//! record, enters the same way. It is not counted, and gone from the start.

use crate::limits::MAX_PLACEHOLDERS;
use crate::relay::NodeId;
use crate::sync::Ordering;
use crate::sync::epoch::Guard;
use crate::table::Table;
use crate::table::departure::Closing;
use crate::table::index::Hash;
use crate::table::lookup::{AnyOf, LiveOf, Other};
use crate::table::record::{Announcement, Circuit, Lifecycle, Load};
use crate::table::record_ref::RecordRef;
use crate::table::store::Exhausted;
use crate::time::Tick;

/// A record that is written and named in its bucket, awaiting admission.
#[must_use]
pub(crate) struct Staged<'g> {
    table: &'g Table,
    record: RecordRef<'g>,
    id: &'g NodeId,
    hash: Hash,
}

/// What became of a record that asked for admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdmitOutcome {
    Admitted,
    /// A record of this id is there already, be it live or gone.
    AlreadyPresent,
    /// As many records as the table may hold are admitted.
    Full,
}

/// What is known from the start of an id that has no record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placeholder {
    pub(crate) circuit: Circuit,
    pub(crate) is_draining: bool,
}

/// Why nothing can be kept of an id that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CreateError {
    /// Another record of the id is there by now.
    Overtaken,
    TooMany,
    Exhausted,
}

impl<'g> Staged<'g> {
    pub(crate) fn record(&self) -> RecordRef<'g> {
        self.record
    }

    /// Takes over what is known of the relay from the record that it had before.
    pub(crate) fn inherit_from(&self, before: &RecordRef<'_>) {
        let Self { record, .. } = self;
        let (own, other) = (record.record, before.record);
        own.inherit(record.extra(), other, before.extra());
    }

    /// Gives the record a place in the order of searches, and has the wheel look at it.
    pub(crate) fn append(&self) {
        self.table.append(&self.record);
        self.table.push_to_inbox(&self.record);
    }

    /// Lets the record in, unless its id is held or the table is full; then it is taken
    /// back. It may take the place of a record that is counted.
    pub(crate) fn admit(self, heir_to: Option<&Closing<'_>>) -> AdmitOutcome {
        let outcome = self.try_admit(heir_to);
        if outcome != AdmitOutcome::Admitted {
            self.withdraw();
        }
        outcome
    }

    fn try_admit(&self, heir_to: Option<&Closing<'_>>) -> AdmitOutcome {
        let Self { table, id, .. } = *self;
        let guard = self.record.guard;
        let than = heir_to.map(|before| before.record().index);
        let takes_place = heir_to.is_some_and(Closing::is_counted);
        let newcomer = self.record.handle();
        loop {
            let seen = table.help_unfinished(guard);
            // The first match is the newcomer itself.
            let known = AnyOf(LiveOf { id, guard });
            let other = Other { known, than };
            if table.index.find_further(self.hash, other, table).is_some() {
                return AdmitOutcome::AlreadyPresent;
            }
            if takes_place {
                if table.admission.replace(seen, newcomer) {
                    table.help_unfinished(guard);
                    return AdmitOutcome::Admitted;
                }
            } else if seen.count() < table.max_relays {
                if table.admission.admit(seen, newcomer) {
                    table.help_unfinished(guard);
                    return AdmitOutcome::Admitted;
                }
            } else if table.admission.read() == seen {
                return AdmitOutcome::Full;
            }
        }
    }

    /// Takes back a record that was not admitted.
    fn withdraw(self) {
        let Self { record, .. } = self;
        let word = record.lifecycle();
        debug_assert!(word.is_staged());
        record.record.set_flags(Load::CLOSED);
        record.record.end_generation();
        self.table
            .unlink_and_retire(record, self.hash, word.announced());
    }
}

impl Table {
    /// Evidence that there was no room, and that `id` was not among those held;
    /// `None` if there is room, or it is.
    pub(crate) fn full_without(
        &self,
        id: &NodeId,
        guard: &Guard,
    ) -> Option<impl PartialEq + use<>> {
        loop {
            let seen = self.help_unfinished(guard);
            if seen.count() < self.max_relays || self.find(id, guard).is_some() {
                return None;
            }
            if self.admission.read() == seen {
                return Some(seen);
            }
        }
    }

    /// Writes a record of `id`, which hashes to that, and names it in its bucket,
    /// pending.
    pub(crate) fn stage<'g>(
        &'g self,
        (id, hash): (&'g NodeId, Hash),
        announcement: Announcement,
        deadline: Tick,
        rtt_seed: Option<u32>,
        guard: &'g Guard,
    ) -> Result<Staged<'g>, Exhausted> {
        let index = self.store.take_record(guard)?;
        let capacity = announcement.capacity;
        let rtt_seed = rtt_seed.map(|micros| (announcement.registered_at, micros));
        let announcement = match self.store.put_announcement(announcement, guard) {
            Ok(announcement) => announcement,
            Err(exhausted) => {
                self.store.return_record(index);
                return Err(exhausted);
            }
        };
        let record = self.at(index, guard);
        let word = Lifecycle::staged(deadline, announcement);
        // It is private until it is named below.
        record.record.begin(record.extra(), id, capacity, rtt_seed);
        record.record.set_lifecycle(word);
        if !self.index.insert(hash, index) {
            record.record.set_lifecycle(Lifecycle::VACANT);
            self.store.return_announcement(announcement);
            self.store.return_record(index);
            return Err(Exhausted);
        }
        Ok(Staged {
            table: self,
            record,
            id,
            hash,
        })
    }

    /// Gives a record that is not yet admitted a place in the order of searches.
    pub(super) fn append(&self, record: &RecordRef<'_>) {
        let publication = &self.store.publication;
        publication.append(record.handle(), record.extra());
    }

    /// Makes a record of an id that is not known, which is gone from the start.
    pub(crate) fn create_placeholder(
        &self,
        (id, hash): (&NodeId, Hash),
        known: Placeholder,
        guard: &Guard,
    ) -> Result<(), CreateError> {
        let placeholders = &self.gone.placeholders;
        // Relaxed: a count that carries nothing but itself.
        if placeholders.fetch_add(1, Ordering::Relaxed) as usize >= MAX_PLACEHOLDERS {
            placeholders.fetch_sub(1, Ordering::Relaxed);
            return Err(CreateError::TooMany);
        }
        let entered = self.create_counted((id, hash), known, guard);
        if entered.is_err() {
            placeholders.fetch_sub(1, Ordering::Relaxed);
        }
        entered
    }

    fn create_counted(
        &self,
        (id, hash): (&NodeId, Hash),
        known: Placeholder,
        guard: &Guard,
    ) -> Result<(), CreateError> {
        // With a permit for as long as it is not known.
        self.store.force_permit();
        let Some(index) = self.store.take_record_permitted(guard, true) else {
            self.store.return_permit();
            return Err(CreateError::Exhausted);
        };
        let record = self.at(index, guard);
        let flags = match known.is_draining {
            true => Load::CLOSED | Load::DRAINING,
            false => Load::CLOSED,
        };
        record.record.begin(record.extra(), id, 1, None);
        record.record.set_flags(flags);
        record.record.change_circuit(|_| known.circuit);
        record.record.set_lifecycle(Lifecycle::staged_placeholder());
        if !self.index.insert(hash, index) {
            record.record.set_lifecycle(Lifecycle::VACANT);
            self.store.return_record(index);
            return Err(CreateError::Exhausted);
        }
        let staged = Staged {
            table: self,
            record,
            id,
            hash,
        };
        loop {
            let seen = self.help_unfinished(guard);
            let known = AnyOf(LiveOf { id, guard });
            if self.index.find_further(hash, known, self).is_some() {
                staged.withdraw();
                return Err(CreateError::Overtaken);
            }
            if self.admission.add_placeholder(seen, record.handle()) {
                self.help_unfinished(guard);
                self.store.return_permit();
                // A ban ends at some tick.
                self.push_to_inbox(&record);
                return Ok(());
            }
        }
    }
}

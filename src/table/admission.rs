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
use crate::table::admission_word::{AdmissionState, Step};
use crate::table::departure::Closing;
use crate::table::index::Hash;
use crate::table::lookup::{AnyOf, LiveOf, Other};
use crate::table::record::{Announcement, Circuit, Lifecycle, Load, State};
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

/// How a staged record enters.
#[derive(Clone, Copy)]
enum Entry {
    /// It is counted, if the bound allows it.
    Admit,
    /// It takes the place of a record that is counted.
    Replace,
    /// It is not counted, and gone from the start.
    AddPlaceholder,
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

    /// Admits the record, unless there is another record of its id or the table is full;
    /// then it is withdrawn. `replacing` is the record that the id had, if any: its place in
    /// the count is taken over if it is counted.
    pub(crate) fn admit(self, replacing: Option<&Closing<'_>>) -> AdmitOutcome {
        let entry = match replacing {
            Some(before) if before.is_counted() => Entry::Replace,
            _ => Entry::Admit,
        };
        self.enter(entry, replacing.map(|before| before.record().index))
    }

    fn enter(self, entry: Entry, ignored_index: Option<u32>) -> AdmitOutcome {
        let outcome = self.try_enter(entry, ignored_index);
        if outcome != AdmitOutcome::Admitted {
            self.withdraw();
        }
        outcome
    }

    fn try_enter(&self, entry: Entry, ignored_index: Option<u32>) -> AdmitOutcome {
        let Self { table, id, .. } = *self;
        let (guard, handle) = (self.record.guard, self.record.handle());
        loop {
            let seen = table.help_unfinished(guard);
            let any = AnyOf(LiveOf { id, guard });
            let other = Other { any, ignored_index };
            // `find_further`: the first match is most likely this record, which `AnyOf`
            // rejects as staged.
            if table.index.find_further(self.hash, other, table).is_some() {
                return AdmitOutcome::AlreadyPresent;
            }
            let has_entered = match entry {
                Entry::Admit if seen.count() < table.max_relays => {
                    table.admission.admit(seen, handle)
                }
                Entry::Admit if table.admission.read() == seen => return AdmitOutcome::Full,
                Entry::Admit => false,
                Entry::Replace => table.admission.replace(seen, handle),
                Entry::AddPlaceholder => table.admission.add_placeholder(seen, handle),
            };
            if has_entered {
                table.help_unfinished(guard);
                return AdmitOutcome::Admitted;
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
    /// Reads the admission word, after carrying out what is pending in it.
    pub(super) fn help_unfinished<'g>(&'g self, guard: &'g Guard) -> AdmissionState {
        loop {
            let seen = self.admission.read();
            let Some((index, step)) = seen.unfinished() else {
                return seen;
            };
            // No record is retired while the word names it pending, so what is read of
            // it here, pinned, is of the life that the word names.
            let record = self.at(index, guard);
            let word = record.lifecycle();
            let next = match (step, word.state()) {
                (Step::Admit, State::Staged | State::Returning) => word.admitted(),
                (Step::CountOut, State::Departing) => word.closing(),
                (Step::AddPlaceholder, State::Staged) => Lifecycle::placeholder(),
                _ => word,
            };
            // A relay may come back in the record that it left: its lifecycle must have been
            // read while the admission word named it.
            if next != word && self.admission.read() == seen {
                record.record.transition(word, next);
            }
            self.admission.clear_unfinished(seen);
        }
    }

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
        let created = self.enter_placeholder((id, hash), known, guard);
        if created.is_err() {
            placeholders.fetch_sub(1, Ordering::Relaxed);
        }
        created
    }

    fn enter_placeholder(
        &self,
        named: (&NodeId, Hash),
        known: Placeholder,
        guard: &Guard,
    ) -> Result<(), CreateError> {
        let staged = self.stage_placeholder(named, known, guard);
        let staged = staged.map_err(|Exhausted| CreateError::Exhausted)?;
        let record = staged.record();
        if staged.enter(Entry::AddPlaceholder, None) != AdmitOutcome::Admitted {
            return Err(CreateError::Overtaken);
        }
        self.store.permits.release();
        // A ban ends at some tick.
        self.push_to_inbox(&record);
        Ok(())
    }

    /// Writes a placeholder and names it in its bucket, staged. It has a permit.
    fn stage_placeholder<'g>(
        &'g self,
        (id, hash): (&'g NodeId, Hash),
        known: Placeholder,
        guard: &'g Guard,
    ) -> Result<Staged<'g>, Exhausted> {
        self.store.permits.force();
        let Some(index) = self.store.take_record_permitted(guard, true) else {
            self.store.permits.release();
            return Err(Exhausted);
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
            return Err(Exhausted);
        }
        Ok(Staged {
            table: self,
            record,
            id,
            hash,
        })
    }
}

//! How a relay is admitted.
//!
//! 1. The registering thread looks for a record of the id
//!    ([`find_known`](Table::find_known)). A relay that is live is renewed; one that is gone
//!    is [brought back](Table::bring_back). What follows is for an id without a record.
//! 2. It checks that there is room: [`full_without`](Table::full_without), and
//!    [`help_departures`](Table::help_departures) if there seems to be none.
//! 3. It takes a record and an announcement from the slabs, which are then private to it,
//!    and writes them ([`stage`](Table::stage)). A store with release sets the lifecycle to
//!    *staged*. A compare-and-swap (acquire and release) puts the index of the record into
//!    its bucket, and a `fetch_or` with release sets its fingerprint. From here on other
//!    threads find the record, but no look-up and no search accepts it.
//! 4. It appends the record to the newest run of arrivals, where finds see it, and pushes it
//!    to the inbox of the wheel, each by a compare-and-swap with release
//!    ([`Staged::append`]). So the compare-and-swap that makes it live also makes it found and
//!    due.
//! 5. It loads the [admission word](super::admission_word) with acquire, after it finished
//!    the step that is unfinished there, if any ([`Staged::admit`]).
//! 6. It looks for another record of the id, and compares the count with the bound. If there
//!    is another record, or no room, it withdraws the record and retires it.
//! 7. A compare-and-swap (acquire and release) of the word that was loaded in step 5 counts
//!    the record and names it, *unfinished*. This decides. If any relay was admitted or
//!    counted out since step 5, it fails, and the thread goes on at step 5.
//! 8. Any thread that finds the word unfinished, first of all this one, changes the lifecycle
//!    from staged to *live* by a compare-and-swap (acquire and release), and then clears the
//!    unfinished bit ([`help_unfinished`](Table::help_unfinished)).
//!
//! A [placeholder](Table::create_placeholder), for an operator setting of an id without a
//! record, enters the same way. It is not counted, and becomes gone instead of live.

use crate::limits::MAX_PLACEHOLDERS;
use crate::relay::NodeId;
use crate::sync::Ordering;
use crate::sync::epoch::Guard;
use crate::table::admission_word::{AdmissionState, Step};
use crate::table::departure::Closing;
use crate::table::index::Hash;
use crate::table::record::{Announcement, Circuit, Handle, Lifecycle, Load, PolicyWord, State};
use crate::table::record_ref::RecordRef;
use crate::table::store::Exhausted;
use crate::table::{AnyOf, LiveOf, Other, Table};
use crate::time::Tick;

/// A record that is written and in its bucket, but not admitted yet.
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
    /// There is another record of this id, live or gone.
    AlreadyPresent,
    /// `max_relays` records are admitted.
    Full,
}

/// What a record begins with, besides its announcement.
#[derive(Clone, Copy, Default)]
pub(crate) struct Beginning<'a> {
    /// A round trip that was reported, in microseconds.
    pub(crate) rtt_seed: Option<u32>,
    /// When the relay arrived, if it is a newcomer that starts slowly.
    pub(crate) arrived_at: Option<Tick>,
    /// The record that the relay had before: what the operator said stays.
    pub(crate) before: Option<RecordRef<'a>>,
}

/// The operator settings of an id that has no record, and the circuit that was saved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placeholder {
    pub(crate) circuit: Circuit,
    pub(crate) is_draining: bool,
    pub(crate) policy: PolicyWord,
}

impl Placeholder {
    pub(crate) fn new(circuit: Circuit) -> Self {
        Self {
            circuit,
            is_draining: false,
            policy: PolicyWord::default(),
        }
    }
}

/// Why no placeholder was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CreateError {
    /// Another thread has created a record of the id.
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

    /// Appends the record to the newest run of arrivals, and pushes it to the inbox of the
    /// wheel.
    pub(crate) fn append(&self) {
        self.table.append(&self.record);
    }

    /// Admits the record, unless there is another record of its id or the table is full;
    /// then it is withdrawn. `replacing` is the record that the id had, if any: its place in
    /// the count is taken over if it is counted.
    #[inline(always)]
    pub(crate) fn admit(self, replacing: Option<&Closing<'_>>) -> AdmitOutcome {
        let entry = match replacing {
            Some(before) if before.is_counted() => Entry::Replace,
            _ => Entry::Admit,
        };
        self.enter(entry, replacing.map(|before| before.record().index))
    }

    #[inline(always)]
    fn enter(self, entry: Entry, ignored_index: Option<u32>) -> AdmitOutcome {
        let outcome = self.try_enter(entry, ignored_index);
        if outcome != AdmitOutcome::Admitted {
            self.withdraw();
        } else if self.record.publication().context.filters.are_any() {
            // A filter may have been installed since the policy was computed.
            self.record.copy_announced();
        }
        outcome
    }

    #[inline(always)]
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
            let outcome = match entry {
                Entry::Admit => table.try_admit(seen, handle),
                Entry::Replace => admitted_if(table.admission.replace(seen, handle)),
                Entry::AddPlaceholder => admitted_if(table.admission.add_placeholder(seen, handle)),
            };
            if let Some(outcome) = outcome {
                // Finishes the step that it began itself.
                table.help_unfinished(guard);
                return outcome;
            }
        }
    }

    /// Removes and retires a record that was not admitted.
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

fn admitted_if(has_changed: bool) -> Option<AdmitOutcome> {
    has_changed.then_some(AdmitOutcome::Admitted)
}

impl Table {
    /// Counts a record in, if there is room by the admission word that was `seen`. `None` if
    /// the word has changed since.
    #[inline(always)]
    pub(super) fn try_admit(&self, seen: AdmissionState, handle: Handle) -> Option<AdmitOutcome> {
        if seen.count() < self.max_relays {
            return admitted_if(self.admission.admit(seen, handle));
        }
        (self.admission.read() == seen).then_some(AdmitOutcome::Full)
    }

    /// Reads the admission word, after finishing the step that is unfinished in it.
    pub(super) fn help_unfinished<'g>(&'g self, guard: &'g Guard) -> AdmissionState {
        loop {
            let seen = self.admission.read();
            let Some((index, step)) = seen.unfinished() else {
                return seen;
            };
            // A record is not retired while its step is unfinished. So what is read of it here,
            // pinned, is of the id and generation that the word names.
            let record = self.at(index, guard);
            let word = record.lifecycle();
            let next = match (step, word.state()) {
                (Step::Admit, State::Staged | State::Returning) => word.admitted(),
                (Step::CountOut, State::Departing) => word.closing(),
                (Step::AddPlaceholder, State::Staged) => Lifecycle::placeholder(),
                _ => word,
            };
            // A relay may return in its record, so the lifecycle counts only if the admission
            // word named the record when it was loaded. The lifecycle load is acquire, so the
            // load below is not before it.
            if next != word && self.admission.read() == seen {
                record.record.transition(word, next);
            }
            self.admission.clear_unfinished(seen);
        }
    }

    /// A value that stands for this moment if there is no room and no live record of `id`;
    /// `None` if there is room, or such a record.
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

    /// Writes a record of `id`, whose hash is given, and puts it into its bucket, staged.
    pub(crate) fn stage<'g>(
        &'g self,
        (id, hash): (&'g NodeId, Hash),
        announcement: Announcement,
        deadline: Tick,
        beginning: Beginning<'_>,
        guard: &'g Guard,
    ) -> Result<Staged<'g>, Exhausted> {
        let index = self.store.take_record(guard)?;
        let capacity = announcement.capacity;
        let Beginning {
            rtt_seed,
            arrived_at,
            before,
        } = beginning;
        let rtt_seed = rtt_seed.map(|micros| (announcement.registered_at, micros));
        let said = before.map_or(PolicyWord::default(), |before| before.policy_word());
        let filters = &self.store.publication.context.filters;
        let policy = said
            .of_operator()
            .with_announced(PolicyWord::announced(&announcement, filters));
        if let Err(exhausted) = self.store.begin_policy(index, policy, arrived_at) {
            self.store.return_record(index);
            return Err(exhausted);
        }
        let announcement = match self.store.put_announcement(announcement, guard) {
            Ok(announcement) => announcement,
            Err(exhausted) => {
                self.store.return_record(index);
                return Err(exhausted);
            }
        };
        let record = self.at(index, guard);
        let word = Lifecycle::staged(deadline, announcement);
        // It is private until `insert` puts it into its bucket.
        record.record.begin(record.extra(), id, capacity, rtt_seed);
        record.record.set_lifecycle(word);
        if !self.index.insert(hash, index) {
            record.record.set_lifecycle(Lifecycle::VACANT);
            // A visit to all records may have read the word, and with it the announcement.
            self.store.retire_announcement(announcement, guard);
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

    /// Appends a record that is not yet admitted to the newest run of arrivals, and pushes it
    /// to the inbox of the wheel.
    #[inline(always)]
    pub(super) fn append(&self, record: &RecordRef<'_>) {
        let publication = &self.store.publication;
        publication.append(record.handle(), record.extra());
        self.push_to_inbox(record);
    }

    /// Creates a record of an id that has none, which is gone from the start.
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

    /// Writes a placeholder and puts it into its bucket, staged. It holds a permit.
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
        if let Err(exhausted) = self.store.begin_policy(index, known.policy, None) {
            self.store.return_record(index);
            return Err(exhausted);
        }
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

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::sync::{epoch, yield_now};

    /// The word once a placeholder was added and forgotten, of which the record is free again.
    fn word_after_a_placeholder(table: &Table) -> (AdmissionState, u32) {
        let id = NodeId::from([1; 32]);
        let named = (&id, table.hash(&id));
        let known = Placeholder::new(Circuit::CLOSED);
        let index = {
            let guard = epoch::pin();
            assert_eq!(table.create_placeholder(named, known, &guard), Ok(()));
            let record = table.find_known(named.1, &id, &guard).unwrap();
            table.close_gone(record.observe()).unwrap().forget();
            record.index
        };
        while table.awaiting_reclamation() > 0 {
            // Threads of other tests hold the epoch back for a while.
            yield_now();
            table.reclaim();
        }
        (table.admission.read(), index)
    }

    /// A registration read the word after the first placeholder was forgotten. The second one, in
    /// the same record, was of the id that it registered. The word was the same again, so the
    /// registration did not look for another record: the id had two.
    #[test]
    fn two_placeholders_in_one_record_are_told_apart() {
        let table = Table::for_tests(1);
        let (first, index) = word_after_a_placeholder(&table);
        let (second, reused) = word_after_a_placeholder(&table);
        assert_eq!(index, reused);
        assert_ne!(first, second);
    }
}

//! How a relay is admitted.
//!
//! 1. The registering thread loads the admission word, and then looks for a record of the id
//!    ([`find_known_or_absence`](Table::find_known_or_absence)). A relay that is live is renewed; one that is gone
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
//! 5. It loads the [admission word](super::shards::admission_word) of the shard with acquire,
//!    after it finished the step that is unfinished there, if any ([`Staged::admit`]).
//! 6. It looks for another record of the id, unless the word is as it was before step 1 found
//!    none, and whether the shard has a [place](super::shards::places). If there is another
//!    record, or no place, it withdraws the record and retires it.
//! 7. A compare-and-swap (acquire and release) of the word that was loaded in step 5 takes a
//!    place for the record and names it, *unfinished*. This decides. If any relay of the shard
//!    was admitted or counted out since step 5, it fails, and the thread goes on at step 5.
//! 8. The thread changes the lifecycle from staged to *live* by a compare-and-swap (sequentially
//!    consistent), and then clears the unfinished bit ([`finish`](Table::finish)). Any other thread
//!    that finds the word unfinished does so, too ([`help_unfinished`](Table::help_unfinished)).
//!
//! A [placeholder](Table::create_placeholder), for an operator setting of an id without a
//! record, enters the same way. It is not counted, and becomes gone instead of live.

use crate::limits::MAX_PLACEHOLDERS;
use crate::relay::NodeId;
use crate::sync::Ordering;
use crate::sync::epoch::Guard;
use crate::table::departure::Closing;
use crate::table::index::Hash;
use crate::table::record::{Announcement, Circuit, Lifecycle, Load, PolicyWord, State};
use crate::table::record_ref::RecordRef;
use crate::table::shards::admission_word::{AdmissionState, Step};
use crate::table::shards::places::Reading;
use crate::table::shards::{Shard, ShardId};
use crate::table::snapshot::Arrival;
use crate::table::store::Exhausted;
use crate::table::{AnyOf, LiveOf, Other, Table};
use crate::time::Tick;

/// A record that is written and in its bucket, but not admitted yet.
#[must_use]
pub(crate) struct Staged<'g> {
    table: &'g Table,
    record: RecordRef<'g>,
    /// Its lifecycle.
    word: Lifecycle,
    id: &'g NodeId,
    hash: Hash,
    shard: ShardId,
}

/// How a staged record enters.
#[derive(Clone, Copy)]
enum Entry {
    /// It takes a place, if there is one.
    Admit,
    /// It takes the place of a record that has one.
    Replace,
    /// It has no place, and is gone from the start.
    AddPlaceholder,
}

/// What became of a record that asked for admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdmitOutcome {
    Admitted,
    /// There is another record of this id, live or gone.
    AlreadyPresent,
    /// The shard has no place. There may be one elsewhere.
    NoPlace,
}

/// The record that an id had before.
#[derive(Clone, Copy)]
pub(crate) enum Before<'a, 'g> {
    /// This one, whose place the new record takes, also in the count if it is counted.
    Record(&'a Closing<'g>),
    /// None.
    None(Absence),
    Unknown,
}

/// That an id had no record, as of a value of the admission word. Each record that enters
/// changes what the word names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Absence(AdmissionState);

impl<'a, 'g> Before<'a, 'g> {
    pub(crate) fn replaced(self) -> Option<&'a Closing<'g>> {
        match self {
            Self::Record(before) => Some(before),
            Self::None(_) | Self::Unknown => None,
        }
    }

    /// Whether the id had no record as of this value of the admission word.
    fn was_none_at(self, seen: AdmissionState) -> bool {
        matches!(self, Self::None(Absence(then)) if then.names_as(seen))
    }
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
    #[inline(always)]
    pub(crate) fn append(&self) -> Arrival<'g> {
        self.table.append(&self.record, self.shard)
    }

    /// Admits the record, unless there is another record of its id or the table is full;
    /// then it is withdrawn.
    #[inline(always)]
    pub(crate) fn admit(self, before: Before<'_, '_>) -> AdmitOutcome {
        let entry = match before {
            Before::Record(before) if before.is_counted() => Entry::Replace,
            _ => Entry::Admit,
        };
        self.enter(entry, before)
    }

    #[inline(always)]
    fn enter(self, entry: Entry, before: Before<'_, '_>) -> AdmitOutcome {
        let outcome = self.try_enter(entry, before);
        if outcome != AdmitOutcome::Admitted {
            self.withdraw();
        } else if self.record.publication().context.filters.are_any() {
            // A filter may have been installed since the policy was computed.
            self.record.copy_announced();
        }
        outcome
    }

    #[inline(always)]
    fn try_enter(&self, entry: Entry, before: Before<'_, '_>) -> AdmitOutcome {
        let Self { table, .. } = *self;
        let (guard, handle) = (self.record.guard, self.record.handle());
        let shard = table.store.shards.get(self.shard);
        let admission = &shard.admission;
        loop {
            let seen = table.help_unfinished(shard, guard);
            if !before.was_none_at(seen) && self.has_other(before) {
                return AdmitOutcome::AlreadyPresent;
            }
            let named = match entry {
                Entry::Admit if seen.places() == 0 => return AdmitOutcome::NoPlace,
                Entry::Admit => admission.admit(seen, handle),
                Entry::Replace => admission.replace(seen, handle),
                Entry::AddPlaceholder => admission.add_placeholder(seen, handle),
            };
            if let Some(named) = named {
                let staged = self.word;
                let entered = match entry {
                    Entry::Admit | Entry::Replace => staged.admitted(),
                    Entry::AddPlaceholder => Lifecycle::placeholder(),
                };
                table.finish(shard, named, &self.record, (staged, entered));
                return AdmitOutcome::Admitted;
            }
        }
    }

    /// Whether the id has another record, except the one that it had before.
    fn has_other(&self, before: Before<'_, '_>) -> bool {
        let Self { table, id, .. } = *self;
        let guard = self.record.guard;
        let any = AnyOf(LiveOf { id, guard });
        let ignored_index = before.replaced().map(|before| before.record().index);
        // `find_further`: the first match is most likely this record, which `AnyOf` rejects as
        // staged.
        let other = Other { any, ignored_index };
        table.index.find_further(self.hash, other, table).is_some()
    }

    /// Removes and retires a record that was not admitted.
    pub(crate) fn withdraw(self) {
        let Self { record, word, .. } = self;
        let named = (self.hash, self.shard);
        debug_assert_eq!(record.lifecycle(), word);
        record.record.set_flags(Load::CLOSED);
        record.record.end_generation();
        self.table
            .unlink_and_retire(record, named, word.announced());
    }
}

impl Table {
    /// Reads the admission word of a shard, after finishing the step that is unfinished in it.
    pub(super) fn help_unfinished<'g>(&'g self, shard: &Shard, guard: &'g Guard) -> AdmissionState {
        let admission = &shard.admission;
        loop {
            let seen = admission.read();
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
            if next != word && admission.read() == seen {
                record.record.transition(word, next);
            }
            admission.clear_unfinished(seen);
        }
    }

    /// Finishes the step that the calling thread began, and by which the lifecycle of the record
    /// goes from one word to another; unless another thread did.
    ///
    /// While the thread is pinned, the record is not reclaimed, and no other announcement has the
    /// index that the first word names. So the record does not have that word again.
    #[inline(always)]
    pub(super) fn finish(
        &self,
        shard: &Shard,
        named: AdmissionState,
        record: &RecordRef<'_>,
        (from, to): (Lifecycle, Lifecycle),
    ) {
        record.record.transition(from, to);
        shard.admission.clear_unfinished(named);
    }

    /// `None` if the shard of an id has a place now, or if the id has a live record. Otherwise a
    /// reading: if this returns an equal one later, there was a moment between at which all places
    /// were taken and the id had no live record.
    #[inline]
    pub(crate) fn full_without(
        &self,
        named: (&NodeId, Hash),
        guard: &Guard,
    ) -> Option<impl PartialEq + use<>> {
        let shard = self.store.shards.of_hash(named.1);
        match shard.admission.read().places() {
            0 => self.full_without_one_in_shard(named, guard),
            _ => None,
        }
    }

    #[cold]
    fn full_without_one_in_shard(
        &self,
        (id, hash): (&NodeId, Hash),
        guard: &Guard,
    ) -> Option<Reading> {
        let shards = &self.store.shards;
        loop {
            if self.find_hashed(hash, id, guard).is_some() {
                return None;
            }
            // What has entered is live, or the next reading differs.
            shards
                .iter()
                .for_each(|(_, shard)| _ = self.help_unfinished(shard, guard));
            if shards.supply(shards.layout().of_hash(hash)) {
                return None;
            }
            if let Some(reading) = shards.no_places() {
                return Some(reading);
            }
        }
    }

    /// The record of `id`, in any state but vacant and staged, or that there was none.
    pub(crate) fn find_known_or_absence<'g>(
        &'g self,
        hash: Hash,
        id: &NodeId,
        guard: &'g Guard,
    ) -> Result<RecordRef<'g>, Absence> {
        // The word comes first: what enters after that changes it.
        let shard = self.store.shards.of_hash(hash);
        let seen = self.help_unfinished(shard, guard);
        self.find_known(hash, id, guard).ok_or(Absence(seen))
    }

    /// Writes a record of `id`, whose hash is given, and puts it into its bucket, staged.
    #[inline(always)]
    pub(crate) fn stage<'g>(
        &'g self,
        (id, hash): (&'g NodeId, Hash),
        announcement: Announcement,
        deadline: Tick,
        beginning: Beginning<'_>,
        guard: &'g Guard,
    ) -> Result<Staged<'g>, Exhausted> {
        let shard = self.store.shards.layout().of_hash(hash);
        let index = self.store.take_record(shard, guard)?;
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
        let put = self
            .store
            .put_announcement_of(index, shard, announcement, guard);
        let announcement = match put {
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
            word,
            id,
            hash,
            shard,
        })
    }

    /// Appends a record that is not yet admitted to the newest run of arrivals, and pushes it
    /// to the inbox of the wheel.
    #[inline(always)]
    pub(super) fn append<'g>(&'g self, record: &RecordRef<'g>, shard: ShardId) -> Arrival<'g> {
        let (publication, extra) = (&self.store.publication, record.extra());
        let arrival = publication.append((record.handle(), shard), extra, record.guard);
        let inbox = &self.store.shards.get(shard).inbox;
        inbox.push(record.index, extra.inbox_link());
        arrival
    }

    /// Creates a record of an id that has none, which is gone from the start.
    pub(crate) fn create_placeholder(
        &self,
        (id, hash): (&NodeId, Hash),
        known: Placeholder,
        guard: &Guard,
    ) -> Result<(), CreateError> {
        let placeholders = &self.placeholders;
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
        if staged.enter(Entry::AddPlaceholder, Before::Unknown) != AdmitOutcome::Admitted {
            self.store.shard_of(record.index).exempt_one_less();
            return Err(CreateError::Overtaken);
        }
        // A ban ends at some tick.
        self.push_to_inbox(&record);
        Ok(())
    }

    /// Writes a placeholder and puts it into its bucket, staged. It is exempt from the bound on
    /// records.
    fn stage_placeholder<'g>(
        &'g self,
        named: (&'g NodeId, Hash),
        known: Placeholder,
        guard: &'g Guard,
    ) -> Result<Staged<'g>, Exhausted> {
        let shards = &self.store.shards;
        let shard = shards.layout().of_hash(named.1);
        // Before it is taken: it may be one more than there were.
        shards.get(shard).exempt_one();
        let staged = self.try_stage_placeholder(shard, named, known, guard);
        if staged.is_err() {
            shards.get(shard).exempt_one_less();
        }
        staged
    }

    fn try_stage_placeholder<'g>(
        &'g self,
        shard: ShardId,
        (id, hash): (&'g NodeId, Hash),
        known: Placeholder,
        guard: &'g Guard,
    ) -> Result<Staged<'g>, Exhausted> {
        let index = self.store.take_record(shard, guard)?;
        self.store.free_announcement_of(index, shard);
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
        let word = Lifecycle::staged_placeholder();
        record.record.set_lifecycle(word);
        if !self.index.insert(hash, index) {
            record.record.set_lifecycle(Lifecycle::VACANT);
            self.store.return_record(index);
            return Err(Exhausted);
        }
        Ok(Staged {
            table: self,
            record,
            word,
            id,
            hash,
            shard,
        })
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::sync::{epoch, yield_now};
    use crate::table::bounds;
    use std::time::Duration;

    /// A record that was freed has the cell of an announcement, which the next relay uses; a
    /// placeholder needs none. If a cell is lost, there are none in the end.
    #[test]
    fn neither_a_relay_nor_a_placeholder_loses_the_cell_of_its_record() {
        const AT_ONCE: usize = 1_000;
        let table = Table::for_tests(1);
        let ids: Vec<NodeId> = (0..AT_ONCE as u64)
            .map(|n| {
                let mut bytes = [0; 32];
                bytes[..8].copy_from_slice(&n.to_le_bytes());
                NodeId::from(bytes)
            })
            .collect();
        let named = |id| (id, table.hash(id));
        let withdraw_all = || {
            let guard = epoch::pin();
            let stage = |id| {
                let endpoint = std::net::SocketAddr::from(([192, 0, 2, 1], 4433)).into();
                let announcement = Announcement::new(endpoint, 1, Duration::from_secs(1));
                let beginning = Beginning::default();
                let staged = table.stage(named(id), announcement, Tick(9), beginning, &guard);
                staged.expect("there is a cell")
            };
            let all: Vec<_> = ids.iter().map(stage).collect();
            all.into_iter().for_each(Staged::withdraw);
        };
        let add_and_forget_all = || {
            let guard = epoch::pin();
            for id in &ids {
                let known = Placeholder::new(Circuit::CLOSED);
                let created = table.create_placeholder(named(id), known, &guard);
                assert_eq!(created, Ok(()));
            }
            for id in &ids {
                let record = table.find_known(table.hash(id), id, &guard).unwrap();
                table.close_gone(record.observe()).unwrap().forget();
            }
        };
        for _ in 0..=bounds::announcements(1) / AT_ONCE {
            for _ in 0..2 {
                withdraw_all();
                until_free(&table);
            }
            add_and_forget_all();
            until_free(&table);
        }
    }

    /// Reclaims until all that has been retired is free.
    fn until_free(table: &Table) {
        while table.backlog() > 0 {
            table.reclaim();
            yield_now();
        }
    }

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
        (table.store.shard_of(index).admission.read(), index)
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

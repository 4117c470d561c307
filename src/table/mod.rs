//! The epoch-reclaimed table of all relays.
//!
//! All of the crate's `unsafe` is in this folder and in [`crate::table::record`], but
//! for the zeroed allocation and the installed pointer in [`crate::sync`], one call
//! of the system's clock in [`crate::time`], and intrinsics that touch no memory and
//! one zeroed type in [`crate::table::snapshot`]. The rules that it relies on
//! stand at the top of `record`, [`admission`], [`slab`], [`store`], [`reclaim`]
//! and [`mod@unit`].
//!
//! Looking up an id touches two cache lines: its bucket and its record. No
//! operation here waits for another thread: whoever meets an admission that is
//! decided but not carried out finishes it.
//!
//! # Looking without a pin
//!
//! Whether an id is held needs no pin: records are never returned to the
//! allocator while the table lives, and
//! [`Record::lifecycle_if_named`](crate::table::record::Record::lifecycle_if_named) tells the lives of one apart. A relay that is live throughout a look is in one record and one
//! bucket for as long, and is found; so where none is found, there was a moment
//! at which none was live.

mod admission;
mod back_off;
mod bucket;
mod byte_search;
mod gone;
mod index;
mod lookup;
mod reclaim;
pub(crate) mod record;
mod record_ref;
mod segments;
mod slab;
pub(crate) mod snapshot;
mod stack;
mod store;
mod unit;

#[cfg(all(test, relay_loom))]
mod models;

pub(crate) use gone::{Closing, CreateError};
pub(crate) use index::Hash;
pub(crate) use reclaim::free_deferred;
pub(crate) use record_ref::RecordRef;
pub(crate) use store::Exhausted;
pub(crate) use unit::Unit;

use crate::limits::MAX_RELAYS;
use crate::relay::NodeId;
use crate::sync::epoch::Guard;
use crate::sync::{Arc, random_hasher};
use crate::table::record::{Announcement, BackOff, Handle, Lifecycle, Load, State};
use crate::table::snapshot::{
    MergedRelay, Merger, PendingChanges, Publication, SelectionSettings, Snapshot, Subject,
};
use crate::time::{Tick, Watch};
use admission::{Admission, Step};
use gone::GoneCounts;
use index::Index;
use lookup::{Held, Known, Other, ToRenew, UnpinnedMatch};
use std::fmt;
use std::mem::ManuallyDrop;
use store::Store;

const _: () = assert!(MAX_RELAYS <= admission::MAX_COUNT);
const _: () = assert!(store::announcements(MAX_RELAYS) <= Lifecycle::ANNOUNCEMENTS);

/// The length of most ids: of public keys and hashes.
const USUAL_LEN: u8 = 32;

/// Relays by id.
pub(crate) struct Table {
    index: Index,
    hasher: ahash::RandomState,
    admission: Admission,
    /// Departures begun, and perhaps not yet counted out.
    departures: PendingChanges,
    /// How many records are remembered that are gone.
    gone: GoneCounts,
    max_relays: usize,
    store: ManuallyDrop<Arc<Store>>,
}

/// A record that is written and named in its bucket, awaiting admission.
pub(crate) struct Staged<'g> {
    record: RecordRef<'g>,
    hash: Hash,
}

/// What became of a record that asked for admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdmitOutcome {
    Admitted,
    /// A record of this id is there already, be it live or gone.
    Held,
    /// As many records as the table may hold are admitted.
    Full,
}

impl<'g> Staged<'g> {
    pub(crate) fn record(&self) -> RecordRef<'g> {
        self.record
    }
}

impl Table {
    /// A table for at most `max_relays` relays, 1 to [`MAX_RELAYS`]; `None`
    /// when the memory is not to be had.
    pub(crate) fn new(max_relays: usize, terms: SelectionSettings, watch: Watch) -> Option<Self> {
        Some(Self {
            index: Index::new(max_relays)?,
            hasher: random_hasher(),
            admission: Admission::default(),
            departures: PendingChanges::default(),
            gone: GoneCounts::default(),
            max_relays,
            store: ManuallyDrop::new(Arc::new(Store::new(max_relays, terms, watch)?)),
        })
    }

    pub(crate) fn max_relays(&self) -> usize {
        self.max_relays
    }

    /// Records that are live or past their deadline; `None` while some depart,
    /// for those cannot be told apart without looking at them.
    pub(crate) fn count(&self, guard: &Guard) -> Option<usize> {
        self.departures
            .read()
            .is_empty()
            .then(|| self.help_pending(guard).count())
    }

    /// About as many as there are records.
    pub(crate) fn estimate(&self) -> usize {
        self.admission.read().count()
    }

    /// Evidence that there was no room, and that `id` was not among those held;
    /// `None` if there is room, or it is.
    pub(crate) fn full_without(
        &self,
        id: &NodeId,
        guard: &Guard,
    ) -> Option<impl PartialEq + use<>> {
        loop {
            let gate = self.help_pending(guard);
            if gate.count() < self.max_relays || self.find(id, guard).is_some() {
                return None;
            }
            if self.admission.read() == gate {
                return Some(gate);
            }
        }
    }

    /// Departed records that were not given back yet.
    pub(crate) fn awaiting_reclamation(&self) -> usize {
        self.store.awaiting_reclamation()
    }

    /// Those, and announcements that were replaced.
    pub(crate) fn backlog(&self) -> usize {
        self.store.awaiting_reclamation() + self.store.superseded()
    }

    /// Pushes reclamation as far as it goes without waiting for another thread.
    pub(crate) fn reclaim(&self) {
        self.store.reclaim();
    }

    /// Lets what no thread sees any more become reclaimable, in a constant number of
    /// steps: a registration that comes next gives back a piece of it.
    pub(crate) fn help_reclamation(&self) {
        self.store.push_rounds();
    }

    /// Leases out, on live and departed relays; visits every record.
    pub(crate) fn leases(&self) -> usize {
        (0..self.store.reach())
            .map(|index| self.store.record(index).load().leases() as usize)
            .sum()
    }

    /// The record of `id`; its deadline may have passed.
    #[inline]
    pub(crate) fn find<'g>(&'g self, id: &NodeId, guard: &'g Guard) -> Option<RecordRef<'g>> {
        self.find_hashed(self.hash(id), id, guard)
    }

    /// The same, for whoever has hashed it.
    #[inline(always)]
    pub(crate) fn find_hashed<'g>(
        &'g self,
        hash: Hash,
        id: &NodeId,
        guard: &'g Guard,
    ) -> Option<RecordRef<'g>> {
        let found = self.index.find(hash, Held { id, guard }, self);
        found.map(|index| self.at(index, guard))
    }

    /// The record of `id`, be it live, gone or in between.
    pub(crate) fn find_known<'g>(
        &'g self,
        hash: Hash,
        id: &NodeId,
        guard: &'g Guard,
    ) -> Option<RecordRef<'g>> {
        let found = self.index.find(hash, Known(Held { id, guard }), self);
        found.map(|index| self.at(index, guard))
    }

    /// The same as [`find`](Self::find), for a thread that reads its announcement as well.
    ///
    /// Of a relay that never changed it, the announcement most often lies at the
    /// index of the record, for both are taken together and given back together:
    /// it is asked for before the record is there to tell.
    #[inline(always)]
    pub(crate) fn find_to_renew<'g>(
        &'g self,
        id: &NodeId,
        guard: &'g Guard,
    ) -> Option<RecordRef<'g>> {
        let found = self
            .index
            .find(self.hash(id), ToRenew(Held { id, guard }), self);
        found.map(|index| self.at(index, guard))
    }

    /// Whether there is a record of `id` whose lifecycle word `accept` takes, as
    /// it must take none that is not live.
    #[inline]
    pub(crate) fn holds(&self, id: &NodeId, accept: impl Fn(Lifecycle) -> bool) -> bool {
        if id.len_u8() != USUAL_LEN {
            self.holds_long(id, accept)
        } else {
            self.holds_hashed(id, accept)
        }
    }

    #[cold]
    #[inline(never)]
    fn holds_long(&self, id: &NodeId, accept: impl Fn(Lifecycle) -> bool) -> bool {
        self.holds_hashed(id, accept)
    }

    /// Inlined, so that what is known of the length is made use of.
    #[inline(always)]
    fn holds_hashed(&self, id: &NodeId, accept: impl Fn(Lifecycle) -> bool) -> bool {
        let glance = UnpinnedMatch { id, accept };
        self.index.find(self.hash(id), glance, self).is_some()
    }

    /// The record that `handle` names, in the life that it names.
    #[inline]
    pub(crate) fn resolve<'g>(&'g self, handle: Handle, guard: &'g Guard) -> Option<RecordRef<'g>> {
        RecordRef::resolve(&self.store, handle, guard)
    }

    /// The record at `index`, which was come upon under this very guard before,
    /// in any of the ways that make a `RecordRef`; it may have departed since.
    #[inline]
    pub(crate) fn record_seen_at<'g>(&'g self, index: u32, guard: &'g Guard) -> RecordRef<'g> {
        self.at(index, guard)
    }

    /// The record at `index`, unless it is vacant.
    pub(crate) fn record_at<'g>(&'g self, index: u32, guard: &'g Guard) -> Option<RecordRef<'g>> {
        let record = self.at(index, guard);
        (record.lifecycle() != Lifecycle::VACANT).then_some(record)
    }

    /// The order in which searches go through relays.
    #[inline]
    pub(crate) fn publication(&self) -> &Publication {
        &self.store.publication
    }

    /// Gives a staged record a place in that order.
    pub(crate) fn append(&self, record: &RecordRef<'_>) {
        let publication = &self.store.publication;
        publication.append(record.handle(), record.extra());
    }

    /// Brings what searches see of a relay in line with its record, or with that it
    /// is gone.
    pub(crate) fn refresh(&self, relay: Handle) {
        self.store.publication.refresh(&self.subject(relay), true);
    }

    /// Makes relays available whose back-off or ban is over at `tick`, up to so many in
    /// each part of a snapshot.
    pub(crate) fn wake_due(&self, snapshot: &Snapshot, tick: Tick, most: usize) {
        self.store.wake_due(snapshot, tick, most);
    }

    /// Puts relays on trial that failed in an outage of our own which is over.
    pub(crate) fn end_outage(&self) {
        back_off::end_outage(&self.store, usize::MAX);
    }

    fn subject(&self, handle: Handle) -> Subject<'_> {
        self.store.subject(handle)
    }

    /// Sorts all relays anew, as of what `describe` says of each that stays.
    pub(crate) fn merge<'g>(
        &'g self,
        merger: &mut Merger,
        guard: &'g Guard,
        describe: impl FnMut(Handle, RecordRef<'g>) -> Option<MergedRelay>,
    ) {
        let mut describe = describe;
        let describe = |relay| describe(relay, self.resolve(relay, guard)?);
        let publication = &self.store.publication;
        publication.merge(merger, guard, describe, |relay| self.subject(relay));
    }

    /// Has housekeeping look at a record.
    pub(crate) fn announce_to_wheel(&self, record: &RecordRef<'_>) {
        self.store.inbox.push(record.index, record.inbox_link());
    }

    /// Shows all records that housekeeping is to look at, each once; one thread at a time.
    pub(crate) fn drain_inbox(&self, visit: impl FnMut(u32)) {
        let link_of = |index| self.store.extra(index).inbox_link();
        self.store.inbox.drain(link_of, visit);
    }

    /// How long a relay is left alone, counted from `now`.
    pub(crate) fn back_off(&self, record: &RecordRef<'_>, now: Tick) -> BackOff {
        self.publication().context.settings.back_off(record, now)
    }

    /// Records lie at indices below this.
    pub(crate) fn reach(&self) -> u32 {
        self.store.reach()
    }

    /// Writes a record of `id`, which hashes to that, and names it in its bucket,
    /// pending.
    pub(crate) fn stage<'g>(
        &'g self,
        (id, hash): (&NodeId, Hash),
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
        // It is private until it is named below.
        record.begin(record.extra(), id, capacity, rtt_seed);
        record.set_lifecycle(Lifecycle::pending(deadline, announcement));
        if !self.index.insert(hash, index) {
            record.set_lifecycle(Lifecycle::VACANT);
            self.store.return_announcement(announcement);
            self.store.return_record(index);
            return Err(Exhausted);
        }
        Ok(Staged { record, hash })
    }

    /// Lets a staged record in, unless its id is held or the table is full.
    pub(crate) fn admit<'g>(
        &'g self,
        staged: &Staged<'g>,
        id: &NodeId,
        heir_to: Option<&Closing<'_>>,
        guard: &'g Guard,
    ) -> AdmitOutcome {
        let than = heir_to.map(|before| before.record().index);
        let takes_place = heir_to.is_some_and(Closing::is_counted);
        let newcomer = staged.record.handle();
        loop {
            let gate = self.help_pending(guard);
            // What it comes upon first is the newcomer itself.
            let known = Known(Held { id, guard });
            let other = Other { known, than };
            if self.index.find_further(staged.hash, other, self).is_some() {
                return AdmitOutcome::Held;
            }
            if takes_place {
                if self.admission.replace(gate, newcomer) {
                    self.help_pending(guard);
                    return AdmitOutcome::Admitted;
                }
            } else if gate.count() < self.max_relays {
                if self.admission.admit(gate, newcomer) {
                    self.help_pending(guard);
                    return AdmitOutcome::Admitted;
                }
            } else if self.admission.read() == gate {
                return AdmitOutcome::Full;
            }
        }
    }

    /// Reads the admission word, after carrying out what is pending in it.
    fn help_pending<'g>(&'g self, guard: &'g Guard) -> admission::AdmissionState {
        loop {
            let gate = self.admission.read();
            let Some((index, step)) = gate.pending() else {
                return gate;
            };
            // Nothing is retired while the gate names it pending, so what we
            // read of it, pinned, is of the life that it names.
            let record = self.at(index, guard);
            let word = record.lifecycle();
            let next = match (step, word.state()) {
                (Step::Admit, State::Pending | State::Returning) => word.admitted(),
                (Step::Dismiss, State::Departing) => word.closing(),
                (Step::Introduce, State::Pending) => Lifecycle::introduced(),
                _ => word,
            };
            // A relay may come back in the record that it left: the word must have been
            // read while the gate named it.
            if next != word && self.admission.read() == gate {
                record.transition(word, next);
            }
            self.admission.settle(gate);
        }
    }

    /// Counts a departing record out, unless somebody else does.
    fn count_out(&self, record: RecordRef<'_>) {
        let handle = record.handle();
        loop {
            let gate = self.help_pending(record.guard);
            if !record.lifecycle().is_departing() {
                // Somebody else did, but may have to settle it yet; until then
                // the gate names the record, which must not be retired.
                self.help_pending(record.guard);
                return;
            }
            if self.admission.dismiss(gate, handle) {
                self.help_pending(record.guard);
                return;
            }
        }
    }

    /// Counts out what others are about to, so that no relay which is gone
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
            (0..self.store.reach()).for_each(help);
        }
    }

    /// Takes back a record that was not admitted.
    pub(crate) fn withdraw(&self, staged: &Staged<'_>) {
        let Staged { record, hash } = staged;
        let word = record.lifecycle();
        debug_assert!(word.is_pending());
        record.set_flags(Load::CLOSED);
        record.end_generation();
        self.unlink_and_retire(*record, *hash, word.announced());
    }

    /// Ends the life of a record, if `word` is still its lifecycle: the one
    /// decision between departure, expiry and renewal. The record is then the caller's
    /// to have remembered or forgotten.
    pub(crate) fn depart<'g>(
        &'g self,
        record: RecordRef<'g>,
        word: Lifecycle,
    ) -> Option<Closing<'g>> {
        debug_assert!(word.is_live());
        let note = self.departures.begin(record.index);
        let departs = record.transition(word, word.departing());
        if departs {
            self.count_out(record);
        }
        drop(note);
        departs.then(|| {
            self.end_life(record);
            Closing::after(self, record, word)
        })
    }

    /// Takes a live record, if `word` is still its lifecycle, for another one to take its
    /// place; it goes on being counted.
    pub(crate) fn close_live<'g>(
        &'g self,
        record: RecordRef<'g>,
        word: Lifecycle,
    ) -> Option<Closing<'g>> {
        debug_assert!(word.is_live());
        let closes = record.transition(word, word.closing());
        closes.then(|| Closing::counted(self, record, word))
    }

    /// Makes a record stale that departed.
    fn end_life(&self, record: RecordRef<'_>) {
        let subject = record.subject();
        record.set_flags(Load::CLOSED);
        record.end_generation();
        self.store.publication.refresh(&subject, false);
    }

    /// Takes a closed record out of its bucket and retires it.
    fn unlink_and_retire(&self, record: RecordRef<'_>, hash: Hash, announcement: Option<u32>) {
        self.index.remove(hash, record.index);
        record.set_lifecycle(Lifecycle::VACANT);
        self.store.retire(record.index, announcement, record.guard);
    }

    /// The caller's guard protects the record only as `RecordRef` says.
    #[inline]
    fn at<'g>(&'g self, index: u32, guard: &'g Guard) -> RecordRef<'g> {
        RecordRef {
            record: self.store.record(index),
            index,
            store: &self.store,
            guard,
        }
    }

    #[inline]
    pub(crate) fn hash(&self, id: &NodeId) -> Hash {
        Hash(id.keyed_hash(&self.hasher))
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("relays", &self.estimate())
            .field("max_relays", &self.max_relays)
            .finish_non_exhaustive()
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: taken once, here, and not used afterwards.
        let store = unsafe { ManuallyDrop::take(&mut self.store) };
        // SAFETY: we have the table to ourselves.
        unsafe { store.detach() };
        reclaim::defer_free(store);
    }
}

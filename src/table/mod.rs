//! The epoch-reclaimed table of all relays.
//!
//! All of the crate's `unsafe` is in this folder and in [`crate::record`], but
//! for the zeroed allocation in [`crate::sync`]. The rules that it relies on
//! stand at the top of `record`, [`admission`], [`pool`], [`store`], [`reclaim`]
//! and [`mod@unit`].
//!
//! Looking up an id touches two cache lines: its bucket and its record. No
//! operation here waits for another thread: whoever meets an admission that is
//! decided but not carried out finishes it.
//!
//! # Looking without a pin
//!
//! Whether an id is held needs no pin: records are never returned to the
//! allocator while the table lives, and [`Record::glance`] tells the lives of
//! one apart. A relay that is live throughout a look is in one record and one
//! bucket for as long, and is found; so where none is found, there was a moment
//! at which none was live.

mod admission;
mod bucket;
mod departures;
mod index;
mod lanes;
mod pool;
mod reclaim;
mod segments;
mod stack;
mod store;
mod unit;

#[cfg(all(test, relay_loom))]
mod models;

pub(crate) use reclaim::sweep_buried;
pub(crate) use store::Exhausted;
pub(crate) use unit::Unit;

use crate::limits::MAX_RELAYS;
use crate::record::{Announcement, BackOff, Extra, Lifecycle, Load, Record, Refusal};
use crate::relay::NodeId;
use crate::sync::epoch::Guard;
use crate::sync::{Arc, AtomicU32, prefetch, random_hasher};
use crate::time::Tick;
use admission::Admission;
use departures::Departures;
use index::{Hash, Index};
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use store::Store;

const _: () = assert!(MAX_RELAYS <= admission::MAX_COUNT);
const _: () = assert!(store::announcements(MAX_RELAYS) <= Lifecycle::ANNOUNCEMENTS);

/// Relays by id.
pub(crate) struct Table {
    index: Index,
    hasher: ahash::RandomState,
    admission: Admission,
    departures: Departures,
    max_relays: usize,
    store: ManuallyDrop<Arc<Store>>,
}

/// Names one life of a record, for keeping where no thread is pinned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Handle {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl Handle {
    #[inline]
    pub(crate) fn bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The inverse of [`bits`](Self::bits).
    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self {
            index: bits as u32,
            generation: (bits >> 32) as u32,
        }
    }
}

/// A record that cannot begin another life while its guard lives.
///
/// Only made from what makes `Record::identity` read one life: the record was
/// found pending or live, or under its present generation, by a pinned thread.
#[derive(Clone, Copy)]
pub(crate) struct RecordRef<'g> {
    record: &'g Record,
    index: u32,
    store: &'g Arc<Store>,
    guard: &'g Guard,
}

/// A record that is written and named in its bucket, awaiting admission.
pub(crate) struct Staged<'g> {
    record: RecordRef<'g>,
    hash: Hash,
}

/// What became of a record that asked for admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Admitted,
    /// A live record of this id, perhaps past its deadline, is there already.
    Held,
    /// As many records as the table may hold are admitted.
    Full,
}

impl<'g> RecordRef<'g> {
    #[inline]
    pub(crate) fn identity(&self) -> NodeId {
        self.record.identity(|| self.extra())
    }

    #[inline]
    pub(crate) fn is_of(&self, id: &NodeId) -> bool {
        self.record.matches(|| self.extra(), id)
    }

    #[inline]
    fn extra(&self) -> &'g Extra {
        self.store.extra(self.index)
    }

    #[inline]
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// The link of the wheel's inbox.
    pub(crate) fn inbox_link(&self) -> &'g AtomicU32 {
        self.extra().inbox_link()
    }

    /// Takes in a measurement; true when the figure in force changed.
    pub(crate) fn record_rtt(&self, elapsed_nanos: u64, micros: u32) -> bool {
        self.record.record_rtt(self.extra(), elapsed_nanos, micros)
    }

    /// Takes in a figure that holds until the first measurement.
    pub(crate) fn seed_rtt(&self, elapsed_nanos: u64, micros: u32) -> bool {
        self.record.seed_rtt(self.extra(), elapsed_nanos, micros)
    }

    #[inline]
    pub(crate) fn handle(&self) -> Handle {
        Handle {
            index: self.index,
            generation: self.record.generation(),
        }
    }

    /// The announcement that `word`, read from this record, names.
    #[inline]
    pub(crate) fn announcement(&self, word: Lifecycle) -> &'g Announcement {
        debug_assert!(!word.is_over());
        // SAFETY: read from this record's lifecycle word under the guard.
        unsafe { self.store.announcement(word.announcement(), self.guard) }
    }

    /// Replaces the deadline; false when `current` is no longer the lifecycle word.
    #[inline]
    pub(crate) fn postpone(&self, current: Lifecycle, deadline: Tick) -> bool {
        let next = Lifecycle::live(deadline, current.announcement());
        self.record.transition(current, next)
    }

    /// Replaces deadline and, if given, announcement; false when `current` is
    /// no longer the lifecycle word.
    pub(crate) fn renew(
        &self,
        current: Lifecycle,
        deadline: Tick,
        announcement: Option<Announcement>,
    ) -> Result<bool, Exhausted> {
        let Some(announcement) = announcement else {
            return Ok(self.postpone(current, deadline));
        };
        let index = self.store.put_announcement(announcement, self.guard)?;
        let renewed = self
            .record
            .transition(current, Lifecycle::live(deadline, index));
        if renewed {
            self.store
                .retire_announcement(current.announcement(), self.guard);
        } else {
            self.store.return_announcement(index);
        }
        Ok(renewed)
    }

    /// Takes one unit of capacity, or says why not.
    ///
    /// A renewal changes the announcement first and the load word after that. A
    /// lease that slipped in between is given back before anyone has it, so
    /// none is held beyond the capacity that was announced when it was taken;
    /// and none is refused below it.
    #[inline]
    pub(crate) fn lease(&self) -> Result<Unit, Refusal> {
        let load = loop {
            match self.record.take_lease() {
                Ok(load) => break load,
                Err(Refusal::Full) if self.bring_capacity_into_force() => {}
                Err(refusal) => return Err(refusal),
            }
        };
        let unit = Unit::taken(self.store, self.index);
        match self.announced_capacity() {
            Some(capacity) if load.total() > capacity => Err(Refusal::Full),
            _ => Ok(unit),
        }
    }

    /// Copies the announced capacity to where leases are decided; whether that
    /// changed anything.
    ///
    /// Of several renewals at once, the last to store looks again and finds its
    /// own figure in force or that of a later one. What [`lease`](Self::lease)
    /// does meanwhile goes by the announcement.
    pub(crate) fn bring_capacity_into_force(&self) -> bool {
        let mut changed = false;
        while let Some(capacity) = self.announced_capacity() {
            if self.record.load().capacity() == capacity {
                break;
            }
            self.record.set_capacity(capacity);
            changed = true;
        }
        changed
    }

    /// The capacity in the announcement that is in force; `None` once departed.
    #[inline]
    fn announced_capacity(&self) -> Option<u32> {
        let word = self.record.lifecycle();
        (!word.is_over()).then(|| self.announcement(word).capacity)
    }

    /// Its load, by the capacity that `word`, read from it, announces.
    pub(crate) fn announced_load(&self, word: Lifecycle) -> Load {
        let capacity = self.announcement(word).capacity;
        self.record.load().with_capacity(capacity)
    }

    /// Whether its load is below the capacity announced by now; `word` was read
    /// from it before.
    #[inline]
    pub(crate) fn has_room(&self, word: Lifecycle) -> bool {
        let capacity = self
            .announced_capacity()
            .unwrap_or_else(|| self.announcement(word).capacity);
        self.record.load().total() < capacity
    }
}

impl<'g> Staged<'g> {
    pub(crate) fn record(&self) -> RecordRef<'g> {
        self.record
    }
}

impl Deref for RecordRef<'_> {
    type Target = Record;

    #[inline]
    fn deref(&self) -> &Record {
        self.record
    }
}

impl Table {
    /// A table for at most `max_relays` relays, 1 to [`MAX_RELAYS`]; `None`
    /// when the memory is not to be had.
    pub(crate) fn new(max_relays: usize) -> Option<Self> {
        Some(Self {
            index: Index::new(max_relays)?,
            hasher: random_hasher(),
            admission: Admission::default(),
            departures: Departures::default(),
            max_relays,
            store: ManuallyDrop::new(Arc::new(Store::new(max_relays)?)),
        })
    }

    pub(crate) fn max_relays(&self) -> usize {
        self.max_relays
    }

    /// Records that are live or past their deadline; `None` while some depart,
    /// for those cannot be told apart without looking at them.
    pub(crate) fn count(&self, guard: &Guard) -> Option<usize> {
        self.departures
            .are_none()
            .then(|| self.settled_gate(guard).count())
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
            let gate = self.settled_gate(guard);
            if gate.count() < self.max_relays || self.find(id, guard).is_some() {
                return None;
            }
            if self.admission.read() == gate {
                return Some(gate);
            }
        }
    }

    /// Changes with every admission, and every departure.
    #[inline]
    pub(crate) fn admissions(&self) -> admission::Gate {
        self.admission.read()
    }

    /// Departed records that a thread may still see.
    pub(crate) fn awaiting_reclamation(&self) -> usize {
        self.store.awaiting_reclamation()
    }

    /// Pushes reclamation as far as it goes without waiting for anyone.
    pub(crate) fn reclaim(&self) {
        self.store.reclaim();
    }

    /// Those, and announcements that were replaced.
    pub(crate) fn backlog(&self) -> usize {
        self.store.awaiting_reclamation() + self.store.superseded()
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

    #[inline]
    fn find_hashed<'g>(
        &'g self,
        hash: Hash,
        id: &NodeId,
        guard: &'g Guard,
    ) -> Option<RecordRef<'g>> {
        self.index.find(hash, |index| {
            let record = self.at(index, guard);
            (record.lifecycle().is_live() && record.is_of(id)).then_some(record)
        })
    }

    /// The lifecycle word of the live record of `id`, for whoever wants to know
    /// no more; its deadline may have passed.
    #[inline]
    pub(crate) fn glance(&self, id: &NodeId) -> Option<Lifecycle> {
        let store = &*self.store;
        self.index.find(self.hash(id), |index| {
            store.record(index).glance(|| store.extra(index), id)
        })
    }

    /// The record that `handle` names, in the life that it names.
    #[inline]
    pub(crate) fn resolve<'g>(&'g self, handle: Handle, guard: &'g Guard) -> Option<RecordRef<'g>> {
        let record = self.at(handle.index, guard);
        (record.generation() == handle.generation).then_some(record)
    }

    /// The record at `index`, which was come upon under this very guard before,
    /// in any of the ways that make a `RecordRef`; it may have departed since.
    #[inline]
    pub(crate) fn revisit<'g>(&'g self, index: u32, guard: &'g Guard) -> RecordRef<'g> {
        self.at(index, guard)
    }

    /// The record at `index`, if it is pending or live.
    pub(crate) fn occupant<'g>(&'g self, index: u32, guard: &'g Guard) -> Option<RecordRef<'g>> {
        let record = self.at(index, guard);
        (!record.lifecycle().is_over()).then_some(record)
    }

    /// Asks for what decides about a relay, to be looked at soon.
    #[inline]
    pub(crate) fn prefetch(&self, relay: Handle) {
        prefetch(self.store.record(relay.index));
    }

    /// Asks for what a relay announces.
    #[inline]
    pub(crate) fn prefetch_announcement(&self, relay: Handle) {
        let word = self.store.record(relay.index).lifecycle();
        self.store.prefetch_announcement(word.announcement());
    }

    /// The link by which the wheel's inbox holds the record at `index`.
    pub(crate) fn inbox_link(&self, index: u32) -> &AtomicU32 {
        self.store.extra(index).inbox_link()
    }

    /// How long a relay is left alone, counted from `now`: with a jitter that
    /// differs between the relays of a registry, and between registries.
    pub(crate) fn back_off(&self, record: &RecordRef<'_>, now: Tick, tick_nanos: u64) -> BackOff {
        BackOff {
            now,
            tick_nanos,
            jitter: self.hash(&record.identity()).0 as u8,
        }
    }

    /// Records lie at indices below this.
    pub(crate) fn reach(&self) -> u32 {
        self.store.reach()
    }

    /// Writes a record of `id` and names it in its bucket, pending.
    pub(crate) fn stage<'g>(
        &'g self,
        id: &NodeId,
        announcement: Announcement,
        deadline: Tick,
        rtt_seed: Option<u32>,
        guard: &'g Guard,
    ) -> Result<Staged<'g>, Exhausted> {
        let index = self.store.take_record(guard)?;
        let capacity = announcement.capacity;
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
        let hash = self.hash(id);
        if !self.index.insert(hash, index) {
            record.set_lifecycle(Lifecycle::DEPARTED);
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
        guard: &'g Guard,
    ) -> Verdict {
        let newcomer = staged.record.handle();
        loop {
            let gate = self.settled_gate(guard);
            if self.find_hashed(staged.hash, id, guard).is_some() {
                return Verdict::Held;
            }
            if gate.count() < self.max_relays {
                if self.admission.admit(gate, newcomer) {
                    self.settled_gate(guard);
                    return Verdict::Admitted;
                }
            } else if self.admission.read() == gate {
                return Verdict::Full;
            }
        }
    }

    /// Reads the admission word, after carrying out what is pending in it.
    fn settled_gate<'g>(&'g self, guard: &'g Guard) -> admission::Gate {
        loop {
            let gate = self.admission.read();
            let Some(index) = gate.pending() else {
                return gate;
            };
            // Nothing is retired while the gate names it pending, so what we
            // read of it, pinned, is of the life that it names.
            let record = self.at(index, guard);
            let word = record.lifecycle();
            if gate.is_admitting() {
                if word.is_pending() {
                    record.transition(word, word.admitted());
                }
            } else if word.is_departing() {
                record.transition(word, Lifecycle::DEPARTED);
            }
            self.admission.settle(gate);
        }
    }

    /// Counts a departing record out, unless somebody else does.
    fn count_out(&self, record: RecordRef<'_>) {
        let handle = record.handle();
        loop {
            let gate = self.settled_gate(record.guard);
            if !record.lifecycle().is_departing() {
                // Somebody else did, but may have to settle it yet; until then
                // the gate names the record, which must not be retired.
                self.settled_gate(record.guard);
                return;
            }
            if self.admission.dismiss(gate, handle) {
                self.settled_gate(record.guard);
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
        self.departures.noted().for_each(help);
        if self.departures.are_more() {
            (0..self.store.reach()).for_each(help);
        }
    }

    /// Takes back a record that was not admitted.
    pub(crate) fn withdraw(&self, staged: &Staged<'_>) {
        let word = staged.record.lifecycle();
        debug_assert!(word.is_pending());
        staged.record.set_lifecycle(Lifecycle::DEPARTED);
        self.unname(staged.record);
        self.retire(staged.record, word);
    }

    /// Ends the life of a record, if `word` is still its lifecycle: the one
    /// decision between departure, expiry and renewal.
    pub(crate) fn depart(&self, record: RecordRef<'_>, word: Lifecycle) -> bool {
        debug_assert!(word.is_live());
        let noted = self.departures.begin(record.index);
        let departs = record.transition(word, word.departing());
        if departs {
            self.count_out(record);
        }
        self.departures.end(noted);
        if departs {
            self.unname(record);
            self.retire(record, word);
        }
        departs
    }

    /// Takes a record away from wherever it could be come upon; only for
    /// whoever made it depart.
    fn unname(&self, record: RecordRef<'_>) {
        record.raise(Load::CLOSED);
        let hash = self.hash(&record.identity());
        self.index.remove(hash, record.index);
        record.end_generation();
    }

    fn retire(&self, record: RecordRef<'_>, last: Lifecycle) {
        self.store
            .retire(record.index, last.announcement(), record.guard);
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
    fn hash(&self, id: &NodeId) -> Hash {
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
        unsafe { store.orphan() };
        reclaim::bury(store);
    }
}

//! The epoch-reclaimed table of all relays, and the [snapshot] that finds search.
//!
//! ```text
//!   hash of an id
//!     | upper half: which bucket                 lowest byte: the fingerprint
//!     v
//!   bucket, 64 bytes
//!   +-------------------+--------+---------+
//!   | 12 fingerprints   | passed | 12      |
//!   | of a byte         |        | indices |
//!   +-------------------+--------+----|----+
//!                                     | index of the record
//!     handle: index, generation ----->+<----- lease: store, index
//!                                     v
//!   record, 64 bytes                                          extra, 64 bytes,
//!   +----------+-----------+------+---------+-------------+-----+  at the same index
//!   | identity | lifecycle | load | circuit | generation, | rtt |  +------------------+
//!   | 32 bytes |  |        |      |         | length  |   |     |  | samples, rest of |
//!   +----------+--|--------+------+---------+---------|---+-----+  | the identity ... |
//!                 |                                   |            +------------------+
//!                 | index of the announcement         +-- a handle names the record while
//!                 v                                       it has this generation
//!   announcement, 64 bytes, never changed
//!   +-----------------------------------------+
//!   | endpoint, capacity, TTL, NAT, domain .. |
//!   +-----------------------------------------+
//! ```
//!
//! What relays have in common, such as free records and the bound on their number, belongs to
//! [`shards`], chosen by the hash of an id. Look-ups know nothing of them.
//!
//! A relay is admitted as [`admission`] says, departs as [`departure`] does, and comes back
//! as [`returning`] does. What is retired is freed to the slabs as in [`reclaim`].
//!
//! Looking up an id touches two cache lines: its bucket and its record. No operation here
//! waits for another thread: a thread that finds an unfinished admission finishes it.
//!
//! # Look-ups without a pin
//!
//! Whether an id is live can be read without a pin. The memory of records stays allocated
//! while the table exists, and
//! [`Record::lifecycle_if_named`](record::Record::lifecycle_if_named) tells the generations
//! of a record apart. A relay that is live throughout a look-up is in one record and one
//! bucket for as long, and is found. So if none is found, there was a moment at which none
//! was live.
//!
//! # Where `unsafe` is, and what it relies on
//!
//! | where | what | why it is sound |
//! |---|---|---|
//! | [`store`] | the content of an announcement's cell | the [`slab`] gives an index to one taker; it is written before it is published, and dropped once no thread can reach it |
//! | [`record_ref`] | the announcement that a word names | the word was read from this record under this guard |
//! | [`lease`] | a lease's pointer to the store | its units are counted, so the registry holds the store or has left a reference with the record |
//! | [`reclaim`] | a round's pointer to the store | the store is held, or in limbo, while a round is under way |
//! | [`crate::sync::OnceBox`], which has further segments and indices | memory that is installed when it is first needed | the pointer changes once, from null, and is freed by the drop alone |
//! | `sync/zeroed.rs`, and each `Zeroable` | memory full of zeros, taken for values | atomics, for which zero is a value |
//! | [`byte_search`], [`snapshot`], [`crate::sync`] | processor instructions | they touch no memory, or hint at it |
//! | [`crate::time`] | one call of the system's clock | |
//!
//! No function that the rest of the crate can call has a precondition of memory safety; no
//! module outside has to know of one:
//!
//! - A lifecycle word comes with the record that it was read from, and the guard, as an
//!   [`ObservedRecord`] or a [`LiveRecord`]. Only these lead to an announcement, renew a
//!   relay, or have it depart.
//! - [`Staged`], [`Returning`](returning::Returning) and [`Closing`] stand for a record whose
//!   state one thread alone may change. The step that ends that takes them by value.
//! - A [`Record`](record::Record), with all that writes it, is private to `table`.
//!   Constructors of packed words are private to `table`, too.
//! - Deadlines and capacities are clamped to their bounds where they enter, for other bits
//!   of the words that hold them decide which memory is read or freed.
//! - A record of another table causes a panic.
//! - Any index or [`Handle`] may be passed in. One that was never handed out panics, or
//!   names a vacant record; one from another moment may name the record of another relay.

mod admission;
mod bounds;
mod bucket;
mod byte_search;
mod changes;
mod circuit_updates;
mod departure;
mod description;
mod index;
mod lease;
mod policy_updates;
mod reclaim;
pub(crate) mod record;
mod record_ref;
mod returning;
mod segments;
mod shards;
mod slab;
pub(crate) mod snapshot;
mod stack;
mod store;

#[cfg(all(test, relay_loom))]
mod models;

pub(crate) use admission::{AdmitOutcome, Before, Beginning, CreateError, Placeholder, Staged};
pub(crate) use changes::Departure;
pub(crate) use departure::Closing;
pub(crate) use index::Hash;
pub(crate) use lease::Units;
pub(crate) use reclaim::free_deferred;
pub(crate) use record_ref::{LiveRecord, ObservedRecord, RecordRef};
pub(crate) use store::Exhausted;

use crate::events::EventLog;
use crate::footprint::Footprint;
use crate::limits::MAX_RELAYS;
use crate::relay::NodeId;
use crate::sync::epoch::Guard;
use crate::sync::{Arc, AtomicU32, Padded, random_hasher};
use crate::table::record::{BackOff, Handle, Lifecycle, Subject};
use crate::table::snapshot::{MergedRelay, Merger, Publication, SelectionSettings, Snapshot};
use crate::time::{Tick, Watch};
use index::{Accept, Index};
use shards::ShardLayout;
use std::fmt;
use std::mem::ManuallyDrop;
use store::Store;

const _: () = assert!(MAX_RELAYS <= shards::places::MAX_PLACES);
const _: () = assert!(bounds::announcements(MAX_RELAYS) <= Lifecycle::ANNOUNCEMENTS);

/// The length of most ids: of public keys and hashes.
const USUAL_LEN: u8 = 32;

/// Relays by id.
pub(crate) struct Table {
    index: Index,
    hasher: ahash::RandomState,
    /// How many records are placeholders.
    placeholders: Padded<AtomicU32>,
    max_relays: usize,
    store: ManuallyDrop<Arc<Store>>,
}

/// The memory of a table, without what its announcements point to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableFootprint {
    pub(crate) records: Footprint,
    pub(crate) announcements: Footprint,
    pub(crate) index: Footprint,
    pub(crate) snapshots: Footprint,
}

impl Table {
    /// A table for at most `max_relays` relays, 1 to [`MAX_RELAYS`]; `None`
    /// when the memory is not to be had.
    pub(crate) fn new(
        max_relays: usize,
        settings: SelectionSettings,
        watch: Watch,
        events: Arc<EventLog>,
    ) -> Option<Self> {
        let layout = ShardLayout::for_relays(max_relays);
        Self::with_layout(max_relays, layout, settings, watch, events)
    }

    fn with_layout(
        max_relays: usize,
        layout: ShardLayout,
        settings: SelectionSettings,
        watch: Watch,
        events: Arc<EventLog>,
    ) -> Option<Self> {
        assert!(max_relays <= MAX_RELAYS, "words have no room for more");
        let store = Store::new(max_relays, layout, settings, watch, events)?;
        Some(Self {
            index: Index::new(max_relays)?,
            hasher: random_hasher(),
            placeholders: Padded::default(),
            max_relays,
            store: ManuallyDrop::new(Arc::new(store)),
        })
    }

    #[cfg(test)]
    pub(crate) fn for_tests(max_relays: usize) -> Self {
        Self::for_tests_in(ShardLayout::for_relays(max_relays), max_relays)
    }

    #[cfg(test)]
    fn for_tests_in(layout: ShardLayout, max_relays: usize) -> Self {
        let (watch, events) = (crate::time::Timeline::for_tests(), EventLog::for_tests());
        let settings = SelectionSettings::FOR_TESTS;
        let table = Self::with_layout(max_relays, layout, settings, watch, events);
        table.expect("there is memory")
    }

    pub(crate) fn max_relays(&self) -> usize {
        self.max_relays
    }

    /// How many records are live, their deadline passed or not; `None` while departures are
    /// in progress, which only a look at their records could tell apart.
    pub(crate) fn count(&self, guard: &Guard) -> Option<usize> {
        let shards = &self.store.shards;
        let are_none_departing = || {
            for (_, shard) in shards.iter() {
                self.help_unfinished(shard, guard);
            }
            self.store.departures.read().is_none()
        };
        // While no place comes or goes, no departure ends. So if none is found, none was under way
        // when the first shard was read.
        let free = shards.free_places_while(are_none_departing)?;
        Some(self.max_relays - free)
    }

    /// About as many as there are records.
    pub(crate) fn estimate(&self) -> usize {
        self.max_relays
            .saturating_sub(self.store.shards.about_free_places())
    }

    /// Departed records that are not freed yet.
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

    /// Makes reclaimable what no thread can reach any more, in O(1): the next registration
    /// frees a batch of it.
    pub(crate) fn help_reclamation(&self) {
        self.store.push_rounds();
    }

    pub(crate) fn footprint(&self) -> TableFootprint {
        TableFootprint {
            records: self.store.footprint_of_records(),
            announcements: self.store.footprint_of_announcements(),
            index: self.index.footprint(),
            snapshots: self.store.publication.footprint(),
        }
    }

    /// Units leased out, on live and departed relays; visits every record.
    pub(crate) fn leases(&self) -> usize {
        (0..self.store.high_water())
            .map(|index| self.store.record(index).load().leases() as usize)
            .sum()
    }

    /// Prefetches the bucket of a hash, for a caller that looks it up soon.
    #[inline]
    pub(crate) fn prefetch(&self, hash: Hash) {
        self.index.prefetch(hash);
    }

    /// The record of `id`; its deadline may have passed.
    #[inline]
    pub(crate) fn find<'g>(&'g self, id: &NodeId, guard: &'g Guard) -> Option<RecordRef<'g>> {
        self.find_hashed(self.hash(id), id, guard)
    }

    /// The same, for a caller that has hashed it.
    #[inline(always)]
    pub(crate) fn find_hashed<'g>(
        &'g self,
        hash: Hash,
        id: &NodeId,
        guard: &'g Guard,
    ) -> Option<RecordRef<'g>> {
        let found = self.index.find(hash, LiveOf { id, guard }, self);
        found.map(|index| self.at(index, guard))
    }

    /// The record of `id`, in any state but vacant and staged.
    pub(crate) fn find_known<'g>(
        &'g self,
        hash: Hash,
        id: &NodeId,
        guard: &'g Guard,
    ) -> Option<RecordRef<'g>> {
        let found = self.index.find(hash, AnyOf(LiveOf { id, guard }), self);
        found.map(|index| self.at(index, guard))
    }

    /// The same; `None` only if there was a moment at which the id had no record.
    ///
    /// A restart moves a relay to another record. A look-up beside it may look for the new
    /// record before that is admitted, and for the old one after that is forgotten. Each
    /// admission changes the admission word, so the look-up is repeated if that has changed.
    pub(crate) fn find_known_beside_moves<'g>(
        &'g self,
        hash: Hash,
        id: &NodeId,
        guard: &'g Guard,
    ) -> Option<RecordRef<'g>> {
        let shard = self.store.shards.of_hash(hash);
        loop {
            let seen = self.help_unfinished(shard, guard);
            let found = self.find_known(hash, id, guard);
            if found.is_some() || shard.admission.read().names_as(seen) {
                return found;
            }
        }
    }

    /// The same as [`find_hashed`](Self::find_hashed), for a thread that reads the announcement as
    /// well.
    ///
    /// Prefetches the announcement at the index of the record. Record and announcement are
    /// taken and freed together, so that is the right one unless the relay renewed with
    /// changes.
    #[inline(always)]
    pub(crate) fn find_to_renew<'g>(
        &'g self,
        hash: Hash,
        id: &NodeId,
        guard: &'g Guard,
    ) -> Option<RecordRef<'g>> {
        let wanted = ToRenew(LiveOf { id, guard });
        let found = self.index.find(hash, wanted, self);
        found.map(|index| self.at(index, guard))
    }

    /// Whether there is a record of `id` whose lifecycle word `accept` accepts; it must accept
    /// live words only.
    #[inline(always)]
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

    /// Inlined, so that the compiler knows the length.
    #[inline(always)]
    fn holds_hashed(&self, id: &NodeId, accept: impl Fn(Lifecycle) -> bool) -> bool {
        let unpinned = UnpinnedMatch { id, accept };
        self.index.find(self.hash(id), unpinned, self).is_some()
    }

    /// The record that `handle` names, if it still has that generation.
    #[inline]
    pub(crate) fn resolve<'g>(&'g self, handle: Handle, guard: &'g Guard) -> Option<RecordRef<'g>> {
        RecordRef::resolve(&self.store, handle, guard)
    }

    /// The record at `index`, of which a `RecordRef` was made under this guard before; its
    /// relay may have departed since.
    ///
    /// If none was, the identity may be torn, with words of two tenures; all else holds.
    #[inline]
    pub(crate) fn record_seen_at<'g>(&'g self, index: u32, guard: &'g Guard) -> RecordRef<'g> {
        self.at(index, guard)
    }

    /// Whether any relay may have a tier, a cost, a filter that it passes, or a slow start.
    #[inline]
    pub(crate) fn has_policies(&self) -> bool {
        self.store.has_policies()
    }

    /// The record at `index`, unless it is vacant.
    pub(crate) fn record_at<'g>(&'g self, index: u32, guard: &'g Guard) -> Option<RecordRef<'g>> {
        let record = self.at(index, guard);
        (record.lifecycle() != Lifecycle::VACANT).then_some(record)
    }

    /// Publishes the snapshot that finds search.
    #[inline]
    pub(crate) fn publication(&self) -> &Publication {
        &self.store.publication
    }

    /// Recomputes the leaves of a relay from its record.
    pub(crate) fn refresh(&self, relay: Handle) {
        self.store.publication.refresh(&self.subject(relay), true);
    }

    /// Recomputes the leaves of relays whose suspension (back-off or ban) has ended by `tick`,
    /// of at most `most` relays in each part of a snapshot.
    pub(crate) fn refresh_ended_suspensions(&self, snapshot: &Snapshot, tick: Tick, most: usize) {
        self.store.refresh_ended_suspensions(snapshot, tick, most);
    }

    /// Puts the relays on trial that failed in an outage of this node, now that it is over.
    pub(crate) fn end_outage(&self) {
        circuit_updates::end_outage(&self.store, usize::MAX);
    }

    fn subject(&self, handle: Handle) -> Subject<'_> {
        self.store.subject(handle)
    }

    /// Builds the next base from what `describe` returns for each relay that stays.
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

    /// Pushes a record to the inbox of the wheel.
    pub(crate) fn enqueue_for_wheel(&self, record: &RecordRef<'_>) {
        self.check_is_own(record);
        self.push_to_inbox(record);
    }

    fn push_to_inbox(&self, record: &RecordRef<'_>) {
        self.store.push_to_inbox(record.index);
    }

    /// Visits the records in the inboxes of the wheel, each once; one thread at a time.
    pub(crate) fn drain_inbox(&self, mut visit: impl FnMut(u32)) {
        let link_of = |index| self.store.extra(index).inbox_link();
        for (_, shard) in self.store.shards.iter() {
            shard.inbox.drain(link_of, &mut visit);
        }
    }

    /// How long a relay backs off, counted from `now`.
    pub(crate) fn back_off(&self, record: &RecordRef<'_>, now: Tick) -> BackOff {
        self.publication()
            .context
            .settings
            .back_off(record.record, now)
    }

    /// One more than the highest index that was ever in use.
    pub(crate) fn high_water(&self) -> u32 {
        self.store.high_water()
    }

    /// A record of another table would be counted, linked and retired in this one.
    fn check_is_own(&self, record: &RecordRef<'_>) {
        let is_own = Arc::ptr_eq(record.store, &self.store);
        assert!(is_own, "a record of another table");
    }

    /// The guard protects the record only if `RecordRef` may be made of it; see there.
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

/// The live record of an id; for a pinned thread.
pub(super) struct LiveOf<'a> {
    pub(super) id: &'a NodeId,
    pub(super) guard: &'a Guard,
}

impl Accept<Table> for LiveOf<'_> {
    #[inline(always)]
    fn accepts(&self, index: u32, table: &Table) -> bool {
        let record = table.at(index, self.guard);
        record.lifecycle().is_live() && record.is_of(self.id)
    }
}

/// The record of an id, in any state but vacant and staged; for a pinned thread.
pub(super) struct AnyOf<'a>(pub(super) LiveOf<'a>);

impl Accept<Table> for AnyOf<'_> {
    fn accepts(&self, index: u32, table: &Table) -> bool {
        let record = table.at(index, self.0.guard);
        record.lifecycle().is_known() && record.is_of(self.0.id)
    }
}

/// A record of the id, except the one at an index.
pub(super) struct Other<'a> {
    pub(super) any: AnyOf<'a>,
    pub(super) ignored_index: Option<u32>,
}

impl Accept<Table> for Other<'_> {
    fn accepts(&self, index: u32, table: &Table) -> bool {
        Some(index) != self.ignored_index && self.any.accepts(index, table)
    }
}

/// The live record of an id, whose announcement is prefetched.
struct ToRenew<'a>(LiveOf<'a>);

impl Accept<Table> for ToRenew<'_> {
    #[inline(always)]
    fn accepts(&self, index: u32, table: &Table) -> bool {
        table.store.prefetch_announcement(index);
        self.0.accepts(index, table)
    }
}

/// The record of an id whose lifecycle `accept` accepts; for a thread that is not pinned.
struct UnpinnedMatch<'a, F> {
    id: &'a NodeId,
    accept: F,
}

impl<F: Fn(Lifecycle) -> bool> Accept<Table> for UnpinnedMatch<'_, F> {
    #[inline(always)]
    fn accepts(&self, index: u32, table: &Table) -> bool {
        let record = table.store.record(index);
        let extra = || table.store.extra(index);
        record
            .lifecycle_if_named(extra, self.id, &self.accept)
            .is_some()
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

//! How a relay departs, and what is remembered of it.
//!
//! 1. A thread finds the record and loads its lifecycle with acquire: live. The relay leaves,
//!    or its deadline has passed.
//! 2. It puts the record into `departures` (release), so that a registering thread
//!    which needs the room can help ([`help_departures`](Table::help_departures)).
//! 3. A compare-and-swap (sequentially consistent) changes the lifecycle from live to
//!    *departing* ([`depart`](Table::depart)). This decides between departure, renewal and
//!    expiry: each is a compare-and-swap of the word that its thread loaded.
//! 4. A compare-and-swap (acquire and release) of the admission word counts the record out
//!    and names it. Any thread that finds it named there changes the lifecycle from departing
//!    to *closing*, and then clears the unfinished bit.
//! 5. The thread of step 3, which alone may change the closing record, closes the load
//!    (acquire and release), so that no lease is given; raises the generation (release), so
//!    that no handle matches; and refreshes its leaves.
//! 6. It has a [`Closing`], and decides: the relay is *remembered* up to a tick, or the
//!    record is *kept* for its leases and for operator settings. Both are *gone*, and stay
//!    in their bucket. Or the record is *forgotten*: removed from its bucket, *vacant*, and
//!    retired with its announcement. The lifecycle is set by a store with release. The bucket
//!    is cleared by a `fetch_and`, then a store, both with release. Retiring is a
//!    compare-and-swap with release.
//! 7. A [round](super::reclaim) of reclamation takes what is retired. Once all threads have
//!    unpinned that were pinned then, it is reclaimable, and batches of it are freed to the
//!    slabs. A record with leases is freed by the last of these instead.
//!
//! # Which thread may change a record that is gone
//!
//! A relay that leaves or expires may come back. Until its record is forgotten, it is not
//! counted and found by no search, but keeps its leases, load, round trips and circuit. So a
//! lease is a unit of the relay and not of one of its registrations, and operator settings
//! hold across departures.
//!
//! The thread whose compare-and-swap makes a record *closing* or *returning* alone sets its
//! next state. Other threads change only the load and the circuit, by releasing leases and by
//! operator settings. A registration that meets such a record spins (`yield_now`) until that
//! thread has set the next state: with a second record of the same id, both could be leased.
//!
//! # A ban or draining set while a record is being forgotten is not lost
//!
//! A thread that forgets a record first closes it, and then looks for reasons to keep it: a
//! read-modify-write of the load, then an acquire load of the circuit. An operator setting
//! changes the load or the circuit, touches the load by a read-modify-write, and then reads
//! the lifecycle. Of the two read-modify-writes of the load, one is the later. If it is that
//! of the forgetting thread, that thread sees the setting. Otherwise the other thread sees
//! that the record is closing, and repeats the update.
//!
//! The same holds if the last lease is released while a record becomes kept. The thread that
//! keeps the record looks for reasons once more. Either it sees the release then, or the
//! releasing thread sees that the record is kept, and pushes it to the inbox of the wheel.

use crate::sync::Ordering;
use crate::sync::epoch::Guard;
use crate::table::Table;
use crate::table::bounds;
use crate::table::index::Hash;
use crate::table::record::{Announcement, Lifecycle, Load};
use crate::table::record_ref::{LiveRecord, ObservedRecord, RecordRef};
use crate::table::shards::{Shard, ShardId};
use crate::time::Tick;

/// A closing record, which the caller alone may change: it is to be remembered, kept or
/// forgotten.
#[must_use]
pub(crate) struct Closing<'g> {
    table: &'g Table,
    /// With its lifecycle before.
    last: ObservedRecord<'g>,
    /// Whether it is still counted, until another record takes its place.
    is_counted: bool,
    /// The hash of its id, if the caller has computed that.
    hash: Option<Hash>,
    shard: ShardId,
}

impl<'g> Closing<'g> {
    /// Whether its relay was live, or its grace had not ended.
    pub(crate) fn is_remembered(&self, now: Tick) -> bool {
        self.last.word().is_remembered_at(now)
    }

    pub(crate) fn is_counted(&self) -> bool {
        self.is_counted
    }

    /// The same, with the hash of its id, which [`forget`](Self::forget) then does not compute.
    pub(crate) fn with_hash(self, hash: Hash) -> Self {
        Self {
            hash: Some(hash),
            ..self
        }
    }

    pub(crate) fn record(&self) -> RecordRef<'g> {
        *self.last
    }

    /// What its relay announced, if that is remembered.
    pub(crate) fn announcement(&self) -> Option<&'g Announcement> {
        self.last.announcement()
    }

    /// Remembers it up to a tick, with or without its announcement.
    pub(crate) fn remember_until(self, until: Tick, with_announcement: bool) {
        let last = self.last.word();
        let gone = last.closing().gone_until(until);
        self.table.count_gone(self.last.index, gone);
        match (with_announcement, last.announced()) {
            (false, Some(announcement)) => {
                self.set_lifecycle(gone.without_announcement());
                self.retire_announcement(announcement);
            }
            _ => self.set_lifecycle(gone),
        }
        self.table.push_to_inbox(&self.last);
    }

    /// Keeps it for as long as there is a reason.
    pub(crate) fn keep(self) {
        let last = self.last.word();
        let gone = match last.is_placeholder() {
            true => last,
            false => Lifecycle::kept(),
        };
        self.table.count_gone(self.last.index, gone);
        self.set_lifecycle(gone);
        if let Some(announcement) = last.announced() {
            self.retire_announcement(announcement);
        }
        self.table.push_to_inbox(&self.last);
    }

    /// Leaves a record that was live or gone as it was found.
    pub(crate) fn leave_as_it_was(self) {
        let last = self.last.word();
        let pending = self.last.begin_pending();
        if !self.is_counted {
            self.table.count_gone(self.last.index, last);
        }
        self.set_lifecycle(last);
        self.table.push_to_inbox(&self.last);
        // A renewal from before may have found the record closing, and copied nothing.
        self.last.copy_announced();
        self.last.refresh(true);
        drop(pending);
        // What changed while it was closing was published of a relay that was not live.
        self.last.publish_updated();
    }

    /// Removes it from the table. A record that is counted has been replaced by another one.
    /// Leases on it are void.
    #[inline(always)]
    pub(crate) fn forget(self) {
        let record = self.record();
        if self.is_counted {
            self.table.invalidate_handles(&record, self.shard);
        } else if self.last.word().is_placeholder() {
            // It has not departed, which would have raised the generation.
            record.record.end_generation();
        }
        let hash = self.hash;
        let hash = hash.unwrap_or_else(|| self.table.hash(&record.identity()));
        self.table
            .unlink_and_retire(record, (hash, self.shard), self.last.word().announced());
    }

    fn set_lifecycle(&self, word: Lifecycle) {
        self.last.record.set_lifecycle(word);
    }

    fn retire_announcement(&self, announcement: u32) {
        let store = &self.table.store;
        store.retire_announcement(announcement, self.last.guard);
    }
}

impl Table {
    /// Counts a record that is gone from now on: as remembered, or as exempt from the bound and
    /// perhaps a placeholder.
    pub(super) fn count_gone(&self, index: u32, gone: Lifecycle) {
        let shard = self.store.shard_of(index);
        // Relaxed, here and below: counts that carry nothing but themselves.
        match gone.is_kept() {
            true => shard.exempt_one(),
            false => _ = shard.remembered.fetch_add(1, Ordering::Relaxed),
        }
        if gone.is_placeholder() {
            self.placeholders.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The same for one that is not gone any more.
    pub(super) fn discount_gone(&self, index: u32, gone: Lifecycle) {
        let shard = self.store.shard_of(index);
        match gone.is_kept() {
            true => shard.exempt_one_less(),
            false => _ = shard.remembered.fetch_sub(1, Ordering::Relaxed),
        }
        if gone.is_placeholder() {
            self.placeholders.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Has a relay depart, unless the lifecycle of its record has changed since it was seen
    /// live: the one decision between departure, expiry and renewal.
    #[inline(always)]
    pub(crate) fn depart<'g>(&'g self, live: LiveRecord<'g>) -> Option<Closing<'g>> {
        self.check_is_own(&live);
        let (record, word): (&RecordRef<'_>, _) = (&live, live.word());
        let shard_id = self.store.shards.layout().of_index(record.index);
        let shard = self.store.shards.get(shard_id);
        let in_progress = self.store.departures.begin(record.index);
        let departs = record.record.transition(word, word.departing());
        if departs {
            self.count_out(shard, record);
        }
        drop(in_progress);
        departs.then(|| {
            self.invalidate_handles(record, shard_id);
            self.closing(live.into(), false)
        })
    }

    /// Closes a live record, so that another one takes its place in the count. `None` if its
    /// lifecycle has changed since it was seen.
    pub(crate) fn close_live<'g>(&'g self, live: LiveRecord<'g>) -> Option<Closing<'g>> {
        self.check_is_own(&live);
        let word = live.word();
        let closes = live.record.transition(word, word.closing());
        closes.then(|| self.closing(live.into(), true))
    }

    /// Closes a record that is gone. `None` if it was not gone, or its lifecycle has changed
    /// since it was seen.
    pub(crate) fn close_gone<'g>(&'g self, gone: ObservedRecord<'g>) -> Option<Closing<'g>> {
        self.check_is_own(&gone);
        let word = gone.word();
        if !(word.is_gone() && gone.record.transition(word, word.closing())) {
            return None;
        }
        self.discount_gone(gone.index, word);
        Some(self.closing(gone, false))
    }

    fn closing<'g>(&'g self, last: ObservedRecord<'g>, is_counted: bool) -> Closing<'g> {
        Closing {
            table: self,
            last,
            is_counted,
            hash: None,
            shard: self.store.shards.layout().of_index(last.index),
        }
    }

    /// Counts a departing record out, unless another thread does.
    #[inline(always)]
    pub(super) fn count_out(&self, shard: &Shard, record: &RecordRef<'_>) {
        loop {
            let seen = self.help_unfinished(shard, record.guard);
            // It stays so, of this generation, while the admission word is as it was seen.
            let departing = record.lifecycle();
            if !departing.is_departing() {
                // Another thread did. The admission word may still name the record as
                // unfinished; the record must not be retired before that is cleared.
                self.help_unfinished(shard, record.guard);
                return;
            }
            if self.store.shards.has_too_many(seen) {
                self.store.shards.relieve(record.index);
            } else if let Some(named) = shard.admission.count_out(seen, record.handle()) {
                self.finish(shard, named, record, (departing, departing.closing()));
                return;
            }
        }
    }

    /// Counts out the relays that other threads have depart, so that none of them takes the
    /// room of a new one.
    pub(crate) fn help_departures(&self, guard: &Guard) {
        let help = |index| {
            let record = self.at(index, guard);
            if record.lifecycle().is_departing() {
                self.count_out(self.store.shard_of(index), &record);
            }
        };
        if let Some(departures) = self.store.departures.read() {
            departures.indices().for_each(help);
            if departures.has_overflowed() {
                (0..self.store.high_water()).for_each(help);
            }
        }
    }

    /// Closes the load of a departed record, and makes its handles stale.
    #[inline(always)]
    fn invalidate_handles(&self, record: &RecordRef<'_>, shard: ShardId) {
        let subject = record.subject();
        // This touches the load, as a refresh has to.
        record.record.set_flags(Load::CLOSED);
        record.record.end_generation();
        let publication = &self.store.publication;
        publication.take_out(&subject, shard, record.guard);
    }

    /// Takes a closed record out of its bucket and retires it.
    #[inline(always)]
    pub(super) fn unlink_and_retire(
        &self,
        record: RecordRef<'_>,
        (hash, shard): (Hash, ShardId),
        announcement: Option<u32>,
    ) {
        self.index.remove(hash, record.index);
        record.record.set_lifecycle(Lifecycle::VACANT);
        self.store
            .retire((record.index, shard), announcement, record.guard);
    }

    /// How many records of relays that are gone are remembered; kept ones are not counted.
    pub(crate) fn remembered(&self) -> usize {
        self.store.shards.sum(|shard| &shard.remembered)
    }

    /// How many should be remembered at most.
    #[cfg(feature = "persistence")]
    pub(crate) fn max_remembered(&self) -> usize {
        bounds::remembered(self.max_relays)
    }

    /// Whether more are remembered than there should be.
    pub(crate) fn is_to_forget(&self) -> bool {
        self.remembered() > bounds::remembered(self.max_relays)
    }

    /// Pushes a kept record to the inbox of the wheel, for it may have no reason any more.
    pub(crate) fn reconsider(&self, record: &RecordRef<'_>) {
        self.check_is_own(record);
        self.store.reconsider(record.index);
    }
}

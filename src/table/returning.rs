//! How a relay comes back, in the record that it left.
//!
//! 1. The registering thread finds the record of the id, *gone*, and stores the new
//!    announcement.
//! 2. A compare-and-swap (acquire and release) changes the lifecycle from gone to
//!    *returning* ([`bring_back`](Table::bring_back)). This thread alone then changes the
//!    record. It opens the load again (acquire and release): leases stay.
//! 3. It appends the record to the newest run of arrivals, and pushes it to the inbox of the
//!    wheel.
//! 4. The record is counted as any other is ([`Returning::admit`]). There is no need to look
//!    for another record of the id: this one has been in its bucket throughout.

use crate::table::Table;
use crate::table::record::{Announcement, Lifecycle, Load};
use crate::table::record_ref::{ObservedRecord, RecordRef};
use crate::table::snapshot::Arrival;
use crate::table::store::Exhausted;
use crate::time::Tick;
use std::convert::Infallible;

/// A record whose relay is about to come back. The caller alone may change it until it is
/// admitted.
#[must_use]
pub(crate) struct Returning<'g> {
    table: &'g Table,
    /// With its lifecycle before.
    last: ObservedRecord<'g>,
    /// Its lifecycle now.
    word: Lifecycle,
}

impl<'g> Returning<'g> {
    /// Appends the record to the newest run of arrivals, and pushes it to the inbox of the
    /// wheel.
    pub(crate) fn append(&self) -> Arrival<'g> {
        let shard = self.table.store.shards.layout().of_index(self.last.index);
        self.table.append(&self.last, shard)
    }

    /// Admits the relay again, unless the table is full.
    pub(crate) fn admit(self) -> bool {
        let (table, guard) = (self.table, self.last.guard);
        let shard = table.store.shard_of(self.last.index);
        let handle = self.last.handle();
        let named = loop {
            let seen = table.help_unfinished(shard, guard);
            if seen.places() == 0 {
                self.refuse();
                return false;
            }
            if let Some(named) = shard.admission.admit(seen, handle) {
                break named;
            }
        };
        table.finish(shard, named, &self.last, (self.word, self.word.admitted()));
        self.retire_last_announcement();
        // A renewal from before may have stored its own beside the load meanwhile.
        self.last.copy_announced();
        true
    }

    fn retire_last_announcement(&self) {
        if let Some(announcement) = self.last.word().announced() {
            let store = &self.table.store;
            store.retire_announcement(announcement, self.last.guard);
        }
    }

    /// Leaves the record as it was found.
    pub(crate) fn refuse(self) {
        let (store, record) = (&self.table.store, self.last.record);
        let last = self.last.word();
        record.set_flags(Load::CLOSED);
        // The slot that it has among arrivals is void.
        record.end_generation();
        self.table.count_gone(self.last.index, last);
        record.set_lifecycle(last);
        store.retire_announcement(self.word.announcement(), self.last.guard);
        self.table.push_to_inbox(&self.last);
    }
}

impl Table {
    /// Makes a record that is gone returning, with another announcement, perhaps without the
    /// load that others were reported to put on the relay. It starts slowly if it is given when
    /// it arrived. `None` if it was not gone, or its
    /// lifecycle has changed since it was seen.
    pub(crate) fn bring_back<'g>(
        &'g self,
        gone: ObservedRecord<'g>,
        announcement: Announcement,
        deadline: Tick,
        loses_reported_load: bool,
        arrived_at: Option<Tick>,
    ) -> Result<Option<Returning<'g>>, Exhausted> {
        self.check_is_own(&gone);
        if !gone.word().is_gone() {
            return Ok(None);
        }
        let (last, capacity) = (gone.word(), announcement.capacity);
        let policy = gone.announced_policy(&announcement);
        gone.prepare_policy(policy, arrived_at)?;
        let shard = self.store.shards.layout().of_index(gone.index);
        let index = self
            .store
            .put_announcement(shard, announcement, gone.guard)?;
        let word = Lifecycle::returning(deadline, index);
        if !gone.record.transition(last, word) {
            self.store.return_announcement(index);
            return Ok(None);
        }
        self.discount_gone(gone.index, last);
        reopen(&gone, capacity, loses_reported_load);
        gone.begin_return(policy, arrived_at);
        Ok(Some(Returning {
            table: self,
            last: gone,
            word,
        }))
    }
}

fn reopen(record: &RecordRef<'_>, capacity: u32, loses_reported_load: bool) {
    let reopened = |load: Load| match load.reopened(capacity) {
        load if loses_reported_load => load.with_report_of_others(0),
        load => load,
    };
    let next = |load| Ok::<_, Infallible>(reopened(load));
    let Ok(_) = record.record.update_load(next);
}

//! A record as the table's users see it: found, and held on to by a guard.

use crate::record::{Announcement, Extra, Lifecycle, Load, Record, Refusal};
use crate::relay::NodeId;
use crate::sync::epoch::Guard;
use crate::sync::{Arc, AtomicU32};
use crate::table::store::{Exhausted, Store};
use crate::table::unit::Unit;
use crate::time::Tick;
use std::ops::Deref;

/// Names one life of a record, for keeping where no thread is pinned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Handle {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// A record that cannot begin another life while its guard lives.
///
/// Only made from what makes `Record::identity` read one life: the record was
/// found pending or live, or under its present generation, by a pinned thread.
#[derive(Clone, Copy)]
pub(crate) struct RecordRef<'g> {
    pub(super) record: &'g Record,
    pub(super) index: u32,
    pub(super) store: &'g Arc<Store>,
    pub(super) guard: &'g Guard,
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
    pub(super) fn extra(&self) -> &'g Extra {
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

impl Deref for RecordRef<'_> {
    type Target = Record;

    #[inline]
    fn deref(&self) -> &Record {
        self.record
    }
}

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

    /// Takes one unit of the capacity that is announced, or says why not; with
    /// the lifecycle that decides it.
    ///
    /// A renewal or a departure may come between a look at the lifecycle and a
    /// step on the load, so there is a second look: a refusal holds if nothing
    /// changed, and a unit is given back, before anyone has it, if by now there is
    /// no room for it. So none is held beyond the capacity that was announced
    /// when it was taken, nor by a relay that had left. Until it is given back, it
    /// keeps others from that unit: which of the two, the one who takes it or the
    /// one who changes the lifecycle, came first is not to be known.
    #[inline]
    pub(crate) fn lease(&self) -> Result<(Unit, Lifecycle), (Refusal, Lifecycle)> {
        loop {
            let word = self.record.lifecycle();
            if word.is_over() {
                return Err((Refusal::Closed, word));
            }
            match self.record.take_lease(self.announcement(word).capacity) {
                Ok(load) => {
                    let unit = Unit::taken(self.store, self.index);
                    if let Some(word) = self.allowing(load.total()) {
                        return Ok((unit, word));
                    }
                }
                Err(refusal) if self.record.is_still(word) => return Err((refusal, word)),
                Err(_) => {}
            }
        }
    }

    /// The lifecycle, if what is announced allows for a load of `total`.
    #[inline]
    fn allowing(&self, total: u32) -> Option<Lifecycle> {
        let word = self.record.lifecycle();
        let allows = !word.is_over() && total <= self.announcement(word).capacity;
        allows.then_some(word)
    }

    /// Copies the announced capacity beside the load, where searches read it.
    ///
    /// Of several renewals at once, the last to store looks again and finds its
    /// own figure there or that of a later one. Until then the two may differ;
    /// whatever decides goes by the announcement.
    pub(crate) fn copy_capacity(&self) {
        loop {
            let word = self.record.lifecycle();
            if word.is_over() {
                return;
            }
            let capacity = self.announcement(word).capacity;
            if self.record.load().capacity() == capacity {
                return;
            }
            self.record.set_capacity(capacity);
        }
    }

    /// Its load, by the capacity that `word`, read from it, announces.
    pub(crate) fn announced_load(&self, word: Lifecycle) -> Load {
        let capacity = self.announcement(word).capacity;
        self.record.load().with_capacity(capacity)
    }

    /// Whether there was room while `word`, read from it before, was in force.
    #[inline]
    pub(crate) fn has_room(&self, word: Lifecycle) -> bool {
        let capacity = self.announcement(word).capacity;
        self.record.load().refusal_at(capacity).is_none() && self.record.is_still(word)
    }
}

impl Deref for RecordRef<'_> {
    type Target = Record;

    #[inline]
    fn deref(&self) -> &Record {
        self.record
    }
}

//! Operations under way on some relays, noted so that others can take them into
//! account.
//!
//! They are few at a time, so each is noted in one of a handful of slots; when
//! those are taken, a count tells that there are more.

use crate::sync::{AtomicU32, Ordering, Padded};

const SLOTS: usize = if cfg!(relay_loom) { 1 } else { 16 };

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct PendingChanges(Padded<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Index plus one of a record, or zero.
    slots: [AtomicU32; SLOTS],
    /// Operations that found no slot.
    more: AtomicU32,
}

/// What was noted when a thread read it.
#[derive(Debug)]
pub(crate) struct PendingSet {
    slots: [u32; SLOTS],
    more: u32,
}

/// An operation that was noted; it ends when this is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct PendingChange<'a> {
    noted: &'a PendingChanges,
    slot: Option<usize>,
}

impl PendingChanges {
    /// Notes an operation on the record at `index` before another thread can see what it
    /// does.
    pub(crate) fn begin(&self, index: u32) -> PendingChange<'_> {
        // AcqRel: a thread that sees what the operation did finds it noted here.
        let slot = self.0.slots.iter().position(|slot| {
            slot.load(Ordering::Relaxed) == 0
                && slot
                    .compare_exchange(0, index + 1, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok()
        });
        if slot.is_none() {
            self.0.more.fetch_add(1, Ordering::AcqRel);
        }
        PendingChange { noted: self, slot }
    }

    /// All that is noted by now, to be looked at later.
    #[inline(always)]
    pub(crate) fn read(&self) -> PendingSet {
        let Inner { slots, more } = &*self.0;
        PendingSet {
            // Acquire: see `begin`, and the end of a note; here and below.
            slots: std::array::from_fn(|at| slots[at].load(Ordering::Acquire)),
            more: more.load(Ordering::Acquire),
        }
    }
}

impl PendingSet {
    #[inline(always)]
    pub(crate) fn are_none(&self) -> bool {
        self.slots.iter().fold(self.more, |any, slot| any | slot) == 0
    }

    /// The records that have a slot.
    pub(crate) fn indices(&self) -> impl Iterator<Item = u32> {
        self.slots.iter().filter_map(|slot| slot.checked_sub(1))
    }

    /// Whether there are others, which have none.
    pub(crate) fn are_more(&self) -> bool {
        self.more != 0
    }
}

impl Drop for PendingChange<'_> {
    fn drop(&mut self) {
        let Inner { slots, more } = &*self.noted.0;
        // Release: all that the operation did is done.
        match self.slot {
            Some(slot) => slots[slot].store(0, Ordering::Release),
            None => _ = more.fetch_sub(1, Ordering::Release),
        }
    }
}

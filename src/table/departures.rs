//! Departures under way: begun, and perhaps not yet counted out.
//!
//! A registrant at the bound, or one who counts relays, must know of them. They
//! are few at a time, so each is noted in one of a handful of slots; when those
//! are taken, a count tells that there are more.

use crate::sync::{AtomicU32, Ordering, Padded};

const SLOTS: usize = if cfg!(relay_loom) { 1 } else { 16 };

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Departures(Padded<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Index plus one of a record that departs, or zero.
    slots: [AtomicU32; SLOTS],
    /// Departures that found no slot.
    more: AtomicU32,
}

/// A departure that was noted; to be ended.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct Noted(Option<usize>);

impl Departures {
    /// Notes a departure before anyone can see it.
    pub(crate) fn begin(&self, index: u32) -> Noted {
        // AcqRel: whoever sees that the record is dead finds it noted here.
        let slot = self.0.slots.iter().position(|slot| {
            slot.load(Ordering::Relaxed) == 0
                && slot
                    .compare_exchange(0, index + 1, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok()
        });
        if slot.is_none() {
            self.0.more.fetch_add(1, Ordering::AcqRel);
        }
        Noted(slot)
    }

    /// Ends it once the record is counted out, or does not depart after all.
    pub(crate) fn end(&self, noted: Noted) {
        // Release: the record was counted out before.
        match noted.0 {
            Some(slot) => self.0.slots[slot].store(0, Ordering::Release),
            None => _ = self.0.more.fetch_sub(1, Ordering::Release),
        }
    }

    pub(crate) fn are_none(&self) -> bool {
        self.noted().next().is_none() && !self.are_more()
    }

    /// The indices noted.
    pub(crate) fn noted(&self) -> impl Iterator<Item = u32> {
        // Acquire: see `begin`.
        let noted = self.0.slots.iter().map(|slot| slot.load(Ordering::Acquire));
        noted.filter_map(|noted| noted.checked_sub(1))
    }

    /// Whether there are others, which were not noted.
    pub(crate) fn are_more(&self) -> bool {
        // Acquire: see `begin`.
        self.0.more.load(Ordering::Acquire) != 0
    }
}

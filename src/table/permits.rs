//! How many records and announcements a registry may use: the bound of its memory.
//!
//! Each record holds a permit from when it is taken until it is free again, or only leases
//! or an operator setting keep it. For `n` relays, there are `2 n + max(n, 1024) + 1024`
//! permits: two for each relay that may be live, one for each that is remembered, and
//! spare ones. Announcements, which renewals replace more often, have a slab of that size
//! and 8,192 more.
//!
//! If a stalled thread keeps the epoch from advancing, permits or announcements run out,
//! and registrations fail: memory does not grow. Records that are kept for their leases
//! hold no permit, nor do those that are kept for operator settings: the holders of the
//! leases and the operator bound their number.

use crate::sync::{AtomicU32, Ordering};

/// Permits beyond two for each relay. Models have few, for their scheduler
/// visits each record.
pub(super) const SPARE_PERMITS: usize = if cfg!(relay_loom) { 1 } else { 1024 };

/// Announcements beyond those of all records that hold a permit: what renewals
/// may replace while a thread is preempted inside a call.
const SPARE_ANNOUNCEMENTS: usize = if cfg!(relay_loom) { 1 } else { 8192 };

/// How many relays are remembered that are gone, at least.
const REMEMBERED: usize = if cfg!(relay_loom) { 1 } else { 1024 };

/// How many relays are remembered that are gone.
pub(super) const fn remembered(max_relays: usize) -> usize {
    if max_relays > REMEMBERED {
        max_relays
    } else {
        REMEMBERED
    }
}

/// The most records that hold a permit in a table for so many relays.
const fn permits(max_relays: usize) -> usize {
    2 * max_relays + remembered(max_relays) + SPARE_PERMITS
}

/// The most announcements that a table for so many relays holds at once.
pub(super) const fn announcements(max_relays: usize) -> usize {
    permits(max_relays) + SPARE_ANNOUNCEMENTS
}

/// Permits of one registry.
pub(super) struct Permits {
    taken: AtomicU32,
    limit: u32,
}

impl Permits {
    /// All permits for `max_relays` relays; `None` if they cannot be counted.
    pub(super) fn new(max_relays: usize) -> Option<Self> {
        Some(Self {
            taken: AtomicU32::default(),
            limit: u32::try_from(permits(max_relays)).ok()?,
        })
    }

    /// Takes a permit; false if none is left.
    #[must_use]
    pub(super) fn take(&self) -> bool {
        // Relaxed, here and below: a count that carries nothing but itself. What it bounds is
        // handed over by the slabs.
        let mut taken = self.taken.load(Ordering::Relaxed);
        while taken < self.limit {
            match self.taken.compare_exchange_weak(
                taken,
                taken + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(current) => taken = current,
            }
        }
        false
    }

    /// Takes a permit beyond the limit if need be.
    pub(super) fn force(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn release(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

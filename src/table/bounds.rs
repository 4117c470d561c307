//! How many records and announcements a registry may use: the bound of its memory.
//!
//! For `n` relays, there may be `2 n + max(n, 1024) + 1024` records: two for each relay that may
//! be live, one for each that is remembered, and spare ones. Beside these there are *exempt*
//! ones, which only leases or an operator setting keep: the holders of the leases and the
//! operator bound their number. Announcements, which renewals replace more often, have a slab
//! of the size for `n` relays and 8,192 more. A vacant record keeps the cell of its last
//! announcement, also one that was exempt: so there may be one more for each record beyond that
//! number that was ever in use.
//!
//! If a stalled thread keeps the epoch from advancing, records or announcements run out, and
//! registrations fail: memory does not grow. Each shard has its share of both. The bound is
//! looked at only where a record would have to be used that never was.

/// Records beyond two for each relay. Models have few, for their scheduler
/// visits each record.
const SPARE_RECORDS: usize = if cfg!(relay_loom) { 1 } else { 1024 };

/// Announcements beyond those of all records that are not exempt: what renewals
/// may replace while a thread is preempted inside a call.
const SPARE_ANNOUNCEMENTS: usize = if cfg!(relay_loom) { 1 } else { 8192 };

/// How many relays are remembered that are gone, at least.
const REMEMBERED: usize = if cfg!(relay_loom) { 1 } else { 1024 };

/// How many records a table for so many relays usually needs at once: memory for others is allocated
/// when they are needed.
pub(super) const fn usual_records(max_relays: usize) -> usize {
    max_relays + max_relays / 4 + SPARE_RECORDS
}

/// How many relays are remembered that are gone.
pub(super) const fn remembered(max_relays: usize) -> usize {
    if max_relays > REMEMBERED {
        max_relays
    } else {
        REMEMBERED
    }
}

/// The most records that a table for so many relays holds at once, without those exempt.
pub(super) const fn records(max_relays: usize) -> usize {
    2 * max_relays + remembered(max_relays) + SPARE_RECORDS
}

/// The most announcements that a table for so many relays holds at once.
pub(super) const fn announcements(max_relays: usize) -> usize {
    records(max_relays) + SPARE_ANNOUNCEMENTS
}

//! A cache line of fingerprints: where the records of nearby hashes are.
//!
//! ```text
//! +---------+---------+---------+-   -+---------+
//! | passed  | entry 0 | entry 1 | ... | entry 6 |     64 bytes
//! +---------+---------+---------+-   -+---------+
//!             entry: fingerprint (32) | index + 1 (32), or 0: vacant
//! ```
//!
//! A record that finds its bucket full goes to one of those after it and counts
//! itself in the `passed` of each that it passed, so a look-up goes on behind a
//! bucket only while something lies there (as in Folly's F14). Entries are set
//! and cleared by single compare-and-swaps and never move.

use crate::sync::{AtomicU64, Ordering, Zeroable};

/// What a bucket remembers of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry(u64);

const VACANT: u64 = 0;
const WAYS: usize = 7;

impl Entry {
    pub(crate) fn new(fingerprint: u32, index: u32) -> Self {
        Self(u64::from(fingerprint) << 32 | (u64::from(index) + 1))
    }
}

/// See the module's description.
#[repr(C, align(64))]
pub(crate) struct Bucket {
    passed: AtomicU64,
    entries: [AtomicU64; WAYS],
}

#[cfg(not(relay_loom))]
const _: () = assert!(size_of::<Bucket>() == 64);

// SAFETY: atomic integers, for which zero is the default.
unsafe impl Zeroable for Bucket {
    fn vacant() -> Self {
        Self {
            passed: AtomicU64::default(),
            entries: std::array::from_fn(|_| AtomicU64::default()),
        }
    }
}

impl Bucket {
    /// How many entries a bucket holds.
    pub(crate) const WAYS: usize = WAYS;

    /// Indices of the records in this bucket that have `fingerprint`.
    #[inline]
    pub(crate) fn candidates(&self, fingerprint: u32) -> impl Iterator<Item = u32> {
        self.entries.iter().filter_map(move |entry| {
            // Acquire: with the entry comes the record's identity.
            let entry = entry.load(Ordering::Acquire);
            let matches = (entry >> 32) as u32 == fingerprint && entry != VACANT;
            matches.then(|| (entry as u32).wrapping_sub(1))
        })
    }

    /// Whether a record that belongs here may lie further on.
    #[inline]
    pub(crate) fn was_passed(&self) -> bool {
        // Acquire: see `pass`.
        self.passed.load(Ordering::Acquire) != 0
    }

    /// Counts a record that goes past this full bucket.
    pub(crate) fn pass(&self) {
        // Release: before its entry is set, so whoever knows of the record
        // finds the way to it.
        self.passed.fetch_add(1, Ordering::Release);
    }

    /// Takes back a [`pass`](Self::pass), after the entry was cleared.
    pub(crate) fn unpass(&self) {
        self.passed.fetch_sub(1, Ordering::Release);
    }

    /// Sets a vacant entry; false when there is none.
    pub(crate) fn set(&self, entry: Entry) -> bool {
        self.entries.iter().any(|place| {
            // Release: publishes the record's identity.
            place.load(Ordering::Relaxed) == VACANT
                && place
                    .compare_exchange(VACANT, entry.0, Ordering::Release, Ordering::Relaxed)
                    .is_ok()
        })
    }

    /// Clears an entry; false when it is not here.
    pub(crate) fn clear(&self, entry: Entry) -> bool {
        self.entries.iter().any(|place| {
            // Release: the record departed before its entry went.
            place.load(Ordering::Relaxed) == entry.0
                && place
                    .compare_exchange(entry.0, VACANT, Ordering::Release, Ordering::Relaxed)
                    .is_ok()
        })
    }
}

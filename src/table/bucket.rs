//! A cache line of fingerprints: where the records of nearby hashes are.
//!
//! ```text
//! +-----------------+-----------------+--------+---------+-   -+---------+
//! | fingerprints    | fingerprints    | passed | index 0 | ... |  index  |
//! | 0 to 7, a byte  | 8 to 11         |  (32)  |   (32)  |     |   11    |
//! +-----------------+-----------------+--------+---------+-   -+---------+
//!  64 bytes          0: none                     index + 1, or 0: vacant
//! ```
//!
//! A record that finds its bucket full goes to one of those after it and counts
//! itself in the `passed` of each that it passed, so a look-up goes on behind a
//! bucket only while something lies there (as in Folly's F14). Entries never
//! move.
//!
//! A thread that changes a slot from vacant by a compare-and-swap owns it until it
//! is vacant again, and with it the byte of its fingerprint: that one is set
//! after the slot is taken and cleared before it is left. So each entry has both,
//! and a look-up compares all fingerprints at once. One in 255 other ids has the
//! same one; the id in the record is compared.

use crate::sync::{AtomicU32, AtomicU64, Ordering, Zeroable};
use crate::table::byte_search::equal_bytes;

/// What a bucket remembers of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BucketEntry {
    fingerprint: Fingerprint,
    index: u32,
}

/// Some bits of a hash; not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(u8);

const VACANT: u32 = 0;
const WAYS: usize = 12;
/// Fingerprints in a word.
const LANES: usize = 8;
/// The count of those that passed is the upper half of the second word.
const ONE_PASSED: u64 = 1 << 32;

/// See the module's description.
#[repr(C, align(64))]
pub(super) struct Bucket {
    fingerprints: [AtomicU64; 2],
    slots: [AtomicU32; WAYS],
}

#[cfg(not(relay_loom))]
const _: () = assert!(size_of::<Bucket>() == 64);

// SAFETY: atomic integers, for which zero is the default.
unsafe impl Zeroable for Bucket {
    fn vacant() -> Self {
        Self {
            fingerprints: std::array::from_fn(|_| AtomicU64::default()),
            slots: std::array::from_fn(|_| AtomicU32::default()),
        }
    }
}

/// A look into a bucket: where its fingerprint is, and what is left to look at.
pub(super) struct Lookup<'b> {
    bucket: &'b Bucket,
    matches: Matches,
    second: u64,
}

impl Fingerprint {
    #[inline]
    pub(super) fn new(bits: u8) -> Self {
        Self(bits.max(1))
    }
}

impl BucketEntry {
    pub(super) fn new(fingerprint: Fingerprint, index: u32) -> Self {
        Self { fingerprint, index }
    }

    fn slot(self) -> u32 {
        self.index + 1
    }
}

impl Bucket {
    /// How many entries a bucket holds.
    #[cfg(all(test, not(relay_loom)))]
    pub(super) const WAYS: usize = WAYS;

    /// Looks for the records with `fingerprint`.
    #[inline(always)]
    pub(super) fn look(&self, fingerprint: Fingerprint) -> Lookup<'_> {
        // Acquire: with a fingerprint comes its slot, and with `passed` what
        // lies further on.
        let first = self.fingerprints[0].load(Ordering::Acquire);
        let second = self.fingerprints[1].load(Ordering::Acquire);
        Lookup {
            bucket: self,
            matches: Matches::new(first, second, fingerprint),
            second,
        }
    }

    /// Counts a record that goes past this full bucket.
    pub(super) fn pass(&self) {
        // Release: before its entry is set, so a thread that knows of the record
        // goes on to its bucket.
        self.fingerprints[1].fetch_add(ONE_PASSED, Ordering::Release);
    }

    /// Takes back a [`pass`](Self::pass), after the entry was cleared.
    pub(super) fn unpass(&self) {
        // Release: the entry was cleared before, so a look-up that goes on no longer misses
        // nothing.
        self.fingerprints[1].fetch_sub(ONE_PASSED, Ordering::Release);
    }

    /// Sets a vacant entry; false when there is none.
    #[inline(always)]
    pub(super) fn set(&self, entry: BucketEntry) -> bool {
        let way = self.slots.iter().position(|slot| {
            // Relaxed: a hint for the compare-and-swap; on failure the value is not used.
            // Acquire: the fingerprint of the previous entry is cleared.
            // Release: publishes the record's identity.
            slot.load(Ordering::Relaxed) == VACANT
                && slot
                    .compare_exchange(VACANT, entry.slot(), Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok()
        });
        if let Some(way) = way {
            let bits = u64::from(entry.fingerprint.0) << shift(way);
            // Release: publishes the slot.
            self.fingerprints[way / LANES].fetch_or(bits, Ordering::Release);
        }
        way.is_some()
    }

    /// Clears an entry; false when it is not here.
    pub(super) fn clear(&self, entry: BucketEntry) -> bool {
        // Relaxed: a thread that clears an entry has set it, or seen it.
        let is_its = |slot: &AtomicU32| slot.load(Ordering::Relaxed) == entry.slot();
        let way = self.slots.iter().position(is_its);
        if let Some(way) = way {
            let others = !(0xff << shift(way));
            // Release: the record departed before its entry went.
            self.fingerprints[way / LANES].fetch_and(others, Ordering::Release);
            // Release: and its fingerprint before its slot is taken again.
            self.slots[way].store(VACANT, Ordering::Release);
        }
        way.is_some()
    }

    #[cfg(all(test, not(relay_loom)))]
    pub(super) fn is_as_new(&self) -> bool {
        let words = &self.fingerprints;
        words.iter().all(|word| word.load(Ordering::Relaxed) == 0)
    }
}

impl Lookup<'_> {
    /// The record at the next match, if it has not been taken away meanwhile.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Option<u32> {
        let way = self.matches.next()?;
        // Acquire: with the slot comes the record's identity.
        let slot = self.bucket.slots[way].load(Ordering::Acquire);
        slot.checked_sub(1)
    }

    /// Whether there is another match.
    #[inline(always)]
    pub(super) fn goes_on(&self) -> bool {
        self.matches.0 != 0
    }

    /// Whether something may lie behind this bucket.
    #[inline(always)]
    pub(super) fn was_passed(&self) -> bool {
        self.second >= ONE_PASSED
    }
}

/// Where the fingerprint of a way is in its word.
fn shift(way: usize) -> usize {
    way % LANES * 8
}

/// The ways whose fingerprint is as wanted: a bit for each.
struct Matches(u32);

impl Matches {
    #[inline]
    fn new(first: u64, second: u64, wanted: Fingerprint) -> Self {
        Self(equal_bytes([first, second], wanted.0) & ((1 << WAYS) - 1))
    }

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let way = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(way)
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    fn found(bucket: &Bucket, fingerprint: Fingerprint) -> Vec<u32> {
        let mut look = bucket.look(fingerprint);
        let mut all = Vec::new();
        while look.goes_on() {
            all.extend(look.next());
        }
        all.sort_unstable();
        all
    }

    #[test]
    fn each_way_is_found_by_its_own_fingerprint() {
        let bucket = Bucket::vacant();
        let of = |index: u32| Fingerprint::new(0x80 | index as u8);
        for index in 0..WAYS as u32 {
            assert!(bucket.set(BucketEntry::new(of(index), index)));
        }
        assert!(!bucket.set(BucketEntry::new(of(0), 99)), "full");
        for index in 0..WAYS as u32 {
            assert!(found(&bucket, of(index)).contains(&index));
            assert!(found(&bucket, Fingerprint::new(0)).is_empty());
        }
        for index in 0..WAYS as u32 {
            assert!(bucket.clear(BucketEntry::new(of(index), index)));
            assert!(!bucket.clear(BucketEntry::new(of(index), index)));
            assert!(!found(&bucket, of(index)).contains(&index));
        }
        assert!(bucket.is_as_new());
    }

    #[test]
    fn one_fingerprint_may_be_that_of_all() {
        let bucket = Bucket::vacant();
        let same = Fingerprint::new(0xff);
        for index in 0..WAYS as u32 {
            assert!(bucket.set(BucketEntry::new(same, index)));
        }
        let all: Vec<u32> = (0..WAYS as u32).collect();
        assert_eq!(found(&bucket, same), all);
        assert!(!bucket.look(same).was_passed());
        bucket.pass();
        assert!(bucket.look(same).was_passed());
        assert!(found(&bucket, Fingerprint::new(1)).is_empty());
        assert_eq!(found(&bucket, same), all);
        bucket.unpass();
        assert!(bucket.clear(BucketEntry::new(same, 9)));
        assert_eq!(found(&bucket, same).len(), WAYS - 1);
    }
}

//! A part of the table with buckets of its own.
//!
//! The upper bits of a hash choose the shard, the middle ones the bucket, the
//! lower ones are the fingerprint. Shards keep each allocation small and each
//! overflow local: a record that finds its bucket full moves on within the
//! shard. Twice the places that are ever needed at once are there; a shard
//! whose share of the keyed hashes exceeds that refuses.

use crate::sync::zeroed_slice;
use crate::table::bucket::{Bucket, Entry};

/// Places for registrations and departures under way, which are few, but not
/// fewer in a small table.
const SPARE_PLACES: usize = if cfg!(relay_loom) { 0 } else { 64 };

/// See the module's description.
pub(crate) struct Shard {
    buckets: Box<[Bucket]>,
}

/// A hash, cut into its parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hash(pub(crate) u64);

impl Hash {
    #[inline]
    pub(crate) fn fingerprint(self) -> u32 {
        self.0 as u32
    }

    #[inline]
    fn bucket(self) -> usize {
        (self.0 >> 32) as usize
    }

    /// The shard among a number of them that is a power of two.
    #[inline]
    pub(crate) fn shard(self, shards: usize) -> usize {
        (self.0 >> 58) as usize & (shards - 1)
    }
}

impl Shard {
    /// Room for twice as many as `relays`; `None` when the memory is not to
    /// be had.
    pub(crate) fn new(relays: usize) -> Option<Self> {
        let places = 2 * relays + SPARE_PLACES;
        let buckets = places.div_ceil(Bucket::WAYS).next_power_of_two();
        Some(Self {
            buckets: zeroed_slice(buckets)?,
        })
    }

    /// The home bucket of a hash, or one at a distance behind it.
    #[inline]
    fn bucket(&self, hash: Hash, distance: usize) -> &Bucket {
        &self.buckets[hash.bucket().wrapping_add(distance) & (self.buckets.len() - 1)]
    }

    /// The first of the records with the fingerprint of `hash` that `accept`
    /// takes.
    #[inline]
    pub(crate) fn find<R>(
        &self,
        hash: Hash,
        mut accept: impl FnMut(u32) -> Option<R>,
    ) -> Option<R> {
        for distance in 0..self.buckets.len() {
            let bucket = self.bucket(hash, distance);
            for index in bucket.candidates(hash.fingerprint()) {
                if let Some(found) = accept(index) {
                    return Some(found);
                }
            }
            if !bucket.was_passed() {
                return None;
            }
        }
        None
    }

    /// Names the record at `index` in the bucket of `hash` or behind it; false
    /// when the shard is full.
    pub(crate) fn insert(&self, hash: Hash, index: u32) -> bool {
        let entry = Entry::new(hash.fingerprint(), index);
        for distance in 0..self.buckets.len() {
            let bucket = self.bucket(hash, distance);
            if bucket.set(entry) {
                return true;
            }
            bucket.pass();
        }
        self.unpass(hash, self.buckets.len());
        false
    }

    /// Removes what [`insert`](Self::insert) named.
    pub(crate) fn remove(&self, hash: Hash, index: u32) {
        let entry = Entry::new(hash.fingerprint(), index);
        let distance =
            (0..self.buckets.len()).find(|&distance| self.bucket(hash, distance).clear(entry));
        debug_assert!(distance.is_some(), "removed by whoever made it depart");
        self.unpass(hash, distance.unwrap_or(0));
    }

    fn unpass(&self, hash: Hash, distance: usize) {
        for passed in 0..distance {
            self.bucket(hash, passed).unpass();
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    fn found(shard: &Shard, hash: Hash) -> Vec<u32> {
        let mut all = Vec::new();
        let _ = shard.find(hash, |index| {
            all.push(index);
            None::<()>
        });
        all
    }

    #[test]
    fn records_that_overflow_are_found_and_their_traces_removed() {
        let shard = Shard::new(32).unwrap();
        let hash = Hash(3 << 32 | 77);
        for index in 0..20 {
            assert!(shard.insert(hash, index));
        }
        assert_eq!(found(&shard, hash), (0..20).collect::<Vec<_>>());
        for index in 0..20 {
            shard.remove(hash, index);
            assert_eq!(found(&shard, hash), (index + 1..20).collect::<Vec<_>>());
        }
        assert!(shard.buckets.iter().all(|bucket| !bucket.was_passed()));
    }

    #[test]
    fn a_full_shard_refuses_and_is_left_as_it_was() {
        let shard = Shard::new(1).unwrap();
        let hash = Hash(0);
        let room = shard.buckets.len() * Bucket::WAYS;
        for index in 0..room as u32 {
            assert!(shard.insert(hash, index));
        }
        assert!(!shard.insert(hash, 1_000));
        shard.remove(hash, 0);
        assert!(shard.insert(hash, 1_000));
        assert_eq!(found(&shard, hash).len(), room);
    }

    #[test]
    fn other_fingerprints_are_not_looked_at() {
        let shard = Shard::new(8).unwrap();
        assert!(shard.insert(Hash(5), 1));
        assert!(
            shard.insert(Hash(0), 2),
            "fingerprint zero is as good as any"
        );
        assert_eq!(found(&shard, Hash(0)), [2]);
    }
}

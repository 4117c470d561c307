//! Where the record of an id may be: buckets, chosen by a hash.
//!
//! The upper half of a hash chooses the bucket, its lowest byte is the fingerprint. If that
//! bucket is full, the record goes to the next one that is not. With `max_relays` live
//! relays, seven in twelve slots are in use.
//!
//! Relays that are gone are remembered here, too. If the 16 buckets from the home on are
//! full, the record goes to a further index, twice as large, which is made when it is first
//! needed. Look-ups go on there from then on.

use crate::footprint::Footprint;
use crate::sync::{OnceBox, ZeroedSlice, prefetch};
use crate::table::bucket::{Bucket, BucketEntry, Fingerprint};

/// Slots for registrations and departures under way, which are few, but not
/// fewer in a small table.
const SPARE_SLOTS: usize = if cfg!(relay_loom) { 0 } else { 64 };

/// How many records there are to a bucket in a full table. One new record in 30 finds its
/// bucket full then, if relays come and go.
const PER_BUCKET: usize = 7;

/// How many buckets an insertion tries before it goes on to the further index.
const MAX_PROBES: usize = 16;

/// Which of the records with the fingerprint of a hash a look-up accepts.
///
/// A trait and not a closure, so that each `accepts` can carry its own `#[inline]`. An
/// implementor has at most two words: so it need not be stored in memory for the cold call.
pub(super) trait Accept<T> {
    fn accepts(&self, index: u32, table: &T) -> bool;
}

/// See the module's description.
pub(super) struct Index {
    buckets: ZeroedSlice<Bucket>,
    /// None until it is needed.
    further: OnceBox<Index>,
}

/// A hash, cut into its parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hash(pub(super) u64);

impl Hash {
    #[inline]
    fn fingerprint(self) -> Fingerprint {
        Fingerprint::new(self.0 as u8)
    }

    /// The home among so many buckets: the hash scaled down to their number.
    #[inline]
    fn home(self, buckets: usize) -> usize {
        (((self.0 >> 32) * buckets as u64) >> 32) as usize
    }
}

impl Index {
    /// Room for `relays` and more; `None` when the memory is not to be had.
    pub(super) fn new(relays: usize) -> Option<Self> {
        Self::of_buckets((relays + SPARE_SLOTS).div_ceil(PER_BUCKET))
    }

    fn of_buckets(buckets: usize) -> Option<Self> {
        Some(Self {
            buckets: ZeroedSlice::new(buckets)?,
            further: OnceBox::new(),
        })
    }

    /// Records are all over it, so all of it counts as used.
    pub(super) fn footprint(&self) -> Footprint {
        let further = self.further.get();
        let further = further.map_or_else(Footprint::default, Self::footprint);
        Footprint::of_items::<Bucket>(self.buckets.len()) + further
    }

    /// The further index, which is made if there is none; `None` when the memory is not
    /// to be had.
    fn get_or_make_further(&self) -> Option<&Self> {
        let len = 2 * self.buckets.len();
        self.further.get_or_try_init(|| Self::of_buckets(len))
    }

    /// The home bucket of a hash and those behind it.
    fn path(&self, hash: Hash) -> impl Iterator<Item = &Bucket> {
        let home = hash.home(self.buckets.len());
        let (before, behind) = self.buckets.split_at(home);
        behind.iter().chain(before)
    }

    /// Prefetches the home bucket of a hash.
    #[inline]
    pub(super) fn prefetch(&self, hash: Hash) {
        prefetch(&self.buckets[hash.home(self.buckets.len())]);
    }

    /// The first record with the fingerprint of `hash` that is accepted.
    ///
    /// For most ids in the table, the first match is accepted, and for most others there is no
    /// match. Otherwise the search begins again, in a cold function.
    #[inline(always)]
    pub(super) fn find<T>(&self, hash: Hash, wanted: impl Accept<T>, table: &T) -> Option<u32> {
        let home = &self.buckets[hash.home(self.buckets.len())];
        let mut look = home.look(hash.fingerprint());
        if look.goes_on() {
            let first = look.next().filter(|&index| wanted.accepts(index, table));
            if first.is_some() {
                return first;
            }
        } else if !look.was_passed() && self.further.get().is_none() {
            return None;
        }
        self.find_further(hash, wanted, table)
    }

    /// The same, for a caller that expects the first match to be another record.
    #[cold]
    #[inline(never)]
    pub(super) fn find_further<T>(
        &self,
        hash: Hash,
        wanted: impl Accept<T>,
        table: &T,
    ) -> Option<u32> {
        for bucket in self.path(hash) {
            let mut look = bucket.look(hash.fingerprint());
            while look.goes_on() {
                if let Some(index) = look.next().filter(|&index| wanted.accepts(index, table)) {
                    return Some(index);
                }
            }
            if !look.was_passed() {
                break;
            }
        }
        self.further.get()?.find_further(hash, wanted, table)
    }

    /// Puts `index` into the bucket of `hash` or one behind it; false if there is no memory
    /// for a further index.
    #[inline(always)]
    pub(super) fn insert(&self, hash: Hash, index: u32) -> bool {
        let entry = BucketEntry::new(hash.fingerprint(), index);
        for bucket in self.path(hash).take(MAX_PROBES) {
            if bucket.set(entry) {
                return true;
            }
            bucket.pass();
        }
        self.path(hash).take(MAX_PROBES).for_each(Bucket::unpass);
        self.get_or_make_further()
            .is_some_and(|further| further.insert(hash, index))
    }

    /// Removes what [`insert`](Self::insert) put there.
    pub(super) fn remove(&self, hash: Hash, index: u32) {
        let entry = BucketEntry::new(hash.fingerprint(), index);
        if !self.buckets[hash.home(self.buckets.len())].clear(entry) {
            self.remove_further(hash, index);
        }
    }

    /// The same, for a record that is not in its home bucket.
    #[cold]
    #[inline(never)]
    fn remove_further(&self, hash: Hash, index: u32) {
        let entry = BucketEntry::new(hash.fingerprint(), index);
        let near = || self.path(hash).take(MAX_PROBES);
        match near().position(|bucket| bucket.clear(entry)) {
            Some(distance) => near().take(distance).for_each(Bucket::unpass),
            None => {
                let further = self.further.get();
                debug_assert!(further.is_some(), "removed by the thread that closed it");
                further.into_iter().for_each(|it| it.remove(hash, index));
            }
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// Notes what it is shown, and takes nothing.
    #[derive(Default)]
    struct Shown(RefCell<Vec<u32>>);

    impl Accept<()> for &Shown {
        fn accepts(&self, index: u32, (): &()) -> bool {
            self.0.borrow_mut().push(index);
            false
        }
    }

    fn found(table: &Index, hash: Hash) -> Vec<u32> {
        let shown = Shown::default();
        assert_eq!(table.find(hash, &shown, &()), None);
        let mut all = shown.0.into_inner();
        // The first is looked at again when there are more.
        all.sort_unstable();
        all.dedup();
        all
    }

    #[test]
    fn records_that_overflow_are_found_and_their_traces_removed() {
        let table = Index::new(32).unwrap();
        // The last bucket, so that the path goes round.
        let hash = Hash(u64::MAX << 32 | 77);
        for index in 0..40 {
            assert!(table.insert(hash, index));
        }
        assert_eq!(found(&table, hash), (0..40).collect::<Vec<_>>());
        for index in 0..40 {
            table.remove(hash, index);
            assert_eq!(found(&table, hash), (index + 1..40).collect::<Vec<_>>());
        }
        assert!(table.buckets.iter().all(Bucket::is_as_new));
    }

    #[test]
    fn a_full_index_goes_on_in_a_further_one() {
        let table = Index::new(1).unwrap();
        let many = 100 * (table.buckets.len() * Bucket::WAYS) as u32;
        let hash = |index: u32| Hash(u64::from(index).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for index in 0..many {
            assert!(table.insert(hash(index), index));
        }
        for index in 0..many {
            assert!(found(&table, hash(index)).contains(&index));
        }
        for index in 0..many {
            table.remove(hash(index), index);
            assert!(!found(&table, hash(index)).contains(&index));
        }
        let mut part = Some(&table);
        while let Some(index) = part {
            assert!(index.buckets.iter().all(Bucket::is_as_new));
            part = index.further.get();
        }
    }

    #[test]
    fn every_bucket_is_the_home_of_some() {
        let table = Index::new(1_000).unwrap();
        let buckets = table.buckets.len();
        let mut homes: Vec<usize> = (0..=u32::MAX)
            .step_by(1 << 20)
            .map(|upper| Hash(u64::from(upper) << 32).home(buckets))
            .collect();
        homes.dedup();
        assert_eq!(homes, (0..buckets).collect::<Vec<_>>());
    }

    #[test]
    fn other_fingerprints_are_not_looked_at() {
        let table = Index::new(8).unwrap();
        assert!(table.insert(Hash(5), 1));
        assert!(
            table.insert(Hash(0), 2),
            "fingerprint zero is as good as any"
        );
        assert_eq!(found(&table, Hash(0)), [2]);
    }
}

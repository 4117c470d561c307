//! Storage whose items are taken, freed and taken again, without locks.
//!
//! Vacant items are linked into one stack, by links beside the items; items
//! never used yet come from a counter, so memory is touched only as far as it
//! was ever needed at once.
//!
//! # Invariants
//!
//! - An index returned by [`take`](Slab::take) belongs to its taker alone until it is freed,
//!   and there is an item at it.

use crate::footprint::Footprint;
use crate::sync::epoch::Guard;
use crate::sync::{AtomicU32, Ordering, Padded, Zeroable};
use crate::table::segments::Segments;
use crate::table::stack::{Chain, TaggedStack};

/// See the module's description.
pub(super) struct Slab<T> {
    items: Segments<T>,
    /// The slab's alone while an item is vacant.
    links: Segments<AtomicU32>,
    /// No index from here on is taken.
    limit: u32,
    vacant: TaggedStack,
    /// Items from here on were never taken.
    fresh: Padded<AtomicU32>,
}

impl<T: Zeroable + Send + Sync> Slab<T> {
    /// A slab of at most `limit` items, with room for `len` of them at first;
    /// `None` when the memory is not to be had.
    pub(super) fn new(len: u32, limit: u32) -> Option<Self> {
        Some(Self {
            items: Segments::new(len)?,
            links: Segments::new(len)?,
            limit,
            vacant: TaggedStack::default(),
            fresh: Padded(AtomicU32::default()),
        })
    }

    /// The item at an index that was taken.
    #[inline]
    pub(super) fn get(&self, index: u32) -> &T {
        self.items.get(index)
    }

    /// Prefetches the item at an index, if there is one.
    #[inline]
    pub(super) fn prefetch(&self, index: u32) {
        self.items.prefetch(index);
    }

    /// The link of an item, for its owner or its last owner: a stack of retired items may be
    /// linked through it.
    pub(super) fn link(&self, index: u32) -> &AtomicU32 {
        self.links.get(index)
    }

    /// One more than the highest index that was ever taken.
    pub(super) fn high_water(&self) -> u32 {
        // Acquire: the segments of all indices below exist.
        self.fresh.load(Ordering::Acquire)
    }

    pub(super) fn footprint(&self) -> Footprint {
        let used = self.high_water();
        self.items.footprint(used) + self.links.footprint(used)
    }

    /// Takes a vacant item. If there is none, calls `refill`, which returns whether it freed
    /// any, and tries again; then takes an item that was never used. `None` if all are in use
    /// and the slab cannot grow.
    pub(super) fn take(&self, guard: &Guard, refill: impl FnOnce() -> bool) -> Option<u32> {
        self.pop(guard)
            .or_else(|| refill().then(|| self.pop(guard)).flatten())
            .or_else(|| self.take_fresh())
    }

    fn pop(&self, _pinned: &Guard) -> Option<u32> {
        self.vacant.pop(|index| self.link(index))
    }

    fn take_fresh(&self) -> Option<u32> {
        // Relaxed: the compare-and-swap decides, and `ensure` orders the segments.
        let mut index = self.fresh.load(Ordering::Relaxed);
        loop {
            if index >= self.limit {
                return None;
            }
            self.items.ensure(index)?;
            self.links.ensure(index)?;
            // Release: see `high_water`. Relaxed: on failure only the number is used.
            match self.fresh.compare_exchange_weak(
                index,
                index + 1,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(index),
                Err(current) => index = current,
            }
        }
    }

    /// Frees an item, which its taker does not use any more, and which no other thread can
    /// reach.
    pub(super) fn release(&self, index: u32) {
        self.vacant.push(Chain::of(index), |index| self.link(index));
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::sync::epoch;
    use std::ptr;

    #[test]
    fn a_freed_item_is_taken_before_a_fresh_one() {
        let slab = Slab::<AtomicU32>::new(3, 4).unwrap();
        let guard = epoch::pin();
        let taken: Vec<_> = (0..3)
            .map(|_| slab.take(&guard, || false).unwrap())
            .collect();
        assert_eq!(taken, [0, 1, 2]);
        slab.release(1);
        slab.release(0);
        assert_eq!(slab.take(&guard, || false), Some(0));
        assert_eq!(slab.take(&guard, || false), Some(1));
        assert_eq!(slab.take(&guard, || false), Some(3));
        assert_eq!(slab.high_water(), 4);
        assert_eq!(slab.take(&guard, || false), None, "there is a limit");
    }

    #[test]
    fn it_is_refilled_before_anything_fresh_is_taken() {
        let slab = Slab::<AtomicU32>::new(3, 4).unwrap();
        let guard = epoch::pin();
        let refill = |index| {
            slab.release(index);
            true
        };
        let taken = [(); 2].map(|()| slab.take(&guard, || false).unwrap());
        assert_eq!(taken, [0, 1]);
        assert_eq!(slab.take(&guard, || refill(1)), Some(1));
        slab.release(0);
        let unasked = || unreachable!("there is one");
        assert_eq!(slab.take(&guard, unasked), Some(0));
        assert_eq!(slab.take(&guard, || false), Some(2));
    }

    #[test]
    fn it_grows_by_segments_that_double() {
        let slab = Slab::<AtomicU32>::new(3, u32::MAX).unwrap();
        let guard = epoch::pin();
        let mut places = std::collections::BTreeSet::new();
        for index in 0..100 {
            assert_eq!(slab.take(&guard, || false), Some(index));
            places.insert(ptr::from_ref(slab.get(index)) as usize);
        }
        assert_eq!(places.len(), 100, "no two indices share an item");
    }
}

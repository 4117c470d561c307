//! Storage whose items are taken, freed and taken again, without locks.
//!
//! Each shard has its own items: of the indices, chunk by chunk in turn. Its vacant items are
//! linked into stacks, by links beside the items; its items never used yet come from a
//! counter, so memory is touched only as far as it was ever needed at once. Items beyond the first
//! segment have a stack of their own, from which a shard takes when it has no other vacant item. So
//! after a time in which many were needed, those in use are again the ones that are found fastest.
//!
//! # Invariants
//!
//! - An index returned by [`take`](Slab::take) belongs to its taker alone until it is freed,
//!   and there is an item at it.

use crate::footprint::Footprint;
use crate::sync::epoch::Guard;
use crate::sync::{AtomicU32, Ordering, Zeroable};
use crate::table::segments::Segments;
use crate::table::shards::{ShardLayout, Source};
use crate::table::stack::{Batch, TaggedStack};

/// See the module's description.
pub(super) struct Slab<T> {
    items: Segments<T>,
    /// The slab's alone while an item is vacant.
    links: Segments<AtomicU32>,
    /// No index from here on is taken.
    limit: u32,
    layout: ShardLayout,
}

/// Items that are to be freed: those in the first segment, and the others.
#[derive(Default)]
pub(super) struct Freed {
    usual: Batch,
    further: Batch,
}

impl<T: Zeroable + Send + Sync> Slab<T> {
    /// A slab of items below `limit`, with room for `len` of them at first;
    /// `None` when the memory is not to be had.
    pub(super) fn new(len: u32, limit: u32, layout: ShardLayout) -> Option<Self> {
        Some(Self {
            items: Segments::new(len)?,
            links: Segments::new(len)?,
            limit,
            layout,
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

    /// The same, if this thread sees that there is one.
    pub(super) fn find_link(&self, index: u32) -> Option<&AtomicU32> {
        self.links.find(index)
    }

    /// If the indices below `high_water` were used so far.
    pub(super) fn footprint(&self, high_water: u32) -> Footprint {
        self.items.footprint(high_water) + self.links.footprint(high_water)
    }

    /// Takes a vacant item of a shard. If there is none, calls `refill`, which returns whether it
    /// freed any, and tries again; then takes one beyond the first segment; then an item that was
    /// never used, if the shard uses fewer than `bound` returns. `None` if all are in use and the
    /// slab cannot grow.
    #[inline(always)]
    pub(super) fn take(
        &self,
        from: Source<'_>,
        guard: &Guard,
        refill: impl FnOnce() -> bool,
        bound: impl FnOnce() -> u32,
    ) -> Option<u32> {
        self.pop(&from.free.vacant, guard)
            .or_else(|| self.take_if_none(from, guard, refill, bound))
    }

    #[cold]
    fn take_if_none(
        &self,
        from: Source<'_>,
        guard: &Guard,
        refill: impl FnOnce() -> bool,
        bound: impl FnOnce() -> u32,
    ) -> Option<u32> {
        let is_refilled = refill();
        let refilled = is_refilled.then(|| self.pop(&from.free.vacant, guard));
        refilled
            .flatten()
            .or_else(|| self.pop(from.further, guard))
            .or_else(|| self.take_fresh(from, bound()))
    }

    #[inline]
    fn pop(&self, vacant: &TaggedStack, _pinned: &Guard) -> Option<u32> {
        vacant.pop(|index| self.link(index))
    }

    fn take_fresh(&self, from: Source<'_>, bound: u32) -> Option<u32> {
        let Source { shard, free, .. } = from;
        // Relaxed: the compare-and-swap decides, and `ensure` orders the segments.
        let mut used = free.used.load(Ordering::Relaxed);
        loop {
            let index = self.layout.index(shard, used);
            if used >= bound || index >= self.limit {
                return None;
            }
            self.items.ensure(index)?;
            self.links.ensure(index)?;
            // Release: see `FreeItems::high_water`. Relaxed: on failure only the number is used.
            match free.used.compare_exchange_weak(
                used,
                used + 1,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(index),
                Err(current) => used = current,
            }
        }
    }

    /// Adds an item to those that are to be freed. Its taker does not use it any more, and no other
    /// thread can reach it.
    pub(super) fn free_later(&self, freed: &mut Freed, index: u32) {
        let batch = match self.items.is_in_first(index) {
            true => &mut freed.usual,
            false => &mut freed.further,
        };
        batch.add(index, |index| self.link(index));
    }

    /// Frees items to their shard.
    pub(super) fn release(&self, to: Source<'_>, Freed { usual, further }: Freed) {
        let stacks = [(&to.free.vacant, usual), (to.further, further)];
        for (stack, batch) in stacks {
            if let Some(chain) = batch.into_chain() {
                stack.push(chain, |index| self.link(index));
            }
        }
    }

    /// Frees one item, as [`free_later`](Self::free_later) says, to its shard.
    pub(super) fn release_one(&self, to: Source<'_>, index: u32) {
        let mut freed = Freed::default();
        self.free_later(&mut freed, index);
        self.release(to, freed);
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::sync::epoch;
    use crate::table::shards::{FreeItems, ShardId};
    use std::ptr;

    const ONE: ShardLayout = ShardLayout::ONE;

    #[derive(Default)]
    struct Free {
        items: FreeItems,
        further: TaggedStack,
    }

    impl Free {
        fn source(&self) -> Source<'_> {
            Source {
                shard: ShardId::FIRST,
                free: &self.items,
                further: &self.further,
            }
        }
    }

    #[test]
    fn a_freed_item_is_taken_before_a_fresh_one() {
        let slab = Slab::<AtomicU32>::new(3, 4, ONE).unwrap();
        let free = Free::default();
        let from = free.source();
        let guard = epoch::pin();
        let taken: Vec<_> = (0..3)
            .map(|_| slab.take(from, &guard, || false, || u32::MAX).unwrap())
            .collect();
        assert_eq!(taken, [0, 1, 2]);
        slab.release_one(from, 1);
        slab.release_one(from, 0);
        assert_eq!(slab.take(from, &guard, || false, || u32::MAX), Some(0));
        assert_eq!(slab.take(from, &guard, || false, || u32::MAX), Some(1));
        assert_eq!(slab.take(from, &guard, || false, || u32::MAX), Some(3));
        assert_eq!(ONE.high_water(ShardId::FIRST, &free.items), 4);
        assert_eq!(
            slab.take(from, &guard, || false, || u32::MAX),
            None,
            "there is a limit"
        );
        slab.release_one(from, 2);
        assert_eq!(
            slab.take(from, &guard, || false, || 0),
            Some(2),
            "the bound is for fresh ones"
        );
    }

    #[test]
    fn it_is_refilled_before_anything_fresh_is_taken() {
        let slab = Slab::<AtomicU32>::new(3, 4, ONE).unwrap();
        let free = Free::default();
        let from = free.source();
        let guard = epoch::pin();
        let refill = |index| {
            slab.release_one(from, index);
            true
        };
        let taken = [(); 2].map(|()| slab.take(from, &guard, || false, || u32::MAX).unwrap());
        assert_eq!(taken, [0, 1]);
        assert_eq!(slab.take(from, &guard, || refill(1), || u32::MAX), Some(1));
        slab.release_one(from, 0);
        let unasked = || unreachable!("there is one");
        assert_eq!(slab.take(from, &guard, unasked, || u32::MAX), Some(0));
        assert_eq!(slab.take(from, &guard, || false, || u32::MAX), Some(2));
    }

    #[test]
    fn items_beyond_the_first_segment_are_taken_last() {
        let slab = Slab::<AtomicU32>::new(3, u32::MAX, ONE).unwrap();
        let free = Free::default();
        let from = free.source();
        let guard = epoch::pin();
        let take = || slab.take(from, &guard, || false, || u32::MAX).unwrap();
        let taken: Vec<_> = (0..6).map(|_| take()).collect();
        for index in taken {
            slab.release_one(from, index);
        }
        let taken = [(); 7].map(|()| take());
        assert_eq!(taken, [2, 1, 0, 5, 4, 3, 6]);
    }

    #[test]
    fn it_grows_by_segments_that_double() {
        let slab = Slab::<AtomicU32>::new(3, u32::MAX, ONE).unwrap();
        let free = Free::default();
        let from = free.source();
        let guard = epoch::pin();
        let mut places = std::collections::BTreeSet::new();
        for index in 0..100 {
            assert_eq!(slab.take(from, &guard, || false, || u32::MAX), Some(index));
            places.insert(ptr::from_ref(slab.get(index)) as usize);
        }
        assert_eq!(places.len(), 100, "no two indices share an item");
    }
}

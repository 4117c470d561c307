//! Storage that is taken, given back and taken again, without locks.
//!
//! Items lie in segments that stay where they are until the pool is dropped:
//! the first, allocated with the pool, holds all that is ordinarily needed; a
//! pool that may grow adds further ones, each doubling the whole. Vacant items are linked into one stack; items never used yet come from a
//! counter, so memory is touched only as far as it was ever needed at once.
//!
//! # Invariants
//!
//! - An index handed out by [`take`](Pool::take) belongs to its taker alone
//!   until given back, and its segment exists.
//! - The head of the stack carries a tag that changes at every pop, so that a
//!   popper that was held up does not link in what lay below the top before. It
//!   would have to sleep through exactly 2^32 pops to be deceived.

use crate::sync::epoch::Guard;
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering, Padded, Zeroable, zeroed_slice};
use std::ptr;

/// An item that can be linked into the pool's stack.
pub(crate) trait Pooled: Zeroable + Sync {
    /// The link; the pool's alone while the item is vacant.
    fn pool_link(&self) -> &AtomicU32;
}

/// Whether a pool goes on when its first segment is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Growth {
    Fixed,
    Doubling,
}

const SEGMENTS: usize = 32;

/// See the module's description.
pub(crate) struct Pool<T: Pooled> {
    first: Box<[T]>,
    growth: Growth,
    /// Segment `k` starts at index `first.len() << k` and is as long as that.
    further: [AtomicPtr<T>; SEGMENTS],
    /// Tag in the high half; index plus one of the top item in the low half.
    vacant: Padded<AtomicU64>,
    /// Items from here on were never taken.
    fresh: Padded<AtomicU32>,
}

impl<T: Pooled> Pool<T> {
    /// A pool whose first segment has room for `len` items, at least 1; `None`
    /// when the memory is not to be had.
    pub(crate) fn new(len: u32, growth: Growth) -> Option<Self> {
        Some(Self {
            first: zeroed_slice(len.max(1) as usize)?,
            growth,
            further: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            vacant: Padded(AtomicU64::default()),
            fresh: Padded(AtomicU32::default()),
        })
    }

    /// The item at an index that was handed out.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> &T {
        match self.first.get(index as usize) {
            Some(item) => item,
            None => self.get_further(index),
        }
    }

    #[cold]
    fn get_further(&self, index: u32) -> &T {
        let (segment, offset) = self.locate(index);
        // Acquire: pairs with the publication of the segment.
        let start = self.further[segment].load(Ordering::Acquire);
        assert!(!start.is_null(), "index {index} was never handed out");
        // SAFETY: `locate` keeps the offset within the segment, which lives as
        // long as the pool.
        unsafe { &*start.add(offset) }
    }

    /// How many items were ever in use at once; all indices lie below.
    pub(crate) fn reach(&self) -> u32 {
        // Acquire: the segments of all indices below exist.
        self.fresh.load(Ordering::Acquire)
    }

    /// Takes a vacant item, or else one never used; `None` when all are in use
    /// and the pool cannot grow.
    pub(crate) fn take(&self, guard: &Guard) -> Option<u32> {
        self.pop(guard).or_else(|| self.take_fresh())
    }

    fn pop(&self, _pinned: &Guard) -> Option<u32> {
        // Acquire: the link was written before its item was pushed.
        let mut head = self.vacant.load(Ordering::Acquire);
        loop {
            let index = (head as u32).checked_sub(1)?;
            // Relaxed: read once more by the compare-and-swap's tag.
            let below = self.get(index).pool_link().load(Ordering::Relaxed);
            let next = (head >> 32).wrapping_add(1) << 32 | u64::from(below);
            // Acquire: what the former owner did to the item is over.
            match self.vacant.compare_exchange_weak(
                head,
                next,
                Ordering::Acquire,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some(index),
                Err(current) => head = current,
            }
        }
    }

    fn take_fresh(&self) -> Option<u32> {
        let mut index = self.fresh.load(Ordering::Relaxed);
        loop {
            self.ensure_segment(index)?;
            let next = index.checked_add(1)?;
            // Release: see `reach`.
            match self.fresh.compare_exchange_weak(
                index,
                next,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(index),
                Err(current) => index = current,
            }
        }
    }

    /// Gives an item back.
    ///
    /// Its taker no longer uses it, and nobody else can still come upon it.
    pub(crate) fn give(&self, index: u32) {
        let link = self.get(index).pool_link();
        let mut head = self.vacant.load(Ordering::Relaxed);
        loop {
            link.store(head as u32, Ordering::Relaxed);
            let next = head >> 32 << 32 | u64::from(index + 1);
            // Release: the link, and all that was done to the item.
            match self.vacant.compare_exchange_weak(
                head,
                next,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(current) => head = current,
            }
        }
    }

    /// Segment and offset of an index beyond the first segment.
    fn locate(&self, index: u32) -> (usize, usize) {
        let len = self.first.len();
        let segment = (index as usize / len).ilog2() as usize;
        (segment, index as usize - (len << segment))
    }

    fn ensure_segment(&self, index: u32) -> Option<()> {
        if (index as usize) < self.first.len() {
            return Some(());
        }
        if self.growth == Growth::Fixed {
            return None;
        }
        let (segment, _) = self.locate(index);
        let place = self.further.get(segment)?;
        // Acquire: pairs with the publication below.
        if !place.load(Ordering::Acquire).is_null() {
            return Some(());
        }
        let items = Box::into_raw(zeroed_slice::<T>(self.first.len() << segment)?);
        // Release: publishes the items. Acquire: or takes over the winner's.
        let published = place.compare_exchange(
            ptr::null_mut(),
            items.cast::<T>(),
            Ordering::Release,
            Ordering::Acquire,
        );
        if published.is_err() {
            // SAFETY: made above by `Box::into_raw` and shared with nobody.
            drop(unsafe { Box::from_raw(items) });
        }
        Some(())
    }
}

impl<T: Pooled> Drop for Pool<T> {
    fn drop(&mut self) {
        for (segment, place) in self.further.iter().enumerate() {
            let start = place.load(Ordering::Relaxed);
            if !start.is_null() {
                let len = self.first.len() << segment;
                let items = ptr::slice_from_raw_parts_mut(start, len);
                // SAFETY: published by `ensure_segment` from a boxed slice of
                // this length, and dropped only here.
                drop(unsafe { Box::from_raw(items) });
            }
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::sync::epoch;

    #[derive(Debug, Default)]
    struct Item(AtomicU32);

    // SAFETY: an atomic integer, for which zero is the default.
    unsafe impl Zeroable for Item {
        fn vacant() -> Self {
            Self::default()
        }
    }

    impl Pooled for Item {
        fn pool_link(&self) -> &AtomicU32 {
            &self.0
        }
    }

    #[test]
    fn what_was_given_back_is_taken_before_anything_fresh() {
        let pool = Pool::<Item>::new(4, Growth::Fixed).unwrap();
        let guard = epoch::pin();
        let taken: Vec<_> = (0..3).map(|_| pool.take(&guard).unwrap()).collect();
        assert_eq!(taken, [0, 1, 2]);
        pool.give(1);
        pool.give(0);
        assert_eq!(pool.take(&guard), Some(0));
        assert_eq!(pool.take(&guard), Some(1));
        assert_eq!(pool.take(&guard), Some(3));
        assert_eq!(pool.reach(), 4);
        assert_eq!(pool.take(&guard), None, "a fixed pool ends");
    }

    #[test]
    fn it_grows_by_segments_that_double() {
        let pool = Pool::<Item>::new(3, Growth::Doubling).unwrap();
        let guard = epoch::pin();
        let mut places = std::collections::BTreeSet::new();
        for index in 0..100 {
            assert_eq!(pool.take(&guard), Some(index));
            places.insert(ptr::from_ref(pool.get(index)) as usize);
        }
        assert_eq!(places.len(), 100, "no two indices share an item");
    }
}

//! Storage that is taken, given back and taken again, without locks.
//!
//! Vacant items are linked into one stack, by links beside the items; items
//! never used yet come from a counter, so memory is touched only as far as it
//! was ever needed at once.
//!
//! # Invariants
//!
//! - An index handed out by [`take`](Pool::take) belongs to its taker alone
//!   until given back, and there is an item at it.
//! - The head of the stack carries a tag that changes at every pop, so that a
//!   popper that was held up does not link in what lay below the top before. It
//!   would have to sleep through exactly 2^32 pops to be deceived.

use crate::sync::epoch::Guard;
use crate::sync::{AtomicU32, AtomicU64, Ordering, Padded, Zeroable};
use crate::table::segments::Segments;

/// See the module's description.
pub(crate) struct Pool<T> {
    items: Segments<T>,
    /// The pool's alone while an item is vacant.
    links: Segments<AtomicU32>,
    /// Indices from here on are not handed out.
    limit: u32,
    /// Tag in the high half; index plus one of the top item in the low half.
    vacant: Padded<AtomicU64>,
    /// Items from here on were never taken.
    fresh: Padded<AtomicU32>,
}

impl<T: Zeroable> Pool<T> {
    /// A pool of at most `limit` items, with room for `len` of them at first;
    /// `None` when the memory is not to be had.
    pub(crate) fn new(len: u32, limit: u32) -> Option<Self> {
        Some(Self {
            items: Segments::new(len)?,
            links: Segments::new(len)?,
            limit,
            vacant: Padded(AtomicU64::default()),
            fresh: Padded(AtomicU32::default()),
        })
    }

    /// The item at an index that was handed out.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> &T {
        self.items.get(index)
    }

    /// Asks for the item at an index, to be looked at soon, if there is one.
    #[inline]
    pub(crate) fn expect(&self, index: u32) {
        self.items.expect(index);
    }

    /// The link of an item, for whoever has it or its last owner: what the item
    /// is waiting for may be threaded through it.
    pub(crate) fn link(&self, index: u32) -> &AtomicU32 {
        self.links.get(index)
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
            let below = self.link(index).load(Ordering::Relaxed);
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
            if index >= self.limit {
                return None;
            }
            self.items.ensure(index)?;
            self.links.ensure(index)?;
            // Release: see `reach`.
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

    /// Gives an item back.
    ///
    /// Its taker no longer uses it, and nobody else can still come upon it.
    pub(crate) fn give(&self, index: u32) {
        let link = self.link(index);
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
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::sync::epoch;
    use std::ptr;

    #[test]
    fn what_was_given_back_is_taken_before_anything_fresh() {
        let pool = Pool::<AtomicU64>::new(3, 4).unwrap();
        let guard = epoch::pin();
        let taken: Vec<_> = (0..3).map(|_| pool.take(&guard).unwrap()).collect();
        assert_eq!(taken, [0, 1, 2]);
        pool.give(1);
        pool.give(0);
        assert_eq!(pool.take(&guard), Some(0));
        assert_eq!(pool.take(&guard), Some(1));
        assert_eq!(pool.take(&guard), Some(3));
        assert_eq!(pool.reach(), 4);
        assert_eq!(pool.take(&guard), None, "there is a limit");
    }

    #[test]
    fn it_grows_by_segments_that_double() {
        let pool = Pool::<AtomicU64>::new(3, u32::MAX).unwrap();
        let guard = epoch::pin();
        let mut places = std::collections::BTreeSet::new();
        for index in 0..100 {
            assert_eq!(pool.take(&guard), Some(index));
            places.insert(ptr::from_ref(pool.get(index)) as usize);
        }
        assert_eq!(places.len(), 100, "no two indices share an item");
    }
}

//! A long array that may become longer, whose items stay where they are.
//!
//! The first segment is allocated at once, zeroed, so its memory is touched only
//! as far as it is used; each further one doubles the whole.

use crate::sync::{AtomicPtr, Ordering, Zeroable, zeroed_slice};
use std::ptr;

const SEGMENTS: usize = 32;

/// See the module's description.
pub(crate) struct Segments<T> {
    first: Box<[T]>,
    /// Segment `k` starts at index `first.len() << k` and is as long as that.
    further: [AtomicPtr<T>; SEGMENTS],
}

impl<T: Zeroable> Segments<T> {
    /// Room for `len` items at first, at least 1; `None` when the memory is not
    /// to be had.
    pub(crate) fn new(len: u32) -> Option<Self> {
        Some(Self {
            first: zeroed_slice(len.max(1) as usize)?,
            further: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
        })
    }

    /// The item at an index for which there was [room](Self::ensure).
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
        assert!(!start.is_null(), "there was never room for {index}");
        // SAFETY: `locate` keeps the offset within the segment, which lives as
        // long as `self`; items are only ever shared.
        unsafe { &*start.add(offset) }
    }

    /// Segment and offset of an index beyond the first segment.
    fn locate(&self, index: u32) -> (usize, usize) {
        let len = self.first.len();
        let segment = (index as usize / len).ilog2() as usize;
        (segment, index as usize - (len << segment))
    }

    /// Makes room for the item at `index`; `None` when the memory is not to be
    /// had.
    #[inline]
    pub(crate) fn ensure(&self, index: u32) -> Option<()> {
        if (index as usize) < self.first.len() {
            return Some(());
        }
        self.ensure_further(index)
    }

    #[cold]
    fn ensure_further(&self, index: u32) -> Option<()> {
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

impl<T> Drop for Segments<T> {
    fn drop(&mut self) {
        for (segment, place) in self.further.iter().enumerate() {
            let start = place.load(Ordering::Relaxed);
            if !start.is_null() {
                let len = self.first.len() << segment;
                let items = ptr::slice_from_raw_parts_mut(start, len);
                // SAFETY: published by `ensure_further` from a boxed slice of
                // this length, and dropped only here.
                drop(unsafe { Box::from_raw(items) });
            }
        }
    }
}

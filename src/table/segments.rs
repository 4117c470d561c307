//! A long array that may become longer, whose items stay where they are.
//!
//! The first segment is allocated at once, zeroed, so its memory is touched only
//! as far as it is used; each further one doubles the whole.

use crate::footprint::Footprint;
use crate::sync::{OnceBox, Zeroable, ZeroedSlice, prefetch};

const SEGMENTS: usize = 32;

/// See the module's description.
pub(super) struct Segments<T> {
    first: ZeroedSlice<T>,
    /// Segment `k` starts at index `first.len() << k` and is as long as that.
    further: [OnceBox<ZeroedSlice<T>>; SEGMENTS],
}

impl<T: Zeroable + Send + Sync> Segments<T> {
    /// Room for `len` items at first, at least 1; `None` when the memory is not
    /// to be had.
    pub(super) fn new(len: u32) -> Option<Self> {
        Some(Self {
            first: ZeroedSlice::new(len.max(1) as usize)?,
            further: std::array::from_fn(|_| OnceBox::new()),
        })
    }

    /// If so many items were used so far.
    pub(super) fn footprint(&self, used: u32) -> Footprint {
        let further = self.further.iter().filter_map(OnceBox::get);
        let further: usize = further.map(|items| items.len()).sum();
        Footprint::of_some::<T>(used as usize, self.first.len() + further)
    }

    /// The item at an index for which there was [room](Self::ensure).
    #[inline]
    pub(super) fn get(&self, index: u32) -> &T {
        match self.first.get(index as usize) {
            Some(item) => item,
            None => self.get_further(index),
        }
    }

    /// The item at an index, if there is room for it.
    #[inline]
    pub(super) fn find(&self, index: u32) -> Option<&T> {
        match self.first.get(index as usize) {
            Some(item) => Some(item),
            None => self.find_further(index),
        }
    }

    /// Whether an index is in the first segment.
    #[inline]
    pub(super) fn is_in_first(&self, index: u32) -> bool {
        (index as usize) < self.first.len()
    }

    /// Asks for the item at an index, to be looked at soon, if it is in the first
    /// segment.
    #[inline]
    pub(super) fn prefetch(&self, index: u32) {
        if let Some(item) = self.first.get(index as usize) {
            prefetch(item);
        }
    }

    #[cold]
    fn get_further(&self, index: u32) -> &T {
        let found = self.find_further(index);
        found.unwrap_or_else(|| panic!("there was never room for {index}"))
    }

    #[cold]
    fn find_further(&self, index: u32) -> Option<&T> {
        let (segment, offset) = self.locate(index);
        self.further.get(segment)?.get()?.get(offset)
    }

    /// Segment and offset of an index beyond the first segment.
    fn locate(&self, index: u32) -> (usize, usize) {
        let (index, len) = (index as usize, self.first.len());
        // As the quotient of the two would say, without a division.
        let most = (index.ilog2() - len.ilog2()) as usize;
        let segment = most - usize::from(len << most > index);
        (segment, index - (len << segment))
    }

    /// Makes room for the item at `index`; `None` when the memory is not to be
    /// had.
    #[inline]
    pub(super) fn ensure(&self, index: u32) -> Option<()> {
        if self.is_in_first(index) {
            return Some(());
        }
        self.ensure_further(index)
    }

    #[cold]
    fn ensure_further(&self, index: u32) -> Option<()> {
        let (segment, _) = self.locate(index);
        let len = self.first.len() << segment;
        let items = self.further.get(segment)?;
        items.get_or_try_init(|| ZeroedSlice::new(len)).map(drop)
    }
}

//! Memory full of zeros that the operating system commits as it is touched.
//!
//! The standard library has the allocator hand out such memory only where it need
//! not be aligned beyond a word or two; for items aligned to a cache line it would
//! write the zeros itself, and commit it all. So more is asked for, aligned to
//! words, and the items begin at the first boundary within.
//!
//! # Invariants
//!
//! - `memory` was allocated with `layout` and is given back once, by the drop.
//! - From `items` on there are `len` valid items, aligned, within that memory.

use super::Zeroable;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::Deref;
use std::ptr::NonNull;
use std::slice;

/// See the module's description.
pub(crate) struct ZeroedSlice<T> {
    items: NonNull<T>,
    len: usize,
    memory: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it owns its items, and hands them out by reference only.
unsafe impl<T: Send> Send for ZeroedSlice<T> {}
// SAFETY: likewise.
unsafe impl<T: Sync> Sync for ZeroedSlice<T> {}

impl<T: Zeroable> ZeroedSlice<T> {
    /// So many vacant items, at least one; `None` when the memory is not to be had.
    pub(crate) fn new(len: usize) -> Option<Self> {
        let layout = with_room_to_align::<T>(len)?;
        // SAFETY: the layout has a size above zero.
        let memory = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        let to_boundary = memory.align_offset(align_of::<T>());
        // SAFETY: a boundary is less than `align_of` away, and by so much the
        // memory is longer than the items.
        let items = unsafe { memory.add(to_boundary) }.cast();
        Some(Self {
            items,
            len,
            memory,
            layout,
        })
    }
}

impl<T: Zeroable> ZeroedSlice<T> {
    /// The same; ends the program as a `Vec` does when the memory is not to be had.
    pub(crate) fn new_or_abort(len: usize) -> Self {
        Self::new(len).unwrap_or_else(|| handle_alloc_error(Layout::new::<T>()))
    }
}

/// The layout of `len` items wherever it begins.
fn with_room_to_align<T>(len: usize) -> Option<Layout> {
    let items = Layout::array::<T>(len).ok()?;
    assert!(items.size() > 0, "never asked for nothing");
    let size = items.size().checked_add(items.align())?;
    Layout::from_size_align(size, align_of::<usize>()).ok()
}

impl<T> Deref for ZeroedSlice<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: valid, aligned items by the module's invariants; all zeros is a
        // valid `T` by the promise of `Zeroable`, without which none is made.
        unsafe { slice::from_raw_parts(self.items.as_ptr(), self.len) }
    }
}

impl<T> Drop for ZeroedSlice<T> {
    fn drop(&mut self) {
        let items = NonNull::slice_from_raw_parts(self.items, self.len);
        // SAFETY: the items are valid, and never used again.
        unsafe { items.drop_in_place() };
        // SAFETY: allocated with this layout by `new`.
        unsafe { dealloc(self.memory.as_ptr(), self.layout) };
    }
}

/// `ci/sanitizers.sh` runs these under the address sanitizer, too: models have a stand-in.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{Arc, AtomicU32, Ordering, UnsafeCell};
    use std::hint::black_box;

    #[repr(align(512))]
    struct Wide([AtomicU32; 128]);

    // SAFETY: atomic integers, for which zero is the default.
    unsafe impl Zeroable for Wide {
        fn vacant() -> Self {
            Self(std::array::from_fn(|_| AtomicU32::default()))
        }
    }

    impl Wide {
        fn words(&self) -> impl Iterator<Item = u32> {
            self.0.iter().map(|word| word.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn items_are_vacant_and_aligned() {
        let slices = (1..40).map(|len| ZeroedSlice::<Wide>::new(len).unwrap());
        for slice in slices.collect::<Vec<_>>() {
            assert_eq!(slice.as_ptr().addr() % 512, 0);
            assert!(slice.iter().all(|item| item.words().all(|word| word == 0)));
        }
    }

    #[test]
    fn each_item_is_written_and_read_by_itself_up_to_the_last() {
        for len in 1..40 {
            let slice = ZeroedSlice::<Wide>::new(len).unwrap();
            for (number, item) in (1..).zip(slice.iter()) {
                item.0
                    .iter()
                    .for_each(|word| word.store(number, Ordering::Relaxed));
            }
            for (number, item) in (1..).zip(slice.iter()) {
                assert!(item.words().all(|word| word == number));
            }
        }
    }

    /// May own something.
    struct Owner(UnsafeCell<Option<Arc<()>>>);

    // SAFETY: all zeros is a null pointer, which stands for `None`.
    unsafe impl Zeroable for Owner {
        fn vacant() -> Self {
            Self(UnsafeCell::new(None))
        }
    }

    #[test]
    fn what_items_own_is_dropped_once_with_the_slice() {
        let owned = Arc::new(());
        let slice = ZeroedSlice::<Owner>::new(9).unwrap();
        for item in slice.iter().step_by(2) {
            // SAFETY: no other thread has it, and nothing else is borrowed from it.
            let own = |place: *mut Option<_>| unsafe { *place = Some(Arc::clone(&owned)) };
            item.0.with_mut(own);
        }
        assert_eq!(Arc::strong_count(&owned), 6);
        drop(slice);
        assert_eq!(Arc::strong_count(&owned), 1);
    }

    #[test]
    fn more_than_there_can_be_is_refused() {
        for len in [
            usize::MAX,
            usize::MAX / 512,
            isize::MAX as usize / 512,
            1 << 50,
        ] {
            // Without the black box, the compiler may leave out the allocation, and its failure.
            let slice = black_box(ZeroedSlice::<Wide>::new(len));
            assert!(slice.is_none(), "{len}");
        }
    }
}

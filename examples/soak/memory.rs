//! An allocator that counts the memory of the process, and can stall a thread when it allocates: inside a
//! call that builds a long answer.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// The system's allocator, counting.
pub struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static STALL: Cell<Option<Stall>> = const { Cell::new(None) };
}

#[derive(Clone, Copy)]
struct Stall {
    /// How many allocations come before the stall.
    after: u32,
    length: Duration,
}

/// Stalls this thread after this number of allocations and reallocations.
pub fn stall_after(allocations: u32, length: Duration) {
    STALL.set(Some(Stall {
        after: allocations,
        length,
    }));
}

/// Whether the stall happened. Cancels it if not.
pub fn has_stalled() -> bool {
    STALL.take().is_none()
}

fn stall_if_due() {
    let due = STALL.try_with(|stall| match stall.get() {
        Some(Stall { after: 0, length }) => {
            stall.set(None);
            Some(length)
        }
        Some(Stall { after, length }) => {
            let after = after - 1;
            stall.set(Some(Stall { after, length }));
            None
        }
        None => None,
    });
    if let Ok(Some(length)) = due {
        thread::sleep(length);
    }
}

/// Bytes allocated and not yet freed.
pub fn live_bytes() -> usize {
    LIVE.load(Relaxed)
}

// SAFETY: every call is arrived on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        stall_if_due();
        LIVE.fetch_add(layout.size(), Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        stall_if_due();
        LIVE.fetch_add(layout.size(), Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(start, layout) }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        stall_if_due();
        LIVE.fetch_add(new_size, Relaxed);
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.realloc(start, layout, new_size) }
    }
}

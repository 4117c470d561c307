//! What the ordinary build synchronises with.

use super::Arc;
use super::thread_index::ThreadIndices;
use std::cell::Cell;

pub(crate) use parking_lot::{Mutex, MutexGuard};
pub(crate) use std::sync::atomic::fence;
#[cfg(not(relay_delays))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64};
#[allow(unused_imports, reason = "some are for the DHT alone")]
pub(crate) use std::thread::{Thread, current as current_thread, park_timeout, yield_now};

/// A cell that is read and written through closures, as loom's is.
#[derive(Debug, Default)]
#[repr(transparent)]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    #[allow(dead_code)]
    pub(crate) const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// Hands out the address for reading.
    #[inline(always)]
    pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    /// Hands out the address for writing.
    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}

/// A shared pointer that is read without waiting and replaced as a whole.
#[derive(Debug)]
pub(crate) struct Swap<T>(arc_swap::ArcSwap<T>);

impl<T> Swap<T> {
    pub(crate) fn new(value: Arc<T>) -> Self {
        Self(arc_swap::ArcSwap::new(value))
    }

    /// The current value; the guard must not outlive the caller's operation.
    #[inline]
    pub(crate) fn load(&self) -> arc_swap::Guard<Arc<T>> {
        self.0.load()
    }

    /// Replaces `current` by `next` and returns what was replaced, or `None`
    /// when `current` was no longer the value.
    pub(crate) fn replace(&self, current: &Arc<T>, next: Arc<T>) -> Option<Arc<T>> {
        let previous = self.0.compare_and_swap(current, next);
        Arc::ptr_eq(&previous, current).then(|| arc_swap::Guard::into_inner(previous))
    }
}

/// A number below `bound`, from a generator of this thread's own.
#[inline]
pub(crate) fn random_below(bound: u32) -> u32 {
    fastrand::u32(..bound)
}

/// Sixty-four random bits, from the same generator.
#[inline]
pub(crate) fn random_bits() -> u64 {
    fastrand::u64(..)
}

/// Sixty-four random bits of this thread's own that stay the same for some calls.
#[inline]
pub(crate) fn lasting_random_bits() -> u64 {
    const CALLS: u32 = 64;
    thread_local! {
        static BITS: Cell<(u64, u32)> = const { Cell::new((0, 0)) };
    }
    BITS.with(|bits| {
        let (random, left) = match bits.get() {
            (_, 0) => (random_bits(), CALLS),
            kept => kept,
        };
        bits.set((random, left - 1));
        random
    })
}

/// Prefetches the first cache line of `target`.
#[inline]
pub(crate) fn prefetch<T>(target: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint about memory that the reference says is there; every
        // processor of this architecture has the instruction.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(target).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = target;
}

/// Hash keys that no other process can foresee.
pub(crate) fn random_hasher() -> ahash::RandomState {
    ahash::RandomState::new()
}

/// A random number. Not of the hasher: a program that seeds the generator of its thread gets
/// the same back-offs again.
pub(crate) fn random_key() -> u64 {
    fastrand::u64(..)
}

/// The number of this thread, below [`THREAD_INDICES`], which no other thread has meanwhile.
/// If it has none, because too many threads have one or it has almost ended, a number that
/// is not below.
///
/// [`THREAD_INDICES`]: super::THREAD_INDICES
#[inline(always)]
pub(crate) fn thread_index() -> usize {
    INDEX.with(Cell::get)
}

/// The same for a thread that had no number when it last looked: claims one.
#[cold]
pub(crate) fn claim_thread_index() -> usize {
    if INDEX.get() == UNCLAIMED {
        // In the teardown of a thread, the owner may be gone: then there is none to give a
        // number back.
        let claimed = OWNER.try_with(|_| INDICES.claim()).ok().flatten();
        INDEX.set(claimed.unwrap_or(NO_INDEX));
    }
    INDEX.get()
}

/// The thread has claimed no number so far.
const UNCLAIMED: usize = usize::MAX - 1;
/// The thread has none, and gets none.
const NO_INDEX: usize = usize::MAX;

static INDICES: ThreadIndices = ThreadIndices::new();

thread_local! {
    /// It has no destructor, so it can be read at any time.
    static INDEX: Cell<usize> = const { Cell::new(UNCLAIMED) };
    static OWNER: IndexOwner = const { IndexOwner };
}

/// Gives the number of its thread back.
struct IndexOwner;

impl Drop for IndexOwner {
    fn drop(&mut self) {
        // First: destructors that run later must not use the number.
        let index = INDEX.replace(NO_INDEX);
        if index < super::THREAD_INDICES {
            INDICES.release(index);
        }
    }
}

/// Epochs of a collector private to this crate: a long pin in another library
/// must not hold back what we retire.
pub(crate) mod epoch {
    use crossbeam_epoch::{Collector, LocalHandle};
    use std::sync::OnceLock;

    static COLLECTOR: OnceLock<Collector> = OnceLock::new();

    thread_local! {
        static HANDLE: LocalHandle = collector().register();
    }

    fn collector() -> &'static Collector {
        COLLECTOR.get_or_init(Collector::new)
    }

    /// While one exists, what its thread can still reach is not reused.
    #[derive(Debug)]
    pub(crate) struct Guard(crossbeam_epoch::Guard);

    /// Pins this thread; in the teardown of a thread, through a handle that
    /// lives for this one pin.
    #[inline]
    pub(crate) fn pin() -> Guard {
        Guard(
            HANDLE
                .try_with(LocalHandle::pin)
                .unwrap_or_else(|_| collector().register().pin()),
        )
    }

    /// Whether this thread is pinned.
    pub(crate) fn is_pinned() -> bool {
        HANDLE.try_with(LocalHandle::is_pinned).unwrap_or(false)
    }

    impl Guard {
        /// Runs `free` once no thread that is pinned now remains pinned.
        pub(crate) fn defer(&self, free: impl FnOnce() + Send + 'static) {
            self.0.defer(free);
            // Without this, the function could stay in the bag of a thread that idles.
            self.flush();
        }

        /// Moves what this thread deferred to the queue that any thread collects from.
        fn flush(&self) {
            self.0.flush();
        }
    }

    /// Advances reclamation as far as possible without waiting for another thread.
    ///
    /// The epoch advances at most one step per pin, and what was deferred in
    /// one epoch is free two steps later.
    pub(crate) fn collect() {
        for _ in 0..4 {
            pin().flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::THREAD_INDICES;
    use std::cell::RefCell;
    use std::sync::mpsc::{Sender, channel};

    /// Sends whether its thread has a number when it is dropped.
    struct Observer(Sender<bool>);

    impl Drop for Observer {
        fn drop(&mut self) {
            let _ = self.0.send(claim_thread_index() < THREAD_INDICES);
        }
    }

    thread_local! {
        static EARLY: RefCell<Option<Observer>> = const { RefCell::new(None) };
        static LATE: RefCell<Option<Observer>> = const { RefCell::new(None) };
    }

    /// Variables of a thread are dropped in the order in which they were first used, or in the
    /// reverse one. So of two observers, one is dropped before the number is given back, and the
    /// other one afterwards.
    #[test]
    fn a_thread_whose_number_is_given_back_does_not_use_it() {
        let (sender, receiver) = channel();
        let thread = std::thread::spawn(move || {
            EARLY.set(Some(Observer(sender.clone())));
            let index = claim_thread_index();
            LATE.set(Some(Observer(sender)));
            assert_eq!(index, thread_index());
        });
        thread.join().expect("it has not panicked");
        let mut seen: Vec<bool> = receiver.iter().collect();
        seen.sort_unstable();
        assert_eq!(seen, [false, true]);
    }
}

//! A value that is made when it is first needed, without a lock.
//!
//! Threads that need it at the same time each make one. The first to swap its
//! pointer in wins; the others drop their own. So no thread waits for another.
//!
//! # Invariants
//!
//! - The pointer is null, or comes from a box, and then never changes again.
//! - That box is freed by the drop alone. Until then there are only shared
//!   references to its content.

use super::{AtomicPtr, Ordering};
use std::marker::PhantomData;
use std::ptr::null_mut;

/// See the module's description.
#[derive(Debug)]
pub(crate) struct OnceBox<T> {
    pointer: AtomicPtr<T>,
    owned: PhantomData<Box<T>>,
}

impl<T: Send + Sync> OnceBox<T> {
    pub(crate) fn new() -> Self {
        Self {
            pointer: AtomicPtr::new(null_mut()),
            owned: PhantomData,
        }
    }

    /// The value, if it was made already: one load.
    #[inline(always)]
    pub(crate) fn get(&self) -> Option<&T> {
        // Acquire: with the pointer comes what it points to.
        let installed = self.pointer.load(Ordering::Acquire);
        // SAFETY: null, or a box that lives as long as `self`; see the module.
        unsafe { installed.as_ref() }
    }

    /// The value, made by `make` unless there is one.
    #[inline(always)]
    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        match self.get() {
            Some(installed) => installed,
            None => self.install(make()),
        }
    }

    /// The same, for a `make` that may fail.
    #[inline(always)]
    pub(crate) fn get_or_try_init(&self, make: impl FnOnce() -> Option<T>) -> Option<&T> {
        match self.get() {
            Some(installed) => Some(installed),
            None => Some(self.install(make()?)),
        }
    }

    #[cold]
    fn install(&self, made: T) -> &T {
        let made = Box::into_raw(Box::new(made));
        // Release: with the pointer goes what it points to. Acquire: see `get`.
        let swapped =
            self.pointer
                .compare_exchange(null_mut(), made, Ordering::Release, Ordering::Acquire);
        if swapped.is_err() {
            // SAFETY: made above, and seen by no other thread.
            drop(unsafe { Box::from_raw(made) });
        }
        let installed = swapped.err().unwrap_or(made);
        // SAFETY: not null, and a box that lives as long as `self`; see the module.
        unsafe { &*installed }
    }
}

impl<T> Drop for OnceBox<T> {
    fn drop(&mut self) {
        // Relaxed: the thread that drops it has seen all that was done with it.
        let installed = self.pointer.load(Ordering::Relaxed);
        if !installed.is_null() {
            // SAFETY: from a box, and never used again.
            drop(unsafe { Box::from_raw(installed) });
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use std::sync::{Arc, Barrier};
    use std::thread;

    #[test]
    fn all_threads_get_the_value_that_was_installed_and_the_others_are_dropped() {
        for _ in 0..200 {
            let (value, start) = (Arc::new(()), Barrier::new(4));
            let installed = OnceBox::new();
            assert!(installed.get().is_none());
            let install = || {
                start.wait();
                let made = installed.get_or_init(|| (Arc::clone(&value), thread::current().id()));
                made.1
            };
            let makers = thread::scope(|scope| {
                let threads: [_; 4] = std::array::from_fn(|_| scope.spawn(install));
                threads.map(|thread| thread.join().unwrap())
            });
            assert_eq!(makers, [makers[0]; 4]);
            assert_eq!(Arc::strong_count(&value), 2);
            drop(installed);
            assert_eq!(Arc::strong_count(&value), 1);
        }
    }
}

#[cfg(all(test, relay_loom))]
mod models {
    use super::OnceBox;
    use crate::sync::{Arc, UnsafeCell, check};
    use loom::thread;

    /// What a thread writes before it installs it, and others only read.
    struct Written(UnsafeCell<u32>);

    // SAFETY: written before it is shared; loom sees whether it is.
    unsafe impl Sync for Written {}

    fn written(value: u32) -> Written {
        let cell = UnsafeCell::new(0);
        // SAFETY: no other thread has it yet.
        cell.with_mut(|cell| unsafe { *cell = value });
        Written(cell)
    }

    fn read(written: &Written) -> u32 {
        // SAFETY: not written any more.
        written.0.with(|cell| unsafe { *cell })
    }

    /// Two threads need a value, and a third reads it if there is one: all see the same
    /// value, fully written.
    #[test]
    fn one_value_is_installed_and_seen_whole() {
        check(3, || {
            let installed = Arc::new(OnceBox::<Written>::new());
            let makers = [1, 2].map(|value| {
                let installed = Arc::clone(&installed);
                thread::spawn(move || read(installed.get_or_init(|| written(value))))
            });
            let seen = installed.get().map(read);
            let made = makers.map(|thread| thread.join().unwrap());
            assert_eq!(made[0], made[1]);
            assert!(seen.is_none_or(|seen| seen == made[0]));
        });
    }
}

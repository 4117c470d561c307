//! The only place that names a synchronisation primitive.
//!
//! The rest of the crate takes its atomics, cells, locks, epochs and random numbers from
//! here. So the model checker sees every one of them, and tests with threads can have
//! other threads come between any two. What the model checker does not see is in
//! [`unmodelled`].
//!
//! | build | atomics, cells, locks | reclamation | swapped pointer |
//! |---|---|---|---|
//! | ordinary | `std`, `parking_lot` | `crossbeam-epoch`, a collector of our own | `arc-swap` |
//! | `--cfg relay_delays` | the same, and a delay before some of the operations on atomics | the same | the same |
//! | `--cfg relay_loom` | `loom` | a mock: what is deferred never runs | an atomic number |
//! | `--cfg relay_loom --cfg crossbeam_loom` | `loom` | `crossbeam-epoch` under loom | an atomic number |

use std::ops::Deref;

mod grace;
mod load_in_order;
#[cfg(not(relay_loom))]
mod native;
mod once_box;
mod thread_index;
mod touch;
#[cfg(not(relay_loom))]
mod zeroed;
#[cfg(not(relay_loom))]
pub(crate) use {native::*, zeroed::ZeroedSlice};

#[cfg(relay_loom)]
mod model;
#[cfg(relay_loom)]
pub(crate) use model::*;

#[cfg(any(relay_loom, relay_delays))]
mod stepped;
#[cfg(any(relay_loom, relay_delays))]
pub(crate) use stepped::*;
#[cfg(all(relay_delays, not(relay_loom)))]
mod delays;

pub(crate) use grace::Grace;
pub(crate) use load_in_order::LoadInOrder;
pub(crate) use once_box::OnceBox;
pub(crate) use std::sync::atomic::Ordering;
pub(crate) use std::sync::{Arc, Weak};
pub(crate) use thread_index::THREAD_INDICES;
pub(crate) use touch::Touch;

/// What is the operating system's in every build. The model checker does not see it:
/// models have threads of their own, and are built without the engines of the DHT.
#[allow(unused_imports, reason = "some builds leave out what uses them")]
pub(crate) mod unmodelled {
    #[cfg(not(relay_loom))]
    pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64};
    pub(crate) use std::sync::{OnceLock, mpsc};
    pub(crate) use std::thread;
}

/// Keeps its content on cache lines of its own.
///
/// 128 bytes, because the adjacent-line prefetcher of common x86 processors
/// and the cache lines of some ARM ones work in that unit.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

impl<T> Deref for Padded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A type that memory full of zeros is a valid, vacant value of.
///
/// Tables for millions of relays are allocated at once and at their full size;
/// zeroed pages cost nothing until they are touched.
///
/// # Safety
///
/// The all-zero bit pattern is a valid value, and equals what
/// [`vacant`](Self::vacant) returns.
pub(crate) unsafe trait Zeroable: Sized {
    /// The value that zeroed memory holds.
    #[cfg_attr(not(relay_loom), allow(dead_code))]
    fn vacant() -> Self;
}

// SAFETY: an atomic integer, for which zero is the default.
unsafe impl Zeroable for AtomicU32 {
    fn vacant() -> Self {
        Self::default()
    }
}

// SAFETY: likewise.
unsafe impl Zeroable for AtomicU64 {
    fn vacant() -> Self {
        Self::default()
    }
}

//! Panics of the embedder's code: caught, and what they carry.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `call` returns, or `None` if it panicked. What the panic carried is dropped.
pub(crate) fn catch_panic<R>(call: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(call))
        .map_err(drop_payload)
        .ok()
}

/// Drops what a panic carried. That may panic again; what the second one carries is left alone.
pub(crate) fn drop_payload(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}

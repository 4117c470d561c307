//! Panics of the embedder's code, which must not end a thread of the registry.

use crate::panics::drop_payload;
use crate::registry::counters::Counters;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Counters {
    /// Whether `act` ended without a panic; counts one. To be used where a panic leaves a sound
    /// state behind: the embedder's code is called before anything changes, or after.
    pub(super) fn catch_panic(&self, act: impl FnOnce()) -> bool {
        match catch_unwind(AssertUnwindSafe(act)) {
            Ok(()) => true,
            Err(payload) => {
                self.count_panic();
                drop_payload(payload);
                false
            }
        }
    }
}

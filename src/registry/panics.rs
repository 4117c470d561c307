//! Panics of the embedder's code, which must not end a thread of the registry.

use crate::panics::catch_panic;
use crate::registry::counters::Counters;

impl Counters {
    /// Whether `act` ended without a panic; counts one. To be used where a panic leaves a sound
    /// state behind: the embedder's code is called before anything changes, or after.
    pub(super) fn catch_panic(&self, act: impl FnOnce()) -> bool {
        let has_ended = catch_panic(act).is_some();
        if !has_ended {
            self.count_panic();
        }
        has_ended
    }
}

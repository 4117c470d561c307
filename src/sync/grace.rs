//! [`Grace`]: how long a thread may use what it read while it was pinned.

use super::epoch::Guard;
use super::{Arc, AtomicBool, Ordering};

/// The time in which a thread may be pinned that was pinned when it began.
#[derive(Clone, Debug)]
pub(crate) struct Grace(Arc<AtomicBool>);

impl Grace {
    /// Begins now.
    pub(crate) fn begin(guard: &Guard) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let other = Arc::clone(&is_over);
        // Release: what those threads did comes before.
        guard.defer(move || other.store(true, Ordering::Release));
        Self(is_over)
    }

    pub(crate) fn is_over(&self) -> bool {
        // Acquire: see `begin`.
        self.0.load(Ordering::Acquire)
    }
}

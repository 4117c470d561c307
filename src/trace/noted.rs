//! [`Noted`]: what happened where the subscriber must not be called.

use super::limiter::Limiter;
use crate::sync::{AtomicU64, Ordering};
use std::time::Duration;

/// How often a thing happened since that was last said, and the latest figure of it.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    count: AtomicU64,
    figure: AtomicU64,
}

/// A warning that may be given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub(super) figure: u64,
    /// How many others it stands for.
    pub(super) suppressed: u64,
}

impl Noted {
    /// Any thread, at any time.
    #[cold]
    #[inline(never)]
    pub(crate) fn note(&self, figure: u64) {
        // Relaxed: of several figures any may be the latest.
        self.figure.store(figure, Ordering::Relaxed);
        // Release: who takes the count sees a figure that belongs to it.
        self.count.fetch_add(1, Ordering::Release);
    }

    /// Notes what `look` sees, if anything. `look` may call the embedder's clock.
    #[cold]
    #[inline(never)]
    pub(crate) fn note_if(&self, look: impl FnOnce() -> Option<u64>) {
        if let Some(figure) = look() {
            self.note(figure);
        }
    }

    /// The warning to give at `now`, if any.
    pub(super) fn due(&self, now: Duration, limiter: &Limiter) -> Option<Due> {
        // Relaxed: what is missed now is found by the next pass.
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        // Acquire: see `note`.
        let count = self.count.swap(0, Ordering::Acquire);
        // Another thread may have taken it since.
        let suppressed = (count > 0).then(|| limiter.permit(now, count)).flatten()?;
        Some(Due {
            // Relaxed: ordered by the count.
            figure: self.figure.load(Ordering::Relaxed),
            suppressed,
        })
    }
}

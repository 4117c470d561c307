//! [`Subscriber`]: all calls of the embedder's subscriber.

use crate::panics::catch_panic;
use crate::sync::{AtomicU64, Ordering, epoch};
use tracing::Span;

/// The subscriber of the present thread. It may panic: the call goes on without it.
#[derive(Debug, Default)]
pub(super) struct Subscriber {
    panics: AtomicU64,
}

/// A span that this thread is in until this is dropped. Not to be dropped while pinned, nor with
/// a lock held.
pub(super) struct InSpan<'a> {
    subscriber: &'a Subscriber,
    span: Span,
}

impl Subscriber {
    /// Calls the subscriber; not to be called while pinned, nor with a lock held. None if it
    /// panicked.
    pub(super) fn call<R>(&self, call: impl FnOnce() -> R) -> Option<R> {
        debug_assert!(!epoch::is_pinned(), "a subscriber is the embedder's code");
        let outcome = catch_panic(call);
        if outcome.is_none() {
            // Relaxed: a counter.
            self.panics.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    /// Enters the span that `make` makes.
    pub(super) fn enter(&self, make: impl FnOnce() -> Span) -> InSpan<'_> {
        let span = self.call(make).unwrap_or_else(Span::none);
        self.call(|| span.with_subscriber(|(id, subscriber)| subscriber.enter(id)));
        InSpan {
            subscriber: self,
            span,
        }
    }

    /// The panics since the last call of this.
    pub(super) fn take_panics(&self) -> u64 {
        // Relaxed: a counter, which is nearly always zero.
        match self.panics.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.panics.swap(0, Ordering::Relaxed),
        }
    }
}

impl InSpan<'_> {
    /// Records fields of the span.
    pub(super) fn record(&self, record: impl FnOnce(&Span)) {
        self.subscriber.call(|| record(&self.span));
    }
}

impl Drop for InSpan<'_> {
    fn drop(&mut self) {
        let span = std::mem::replace(&mut self.span, Span::none());
        let exit = || span.with_subscriber(|(id, subscriber)| subscriber.exit(id));
        self.subscriber.call(exit);
        self.subscriber.call(|| drop(span));
    }
}

//! [`RegistryTrace`]: what the registry says.

use super::limiter::Limiter;
use super::noted::Noted;
use super::subscriber::{InSpan, Subscriber};
use crate::errors::{LabelScope, RegisterError};
use crate::sync::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tracing::field::Empty;
use tracing::{debug_span, info, warn};

/// The words of one registry to the subscriber, and what is noted until it is said.
#[derive(Debug, Default)]
pub(crate) struct RegistryTrace {
    subscriber: Subscriber,
    backlogged: Warning,
    full: Warning,
    labels: Warning,
    clock: Limiter,
    panics: Limiter,
    /// Panics of maintenance that were counted when they were last looked at.
    panics_seen: AtomicU64,
    is_closing: AtomicBool,
}

/// One kind of warning.
#[derive(Debug, Default)]
struct Warning {
    noted: Noted,
    limiter: Limiter,
}

/// The span of a maintenance pass, until this is dropped.
pub(crate) struct PassSpan<'a>(InSpan<'a>);

/// The span of sorting, until this is dropped.
pub(crate) struct SortSpan<'a>(InSpan<'a>);

/// The span of closing, until this is dropped.
pub(crate) struct CloseSpan<'a>(#[allow(dead_code, reason = "for its drop")] InSpan<'a>);

impl RegistryTrace {
    /// Says that the registry was built.
    pub(crate) fn built(&self, max_relays: usize, ttl: Duration, tick: Duration) {
        self.subscriber.call(|| {
            info!(
                target: "relay_registry::registry",
                max_relays,
                ttl_seconds = ttl.as_secs_f64(),
                tick_seconds = tick.as_secs_f64(),
                "a registry was built"
            );
        });
    }

    /// Says once that the registry closes.
    pub(crate) fn closing(&self) {
        // Relaxed: it orders nothing.
        if !self.is_closing.swap(true, Ordering::Relaxed) {
            let say = || info!(target: "relay_registry::registry", "the registry closes");
            self.subscriber.call(say);
        }
    }

    pub(crate) fn close_span(&self) -> CloseSpan<'_> {
        let make = || debug_span!(target: "relay_registry::registry", "close");
        CloseSpan(self.subscriber.enter(make))
    }

    /// Notes a refusal that concerns the whole registry.
    pub(crate) fn note_refusal(&self, error: &RegisterError) {
        match *error {
            RegisterError::Backlogged {
                awaiting_reclamation,
            } => self.backlogged.noted.note(awaiting_reclamation as u64),
            RegisterError::Full { max } => self.full.noted.note(max as u64),
            RegisterError::TooManyLabels {
                scope: LabelScope::Registry,
                max,
                ..
            } => self.labels.noted.note(max as u64),
            _ => {}
        }
    }

    pub(crate) fn pass_span(&self) -> PassSpan<'_> {
        PassSpan(self.subscriber.enter(|| {
            debug_span!(
                target: "relay_registry::maintenance",
                "pass",
                expired = Empty,
                sorted = Empty,
                awaiting_reclamation = Empty
            )
        }))
    }

    pub(crate) fn sort_span(&self) -> SortSpan<'_> {
        SortSpan(
            self.subscriber.enter(
                || debug_span!(target: "relay_registry::maintenance", "sort", sorted = Empty),
            ),
        )
    }

    /// Gives the warnings that are due at `now`: of what was noted here, of readings that
    /// `went_back`, and of the `panics` of maintenance so far. Returns the panics of the
    /// subscriber since the last call.
    pub(crate) fn warn(&self, now: Duration, went_back: &Noted, panics: u64) -> u64 {
        self.warn_of_refusals(now);
        if let Some(due) = went_back.due(now, &self.clock) {
            let behind = Duration::from_nanos(due.figure);
            self.subscriber.call(|| {
                warn!(
                    target: "relay_registry::clock",
                    behind_seconds = behind.as_secs_f64(),
                    suppressed = due.suppressed,
                    "the clock went back; the registry's time stands still until it catches up"
                );
            });
        }
        self.warn_of_panics(now, panics);
        self.subscriber.take_panics()
    }

    fn warn_of_refusals(&self, now: Duration) {
        if let Some(due) = self.backlogged.due(now) {
            self.subscriber.call(|| {
                warn!(
                    target: "relay_registry::registry",
                    awaiting_reclamation = due.figure,
                    suppressed = due.suppressed,
                    "a registration was refused as backlogged: a thread inside a call has not run for long"
                );
            });
        }
        if let Some(due) = self.full.due(now) {
            self.subscriber.call(|| {
                warn!(
                    target: "relay_registry::registry",
                    max_relays = due.figure,
                    suppressed = due.suppressed,
                    "a registration was refused: the registry is full"
                );
            });
        }
        if let Some(due) = self.labels.due(now) {
            self.subscriber.call(|| {
                warn!(
                    target: "relay_registry::registry",
                    max_labels = due.figure,
                    suppressed = due.suppressed,
                    "a registration was refused: the relays would have too many different labels"
                );
            });
        }
    }

    fn warn_of_panics(&self, now: Duration, panics: u64) {
        // Relaxed: a counter. Of several threads, each takes what the others have not.
        let seen = self.panics_seen.fetch_max(panics, Ordering::Relaxed);
        let new = panics.saturating_sub(seen);
        let permitted = (new > 0).then(|| self.panics.permit(now, new));
        if let Some(suppressed) = permitted.flatten() {
            self.subscriber.call(|| {
                warn!(
                    target: "relay_registry::maintenance",
                    maintenance_panics = panics,
                    suppressed,
                    "the clock or other code of the embedder panicked during maintenance"
                );
            });
        }
    }
}

impl Warning {
    fn due(&self, now: Duration) -> Option<super::noted::Due> {
        self.noted.due(now, &self.limiter)
    }
}

impl PassSpan<'_> {
    /// Records what the pass did, and ends the span.
    pub(crate) fn ended(self, expired: usize, sorted: bool, awaiting_reclamation: usize) {
        self.0.record(|span| {
            span.record("expired", expired);
            span.record("sorted", sorted);
            span.record("awaiting_reclamation", awaiting_reclamation);
        });
    }
}

impl SortSpan<'_> {
    /// Records whether anything had changed, and ends the span.
    pub(crate) fn ended(self, sorted: bool) {
        self.0.record(|span| {
            span.record("sorted", sorted);
        });
    }
}

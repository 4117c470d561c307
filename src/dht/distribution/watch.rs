//! Waits for what the engine sees change, on a thread of its own: see
//! [`RelayDht::changed`](crate::dht::RelayDht::changed).

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::{Shared, Step, catch_panic};
use crate::dht::engine::DhtError;
use crate::dht::retry::RetryBackoff;
use crate::sync::park_timeout;

/// The most changes of one call.
const MAX_CHANGES: usize = 4_096;

/// When the engine is called.
#[derive(Debug)]
pub(super) struct Watch {
    /// Never, if there is no time.
    due: Option<Duration>,
    /// Whether the last call succeeded. If not, then the next one may have to connect.
    is_connected: bool,
    back_off: RetryBackoff,
}

impl Watch {
    pub(super) const fn new() -> Self {
        Self {
            due: Some(Duration::ZERO),
            is_connected: false,
            back_off: RetryBackoff::new(Duration::from_secs(1), Duration::from_secs(60)),
        }
    }

    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    pub(super) fn is_connected(&self) -> bool {
        self.is_connected
    }

    pub(super) fn ended(
        &mut self,
        outcome: &Result<(), DhtError>,
        now: Duration,
        random: &mut Rng,
    ) {
        self.is_connected = outcome.is_ok();
        match outcome {
            Ok(()) => self.back_off.reset(),
            Err(DhtError::Unsupported { .. }) => self.due = None,
            Err(_) => self.due = Some(now.saturating_add(self.back_off.fail(random))),
        }
    }
}

impl Shared {
    /// Waits for changes until the registry is stopped.
    pub(super) fn watch(&self) {
        while !self.wake_flags.is_stopped() {
            match self.watch_for(self.max_sleep) {
                Step::Worked => {}
                Step::Idle => park_timeout(self.max_sleep),
                Step::Ended => return,
            }
        }
    }

    /// Waits for changes for so long at most, and applies them; for as long as a request may take,
    /// if the engine may have to connect. Idle if it is not time for that, or if the engine did not
    /// wait.
    pub(super) fn watch_for(&self, longest: Duration) -> Step {
        let Some(backend) = self.backend() else {
            return Step::Ended;
        };
        let Some(now) = self.now(&*backend) else {
            return Step::Idle;
        };
        drop(backend);
        let is_connected = match self.state.lock().watch() {
            watch if watch.is_due(now.at) => watch.is_connected(),
            _ => return Step::Idle,
        };
        let deadline = self.options.deadline(match is_connected {
            true => longest,
            false => self.options.request_deadline,
        });
        let mut changes = Vec::new();
        let outcome = catch_panic(|| {
            self.engine.changed(deadline, &mut |change| {
                changes.push(change);
                match changes.len() < MAX_CHANGES {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            })
        });
        let panicked = outcome.is_err();
        let outcome = outcome.unwrap_or(Err(DhtError::Closed));
        let now = self.now_or(now);
        (self.state.lock()).watched(&changes, outcome, panicked, now);
        if !changes.is_empty() {
            self.wake_flags.notify_work();
        }
        match Instant::now() >= deadline || !changes.is_empty() {
            true => Step::Worked,
            false => Step::Idle,
        }
    }
}

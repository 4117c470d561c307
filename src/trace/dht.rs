//! [`DhtTrace`] and [`DhtNotes`]: what the DHT of a registry says.

use super::Issue;
use super::limiter::Limiter;
use super::skew::{Direction, Evidence, Skew};
use super::subscriber::{InSpan, Subscriber};
use crate::dht::{DhtError, OfferOutcome, RejectReason, ShardPath};
use crate::relay::{Endpoint, NodeId};
use std::fmt;
use std::time::Duration;
use tracing::field::{Empty, debug, display};
use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};
use tracing::{debug, debug_span, info, warn};

/// So many events are kept until the next step.
const MAX_EVENTS: usize = 256;

/// The words of one DHT to the subscriber.
#[derive(Default)]
pub(crate) struct DhtTrace {
    subscriber: Subscriber,
    failing: Limiter,
    answering: Limiter,
    slow: Limiter,
    fast: Limiter,
}

/// What is noted under the lock of the DHT.
#[derive(Debug, Default)]
pub(crate) struct DhtNotes {
    unsaid: Unsaid,
    evidence: Evidence,
}

/// What is to be said after the lock is released.
#[derive(Debug, Default)]
pub(crate) struct Unsaid {
    events: Vec<Event>,
    /// Events beyond those.
    lost: u64,
    /// Requests that the engine refused, or that failed while the breaker was open or opened it, and
    /// the last of them.
    failing: Happened<Failing>,
    /// The breaker closed again.
    answering: Happened<()>,
    slow: Happened<Skew>,
    fast: Happened<Skew>,
}

#[derive(Debug)]
enum Event {
    Admitted(NodeId),
    Rejected(NodeId, RejectReason),
}

#[derive(Debug)]
struct Failing {
    error: DhtError,
    panicked: bool,
    engine_failures: u64,
    requests_pause: bool,
}

/// Whether an operator has to change something, although the engine answers.
fn is_refusal(error: &DhtError) -> bool {
    matches!(
        error,
        DhtError::Rejected { .. } | DhtError::TooLarge { .. } | DhtError::Unsupported { .. }
    )
}

/// How often a thing happened, and the last of it.
#[derive(Debug)]
struct Happened<T> {
    count: u64,
    last: Option<T>,
}

impl<T> Default for Happened<T> {
    fn default() -> Self {
        Self {
            count: 0,
            last: None,
        }
    }
}

impl<T> Happened<T> {
    fn note(&mut self, what: T) {
        self.count += 1;
        self.last = Some(what);
    }

    /// What to say at `now`, and how many others that stands for.
    fn due(self, now: Duration, limiter: &Limiter) -> Option<(T, u64)> {
        let last = self.last?;
        Some((last, limiter.permit(now, self.count)?))
    }
}

impl DhtNotes {
    /// Notes that a relay was learned.
    pub(crate) fn admitted(&mut self, relay: &NodeId) {
        self.event(|| Event::Admitted(*relay));
    }

    /// Notes how a record was judged at the registry's time and the wall clock's time `now`.
    /// `issue` says when the record was issued; a withdrawal has none.
    pub(crate) fn offered(
        &mut self,
        relay: &NodeId,
        outcome: Result<OfferOutcome, RejectReason>,
        now: (Duration, Duration),
        issue: impl FnOnce() -> Option<Issue>,
    ) {
        if let Err(reason) = outcome {
            self.event(|| Event::Rejected(*relay, reason));
        }
        if let Ok(OfferOutcome::Candidate | OfferOutcome::Renewed)
        | Err(RejectReason::Expired | RejectReason::FromTheFuture) = outcome
        {
            let (at, wall) = now;
            let skew = issue().and_then(|issue| self.evidence.note(relay, issue, at, wall));
            match skew {
                Some(skew) if skew.direction == Direction::Slow => self.unsaid.slow.note(skew),
                Some(skew) => self.unsaid.fast.note(skew),
                None => {}
            }
        }
    }

    /// Notes the outcome of a request, and whether the breaker was and is open.
    pub(crate) fn engine_called(
        &mut self,
        error: Option<&DhtError>,
        panicked: bool,
        engine_failures: u64,
        (was_open, is_open): (bool, bool),
    ) {
        match error {
            Some(error) if is_open || is_refusal(error) => self.unsaid.failing.note(Failing {
                error: error.clone(),
                panicked,
                engine_failures,
                requests_pause: is_open,
            }),
            _ if was_open && !is_open => self.unsaid.answering.note(()),
            _ => {}
        }
    }

    /// What was noted since the last call of this, to be [said](DhtTrace::say) without the lock.
    pub(crate) fn take(&mut self) -> Unsaid {
        std::mem::take(&mut self.unsaid)
    }

    fn event(&mut self, event: impl FnOnce() -> Event) {
        if !wants_debug() {
            return;
        }
        match self.unsaid.events.len() < MAX_EVENTS {
            true => self.unsaid.events.push(event()),
            false => self.unsaid.lost += 1,
        }
    }
}

impl DhtTrace {
    /// The span of a request that publishes the record of this node's relay: in the directory, if
    /// there is a `shard`.
    pub(crate) fn publish_span(
        &self,
        relay: &NodeId,
        shard: Option<ShardPath>,
        is_withdrawal: bool,
    ) -> JobSpan<'_> {
        JobSpan(self.subscriber.enter(|| {
            debug_span!(
                target: "relay_registry::dht",
                "publish",
                %relay,
                shard = shard.map(display),
                is_withdrawal,
                outcome = Empty,
                error = Empty,
                panicked = Empty
            )
        }))
    }

    /// The span of a query for a relay, or of a shard of the directory.
    pub(crate) fn query_span(
        &self,
        relay: Option<&NodeId>,
        shard: Option<ShardPath>,
    ) -> JobSpan<'_> {
        JobSpan(self.subscriber.enter(|| {
            debug_span!(
                target: "relay_registry::dht",
                "query",
                relay = relay.map(display),
                shard = shard.map(display),
                outcome = Empty,
                error = Empty,
                panicked = Empty
            )
        }))
    }

    /// The span of a probe.
    pub(crate) fn probe_span(&self, relay: &NodeId, endpoint: &Endpoint) -> JobSpan<'_> {
        JobSpan(self.subscriber.enter(|| {
            debug_span!(
                target: "relay_registry::dht",
                "probe",
                %relay,
                %endpoint,
                outcome = Empty,
                error = Empty,
                panicked = Empty
            )
        }))
    }

    /// Says what was noted, at the registry's time `now`.
    pub(crate) fn say(&self, unsaid: Unsaid, now: Duration) {
        let Unsaid {
            events,
            lost,
            failing,
            answering,
            slow,
            fast,
        } = unsaid;
        for event in events {
            self.say_event(&event);
        }
        if lost > 0 {
            let say = || debug!(target: "relay_registry::dht", lost, "further events are lost");
            self.subscriber.call(say);
        }
        if let Some((failing, suppressed)) = failing.due(now, &self.failing) {
            self.warn_of_failure(&failing, suppressed);
        }
        if let Some(((), suppressed)) = answering.due(now, &self.answering) {
            self.subscriber.call(|| {
                info!(target: "relay_registry::dht", suppressed, "the engine answers again");
            });
        }
        if let Some((skew, suppressed)) = slow.due(now, &self.slow) {
            self.warn_of_slow_clock(skew, suppressed);
        }
        if let Some((skew, suppressed)) = fast.due(now, &self.fast) {
            self.warn_of_fast_clock(skew, suppressed);
        }
    }

    /// The panics of the subscriber since the last call of this.
    pub(crate) fn take_panics(&self) -> u64 {
        self.subscriber.take_panics()
    }

    fn say_event(&self, event: &Event) {
        self.subscriber.call(|| match event {
            Event::Admitted(relay) => {
                debug!(target: "relay_registry::dht", %relay, "a relay was learned");
            }
            Event::Rejected(relay, reason) => {
                debug!(target: "relay_registry::dht", %relay, %reason, "a record was rejected");
            }
        });
    }

    fn warn_of_failure(&self, failing: &Failing, suppressed: u64) {
        let Failing {
            error,
            panicked,
            engine_failures,
            requests_pause,
        } = failing;
        self.subscriber.call(|| {
            warn!(
                target: "relay_registry::dht",
                %error,
                panicked,
                engine_failures,
                requests_pause,
                suppressed,
                "the engine fails"
            );
        });
    }

    fn warn_of_slow_clock(&self, skew: Skew, suppressed: u64) {
        self.subscriber.call(|| {
            warn!(
                target: "relay_registry::clock",
                prefixes = skew.agreeing,
                of_prefixes = skew.heard,
                median_seconds = skew.median.as_secs_f64(),
                suppressed,
                "records of other relays are issued in the future: this node's wall clock may be slow"
            );
        });
    }

    fn warn_of_fast_clock(&self, skew: Skew, suppressed: u64) {
        self.subscriber.call(|| {
            warn!(
                target: "relay_registry::clock",
                prefixes = skew.agreeing,
                of_prefixes = skew.heard,
                median_seconds = skew.median.as_secs_f64(),
                suppressed,
                "all records of other relays have expired: this node's wall clock may be fast"
            );
        });
    }
}

/// The span of a job of the DHT, until this is dropped.
pub(crate) struct JobSpan<'a>(InSpan<'a>);

impl JobSpan<'_> {
    /// Records how the job ended, and ends the span.
    pub(crate) fn ended(
        self,
        outcome: &Result<impl fmt::Debug, impl fmt::Display>,
        panicked: bool,
    ) {
        self.0.record(|span| {
            match outcome {
                Ok(outcome) => span.record("outcome", debug(outcome)),
                Err(error) => span.record("error", display(error)),
            };
            span.record("panicked", panicked);
        });
    }
}

/// Whether any subscriber wants events of the level debug. This does not call it.
fn wants_debug() -> bool {
    STATIC_MAX_LEVEL >= LevelFilter::DEBUG && LevelFilter::current() >= LevelFilter::DEBUG
}

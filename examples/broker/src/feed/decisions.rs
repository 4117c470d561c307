//! Decisions that are shown: a few a second, because to explain one is to look at all relays.

use crate::app::App;
use relay_registry::{Coordinate, Explanation, FindOptions, NodeId};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::task::spawn_blocking;

/// How many decisions are remembered.
const LATEST: usize = 25;
/// How many relays a decision shows.
const COMPARED: usize = 5;

#[derive(Default)]
pub struct Decisions {
    number: AtomicU64,
    latest: Mutex<VecDeque<Value>>,
    /// When this second began, and how many were sampled in it.
    second: Mutex<Option<(Instant, u32)>>,
}

impl Decisions {
    pub fn latest(&self) -> Vec<Value> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.iter().cloned().collect()
    }

    /// Gives a decision its number, and remembers it.
    pub fn remember(&self, mut decision: Value) -> Value {
        decision["number"] = self.number.fetch_add(1, Ordering::Relaxed).into();
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.len() == LATEST {
            latest.pop_front();
        }
        latest.push_back(decision.clone());
        decision
    }

    fn is_due(&self, most: u32) -> bool {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let (since, count) = match *second {
            Some((since, count)) if now.duration_since(since) < Duration::from_secs(1) => {
                (since, count)
            }
            _ => (now, 0),
        };
        *second = Some((since, count.saturating_add(1)));
        count < most
    }
}

/// A decision that is to be shown: all relays, as they were just before it.
pub struct Sample {
    explanation: Explanation,
    requester: NodeId,
    /// Where requester and target are, if that is known.
    places: [Option<Coordinate>; 2],
}

impl Sample {
    /// Explains the decision that is to be made, if it is one of the few.
    pub async fn take(
        app: &Arc<App>,
        (requester, target): (NodeId, NodeId),
        options: &FindOptions,
    ) -> Option<Self> {
        if !app.feed.decisions.is_due(app.config().decisions_per_second) {
            return None;
        }
        let places = [requester, target].map(|peer| app.accounts.coordinate(&peer));
        let (app, options) = (Arc::clone(app), options.clone());
        let explained = spawn_blocking(move || app.registry.explain(&target, &options));
        let explanation = explained.await.ok()?;
        Some(Self {
            explanation,
            requester,
            places,
        })
    }

    /// The decision, with the relay that was given, or why none was.
    pub fn decision(&self, given: Result<NodeId, &Value>, waited: Duration) -> Value {
        let explanation = &self.explanation;
        let relays = explanation.relays();
        let relay = given.ok();
        let row = relay.and_then(|relay| explanation.of(&relay));
        // The find takes one of the best, and need not take the first of them.
        let mut compared: Vec<_> = relays.iter().take(COMPARED).collect();
        compared.extend(row.filter(|row| !compared.iter().any(|it| it.relay == row.relay)));
        let options = serde_json::to_value(explanation.options()).unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        json!({
            "at_unix_seconds": now.unwrap_or_default().as_secs_f64(),
            "requester": self.requester,
            "target": explanation.target(),
            "requester_coordinate": self.places[0],
            "target_coordinate": self.places[1],
            "require": options["require"],
            "avoid": options["avoid"],
            "family": options["family"],
            "relay": relay,
            "error": given.err(),
            "expected_rtt_seconds": row.map(|row| row.path().as_secs_f64()),
            "score_seconds": row.map(|row| row.score_ms() / 1e3).filter(|it| it.is_finite()),
            "compared": compared,
            "relays": relays.len(),
            "eligible": explanation.eligible(),
            "rejected": explanation.rejections(),
            "waited_seconds": waited.as_secs_f64(),
        })
    }
}

//! The feed of the page: server-sent events of what goes on, for any number of pages.
//!
//! What happens is sent as it happens, and what is measured once a second. A page that is too slow is
//! told how many events it missed, and delays nothing.

mod decisions;
mod figures;
mod rows;

pub use decisions::Sample;

use crate::app::App;
use axum::Router;
use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use axum::routing::get;
use decisions::Decisions;
use figures::Meter;
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::task::spawn_blocking;
use tokio::time::{self, MissedTickBehavior};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

/// How many events a page may be behind.
const BEHIND: usize = 256;
/// The most relays that an event has.
const RELAYS: usize = 200;

/// An event, as text: made once for all pages.
#[derive(Clone)]
struct Frame {
    name: &'static str,
    data: Arc<str>,
}

pub struct Feed {
    frames: broadcast::Sender<Frame>,
    figures: Mutex<Value>,
    decisions: Decisions,
}

impl Feed {
    pub fn new() -> Self {
        Self {
            frames: broadcast::channel(BEHIND).0,
            figures: Mutex::default(),
            decisions: Decisions::default(),
        }
    }

    /// Tells all pages of a decision, and remembers it for those to come.
    pub fn tell_decision(&self, decision: Value) {
        let decision = self.decisions.remember(decision);
        self.send("decision", &decision);
    }

    /// Whether any page follows.
    fn has_readers(&self) -> bool {
        self.frames.receiver_count() > 0
    }

    fn send(&self, name: &'static str, data: &impl Serialize) {
        if !self.has_readers() {
            return;
        }
        let data = serde_json::to_string(data).expect("it is JSON").into();
        // No page is left: then it is lost, as it should be.
        _ = self.frames.send(Frame { name, data });
    }
}

impl Default for Feed {
    fn default() -> Self {
        Self::new()
    }
}

pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/events", get(events))
}

async fn events(
    State(app): State<Arc<App>>,
) -> Sse<impl futures_util::Stream<Item = Result<Event, Infallible>>> {
    let frames = BroadcastStream::new(app.feed.frames.subscribe());
    let events = frames.map(|frame| {
        Ok(match frame {
            Ok(Frame { name, data }) => Event::default().event(name).data(data),
            Err(BroadcastStreamRecvError::Lagged(count)) => {
                let data = json!({ "count": count }).to_string();
                Event::default().event("missed").data(data)
            }
        })
    });
    let ended = app.ended.clone().cancelled_owned();
    Sse::new(events.take_until(ended)).keep_alive(KeepAlive::default())
}

/// What the page shows first.
pub async fn state(app: Arc<App>) -> Value {
    let decisions = app.feed.decisions.latest();
    let figures = app.feed.figures.lock();
    let figures = figures.unwrap_or_else(PoisonError::into_inner).clone();
    // It visits all records.
    let described =
        spawn_blocking(move || (rows::all(&app.registry, RELAYS), app.registry.stats()));
    let (relays, stats) = described.await.expect("it does not panic");
    json!({
        "total": relays.total,
        "relays": relays.relays,
        "stats": stats,
        "figures": figures,
        "decisions": decisions,
    })
}

/// Sends the changes of the registry, until it is closed.
pub async fn send_changes(app: Arc<App>) {
    let changes = app.registry.events();
    while let Some(change) = changes.next().await {
        app.feed.send("change", &change);
    }
}

/// Sends figures and relays once a second, until the broker has ended.
pub async fn send_figures(app: Arc<App>) {
    let mut seconds = time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut meter = Meter::default();
    loop {
        tokio::select! {
            _ = seconds.tick() => {}
            () = app.ended.cancelled() => return,
        }
        let shared = Arc::clone(&app);
        let measured = spawn_blocking(move || {
            let relays = shared
                .feed
                .has_readers()
                .then(|| rows::all(&shared.registry, RELAYS));
            (shared.registry.stats(), relays)
        });
        let Ok((stats, relays)) = measured.await else {
            return;
        };
        let figures = meter.figures(&stats, app.sessions.len());
        app.feed.send("figures", &figures);
        *app.feed
            .figures
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = figures;
        if let Some(relays) = relays {
            app.feed.send("relays", &relays);
        }
    }
}

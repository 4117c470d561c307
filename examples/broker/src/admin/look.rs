//! What the registry has, as JSON.

use crate::app::App;
use crate::errors::ApiError;
use crate::feed;
use crate::requests::{Asked, At};
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use relay_registry::{Explanation, FindOptions, NodeId, RelayInfo};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use tokio::task::spawn_blocking;

pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/state", get(state))
        .route("/api/relays/{id}", get(relay))
        .route("/api/explain", get(explain))
}

async fn state(State(app): State<Arc<App>>) -> Json<Value> {
    Json(feed::state(app).await)
}

async fn relay(
    State(app): State<Arc<App>>,
    At(id): At<NodeId>,
) -> Result<Json<RelayInfo>, ApiError> {
    let relay = app.registry.relay(&id);
    relay.map(Json).ok_or_else(ApiError::unknown_relay)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    requester: NodeId,
    target: NodeId,
}

/// Which relay a session between two peers would get now, and why not another one.
async fn explain(
    State(app): State<Arc<App>>,
    Asked(Pair { requester, target }): Asked<Pair>,
) -> Result<Json<Explanation>, ApiError> {
    let options = FindOptions::new().requester(requester).max_results(1);
    // It visits all records.
    let explained = spawn_blocking(move || app.registry.explain(&target, &options));
    Ok(Json(explained.await.expect("it does not panic")))
}

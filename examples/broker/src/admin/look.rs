//! What the registry has, as JSON.

use crate::app::App;
use crate::errors::ApiError;
use crate::feed;
use crate::requests::{Asked, At};
use crate::sessions::Query;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use relay_registry::{Explanation, NodeId, RelayInfo};
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

/// Which relay a session that asks for the same would get now, and why not another one.
async fn explain(
    State(app): State<Arc<App>>,
    Asked(asked): Asked<Query>,
) -> Result<Json<Explanation>, ApiError> {
    let target = asked.target;
    let options = asked.options(&app.config().sessions.labels)?;
    // It visits all records.
    let explained = spawn_blocking(move || app.registry.explain(&target, &options));
    Ok(Json(explained.await.expect("it does not panic")))
}

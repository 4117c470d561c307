//! What peers call beside sessions: to say where they are, and to find a home.

pub mod accounts;

use crate::app::App;
use crate::errors::ApiError;
use crate::requests::{Asked, Body};
use crate::tokens::PeerId;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, put};
use axum::{Json, Router};
use relay_registry::{FindOptions, NodeId, PeerView, RelayInfo};
use serde::Deserialize;
use std::sync::Arc;

pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/peers/{id}", put(view))
        .route("/v1/peers/{id}/home", get(home))
}

/// Remembers what a peer measured, and where it is. It counts for sessions with it at either end.
async fn view(
    State(app): State<Arc<App>>,
    PeerId(id): PeerId,
    Body(view): Body<PeerView>,
) -> Result<StatusCode, ApiError> {
    let every = app.config().sessions.view_every_seconds.get();
    let taken = app.accounts.takes_view(id, view.position(), every);
    taken.map_err(too_early)?;
    app.registry.update_peer(&id, view);
    Ok(StatusCode::NO_CONTENT)
}

fn too_early(wait: std::time::Duration) -> ApiError {
    let seconds = u16::try_from(wait.as_secs() + 1).unwrap_or(u16::MAX);
    let message = format!("a peer sends its view now and then: the next one in {seconds} s");
    ApiError::too_many_requests("too-early", message, seconds)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Home {
    /// The home that the peer has.
    current: Option<NodeId>,
}

/// The relay over which others reach a peer. The path from the peer to itself has the leg of the peer
/// twice, and no other: so this ranks relays by that leg and by their load.
async fn home(
    State(app): State<Arc<App>>,
    PeerId(id): PeerId,
    Asked(Home { current }): Asked<Home>,
) -> Result<Json<RelayInfo>, ApiError> {
    if app.closing.is_cancelled() {
        return Err(ApiError::closing());
    }
    let mut options = FindOptions::new().requester(id);
    if let Some(current) = current {
        options = options.prefer(current);
    }
    Ok(Json(app.registry.find_relay_with(&id, &options)?))
}

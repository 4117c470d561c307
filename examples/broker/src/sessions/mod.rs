//! Sessions: a peer asks for a relay to another peer over a WebSocket, and has a unit of the relay's
//! capacity for as long as the connection lasts.

mod asked;
mod messages;
mod session;

use crate::app::App;
use crate::errors::ApiError;
use crate::requests::Asked;
use crate::serve::Place;
use crate::tokens::{self, Role};
pub use asked::Query;
use axum::Router;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use session::Session;
use std::sync::Arc;

/// The most that a message of a peer may have, and what is kept for reading: there are many sessions.
const MESSAGE_BYTES: usize = 1024;
/// The most that waits to be taken by a peer that does not read: an answer, and pongs.
const WAITING_BYTES: usize = 64 * 1024;

pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/sessions", get(open))
}

async fn open(
    State(app): State<Arc<App>>,
    Asked(asked): Asked<Query>,
    headers: HeaderMap,
    axum::Extension(place): axum::Extension<Place>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    tokens::check(&app, &headers, Role::Peer, &asked.requester)?;
    if app.closing.is_cancelled() {
        return Err(ApiError::closing());
    }
    let config = app.config();
    let (requester, target) = (asked.requester, asked.target);
    let options = asked.options(&config.sessions.labels)?;
    let most = config.sessions.per_peer;
    let seat = app.accounts.open_session(requester, most);
    let seat = seat.ok_or_else(|| too_many_sessions(most))?;
    let upgrade =
        upgrade.map_err(|error| ApiError::bad_request("not-a-websocket", error.body_text()))?;
    let open = app.sessions.token();
    let session = Session::new(app, requester, target, options);
    Ok(upgrade
        .read_buffer_size(MESSAGE_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WAITING_BYTES)
        .max_message_size(MESSAGE_BYTES)
        .max_frame_size(MESSAGE_BYTES)
        .on_upgrade(async move |socket| {
            session.run(socket).await;
            drop((seat, place, open));
        }))
}

fn too_many_sessions(most: usize) -> ApiError {
    let message = format!("this peer has {most} sessions, and may have no more at a time");
    ApiError::too_many_requests("too-many-sessions", message, 2)
}

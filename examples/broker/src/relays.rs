//! What relays call: to register, to renew, to say how loaded they are, to drain and to leave.

use crate::app::App;
use crate::errors::ApiError;
use crate::requests::Body;
use crate::tokens::RelayId;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{post, put};
use axum::{Json, Router};
use relay_registry::{Endpoint, RegisterOptions, Registration};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;

pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/relays/{id}", put(register).delete(unregister))
        .route("/v1/relays/{id}/load", post(load))
        .route("/v1/relays/{id}/draining", put(draining))
}

/// The options that a relay may not set: the operator ranks relays, the broker measures them, and it
/// says how often they renew.
const RESERVED: [&str; 4] = ["tier", "cost", "latency_seconds", "ttl_seconds"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Announcement {
    endpoint: Endpoint,
    #[serde(default)]
    options: Map<String, Value>,
    load: Option<u32>,
}

#[derive(Serialize)]
struct Registered {
    registration: Registration,
    ttl_seconds: f64,
    /// So that two renewals may be lost.
    renew_after_seconds: f64,
}

async fn register(
    State(app): State<Arc<App>>,
    RelayId(id): RelayId,
    Body(announcement): Body<Announcement>,
) -> Result<Json<Registered>, ApiError> {
    let options = options(announcement.options)?;
    let registry = &app.registry;
    let registration = registry.register_with(id, announcement.endpoint, &options)?;
    if let Some(load) = announcement.load {
        registry.report_load(&id, load);
    }
    let ttl = app.config().registry.ttl_seconds.get();
    Ok(Json(Registered {
        registration,
        ttl_seconds: ttl.as_secs_f64(),
        renew_after_seconds: (ttl / 3).as_secs_f64(),
    }))
}

fn options(given: Map<String, Value>) -> Result<RegisterOptions, ApiError> {
    if let Some(name) = RESERVED.into_iter().find(|name| given.contains_key(*name)) {
        let message = format!("a relay does not set {name}; leave it out");
        return Err(ApiError::bad_request("reserved-option", message));
    }
    serde_json::from_value(Value::Object(given))
        .map_err(|error| ApiError::bad_request("invalid-body", format!("options: {error}")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Load {
    load: u32,
}

async fn load(
    State(app): State<Arc<App>>,
    RelayId(id): RelayId,
    Body(Load { load }): Body<Load>,
) -> Result<StatusCode, ApiError> {
    known(app.registry.report_load(&id, load))
}

/// What relays say of themselves, and the operator of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draining {
    pub draining: bool,
}

async fn draining(
    State(app): State<Arc<App>>,
    RelayId(id): RelayId,
    Body(Draining { draining }): Body<Draining>,
) -> Result<StatusCode, ApiError> {
    app.registry.set_draining(&id, draining)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn unregister(
    State(app): State<Arc<App>>,
    RelayId(id): RelayId,
) -> Result<StatusCode, ApiError> {
    known(app.registry.unregister(&id))
}

fn known(is_known: bool) -> Result<StatusCode, ApiError> {
    match is_known {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::unknown_relay()),
    }
}

//! What the operator says of a relay, registered or not. It holds until it is lifted, also across
//! restarts if the broker saves its state.

use crate::app::App;
use crate::errors::ApiError;
use crate::relays::Draining;
use crate::requests::{At, Body};
use crate::tokens::Operator;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{delete, put};
use relay_registry::NodeId;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/relays/{id}/draining", put(draining))
        .route("/api/relays/{id}/tier", put(tier))
        .route("/api/relays/{id}/cost", put(cost))
        .route("/api/relays/{id}/ban", put(ban))
        .route("/api/relays/{id}/settings", delete(lift))
}

type Done = Result<StatusCode, ApiError>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tier {
    tier: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cost {
    cost: f64,
}

/// For how long; 0 ends a ban.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ban {
    seconds: u64,
}

async fn draining(
    _: Operator,
    State(app): State<Arc<App>>,
    At(id): At<NodeId>,
    Body(Draining { draining }): Body<Draining>,
) -> Done {
    app.registry.set_draining(&id, draining)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn tier(
    _: Operator,
    State(app): State<Arc<App>>,
    At(id): At<NodeId>,
    Body(Tier { tier }): Body<Tier>,
) -> Done {
    app.registry.set_tier(&id, tier)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn cost(
    _: Operator,
    State(app): State<Arc<App>>,
    At(id): At<NodeId>,
    Body(Cost { cost }): Body<Cost>,
) -> Done {
    app.registry.set_cost(&id, cost)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn ban(
    _: Operator,
    State(app): State<Arc<App>>,
    At(id): At<NodeId>,
    Body(Ban { seconds }): Body<Ban>,
) -> Done {
    app.registry.ban(&id, Duration::from_secs(seconds))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets all that was set.
async fn lift(_: Operator, State(app): State<Arc<App>>, At(id): At<NodeId>) -> StatusCode {
    app.registry.lift(&id);
    StatusCode::NO_CONTENT
}

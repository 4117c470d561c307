//! Figures for Prometheus: those of the registry, which it records by itself, and those of the broker.

use crate::app::App;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics::{counter, describe_counter, describe_gauge};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use std::sync::Arc;
use std::time::Duration;

/// How often the registry records its figures: several times between two scrapes.
pub const REGISTRY_INTERVAL: Duration = Duration::from_secs(5);

/// Installs the recorder of the process. Call it once, before a broker starts.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new().install_recorder()?;
    describe_gauge!("broker_sessions", "Sessions that are open.");
    describe_counter!(
        "broker_sessions_ended_total",
        "Sessions that ended, by reason."
    );
    describe_counter!(
        "broker_finds_total",
        "Relays that sessions asked for, by outcome."
    );
    describe_counter!(
        "broker_failures_total",
        "Failures that peers reported, and whether they counted."
    );
    describe_counter!(
        "broker_requests_total",
        "Requests of relays and peers, by route and status."
    );
    describe_counter!(
        "broker_reloads_total",
        "Changed configurations, by outcome."
    );
    describe_counter!(
        "broker_probes_total",
        "Round trips that were measured, by outcome."
    );
    Ok(handle)
}

pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/metrics", get(text))
}

async fn text(State(app): State<Arc<App>>) -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, "text/plain; version=0.0.4")];
    (headers, app.metrics.render())
}

/// Counts a request, by its route: paths themselves have ids, and there is no end of them.
pub async fn count(route: MatchedPath, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let labels = [
        ("route", route.as_str().to_owned()),
        ("status", response.status().as_str().to_owned()),
    ];
    counter!("broker_requests_total", &labels).increment(1);
    response
}

//! Figures for Prometheus.

use crate::app::App;
use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use std::sync::Arc;

/// Installs the recorder of the process. Call it once, before a broker starts.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new().install_recorder()
}

pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/metrics", get(text))
}

async fn text(State(app): State<Arc<App>>) -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, "text/plain; version=0.0.4")];
    (headers, app.metrics.render())
}

//! What the operator calls. To look needs no token: keep the listener private. To change does.

mod look;
mod settings;

use crate::app::App;
use crate::{feed, metrics, page};
use axum::Router;
use std::sync::Arc;

pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .merge(page::routes())
        .merge(feed::routes())
        .merge(metrics::routes())
        .merge(look::routes())
        .merge(settings::routes())
}

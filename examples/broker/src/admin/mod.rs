//! What the operator calls.

use crate::app::App;
use crate::{feed, metrics, page};
use axum::Router;
use std::sync::Arc;

pub fn routes() -> Router<Arc<App>> {
    page::routes().merge(metrics::routes()).merge(feed::routes())
}

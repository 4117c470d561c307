//! What peers call beside sessions: to say where they are, and to find a home.

pub mod accounts;

use crate::app::App;
use axum::Router;
use std::sync::Arc;

pub fn routes() -> Router<Arc<App>> {
    Router::new()
}

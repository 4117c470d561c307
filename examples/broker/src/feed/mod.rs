//! The feed of the page: server-sent events.

use crate::app::App;
use axum::Router;
use std::sync::Arc;

#[derive(Default)]
pub struct Feed {}

impl Feed {
    pub fn new() -> Self {
        Self::default()
    }
}

pub fn routes() -> Router<Arc<App>> {
    Router::new()
}

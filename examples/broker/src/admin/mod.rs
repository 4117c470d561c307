//! What the operator calls. To look needs no token: keep the listener private. To change does.

mod host;
mod look;
mod settings;

use crate::app::App;
use crate::{feed, metrics, page};
use axum::{Router, middleware};
use std::net::IpAddr;
use std::sync::Arc;

/// The routes of a listener at this address.
pub fn routes(address: IpAddr) -> Router<Arc<App>> {
    let routes = Router::new()
        .merge(page::routes())
        .merge(feed::routes())
        .merge(metrics::routes())
        .merge(look::routes())
        .merge(settings::routes());
    match address.is_loopback() {
        true => routes.layer(middleware::from_fn(host::check)),
        false => routes,
    }
}

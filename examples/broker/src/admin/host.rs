//! Keeps pages of elsewhere from a listener on loopback. The owner of a name can make it lead to
//! loopback (DNS rebinding): to the browser, all that is there is then of that name, and its pages may
//! read it. But the browser sends the name.

use crate::errors::ApiError;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;

/// Refuses a request whose `Host` is a name other than `localhost`. What is no browser may send none.
pub async fn check(request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST);
    if host.is_none_or(|host| is_local(host.as_bytes())) {
        return next.run(request).await;
    }
    let message = "call this listener by its address, or as localhost";
    ApiError::new(StatusCode::MISDIRECTED_REQUEST, "wrong-host", message).into_response()
}

fn is_local(host: &[u8]) -> bool {
    Authority::try_from(host).is_ok_and(|authority| {
        let host = authority.host();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
    })
}

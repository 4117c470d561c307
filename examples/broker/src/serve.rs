//! A listener: a bounded number of connections, each with time-outs, that ends when it is told.

use crate::config::Limits;
use crate::errors::ApiError;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// How long to wait after the system refused a connection, such as for want of descriptors.
const AFTER_ERROR: Duration = Duration::from_millis(100);
/// The most that the head of a request may have.
const HEAD_BYTES: usize = 16 * 1024;

/// The place of a connection among those that may be open. A session keeps it after the upgrade.
#[derive(Clone)]
pub struct Place {
    _permit: Arc<OwnedSemaphorePermit>,
}

/// Accepts connections until `closing`, and returns when those that are open have ended. Beyond
/// `most` connections, further ones wait to be accepted.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    most: usize,
    limits: Limits,
    closing: CancellationToken,
) {
    let router = with_limits(router, &limits);
    let places = Arc::new(Semaphore::new(most));
    let open = TaskTracker::new();
    loop {
        let (stream, place) = tokio::select! {
            () = closing.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let (router, closing) = (router.clone(), closing.clone());
        open.spawn(connection(
            stream,
            place,
            router,
            limits.request_seconds.get(),
            closing,
        ));
    }
    drop(listener);
    open.close();
    open.wait().await;
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, Place) {
    let permit = Arc::clone(places).acquire_owned().await;
    let place = Place {
        _permit: Arc::new(permit.expect("it is not closed")),
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                time::sleep(AFTER_ERROR).await;
            }
        }
    }
}

/// Serves one connection. The time-out is for the head of each request, and for the time between two.
async fn connection(
    stream: TcpStream,
    place: Place,
    router: Router,
    timeout: Duration,
    closing: CancellationToken,
) {
    // Messages are small, and each is waited for.
    _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(place.clone());
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeout)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

fn with_limits(router: Router, limits: &Limits) -> Router {
    let timeout = limits.request_seconds.get();
    let in_time = move |request: Request, next: Next| async move {
        match time::timeout(timeout, next.run(request)).await {
            Ok(response) => response,
            Err(_) => too_slow(),
        }
    };
    router
        .fallback(|| async { ApiError::unknown_path() })
        .method_not_allowed_fallback(|| async { ApiError::wrong_method() })
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .layer(middleware::from_fn(in_time))
}

fn too_slow() -> Response {
    let message = "the request did not arrive in time";
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", message).into_response()
}

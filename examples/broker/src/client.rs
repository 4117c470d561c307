//! A thin client of the broker's HTTP calls, for the load generator and the tests.

use axum::body::Body;
use http_body_util::BodyExt;
use hyper::body::Bytes;
use hyper::{HeaderMap, Method, Request, StatusCode, header};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::error::Error;
use std::net::SocketAddr;

/// Calls of one listener. Cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct Client {
    http: Http<HttpConnector, Body>,
    broker: SocketAddr,
}

/// An answer, read whole.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Client {
    pub fn new(broker: SocketAddr) -> Self {
        Self {
            http: Http::builder(TokioExecutor::new()).build_http(),
            broker,
        }
    }

    /// Calls `method` on `path`, such as `/v1/relays/c0ffee`, with a token and a body of JSON.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Result<Answer, Box<dyn Error + Send + Sync>> {
        let uri = format!("http://{}{path}", self.broker);
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = match body {
            Some(body) => request
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        let (head, body) = self.http.request(request?).await?.into_parts();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.collect().await?.to_bytes(),
        })
    }
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

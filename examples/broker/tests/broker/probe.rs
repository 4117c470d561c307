//! The round trips that the broker measures itself.

use crate::support::{id, start, until};
use hyper::Method;
use serde_json::json;
use std::net::TcpListener;

#[tokio::test]
async fn relays_that_answer_are_measured_and_others_fail() {
    let it = start("probe.enabled = true").await;
    let listening = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoints = [&listening, &gone].map(|it| it.local_addr().unwrap());
    drop(gone);
    for (number, endpoint) in [1, 2].into_iter().zip(endpoints) {
        let body = json!({ "endpoint": endpoint });
        let registered = it.relay(Method::PUT, id(number), "", Some(body)).await;
        assert_eq!(registered.status, 200);
    }
    until("one is measured", async || {
        it.known(1).await["latency_seconds"].is_f64()
    })
    .await;
    until("one has failed", async || {
        it.known(2).await["circuit"] == "open"
    })
    .await;
}

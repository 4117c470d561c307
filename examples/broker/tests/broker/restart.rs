//! The end of a broker, and the one after it.

use crate::support::{id, start, until};
use hyper::Method;
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

#[tokio::test]
async fn a_restart_keeps_relays_and_settings() {
    let it = start("").await;
    it.register(1, json!({ "capacity": 7 })).await;
    it.register(2, json!({})).await;
    it.relay(Method::DELETE, id(2), "", None).await;
    let path = format!("/api/relays/{}/tier", id(1));
    it.operator(Method::PUT, &path, Some(json!({ "tier": 3 })))
        .await;
    let it = it.restart("").await;
    let relay = it.known(1).await;
    assert_eq!((&relay["capacity"], &relay["tier"]), (&json!(7), &json!(3)));
    assert_eq!(it.known(2).await["error"]["kind"], "unknown-relay");
    assert_eq!(
        it.session((8, 9), "").await.unwrap().relay().await,
        id(1).to_string()
    );
}

#[tokio::test]
async fn sessions_are_told_and_given_a_grace() {
    let it = start("sessions.grace_seconds = 3600").await;
    it.register(1, json!({})).await;
    let mut session = it.session((8, 9), "").await.unwrap();
    session.relay().await;
    let (registry, public) = (it.broker.app.registry.clone(), it.broker.public);
    let ending = tokio::spawn(it.broker.shut_down());
    let told = session.next().await;
    assert_eq!(
        (&told["type"], &told["grace_seconds"]),
        (&json!("closing"), &json!(3600.0))
    );
    assert_eq!(
        registry.relay(&id(1)).unwrap().current_load(),
        1,
        "it goes on"
    );
    until("no connection is accepted", async || {
        tokio::net::TcpStream::connect(public).await.is_err()
    })
    .await;

    session.fail().await;
    assert_eq!(
        session.next().await["error"]["kind"],
        "closing",
        "there is no other relay"
    );
    drop(session);
    ending.await.unwrap();
    assert_eq!(registry.relay(&id(1)).unwrap().current_load(), 0);
}

#[tokio::test]
async fn a_session_that_does_not_end_is_ended() {
    let it = start("sessions.grace_seconds = 0.1").await;
    it.register(1, json!({})).await;
    let mut session = it.session((8, 9), "").await.unwrap();
    session.relay().await;
    it.broker.shut_down().await;
    assert_eq!(session.next().await["type"], "closing");
    assert_eq!(session.next().await, Value::Null);
}

#[tokio::test]
async fn a_state_that_is_none_keeps_the_broker_from_starting() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("relays.save"), "something else").unwrap();
    let text = crate::support::text(&folder, "");
    let config = broker::config::Config::parse(&text).unwrap();
    let handle = start("").await.broker.app.metrics.clone();
    let started = broker::broker::Broker::start(config, None, handle).await;
    let error = started.err().expect("it does not start").to_string();
    assert!(error.contains("move the file away"), "{error}");
    let kept = fs::read_to_string(folder.path().join("relays.save")).unwrap();
    assert_eq!(kept, "something else");
}

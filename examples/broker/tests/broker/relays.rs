//! What relays call.

use crate::support::{Running, id, start, until};
use broker::tokens::Role;
use hyper::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_relay_registers_renews_and_leaves() {
    let it = start("").await;
    let first = it.register(1, json!({ "capacity": 5 })).await.json();
    assert_eq!(first["registration"], "new");
    assert_eq!(first["renew_after_seconds"], 20.0);
    assert_eq!(
        it.register(1, json!({})).await.json()["registration"],
        "renewed"
    );
    assert_eq!(it.known(1).await["capacity"], 5);

    let body = Some(json!({ "load": 3 }));
    assert_eq!(
        it.relay(Method::POST, id(1), "/load", body).await.status,
        204
    );
    assert_eq!(it.load(1).await, Some(3));

    assert_eq!(it.relay(Method::DELETE, id(1), "", None).await.status, 204);
    let again = it.relay(Method::DELETE, id(1), "", None).await;
    assert_eq!(
        (again.status.as_u16(), &again.json()["error"]["kind"]),
        (404, &json!("unknown-relay"))
    );
    it.broker.shut_down().await;
}

#[tokio::test]
async fn a_relay_that_does_not_renew_expires() {
    let it = start("registry.ttl_seconds = 1").await;
    it.register(1, json!({})).await;
    assert!(it.broker.app.registry.is_relay(&id(1)));
    until("the relay expires", async || {
        !it.broker.app.registry.is_relay(&id(1))
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_a_registration_is_said() {
    let it = start("registry.max_relays = 1\nlimits.body_bytes = 600").await;
    let put = async |body: Value| {
        let answer = it.relay(Method::PUT, id(1), "", Some(body)).await;
        let kind = answer.json()["error"]["kind"].as_str().map(str::to_owned);
        (answer.status.as_u16(), kind.unwrap_or_default())
    };
    let with = |options: Value| json!({ "endpoint": "192.0.2.1:4433", "options": options });
    assert_eq!(
        put(with(json!({ "capacity": 0 }))).await,
        (400, "invalid-capacity".into())
    );
    assert_eq!(
        put(with(json!({ "tier": 0 }))).await,
        (400, "reserved-option".into())
    );
    assert_eq!(
        put(with(json!({ "latency_seconds": 0.001 }))).await,
        (400, "reserved-option".into())
    );
    assert_eq!(
        put(with(json!({ "colour": "red" }))).await,
        (400, "invalid-body".into())
    );
    assert_eq!(
        put(json!({ "endpoint": "nowhere" })).await,
        (422, "invalid-body".into())
    );
    let long = "x".repeat(600);
    assert_eq!(
        put(json!({ "endpoint": long })).await,
        (413, "body-too-large".into())
    );

    it.register(1, json!({})).await;
    let full = it.register(2, json!({})).await;
    assert_eq!(
        (full.status.as_u16(), &full.json()["error"]["kind"]),
        (503, &json!("full"))
    );
    assert!(full.headers.contains_key("retry-after"));

    let token = it.token(Role::Relay, id(1));
    let odd = it
        .public
        .call(Method::DELETE, "/v1/relays/xyz", Some(&token), None)
        .await
        .unwrap();
    assert_eq!(
        (odd.status.as_u16(), &odd.json()["error"]["kind"]),
        (400, &json!("invalid-id"))
    );
}

#[tokio::test]
async fn each_relay_has_a_token_of_its_own() {
    let it = start(&format!("revoked = ['{}']", id(3))).await;
    let refusal = async |it: &Running, token: Option<&str>, number: u8| {
        let (path, body) = (
            format!("/v1/relays/{}", id(number)),
            json!({ "endpoint": "192.0.2.1:4433" }),
        );
        let answer = it
            .public
            .call(Method::PUT, &path, token, Some(body))
            .await
            .unwrap();
        let kind = answer.json()["error"]["kind"].as_str().map(str::to_owned);
        (answer.status.as_u16(), kind.unwrap_or_default())
    };
    let (own, others) = (it.token(Role::Relay, id(1)), it.token(Role::Relay, id(2)));
    let (of_peer, revoked) = (it.token(Role::Peer, id(1)), it.token(Role::Relay, id(3)));
    let wrong = (401, "wrong-token".to_owned());
    assert_eq!(refusal(&it, None, 1).await, (401, "missing-token".into()));
    assert_eq!(refusal(&it, Some("guess"), 1).await, wrong);
    assert_eq!(refusal(&it, Some(&own[..62]), 1).await, wrong);
    assert_eq!(
        refusal(&it, Some(&others), 1).await,
        wrong,
        "someone else's"
    );
    assert_eq!(refusal(&it, Some(&of_peer), 1).await, wrong, "a peer's");
    assert_eq!(
        refusal(&it, Some(&revoked), 3).await,
        (403, "revoked".into())
    );
    assert_eq!(it.broker.app.registry.relay_count(), 0);
    assert_eq!(refusal(&it, Some(&own), 1).await.0, 200);
}

#[tokio::test]
async fn a_relay_that_drains_gets_no_new_session() {
    let it = start("sessions.wait_seconds = 0").await;
    it.register(1, json!({})).await;
    let mut held = it.session((8, 9), "").await.unwrap();
    held.relay().await;
    let drain = async |draining: bool| {
        let body = Some(json!({ "draining": draining }));
        it.relay(Method::PUT, id(1), "/draining", body)
            .await
            .status
            .as_u16()
    };
    assert_eq!(drain(true).await, 204);
    let none = it.session((8, 9), "").await.unwrap().next().await;
    assert_eq!(
        (&none["type"], &none["error"]["rejections"]["draining"]),
        (&json!("none"), &json!(1))
    );
    assert_eq!(it.load(1).await, Some(1), "the lease stays");
    assert_eq!(drain(false).await, 204);
    it.session((8, 9), "").await.unwrap().relay().await;
}

#[tokio::test]
async fn what_is_not_there_is_an_error_as_all_others() {
    let it = start("").await;
    for client in [&it.public, &it.admin] {
        let answer = client.call(Method::GET, "/nothing", None, None).await;
        let answer = answer.unwrap();
        assert_eq!(answer.status, 404);
        assert_eq!(answer.json()["error"]["kind"], "unknown-path");
    }
    let answer = it.public.call(Method::POST, "/health", None, None).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, 405);
    assert_eq!(answer.headers["allow"], "GET,HEAD");
    assert_eq!(answer.json()["error"]["kind"], "wrong-method");
}

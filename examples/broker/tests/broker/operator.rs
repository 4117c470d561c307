//! What the operator calls, and the feed.

use crate::support::{DEADLINE, id, start};
use hyper::Method;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

#[tokio::test]
async fn settings_need_the_operators_token() {
    let it = start("").await;
    it.register(1, json!({})).await;
    let path = |what: &str| format!("/api/relays/{}/{what}", id(1));
    for (what, body) in [
        ("draining", json!({ "draining": true })),
        ("tier", json!({ "tier": 1 })),
        ("cost", json!({ "cost": 2.0 })),
        ("ban", json!({ "seconds": 60 })),
    ] {
        for token in [
            None,
            Some("guess"),
            Some(&*it.token(broker::tokens::Role::Relay, id(1))),
        ] {
            let body = Some(body.clone());
            let refused = it
                .admin
                .call(Method::PUT, &path(what), token, body)
                .await
                .unwrap();
            assert_eq!(refused.status, 401, "{what}");
        }
        let set = it.operator(Method::PUT, &path(what), Some(body)).await;
        assert_eq!(set.status, 204, "{what}");
    }
    let relay = it.known(1).await;
    assert_eq!((&relay["tier"], &relay["cost"]), (&json!(1), &json!(2.0)));
    assert_eq!(
        (&relay["draining"], &relay["banned"]),
        (&json!(true), &json!(true))
    );

    let wrong = it
        .operator(Method::PUT, &path("cost"), Some(json!({ "cost": 0.0 })))
        .await;
    assert_eq!(
        (wrong.status.as_u16(), &wrong.json()["error"]["kind"]),
        (400, &json!("invalid-cost"))
    );

    let refused = it
        .admin
        .call(Method::DELETE, &path("settings"), None, None)
        .await
        .unwrap();
    assert_eq!(refused.status, 401);
    it.operator(Method::DELETE, &path("settings"), None).await;
    let relay = it.known(1).await;
    assert_eq!(
        (&relay["tier"], &relay["draining"], &relay["banned"]),
        (&json!(0), &json!(false), &json!(false))
    );
}

#[tokio::test]
async fn the_state_has_relays_and_decisions_and_a_pair_is_explained() {
    let it = start("").await;
    it.register(1, json!({ "labels": ["eu"] })).await;
    it.session((8, 9), "").await.unwrap().relay().await;
    let state = it.operator(Method::GET, "/api/state", None).await.json();
    assert_eq!(state["total"], 1);
    let relay = &state["relays"][0];
    assert_eq!(
        (&relay["state"], &relay["labels"]),
        (&json!("eligible"), &json!(["eu"]))
    );
    let decision = &state["decisions"][0];
    assert_eq!(
        (&decision["relay"], &decision["target"]),
        (&json!(id(1)), &json!(id(9)))
    );
    assert_eq!(decision["compared"][0]["verdict"], "chosen");

    let path = format!("/api/explain?requester={}&target={}", id(8), id(1));
    let explanation = it.operator(Method::GET, &path, None).await.json();
    assert_eq!(
        explanation["relays"][0]["verdict"], "excluded",
        "it is the target"
    );
    assert_eq!(
        it.operator(Method::GET, "/", None).await.status,
        200,
        "the page"
    );
}

#[tokio::test]
async fn the_feed_has_relays_figures_changes_and_decisions() {
    let it = start("").await;
    let mut stream = BufReader::new(TcpStream::connect(it.broker.admin).await.unwrap());
    stream
        .write_all(b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    assert!(line.contains("200"), "{line}");
    it.register(1, json!({})).await;
    let mut session = it.session((8, 9), "").await.unwrap();
    session.relay().await;
    let mut missing = vec!["relays", "figures", "change", "decision"];
    let all = async {
        while !missing.is_empty() {
            line.clear();
            stream.read_line(&mut line).await.unwrap();
            missing.retain(|name| line.trim_end() != format!("event: {name}"));
        }
    };
    timeout(DEADLINE, all).await.expect("all kinds of events");
    it.broker.shut_down().await;
}

/// A name of elsewhere may be made to lead to loopback (DNS rebinding): a page there could read all.
#[tokio::test]
async fn a_private_listener_is_called_by_its_address() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let it = start("").await;
    for (host, status) in [
        ("127.0.0.1:7401", "200"),
        ("localhost", "200"),
        ("[::1]:7401", "200"),
        ("example.net", "421"),
        ("127.0.0.1.example.net:7401", "421"),
        ("", "421"),
    ] {
        let mut stream = tokio::net::TcpStream::connect(it.broker.admin)
            .await
            .unwrap();
        let request =
            format!("GET /api/state HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer.split(' ').nth(1), Some(status), "{host}: {answer}");
    }
}

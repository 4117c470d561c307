//! Sessions.

use crate::support::{Session, id, start, until};
use broker::tokens::Role;
use serde_json::{Value, json};

#[tokio::test]
async fn a_unit_is_held_as_long_as_the_connection() {
    let it = start("").await;
    it.register(1, json!({ "payload": "c0ffee" })).await;
    let mut session = it.session((8, 9), "").await.unwrap();
    let message = session.next().await;
    assert_eq!(message["relay"]["endpoint"], "192.0.2.1:4433");
    assert_eq!(message["payload"], "c0ffee");
    session.say(json!({ "type": "succeeded" })).await;
    assert_eq!(it.load(1).await, Some(1));

    session.socket.close(None).await.unwrap();
    until("the unit is free", async || it.load(1).await == Some(0)).await;
}

#[tokio::test]
async fn a_connection_that_breaks_frees_its_unit() {
    let it = start("").await;
    it.register(1, json!({})).await;
    let mut session = it.session((8, 9), "").await.unwrap();
    session.relay().await;
    assert_eq!(it.load(1).await, Some(1));
    // Without a message of WebSocket.
    drop(session);
    until("the unit is free", async || it.load(1).await == Some(0)).await;
}

#[tokio::test]
async fn a_peer_that_is_silent_frees_its_unit() {
    let it = start("sessions.ping_seconds = 0.1").await;
    it.register(1, json!({})).await;
    let mut silent = it.session((8, 9), "").await.unwrap();
    silent.relay().await;
    // It stays open, but the test does not read, so that pings are not answered.
    until("the unit is free", async || it.load(1).await == Some(0)).await;
    assert_eq!(silent.next().await, Value::Null);
}

/// The number of one of two relays, by its id.
fn number_of(relay: &Value) -> u8 {
    let numbers = [1, 2].into_iter();
    let mut numbers = numbers.filter(|&number| *relay == id(number).to_string());
    numbers.next().expect("one of the two")
}

#[tokio::test]
async fn a_peer_whose_relay_failed_gets_another_one() {
    let it = start("sessions.wait_seconds = 0").await;
    it.register_two().await;
    let mut session = it.session((8, 9), "").await.unwrap();
    let first = session.relay().await;
    session.fail().await;
    let second = session.relay().await;
    assert_ne!(first, second);
    let failed = number_of(&first);
    assert_eq!(it.known(failed).await["circuit"], "open");
    assert_eq!(it.load(failed).await, Some(0));

    session.fail().await;
    let none = session.next().await;
    assert_eq!(
        (&none["type"], &none["error"]["kind"]),
        (&json!("none"), &json!("no-relays-available"))
    );
    assert_eq!(none["error"]["rejections"]["excluded"], 2, "{none}");
    assert_eq!(session.next().await, Value::Null, "the connection ends");
}

#[tokio::test]
async fn a_peer_that_reports_many_failures_is_not_believed() {
    let it = start("sessions.failures_per_minute = 1\nsessions.max_tries = 2").await;
    it.register_two().await;
    let mut session = it.session((8, 9), "").await.unwrap();
    let first = session.relay().await;
    session.fail().await;
    let second = session.relay().await;
    session.fail().await;
    assert_eq!(session.next().await["error"]["kind"], "too-many-tries");
    let circuit = async |relay: Value| it.known(number_of(&relay)).await["circuit"].clone();
    assert_eq!(circuit(first).await, "open");
    assert_eq!(circuit(second).await, "closed");
}

#[tokio::test]
async fn a_session_waits_for_a_relay() {
    let it = start("sessions.wait_seconds = 60").await;
    let mut session = it.session((8, 9), "").await.unwrap();
    until("it waits", async || {
        it.broker.app.registry.stats().reservations > 0
    })
    .await;
    it.register(1, json!({})).await;
    assert_eq!(session.relay().await, id(1).to_string());
}

#[tokio::test]
async fn a_session_asks_for_labels_and_a_family() {
    let it = start("sessions.wait_seconds = 0\nsessions.labels = ['eu']").await;
    it.register(1, json!({})).await;
    it.register(2, json!({ "labels": ["eu"] })).await;
    let mut session = it.session((8, 9), "&require=eu&family=ipv4").await.unwrap();
    assert_eq!(session.relay().await, id(2).to_string());
    let mut session = it.session((8, 9), "&avoid=eu").await.unwrap();
    assert_eq!(session.relay().await, id(1).to_string());
    let none = it
        .session((8, 9), "&family=ipv6")
        .await
        .unwrap()
        .next()
        .await;
    assert_eq!(none["error"]["rejections"]["family"], 2);
    let (status, body) = it.session((8, 9), "&require=us").await.unwrap_err();
    assert_eq!(
        (status, &body["error"]["kind"]),
        (400, &json!("unknown-label"))
    );
}

#[tokio::test]
async fn a_session_needs_the_token_of_its_requester() {
    let it = start("").await;
    let open = async |token: String| {
        let refused = Session::open(it.broker.public, &token, (8, 9), "")
            .await
            .unwrap_err();
        (refused.0, refused.1["error"]["kind"].clone())
    };
    assert_eq!(
        open(it.token(Role::Peer, id(9))).await,
        (401, json!("wrong-token"))
    );
    assert_eq!(
        open(it.token(Role::Relay, id(8))).await,
        (401, json!("wrong-token"))
    );
}

#[tokio::test]
async fn a_peer_has_so_many_sessions_at_a_time() {
    let it = start("sessions.per_peer = 1").await;
    it.register(1, json!({})).await;
    let mut only = it.session((8, 9), "").await.unwrap();
    only.relay().await;
    let (status, body) = it.session((8, 9), "").await.unwrap_err();
    assert_eq!(
        (status, &body["error"]["kind"]),
        (429, &json!("too-many-sessions"))
    );
    it.session((9, 8), "").await.unwrap().relay().await;
    drop(only);
    until("there is room", async || {
        it.session((8, 9), "").await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn what_is_no_report_ends_a_session() {
    let it = start("").await;
    it.register(1, json!({})).await;
    for odd in [json!({ "type": "sing" }), json!("x".repeat(2_000))] {
        let mut session = it.session((8, 9), "").await.unwrap();
        session.relay().await;
        session.say(odd).await;
        assert_eq!(session.next().await, Value::Null);
    }
    until("the units are free", async || it.load(1).await == Some(0)).await;
}

/// Each ping is answered by a pong: if the peer does not read, they must not pile up.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_flood_of_pings_from_a_peer_that_does_not_read_takes_no_memory() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    const PINGS: usize = 48 * 1024 * 1024;
    fn resident_bytes() -> usize {
        let status = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: usize = status.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4096
    }
    let it = start("sessions.ping_seconds = 3600").await;
    it.register(1, json!({})).await;
    let mut session = it.session((8, 9), "").await.unwrap();
    session.relay().await;
    let tokio_tungstenite::MaybeTlsStream::Plain(stream) = session.socket.get_mut() else {
        panic!("it is not encrypted");
    };
    let before = resident_bytes();
    // The frame of a ping with 125 bytes, masked by zeros.
    let ping = [&[0x89, 0x80 | 125, 0, 0, 0, 0][..], &[7; 125]].concat();
    let pings = ping.repeat(1000);
    for _ in 0..PINGS / pings.len() {
        stream.write_all(&pings).await.unwrap();
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < PINGS / 2, "{grown} bytes for {PINGS}");
    // Some were answered: it is a peer that is there.
    assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
}

#[tokio::test]
async fn the_wait_for_a_relay_ends_when_the_peer_leaves() {
    let it = start("sessions.per_peer = 1\nsessions.wait_seconds = 3600").await;
    let mut waiting = it.session((8, 9), "").await.unwrap();
    assert_eq!(it.session((8, 9), "").await.unwrap_err().0, 429);
    waiting.socket.close(None).await.unwrap();
    drop(waiting);
    until("the seat is free", async || {
        it.session((8, 9), "").await.is_ok()
    })
    .await;
}

//! What peers say of themselves, and their home.

use crate::support::{id, start};
use hyper::Method;
use serde_json::{Value, json};

fn view(near: u8, far: u8) -> Option<Value> {
    let round_trip =
        |relay: u8, seconds: f64| json!({ "relay": id(relay), "rtt_seconds": seconds });
    Some(json!({ "measured": [round_trip(near, 0.005), round_trip(far, 0.080)] }))
}

#[tokio::test]
async fn the_views_of_both_peers_decide() {
    let it = start("").await;
    it.register_two().await;
    assert_eq!(
        it.peer(Method::PUT, id(8), "", view(2, 1)).await.status,
        204
    );
    assert_eq!(
        it.peer(Method::PUT, id(9), "", view(2, 1)).await.status,
        204
    );
    assert_eq!(
        it.session((8, 9), "").await.unwrap().relay().await,
        id(2).to_string()
    );
    let home = it.peer(Method::GET, id(8), "/home", None).await.json();
    assert_eq!(home["node_id"], id(2).to_string());
}

#[tokio::test]
async fn a_home_is_the_nearest_to_its_peer_and_kept() {
    let it = start("sessions.view_every_seconds = 0").await;
    it.register_two().await;
    it.peer(Method::PUT, id(8), "", view(1, 2)).await;
    let home = it.peer(Method::GET, id(8), "/home", None).await.json();
    assert_eq!(home["node_id"], id(1).to_string());

    let near = |one: f64, two: f64| {
        let (one, two) = (
            json!({ "relay": id(1), "rtt_seconds": one }),
            json!({ "relay": id(2), "rtt_seconds": two }),
        );
        Some(json!({ "measured": [one, two] }))
    };
    let current = format!("/home?current={}", id(1));
    it.peer(Method::PUT, id(8), "", near(0.012, 0.010)).await;
    let home = it.peer(Method::GET, id(8), &current, None).await.json();
    assert_eq!(
        home["node_id"],
        id(1).to_string(),
        "2 ms are no reason to move"
    );
    it.peer(Method::PUT, id(8), "", near(0.120, 0.010)).await;
    let home = it.peer(Method::GET, id(8), &current, None).await.json();
    assert_eq!(home["node_id"], id(2).to_string());
}

#[tokio::test]
async fn a_view_is_checked_and_comes_now_and_then() {
    let it = start("").await;
    let wrong = Some(json!({ "measured": [{ "relay": id(1), "rtt_seconds": -1 }] }));
    let answer = it.peer(Method::PUT, id(8), "", wrong).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["error"]["kind"]),
        (422, &json!("invalid-body"))
    );
    assert_eq!(
        it.peer(Method::PUT, id(8), "", view(1, 2)).await.status,
        204
    );
    let again = it.peer(Method::PUT, id(8), "", view(1, 2)).await;
    assert_eq!(
        (again.status.as_u16(), &again.json()["error"]["kind"]),
        (429, &json!("too-early"))
    );
    assert!(again.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn a_home_that_is_not_there_is_said() {
    let it = start("").await;
    let none = it.peer(Method::GET, id(8), "/home", None).await;
    assert_eq!(
        (none.status.as_u16(), &none.json()["error"]["kind"]),
        (503, &json!("no-relays-available"))
    );
    assert!(none.headers.contains_key("retry-after"));
}

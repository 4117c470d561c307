//! The configuration, while the broker runs.

use crate::support::{id, start, text, until};
use broker::config::Config;
use hyper::Method;
use serde_json::json;
use std::fs;

fn relay(number: u8) -> String {
    format!(
        "[[relays]]\nid = '{}'\nendpoint = '192.0.2.{number}:4433'\n",
        id(number)
    )
}

fn tier(number: u8, tier: u8) -> String {
    format!("[[settings]]\nid = '{}'\ntier = {tier}\n", id(number))
}

#[tokio::test]
async fn a_changed_file_is_taken_and_a_broken_one_is_not() {
    let it = start(&(relay(1) + &tier(1, 2))).await;
    let registry = &it.broker.app.registry;
    assert_eq!(it.known(1).await["tier"], 2);
    let write = |text: String| fs::write(&it.file, text).unwrap();

    write(text(
        &it.folder,
        &(format!("revoked = ['{}']\n", id(3)) + &relay(2)),
    ));
    until("the new relay is there", async || registry.is_relay(&id(2))).await;
    until("the old one is gone", async || !registry.is_relay(&id(1))).await;
    until("an id is revoked", async || {
        it.register(3, json!({})).await.status == 403
    })
    .await;

    // Wrong at its end only; and the one after is right.
    let refused = "broker_reloads_total{outcome=\"refused\"}";
    let before = it.broker.app.metrics.render();
    let count = |text: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(refused)?.trim().parse::<u64>().ok())
            .unwrap_or(0)
    };
    write(text(
        &it.folder,
        &(relay(4) + "[[settings]]\nid = '01'\ncost = 1000.0\n"),
    ));
    until("it is refused", async || {
        count(&it.broker.app.metrics.render()) > count(&before)
    })
    .await;
    assert!(registry.is_relay(&id(2)) && !registry.is_relay(&id(4)));
    write(text(&it.folder, &relay(5)));
    until("the next one is taken", async || registry.is_relay(&id(5))).await;
    assert!(!registry.is_relay(&id(4)));
}

#[tokio::test]
async fn a_setting_that_is_gone_is_lifted_and_one_that_stays_is_not_applied_again() {
    let it = start(&(relay(1) + &relay(2) + &tier(1, 2) + &tier(2, 3))).await;
    let path = format!("/api/relays/{}/tier", id(2));
    it.operator(Method::PUT, &path, Some(json!({ "tier": 5 })))
        .await;
    let more = relay(1) + &relay(2) + &tier(2, 3);
    fs::write(&it.file, text(&it.folder, &more)).unwrap();
    until("the setting is lifted", async || {
        it.known(1).await["tier"] == 0
    })
    .await;
    assert_eq!(it.known(2).await["tier"], 5, "as the operator said later");
}

#[tokio::test]
async fn a_revoked_peer_loses_its_session_and_a_revoked_relay_its_place() {
    let it = start("sessions.ping_seconds = 0.1").await;
    it.register_two().await;
    let mut session = it.session((8, 9), "").await.unwrap();
    session.relay().await;
    let revoked = format!(
        "sessions.ping_seconds = 0.1\nrevoked = ['{}', '{}']\n",
        id(1),
        id(8)
    );
    fs::write(&it.file, text(&it.folder, &revoked)).unwrap();
    // It answers pings.
    assert_eq!(session.next().await, serde_json::Value::Null);
    let registry = &it.broker.app.registry;
    assert!(!registry.is_relay(&id(1)) && registry.is_relay(&id(2)));

    let it = it.restart(&revoked).await;
    let registry = &it.broker.app.registry;
    assert!(!registry.is_relay(&id(1)) && registry.is_relay(&id(2)));
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let folder = tempfile::TempDir::new().unwrap();
    let problem = |more: &str| Config::parse(&text(&folder, more)).unwrap_err();
    for (more, part) in [
        ("colour = 1", "line 6: unknown field `colour`"),
        ("revoked = ['xyz']", "line 6: "),
        ("registry.ttl_seconds = 0", "registry.ttl_seconds is 0"),
        ("sessions.ping_seconds = -1", "a number of seconds"),
        (&(relay(1) + "options = { capacity = 0 }\n"), "capacity"),
        (&(relay(1) + &relay(1)), "twice"),
        (&(tier(1, 2) + &tier(1, 3)), "twice"),
        (
            "limits.connections = 9000000000000000000",
            "limits.connections",
        ),
        ("[[settings]]\nid = '01'\ncost = 99.0", "cost"),
    ] {
        let problem = problem(more);
        assert!(problem.contains(part), "{more}: {problem}");
        assert!(!problem.contains('\n'), "{problem}");
    }
    let short = text(&folder, "").replace("the secret of the tokens, of these tests", "short");
    assert!(Config::parse(&short).unwrap_err().contains("32 characters"));
    let example = include_str!("../../broker.toml");
    Config::parse(example).expect("the example is right");
    let open = example.replace("listen = \"127.0.0.1", "listen = \"0.0.0.0");
    assert!(Config::parse(&open).unwrap_err().contains("loopback"));
}

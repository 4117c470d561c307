//! The feature `serde`: values as JSON and back, checked as the constructors check them.

#[path = "common/mod.rs"]
mod common;

use common::*;
use proptest::prelude::*;
use relay_registry::{
    AddressPolicy, CircuitState, Coordinate, Endpoint, Failure, FindOptions, NatType, NodeId,
    PeerView, RegisterOptions, Registration,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt::Debug;
use std::time::{Duration, UNIX_EPOCH};

#[track_caller]
fn assert_is<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T, expected: Value) {
    assert_eq!(serde_json::to_value(&value).unwrap(), expected);
    let text = serde_json::to_string(&value).unwrap();
    assert_eq!(serde_json::from_str::<T>(&text).unwrap(), value, "borrowed");
    assert_eq!(
        serde_json::from_value::<T>(expected).unwrap(),
        value,
        "owned"
    );
}

#[track_caller]
fn refusal<T: DeserializeOwned + Debug>(json: Value) -> String {
    let refused = serde_json::from_value::<T>(json).expect_err("what must not be");
    refused.to_string()
}

#[test]
fn ids_and_endpoints_are_their_strings() {
    assert_is(
        NodeId::from_bytes(&[0xc0, 0xff, 0xee]).unwrap(),
        json!("c0ffee"),
    );
    for text in ["192.0.2.1:4433", "[2001:db8::1]:80", "relay.example:4433"] {
        assert_is(text.parse::<Endpoint>().unwrap(), json!(text));
    }
    assert!(refusal::<NodeId>(json!("")).contains("cannot be empty"));
    assert!(refusal::<NodeId>(json!("0x12")).contains("no hexadecimal digit at byte 1"));
    assert!(refusal::<NodeId>(json!("00".repeat(NodeId::MAX_LEN + 1))).contains("at most"));
    assert!(refusal::<NodeId>(json!([1, 2])).contains("expected a string"));
    assert!(serde_json::from_value::<Endpoint>(json!("relay.example")).is_err());
    assert!(serde_json::from_value::<Endpoint>(json!("relay.example:0")).is_err());
}

#[test]
fn they_are_keys_of_maps() {
    let map = std::collections::BTreeMap::from([(id(1), 5)]);
    let text = serde_json::to_string(&map).unwrap();
    assert_eq!(text, format!("{{\"{}\":5}}", id(1)));
    let read: std::collections::BTreeMap<NodeId, i32> = serde_json::from_str(&text).unwrap();
    assert_eq!(read, map);
}

#[test]
fn enumerations_are_their_names() {
    assert_is(NatType::PublicIp, json!("public-ip"));
    assert_is(NatType::PortRestrictedCone, json!("port-restricted-cone"));
    assert_is(AddressPolicy::PublicOnly, json!("public-only"));
    assert_is(CircuitState::Closed, json!("closed"));
    assert_is(CircuitState::HalfOpen, json!("half-open"));
    assert_is(CircuitState::Open, json!("open"));
    assert_is(Failure::Refused, json!("refused"));
    assert_is(Failure::TimedOut, json!("timed-out"));
    assert_is(Registration::New, json!("new"));
    assert_is(Registration::Renewed, json!("renewed"));
    assert_is(Registration::Returned, json!("returned"));
    let unknown = refusal::<Failure>(json!("timed out"));
    assert!(unknown.contains("`refused` or `timed-out`"), "{unknown}");
    assert!(refusal::<NatType>(json!("cone")).contains("full-cone"));
    assert!(refusal::<AddressPolicy>(json!("all")).contains("public-only"));
}

#[test]
fn coordinates_are_checked() {
    let coordinate = place(3.0, -4.0);
    let json = json!({
        "position": [3000.0, -4000.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        "height": 10.0, "adjustment": 0.0, "error": 0.1_f32,
    });
    assert_is(coordinate, json.clone());
    for (part, value) in [("height", -1.0), ("adjustment", 1e30), ("error", 7.0)] {
        let mut json = json.clone();
        json[part] = json!(value);
        assert!(refusal::<Coordinate>(json).contains(&format!("the {part} is")));
    }
    let mut short = json.clone();
    short["position"] = json!([1.0]);
    assert!(refusal::<Coordinate>(short).contains("length"));
}

#[test]
fn views_are_checked() {
    let relay = |n: u32| id(n).to_string();
    let view = published([(1, ms(5)), (2, ms(7))]);
    let measured = json!([
        { "relay": relay(1), "rtt_us": 5_000 },
        { "relay": relay(2), "rtt_us": 7_000 },
    ]);
    let json = json!({ "measured": measured, "coordinate": null });
    assert_is(view, json);
    let without: PeerView = serde_json::from_value(json!({ "measured": measured })).unwrap();
    assert_eq!(without, view);
    assert_is(
        PeerView::new(),
        json!({ "measured": [], "coordinate": null }),
    );
    let far = json!({ "measured": [{ "relay": relay(1), "rtt_us": 10_000_001 }] });
    assert!(refusal::<PeerView>(far).contains("the RTT is 10.000001s"));
    let crowd = (0..1_000).map(|n| json!({ "relay": relay(n), "rtt_us": 1 }));
    let crowd = json!({ "measured": Vec::from_iter(crowd) });
    assert!(refusal::<PeerView>(crowd).contains("three relays already"));
}

proptest! {
    #[test]
    fn any_view_comes_back(
        rtts in prop::collection::vec(1..=10_000_000_u64, 0..=3),
        at in prop::option::of((prop::array::uniform8(-1e7_f32..=1e7), 0.0..=1e7_f32)),
    ) {
        let rtts = (0..).zip(rtts.into_iter().map(Duration::from_micros));
        let mut view = published(rtts);
        if let Some((position, height)) = at {
            view = view.coordinate(Coordinate::new(position, height, 0.5, 0.25).unwrap());
        }
        let text = serde_json::to_string(&view).unwrap();
        prop_assert_eq!(serde_json::from_str::<PeerView>(&text).unwrap(), view);
    }
}

#[test]
fn what_is_known_of_a_relay_can_be_written() {
    let world = world();
    let options = RegisterOptions::new().capacity(7).nat(NatType::FullCone);
    let options = options.tier(2).cost(1.5).labels(["udp", "eu"]);
    let options = options.also_at([endpoint(3)]).failure_domain("rack-7");
    world.join_with(1, &options.payload([1, 2]));
    world.measure(1, ms(18));
    world.advance(secs(2));
    let lease = world.reserve(&non_relay(), &FindOptions::new()).unwrap();
    let relay = world.info(1);
    let millis =
        |time: std::time::SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let json = serde_json::to_value(&relay).unwrap();
    assert_eq!(
        json,
        json!({
            "node_id": id(1).to_string(),
            "endpoint": endpoint(1).to_string(),
            "capacity": 7,
            "current_load": 1,
            "latency_us": 18_000,
            "latency_age_ms": relay.latency_age().unwrap().as_millis() as u64,
            "registered_at_ms": millis(relay.registered_at()),
            "expires_at_ms": millis(relay.expires_at()),
            "expires_in_ms": relay.expires_in().as_millis() as u64,
            "ttl_ms": relay.ttl().as_millis() as u64,
            "tier": 2,
            "cost": 1.5,
            "labels": ["eu", "udp"],
            "also_at": [endpoint(3).to_string()],
            "failure_domain": "rack-7",
            "payload": [1, 2],
            "coordinate": null,
            "nat": "full-cone",
            "draining": false,
            "banned": false,
            "circuit": "closed",
            "last_resort": false,
        })
    );
    drop(lease);
}

/// An embedder's own messages.
#[test]
fn values_can_be_parts_of_others() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Message {
        peer: NodeId,
        relays: Vec<Endpoint>,
        nat: Option<NatType>,
        view: PeerView,
    }
    let message = Message {
        peer: id(9),
        relays: vec![endpoint(1), endpoint(2)],
        nat: None,
        view: published([(1, ms(5))]).coordinate(place(1.0, 2.0)),
    };
    let text = serde_json::to_string(&message).unwrap();
    assert_eq!(serde_json::from_str::<Message>(&text).unwrap(), message);
}

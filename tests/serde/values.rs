//! Values: ids, endpoints, names, coordinates and views.

use crate::common::*;
use crate::{assert_is, refusal};
use proptest::prelude::*;
use relay_registry::{
    AddressPolicy, CircuitState, Coordinate, Endpoint, Failure, IpFamily, LabelScope, LegSource,
    NatType, NodeId, PeerView, Registration, Verdict,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

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
    assert_is(IpFamily::V4, json!("ipv4"));
    assert_is(IpFamily::V6, json!("ipv6"));
    assert_is(LabelScope::Relay, json!("relay"));
    assert_is(LabelScope::Registry, json!("registry"));
    assert_is(LegSource::Measured, json!("measured"));
    assert_is(LegSource::Published, json!("published"));
    assert_is(LegSource::Estimated, json!("estimated"));
    assert_is(LegSource::Assumed, json!("assumed"));
    for (verdict, name) in [
        (Verdict::Chosen, "chosen"),
        (Verdict::Kept, "kept"),
        (Verdict::LastResort, "last-resort"),
        (Verdict::Worse, "worse"),
        (Verdict::Tier, "tier"),
        (Verdict::Departed, "departed"),
        (Verdict::Excluded, "excluded"),
        (Verdict::Banned, "banned"),
        (Verdict::BackingOff, "backing-off"),
        (Verdict::Draining, "draining"),
        (Verdict::Full, "full"),
        (Verdict::TooFar, "too-far"),
        (Verdict::Unmeasured, "unmeasured"),
        (Verdict::Labels, "labels"),
        (Verdict::Family, "family"),
    ] {
        assert_is(verdict, json!(name));
    }
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
        { "relay": relay(1), "rtt_seconds": 0.005 },
        { "relay": relay(2), "rtt_seconds": 0.007 },
    ]);
    let json = json!({ "measured": measured, "coordinate": null });
    assert_is(view, json);
    let without: PeerView = serde_json::from_value(json!({ "measured": measured })).unwrap();
    assert_eq!(without, view);
    assert_is(
        PeerView::new(),
        json!({ "measured": [], "coordinate": null }),
    );
    let far = json!({ "measured": [{ "relay": relay(1), "rtt_seconds": 10.000001 }] });
    assert!(refusal::<PeerView>(far).contains("the RTT is 10.000001s"));
    for impossible in [json!(-0.001), json!(1e30), json!("5ms"), json!(null)] {
        let view = json!({ "measured": [{ "relay": relay(1), "rtt_seconds": impossible }] });
        assert!(refusal::<PeerView>(view).contains("invalid"));
    }
    let newer = json!({ "measured": measured, "coordinate": null, "battery": 0.5 });
    assert_eq!(serde_json::from_value::<PeerView>(newer).unwrap(), view);
    let crowd = (0..1_000).map(|n| json!({ "relay": relay(n), "rtt_seconds": 1 }));
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

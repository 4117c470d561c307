//! What a registry says of its relays, and of its choice.

use crate::common::*;
use relay_registry::{FindOptions, NatType, RegisterOptions};
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

#[test]
fn what_is_known_of_a_relay() {
    let world = world();
    let options = RegisterOptions::new().capacity(7).nat(NatType::FullCone);
    let options = options.tier(2).cost(1.5).labels(["udp", "eu"]);
    let options = options.also_at([endpoint(3)]).failure_domain("rack-7");
    world.join_with(1, &options.payload([1, 0xab]));
    world.measure(1, ms(18));
    world.advance(ms(2_500));
    let lease = world.reserve(&non_relay(), &FindOptions::new()).unwrap();
    let relay = world.info(1);
    let unix = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let expected = json!({
        "node_id": id(1).to_string(),
        "endpoint": endpoint(1).to_string(),
        "capacity": 7,
        "current_load": 1,
        "latency_seconds": 0.018,
        "latency_age_seconds": relay.latency_age().unwrap().as_secs_f64(),
        "registered_at_unix_seconds": unix(relay.registered_at()),
        "expires_at_unix_seconds": unix(relay.expires_at()),
        "expires_in_seconds": 597.5,
        "ttl_seconds": 600.0,
        "tier": 2,
        "cost": 1.5,
        "labels": ["eu", "udp"],
        "also_at": [endpoint(3).to_string()],
        "failure_domain": "rack-7",
        "payload": "01ab",
        "coordinate": null,
        "nat": "full-cone",
        "draining": false,
        "banned": false,
        "circuit": "closed",
        "last_resort": false,
    });
    assert_eq!(serde_json::to_value(&relay).unwrap(), expected);
    drop(lease);
}

#[test]
fn what_is_not_known_of_a_relay_is_null() {
    let world = world();
    world.join(1);
    let relay = serde_json::to_value(world.info(1)).unwrap();
    for field in [
        "latency_seconds",
        "latency_age_seconds",
        "failure_domain",
        "payload",
        "coordinate",
        "nat",
    ] {
        assert_eq!(relay[field], json!(null), "{field}");
    }
    assert_eq!(
        (&relay["labels"], &relay["also_at"]),
        (&json!([]), &json!([]))
    );
}

#[test]
fn an_explanation() {
    let world = world();
    world.join_with(1, &capacity(4).labels(["eu"]).cost(1.5).tier(1));
    world.join_with(2, &capacity(1).tier(1));
    world.measure(1, ms(20));
    let leases = [world.take(1, 2), world.take(2, 1)];
    let options = FindOptions::new().max_results(1);
    let explanation = world.explain(&non_relay(), &options);
    let penalty = explanation.of(&id(1)).unwrap().penalty;
    let score = explanation.of(&id(1)).unwrap().score_ms() / 1e3;
    assert!((score - 0.12 * 1.5 / (1.0 - 0.5_f64.powi(4))).abs() < 1e-6);
    let expected = json!({
        "target": non_relay().to_string(),
        "options": serde_json::to_value(&options).unwrap(),
        "eligible": 1,
        "rejections": {
            "departed": 0,
            "full": 1,
            "draining": 0,
            "backing_off": 0,
            "banned": 0,
            "excluded": 0,
            "labels": 0,
            "family": 0,
            "too_far": 0,
            "unmeasured": 0,
            "tier": 0,
        },
        "relays": [
            {
                "relay": id(1).to_string(),
                "verdict": "chosen",
                "endpoint": endpoint(1).to_string(),
                "labels": ["eu"],
                "tier": 1,
                "cost": 1.5,
                "load": 2,
                "capacity": 4,
                "utilisation": 0.5,
                "circuit": "closed",
                "requester_leg_seconds": 0.02,
                "requester_leg_source": "measured",
                "target_leg_seconds": 0.1,
                "target_leg_source": "assumed",
                "path_seconds": 0.12,
                "penalty": penalty,
                "score_seconds": score,
            },
            {
                "relay": id(2).to_string(),
                "verdict": "full",
                "endpoint": endpoint(2).to_string(),
                "labels": [],
                "tier": 1,
                "cost": 1.0,
                "load": 1,
                "capacity": 1,
                "utilisation": 1.0,
                "circuit": "closed",
                "requester_leg_seconds": 0.1,
                "requester_leg_source": "assumed",
                "target_leg_seconds": 0.1,
                "target_leg_source": "assumed",
                "path_seconds": 0.2,
                // Infinite.
                "penalty": null,
                "score_seconds": null,
            },
        ],
    });
    assert_eq!(serde_json::to_value(&explanation).unwrap(), expected);
    drop(leases);
}

//! Statistics and reports.

use crate::common::*;
use relay_registry::SourceRelay;
use serde_json::{Value, json};

#[test]
fn a_report_of_maintenance() {
    let world = world();
    world.join_with(1, &ttl(secs(1)));
    world.advance(secs(1));
    let report = serde_json::to_value(world.maintain()).unwrap();
    let expected = json!({ "expired": 1, "sorted": true, "awaiting_reclamation": 0 });
    assert_eq!(report, expected);
}

#[test]
fn a_report_of_a_list() {
    let world = world();
    let entry = |n| SourceRelay::new(id(n), endpoint(n));
    let wrong = entry(1).with_options(capacity(0));
    let report = world
        .sync_source("file", [wrong, entry(2), entry(2)])
        .unwrap();
    let error = json!({
        "kind": "invalid-capacity",
        "message": "the capacity is 0, not 1 to 1048575",
    });
    let expected = json!({
        "registered": 1,
        "renewed": 0,
        "returned": 0,
        "removed": 0,
        "refused": [{ "relay": id(1).to_string(), "error": error }],
        "duplicates": [id(2).to_string()],
    });
    assert_eq!(serde_json::to_value(&report).unwrap(), expected);
}

/// Where a number, a flag, a name or nothing is, or a map of these; so no duration is a pair.
fn assert_readable(field: &str, value: &Value) {
    match value {
        Value::Object(map) => {
            assert!(
                !map.contains_key("nanos"),
                "{field} is a duration of two parts"
            );
            map.iter()
                .for_each(|(field, value)| assert_readable(field, value));
        }
        Value::Array(_) => panic!("{field} is a list, by position"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn statistics() {
    let world = world();
    world.join(1);
    world.join(2);
    world.leave(2);
    world.renew(1);
    world.maintain();
    world.advance(ms(1_500));
    let lease = world.lease(&id(1)).unwrap();
    let stats = world.stats();
    let json = serde_json::to_value(&stats).unwrap();
    assert_readable("stats", &json);
    for (field, value) in [
        ("registrations", json!(2)),
        ("renewals", json!(1)),
        ("unregistrations", json!(1)),
        ("expirations", json!(0)),
        ("refused", json!(0)),
        ("relays", json!(1)),
        ("remembered", json!(1)),
        ("leases", json!(1)),
        ("snapshot_len", json!(stats.snapshot_len)),
        ("snapshot_age_seconds", json!(1.5)),
        ("maintenance_passes", json!(1)),
    ] {
        assert_eq!(json[field], value, "{field}");
    }
    drop(lease);
}

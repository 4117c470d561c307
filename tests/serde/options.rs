//! Options of registrations and finds, and entries of lists.

use crate::common::*;
use crate::{assert_is, refusal};
use proptest::prelude::*;
use relay_registry::{
    Endpoint, FindOptions, IpFamily, NatType, PeerView, RegisterError, RegisterOptions, SourceRelay,
};
use serde_json::{Value, json};
use std::time::Duration;

fn no_registration() -> Value {
    json!({
        "capacity": null,
        "latency_seconds": null,
        "nat": null,
        "ttl_seconds": null,
        "restarted": false,
        "failure_domain": null,
        "tier": null,
        "cost": null,
        "labels": null,
        "also_at": null,
        "payload": null,
    })
}

#[test]
fn options_of_a_registration() {
    assert_is(RegisterOptions::new(), no_registration());
    let options = RegisterOptions::new()
        .capacity(250)
        .latency(Duration::from_micros(18_250))
        .nat(NatType::FullCone)
        .ttl(secs(120))
        .restarted(true)
        .failure_domain("rack-7")
        .tier(2)
        .cost(1.5)
        .labels(["udp", "eu"])
        .also_at([endpoint(3)])
        .payload([0x00, 0xc0, 0xff]);
    let expected = json!({
        "capacity": 250,
        "latency_seconds": 0.01825,
        "nat": "full-cone",
        "ttl_seconds": 120.0,
        "restarted": true,
        "failure_domain": "rack-7",
        "tier": 2,
        "cost": 1.5,
        "labels": ["eu", "udp"],
        "also_at": [endpoint(3).to_string()],
        "payload": "00c0ff",
    });
    assert_is(options, expected);
}

#[test]
fn an_empty_list_is_not_an_option_that_is_left_out() {
    let options = RegisterOptions::new().labels([""; 0]);
    let options = options.also_at([] as [Endpoint; 0]).payload([]);
    let mut expected = no_registration();
    (expected["labels"], expected["also_at"]) = (json!([]), json!([]));
    expected["payload"] = json!("");
    assert_is(options, expected);
}

#[test]
fn an_option_of_a_registration_that_is_left_out_is_not_set() {
    let read = |json| serde_json::from_value::<RegisterOptions>(json).unwrap();
    assert_eq!(read(json!({})), RegisterOptions::new());
    let some = json!({ "ttl_seconds": 90, "labels": ["eu"] });
    assert_eq!(read(some), ttl(secs(90)).labels(["eu"]));
}

#[test]
fn options_of_a_registration_are_checked() {
    for (json, says) in [
        (
            json!({ "capcity": 5 }),
            "unknown field `capcity`, expected one of `capacity`",
        ),
        (json!({ "capacity": -5 }), "expected u32"),
        (json!({ "tier": 256 }), "expected u8"),
        (
            json!({ "ttl_seconds": -1.0 }),
            "a number of seconds that is not negative",
        ),
        (
            json!({ "ttl_seconds": 1e300 }),
            "a number of seconds that is not negative",
        ),
        (json!({ "ttl_seconds": "120s" }), "expected f64"),
        (json!({ "nat": "cone" }), "full-cone"),
        (json!({ "payload": "0g" }), "hexadecimal"),
        (json!({ "payload": "012" }), "hexadecimal"),
        (json!({ "payload": "é" }), "hexadecimal"),
        (json!({ "also_at": ["relay.example"] }), "port"),
    ] {
        let refused = refusal::<RegisterOptions>(json);
        assert!(refused.contains(says), "{refused}");
    }
    // What a registration checks, it checks of these, too.
    let options: RegisterOptions = serde_json::from_value(json!({ "capacity": 0 })).unwrap();
    let refused = world().register_with(id(1), endpoint(1), &options);
    assert!(matches!(
        refused,
        Err(RegisterError::InvalidCapacity { capacity: 0, .. })
    ));
}

#[test]
fn entries_of_lists() {
    let entry = SourceRelay::new(id(1), endpoint(1));
    let expected = json!({
        "id": id(1).to_string(),
        "endpoint": endpoint(1).to_string(),
        "options": no_registration(),
    });
    assert_is(entry.clone(), expected);
    let written = json!({ "id": id(1).to_string(), "endpoint": endpoint(1).to_string() });
    assert_eq!(
        serde_json::from_value::<SourceRelay>(written.clone()).unwrap(),
        entry
    );
    for (field, value) in [
        ("capacity", json!(5)),
        ("id", json!("")),
        ("endpoint", json!("192.0.2.1:0")),
        ("options", json!({ "colour": "green" })),
    ] {
        let mut wrong = written.clone();
        wrong[field] = value;
        refusal::<SourceRelay>(wrong);
    }
    refusal::<SourceRelay>(json!({ "id": id(1).to_string() }));
}

#[test]
fn a_list_is_read_straight_from_a_file() {
    let file = r#"[
        { "id": "01", "endpoint": "relay-1.example:4433", "options": { "capacity": 500 } },
        { "id": "02", "endpoint": "192.0.2.2:4433" }
    ]"#;
    let world = world();
    let list: Vec<SourceRelay> = serde_json::from_str(file).unwrap();
    assert_eq!(world.sync_source("file", list).unwrap().registered, 2);
    let ids = [[1], [2]].map(|id| relay_registry::NodeId::from_bytes(&id).unwrap());
    let capacity = ids.map(|id| world.relay(&id).unwrap().capacity());
    assert_eq!(capacity, [500, 100]);
}

fn no_find() -> Value {
    json!({
        "max_results": 3,
        "exclude": [],
        "exclude_domains": [],
        "max_latency_seconds": null,
        "allow_unmeasured": false,
        "requester": null,
        "requester_view": null,
        "target_view": null,
        "prefer": null,
        "max_spread_cost": 0.15,
        "require": [],
        "avoid": [],
        "family": null,
        "units": 1,
    })
}

#[test]
fn options_of_a_find() {
    assert_is(FindOptions::new(), no_find());
    let view = published([(1, ms(5))]);
    let options = FindOptions::new()
        .max_results(5)
        .exclude([id(2), id(1)])
        .exclude_domains(["rack-8", "rack-7"])
        .max_latency(ms(80))
        .allow_unmeasured(true)
        .requester(id(8))
        .requester_view(view)
        .target_view(PeerView::new())
        .prefer(id(3))
        .prefer_with(ms(5), 0.25)
        .max_spread_cost(0.5)
        .require(["udp", "eu"])
        .avoid(["metered"])
        .family(IpFamily::V6)
        .units(4);
    let id = |n| id(n).to_string();
    let measured = json!([{ "relay": id(1), "rtt_seconds": 0.005 }]);
    let expected = json!({
        "max_results": 5,
        "exclude": [id(1), id(2)],
        "exclude_domains": ["rack-7", "rack-8"],
        "max_latency_seconds": 0.08,
        "allow_unmeasured": true,
        "requester": id(8),
        "requester_view": { "measured": measured, "coordinate": null },
        "target_view": { "measured": [], "coordinate": null },
        "prefer": { "relay": id(3), "gain_seconds": 0.005, "share": 0.25 },
        "max_spread_cost": 0.5,
        "require": ["eu", "udp"],
        "avoid": ["metered"],
        "family": "ipv6",
        "units": 4,
    });
    assert_is(options, expected);
}

#[test]
fn an_option_of_a_find_that_is_left_out_has_its_default() {
    let read = |json| serde_json::from_value::<FindOptions>(json).unwrap();
    assert_eq!(read(json!({})), FindOptions::new());
    let prefer = json!({ "prefer": { "relay": id(3).to_string() } });
    assert_eq!(read(prefer), FindOptions::new().prefer(id(3)));
}

#[test]
fn options_of_a_find_are_checked() {
    let read = |json| serde_json::from_value::<FindOptions>(json).unwrap();
    // As the setters do.
    let brought_into_range = json!({ "units": 0, "max_spread_cost": 7 });
    let expected = FindOptions::new().units(1).max_spread_cost(1.0);
    assert_eq!(read(brought_into_range), expected);
    for (json, says) in [
        (json!({ "max_result": 5 }), "unknown field `max_result`"),
        (
            json!({ "prefer": { "gain_seconds": 1 } }),
            "missing field `relay`",
        ),
        (
            json!({ "prefer": { "relay": "01", "unless": 1 } }),
            "unknown field `unless`",
        ),
        (json!({ "family": "IPv6" }), "`ipv4` or `ipv6`"),
        (json!({ "max_latency_seconds": -0.1 }), "not negative"),
        (json!({ "requester": "" }), "cannot be empty"),
        (json!({ "units": -1 }), "expected u32"),
    ] {
        let refused = refusal::<FindOptions>(json);
        assert!(refused.contains(says), "{refused}");
    }
}

proptest! {
    #[test]
    fn a_duration_of_up_to_ten_days_comes_back(ttl in 0..864_000_000_000_000_u64, rtt in any::<u32>()) {
        let options = RegisterOptions::new()
            .ttl(Duration::from_nanos(ttl))
            .latency(Duration::from_micros(rtt.into()));
        let text = serde_json::to_string(&options).unwrap();
        prop_assert_eq!(serde_json::from_str::<RegisterOptions>(&text).unwrap(), options);
    }
}

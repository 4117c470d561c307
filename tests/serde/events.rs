//! Events.

use crate::common::*;
use relay_registry::{Event, Failure};
use serde_json::{Value, json};

#[test]
fn each_event_has_a_kind_and_its_parts() {
    let world = world_with(|builder| builder.max_relays(1).event_capacity(8));
    let events = world.events();
    world.join(1);
    let joined = serde_json::to_value(world.info(1)).unwrap();
    let _ = world.register(id(2), endpoint(2));
    world.drain(1);
    world.ban_for(1, secs(10));
    world.unban(&id(1));
    world.fail(1, Failure::Refused);
    world.reset_circuits();
    world.leave(1);
    let mut told: Vec<Value> = Vec::new();
    while let Ok(event) = events.try_recv() {
        told.push(serde_json::to_value(event).unwrap());
    }
    let kinds: Vec<&Value> = told.iter().map(|event| &event["kind"]).collect();
    assert_eq!(
        kinds,
        [
            "joined",
            "refused",
            "draining",
            "banned",
            "banned",
            "circuit-opened",
            "circuit-closed",
            "left",
        ]
    );
    assert_eq!(
        told[0],
        json!({
            "kind": "joined",
            "id": id(1).to_string(),
            "tick": 0,
            "relay": joined,
            "returned": false,
            "learned": false,
        })
    );
    assert_eq!(told[1]["error"]["kind"], "full");
    assert_eq!(told[2]["draining"], true);
    assert!(told[3]["until_unix_seconds"].is_f64());
    assert!(told[4]["until_unix_seconds"].is_null());
    assert_eq!(told[5]["relay"]["circuit"], "open");
    assert_eq!(
        told[7],
        json!({ "kind": "left", "id": id(1).to_string(), "tick": 0 })
    );
    let missed = serde_json::to_value(Event::Missed(3)).unwrap();
    assert_eq!(missed, json!({ "kind": "missed", "events": 3 }));
}

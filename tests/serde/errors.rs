//! Errors: their kind, which stays as it is, and their message.

use crate::common::*;
use relay_registry::{EndpointError, FindOptions, NatType, PeerView, RegisterError, SourceRelay};
use serde::Serialize;
use serde_json::json;
use std::error::Error;
use std::time::Duration;

#[track_caller]
fn assert_kind(error: impl Serialize + Error, kind: &str) {
    let expected = json!({ "kind": kind, "message": error.to_string() });
    assert_eq!(serde_json::to_value(&error).unwrap(), expected);
}

#[test]
fn errors_of_registrations() {
    let world = world_of(1);
    let refused = |options| {
        world
            .register_with(id(1), endpoint(1), &options)
            .unwrap_err()
    };
    assert_kind(refused(capacity(0)), "invalid-capacity");
    assert_kind(refused(options().nat(NatType::Symmetric)), "not-reachable");
    assert_kind(refused(ttl(Duration::ZERO)), "invalid-ttl");
    assert_kind(refused(latency(secs(11))), "invalid-latency");
    assert_kind(
        refused(options().failure_domain("")),
        "invalid-failure-domain",
    );
    assert_kind(refused(options().cost(0.0)), "invalid-cost");
    assert_kind(refused(options().labels([""])), "invalid-label");
    let many = (0..9).map(|n| n.to_string());
    assert_kind(refused(options().labels(many)), "too-many-labels");
    assert_kind(refused(options().payload([0; 513])), "payload-too-long");
    let many = (10..19).map(endpoint);
    assert_kind(refused(options().also_at(many)), "too-many-endpoints");
    let broadcast: relay_registry::Endpoint = "255.255.255.255:1".parse().unwrap();
    let at_broadcast = options().also_at([broadcast.clone()]);
    assert_kind(refused(at_broadcast), "invalid-further-endpoint");
    let nowhere = world.register(id(1), broadcast).unwrap_err();
    assert_kind(nowhere, "invalid-endpoint");
    assert_kind(
        RegisterError::from(EndpointError::ZeroPort),
        "invalid-endpoint",
    );
    assert_kind(RegisterError::ClockExhausted, "clock-exhausted");
    world.join(1);
    assert_kind(world.register(id(2), endpoint(2)).unwrap_err(), "full");
    assert_kind(world.registry.renew(&id(3)).unwrap_err(), "unknown-relay");
    let exclusive = world_with(|builder| builder.one_id_per_endpoint(true));
    exclusive.join(1);
    let taken = exclusive.register(id(2), endpoint(1)).unwrap_err();
    assert_kind(taken, "endpoint-taken");
}

#[test]
fn errors_of_leases_operators_views_and_lists() {
    let world = world();
    assert_kind(world.lease(&id(1)).unwrap_err(), "unknown-relay");
    world.join_with(1, &capacity(1));
    let lease = world.lease(&id(1)).unwrap();
    assert_kind(world.lease(&id(1)).unwrap_err(), "full");
    drop(lease);
    world.drain(1);
    assert_kind(world.lease(&id(1)).unwrap_err(), "draining");
    world.ban_for(1, secs(9));
    assert_kind(world.lease(&id(1)).unwrap_err(), "banned");
    world.advance(TICK);
    assert_kind(world.ban(&id(1), Duration::MAX).unwrap_err(), "too-long");
    assert_kind(world.set_cost(&id(1), 0.0).unwrap_err(), "invalid-cost");
    let view = PeerView::new();
    assert_kind(view.measured(id(1), secs(11)).unwrap_err(), "invalid-rtt");
    let full = published([(1, ms(1)), (2, ms(1)), (3, ms(1))]);
    assert_kind(full.measured(id(4), ms(1)).unwrap_err(), "full");
    let list = || [SourceRelay::new(id(1), endpoint(1))];
    assert_kind(world.sync_source("", list()).unwrap_err(), "invalid-tag");
    for n in 0..64 {
        world.sync_source(&n.to_string(), list()).unwrap();
    }
    let too_many = world.sync_source("64", list()).unwrap_err();
    assert_kind(too_many, "too-many-tags");
    let endless = std::iter::repeat((id(1), endpoint(1)));
    let endless = world.sync_source("0", endless).unwrap_err();
    assert_kind(endless, "too-many-relays");
}

#[test]
fn an_error_of_a_find_has_the_reasons() {
    let world = world();
    world.join(1);
    world.drain(1);
    let error = world
        .find_relay_with(&non_relay(), &FindOptions::new())
        .unwrap_err();
    let json = serde_json::to_value(&error).unwrap();
    assert_eq!(json["kind"], "no-relays-available");
    assert_eq!(json["message"], "no relay is available: 1 draining");
    assert_eq!(
        (&json["rejections"]["draining"], &json["rejections"]["full"]),
        (&json!(1), &json!(0))
    );
}

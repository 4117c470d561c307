//! Registries that learn each other's relays through a server.

use relay_registry::dht::{DhtOptions, ProbeError};
use relay_registry::{Endpoint, NodeId, Registry};
use std::time::Duration;

use super::server::{Server, until};
use crate::relays::key;

/// A registry with a relay of its own and with a probe that always succeeds.
fn registry(server: &Server, relay: u8) -> Registry {
    let probe = |_: &NodeId, _: &Endpoint, _: Duration| -> Result<Duration, ProbeError> {
        Ok(Duration::from_millis(20))
    };
    let options = DhtOptions::new()
        .key(key(relay))
        .probe(probe)
        .debounce(Duration::ZERO)
        .sweep_interval(Duration::from_millis(200))
        .request_deadline(Duration::from_secs(2));
    let registry = Registry::builder().dht(server.engine(), options);
    let registry = registry.build().expect("these options are valid");
    let endpoint: Endpoint = format!("5.6.{relay}.1:4433").parse().expect("an endpoint");
    let registered = registry.register(key(relay).node_id(), endpoint);
    registered.expect("it is the first");
    registry
}

fn knows(registry: &Registry, relay: u8) -> bool {
    registry.is_relay(&key(relay).node_id())
}

#[test]
#[ignore = "needs redis-server"]
fn registries_learn_each_others_relays_and_forget_those_that_leave() {
    let server = Server::start();
    let (one, other) = (registry(&server, 1), registry(&server, 2));
    until("each knows the other's relay", || {
        knows(&one, 2) && knows(&other, 1)
    });
    one.unregister(&key(1).node_id());
    until("the relay is withdrawn", || !knows(&other, 1));
    assert!(knows(&other, 2) && knows(&one, 2));
}

#[test]
#[ignore = "needs redis-server"]
fn a_registry_goes_on_without_its_server_and_publishes_when_there_is_room() {
    let server = Server::start();
    let one = registry(&server, 1);
    until("it is published", || {
        one.stats().dht.is_some_and(|stats| stats.published)
    });
    server.run::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let other = registry(&server, 2);
    until("it learns while it cannot publish", || {
        let stats = other.stats().dht.expect("it has an engine");
        knows(&other, 1) && stats.engine_failures > 0
    });
    assert!(other.stats().dht.is_some_and(|stats| !stats.published));
    server.run::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    until("its relay is known", || knows(&one, 2));
}

//! Learned relays in a registry in which no two relays share an endpoint.

use crate::world::{Node, World, home, id, secs, until};
use relay_registry::dht::Announcement;
use relay_registry::{NodeId, RegisterError, RegisterOptions};

fn reader(world: &World) -> Node {
    let dht = world.dht.connect();
    let builder = world.builder().one_id_per_endpoint(true);
    let registry = builder.dht(dht.clone(), world.options()).build().unwrap();
    Node { registry, dht }
}

/// A stranger that announces the endpoint of another relay is not learned while that is live, and
/// makes way for a local relay.
#[test]
fn with_one_id_for_each_endpoint_learned_relays_share_none() {
    let world = World::new();
    let reader = reader(&world);
    let at = |n: u8| home(n).to_string();
    reader
        .registry
        .offer_record(&world.says(1, &at(1)))
        .unwrap();
    reader.work();
    reader
        .registry
        .offer_record(&world.says(2, &at(1)))
        .unwrap();
    reader.work();
    assert_eq!(reader.registry.at(&home(1)), [id(1)]);

    let local = NodeId::from([9; 32]);
    reader.registry.register(local, home(1)).unwrap();
    assert_eq!(reader.registry.at(&home(1)), [local]);
    reader
        .registry
        .offer_record(&world.says(3, &at(1)))
        .unwrap();
    work_for_two_minutes(&world, &reader);
    assert_eq!(reader.registry.at(&home(1)), [local]);

    reader.registry.unregister(&local);
    until(&world, &[&reader], || {
        reader.registry.at(&home(1)).len() == 1
    });
}

/// Nothing has shown that a stranger is at the further endpoints that its record claims.
#[test]
fn a_further_endpoint_that_a_learned_relay_claims_blocks_no_other_relay() {
    let world = World::new();
    let reader = reader(&world);
    let claim = Announcement::new(home(1), 10).unwrap();
    let claim = claim.with_also_at([home(2), home(3)]).unwrap();
    let registry = &reader.registry;
    registry.offer_record(&world.says_all(1, claim)).unwrap();
    reader.work();
    assert!(registry.is_relay(&id(1)));
    let owner = world.says(2, &home(2).to_string());
    registry.offer_record(&owner).unwrap();
    reader.work();
    assert!(registry.is_relay(&id(2)));
    registry.register(NodeId::from([9; 32]), home(3)).unwrap();
    assert!(registry.is_relay(&id(1)), "it is at its own endpoint still");
}

/// A registration that another local relay stands in the way of removes nothing.
#[test]
fn a_learned_relay_stays_if_the_local_one_at_its_endpoint_is_refused() {
    let world = World::new();
    let reader = reader(&world);
    let registry = &reader.registry;
    let learned = world.says(1, &home(1).to_string());
    registry.offer_record(&learned).unwrap();
    reader.work();
    registry.register(NodeId::from([8; 32]), home(2)).unwrap();
    let options = RegisterOptions::new().also_at([home(2)]);
    let refused = registry.register_with(NodeId::from([9; 32]), home(1), &options);
    assert!(matches!(
        refused,
        Err(RegisterError::EndpointTaken { endpoint, .. }) if endpoint == home(2)
    ));
    assert!(registry.is_relay(&id(1)));
}

/// Time enough for all that is due.
fn work_for_two_minutes(world: &World, node: &Node) {
    for _ in 0..120 {
        node.work();
        world.advance(secs(1));
    }
}

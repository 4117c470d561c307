//! Lists of relays beside relays that are learned.

use crate::world::{World, home, id, secs, until};
use relay_registry::{RegisterOptions, SourceRelay};

fn listed(n: u8) -> SourceRelay {
    SourceRelay::new(id(n), home(n)).with_options(RegisterOptions::new().ttl(secs(5)))
}

#[test]
fn a_listed_relay_takes_the_place_of_a_learned_one() {
    let world = World::new();
    let relay = world.relay(1);
    let reader = world.reader();
    until(&world, &[&relay, &reader], || reader.knows(1));
    let report = reader.registry.sync_source("file", [listed(1)]).unwrap();
    assert_eq!((report.registered, report.renewed), (1, 0));
    assert_eq!(reader.registry.relay(&id(1)).unwrap().ttl(), secs(5));
}

#[test]
fn a_tag_removes_no_learned_relay() {
    let world = World::new();
    let reader = world.reader();
    reader.registry.sync_source("file", [listed(1)]).unwrap();
    // It expires, its grace ends, and then its node publishes it.
    world.advance(secs(20));
    reader.work();
    assert!(!reader.knows(1));
    let relay = world.relay(1);
    until(&world, &[&relay, &reader], || reader.knows(1));
    assert_eq!(reader.registry.learned_relays(), [id(1)]);

    let none: [SourceRelay; 0] = [];
    let report = reader.registry.sync_source("file", none).unwrap();
    assert_eq!(report.removed, 0);
    assert!(reader.knows(1));
}

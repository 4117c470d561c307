//! Registrations that are refused.

use crate::common::*;
use relay_registry::Registration;

#[test]
fn a_restart_that_is_refused_changes_nothing() {
    let world = world_of(2);
    world.join_with(1, &capacity(2));
    let lease = world.take(1, 1);
    world.set_draining(&id(1), true).unwrap();
    world.ban(&id(1), secs(86_400)).unwrap();
    world.leave(1);
    (2..4).for_each(|n| world.join(n));
    let restarted = capacity(2).restarted(true);
    assert!(world.register_with(id(1), endpoint(1), &restarted).is_err());
    assert_eq!(world.banned().len(), 1);
    world.leave(2);
    let outcome = world.register_with(id(1), endpoint(1), &capacity(2));
    assert_eq!(outcome, Ok(Registration::Returned));
    assert!(world.info(1).is_draining());
    assert_eq!(world.load(1), 1);
    drop(lease);
}

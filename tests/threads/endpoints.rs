//! With one id for each endpoint, whatever threads do at once: no two live relays share one.

use crate::at_once;
use crate::common::*;
use relay_registry::{Endpoint, RegisterError, Registration};

const ENDPOINTS: u32 = 4;

fn exclusive() -> World {
    world_with(|builder| builder.one_id_per_endpoint(true))
}

#[track_caller]
fn assert_no_endpoint_is_shared(world: &World) {
    for n in 0..ENDPOINTS {
        let ids = world.at(&endpoint(n));
        assert!(ids.len() <= 1, "{ids:?} share {}", endpoint(n));
    }
}

#[test]
fn of_relays_that_register_at_one_endpoint_at_once_one_gets_it() {
    for round in 0..200_u32 {
        let world = exclusive();
        let entered = at_once(4, |n| {
            let outcome = world.register(id(n), endpoint(0));
            match &outcome {
                Ok(registration) => assert_eq!(*registration, Registration::New),
                Err(RegisterError::EndpointTaken { by, .. }) => {
                    assert_ne!(*by, id(n), "round {round}");
                    assert!(world.is_relay(by));
                }
                Err(other) => panic!("{other:?}"),
            }
            outcome.is_ok()
        });
        assert_eq!(entered.into_iter().filter(|&it| it).count(), 1);
        assert_eq!(world.at(&endpoint(0)).len(), 1);
    }
}

/// Relays enter, move, restart, leave and return at a few endpoints.
#[test]
fn no_two_relays_come_to_share_an_endpoint() {
    let world = exclusive();
    for round in 0..50 {
        at_once(4, |thread| {
            let mut random = fastrand::Rng::with_seed(u64::from(thread) << 32 | round);
            for _ in 0..100 {
                let relay = random.u32(0..8);
                let place: Endpoint = endpoint(random.u32(0..ENDPOINTS));
                match random.u32(0..4) {
                    0 => drop(world.unregister(&id(relay))),
                    1 => drop(world.registry.renew(&id(relay))),
                    2 => drop(world.register_with(id(relay), place, &options().restarted(true))),
                    _ => drop(world.register(id(relay), place)),
                }
            }
        });
        assert_no_endpoint_is_shared(&world);
    }
}

/// One thread renews a relay at the tick of its deadline, and another one registers at its
/// endpoint.
#[test]
fn a_relay_that_is_renewed_while_it_expires_keeps_its_endpoint_or_loses_it() {
    for _ in 0..300 {
        let world = exclusive();
        world.join(0);
        world.advance(TTL - TICK);
        let outcomes = at_once(2, |thread| match thread {
            0 => world.registry.renew(&id(0)).is_ok(),
            _ => {
                world.advance(TICK);
                world.register(id(1), endpoint(0)).is_ok()
            }
        });
        let there = world.at(&endpoint(0));
        assert_eq!(there.len(), 1, "{outcomes:?}");
        assert_eq!(outcomes[1], there == [id(1)]);
    }
}

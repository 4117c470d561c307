//! Bans beside registrations: once both have returned, the relay is banned.

use crate::common::*;
use crate::{at_once, register_patiently, while_running};
use relay_registry::LeaseError;

const ROUNDS: u32 = 500;

#[test]
fn a_ban_beside_a_registration_holds_once_both_are_done() {
    let world = world();
    for round in 0..ROUNDS {
        let n = round % 3;
        at_once(2, |thread| match thread {
            0 => world.ban_for(n, secs(60)),
            _ => drop(register_patiently(&world, n, endpoint(n), &options())),
        });
        assert!(world.info(n).is_banned(), "round {round}");
        assert_eq!(world.lease(&id(n)).err(), Some(LeaseError::Banned));
        assert_eq!(world.found(), None, "round {round}");
        assert!(world.unban(&id(n)));
        world.leave(n);
    }
}

#[test]
fn a_lifted_ban_beside_a_registration_is_lifted_once_both_are_done() {
    let world = world();
    for round in 0..ROUNDS {
        let n = round % 3;
        world.ban_for(n, secs(60));
        at_once(2, |thread| match thread {
            0 => assert!(world.unban(&id(n))),
            _ => drop(register_patiently(&world, n, endpoint(n), &options())),
        });
        assert!(!world.info(n).is_banned(), "round {round}");
        assert_eq!(world.found(), Some(n), "round {round}");
        world.leave(n);
    }
}

#[test]
fn a_banned_relay_that_keeps_coming_back_is_never_found() {
    let world = world();
    world.ban_for(1, secs(60));
    let come_and_go = || {
        let _ = register_patiently(&world, 1, endpoint(1), &options());
        world.unregister(&id(1));
    };
    while_running(come_and_go, || {
        for _ in 0..20_000 {
            assert_eq!(world.found(), None);
            assert!(world.lease(&id(1)).is_err());
        }
    });
}

#[test]
fn bans_made_at_once_are_all_kept() {
    let world = world();
    at_once(4, |thread| {
        for n in 0..100 {
            world.ban_for(thread * 100 + n, secs(60));
        }
    });
    assert_eq!(world.banned().len(), 400);
    at_once(4, |thread| {
        for n in 0..100 {
            assert!(world.unban(&id(thread * 100 + n)));
        }
    });
    assert_eq!(world.banned(), []);
}

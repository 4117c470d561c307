//! The operator's settings of a relay hold until they are lifted, whatever the relay does.

use crate::assert_is;
use crate::common::*;
use relay_registry::{
    BanError, Clock, LeaseError, Maintenance, ManualClock, OperatorError, Registry,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[test]
fn draining_is_kept_by_id_until_it_is_ended() {
    let world = world();
    world.join_with(1, &ttl(secs(5)));
    world.drain(1);
    let comes: [fn(&World); 5] = [
        |world| world.join(1),
        |world| {
            world.pass(secs(5));
            world.join_with(1, &ttl(secs(5)));
        },
        |world| {
            world.leave(1);
            world.join_with(1, &ttl(secs(5)));
        },
        |world| {
            world.leave(1);
            world.pass(secs(86_400));
            world.join_with(1, &ttl(secs(5)));
        },
        |world| {
            world
                .register_with(id(1), endpoint(1), &options().restarted(true))
                .unwrap();
        },
    ];
    for come in &comes[1..] {
        come(&world);
        assert!(world.info(1).is_draining());
        assert_is!(world.lease(&id(1)), Err(LeaseError::Draining));
        assert!(world.found().is_none());
    }
    world.leave(1);
    world.set_draining(&id(1), false).unwrap();
    comes[0](&world);
    assert_eq!(world.found(), Some(1));
}

#[test]
fn a_relay_may_be_drained_before_it_is_known() {
    let world = world();
    world.set_draining(&id(1), true).unwrap();
    world.pass(secs(86_400) * 30);
    world.join(1);
    assert!(world.info(1).is_draining());
    world.set_draining(&id(1), false).unwrap();
    assert_eq!(world.found(), Some(1));
    assert_eq!(
        world.set_draining(&id(2), false),
        Ok(()),
        "there was nothing to end"
    );
    assert_eq!(world.stats().relays, 1);
}

#[test]
fn lifting_ends_every_setting() {
    let world = world();
    for n in [1, 2] {
        world.set_draining(&id(n), true).unwrap();
        world.ban(&id(n), secs(86_400)).unwrap();
    }
    world.join(1);
    assert_eq!(world.banned().len(), 2);
    for n in [1, 2] {
        assert!(world.lift(&id(n)));
        assert!(!world.lift(&id(n)));
    }
    world.join(2);
    assert!(world.banned().is_empty());
    assert_eq!(world.ranking().len(), 2);
}

/// A clock whose next reading can be made to panic.
struct FailingClock(ManualClock, Arc<AtomicBool>);

impl Clock for FailingClock {
    fn now(&self) -> Duration {
        assert!(!self.1.swap(false, Ordering::Relaxed), "no time");
        self.0.now()
    }
}

#[test]
fn a_clock_that_fails_leaves_what_was_to_be_lifted_as_it_was() {
    let fails = Arc::new(AtomicBool::new(false));
    let registry = Registry::builder()
        .maintenance(Maintenance::Manual)
        .clock(FailingClock(ManualClock::new(), Arc::clone(&fails)))
        .build()
        .unwrap();
    registry.register(id(1), endpoint(1)).unwrap();
    registry.set_draining(&id(1), true).unwrap();
    registry.ban(&id(1), secs(60)).unwrap();
    fails.store(true, Ordering::Relaxed);
    let lifting = catch_unwind(AssertUnwindSafe(|| registry.lift(&id(1))));
    assert!(lifting.is_err());
    let relay = registry.relay(&id(1)).unwrap();
    assert!(relay.is_draining() && relay.is_banned());
    assert!(registry.lift(&id(1)));
}

#[test]
fn settings_of_unknown_relays_are_bounded_and_lifted_ones_make_room() {
    let world = world();
    world.join(9);
    for n in 0..65_536 {
        world.set_draining(&id(1_000_000 + n), true).unwrap();
    }
    let refused = world.set_draining(&id(1), true);
    assert_is!(refused, Err(OperatorError::TooMany { max: 65_536, .. }));
    assert_is!(
        world.ban(&id(1), secs(9)),
        Err(BanError::TooMany { max: 65_536, .. })
    );
    assert_eq!(
        world.set_draining(&id(1_000_007), true),
        Ok(()),
        "one of them"
    );
    assert_eq!(world.set_draining(&id(9), true), Ok(()), "held");
    assert_eq!(world.ban(&id(9), secs(9)), Ok(()), "held");
    assert!(world.lift(&id(1_000_007)));
    assert_eq!(world.set_draining(&id(1), true), Ok(()));
    world.join(1_000_008);
    assert!(world.info(1_000_008).is_draining());
    assert_eq!(world.relay_count(), 2);
}

#[test]
fn bans_that_are_over_make_room() {
    let world = world();
    for n in 0..65_536 {
        world.ban(&id(1_000_000 + n), secs(10)).unwrap();
    }
    assert_is!(world.ban(&id(1), secs(9)), Err(BanError::TooMany { .. }));
    world.maintain();
    world.pass(secs(10));
    assert_eq!(world.ban(&id(1), secs(9)), Ok(()));
    assert_eq!(world.banned().len(), 1);
}

#[test]
fn a_relay_whose_ban_is_over_is_forgotten_in_the_end() {
    let world = world();
    world.join(1);
    world.measure(1, ms(5));
    world.leave(1);
    world.ban(&id(1), secs(86_400)).unwrap();
    world.pass(secs(86_400) / 2);
    world.join(1);
    assert_is!(world.lease(&id(1)), Err(LeaseError::Banned));
    world.leave(1);
    world.pass(secs(86_400));
    for _ in 0..4 {
        world.maintain();
    }
    let stats = world.stats();
    assert_eq!((stats.remembered, stats.wheel_len), (0, 0));
}

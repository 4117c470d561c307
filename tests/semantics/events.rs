//! Events: which changes there are told, in which order, and how they are read.

use crate::assert_is;
use crate::common::*;
use relay_registry::{
    Event, Events, Failure, FindOptions, NatType, PeerView, RecvError, RegisterError,
};
use std::time::Duration;

#[track_caller]
fn next(events: &Events) -> Event {
    events.try_recv().expect("an event")
}

#[track_caller]
fn none(events: &Events) {
    assert_eq!(events.try_recv(), Err(RecvError::Empty));
}

#[test]
fn a_relay_that_registers_is_told_with_what_it_announces() {
    let world = world();
    world.advance(secs(3));
    let events = world.events();
    world.join_with(1, &capacity(7).labels(["udp"]));
    match next(&events) {
        Event::Joined {
            id: of,
            tick,
            relay,
            returned: false,
            learned: false,
            ..
        } => {
            assert_eq!((of, tick), (id(1), 30));
            assert_eq!(Some(relay), world.relay(&id(1)));
        }
        other => panic!("{other:?}"),
    }
    none(&events);
}

#[test]
fn what_was_before_the_subscription_is_not_told() {
    let world = world();
    world.join(1);
    let events = world.events();
    none(&events);
    world.leave(1);
    assert_is!(next(&events), Event::Left { id: of, .. } if of == id(1));
}

#[test]
fn a_relay_that_left_or_expired_and_comes_back_has_returned() {
    let world = world();
    let events = world.events();
    for _ in 0..2 {
        world.join(1);
        next(&events);
        world.leave(1);
        assert_is!(next(&events), Event::Left { .. });
        world.join(1);
        assert_is!(next(&events), Event::Joined { returned: true, .. });
        world.pass(TTL);
        assert_is!(next(&events), Event::Expired { id: of, tick: _, .. } if of == id(1));
        none(&events);
    }
    world.pass(TTL * 2);
    world.join(1);
    assert_is!(
        next(&events),
        Event::Joined {
            returned: false,
            ..
        }
    );
}

#[test]
fn an_expired_relay_is_told_by_the_registration_that_finds_it() {
    let world = world();
    world.join(1);
    let events = world.events();
    world.advance(TTL);
    none(&events);
    world.join(1);
    assert_is!(next(&events), Event::Expired { .. });
    assert_is!(next(&events), Event::Joined { returned: true, .. });
    none(&events);
}

#[test]
fn what_changes_without_a_change_of_standing_is_no_event() {
    let world = world();
    world.join_with(1, &capacity(2));
    world.join(2);
    let events = world.events();
    world.renew(1);
    world.registry.renew(&id(1)).unwrap();
    world.renew_with(1, &capacity(2));
    world.measure(1, ms(5));
    world.report(1, 1);
    let leases = world.take(1, 1);
    world.update_peer(&id(8), PeerView::new());
    assert!(world.find_relay(&non_relay()).is_ok());
    assert!(world.reserve(&non_relay(), &FindOptions::new()).is_ok());
    drop(leases);
    world.succeed(1);
    world.forget_rtts();
    world.maintain();
    world.set_draining(&id(1), false).unwrap();
    world.unban(&id(1));
    world.lift(&id(1));
    world.reset_circuits();
    none(&events);
}

#[test]
fn each_change_of_what_a_relay_announces_is_told() {
    let world = world();
    world.join(1);
    let events = world.events();
    let changes = [
        capacity(5),
        ttl(secs(60)),
        options().tier(3),
        options().cost(2.0),
        options().labels(["a"]),
        options().also_at([endpoint(9)]),
        options().payload(b"x"),
        options().failure_domain("rack"),
        options().nat(NatType::PublicIp),
    ];
    for change in changes {
        world.renew_with(1, &change);
        let event = next(&events);
        assert_is!(&event, Event::Updated { .. });
        assert_eq!(event.relay(), world.relay(&id(1)).as_ref(), "{change:?}");
    }
    let moved = world.register(id(1), endpoint(7));
    assert!(moved.is_ok());
    assert_eq!(next(&events).relay().unwrap().endpoint(), &endpoint(7));
    none(&events);
}

#[test]
fn a_restart_is_told_with_and_without_leases() {
    let world = world();
    world.join(1);
    let events = world.events();
    world.renew_with(1, &options().restarted(true));
    assert_is!(next(&events), Event::Updated { .. });
    let lease = world.lease(&id(1)).unwrap();
    world.renew_with(1, &options().restarted(true));
    assert_is!(next(&events), Event::Updated { .. });
    world.leave(1);
    assert_is!(next(&events), Event::Left { .. });
    let second = world.lease(&id(1));
    assert!(second.is_err());
    world.join_with(1, &options().restarted(true));
    assert_is!(next(&events), Event::Joined { returned: true, .. });
    none(&events);
    drop(lease);
}

#[test]
fn what_the_operator_says_is_told_once() {
    let world = world();
    world.join(1);
    let events = world.events();
    for _ in 0..2 {
        world.set_tier(&id(1), 2).unwrap();
        world.set_cost(&id(1), 3.0).unwrap();
        world.drain(1);
        world.ban_for(1, secs(10));
    }
    let tier = next(&events);
    assert_eq!(tier.relay().unwrap().tier(), 2);
    assert_is!(tier, Event::Updated { .. });
    assert_eq!(next(&events).relay().unwrap().cost(), 3.0);
    assert_is!(
        next(&events),
        Event::Draining {
            draining: true,
            relay: Some(_),
            ..
        }
    );
    let banned = next(&events);
    let until = world.banned()[0].1;
    assert_is!(&banned, Event::Banned { until: Some(at), .. } if *at == until);
    assert!(banned.relay().unwrap().is_banned());
    none(&events);

    world.ban_for(1, secs(20));
    assert_is!(next(&events), Event::Banned { until: Some(at), .. } if at == until + secs(10));
    assert!(world.lift(&id(1)));
    assert_is!(
        next(&events),
        Event::Draining {
            draining: false,
            ..
        }
    );
    assert_is!(next(&events), Event::Updated { .. });
    assert_is!(next(&events), Event::Banned { until: None, .. });
    none(&events);
}

#[test]
fn what_the_operator_says_of_a_relay_that_is_not_there_is_told_without_it() {
    let world = world();
    let events = world.events();
    world.drain(1);
    assert_is!(
        next(&events),
        Event::Draining {
            draining: true,
            relay: None,
            ..
        }
    );
    world.ban_for(2, secs(10));
    assert_is!(
        next(&events),
        Event::Banned {
            until: Some(_),
            relay: None,
            ..
        }
    );
    world.set_tier(&id(3), 1).unwrap();
    none(&events);
    world.join(1);
    assert!(next(&events).relay().unwrap().is_draining());
}

#[test]
fn a_circuit_opens_and_closes() {
    let world = world();
    world.join(1);
    world.join(2);
    let events = world.events();
    world.fail(1, Failure::Refused);
    let opened = next(&events);
    assert_is!(&opened, Event::CircuitOpened { id: of, .. } if *of == id(1));
    assert_eq!(opened.relay(), world.relay(&id(1)).as_ref());
    for _ in 0..3 {
        none(&events);
        world.advance(secs(3));
        world.succeed(1);
    }
    assert_is!(next(&events), Event::CircuitClosed { .. });

    world.lease(&id(1)).unwrap().failed(Failure::TimedOut);
    assert_is!(next(&events), Event::CircuitOpened { .. });
    world.reset_circuits();
    assert_is!(next(&events), Event::CircuitClosed { .. });
    none(&events);
}

#[test]
fn a_trial_that_fails_opens_the_circuit_again() {
    let world = world();
    world.join(1);
    let events = world.events();
    world.fail(1, Failure::Refused);
    next(&events);
    world.advance(secs(5));
    let lease = world.reserve(&non_relay(), &FindOptions::new()).unwrap();
    none(&events);
    lease.failed(Failure::Refused);
    assert_is!(next(&events), Event::CircuitOpened { .. });
    none(&events);
}

#[test]
fn refusals_are_told_up_to_a_limit_and_displace_nothing() {
    let world = world_of(1);
    world.join(1);
    let events = world.events();
    for n in 2..500 {
        assert!(world.register(id(n), endpoint(n)).is_err());
    }
    world.leave(1);
    let mut refused = 0;
    let last = loop {
        match next(&events) {
            Event::Refused { error, .. } => {
                assert_is!(error, RegisterError::Full { max: 1, .. });
                refused += 1;
            }
            other => break other,
        }
    };
    assert_is!(last, Event::Left { .. });
    assert_eq!(refused, 64);
    world.join(1);
    world.advance(secs(1));
    assert!(world.register(id(2), endpoint(2)).is_err());
    next(&events);
    assert_is!(next(&events), Event::Refused { id: of, .. } if of == id(2));
}

#[test]
fn a_subscriber_that_falls_behind_is_told_how_many_it_missed() {
    let world = world_with(|builder| builder.event_capacity(3));
    let (slow, fast) = (world.events(), world.events());
    for n in 1..=5 {
        world.join(n);
        assert_eq!(next(&fast).id(), Some(id(n)));
    }
    assert_eq!(next(&slow), Event::Missed(2));
    for n in 3..=5 {
        assert_eq!(next(&slow).id(), Some(id(n)));
    }
    none(&slow);
    none(&fast);
    for n in 6..=9 {
        world.join(n);
    }
    assert_eq!(
        (next(&slow), next(&fast)),
        (Event::Missed(1), Event::Missed(1))
    );
    assert_eq!(next(&slow).id(), next(&fast).id());
    assert_eq!(
        (Event::Missed(1).id(), Event::Missed(1).tick()),
        (None, None)
    );
}

#[test]
fn a_new_subscriber_sees_nothing_of_what_others_have_not_read() {
    let world = world();
    let first = world.events();
    world.join(1);
    let second = world.events();
    none(&second);
    world.join(2);
    drop(first);
    assert_eq!(next(&second).id(), Some(id(2)));
    drop(second);
    world.join(3);
    none(&world.events());
}

#[test]
fn after_close_what_is_left_can_be_read() {
    let world = world();
    let events = world.events();
    world.join(1);
    world.close();
    world.join(2);
    assert_eq!(next(&events).id(), Some(id(1)));
    for _ in 0..2 {
        assert_eq!(events.try_recv(), Err(RecvError::Closed));
        assert_eq!(events.recv(Duration::MAX), Err(RecvError::Closed));
        assert_eq!(pollster::block_on(events.next()), None);
    }
    assert_eq!(world.events().try_recv(), Err(RecvError::Closed));
}

#[test]
fn a_subscription_outlives_its_registry() {
    let world = world();
    let events = world.events();
    world.join(1);
    drop(world);
    assert_eq!(next(&events).id(), Some(id(1)));
    assert_eq!(events.try_recv(), Err(RecvError::Closed));
}

#[test]
fn a_reader_that_waits_in_vain_says_so() {
    let world = world();
    let events = world.events();
    assert_eq!(events.recv(Duration::ZERO), Err(RecvError::Empty));
    assert_eq!(events.recv(ms(1)), Err(RecvError::Empty));
    assert_eq!(RecvError::Empty.to_string(), "no event yet");
    assert_eq!(RecvError::Closed.to_string(), "the registry was closed");
}

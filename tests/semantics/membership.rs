//! Rule 8: membership of one id. `tests/threads/` has the tests with threads.

use crate::common::*;
use relay_registry::{NatType, Registration};

#[test]
fn s08_each_operation_sees_what_the_one_before_has_done() {
    let world = world();
    for _ in 0..50 {
        assert!(!world.has(1));
        assert_eq!(world.relay(&id(1)), None);
        assert!(!world.unregister(&id(1)));
        world.join(1);
        assert!(world.has(1));
        assert!(world.relay(&id(1)).is_some());
        world.renew(1);
        assert!(world.unregister(&id(1)));
        assert!(!world.unregister(&id(1)));
    }
    assert_eq!(world.stats().unregistrations, 50);
}

#[test]
fn s08_a_relay_that_expired_was_not_there_to_leave() {
    let world = world();
    world.join_with(1, &ttl(secs(1)));
    world.join(2);
    world.advance(secs(1));
    world.renew(2); // raises the tick; relay 1 is due, though perhaps not swept
    assert!(!world.has(1));
    assert_eq!(world.relay(&id(1)), None);
    assert!(!world.record_rtt(&id(1), ms(1)));
    assert!(!world.unregister(&id(1)));
    world.maintain();
    let stats = world.stats();
    assert_eq!((stats.unregistrations, stats.expirations), (0, 1));
}

/// Registers relay 1 with all options. It is away for longer than its grace, then registers without
/// options.
fn come_back(vanish: impl FnOnce(&World)) {
    let world = world();
    let all_set = capacity(7).latency(ms(9)).nat(NatType::FullCone);
    world.join_with(1, &all_set.ttl(secs(5)));
    let first = world.info(1);
    world.measure(1, ms(11));
    world.report(1, 3);
    vanish(&world);
    let outcome = world.register(id(1), endpoint(1));
    assert_eq!(outcome, Ok(Registration::New));
    let second = world.info(1);
    assert_eq!(second.capacity(), 100);
    assert_eq!(second.current_load(), 0);
    assert_eq!(second.latency(), None);
    assert_eq!(second.nat(), None);
    assert!(second.registered_at() > first.registered_at());
    let life = second.expires_at().duration_since(second.registered_at());
    assert!(life.is_ok_and(|life| life >= TTL), "the old TTL came back");
}

#[test]
fn s08_a_relay_that_left_and_comes_back_after_its_grace_is_new() {
    come_back(|world| {
        world.leave(1);
        world.advance(secs(5));
    });
}

#[test]
fn s08_a_relay_that_expired_and_comes_back_after_its_grace_is_new() {
    come_back(|world| assert_eq!(world.pass(secs(10)), 1));
}

#[test]
fn s08_a_relay_that_is_found_expired_after_its_grace_is_new() {
    come_back(|world| world.advance(secs(10)));
}

#[test]
fn s08_an_info_is_what_was_registered() {
    let world = world();
    world.join_with(1, &capacity(9).nat(NatType::PublicIp).latency(ms(30)));
    world.maintain();
    let info = world.info(1);
    assert_eq!(info.node_id(), id(1));
    assert_eq!(info.endpoint(), &endpoint(1));
    assert_eq!(info.capacity(), 9);
    assert_eq!(info.nat(), Some(NatType::PublicIp));
    assert_eq!(info.latency(), Some(ms(30)));
    assert_eq!(world.find_relay(&non_relay()), Ok(info.clone()));
    assert_eq!(
        world.find_relays(&non_relay(), &all()),
        std::slice::from_ref(&info)
    );
    assert_eq!(world.relays(), [info]);
}

#[test]
fn s08_ids_that_differ_in_length_only_are_different_relays() {
    use relay_registry::{NodeId, Registration};
    let world = world();
    let ids: Vec<NodeId> = (1..=NodeId::MAX_LEN)
        .map(|len| NodeId::from_bytes(&vec![0; len]).expect("a valid length"))
        .collect();
    for id in &ids {
        assert_eq!(world.register(*id, endpoint(1)), Ok(Registration::New));
    }
    assert_eq!(world.relay_count(), ids.len());
    for id in &ids {
        assert_eq!(world.relay(id).map(|relay| relay.node_id()), Some(*id));
        assert!(world.unregister(id));
    }
    assert_eq!(world.relay_count(), 0);
}

/// The longest ids share all bytes but the last, or are a prefix of another.
#[test]
fn s08_ids_of_63_and_64_bytes_are_found_leased_excluded_and_targets() {
    use relay_registry::{FindOptions, NodeId, NodeIdError};
    let world = world();
    let long = |len: usize, last: u8| {
        let mut bytes = vec![7; len];
        bytes[len - 1] = last;
        NodeId::from_bytes(&bytes).expect("a valid length")
    };
    let ids = [long(63, 1), long(63, 7), long(64, 1), long(64, 7)];
    for id in ids {
        assert_eq!(world.register(id, endpoint(1)), Ok(Registration::New));
        assert_eq!(world.register(id, endpoint(1)), Ok(Registration::Renewed));
    }
    for id in ids {
        let others = ids.into_iter().filter(|other| *other != id);
        let only = FindOptions::new().exclude(others.clone());
        let found = world.find_relay_with(&non_relay(), &only);
        assert_eq!(found.map(|relay| relay.node_id()), Ok(id));
        let lease = world.lease(&id).expect("there is room");
        assert_eq!(lease.relay().node_id(), id);
        let mut found: Vec<NodeId> = world
            .find_relays(&id, &FindOptions::new().max_results(4))
            .into_iter()
            .map(|relay| relay.node_id())
            .collect();
        found.sort_unstable();
        let mut others: Vec<NodeId> = others.collect();
        others.sort_unstable();
        assert_eq!(found, others, "all but the target");
    }
    assert!(!world.is_relay(&long(62, 7)));
    let refused = NodeId::from_bytes(&[7; 65]);
    assert_eq!(refused, Err(NodeIdError::TooLong { len: 65 }));
}

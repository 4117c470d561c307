//! Each test is named after what a save keeps.

use crate::common::{endpoint, excluding, id, ms, non_relay, options, place, published, secs};
use crate::{Machine, said};
use relay_registry::{
    CircuitState, Failure, FindOptions, NatType, NodeId, PeerView, RegisterOptions, Registration,
    Verdict,
};

/// Everything that a relay can announce.
fn everything() -> RegisterOptions {
    options()
        .capacity(77)
        .nat(NatType::FullCone)
        .ttl(secs(300))
        .failure_domain("rack-7")
        .tier(3)
        .cost(2.5)
        .labels(["udp", "eu"])
        .also_at([endpoint(900), "relay.example.org:443".parse().unwrap()])
        .payload(b"opaque \xff\x00 bytes")
}

#[test]
fn all_that_a_relay_announced() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder);
    first.join_with(1, &everything());
    first.join(2);
    let odd = NodeId::from_bytes(&[7; 64]).unwrap();
    let v6 = "[2001:db8::7]:9"
        .parse::<relay_registry::Endpoint>()
        .unwrap();
    first.register(odd, v6).unwrap();
    first
        .register(NodeId::from_bytes(&[0]).unwrap(), endpoint(3))
        .unwrap();
    let before = said(&first);
    let second = machine.restart(&first);
    assert_eq!(said(&second), before);
    assert_eq!(second.payload(&id(1)), first.payload(&id(1)));
    let report = second.restored().unwrap();
    assert_eq!((report.live, report.refused, report.no_room), (4, 0, 0));
    assert_eq!(first.restored(), None);
    // It renews as if nothing had happened.
    second.renew_with(1, &options());
    assert!(second.info(1).has_label("eu"));
}

#[test]
fn the_time_that_remains_and_when_it_was_registered() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder.ttl(secs(100)));
    first.join(1);
    first.wait(secs(30));
    first.renew(1);
    first.wait(secs(15));
    let registered_at = first.info(1).registered_at();
    let second = machine.restart(&first);
    let info = second.info(1);
    assert_eq!(info.registered_at(), registered_at);
    assert_eq!((info.expires_in(), info.ttl()), (secs(85), secs(100)));
    assert_eq!(second.pass(secs(84)), 0);
    assert!(second.has(1));
    assert_eq!(second.pass(secs(1)), 1);
    assert!(!second.has(1));
}

#[test]
fn a_relay_that_had_expired_returns_as_what_it_was() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder);
    first.join_with(1, &everything());
    first.measure(1, ms(9));
    first.wait(secs(301));
    first.maintain();
    assert!(!first.has(1));
    let second = machine.restart(&first);
    assert_eq!(
        (
            second.restored().unwrap().remembered,
            second.stats().remembered
        ),
        (1, 1)
    );
    assert!(!second.has(1) && second.found().is_none());
    let outcome = second.register(id(1), endpoint(1));
    assert_eq!(outcome, Ok(Registration::Returned));
    let info = second.info(1);
    assert_eq!(info.latency(), Some(ms(9)));
    assert_eq!(
        (info.capacity(), info.tier()),
        (77, 3),
        "what it had announced"
    );
    assert!(info.has_label("udp"));
}

#[test]
fn a_relay_that_left_returns_and_announces_anew() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder);
    first.join_with(1, &everything());
    first.measure(1, ms(9));
    first.leave(1);
    let second = machine.restart(&first);
    let outcome = second.register(id(1), endpoint(1));
    assert_eq!(outcome, Ok(Registration::Returned));
    let info = second.info(1);
    assert_eq!((info.latency(), info.capacity()), (Some(ms(9)), 100));
}

#[test]
fn a_relay_whose_grace_ends_is_forgotten() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder.return_grace(secs(50)));
    first.join(1);
    first.leave(1);
    let save = crate::saved(&first);
    let late = |wait| {
        let second =
            machine.start(|builder| builder.return_grace(secs(50)).restore(&save[..]).unwrap());
        second.pass(wait);
        second.register(id(1), endpoint(1)).unwrap()
    };
    assert_eq!(late(secs(49)), Registration::Returned);
    assert_eq!(late(secs(51)), Registration::New);
}

#[test]
fn round_trips_with_their_ages() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder.rtt_lifetime(secs(400)));
    for n in 1..=4 {
        first.join_with(n, &options().ttl(secs(3_600)));
    }
    first.wait(secs(70));
    first.measure(1, ms(30));
    first.renew_with(4, &options().latency(ms(44)));
    first.wait(secs(100));
    first.measure(1, ms(20));
    first.measure(2, ms(50));
    first.wait(secs(100));
    first.measure(1, ms(40));
    let second = machine.start(|builder| {
        builder
            .rtt_lifetime(secs(400))
            .restore(&crate::saved(&first)[..])
            .unwrap()
    });
    assert_eq!(said(&second), said(&first));
    assert_eq!(second.info(1).latency(), Some(ms(20)));
    assert_eq!(second.info(2).latency_age(), Some(secs(100)));
    assert_eq!(second.info(3).latency(), None);
    assert_eq!(
        second.info(4).latency(),
        Some(ms(44)),
        "one that was reported"
    );
    assert_eq!(second.found(), Some(1));
    // The windows go on alike: minima leave them, and round trips lapse.
    for _ in 0..20 {
        for process in [&first, &second] {
            process.clock.advance(secs(37));
            process.maintain();
            process.measure(3, ms(70));
        }
        machine.wall.advance(secs(37));
        assert_eq!(said(&second), said(&first));
    }
    assert_eq!(second.info(1).latency(), None, "it has lapsed");
}

#[test]
fn positions_of_this_node_and_of_relays() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder);
    let _ = first.coordinate();
    for n in 1..=3 {
        first.join(n);
    }
    for round in 0..150_u32 {
        for n in 1..=3 {
            let x = (n * 7 + round * 13) as f32 * 11.0 % 200.0;
            let peer = place(x, if round % 2 == 0 { 35.0 } else { -15.0 });
            let rtt = peer.rtt_to(&place(n as f32 * 40.0, 0.0));
            first.update_peer(&id(100), published([(n, rtt)]).coordinate(peer));
            first.measure(n, ms(10 * u64::from(n)));
        }
        first.wait(secs(1));
        first.maintain();
    }
    let second = machine.restart(&first);
    assert_eq!(second.restored().unwrap().positions, 3);
    assert_eq!(second.coordinate(), first.coordinate());
    for n in 1..=3 {
        let at = second.relay_coordinate(&id(n));
        assert!(at.is_some() && at == first.relay_coordinate(&id(n)));
        assert!(second.info(n).coordinate().is_some(), "finds use it, too");
    }
    assert_eq!(said(&second), said(&first));
}

#[test]
fn circuits() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder.max_ejected_share(1.0));
    for n in 1..=4 {
        first.join_with(n, &options().ttl(secs(3_600)));
    }
    for _ in 0..3 {
        first.fail(1, Failure::TimedOut);
        first.wait(secs(40));
    }
    first.fail(2, Failure::TimedOut);
    first.fail(3, Failure::Refused);
    let second = machine.start(|builder| {
        let save = crate::saved(&first);
        builder.max_ejected_share(1.0).restore(&save[..]).unwrap()
    });
    assert_eq!(said(&second), said(&first));
    assert_eq!(second.circuit(1), CircuitState::HalfOpen);
    assert_eq!(second.circuit(2), CircuitState::Open);
    assert_eq!(second.verdict(2), Verdict::BackingOff);
    assert_eq!(second.circuit(4), CircuitState::Closed);
    second.pass(secs(10));
    assert_eq!(
        second.circuit(2),
        CircuitState::HalfOpen,
        "a back-off ends as it would have"
    );
    // Its level was kept: the next failure counts for longer than a first one.
    second.fail(1, Failure::TimedOut);
    second.pass(secs(60));
    assert_eq!(second.circuit(1), CircuitState::Open);
}

#[test]
fn a_trial_of_the_other_process_is_over() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder.max_ejected_share(1.0));
    first.join(1);
    first.fail(1, Failure::Refused);
    first.wait(secs(2));
    assert_eq!(first.found(), Some(1), "on trial");
    let second = machine.restart(&first);
    assert!(second.report_success(&id(1)));
    assert_eq!(
        second.circuit(1),
        CircuitState::HalfOpen,
        "this process began no trial"
    );
    second.pass(secs(2));
    for _ in 0..3 {
        assert_eq!(second.found(), Some(1));
        second.succeed(1);
    }
    assert_eq!(second.circuit(1), CircuitState::Closed);
}

#[test]
fn failures_of_an_outage_are_on_trial() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder);
    for n in 1..=4 {
        first.join(n);
    }
    for n in 1..=4 {
        first.fail(n, Failure::TimedOut);
    }
    let second = machine.restart(&first);
    let half_open = (1..=4).filter(|&n| second.circuit(n) == CircuitState::HalfOpen);
    assert!(half_open.count() >= 2, "those that failed in the outage");
    let found = second
        .find_relay_with(&non_relay(), &FindOptions::new())
        .unwrap();
    assert!(!found.is_last_resort());
}

#[test]
fn failures_of_a_relay_that_was_forgotten_since() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder.max_ejected_share(1.0).return_grace(secs(1)));
    first.join(1);
    for seconds in [3, 11] {
        first.fail(1, Failure::TimedOut);
        first.wait(secs(seconds));
    }
    // For half a minute, give or take a quarter.
    first.fail(1, Failure::TimedOut);
    first.leave(1);
    let save = crate::saved(&first);
    machine.wall.advance(secs(5));
    let second =
        machine.start(|builder| builder.max_ejected_share(1.0).restore(&save[..]).unwrap());
    assert_eq!(second.restored().unwrap().expired, 1);
    second.join(1);
    assert_eq!(second.circuit(1), CircuitState::Open);
}

#[test]
fn bans_of_relays_and_of_ids_that_are_not_known() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder);
    first.join(1);
    first.ban_for(1, secs(100));
    first.ban_for(2, secs(200));
    first.ban_for(3, secs(10));
    first.join(4);
    first.ban_for(4, secs(300));
    first.leave(4);
    first.wait(secs(20));
    let second = machine.restart(&first);
    let (before, after) = (first.banned(), second.banned());
    assert_eq!(after, before);
    let banned: Vec<NodeId> = after.iter().map(|(id, _)| *id).collect();
    assert_eq!(banned, [id(1), id(2), id(4)]);
    assert_eq!(second.verdict(1), Verdict::Banned);
    second.pass(secs(80));
    assert_eq!(second.found(), Some(1), "a ban ends as it would have");
    second.join(2);
    assert_eq!(second.verdict(2), Verdict::Banned);
}

#[test]
fn what_the_operator_said_of_relays_and_of_ids_that_are_not_known() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder);
    for n in [1, 2] {
        first.join_with(n, &options().tier(1).cost(2.0));
    }
    for n in [1, 10] {
        first.drain(n);
        first.set_tier(&id(n), 7).unwrap();
        first.set_cost(&id(n), 0.5).unwrap();
    }
    first.set_tier(&id(2), 0).unwrap();
    first.set_cost(&id(11), 3.0).unwrap();
    // One that was there, and is forgotten.
    first.join(12);
    first.drain(12);
    first.leave(12);
    first.wait(secs(550));
    first.renew(1);
    first.renew(2);
    first.wait(secs(100));
    first.maintain();
    let second = machine.restart(&first);
    assert_eq!(said(&second), said(&first));
    assert_eq!(second.restored().unwrap().settings, 3);
    assert_eq!((second.info(1).tier(), second.info(1).cost()), (7, 0.5));
    assert_eq!((second.info(2).tier(), second.info(2).cost()), (0, 2.0));
    assert_eq!(
        (second.verdict(1), second.found()),
        (Verdict::Draining, Some(2))
    );
    for n in [10, 11, 12] {
        second.join(n);
    }
    assert_eq!(
        (second.info(10).tier(), second.verdict(10)),
        (7, Verdict::Draining)
    );
    assert_eq!((second.info(11).tier(), second.info(11).cost()), (0, 3.0));
    assert_eq!(second.verdict(12), Verdict::Draining);
    // Lifted, it is what it announced.
    assert!(second.lift(&id(1)));
    let info = second.info(1);
    assert_eq!(
        (info.tier(), info.cost(), info.is_draining()),
        (1, 2.0, false)
    );
}

#[test]
fn views_of_peers() {
    let machine = Machine::new();
    let (peer, other) = (id(50), id(51));
    let ttl = secs(100);
    let first = machine.start(|builder| builder.peer_ttl(ttl).max_peers(2));
    for n in [1, 2] {
        first.join(n);
    }
    first.update_peer(&id(49), published([(1, ms(1))]));
    first.wait(secs(10));
    let view = published([(1, ms(3)), (2, ms(300))]).coordinate(place(1.0, 2.0));
    first.update_peer(&peer, view);
    first.wait(secs(20));
    first.update_peer(&other, published([(1, ms(300)), (2, ms(3))]));
    let save = crate::saved(&first);
    let restored = || {
        machine.start(|builder| {
            builder
                .peer_ttl(ttl)
                .max_peers(2)
                .restore(&save[..])
                .unwrap()
        })
    };
    let second = restored();
    assert_eq!(second.restored().unwrap().peers, 2);
    let best = |target: &NodeId| second.find_relay(target).unwrap().node_id();
    assert_eq!((best(&peer), best(&other)), (id(1), id(2)));
    assert!(!second.forget_peer(&id(49)), "it was forgotten before");
    // They end as they would have, the oldest first.
    second.pass(secs(81));
    assert!(!second.forget_peer(&peer) && second.forget_peer(&other));
    let second = restored();
    second.update_peer(&id(52), PeerView::new().measured(id(1), ms(1)).unwrap());
    assert!(!second.forget_peer(&peer), "the oldest makes room");
    assert!(second.forget_peer(&other) && second.forget_peer(&id(52)));
}

/// Their sessions are gone with the process.
#[test]
fn neither_leases_nor_loads() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder);
    first.join_with(1, &options().capacity(3));
    first.report(1, 2);
    let _leases = first.take(1, 1);
    let second = machine.restart(&first);
    assert_eq!((second.load(1), second.stats().leases), (0, 0));
    assert_eq!(second.take(1, 3).len(), 3);
}

#[test]
fn slow_start_spares_those_that_are_restored() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder.slow_start(secs(600)));
    first.join(1);
    first.join(2);
    first.leave(2);
    let save = crate::saved(&first);
    let second = machine.start(|builder| builder.slow_start(secs(600)).restore(&save[..]).unwrap());
    second.join(2);
    second.join(3);
    // A newcomer of which 10 units count is nearly full with 9.
    for n in 1..=3 {
        second.report(n, 9);
    }
    assert_ne!(second.found(), Some(3));
    assert_ne!(
        second.found_with(&excluding([1])),
        Some(3),
        "one that returned"
    );
    assert_ne!(
        second.found_with(&excluding([2])),
        Some(3),
        "one that was live"
    );
}

#[test]
fn a_registry_that_holds_nothing() {
    let machine = Machine::new();
    let first = machine.start(|builder| builder);
    let second = machine.restart(&first);
    assert!(second.relays().is_empty());
    let report = second.restored().unwrap();
    assert_eq!((report.live, report.remembered, report.settings), (0, 0, 0));
    second.join(1);
    assert_eq!(second.found(), Some(1));
}

#[test]
fn the_same_after_several_restarts() {
    let machine = Machine::new();
    let mut process = machine.start(|builder| builder);
    process.join_with(1, &everything().ttl(secs(100_000)));
    process.measure(1, ms(12));
    process.ban_for(2, secs(50_000));
    for _ in 0..10 {
        process.wait(secs(13));
        let before = (said(&process), process.banned());
        process = machine.restart(&process);
        assert_eq!((said(&process), process.banned()), before);
    }
    assert_eq!(process.info(1).latency_age(), Some(secs(130)));
}

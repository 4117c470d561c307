//! Round trips that have become wrong: after a change of network, a bad first sample, or a long time.

use crate::common::*;
use relay_registry::{
    FindOptions, Landmark, LegSource, MAX_RTT, NodeId, PeerView, RegistryBuilder, Vivaldi,
};
use std::time::Duration;

const LIFETIME: Duration = secs(3_600);
/// A round trip lapses within a second and a tick.
const A_LITTLE: Duration = secs(2);
const LONG: Duration = secs(30 * 86_400);

fn day(n: u64) -> Duration {
    secs(n * 86_400)
}

/// A world of relays that need no renewal.
fn long_lived() -> World {
    long_lived_with(|builder| builder)
}

fn long_lived_with(configure: impl FnOnce(RegistryBuilder) -> RegistryBuilder) -> World {
    world_with(|builder| configure(builder.ttl(LONG)))
}

fn due(world: &World, max: usize) -> Vec<u32> {
    world.due_for_probe(max).into_iter().map(number).collect()
}

fn is_unmeasured(world: &World, n: u32) -> bool {
    let info = world.info(n);
    assert_eq!(info.latency().is_none(), info.latency_age().is_none());
    info.latency().is_none()
}

#[test]
fn after_a_change_of_network_the_new_round_trips_count_at_once() {
    let world = long_lived();
    (1..=3).for_each(|n| world.join(n));
    world.measure(1, ms(5));
    world.measure(2, ms(10));
    world.join_with(4, &latency(ms(20)));
    world.maintain();
    assert_eq!(world.found(), Some(1));

    world.forget_rtts();
    assert!((1..=4).all(|n| is_unmeasured(&world, n)));
    world.measure(1, ms(80));
    world.measure(2, ms(60));
    assert_eq!(world.info(1).latency(), Some(ms(80)));
    assert_eq!(world.found(), Some(2));
    assert_eq!(world.ranking()[..2], [2, 1]);
    world.maintain();
    assert_eq!(world.found(), Some(2));
    assert_eq!(world.ranking()[..2], [2, 1]);
}

#[test]
fn one_round_trip_is_forgotten_and_the_others_stay() {
    let world = long_lived();
    (1..=2).for_each(|n| world.join(n));
    (1..=2).for_each(|n| world.measure(n, ms(10)));
    assert!(world.forget_rtt(&id(1)));
    assert!(is_unmeasured(&world, 1) && !is_unmeasured(&world, 2));
    assert_eq!(world.found(), Some(2));
    assert!(world.forget_rtt(&id(1)), "it is known, if not measured");
    world.leave(1);
    assert!(!world.forget_rtt(&id(1)));
    assert!(!world.forget_rtt(&id(3)));
}

/// A relay without a round trip is within no bound, until it is measured again.
#[test]
fn a_forgotten_round_trip_is_within_no_longest_one() {
    let world = long_lived();
    world.join(1);
    world.measure(1, ms(5));
    assert_eq!(world.found_with(&within(ms(10))), Some(1));
    world.forget_rtts();
    assert_eq!(world.rejections(&within(ms(10))).unmeasured, 1);
    world.measure(1, ms(5));
    assert_eq!(world.found_with(&within(ms(10))), Some(1));
}

#[test]
fn a_round_trip_shows_its_age() {
    let world = long_lived();
    world.join(1);
    assert_eq!(world.info(1).latency_age(), None);
    world.join_with(2, &latency(ms(9)));
    world.pass(ms(700));
    world.measure(1, ms(10));
    world.pass(secs(60));
    for (n, since) in [(1, secs(60)), (2, ms(60_700))] {
        let age = world.info(n).latency_age().expect("it was measured");
        assert!((since..since + secs(1)).contains(&age), "{n}: {age:?}");
    }
    world.measure(1, ms(30));
    let info = world.info(1);
    assert_eq!(info.latency(), Some(ms(10)), "the least");
    assert!(info.latency_age() < Some(secs(1)), "of the latest");
    let told = world.find_relay(&non_relay()).expect("a relay");
    assert_eq!(
        told.latency_age(),
        world.relay(&told.node_id()).unwrap().latency_age()
    );
}

#[test]
fn what_was_not_measured_for_its_lifetime_counts_as_unmeasured() {
    for ttl in [secs(60), LIFETIME, LONG] {
        let world = world_with(|builder| builder.ttl(ttl));
        world.join(1);
        world.join_with(2, &latency(ms(900)));
        world.measure(1, ms(800));
        world.join(3);
        let mut left = LIFETIME;
        while !left.is_zero() {
            let step = left.min(ttl / 2);
            world.pass(step);
            (1..=3).for_each(|n| world.renew(n));
            left -= step;
        }
        assert_eq!(world.info(1).latency(), Some(ms(800)), "never early");
        assert_eq!(world.info(2).latency(), Some(ms(900)), "nor what was told");
        assert_eq!(world.found_with(&excluding([3])), Some(1));
        world.pass(A_LITTLE);
        assert!((1..=3).all(|n| is_unmeasured(&world, n)), "{ttl:?}");
        // All three have the assumed round trip, whatever was measured before.
        let found: std::collections::BTreeSet<_> = (0..200).map(|_| world.found()).collect();
        assert_eq!(found.len(), 3, "{found:?} for {ttl:?}");
        assert_eq!(world.rejections(&within(secs(1))).unmeasured, 3);
    }
}

/// The round trip of a relay with an endless TTL lapses as well.
#[test]
fn a_round_trip_lapses_long_before_the_relay_does() {
    let world = long_lived();
    world.join(1);
    world.join(2);
    world.pass(secs(1));
    world.measure(1, ms(900));
    world.pass(LIFETIME - secs(1));
    world.measure(1, ms(950));
    world.pass(LIFETIME - secs(1));
    assert_eq!(world.found(), Some(2));
    assert_eq!(
        world
            .rejections(&within(secs(1)).exclude([id(1)]))
            .unmeasured,
        1
    );
    world.pass(secs(1) + A_LITTLE);
    let report = world.explain(&non_relay(), &FindOptions::new());
    let leg = report.of(&id(1)).expect("it is live").requester_leg_source;
    assert_eq!(leg, LegSource::Assumed);
    assert!((0..100).any(|_| world.found() == Some(1)));
}

#[test]
fn each_measurement_and_each_word_of_a_renewal_begins_the_lifetime_anew() {
    let world = long_lived();
    world.join(1);
    world.join_with(2, &latency(ms(20)));
    for _ in 0..5 {
        world.measure(1, ms(10));
        world.renew_with(2, &latency(ms(20)));
        world.pass(LIFETIME);
        assert!(!is_unmeasured(&world, 1) && !is_unmeasured(&world, 2));
    }
    world.pass(A_LITTLE);
    assert!(is_unmeasured(&world, 1) && is_unmeasured(&world, 2));
    world.renew_with(1, &latency(ms(30)));
    assert_eq!(world.info(1).latency(), Some(ms(30)), "a seed, as at first");
    world.measure(1, ms(40));
    assert_eq!(world.info(1).latency(), Some(ms(40)));
}

#[test]
fn the_lifetime_is_the_embedders_choice() {
    let world = long_lived_with(|builder| builder.rtt_lifetime(secs(10)));
    world.join(1);
    world.measure(1, ms(10));
    world.pass(secs(10));
    assert!(!is_unmeasured(&world, 1));
    world.pass(A_LITTLE);
    assert!(is_unmeasured(&world, 1));

    let world = long_lived_with(|builder| builder.rtt_lifetime(Duration::MAX));
    world.join(1);
    world.measure(1, ms(10));
    world.pass(day(29));
    assert_eq!(world.info(1).latency(), Some(ms(10)));
}

#[test]
fn a_lifetime_below_a_second_is_refused() {
    for rtt_lifetime in [Duration::ZERO, ms(999)] {
        let built = world_builder().rtt_lifetime(rtt_lifetime).build();
        crate::assert_is!(
            built,
            Err(relay_registry::BuildError::InvalidRttLifetime { rtt_lifetime: said, .. })
                if said == rtt_lifetime
        );
    }
    assert!(world_builder().rtt_lifetime(secs(1)).build().is_ok());
}

fn world_builder() -> RegistryBuilder {
    relay_registry::Registry::builder().maintenance(relay_registry::Maintenance::Manual)
}

/// Without maintenance for weeks, shown values are correct, and a find ranks the relays that it meets
/// again.
#[test]
fn without_maintenance_a_lapsed_round_trip_is_neither_shown_nor_preferred() {
    let world = long_lived();
    (1..=3).for_each(|n| world.join(n));
    world.measure(1, ms(1));
    world.measure(2, ms(2));
    world.maintain();
    world.advance(day(7));
    // The tick rises; no pass is made.
    world.renew(3);
    world.measure(3, ms(50));
    assert!(is_unmeasured(&world, 1) && is_unmeasured(&world, 2));
    assert_eq!(world.found(), Some(3));
    let lease = world.reserve(&non_relay(), &FindOptions::new()).unwrap();
    assert_eq!(number(lease.relay().node_id()), 3);
}

#[test]
fn without_maintenance_a_list_ranks_lapsed_round_trips_anew() {
    let world = long_lived();
    (1..=3).for_each(|n| world.join(n));
    world.measure(1, ms(1));
    world.measure(2, ms(2));
    world.maintain();
    world.advance(day(7));
    world.renew(3);
    world.measure(3, ms(50));
    assert_eq!(world.ranking()[0], 3);
    let shown = world.find_relays(&non_relay(), &all());
    assert!(shown[1..].iter().all(|relay| relay.latency().is_none()));
}

/// Time stamps of 16 bits wrapped around after about 75 days.
#[test]
fn a_sample_of_any_age_gives_way_to_a_later_one() {
    let world = world_with(|builder| builder.ttl(day(400)).rtt_lifetime(Duration::MAX));
    world.join(1);
    for _ in 0..3 {
        world.forget_rtts();
        world.measure(1, ms(10));
        // No pass is made in between.
        world.advance(secs(65_535 * 100));
        world.renew(1);
        world.measure(1, ms(70));
        assert_eq!(world.info(1).latency(), Some(ms(70)));
    }
}

/// With the default lifetime, at every distance.
#[test]
fn an_old_sample_never_counts_as_new() {
    let world = world_with(|builder| builder.ttl(day(4_000)));
    world.join(1);
    for days in [1, 37, 38, 75, 76, 151, 152, 303, 910, 2_000] {
        world.measure(1, ms(10));
        world.advance(day(days));
        world.renew(1);
        assert!(is_unmeasured(&world, 1), "{days} days");
    }
}

/// The first sample is 900 ms, the true round trip 30 ms. Only the probe schedule measures.
#[test]
fn a_relay_with_a_bad_first_sample_is_measured_again_and_used() {
    let world = long_lived();
    (1..=20).for_each(|n| world.join(n));
    let truth = |relay: &NodeId| match number(*relay) {
        1 => ms(30),
        n => ms(40 + u64::from(n)),
    };
    (2..=20).for_each(|n| world.measure(n, truth(&id(n))));
    world.measure(1, ms(900));
    world.maintain();
    assert_ne!(world.found(), Some(1));
    for _ in 0..60 {
        world.pass(secs(60));
        for relay in world.due_for_probe(1) {
            assert!(world.record_rtt(&relay, truth(&relay)));
        }
    }
    assert_eq!(world.info(1).latency(), Some(ms(30)));
    assert_eq!(world.found(), Some(1));
}

/// The bad sample lapses even if the relay is never measured again.
#[test]
fn a_relay_with_a_bad_first_sample_is_used_again_without_another_one() {
    let world = long_lived();
    (1..=2).for_each(|n| world.join(n));
    world.measure(1, ms(900));
    for _ in 0..7 {
        world.measure(2, ms(300));
        assert_eq!(world.found(), Some(2));
        world.pass(LIFETIME / 7 + secs(1));
    }
    world.measure(2, ms(300));
    assert_eq!(world.found(), Some(1));
}

#[test]
fn the_likely_choices_are_to_be_measured_first() {
    let world = long_lived();
    (1..=6).for_each(|n| world.join_with(n, &capacity(4)));
    world.measure(1, ms(900));
    world.measure(2, ms(20));
    world.measure(3, ms(50));
    world.pass(LIFETIME / 2 + A_LITTLE);
    world.measure(3, ms(50));
    world.report(4, 3);
    world.report(5, 4);
    // The nearest; unmeasured ones, of which the idle one is first; the farthest; the full one.
    assert_eq!(due(&world, 1), [2]);
    assert_eq!(due(&world, 3), [6, 4, 1]);
    assert_eq!(due(&world, 3), [5], "3 was measured just now");
}

#[test]
fn relays_that_drain_or_are_banned_and_this_node_are_not_to_be_measured() {
    let world = long_lived_with(|builder| builder.local_id(id(4)));
    (1..=4).for_each(|n| world.join(n));
    world.drain(1);
    world.ban_for(2, secs(60));
    assert_eq!(due(&world, 9), [3]);
    world.pass(secs(60));
    world.set_draining(&id(1), false).unwrap();
    let mut now = due(&world, 9);
    now.sort_unstable();
    assert_eq!(now, [1, 2]);
}

#[test]
fn a_relay_is_named_again_after_a_tenth_of_the_lifetime_or_when_it_was_forgotten() {
    let world = long_lived();
    (1..=3).for_each(|n| world.join(n));
    assert_eq!(due(&world, usize::MAX).len(), 3);
    assert_eq!(due(&world, 9), []);
    world.pass(LIFETIME / 10 - secs(1));
    assert_eq!(due(&world, 9), []);
    world.measure(1, ms(10));
    world.pass(secs(1));
    assert_eq!(due(&world, 1).len(), 1);
    assert_eq!(due(&world, 9).len(), 1, "but for the one that was measured");
    assert_eq!(due(&world, 9), []);
    assert!(world.forget_rtt(&id(1)));
    assert_eq!(due(&world, 9), [1]);
    world.forget_rtts();
    assert_eq!(due(&world, 0), []);
    assert_eq!(due(&world, 9).len(), 3);
}

#[test]
fn a_relay_that_leaves_and_returns_is_not_named_again_at_once() {
    let world = long_lived();
    world.join(1);
    assert_eq!(due(&world, 9), [1]);
    for restarted in [false, true] {
        let lease = world.lease(&id(1)).expect("a free unit");
        world.leave(1);
        assert_eq!(due(&world, 9), []);
        world.join_with(1, &options().restarted(restarted));
        assert_eq!(due(&world, 9), []);
        world.renew_with(1, &options().restarted(restarted));
        assert_eq!(due(&world, 9), []);
        drop(lease);
    }
    world.pass(LIFETIME / 10);
    assert_eq!(due(&world, 9), [1]);
}

/// Relays that register are due for a probe, and forgotten once they leave.
#[test]
fn those_to_be_measured_are_named_whatever_comes_and_goes() {
    let world = world_with(|builder| builder.max_relays(4));
    for n in 0..100 {
        world.join(n);
        assert_eq!(due(&world, 9), [n]);
        world.leave(n);
    }
    assert_eq!(due(&world, 9), []);
}

#[test]
fn a_round_trip_of_zero_is_a_measurement_wherever_it_is_given() {
    let microsecond = Some(Duration::from_micros(1));
    let world = long_lived();
    world.join_with(1, &latency(Duration::ZERO));
    world.join(2);
    world.measure(2, Duration::ZERO);
    world.join(3);
    world.renew_with(3, &latency(Duration::ZERO));
    for n in 1..=3 {
        assert_eq!(world.info(n).latency(), microsecond, "{n}");
    }
    let view = PeerView::new().measured(id(1), Duration::ZERO);
    let options = FindOptions::new().target_view(view.expect("a measurement"));
    let explanation = world.explain(&non_relay(), &options);
    let leg = explanation.of(&id(1)).expect("a relay");
    assert_eq!(leg.target_leg_source, LegSource::Published);
    assert_eq!(Some(leg.target_leg), microsecond);
    assert!(
        Vivaldi::new()
            .observe(&place(1.0, 1.0), Duration::ZERO)
            .is_ok()
    );
    assert!(
        Landmark::new()
            .observe(&place(1.0, 1.0), Duration::ZERO)
            .is_ok()
    );
    assert!(world.record_rtt(&id(1), MAX_RTT));
}

#[test]
fn a_near_new_relay_is_found_by_every_call_however_many_registered_since_the_last_pass() {
    for arrivals in [0, 63, 64, 65, 500] {
        let world = world();
        (0..200).for_each(|n| world.join_with(n, &latency(ms(50))));
        world.maintain();
        (1_000..1_000 + arrivals).for_each(|n| world.join_with(n, &latency(ms(50))));
        world.join_with(9_999, &latency(Duration::from_micros(1)));
        assert!(
            (0..1_000).all(|_| world.found() == Some(9_999)),
            "{arrivals}"
        );
    }
}

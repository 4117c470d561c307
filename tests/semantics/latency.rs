//! Rule 6: unknown latency is unknown, and a declared one is a seed until the first measurement.

use crate::assert_is;
use crate::common::*;
use relay_registry::{MAX_RTT, RegisterError, Registration};
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(300);

#[test]
fn s06_unknown_latency_is_shown_as_unknown() {
    let world = world();
    world.join(1);
    assert_eq!(world.info(1).latency(), None);
    let found = world.find_relay(&non_relay()).expect("one relay");
    assert_eq!(found.latency(), None);
}

#[test]
fn s06_unknown_latency_ranks_at_the_assumed_rtt() {
    for assumed in [ms(10), ms(100), secs(2)] {
        let world = world_with(|builder| builder.assumed_rtt(assumed));
        world.join(1);
        world.join_with(2, &latency(assumed / 2));
        world.join_with(3, &latency(assumed * 2));
        world.maintain();
        assert_eq!(world.ranking(), [2, 1, 3], "assumed {assumed:?}");
        assert_eq!(world.found(), Some(2));
        assert_eq!(world.found_with(&excluding([2])), Some(1));
    }
}

#[test]
fn s06_the_default_assumed_rtt_is_a_tenth_of_a_second() {
    let world = world();
    world.join(1);
    world.join_with(2, &latency(ms(90)));
    world.join_with(3, &latency(ms(110)));
    world.maintain();
    assert_eq!(world.ranking(), [2, 1, 3]);
}

#[test]
fn s06_declared_latency_is_a_seed_until_the_first_measurement() {
    let world = world();
    world.join_with(1, &latency(ms(10)));
    assert_eq!(world.info(1).latency(), Some(ms(10)));
    world.measure(1, ms(80));
    assert_eq!(
        world.info(1).latency(),
        Some(ms(80)),
        "the seed must not stay in the minimum"
    );
    world.renew_with(1, &latency(ms(5)));
    assert_eq!(world.info(1).latency(), Some(ms(80)), "nor come back");
}

#[test]
fn s06_a_renewal_may_seed_what_nobody_measured_yet() {
    let world = world();
    world.join(1);
    world.renew_with(1, &latency(ms(70)));
    assert_eq!(world.info(1).latency(), Some(ms(70)));
    world.renew_with(1, &latency(ms(90)));
    assert_eq!(world.info(1).latency(), Some(ms(90)));
    world.renew(1);
    assert_eq!(world.info(1).latency(), Some(ms(90)));
}

#[test]
fn s06_the_least_of_the_recent_measurements_counts() {
    let world = world();
    world.join(1);
    for (rtt, least) in [(60, 60), (80, 60), (40, 40), (50, 40)] {
        world.measure(1, ms(rtt));
        assert_eq!(world.info(1).latency(), Some(ms(least)));
    }
}

#[test]
fn s06_a_measurement_is_forgotten_when_newer_ones_left_it_behind() {
    let world = world_with(|builder| builder.ttl(secs(86_400)));
    world.join(1);
    world.measure(1, ms(20));
    world.pass(WINDOW - secs(60));
    world.measure(1, ms(90));
    assert_eq!(world.info(1).latency(), Some(ms(20)), "still in the window");
    world.pass(WINDOW);
    world.measure(1, ms(95));
    let now = world.info(1).latency();
    assert!(
        now == Some(ms(90)) || now == Some(ms(95)),
        "20 ms is out of the window, yet {now:?}"
    );
    world.pass(WINDOW * 2);
    assert_eq!(world.info(1).latency(), now, "time alone forgets nothing");
    world.measure(1, ms(200));
    assert_eq!(world.info(1).latency(), Some(ms(200)));
}

#[test]
fn s06_round_trips_are_kept_to_the_microsecond_and_never_as_nothing() {
    let world = world();
    world.join(1);
    world.measure(1, Duration::from_nanos(1_234_001));
    assert_eq!(world.info(1).latency(), Some(Duration::from_micros(1_235)));
    world.measure(1, Duration::from_nanos(1));
    assert_eq!(world.info(1).latency(), Some(Duration::from_micros(1)));
}

/// An unmeasured relay is never the nearest.
#[test]
fn s06_a_round_trip_of_zero_is_a_microsecond() {
    let world = world();
    world.join_with(1, &latency(Duration::ZERO));
    assert_eq!(world.info(1).latency(), Some(Duration::from_micros(1)));
    world.join_with(2, &latency(ms(1)));
    world.join(3);
    world.measure(3, Duration::ZERO);
    assert_eq!(world.info(3).latency(), Some(Duration::from_micros(1)));
    world.leave(1);
    assert_eq!(number(world.find_relay(&non_relay()).unwrap().node_id()), 3);
}

#[test]
fn s06_insane_round_trips_are_refused() {
    let world = world();
    world.join(1);
    let just_above = MAX_RTT + Duration::from_nanos(1);
    for insane in [just_above, Duration::MAX] {
        assert!(!world.record_rtt(&id(1), insane), "{insane:?}");
        assert_is!(
            world.register_with(id(2), endpoint(2), &latency(insane)),
            Err(RegisterError::InvalidLatency { latency, .. }) if latency == insane
        );
    }
    assert_eq!(world.info(1).latency(), None);
    world.measure(1, MAX_RTT);
    assert_eq!(world.info(1).latency(), Some(MAX_RTT));
    world.join_with(2, &latency(MAX_RTT));
    assert_eq!(world.info(2).latency(), Some(MAX_RTT));
}

#[test]
fn s06_round_trips_to_unknown_relays_are_refused() {
    let world = world();
    world.join(1);
    world.leave(1);
    world.join_with(2, &ttl(secs(1)));
    world.pass(secs(1));
    (1..=3).for_each(|n| assert!(!world.record_rtt(&id(n), ms(10)), "{n}"));
}

/// Samples lapsed one by one when the relay returned, or when a registration gave a latency.
#[test]
fn the_least_of_the_window_stands_until_the_latest_measurement_lapses() {
    for with_latency in [false, true] {
        let world = world_with(|builder| builder.rtt_lifetime(secs(3_600)).return_grace(secs(60)));
        let join = |ttl_of_it| {
            let options = ttl(ttl_of_it);
            let options = match with_latency {
                true => options.latency(ms(5)),
                false => options,
            };
            world
                .register_with(id(1), endpoint(1), &options)
                .expect("a valid registration")
        };
        join(secs(3_650));
        world.measure(1, ms(10));
        world.advance(secs(100));
        world.measure(1, ms(20));
        world.advance(secs(3_540));
        // The first sample is older than the lifetime.
        assert_eq!(join(secs(10)), Registration::Renewed);
        assert_eq!(world.info(1).latency(), Some(ms(10)));
        world.advance(secs(20));
        assert_eq!(join(secs(3_650)), Registration::Returned);
        assert_eq!(world.info(1).latency(), Some(ms(10)));
        world.advance(secs(41));
        assert_eq!(world.info(1).latency(), None);
    }
}

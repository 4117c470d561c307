//! Defects that were found and fixed.
//!
//! Those that need an interleaving which no public call can force are models in
//! `src/**/models.rs`.

use crate::common::*;
use relay_registry::{
    CircuitState, Clock, Failure, FindOptions, Maintenance, ManualClock, Registration, Registry,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Interruption = Box<dyn FnOnce() + Send>;

/// A clock whose next reader stalls after it has read the time, while another call is made.
#[derive(Clone, Default)]
struct HeldUp {
    clock: ManualClock,
    meanwhile: Arc<Mutex<Option<Interruption>>>,
}

impl Clock for HeldUp {
    fn now(&self) -> Duration {
        let reading = self.clock.now();
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(interruption) = meanwhile {
            interruption();
        }
        reading
    }
}

fn held_up(ttl: Duration) -> (HeldUp, Registry) {
    let clock = HeldUp::default();
    let registry = Registry::builder()
        .ttl(ttl)
        .maintenance(Maintenance::Manual)
        .clock(clock.clone())
        .build()
        .unwrap();
    (clock, registry)
}

#[test]
fn a_renewal_that_was_held_up_takes_nothing_from_a_later_one() {
    let (clock, registry) = held_up(secs(10));
    registry.register(id(1), endpoint(1)).unwrap();
    let (later, time) = (registry.clone(), clock.clone());
    *clock.meanwhile.lock().unwrap() = Some(Box::new(move || {
        time.clock.advance(secs(9));
        let renewed = later.register(id(1), endpoint(1));
        assert_eq!(renewed, Ok(Registration::Renewed));
    }));
    let renewed = registry.register(id(1), endpoint(1));
    assert_eq!(renewed, Ok(Registration::Renewed));
    clock.clock.advance(secs(9));
    registry.maintain();
    assert!(registry.is_relay(&id(1)), "renewed at 9 s for 10 s");
    clock.clock.advance(secs(1));
    registry.maintain();
    assert!(!registry.is_relay(&id(1)));
}

#[test]
fn a_registration_that_was_held_up_beyond_its_ttl_is_neither_counted_nor_in_the_way() {
    let (clock, registry) = held_up(secs(1));
    let (sweeper, time) = (registry.clone(), clock.clone());
    *clock.meanwhile.lock().unwrap() = Some(Box::new(move || {
        time.clock.advance(secs(5));
        sweeper.maintain();
    }));
    registry.register(id(1), endpoint(1)).unwrap();
    let listed = registry.relays().len();
    assert_eq!(registry.relay_count(), listed);
    assert_eq!(registry.is_relay(&id(1)), listed == 1);
}

/// The clock goes back by less than a tick, which its coarse reading hides.
#[test]
fn maintenance_goes_on_after_a_small_step_backwards() {
    struct Shaking(Mutex<(Duration, bool)>);
    impl Clock for Shaking {
        fn now(&self) -> Duration {
            let mut state = self.0.lock().unwrap();
            state.1 = !state.1;
            let (now, ahead) = *state;
            if ahead { now + ms(3) } else { now }
        }
    }
    let registry = Registry::builder()
        .maintenance(Maintenance::Manual)
        .clock(Shaking(Mutex::new((secs(7), true))))
        .build()
        .unwrap();
    for n in 0..10 {
        registry.register(id(n), endpoint(n)).unwrap();
        registry.record_rtt(&id(n), ms(100 - u64::from(n)));
        assert!(registry.maintain().sorted);
        let best = registry.find_relay(&non_relay()).unwrap();
        assert_eq!(best.node_id(), id(n), "the latest is the nearest");
    }
}

#[test]
fn long_answers_are_sorted_and_distinct_as_short_ones_are() {
    let world = world_of(500);
    (0..500).for_each(|n| {
        world.join_with(n, &latency(ms(1 + u64::from(n * 7 % 500))));
    });
    world.maintain();
    let all = world.find_relays(&non_relay(), &FindOptions::new().max_results(usize::MAX));
    assert_eq!(all.len(), 500);
    let latencies: Vec<_> = all.iter().map(|relay| relay.latency()).collect();
    assert!(latencies.is_sorted());
    let options = FindOptions::new().max_results(20).max_spread_cost(0.0);
    let few = world.find_relays(&non_relay(), &options);
    assert_eq!(numbers(&few), numbers(&all[..20]));
}

/// Also if there was no find or lease since an earlier one.
#[test]
fn a_lowered_capacity_is_in_force_when_its_renewal_returns() {
    let world = world();
    world.join_with(1, &capacity(5));
    for units in [3, 1, 4, 1] {
        world.renew_with(1, &capacity(units));
        let leases: Vec<_> = std::iter::from_fn(|| world.lease(&id(1)).ok()).collect();
        assert_eq!(leases.len() as u32, units);
    }
}

/// Found by fuzzing: the announcement of an expired relay made its new registration invalid.
#[test]
fn what_an_expired_relay_announced_is_not_kept() {
    let world = world();
    let options = ttl(secs(1)).nat(relay_registry::NatType::PublicIp);
    let public: relay_registry::Endpoint = "9.8.7.6:4433".parse().unwrap();
    world.register_with(id(1), public, &options).unwrap();
    world.advance(secs(5));
    let private: relay_registry::Endpoint = "10.0.0.1:4433".parse().unwrap();
    assert_eq!(world.register(id(1), private), Ok(Registration::New));
}

/// A ban that was lifted at once ended the back-off of a relay that had expired and not yet been
/// swept, and not that of one which had been.
#[test]
fn a_ban_that_is_lifted_leaves_a_failing_relay_on_trial_be_it_held_late_or_swept() {
    for (wait, swept) in [(0, false), (1, false), (1, true)] {
        let world = world();
        world.join_with(1, &ttl(secs(1)));
        assert!(world.report_failure(&id(1), Failure::TimedOut));
        world.advance(secs(wait));
        if swept {
            world.maintain();
        }
        world.ban(&id(1), secs(60)).unwrap();
        assert!(world.unban(&id(1)));
        world.register(id(1), endpoint(1)).unwrap();
        let relay = world.relay(&id(1)).unwrap();
        assert_eq!(relay.circuit(), CircuitState::HalfOpen);
    }
}

/// A list was short where many back-offs were just over, and those looked at first were full.
#[test]
fn a_list_is_as_long_as_was_asked_for_although_many_that_are_on_trial_are_full() {
    let world = world_with(|builder| builder.max_ejected_share(1.0));
    (0..40).for_each(|n| world.join_with(n, &capacity(1).ttl(secs(86_400 * 30))));
    (0..40).for_each(|n| world.fail(n, Failure::TimedOut));
    for free in 0..4 {
        let is_free = |n: u32| n % 10 == free;
        (0..40).for_each(|n| world.report(n, u32::from(!is_free(n))));
        world.advance(secs(3_600));
        let listed = world.find_relays(&non_relay(), &FindOptions::new().max_results(4));
        assert_eq!(listed.len(), 4);
        (0..40).for_each(|n| world.fail(n, Failure::TimedOut));
    }
}

/// A search panicked that had to choose among a few more equal relays than 256.
#[test]
fn among_a_few_more_equal_relays_than_256_one_is_found() {
    for relays in [256, 257, 260, 263, 264, 265, 270] {
        let world = world_of(relays as usize);
        (0..relays).for_each(|n| world.join(n));
        world.maintain();
        for _ in 0..2 * relays {
            assert!(world.found_with(&excluding([0])).is_some(), "of {relays}");
        }
    }
}

//! Selection compared with an exhaustive oracle. The oracle has eligibility and scores of its own: the test
//! creates each state, so it shares no fault with the rules in `tests/model`, from which a state follows.

use crate::common::*;
use proptest::collection::vec;
use proptest::prelude::*;
use relay_registry::{Failure, FindOptions, NodeId, RelayInfo};
use std::time::Duration;

/// The assumed round trip of an unmeasured leg: the registry's default.
const ASSUMED: Duration = ms(100);
/// Up to this many relays, ranks have the fine precision.
const FEW: usize = 64;
/// The relative difference up to which two scores are equal, among few relays and among many.
const FINE: f64 = 1.0 / 512.0;
const COARSE: f64 = 1.0 / 32.0;
/// Scores are in single precision.
const ROUNDING: f64 = 1e-5;

#[derive(Clone, Debug)]
struct Relay {
    rtt: Option<Duration>,
    capacity: u32,
    load: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fine,
    Excluded,
    Draining,
    Banned,
    BackingOff,
    Left,
    Lapsed,
}

impl Relay {
    fn path(&self) -> f64 {
        (self.rtt.unwrap_or(ASSUMED) + ASSUMED).as_secs_f64()
    }

    fn score(&self) -> f64 {
        let utilisation = f64::from(self.load) / f64::from(self.capacity);
        self.path() / (1.0 - utilisation.powi(4))
    }

    fn is_eligible(&self, conditions: &Conditions) -> bool {
        let is_near = match (conditions.max_latency, self.rtt) {
            (None, _) => true,
            (Some(max), Some(rtt)) => rtt <= max,
            (Some(_), None) => conditions.allow_unmeasured,
        };
        self.state == State::Fine && self.load + conditions.units <= self.capacity && is_near
    }
}

#[derive(Clone, Debug)]
struct Conditions {
    max_latency: Option<Duration>,
    allow_unmeasured: bool,
    units: u32,
}

/// The registry, and its true state.
struct Scene {
    world: World,
    relays: Vec<Relay>,
    conditions: Conditions,
}

impl Scene {
    fn new(relays: Vec<Relay>, conditions: Conditions, merged: bool) -> Self {
        // So there are no last resorts.
        let world = world_with(|builder| builder.max_ejected_share(1.0));
        for (n, relay) in (0..).zip(&relays) {
            let life = if relay.state == State::Lapsed {
                secs(1)
            } else {
                TTL
            };
            world.join_with(n, &capacity(relay.capacity).ttl(life));
            if let Some(rtt) = relay.rtt {
                world.measure(n, rtt);
            }
            world.report(n, relay.load);
        }
        if merged {
            // Free units are counted once a call has asked for several.
            let units = FindOptions::new().units(conditions.units);
            let _ = world.find_relay_with(&non_relay(), &units);
            world.maintain();
        }
        for (n, relay) in (0..).zip(&relays) {
            match relay.state {
                State::Fine | State::Excluded | State::Lapsed => {}
                State::Draining => world.drain(n),
                State::Banned => world.ban_for(n, secs(60)),
                State::BackingOff => world.fail(n, Failure::TimedOut),
                State::Left => world.leave(n),
            }
        }
        world.advance(secs(1));
        // A ban raises the tick and changes nothing else here.
        assert_eq!(world.ban(&non_relay(), secs(60)), Ok(()));
        Self {
            world,
            relays,
            conditions,
        }
    }

    fn options(&self) -> FindOptions {
        let excluded = (0..).zip(&self.relays);
        let excluded = excluded.filter(|(_, relay)| relay.state == State::Excluded);
        let options = excluding(excluded.map(|(n, _)| n))
            .max_spread_cost(0.0)
            .units(self.conditions.units)
            .allow_unmeasured(self.conditions.allow_unmeasured);
        match self.conditions.max_latency {
            Some(max) => options.max_latency(max),
            None => options,
        }
    }

    fn relay(&self, n: u32) -> &Relay {
        &self.relays[n as usize]
    }

    fn eligible(&self) -> Vec<u32> {
        let relays = (0..).zip(&self.relays);
        let eligible = relays.filter(|(_, relay)| relay.is_eligible(&self.conditions));
        eligible.map(|(n, _)| n).collect()
    }

    /// The scores of the eligible relays, best first.
    fn scores(&self) -> Vec<f64> {
        let eligible = self.eligible().into_iter();
        let mut scores: Vec<_> = eligible.map(|n| self.relay(n).score()).collect();
        scores.sort_by(f64::total_cmp);
        scores
    }

    fn score_of(&self, relay: NodeId) -> f64 {
        let relay = self.relay(number(relay));
        assert!(relay.is_eligible(&self.conditions), "handed out {relay:?}");
        relay.score()
    }

    /// The answers of a find and of a reservation, whose lease is dropped.
    fn answers(&self) -> [Option<NodeId>; 2] {
        let options = self.options();
        let found = self.world.find_relay_with(&non_relay(), &options);
        let reserved = self.world.reserve(&non_relay(), &options);
        let reserved = reserved.map(|lease| lease.relay().node_id());
        [found.map(|relay| relay.node_id()).ok(), reserved.ok()]
    }
}

fn relay() -> impl Strategy<Value = Relay> {
    let state = prop_oneof![
        12 => Just(State::Fine),
        1 => Just(State::Excluded),
        1 => Just(State::Draining),
        1 => Just(State::Banned),
        1 => Just(State::BackingOff),
        1 => Just(State::Left),
        1 => Just(State::Lapsed),
    ];
    let load = prop_oneof![3 => Just(0), 4 => 0..=8_u32, 1 => Just(8)];
    (rtt(), 1..=8_u32, load, state).prop_map(|(rtt, capacity, load, state)| Relay {
        rtt,
        capacity,
        load,
        state,
    })
}

/// Equal round trips, round trips of all lengths, and some unmeasured.
fn rtt() -> impl Strategy<Value = Option<Duration>> {
    prop_oneof![
        1 => Just(None),
        2 => prop::sample::select(&[1, 20, 21, 100][..]).prop_map(|n| Some(ms(n))),
        4 => (1..250_000_u64).prop_map(|micros| Some(Duration::from_micros(micros))),
    ]
}

fn conditions() -> impl Strategy<Value = Conditions> {
    let units = prop_oneof![3 => Just(1), 2 => 2..=8_u32];
    let max_latency = prop::option::weighted(0.3, 1..200_u64);
    (max_latency, any::<bool>(), units).prop_map(|(max, allow_unmeasured, units)| Conditions {
        max_latency: max.map(ms),
        allow_unmeasured,
        units,
    })
}

fn is_ascending(scores: &[f64]) -> bool {
    scores
        .windows(2)
        .all(|pair| pair[0] <= pair[1] * (1.0 + ROUNDING))
}

fn ids(relays: &[RelayInfo]) -> impl Iterator<Item = NodeId> {
    relays.iter().map(RelayInfo::node_id)
}

/// A quarter of the usual cases: each is a registry of up to 256 relays.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: usual.cases.div_ceil(4),
        failure_persistence: None,
        ..usual
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn all_eligible_relays_are_listed_in_order(
        relays in vec(relay(), 0..200),
        conditions in conditions(),
        merged: bool,
    ) {
        let scene = Scene::new(relays, conditions, merged);
        let listed = scene.world.find_relays(&non_relay(), &scene.options().max_results(usize::MAX));
        let mut listed_numbers = numbers(&listed);
        listed_numbers.sort_unstable();
        prop_assert_eq!(listed_numbers, scene.eligible());
        let scores: Vec<_> = ids(&listed).map(|id| scene.score_of(id)).collect();
        prop_assert!(is_ascending(&scores), "{scores:?}");
    }

    #[test]
    fn of_few_relays_the_best_is_found(
        relays in vec(relay(), 0..=FEW),
        conditions in conditions(),
        merged: bool,
    ) {
        let scene = Scene::new(relays, conditions, merged);
        let best = scene.scores().first().copied();
        for answer in scene.answers() {
            let score = answer.map(|id| scene.score_of(id));
            prop_assert_eq!(score.is_some(), best.is_some());
            prop_assert!(score <= best.map(|best| best * (1.0 + FINE + ROUNDING)), "{score:?}, best {best:?}");
        }
    }

    #[test]
    fn of_many_relays_one_of_the_best_is_found(
        relays in vec(relay(), FEW..4 * FEW),
        conditions in conditions(),
        merged: bool,
    ) {
        let scene = Scene::new(relays, conditions, merged);
        let best = scene.scores().first().copied();
        for answer in scene.answers() {
            let score = answer.map(|id| scene.score_of(id));
            prop_assert_eq!(score.is_some(), best.is_some());
            let limit = best.map(|best| best * (1.0 + COARSE + ROUNDING));
            prop_assert!(score <= limit, "{score:?}, best {best:?}");
        }
    }

    /// Each place of the list has about the best score, and scores ascend.
    #[test]
    fn a_list_holds_the_best(
        relays in vec(relay(), 0..4 * FEW),
        conditions in conditions(),
        merged: bool,
        count in 2..=16_usize,
    ) {
        let scene = Scene::new(relays, conditions, merged);
        let listed = scene.world.find_relays(&non_relay(), &scene.options().max_results(count));
        let expected = scene.scores();
        prop_assert_eq!(listed.len(), expected.len().min(count));
        let scores: Vec<_> = ids(&listed).map(|id| scene.score_of(id)).collect();
        prop_assert!(is_ascending(&scores), "{scores:?}");
        for (score, expected) in scores.iter().zip(&expected) {
            prop_assert!(*score <= expected * (1.0 + COARSE + ROUNDING), "{scores:?}, {expected:?}");
        }
    }
}

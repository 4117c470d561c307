//! Selection against an oracle that knows every relay and looks at all of them.

use crate::common::*;
use proptest::collection::vec;
use proptest::prelude::*;
use relay_registry::{Failure, FindOptions, NodeId, RelayInfo};
use std::time::Duration;

/// What a leg that was not measured counts as: the registry's default.
const ASSUMED: Duration = ms(100);
/// Of so many relays scores are told apart finely.
const FEW: usize = 64;
/// By which share two scores may differ and count as equal, of few relays and of many.
const FINE: f64 = 1.0 / 512.0;
const COARSE: f64 = 1.0 / 32.0;
/// Scores are kept in single precision.
const ROUNDING: f64 = 1e-5;

#[derive(Clone, Debug)]
struct Relay {
    rtt: Option<Duration>,
    capacity: u32,
    load: u32,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
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

    fn is_eligible(&self, wish: &Wish) -> bool {
        let is_near = match (wish.max_latency, self.rtt) {
            (None, _) => true,
            (Some(max), Some(rtt)) => rtt <= max,
            (Some(_), None) => wish.allow_unmeasured,
        };
        self.fate == Fate::Fine && self.load < self.capacity && is_near
    }
}

#[derive(Clone, Debug)]
struct Wish {
    max_latency: Option<Duration>,
    allow_unmeasured: bool,
}

/// The registry, and everything that is true of it.
struct Scene {
    world: World,
    relays: Vec<Relay>,
    wish: Wish,
}

impl Scene {
    fn new(relays: Vec<Relay>, wish: Wish, merged: bool) -> Self {
        // Those backing off are never a last resort.
        let world = world_with(|builder| builder.max_ejected_share(1.0));
        for (n, relay) in (0..).zip(&relays) {
            let life = if relay.fate == Fate::Lapsed {
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
            world.maintain();
        }
        for (n, relay) in (0..).zip(&relays) {
            match relay.fate {
                Fate::Fine | Fate::Excluded | Fate::Lapsed => {}
                Fate::Draining => world.drain(n),
                Fate::Banned => world.ban_for(n, secs(60)),
                Fate::BackingOff => world.fail(n, Failure::TimedOut),
                Fate::Left => world.leave(n),
            }
        }
        world.advance(secs(1));
        // A ban raises the tick and changes nothing else here.
        assert_eq!(world.ban(&non_relay(), secs(60)), Ok(()));
        Self {
            world,
            relays,
            wish,
        }
    }

    fn options(&self) -> FindOptions {
        let excluded = (0..).zip(&self.relays);
        let excluded = excluded.filter(|(_, relay)| relay.fate == Fate::Excluded);
        let options = excluding(excluded.map(|(n, _)| n))
            .max_spread_cost(0.0)
            .allow_unmeasured(self.wish.allow_unmeasured);
        match self.wish.max_latency {
            Some(max) => options.max_latency(max),
            None => options,
        }
    }

    fn relay(&self, n: u32) -> &Relay {
        &self.relays[n as usize]
    }

    fn eligible(&self) -> Vec<u32> {
        let relays = (0..).zip(&self.relays);
        let eligible = relays.filter(|(_, relay)| relay.is_eligible(&self.wish));
        eligible.map(|(n, _)| n).collect()
    }

    /// The scores of all that may be handed out, best first.
    fn scores(&self) -> Vec<f64> {
        let eligible = self.eligible().into_iter();
        let mut scores: Vec<_> = eligible.map(|n| self.relay(n).score()).collect();
        scores.sort_by(f64::total_cmp);
        scores
    }

    fn score_of(&self, relay: NodeId) -> f64 {
        let relay = self.relay(number(relay));
        assert!(relay.is_eligible(&self.wish), "handed out {relay:?}");
        relay.score()
    }

    /// The answers of a find and of a reservation, which gives its unit back.
    fn answers(&self) -> [Option<NodeId>; 2] {
        let options = self.options();
        let found = self.world.find_relay_with(&non_relay(), &options);
        let reserved = self.world.reserve(&non_relay(), &options);
        let reserved = reserved.map(|lease| lease.relay().node_id());
        [found.map(|relay| relay.node_id()).ok(), reserved.ok()]
    }
}

fn relay() -> impl Strategy<Value = Relay> {
    let fate = prop_oneof![
        12 => Just(Fate::Fine),
        1 => Just(Fate::Excluded),
        1 => Just(Fate::Draining),
        1 => Just(Fate::Banned),
        1 => Just(Fate::BackingOff),
        1 => Just(Fate::Left),
        1 => Just(Fate::Lapsed),
    ];
    let load = prop_oneof![3 => Just(0), 4 => 0..=8_u32, 1 => Just(8)];
    (rtt(), 1..=8_u32, load, fate).prop_map(|(rtt, capacity, load, fate)| Relay {
        rtt,
        capacity,
        load,
        fate,
    })
}

/// Twins in a data centre, relays all over the world, and some that were not measured.
fn rtt() -> impl Strategy<Value = Option<Duration>> {
    prop_oneof![
        1 => Just(None),
        2 => prop::sample::select(&[1, 20, 21, 100][..]).prop_map(|n| Some(ms(n))),
        4 => (1..250_000_u64).prop_map(|micros| Some(Duration::from_micros(micros))),
    ]
}

fn wish() -> impl Strategy<Value = Wish> {
    (prop::option::weighted(0.3, 1..200_u64), any::<bool>()).prop_map(|(max, allow_unmeasured)| {
        Wish {
            max_latency: max.map(ms),
            allow_unmeasured,
        }
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
    fn all_that_may_be_handed_out_are_listed_in_order(
        relays in vec(relay(), 0..200),
        wish in wish(),
        merged: bool,
    ) {
        let scene = Scene::new(relays, wish, merged);
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
        wish in wish(),
        merged: bool,
    ) {
        let scene = Scene::new(relays, wish, merged);
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
        wish in wish(),
        merged: bool,
    ) {
        let scene = Scene::new(relays, wish, merged);
        let best = scene.scores().first().copied();
        for answer in scene.answers() {
            let score = answer.map(|id| scene.score_of(id));
            prop_assert_eq!(score.is_some(), best.is_some());
            let limit = best.map(|best| best * (1.0 + COARSE + ROUNDING));
            prop_assert!(score <= limit, "{score:?}, best {best:?}");
        }
    }

    /// Place by place, and in the order of the scores themselves.
    #[test]
    fn a_list_holds_the_best(
        relays in vec(relay(), 0..4 * FEW),
        wish in wish(),
        merged: bool,
        count in 2..=16_usize,
    ) {
        let scene = Scene::new(relays, wish, merged);
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

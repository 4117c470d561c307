//! Selection compared with an exhaustive oracle. The oracle has eligibility, tiers and scores of its own: the
//! test creates each state, so it shares no fault with the rules in `tests/model`, from which a state follows.

mod question;
mod rejections;
mod relay;
mod scene;
mod second_life;

use crate::common::*;
use proptest::collection::vec;
use proptest::prelude::*;
use question::question;
use relay::{Relay, relay};
use relay_registry::{NodeId, RelayInfo};
use scene::{MANY, Scene, trees};

/// Up to this many relays, ranks have the fine precision.
const FEW: usize = 64;
/// The relative difference up to which two scores are equal, among few relays and among many.
const FINE: f64 = 1.0 / 512.0;
const COARSE: f64 = 1.0 / 32.0;
/// Scores are in single precision.
const ROUNDING: f64 = 1e-5;

impl Scene {
    /// By this factor an answer may be worse than the best.
    fn tolerance(&self) -> f64 {
        let precision = match self.relays.len() {
            ..=FEW => FINE,
            _ => COARSE,
        };
        1.0 + precision + ROUNDING
    }

    /// The tier of the answer to any call, if there is an answer.
    fn lowest_tier(&self) -> Option<u8> {
        self.eligible().map(|(_, relay)| relay.tier).min()
    }

    /// The eligible relays of that tier.
    fn of_lowest_tier(&self) -> impl Iterator<Item = &Relay> {
        let lowest = self.lowest_tier();
        let all = self.eligible().map(|(_, relay)| relay);
        all.filter(move |relay| Some(relay.tier) == lowest)
    }

    /// Tier and score of each eligible relay, the best first.
    fn ranking(&self) -> Vec<(u8, f64)> {
        let all = self
            .eligible()
            .map(|(_, relay)| (relay.tier, relay.score()));
        let mut all: Vec<_> = all.collect();
        all.sort_by(|one, other| one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)));
        all
    }

    /// Tier and score of a relay that was handed out.
    #[track_caller]
    fn rank_of(&self, id: NodeId) -> (u8, f64) {
        let relay = self.relay_of(id);
        let is_eligible = self.is_eligible(relay);
        assert!(is_eligible, "{id:?}, {relay:?}, {:?}", self.question);
        (relay.tier, relay.score())
    }

    /// There is an answer if any relay is eligible; and it is of the lowest tier of these, and about the best
    /// there.
    #[track_caller]
    fn check(&self, call: &str, answer: Option<NodeId>) {
        let best = self.of_lowest_tier().map(Relay::score);
        let best = best.min_by(f64::total_cmp);
        let answer = answer.map(|id| self.rank_of(id));
        assert_eq!(
            answer.map(|(tier, _)| tier),
            self.lowest_tier(),
            "{call}: {:?}",
            self.question
        );
        let limit = best.map(|best| best * self.tolerance());
        let score = answer.map(|(_, score)| score);
        assert!(score <= limit, "{call}: {score:?}, best {best:?}");
    }

    fn check_find_and_reserve(&self) {
        let options = self.options();
        let found = self.world.find_relay_with(&non_relay(), &options);
        self.check("find", found.map(|relay| relay.node_id()).ok());
        let reserved = self.world.reserve(&non_relay(), &options);
        let reserved = reserved.map(|lease| lease.relay().node_id());
        self.check("reserve", reserved.ok());
    }

    /// The tier goes before that. Of its relays, measured ones come first.
    fn check_home(&self) {
        let is_any_measured = self.of_lowest_tier().any(|relay| relay.rtt.is_some());
        let first = |relay: &&Relay| relay.rtt.is_some() == is_any_measured;
        let best = self.of_lowest_tier().filter(first).map(Relay::own_score);
        let best = best.min_by(f64::total_cmp);
        let found = self.world.find_home_relay(&self.options()).ok();
        let found = found.map(|found| self.relay_of(found.node_id()));
        assert_eq!(found.map(|relay| relay.tier), self.lowest_tier());
        assert!(found.is_none_or(|relay| self.is_eligible(relay)));
        assert!(found.is_none_or(|relay| first(&relay)), "{found:?}");
        // The leg is rounded apart from the score.
        let limit = best.map(|best| best * self.tolerance() * (1.0 + FINE));
        let score = found.map(Relay::own_score);
        assert!(score <= limit, "{score:?}, best {best:?}");
    }

    /// Takes units of the best, up to so many times, until no relay has as many free.
    fn check_reservations(&mut self, most: usize) {
        let options = self.options();
        let mut leases = Vec::new();
        for _ in 0..most {
            let lease = self.world.reserve(&non_relay(), &options).ok();
            let relay = lease.as_ref().map(|lease| lease.relay().node_id());
            self.check("reserve", relay);
            let Some(lease) = lease else {
                break;
            };
            let n = number(lease.relay().node_id());
            self.relays[n as usize].load += self.question.units;
            assert_eq!(self.world.load(n), self.relay(n).load);
            leases.push(lease);
        }
    }

    fn list(&self, count: usize) -> Vec<RelayInfo> {
        let options = self.options().max_results(count);
        self.world.find_relays(&non_relay(), &options)
    }
}

/// Whether tiers ascend, and scores within each.
fn is_ascending(ranks: &[(u8, f64)]) -> bool {
    ranks.windows(2).all(|pair| {
        let ((tier, score), (next_tier, next)) = (pair[0], pair[1]);
        tier < next_tier || tier == next_tier && score <= next * (1.0 + ROUNDING)
    })
}

/// A share of the usual cases: each is a registry of many relays.
fn config(share: u32) -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: usual.cases.div_ceil(share),
        failure_persistence: None,
        ..usual
    }
}

proptest! {
    #![proptest_config(config(2))]

    #[test]
    fn of_few_relays_the_best_is_found(
        relays in vec(relay(), 0..=FEW),
        question in question(),
        trees in trees(),
    ) {
        let scene = Scene::new(relays, question, trees);
        scene.check_find_and_reserve();
        scene.check_home();
        scene.check_rejections();
    }

    #[test]
    fn of_few_relays_the_best_has_the_next_unit(
        relays in vec(relay(), 2..=FEW),
        question in question(),
        trees in trees(),
    ) {
        Scene::new(relays, question, trees).check_reservations(usize::MAX);
    }

    #[test]
    fn all_eligible_relays_are_listed_in_order(
        relays in vec(relay(), 0..200),
        question in question(),
        trees in trees(),
    ) {
        let scene = Scene::new(relays, question, trees);
        let listed = scene.list(usize::MAX);
        let mut listed_numbers = numbers(&listed);
        listed_numbers.sort_unstable();
        let eligible: Vec<u32> = scene.eligible().map(|(n, _)| n).collect();
        prop_assert_eq!(listed_numbers, eligible);
        let ranks: Vec<_> = listed.iter().map(|it| scene.rank_of(it.node_id())).collect();
        prop_assert!(is_ascending(&ranks), "{ranks:?}");
    }

    /// Each place of the list has the right tier and about the best score, and both ascend.
    #[test]
    fn a_list_holds_the_best(
        relays in vec(relay(), 0..4 * FEW),
        question in question(),
        trees in trees(),
        count in 2..=40_usize,
    ) {
        let scene = Scene::new(relays, question, trees);
        let listed = scene.list(count);
        let mut expected = scene.ranking();
        expected.truncate(count);
        let ranks: Vec<_> = listed.iter().map(|it| scene.rank_of(it.node_id())).collect();
        prop_assert!(is_ascending(&ranks), "{ranks:?}");
        let tiers = |ranks: &[(u8, f64)]| ranks.iter().map(|it| it.0).collect::<Vec<_>>();
        prop_assert_eq!(tiers(&ranks), tiers(&expected));
        for ((_, score), (_, best)) in ranks.iter().zip(&expected) {
            prop_assert!(*score <= best * scene.tolerance(), "{ranks:?}, {expected:?}");
        }
    }
}

proptest! {
    #![proptest_config(config(16))]

    #[test]
    fn of_many_relays_one_of_the_best_is_found(
        relays in vec(relay(), FEW..=MANY),
        question in question(),
        trees in trees(),
    ) {
        let mut scene = Scene::new(relays, question, trees);
        scene.check_find_and_reserve();
        scene.check_home();
        scene.check_reservations(50);
    }
}

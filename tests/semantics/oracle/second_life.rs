//! Several questions about one registry, before and after a merge, and again after all relays have changed.

use super::question::{Question, question};
use super::relay::{Relay, relay};
use super::scene::{Scene, Trees, trees};
use super::{FEW, config};
use crate::common::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;

impl Scene {
    fn check_all(&mut self, questions: &[Question]) {
        for question in questions {
            self.question = question.clone();
            self.check_find_and_reserve();
            self.check_home();
            self.check_for_pair();
            [2, 5, usize::MAX]
                .into_iter()
                .for_each(|most| self.check_list(most));
            self.check_rejections();
        }
    }

    /// With some legs of the target, which decide within the lowest tier only.
    fn check_for_pair(&self) {
        let view = published([(0, ms(20)), (1, ms(30))]);
        let options = self.options_with_spread().target_view(view);
        let found = self.world.find_relay_with(&non_relay(), &options).ok();
        let tier = found.map(|it| self.rank_of(it.node_id()).0);
        assert_eq!(tier, self.lowest_tier(), "{:?}", self.question);
    }

    /// A spread list is as long as it can be, of different relays, and has those of the lowest tiers.
    fn check_list(&self, most: usize) {
        let options = self.options_with_spread().max_results(most);
        let list = self.world.find_relays(&non_relay(), &options);
        let tiers: Vec<u8> = list.iter().map(|it| self.rank_of(it.node_id()).0).collect();
        let ranking = self.ranking().into_iter().take(most);
        let expected: Vec<u8> = ranking.map(|(tier, _)| tier).collect();
        assert_eq!(tiers, expected, "{:?}", self.question);
        let distinct: BTreeSet<u32> = numbers(&list).into_iter().collect();
        assert_eq!(distinct.len(), list.len());
    }
}

/// Both lives of so few relays that often none is eligible, or of more.
fn lives() -> impl Strategy<Value = (Vec<Relay>, Vec<Relay>)> {
    let count = prop_oneof![1..8_usize, 0..FEW];
    count.prop_flat_map(|count| (vec(relay(), count), vec(relay(), count)))
}

proptest! {
    #![proptest_config(config(1))]

    /// Each call has filters that others asked for before, or not.
    #[test]
    fn after_all_relays_have_changed_answers_are_as_right(
        (first, second) in lives(),
        questions in vec(question(), 1..4),
        trees in trees(),
        is_merged: bool,
    ) {
        let mut scene = Scene::new(first, questions[0].clone(), Trees::Arrivals);
        scene.check_all(&questions);
        scene.merge(trees);
        scene.check_all(&questions);
        scene.change(second);
        scene.check_all(&questions);
        if is_merged {
            scene.merge(trees);
            scene.check_all(&questions);
        }
    }
}

//! The guide where something is known of the pair: bounds on the paths through all
//! relays of a node, from where they are and how loaded.

use crate::rtt::{Each, Four, Places};
use crate::select::explore::{Guide, Keys};
use crate::select::legs::Views;
use crate::select::search::{Look, Sink};
use crate::snapshot::{FANOUT, Leaves, Located, Words, figures, joint_figures};

/// See the module's description.
pub(crate) struct Pair<'l, 'g, S> {
    look: &'l Look<'g>,
    views: &'l Views<'g>,
    pub(crate) sink: S,
    /// What is estimated of the peers' legs to the relays of one node of leaves.
    legs: Each,
    /// Which node that is, the last whose keys were asked for.
    node: Option<(*const Leaves, usize)>,
    /// How many nodes of leaves there were so far.
    nodes: u32,
    /// Whether to be content with less the longer it takes.
    hurries: bool,
}

impl<'l, 'g, S: Sink<'g>> Pair<'l, 'g, S> {
    pub(crate) fn new(look: &'l Look<'g>, views: &'l Views<'g>, sink: S, hurries: bool) -> Self {
        Self {
            look,
            views,
            sink,
            legs: [0.0; Places::MANY],
            node: None,
            nodes: 0,
            hurries,
        }
    }

    /// The relays that either peer measured, exactly.
    pub(crate) fn look_at_published(&mut self) {
        let mut seen = [u32::MAX; 2 * crate::PeerView::MAX_MEASURED];
        for (number, index) in self.views.published().enumerate() {
            if !seen.contains(&index) {
                seen[number] = index;
                let record = self.look.table.revisit(index, self.look.guard);
                let path_micros = self.look.criteria.path_micros(&record);
                self.look.weigh(&record, path_micros, &mut self.sink);
            }
        }
    }

    /// Whether other relays than those may do.
    pub(crate) fn may_find_more(&self) -> bool {
        let options = self.look.criteria.options;
        self.views.requester().is_none()
            || options.max_latency.is_none()
            || options.allow_unmeasured
    }

    /// By which share a relay must be better than what was found, after so many nodes:
    /// where a registry's own choices have evened out scores, hundreds tie within the
    /// bounds, and to tell them apart would take longer than it is worth.
    fn share(&self) -> f32 {
        match self.nodes {
            _ if !self.hurries => 1.0,
            ..8 => 1.0,
            _ => 1.0 / 1.018,
        }
    }

    fn of_leaves(&mut self, part: &Leaves, node: usize) -> Keys<f32> {
        let located = part.located.as_ref();
        let places = located.and_then(|located| located.geometry.places(node));
        let assumed_micros = self.look.criteria.assumed_rtt_micros;
        self.legs = match places {
            Some(places) => self.views.estimates(places, assumed_micros),
            None => [self.views.assumed(assumed_micros); Places::MANY],
        };
        self.node = Some((part, node));
        self.nodes += 1;
        let words = part.summaries.words(0, node);
        self.bounds(part, &words, |at, _| {
            (Four::of(&self.legs, at), Four::splat(0.0))
        })
    }

    fn of_branches(&mut self, part: &Leaves, level: usize, node: usize) -> Keys<f32> {
        let words = part.summaries.words(level, node);
        let located = part.located.as_ref();
        let boxes =
            located.and_then(|located| Some((located, located.geometry.boxes(level, node)?)));
        let assumed_micros = self.look.criteria.assumed_rtt_micros;
        let Some((Located { joint, .. }, boxes)) = boxes else {
            let assumed = Four::splat(self.views.assumed(assumed_micros));
            return self.bounds(part, &words, |_, _| (assumed, Four::splat(0.0)));
        };
        let joint = joint.words(level, node);
        let legs = self.views.least_legs(boxes, assumed_micros);
        self.bounds(part, &words, |at, penalty| {
            let least = joint_figures(&joint, at) + Four::of(&legs.ways, at) * penalty;
            (Four::of(&legs.legs, at), least)
        })
    }

    /// Lower bounds of the scores below each word; infinite where there is no relay, or
    /// none within reach. `least` has, for four words and their penalties, lower bounds
    /// of the peers' legs and another lower bound of the score.
    #[inline(always)]
    fn bounds(
        &self,
        part: &Leaves,
        words: &Words,
        least: impl Fn(usize, Four) -> (Four, Four),
    ) -> Keys<f32> {
        let assumed = Four::splat(self.look.criteria.assumed_rtt_micros as f32);
        let (longest, admits_unmeasured) = self.look.reach.limits();
        let [longest, infinite] = [longest, f32::INFINITY].map(Four::splat);
        let mut keys = [f32::INFINITY; FANOUT];
        for at in (0..FANOUT).step_by(4) {
            let said = figures(words, at, part.bins, assumed);
            let (legs, joint) = least(at, said.penalty);
            let bound = match self.views.requester() {
                None => {
                    let own = said.near.min(said.unmeasured);
                    with_own_leg(own, said.score, said.penalty, legs, assumed).max(joint)
                }
                Some(_) => legs * said.penalty,
            };
            let far = match admits_unmeasured {
                true => said.unmeasured.if_below(infinite, bound, infinite),
                false => infinite,
            };
            let bound = said.near.if_below(longest, bound, far);
            let bound = said.score.if_below(infinite, bound, infinite);
            keys[at..at + 4].copy_from_slice(&bound.array());
        }
        keys
    }
}

/// A lower bound of the score of a path, given lower bounds of its parts: the own leg,
/// the penalty, the peers' other leg, and the score if that leg were as assumed.
#[inline(always)]
fn with_own_leg(own: Four, score: Four, penalty: Four, legs: Four, assumed: Four) -> Four {
    let longer = score + (legs - assumed) * penalty;
    let shorter = score * ((own + legs) / (own + assumed));
    let by_score = legs.if_below(assumed, shorter, longer);
    by_score.max((own + legs) * penalty)
}

impl<'g, S: Sink<'g>> Guide for Pair<'_, 'g, S> {
    type Key = f32;

    const IS_FAIR: bool = true;

    fn keys(&mut self, part: &Leaves, level: usize, node: usize) -> Keys<f32> {
        match level {
            0 => self.of_leaves(part, node),
            _ => self.of_branches(part, level, node),
        }
    }

    fn limit(&self) -> f32 {
        self.sink.limit() * self.share()
    }

    fn land(&mut self, part: &Leaves, place: usize) {
        let Some(record) = self.look.resolve(part, place) else {
            return;
        };
        if self.views.measured(record.index()) {
            return;
        }
        let criteria = &self.look.criteria;
        let path_micros = match self.views.requester() {
            _ if self.node != Some((part, place / FANOUT)) => criteria.path_micros(&record),
            None => criteria.own_micros(&record) + self.legs[place % FANOUT] as u32,
            Some(_) => self.legs[place % FANOUT] as u32,
        };
        self.look.weigh(&record, path_micros, &mut self.sink);
    }
}

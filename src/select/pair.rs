//! The guide where something is known of the pair: bounds on the paths through all
//! relays of a node, from where they are and how loaded.

use crate::coordinates::{CoordinateBatch, Each};
use crate::limits::MAX_RTT;
use crate::select::explore::{Keys, Objective};
use crate::select::path::Views;
use crate::select::search::{Collector, SearchScope};
use crate::simd::{Kernel, Lanes, splats, widest};
use crate::table::snapshot::{FANOUT, Leaves, Located, Node, figures, joint_figures};

/// See the module's description.
pub(crate) struct Pair<'l, 'g, S> {
    scope: &'l SearchScope<'g>,
    views: &'l Views<'g>,
    pub(crate) sink: S,
    /// What is estimated of the peers' legs to the relays of one node of leaves.
    legs: Each,
    /// Which node that is, the last whose keys were asked for.
    node: Option<(*const Leaves, usize)>,
    /// How many nodes of leaves there were so far.
    nodes: u32,
    /// Whether to be content with less the longer it takes.
    stops_early: bool,
}

impl<'l, 'g, S: Collector<'g>> Pair<'l, 'g, S> {
    pub(crate) fn new(
        scope: &'l SearchScope<'g>,
        views: &'l Views<'g>,
        sink: S,
        stops_early: bool,
    ) -> Self {
        Self {
            scope,
            views,
            sink,
            legs: [0.0; CoordinateBatch::MANY],
            node: None,
            nodes: 0,
            stops_early,
        }
    }

    /// The relays that either peer measured, exactly.
    pub(crate) fn look_at_published(&mut self) {
        let mut seen = [u32::MAX; 2 * crate::PeerView::MAX_MEASURED];
        for (number, index) in self.views.published().enumerate() {
            if !seen.contains(&index) {
                seen[number] = index;
                let record = self.scope.table.record_seen_at(index, self.scope.guard);
                let path_micros = self.scope.criteria.path_micros(&record);
                self.scope.consider(&record, path_micros, &mut self.sink);
            }
        }
    }

    /// Whether other relays than those may do.
    pub(crate) fn may_find_more(&self) -> bool {
        let options = self.scope.criteria.options;
        self.views.requester().is_none()
            || options.max_latency.is_none()
            || options.allow_unmeasured
    }

    /// By which share a relay must be better than what was found, after so many nodes:
    /// where a registry's own choices have evened out scores, hundreds tie within the
    /// bounds, and to tell them apart would take longer than it is worth.
    fn share(&self) -> f32 {
        match self.nodes {
            _ if !self.stops_early => 1.0,
            ..8 => 1.0,
            _ => 1.0 / 1.018,
        }
    }

    #[inline(always)]
    fn of_leaves<L: Lanes>(&mut self, part: &Leaves, node: usize) -> Keys<f32> {
        let located = part.located.as_ref();
        let places = located.and_then(|located| located.geometry.places(node));
        let assumed_micros = self.scope.criteria.assumed_rtt_micros;
        self.legs = match places {
            Some(places) => self.views.estimates::<L>(places, assumed_micros),
            None => [self.views.assumed(assumed_micros); CoordinateBatch::MANY],
        };
        self.node = Some((part, node));
        self.nodes += 1;
        let summaries = part.summaries.node(0, node);
        self.bounds::<L>(part, summaries, &self.legs, None)
    }

    #[inline(always)]
    fn of_branches<L: Lanes>(&self, part: &Leaves, level: usize, node: usize) -> Keys<f32> {
        let summaries = part.summaries.node(level, node);
        let located = part.located.as_ref();
        let boxes =
            located.and_then(|located| Some((located, located.geometry.boxes(level, node)?)));
        let assumed_micros = self.scope.criteria.assumed_rtt_micros;
        let Some((Located { joint, .. }, boxes)) = boxes else {
            let assumed = [self.views.assumed(assumed_micros); CoordinateBatch::MANY];
            return self.bounds::<L>(part, summaries, &assumed, None);
        };
        let legs = self.views.least_legs::<L>(boxes, assumed_micros);
        let joint = Joint {
            sums: joint.node(level, node),
            ways: &legs.ways,
            marks: splats(&self.scope.table.publication().context.terms.ways()),
        };
        self.bounds::<L>(part, summaries, &legs.legs, Some(joint))
    }

    /// Lower bounds of the scores below each word; infinite where there is no relay, or
    /// none within reach. By lower bounds of the peers' legs and, where there are such, by
    /// joint figures.
    #[inline(always)]
    fn bounds<L: Lanes>(
        &self,
        part: &Leaves,
        summaries: &Node,
        legs: &Each,
        joint: Option<Joint<'_, L>>,
    ) -> Keys<f32> {
        let assumed = L::splat(self.scope.criteria.assumed_rtt_micros as f32);
        let [longest, infinite] = splats(&[MAX_RTT.as_secs_f32() * 1e6, f32::INFINITY]);
        let mut keys = [f32::INFINITY; FANOUT];
        for at in (0..FANOUT).step_by(L::MANY) {
            let said = figures(summaries, at, part.bins, assumed);
            let legs = L::of(legs, at);
            let bound = match self.views.requester() {
                None => {
                    let own = said.near.min(said.unmeasured);
                    let bound = match &joint {
                        None => by_score(own, said.score, said.penalty, legs, assumed),
                        // A leg ends at the longest round trip, however high the relay.
                        Some(joint) => {
                            let bound = joint.bounds(at, said.penalty);
                            bound.min((own + longest) * said.penalty)
                        }
                    };
                    bound.max((own + legs) * said.penalty)
                }
                Some(_) => legs * said.penalty,
            };
            let bound = self.scope.reach.within(&said, bound);
            let bound = said.score.if_below(infinite, bound, infinite);
            bound.put(&mut keys, at);
        }
        keys
    }
}

/// What a tree says of own leg, height and penalty taken together, of the relays in the
/// boxes of a node.
struct Joint<'w, L> {
    sums: &'w Node,
    /// What the ways from the relays' links to the target are no shorter than.
    ways: &'w Each,
    /// The ways for which scores are summed up.
    marks: [L; 3],
}

impl<L: Lanes> Joint<'_, L> {
    /// Lower bounds of the scores in some boxes, from one on, given the least penalties.
    #[inline(always)]
    fn bounds(&self, at: usize, penalty: L) -> L {
        let scores = joint_figures(self.sums, at);
        by_joint_scores(L::of(self.ways, at), self.marks, scores, penalty)
    }
}

/// Lower bounds of scores for some ways, given what they are no lower than for the ways
/// at three marks, the first of which is 0, and the least penalties.
///
/// The score by way is a straight line for each relay, so the least of them all is
/// concave: between two marks it is nowhere below the line that joins what it is there.
/// Beyond the last it rises by the least penalty, or more.
#[inline(always)]
fn by_joint_scores<L: Lanes>(ways: L, marks: [L; 3], scores: [L; 3], penalty: L) -> L {
    let [none, one, two] = marks;
    let low = on_line(ways, [none, one], [scores[0], scores[1]]);
    let mid = on_line(ways, [one, two], [scores[1], scores[2]]);
    let high = scores[2] + (ways - two) * penalty;
    let bound = ways.if_below(one, low, ways.if_below(two, mid, high));
    // Where an adjustment may take away more than there is, all is possible.
    ways.if_below(none, none, bound)
}

/// Where the line through two points is at `x`.
#[inline(always)]
fn on_line<L: Lanes>(x: L, at: [L; 2], is: [L; 2]) -> L {
    is[0] + (is[1] - is[0]) * ((x - at[0]) / (at[1] - at[0]))
}

/// A lower bound of scores: given the least own leg, score as if the other leg were as
/// assumed, and penalty, and lower bounds of that leg.
///
/// A longer leg costs the difference times the penalty, at least; a shorter one at most
/// the share by which it shortens the shortest path.
#[inline(always)]
fn by_score<L: Lanes>(own: L, score: L, penalty: L, legs: L, assumed: L) -> L {
    let longer = score + (legs - assumed) * penalty;
    let shorter = score * ((own + legs) / (own + assumed));
    legs.if_below(assumed, shorter, longer)
}

/// The bounds for the children of a node.
struct Bounds<'p, 'l, 'g, S> {
    pair: &'p mut Pair<'l, 'g, S>,
    part: &'p Leaves,
    level: usize,
    node: usize,
}

impl<'g, S: Collector<'g>> Kernel for Bounds<'_, '_, 'g, S> {
    type Output = Keys<f32>;

    #[inline(always)]
    fn run<L: Lanes>(self) -> Keys<f32> {
        let Self { pair, part, .. } = self;
        match self.level {
            0 => pair.of_leaves::<L>(part, self.node),
            level => pair.of_branches::<L>(part, level, self.node),
        }
    }
}

impl<'g, S: Collector<'g>> Objective for Pair<'_, 'g, S> {
    type Key = f32;

    const IS_FAIR: bool = true;

    fn keys(&mut self, part: &Leaves, level: usize, node: usize) -> Keys<f32> {
        let pair = self;
        widest(Bounds {
            pair,
            part,
            level,
            node,
        })
    }

    fn limit(&self) -> f32 {
        self.sink.limit() * self.share()
    }

    fn visit_leaf(&mut self, part: &Leaves, place: usize) {
        let Some(record) = self.scope.resolve(part, place) else {
            return;
        };
        if self.views.measured(record.index()) {
            return;
        }
        let criteria = &self.scope.criteria;
        let path_micros = match self.views.requester() {
            _ if self.node != Some((part, place / FANOUT)) => criteria.path_micros(&record),
            None => criteria.own_micros(&record) + self.legs[place % FANOUT] as u32,
            Some(_) => self.legs[place % FANOUT] as u32,
        };
        self.scope.consider(&record, path_micros, &mut self.sink);
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::simd::One;
    use proptest::prelude::*;

    proptest! {
        /// Of relays by the part of the path that does not depend on the target, and the
        /// penalty.
        #[test]
        fn bounds_are_at_or_below_the_least_score(
            relays in prop::collection::vec((1.0_f32..300_000.0, 1.0_f32..50.0), 1..6),
            way in prop_oneof![Just(0.0), Just(60_000.0), 0.0_f32..500_000.0],
        ) {
            let least = |of: &dyn Fn(f32, f32) -> f32| {
                let all = relays.iter().map(|&(rest, penalty)| of(rest, penalty));
                all.fold(f32::INFINITY, f32::min)
            };
            let score_at = |way| least(&|rest, penalty| (rest + way) * penalty);
            let penalty = One::splat(least(&|_, penalty| penalty));
            let marks = [0.0, 60_000.0, 210_000.0];
            let bound = by_joint_scores(
                One::splat(way),
                splats(&marks),
                splats(&marks.map(score_at)),
                penalty,
            );
            let slack = 1.000_01;
            prop_assert!(bound.number() <= score_at(way) * slack);

            let assumed = 150_000.0;
            let [own, score, legs, assumed] = splats(&[
                least(&|rest, _| rest),
                score_at(assumed),
                way,
                assumed,
            ]);
            let bound = by_score(own, score, penalty, legs, assumed);
            prop_assert!(bound.number() <= score_at(way) * slack);
        }
    }

    /// A single relay has one line, and at the marks nothing is lost.
    #[test]
    fn bounds_are_exact_for_one_relay() {
        let (rest, penalty) = (40_000.0, 2.0);
        let marks = [0.0, 60_000.0, 210_000.0];
        let scores = marks.map(|way| (rest + way) * penalty);
        for way in [0.0, 30_000.0, 60_000.0, 100_000.0, 400_000.0] {
            let bound = by_joint_scores(
                One::splat(way),
                splats(&marks),
                splats(&scores),
                One::splat(penalty),
            );
            let expected = (rest + way) * penalty;
            assert!((bound.number() / expected - 1.0).abs() < 1e-5);
        }
    }

    /// Where estimates may be shorter than the links alone, nothing is ruled out.
    #[test]
    fn a_way_that_may_be_below_nothing_rules_out_nothing() {
        let bound = by_joint_scores(
            One::splat(f32::NEG_INFINITY),
            splats(&[0.0, 60_000.0, 210_000.0]),
            splats(&[1e5, 2e5, 3e5]),
            One::splat(2.0),
        );
        assert_eq!(bound.number(), 0.0);
    }
}

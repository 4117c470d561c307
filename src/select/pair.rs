//! The objective of a search where something is known of the pair: lower bounds of the
//! scores of a node's relays, by their positions and loads.

use crate::coordinates::{CoordinateBatch, Each};
use crate::limits::MAX_RTT;
use crate::select::best_so_far::BestSoFar;
use crate::select::branch_and_bound::{Bounds, Objective};
use crate::select::path::Views;
use crate::select::peer_view::PeerView;
use crate::select::scope::SearchScope;
use crate::simd::{Kernel, Lanes, splats, widest};
use crate::table::snapshot::{FANOUT, Leaves, Node, TierPart, joint_figures, least_figures};

/// See the module's description.
pub(crate) struct Pair<'l, 'g, C> {
    scope: &'l SearchScope<'g>,
    views: &'l Views<'g>,
    /// The tier that is searched.
    tier: u8,
    pub(crate) best_so_far: C,
    /// The estimated legs of the peers to the relays of one node of leaves.
    legs: Each,
    /// That node: the last one whose bounds were computed.
    node: Option<(*const Leaves, usize)>,
    /// How many nodes of leaves were visited.
    nodes: u32,
    /// Whether a slightly worse relay is accepted after some nodes.
    stops_early: bool,
}

impl<'l, 'g, C: BestSoFar<'g>> Pair<'l, 'g, C> {
    pub(crate) fn new(
        scope: &'l SearchScope<'g>,
        views: &'l Views<'g>,
        tier: u8,
        best_so_far: C,
        stops_early: bool,
    ) -> Self {
        Self {
            scope,
            views,
            tier,
            best_so_far,
            legs: [0.0; CoordinateBatch::MANY],
            node: None,
            nodes: 0,
            stops_early,
        }
    }

    /// Visits the relays of the tier that either peer measured.
    pub(crate) fn visit_published(&mut self) {
        let mut seen = [u32::MAX; 2 * PeerView::MAX_MEASURED];
        for (number, index) in self.views.published().enumerate() {
            if !seen.contains(&index) {
                seen[number] = index;
                let record = self.scope.table.record_seen_at(index, self.scope.guard);
                if record.tier() != self.tier {
                    continue;
                }
                let path_micros = self.scope.criteria.path_micros(&record);
                self.scope
                    .visit(&record, path_micros, &mut self.best_so_far);
            }
        }
    }

    /// Whether relays that neither peer measured may be eligible.
    pub(crate) fn may_find_more(&self) -> bool {
        let options = self.scope.criteria.options;
        self.views.requester().is_none()
            || options.max_latency.is_none()
            || options.allow_unmeasured
    }

    /// The factor by which a relay must be better than the best one found. The choices of a
    /// registry even out scores, so bounds often do not tell hundreds of relays apart. After
    /// eight nodes a gain below 1.8 % is not worth the search.
    fn share(&self) -> f32 {
        match self.nodes {
            _ if !self.stops_early => 1.0,
            ..8 => 1.0,
            _ => 1.0 / 1.018,
        }
    }

    #[inline(always)]
    fn bounds_of_leaves<L: Lanes>(&mut self, part: TierPart<'_>, node: usize) -> Bounds<f32> {
        let geometry = part.leaves.geometry.as_ref();
        let positions = geometry.and_then(|geometry| geometry.positions(node));
        let assumed_micros = self.scope.criteria.assumed_rtt_micros;
        self.legs = match positions {
            Some(positions) => self.views.estimates::<L>(positions, assumed_micros),
            None => [self.views.assumed(assumed_micros); CoordinateBatch::MANY],
        };
        self.node = Some((part.leaves, node));
        self.nodes += 1;
        let summaries = part.trees.summaries.node(0, node);
        self.bounds::<L>(part.leaves, summaries, &self.legs, None)
    }

    #[inline(always)]
    fn bounds_of_nodes<L: Lanes>(
        &self,
        part: TierPart<'_>,
        level: usize,
        node: usize,
    ) -> Bounds<f32> {
        let TierPart { leaves, trees } = part;
        let summaries = trees.summaries.node(level, node);
        let geometry = leaves.geometry.as_ref().zip(trees.joint.as_ref());
        let boxes =
            geometry.and_then(|(geometry, joint)| Some((joint, geometry.boxes(level, node)?)));
        let assumed_micros = self.scope.criteria.assumed_rtt_micros;
        let Some((joint, boxes)) = boxes else {
            let assumed = [self.views.assumed(assumed_micros); CoordinateBatch::MANY];
            return self.bounds::<L>(leaves, summaries, &assumed, None);
        };
        let legs = self.views.least_legs::<L>(boxes, assumed_micros);
        let context = &self.scope.table.publication().context;
        let joint = Joint {
            words: joint.node(level, node),
            distances: &legs.distances,
            marks: splats(&context.settings.distance_marks()),
        };
        self.bounds::<L>(leaves, summaries, &legs.legs, Some(joint))
    }

    /// Lower bounds of the scores below each word, by lower bounds of the peers' legs and, if
    /// given, joint figures. Infinite where no relay is eligible within the limit.
    #[inline(always)]
    fn bounds<L: Lanes>(
        &self,
        part: &Leaves,
        summaries: &Node,
        legs: &Each,
        joint: Option<Joint<'_, L>>,
    ) -> Bounds<f32> {
        let assumed = L::splat(self.scope.criteria.assumed_rtt_micros as f32);
        let [longest, infinite] = splats(&[MAX_RTT.as_secs_f32() * 1e6, f32::INFINITY]);
        let mut bounds = [f32::INFINITY; FANOUT];
        for at in (0..FANOUT).step_by(L::MANY) {
            let least = least_figures(summaries, at, part.precision.bins, assumed);
            let legs = L::of(legs, at);
            let bound = match self.views.requester() {
                None => {
                    let own = least.rtt.min(least.unmeasured);
                    let bound = match &joint {
                        None => by_score(own, least.score, least.penalty, legs, assumed),
                        // An estimated leg is at most the longest round trip, whatever the height.
                        Some(joint) => {
                            let bound = joint.bounds(at, least.penalty);
                            bound.min((own + longest) * least.penalty)
                        }
                    };
                    bound.max((own + legs) * least.penalty)
                }
                Some(_) => legs * least.penalty,
            };
            let bound = self.scope.latency_limit.restrict(&least, bound);
            let bound = least.score.if_below(infinite, bound, infinite);
            bound.put(&mut bounds, at);
        }
        bounds
    }
}

/// Joint figures of a node: of own leg, height and penalty together.
struct Joint<'w, L> {
    words: &'w Node,
    /// Lower bounds of the distances from the relays to the target.
    distances: &'w Each,
    /// The distances for which the words have the least scores.
    marks: [L; 3],
}

impl<L: Lanes> Joint<'_, L> {
    /// Lower bounds of scores for several children, from `at` on, given the least penalties.
    #[inline(always)]
    fn bounds(&self, at: usize, penalty: L) -> L {
        let scores = joint_figures(self.words, at);
        by_joint_scores(L::of(self.distances, at), self.marks, scores, penalty)
    }
}

/// Lower bounds of scores at some distances, given such bounds at three marks, the first of
/// which is 0, and the least penalties.
///
/// The score of one relay is a linear function of the distance, so the least score of many is
/// concave: between two marks it is not below the line that joins the scores there. Beyond
/// the last mark it rises at least by the least penalty.
#[inline(always)]
fn by_joint_scores<L: Lanes>(distances: L, marks: [L; 3], scores: [L; 3], penalty: L) -> L {
    let [none, one, two] = marks;
    let low = on_line(distances, [none, one], [scores[0], scores[1]]);
    let mid = on_line(distances, [one, two], [scores[1], scores[2]]);
    let high = scores[2] + (distances - two) * penalty;
    let bound = distances.if_below(one, low, distances.if_below(two, mid, high));
    // An adjustment may make a distance negative; then there is no bound.
    distances.if_below(none, none, bound)
}

/// The value at `x` of the line through two points.
#[inline(always)]
fn on_line<L: Lanes>(x: L, at: [L; 2], values: [L; 2]) -> L {
    values[0] + (values[1] - values[0]) * ((x - at[0]) / (at[1] - at[0]))
}

/// Lower bounds of scores by lower bounds of the other leg, given the least own leg, the
/// least score if the other leg were the assumed one, and the least penalty.
///
/// A longer leg adds at least the difference times the penalty. A shorter one reduces the
/// score at most by the share by which it shortens the shortest path.
#[inline(always)]
fn by_score<L: Lanes>(own: L, score: L, penalty: L, legs: L, assumed: L) -> L {
    let longer = score + (legs - assumed) * penalty;
    let shorter = score * ((own + legs) / (own + assumed));
    legs.if_below(assumed, shorter, longer)
}

/// The computation of the bounds of a node.
struct BoundsKernel<'p, 'l, 'g, C> {
    pair: &'p mut Pair<'l, 'g, C>,
    part: TierPart<'p>,
    level: usize,
    node: usize,
}

impl<'g, C: BestSoFar<'g>> Kernel for BoundsKernel<'_, '_, 'g, C> {
    type Output = Bounds<f32>;

    #[inline(always)]
    fn run<L: Lanes>(self) -> Bounds<f32> {
        let Self { pair, part, .. } = self;
        match self.level {
            0 => pair.bounds_of_leaves::<L>(part, self.node),
            level => pair.bounds_of_nodes::<L>(part, level, self.node),
        }
    }
}

impl<'g, C: BestSoFar<'g>> Objective for Pair<'_, 'g, C> {
    type Bound = f32;

    const IS_RANDOM: bool = true;

    #[inline(always)]
    fn lower_bounds(&mut self, part: TierPart<'_>, level: usize, node: usize) -> Bounds<f32> {
        let pair = self;
        widest(BoundsKernel {
            pair,
            part,
            level,
            node,
        })
    }

    #[inline(always)]
    fn limit(&self) -> f32 {
        self.best_so_far.limit() * self.share()
    }

    #[inline(always)]
    fn visit_leaf(&mut self, part: TierPart<'_>, slot: usize) {
        let Some(record) = self.scope.resolve(part.leaves, slot) else {
            return;
        };
        if self.views.measured(record.index()) {
            return;
        }
        let criteria = &self.scope.criteria;
        let path_micros = match self.views.requester() {
            _ if self.node != Some((std::ptr::from_ref(part.leaves), slot / FANOUT)) => {
                criteria.path_micros(&record)
            }
            None => criteria.own_micros(&record) + self.legs[slot % FANOUT] as u32,
            Some(_) => self.legs[slot % FANOUT] as u32,
        };
        self.scope
            .visit(&record, path_micros, &mut self.best_so_far);
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::simd::One;
    use proptest::prelude::*;

    proptest! {
        /// A relay is the part of its path that does not depend on the target, and its
        /// penalty.
        #[test]
        fn bounds_are_at_or_below_the_least_score(
            relays in prop::collection::vec((1.0_f32..300_000.0, 1.0_f32..50.0), 1..6),
            distance in prop_oneof![Just(0.0), Just(60_000.0), 0.0_f32..500_000.0],
        ) {
            let least = |of: &dyn Fn(f32, f32) -> f32| {
                let all = relays.iter().map(|&(rest, penalty)| of(rest, penalty));
                all.fold(f32::INFINITY, f32::min)
            };
            let score_at = |distance| least(&|rest, penalty| (rest + distance) * penalty);
            let penalty = One::splat(least(&|_, penalty| penalty));
            let marks = [0.0, 60_000.0, 210_000.0];
            let bound = by_joint_scores(
                One::splat(distance),
                splats(&marks),
                splats(&marks.map(score_at)),
                penalty,
            );
            let slack = 1.000_01;
            prop_assert!(bound.number() <= score_at(distance) * slack);

            let assumed = 150_000.0;
            let [own, score, legs, assumed] = splats(&[
                least(&|rest, _| rest),
                score_at(assumed),
                distance,
                assumed,
            ]);
            let bound = by_score(own, score, penalty, legs, assumed);
            prop_assert!(bound.number() <= score_at(distance) * slack);
        }
    }

    /// The score of a single relay is one line, so the bound is the score.
    #[test]
    fn bounds_are_exact_for_one_relay() {
        let (rest, penalty) = (40_000.0, 2.0);
        let marks = [0.0, 60_000.0, 210_000.0];
        let scores = marks.map(|distance| (rest + distance) * penalty);
        for distance in [0.0, 30_000.0, 60_000.0, 100_000.0, 400_000.0] {
            let bound = by_joint_scores(
                One::splat(distance),
                splats(&marks),
                splats(&scores),
                One::splat(penalty),
            );
            let expected = (rest + distance) * penalty;
            assert!((bound.number() / expected - 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn a_distance_that_may_be_negative_gives_no_bound() {
        let bound = by_joint_scores(
            One::splat(f32::NEG_INFINITY),
            splats(&[0.0, 60_000.0, 210_000.0]),
            splats(&[1e5, 2e5, 3e5]),
            One::splat(2.0),
        );
        assert_eq!(bound.number(), 0.0);
    }
}

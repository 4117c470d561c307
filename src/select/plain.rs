//! The objective of a search where nothing is known of the pair: the score that summaries
//! have.

use crate::select::best_so_far::BestSoFar;
use crate::select::branch_and_bound::{Bounds, Objective};
use crate::select::scope::SearchScope;
use crate::simd::{Four, Lanes};
use crate::sync::{lasting_random_bits, random_bits};
use crate::table::record::Handle;
use crate::table::snapshot::{
    BestChildren, Bins, FANOUT, LeastFigures, Leaves, Node, Snapshot, SummaryWord, TierPart,
    TierTrees, best_children, least_figures, pick,
};
use crate::time::Tick;

/// See the module's description.
pub(crate) struct Plain<'l, 'g, C> {
    pub(crate) scope: &'l SearchScope<'g>,
    pub(crate) best_so_far: C,
}

impl<'g, C: BestSoFar<'g>> Objective for Plain<'_, 'g, C> {
    type Bound = f32;

    const IS_RANDOM: bool = true;

    // Also in the objective around this one, if a call asks for several units.
    #[inline(always)]
    fn lower_bounds(&mut self, part: TierPart<'_>, level: usize, node: usize) -> Bounds<f32> {
        let limit = self.scope.latency_limit;
        let bins = part.leaves.precision.bins;
        let summaries = part.trees.summaries.node(level, node);
        if FANOUT % Four::MANY != 0 {
            return summaries.words().map(|word| match SummaryWord(word) {
                summary if summary.score_rank() > 0 && limit.admits(summary) => {
                    bins.least(summary.score_rank())
                }
                _ => f32::INFINITY,
            });
        }
        match limit.is_unlimited() {
            true => four_by_four(summaries, bins, |least| least.score),
            false => four_by_four(summaries, bins, |least| limit.restrict(&least, least.score)),
        }
    }

    #[inline(always)]
    fn limit(&self) -> f32 {
        self.best_so_far.limit()
    }

    #[inline(always)]
    fn visit_leaf(&mut self, part: TierPart<'_>, slot: usize) {
        let Some(record) = self.scope.resolve(part.leaves, slot) else {
            return;
        };
        let path_micros = self.scope.criteria.path_micros(&record);
        self.scope
            .visit(&record, path_micros, &mut self.best_so_far);
    }
}

/// A bound for each word of a node, computed for four of them at once.
#[inline(always)]
fn four_by_four(
    node: &Node,
    bins: Bins,
    bound: impl Fn(LeastFigures<Four>) -> Four,
) -> Bounds<f32> {
    let mut bounds = [f32::INFINITY; FANOUT];
    for at in (0..FANOUT).step_by(Four::MANY) {
        let least = least_figures(node, at, bins, Four::splat(0.0));
        bound(least).put(&mut bounds, at);
    }
    bounds
}

/// One of the best relays by the summaries of some trees, in the long run each with the same
/// probability. `None` if there is none, or a suspension has ended, which needs a full search.
/// `trees` says which trees of each part, if it has any.
///
/// For 64 calls a thread draws from the same 256 of many equal relays, so that these stay in
/// its caches.
#[inline(always)]
pub(crate) fn best_relay<'s>(
    snapshot: &'s Snapshot,
    tick: Tick,
    trees: impl Fn(&'s Leaves) -> Option<&'s TierTrees>,
) -> Option<Handle> {
    let base = &snapshot.base.leaves;
    let root = |part| trees(part).map_or(BestChildren::NONE, TierTrees::root);
    let (random, lasting) = (random_bits(), lasting_random_bits());
    let (mut part, mut best) = (base, root(base));
    let mut least = least_score(base, best);
    let mut are_due = base.are_due(tick);
    for run in snapshot.runs.iter().filter(|run| run.len() > 0) {
        let root = root(&run.leaves);
        are_due |= run.leaves.are_due(tick);
        let is_drawn = || {
            let (run, all) = (run.len() as u64, (snapshot.base.len() + run.len()) as u64);
            ((random_bits() >> 32) * all) >> 32 < run
        };
        let score = least_score(&run.leaves, root);
        if score < least || (score == least && is_drawn()) {
            (part, best, least) = (&run.leaves, root, score);
        }
    }
    let (trees, mut node) = (trees(part)?, 0);
    for level in (0..=part.top()).rev() {
        if best.score_rank == 0 || are_due {
            return None;
        }
        let random = if level < DRAWN { random } else { lasting };
        node = node * FANOUT + pick(best.mask, random >> (4 * level)) as usize;
        if level > 0 {
            best = best_children(trees.summaries.words(level - 1, node));
        }
    }
    part.at(node)
}

/// On so many of the lowest levels, each call draws anew.
const DRAWN: usize = 2;

/// A lower bound of the best score.
#[inline(always)]
fn least_score(part: &Leaves, best: BestChildren) -> f32 {
    match best.score_rank {
        0 => f32::INFINITY,
        rank => part.precision.bins.least(rank),
    }
}

//! The objective of a search for a home relay: this node's own leg times the penalty for the
//! load. Also the rule by which a home relay is kept.
//!
//! Relays that were measured come first. Only if none of them is eligible, the others are
//! searched, whose leg counts as the assumed round trip.

use crate::select::best_so_far::{Best, BestSoFar};
use crate::select::branch_and_bound::{Bounds, Objective};
use crate::select::candidate::Candidate;
use crate::select::criteria::Criteria;
use crate::select::options::Preference;
use crate::select::scope::SearchScope;
use crate::select::search::Search;
use crate::simd::{Four, Lanes};
use crate::table::RecordRef;
use crate::table::snapshot::{
    Bins, FANOUT, LeastFigures, Snapshot, SummaryWord, TierPart, least_figures,
};

/// The best home relay of a tier.
pub(crate) fn best<'g>(
    search: &Search<'g>,
    snapshot: &Snapshot,
    tier: u8,
) -> Option<Candidate<'g>> {
    let scope = &search.scope;
    let found = |with_unmeasured| {
        let bins = snapshot.base.leaves.precision.bins;
        // A bound is the product of two figures, each of which is rounded down.
        let slack = (1.0 + bins.width()) * (1.0 + Bins::FINE.width());
        let mut home = Home {
            scope,
            with_unmeasured,
            best: Best::within(slack),
        };
        let parts = snapshot.tier(tier, scope.criteria.filter);
        search.search_parts(&mut home, parts, false);
        home.best.found
    };
    found(false).or_else(|| found(true))
}

/// The preferred relay, if it is eligible, not of a higher tier than the best one, and that is
/// not clearly better.
///
/// Unlike for a path, it is also kept while it is on trial. Else this node's home would move to
/// and fro after each outage: all relays are on trial then. A trial that is under way is that of
/// an earlier call for this home relay, so the relay is kept without another trial.
pub(crate) fn kept<'g>(
    criteria: &Criteria<'_>,
    preference: &Preference,
    record: RecordRef<'g>,
    best: &Candidate<'g>,
) -> Option<Candidate<'g>> {
    let preferred = match record.circuit().is_trial_under_way() {
        true => criteria.evaluate_on_trial(&record).ok()?,
        false => criteria.candidate(record)?,
    };
    let is_measured = |candidate: &Candidate<'_>| candidate.record.rtt_micros().is_some();
    let is_comparable = is_measured(best) || !is_measured(&preferred);
    let (preferred_micros, best_micros) = criteria.known_micros(&preferred, best);
    let is_left = is_comparable && preference.is_worth_leaving(preferred_micros, best_micros);
    (record.tier() <= best.tier && !preferred.is_busy() && !is_left).then_some(preferred)
}

/// See the module's description.
struct Home<'l, 'g> {
    scope: &'l SearchScope<'g>,
    with_unmeasured: bool,
    best: Best<'g>,
}

impl Home<'_, '_> {
    /// Lower bounds of the scores below several words, by their least figures.
    #[inline(always)]
    fn bounds<L: Lanes>(&self, least: &LeastFigures<L>, assumed: L) -> L {
        let infinite = L::splat(f32::INFINITY);
        let own = match self.with_unmeasured {
            true => least.rtt.min(least.unmeasured),
            false => least.rtt,
        };
        // The score of a path is at least the least one. Of that the own leg is the least
        // share where it is shortest.
        let by_score = least.score * (own / (own + assumed));
        let bound = by_score.max(own * least.penalty);
        let bound = own.if_below(infinite, bound, infinite);
        let bound = self.scope.latency_limit.restrict(least, bound);
        least.score.if_below(infinite, bound, infinite)
    }

    /// A looser bound for one word, where a node has too few words for vectors (loom).
    fn bound(&self, summary: SummaryWord, bins: Bins, assumed: f32) -> f32 {
        let is_admitted = self.scope.latency_limit.admits(summary);
        if summary.score_rank() == 0 || !is_admitted {
            return f32::INFINITY;
        }
        let measured = match summary.rtt_rank() {
            0 => f32::INFINITY,
            rank => Bins::FINE.least(rank),
        };
        let own = match self.with_unmeasured && summary.has_unmeasured() {
            true => measured.min(assumed),
            false => measured,
        };
        own * bins.least(summary.penalty_rank())
    }
}

impl Objective for Home<'_, '_> {
    type Bound = f32;

    const IS_RANDOM: bool = true;

    fn lower_bounds(&mut self, part: TierPart<'_>, level: usize, node: usize) -> Bounds<f32> {
        let bins = part.leaves.precision.bins;
        let summaries = part.trees.summaries.node(level, node);
        let assumed = self.scope.criteria.assumed_rtt_micros as f32;
        if FANOUT % Four::MANY != 0 {
            let words = summaries.words().map(SummaryWord);
            return words.map(|summary| self.bound(summary, bins, assumed));
        }
        let mut bounds = [f32::INFINITY; FANOUT];
        for at in (0..FANOUT).step_by(Four::MANY) {
            let assumed = Four::splat(assumed);
            let least = least_figures(summaries, at, bins, assumed);
            self.bounds(&least, assumed).put(&mut bounds, at);
        }
        bounds
    }

    fn limit(&self) -> f32 {
        self.best.limit()
    }

    fn visit_leaf(&mut self, part: TierPart<'_>, slot: usize) {
        let Some(record) = self.scope.resolve(part.leaves, slot) else {
            return;
        };
        if self.with_unmeasured || record.rtt_micros().is_some() {
            let own_micros = self.scope.criteria.own_micros(&record);
            self.scope.visit(&record, own_micros, &mut self.best);
        }
    }
}

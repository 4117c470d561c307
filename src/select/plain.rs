//! The guide where nothing is known of the pair: a relay's summary says all.

use crate::select::explore::{Keys, Objective};
use crate::select::search::{Collector, SearchScope};
use crate::simd::{Four, Lanes};
use crate::sync::{lasting_random_bits, random_bits};
use crate::table::record::Handle;
use crate::table::snapshot::{
    Best, Bins, FANOUT, Figures, Leaves, Node, Snapshot, SummaryWord, best_of, figures, pick,
};
use crate::time::Tick;

/// See the module's description.
pub(crate) struct Plain<'l, 'g, S> {
    pub(crate) scope: &'l SearchScope<'g>,
    pub(crate) sink: S,
}

impl<'g, S: Collector<'g>> Objective for Plain<'_, 'g, S> {
    type Key = f32;

    const IS_FAIR: bool = true;

    #[inline]
    fn keys(&mut self, part: &Leaves, level: usize, node: usize) -> Keys<f32> {
        let reach = self.scope.reach;
        let summaries = part.summaries.node(level, node);
        if FANOUT % Four::MANY != 0 {
            return summaries.words().map(|word| match SummaryWord(word) {
                said if said.merit() > 0 && reach.admits(said) => part.bins.least(said.merit()),
                _ => f32::INFINITY,
            });
        }
        match reach.is_unlimited() {
            true => four_by_four(summaries, part.bins, |said| said.score),
            false => four_by_four(summaries, part.bins, |said| reach.within(&said, said.score)),
        }
    }

    fn limit(&self) -> f32 {
        self.sink.limit()
    }

    fn visit_leaf(&mut self, part: &Leaves, place: usize) {
        let Some(record) = self.scope.resolve(part, place) else {
            return;
        };
        let path_micros = self.scope.criteria.path_micros(&record);
        self.scope.consider(&record, path_micros, &mut self.sink);
    }
}

/// A key for each word of a node, by the figures of four of them at once.
#[inline(always)]
fn four_by_four(node: &Node, bins: Bins, key: impl Fn(Figures<Four>) -> Four) -> Keys<f32> {
    let mut keys = [f32::INFINITY; FANOUT];
    for at in (0..FANOUT).step_by(Four::MANY) {
        let said = figures(node, at, bins, Four::splat(0.0));
        key(said).put(&mut keys, at);
    }
    keys
}

/// One of the best relays by the summaries, in the long run each as likely as any other;
/// `None` where it is not that simple.
///
/// Of many that are equal, a thread draws for some calls from the same branch of the
/// tree, so that these 256 stay in its caches.
#[inline(always)]
pub(crate) fn best_relay(snapshot: &Snapshot, tick: Tick) -> Option<Handle> {
    let base = &snapshot.base.leaves;
    let (random, lasting) = (random_bits(), lasting_random_bits());
    let (mut part, mut best) = (base, base.root());
    let mut least = least_score(base, best);
    let mut are_due = base.are_due(tick);
    for run in snapshot.runs.iter().filter(|run| run.len() > 0) {
        let root = run.leaves.root();
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
    let mut node = 0;
    for level in (0..=part.summaries.top()).rev() {
        if best.merit == 0 || are_due {
            return None;
        }
        let random = if level < DRAWN { random } else { lasting };
        node = node * FANOUT + pick(best.mask, random >> (4 * level)) as usize;
        if level > 0 {
            best = best_of(part.summaries.words(level - 1, node));
        }
    }
    part.at(node)
}

/// The lowest levels, in which each call draws anew.
const DRAWN: usize = 2;

/// What the best score is no lower than.
#[inline(always)]
fn least_score(part: &Leaves, best: Best) -> f32 {
    match best.merit {
        0 => f32::INFINITY,
        merit => part.bins.least(merit),
    }
}

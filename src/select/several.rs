//! One call's search for several relays.

use crate::select::best_so_far::{FEW, TopK};
use crate::select::candidate::Candidate;
use crate::select::search::{REFRESHED_AT_ONCE, Search};
use crate::select::spread::spread;
use std::collections::HashSet;

impl<'g> Search<'g> {
    /// The best `count` relays, best first and distinct; fewer only if no more are eligible.
    ///
    /// Only the first may be on trial, as long as there are enough others.
    pub(crate) fn best_of(&self, count: usize) -> Vec<Candidate<'g>> {
        match count {
            0 => return Vec::new(),
            1 => return self.best().into_iter().collect(),
            _ => {}
        }
        // Up to as many as the call asks for.
        let mut are_all_refreshed = self.refresh_ended_suspensions(self.snapshot, count);
        let max_spread_cost = self.scope.criteria.options.max_spread_cost;
        let collect = || {
            let best_so_far = TopK::new(count, max_spread_cost);
            self.collect(self.snapshot, best_so_far, true).into_list()
        };
        let mut pool = collect();
        // Some of the relays that were refreshed may be full or draining.
        while pool.len() < count && !are_all_refreshed {
            are_all_refreshed = self.refresh_ended_suspensions(self.snapshot, count);
            pool = collect();
        }
        let refreshed = pool.iter().filter(|it| self.refresh_lapsed_rtt(it));
        if refreshed.take(REFRESHED_AT_ONCE).count() > 0 {
            pool = collect();
        }
        if pool.is_empty() {
            pool.extend(self.best_eligible());
        }
        while pool.first().is_some_and(|first| !self.claim(first)) {
            pool.remove(0);
        }
        match self.spread(pool, count) {
            none if none.is_empty() => self.best().into_iter().collect(),
            chosen => chosen,
        }
    }

    /// Chooses `count` of some candidates, which are sorted best first, such that no two are
    /// in one failure domain where that costs little.
    pub(crate) fn spread(&self, mut pool: Vec<Candidate<'g>>, count: usize) -> Vec<Candidate<'g>> {
        if count > FEW {
            keep_distinct(&mut pool);
            pool.truncate(count);
            return pool;
        }
        let criteria = &self.scope.criteria;
        let cost = criteria.options.max_spread_cost;
        spread(&pool, count, cost, criteria.units())
    }

    /// Refreshes all relays whose round trip has lapsed.
    pub(crate) fn refresh_lapsed_rtts(&self) {
        let now = self.scope.criteria.tick;
        for record in self.records().filter(|record| record.has_lapsed(now)) {
            record.refresh_rtt(now);
        }
    }

    /// All eligible relays, sorted exactly.
    pub(crate) fn sorted(&self) -> Vec<Candidate<'g>> {
        let evaluate = |record| self.scope.criteria.candidate(record);
        let mut all: Vec<_> = self.records().filter_map(evaluate).collect();
        all.sort_by(Candidate::by_score);
        keep_distinct(&mut all);
        put_trials_last(&mut all);
        all
    }
}

/// Of a relay that returned meanwhile, and was met in two generations, keeps the first.
fn keep_distinct(candidates: &mut Vec<Candidate<'_>>) {
    let mut seen = HashSet::with_capacity(candidates.len());
    candidates.retain(|candidate| seen.insert(candidate.record.identity()));
}

/// Moves relays on trial behind the others, unless one of them is the best of all.
fn put_trials_last(best_first: &mut [Candidate<'_>]) {
    if let [_, others @ ..] = best_first {
        others.sort_by_key(Candidate::is_on_trial);
    }
}

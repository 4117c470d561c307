//! One call's search for several relays.

use crate::select::best_so_far::{FEW, TopK};
use crate::select::candidate::Candidate;
use crate::select::search::{REFRESHED_AT_ONCE, Search};
use crate::select::spread::spread;
use std::collections::{BTreeMap, HashSet};

impl<'g> Search<'g> {
    /// The best `count` relays, best first and distinct; fewer only if no more are eligible.
    /// Those of a higher tier follow if the lower ones have too few.
    ///
    /// Only the first may be on trial, as long as there are enough others of its tier.
    pub(crate) fn best_of(&self, count: usize) -> Vec<Candidate<'g>> {
        match count {
            0 => return Vec::new(),
            1 => return self.best().into_iter().collect(),
            _ => {}
        }
        let context = &self.scope.table.publication().context;
        loop {
            let moves = context.tier_moves();
            let (mut chosen, mut best) = (Vec::new(), None);
            for tier in context.tiers() {
                self.add_best_of_tier(tier, count, &mut best, &mut chosen);
                if chosen.len() == count {
                    return chosen;
                }
            }
            // A relay that moved to a lower tier meanwhile may have been passed.
            let are_all = !context.has_higher_tiers() || context.tier_moves() == moves;
            match chosen.is_empty() {
                true => return self.best().into_iter().collect(),
                false if are_all || has_trial(&chosen) => return chosen,
                false => {}
            }
        }
    }

    /// Adds the best relays of a tier to those of the lower ones, up to `count` in all. `best` is
    /// the best of all, if it was searched for because a lower tier had none.
    fn add_best_of_tier(
        &self,
        tier: u8,
        count: usize,
        best: &mut Option<Candidate<'g>>,
        chosen: &mut Vec<Candidate<'g>>,
    ) {
        let of_lower_tiers = chosen.len();
        loop {
            let left = count - of_lower_tiers;
            let (mut pool, has_machines) = self.pool(tier, left, chosen.is_empty());
            if chosen.is_empty() {
                if pool.is_empty() {
                    // Summaries may lag behind.
                    *best = best.or_else(|| self.best_eligible());
                    pool.extend(best.filter(|best| best.tier <= tier));
                }
                while pool.first().is_some_and(|first| !self.claim(first)) {
                    pool.remove(0);
                }
            }
            let has_changed = self.spread(pool, count, has_machines, chosen);
            if chosen.len() == count || !has_changed {
                return;
            }
            *best = None;
            // The pool has few more relays than were wanted. One that has changed took the place
            // of another one there, or is still among the best.
            if !has_trial(chosen) {
                chosen.truncate(of_lower_tiers);
            }
        }
    }

    /// The best relays of a tier for an answer with up to `count` of them, which it may begin,
    /// best first, and whether they may be on several machines.
    fn pool(&self, tier: u8, count: usize, begins_answer: bool) -> (Vec<Candidate<'g>>, bool) {
        // Up to as many as the call asks for.
        let mut are_all_refreshed = self.refresh_ended_suspensions(self.snapshot, count);
        let max_spread_cost = self.scope.criteria.options.max_spread_cost;
        let collect = || {
            let best_so_far = TopK::new(count, max_spread_cost);
            let best = self.collect(self.snapshot, tier, best_so_far, true);
            let has_machines = best.has_machines();
            (best.into_list(begins_answer), has_machines)
        };
        let (mut pool, mut has_machines) = collect();
        // Some of the relays that were refreshed may be full or draining.
        while pool.len() < count && !are_all_refreshed {
            are_all_refreshed = self.refresh_ended_suspensions(self.snapshot, count);
            (pool, has_machines) = collect();
        }
        let refreshed = pool.iter().filter(|it| self.refresh_lapsed_rtt(it));
        if refreshed.take(REFRESHED_AT_ONCE).count() > 0 {
            (pool, has_machines) = collect();
        }
        (pool, has_machines)
    }

    /// Adds candidates, which are sorted best first, to those that were chosen, up to `count`
    /// in all, such that no two are in one failure domain where that costs little.
    /// `has_machines` says whether they may be on several machines. Whether any was left out
    /// because it has changed since it was evaluated.
    pub(crate) fn spread(
        &self,
        mut pool: Vec<Candidate<'g>>,
        count: usize,
        has_machines: bool,
        chosen: &mut Vec<Candidate<'g>>,
    ) -> bool {
        if count > FEW {
            chosen.append(&mut pool);
            keep_distinct(chosen);
            chosen.truncate(count);
            return false;
        }
        let criteria = &self.scope.criteria;
        let cost = criteria.options.max_spread_cost;
        spread(&pool, count, cost, criteria.units(), has_machines, chosen)
    }

    /// Refreshes all relays whose round trip has lapsed.
    pub(crate) fn refresh_lapsed_rtts(&self) {
        let now = self.scope.criteria.tick;
        for record in self.records().filter(|record| record.has_lapsed(now)) {
            record.refresh_rtt(now);
        }
    }

    /// All eligible relays of each tier that has any, the lowest first, each sorted exactly.
    pub(crate) fn sorted(&self) -> Vec<(u8, Vec<Candidate<'g>>)> {
        let mut tiers: BTreeMap<u8, Vec<Candidate<'g>>> = BTreeMap::new();
        for record in self.records() {
            if let Some(candidate) = self.scope.criteria.candidate(record) {
                tiers.entry(record.tier()).or_default().push(candidate);
            }
        }
        for (at, all) in tiers.values_mut().enumerate() {
            all.sort_by(Candidate::by_score);
            keep_distinct(all);
            put_trials_last(all, at == 0);
        }
        tiers.into_iter().collect()
    }
}

/// Whether the call has claimed the trial of one of them. That is not given back.
fn has_trial(chosen: &[Candidate<'_>]) -> bool {
    chosen.first().is_some_and(Candidate::is_on_trial)
}

/// Of a relay that returned meanwhile, and was met in two generations, keeps the first.
fn keep_distinct(candidates: &mut Vec<Candidate<'_>>) {
    let mut seen = HashSet::with_capacity(candidates.len());
    candidates.retain(|candidate| seen.insert(candidate.record.identity()));
}

/// Moves relays on trial behind the others, unless one of them is the best of all and begins
/// the answer.
fn put_trials_last(best_first: &mut [Candidate<'_>], begins_answer: bool) {
    let kept = usize::from(begins_answer).min(best_first.len());
    best_first[kept..].sort_by_key(Candidate::is_on_trial);
}

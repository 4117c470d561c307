//! One call's search for several relays.

use crate::select::best_so_far::{FEW, TopK};
use crate::select::candidate::Candidate;
use crate::select::search::{REFRESHED_AT_ONCE, Search};
use crate::select::spread::spread;
use std::collections::{BTreeMap, HashSet};

/// So often at most a list is filled up from one tier, if relays leave meanwhile.
const ROUNDS: usize = 8;

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
        let mut chosen = Vec::new();
        loop {
            let moves = context.tier_moves();
            self.choose_by_tier(count, &mut chosen);
            // A long list takes long, and relays might move each time.
            if chosen.len() == count || count > FEW || context.tier_moves() == moves {
                break;
            }
            // The search may have passed a relay that moved to another tier. The first one stays,
            // for its trial may have been claimed.
            chosen.truncate(1);
        }
        match chosen.is_empty() {
            true => self.best().into_iter().collect(),
            false => chosen,
        }
    }

    /// Adds the best relays of each tier to those that were chosen, the lowest tier first, up to
    /// `count` in all.
    fn choose_by_tier(&self, count: usize, chosen: &mut Vec<Candidate<'g>>) {
        // Those that were chosen before may be met again.
        let most = count + chosen.len();
        let mut best = None;
        for tier in self.scope.table.publication().context.tiers() {
            let of_lower_tiers = chosen.len();
            for _ in 0..ROUNDS {
                let (mut pool, has_machines) = self.pool(tier, most - chosen.len(), chosen);
                if chosen.is_empty() {
                    if pool.is_empty() {
                        // Summaries may lag behind.
                        best = best.or_else(|| self.best_eligible());
                        pool.extend(best.filter(|best| best.tier <= tier));
                    }
                    while pool.first().is_some_and(|first| !self.claim(first)) {
                        pool.remove(0);
                    }
                }
                let has_lost = self.spread(pool, count, has_machines, chosen);
                if chosen.len() == count {
                    return;
                }
                if !has_lost {
                    break;
                }
                // The pool has few more relays than were wanted, and one that is not eligible any
                // more took the place of another. The first one stays if its trial was claimed.
                let has_trial = chosen.first().is_some_and(Candidate::is_on_trial);
                chosen.truncate(of_lower_tiers.max(has_trial.into()));
                best = None;
            }
        }
    }

    /// The best relays of a tier for an answer with up to `count` of them beside those that
    /// were `chosen`, best first, and whether all of these may be on several machines.
    fn pool(&self, tier: u8, count: usize, chosen: &[Candidate<'g>]) -> (Vec<Candidate<'g>>, bool) {
        // Up to as many as the call asks for.
        let mut are_all_refreshed = self.refresh_ended_suspensions(self.snapshot, count);
        let max_spread_cost = self.scope.criteria.options.max_spread_cost;
        let collect = || {
            let best_so_far = TopK::new(count, max_spread_cost, chosen);
            let best = self.collect(self.snapshot, tier, best_so_far, true);
            let has_machines = best.has_machines();
            (best.into_list(chosen.is_empty()), has_machines)
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
    /// because it is not eligible any more.
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
        let cost = self.scope.criteria.options.max_spread_cost;
        let confirm = |candidate: &Candidate<'g>, is_first| self.confirmed(candidate, is_first);
        spread(&pool, count, cost, confirm, has_machines, chosen)
    }

    /// A candidate that is still eligible: if it was renewed since it was evaluated, on its new
    /// terms. The first of an answer may be on a trial that this call has claimed.
    fn confirmed(&self, candidate: &Candidate<'g>, is_first: bool) -> Option<Candidate<'g>> {
        let criteria = &self.scope.criteria;
        if candidate.is_confirmed(criteria.units()) {
            return Some(*candidate);
        }
        let record = *candidate.record;
        match is_first && candidate.is_on_trial() {
            true => criteria.evaluate_on_trial(&record).ok(),
            false => criteria.candidate(record),
        }
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

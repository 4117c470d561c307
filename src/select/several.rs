//! One call's search for several relays.

use crate::select::best_so_far::{FEW, TopK};
use crate::select::candidate::Candidate;
use crate::select::search::{BeforeSearch, REFRESHED_AT_ONCE, Search};
use crate::select::spread::{is_among, spread};
use crate::table::snapshot::{PendingSet, Snapshot};
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
        let table = self.scope.table;
        let mut chosen = Vec::new();
        loop {
            let snapshot = table.publication().load();
            let before = BeforeSearch::read(table, &snapshot);
            self.choose_by_tier(&snapshot, count, &mut chosen);
            if let Some(pending) = &before.pending {
                self.add_pending(pending, count, &mut chosen);
            }
            let has_missed_none = before.is_latest && !before.has_moved(table);
            // A long list takes long, and relays might move each time.
            if has_missed_none || is_of_lowest_tier(&chosen, count) || count > FEW {
                break;
            }
            chosen.truncate(claimed(&chosen));
        }
        match chosen.is_empty() {
            true => self.best().into_iter().collect(),
            false => chosen,
        }
    }

    /// Adds the best relays of each tier to those that were chosen, the lowest tier first, up to
    /// `count` in all.
    fn choose_by_tier(&self, snapshot: &Snapshot, count: usize, chosen: &mut Vec<Candidate<'g>>) {
        // Those that were chosen before may be met again.
        let most = count + chosen.len();
        let mut best = None;
        for tier in self.scope.table.publication().context.tiers() {
            let of_lower_tiers = chosen.len();
            for _ in 0..ROUNDS {
                let wanted = most - chosen.len();
                let (mut pool, has_machines) = self.pool(snapshot, tier, wanted, chosen);
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
                // more took the place of another.
                chosen.truncate(of_lower_tiers.max(claimed(chosen)));
                best = None;
            }
        }
    }

    /// Adds eligible relays with pending changes, which the search may have missed, to a list
    /// that is not full, or has relays of a higher tier.
    #[cold]
    fn add_pending(&self, pending: &PendingSet, count: usize, chosen: &mut Vec<Candidate<'g>>) {
        let may_lack_some = !is_of_lowest_tier(chosen, count);
        if may_lack_some && !chosen.is_empty() {
            for candidate in self.pending_candidates(pending) {
                insert_by_tier(candidate, chosen);
            }
            chosen.truncate(count);
        }
    }

    /// The best relays of a tier for an answer with up to `count` of them beside those that
    /// were `chosen`, best first, and whether all of these may be on several machines.
    fn pool(
        &self,
        snapshot: &Snapshot,
        tier: u8,
        count: usize,
        chosen: &[Candidate<'g>],
    ) -> (Vec<Candidate<'g>>, bool) {
        // Up to as many as the call asks for.
        let mut are_all_refreshed = self.refresh_ended_suspensions(snapshot, count);
        let max_spread_cost = self.scope.criteria.options.max_spread_cost;
        let collect = || {
            let best_so_far = TopK::new(count, max_spread_cost, chosen);
            let best = self.collect(snapshot, tier, best_so_far, true);
            let has_machines = best.has_machines();
            let mut pool = best.into_list(chosen.is_empty());
            pool.iter_mut().for_each(|candidate| candidate.tier = tier);
            (pool, has_machines)
        };
        let (mut pool, mut has_machines) = collect();
        // Some of the relays that were refreshed may be full or draining.
        while pool.len() < count && !are_all_refreshed {
            are_all_refreshed = self.refresh_ended_suspensions(snapshot, count);
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
        let renewed = match is_first && candidate.is_on_trial() {
            true => criteria.evaluate_on_trial(&record).ok(),
            false => criteria.candidate(record),
        };
        Some(renewed?.in_tier(candidate.tier))
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

/// Whether a list is full, and has no relay above the lowest tier.
fn is_of_lowest_tier(chosen: &[Candidate<'_>], count: usize) -> bool {
    chosen.len() == count && chosen.last().is_some_and(|last| last.tier == 0)
}

/// How many of the first relays stay in an answer that is searched for again: a trial that the
/// call has claimed for it is not given back.
fn claimed(chosen: &[Candidate<'_>]) -> usize {
    chosen.first().is_some_and(Candidate::is_on_trial).into()
}

/// Adds a relay behind those of its tier, unless it is on trial, or there already.
fn insert_by_tier<'g>(candidate: Candidate<'g>, chosen: &mut Vec<Candidate<'g>>) {
    if !is_among(&candidate, chosen) && !candidate.is_on_trial() {
        let at = chosen.iter().position(|other| other.tier > candidate.tier);
        let at = at.unwrap_or(chosen.len()).max(claimed(chosen));
        chosen.insert(at, candidate);
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

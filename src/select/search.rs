//! One call's search for one relay: it chooses one, and claims it.

use crate::errors::Rejections;
use crate::relay::Rejection;
use crate::select::best_so_far::{Best, BestSoFar};
use crate::select::branch_and_bound::{Objective, best_first, depth_first};
use crate::select::candidate::Candidate;
use crate::select::criteria::Criteria;
use crate::select::home;
use crate::select::last_resort::last_resort;
use crate::select::pair::Pair;
use crate::select::plain::{Plain, best_relay};
use crate::select::rejections;
use crate::select::scope::SearchScope;
use crate::select::units::EnoughUnits;
use crate::sync::epoch::Guard;
use crate::table::record::Access;
use crate::table::snapshot::{Leaves, PendingSet, Snapshot, TierPart, Wanted};
use crate::table::{RecordRef, Table, Units};

/// How many relays one call refreshes at most because their suspension has ended, in each part
/// of the snapshot, and how many because their round trip has lapsed. A call that finds no
/// relay refreshes all whose suspension has ended.
pub(crate) const REFRESHED_AT_ONCE: usize = 8;

/// One call for one relay, or several.
pub(crate) struct Search<'g> {
    pub(crate) scope: SearchScope<'g>,
    /// The snapshot that was current when the call began.
    pub(crate) snapshot: &'g Snapshot,
    /// Relays are handed out as a last resort unless this share is 1.
    pub(crate) max_ejected_share: f64,
}

/// What a search reads before the summaries of a snapshot, to know afterwards what they may have
/// lacked: see [`Search::best_eligible`].
pub(crate) struct BeforeSearch {
    moves: u64,
    pub(crate) pending: Option<PendingSet>,
    /// Whether the snapshot was the current one.
    pub(crate) is_latest: bool,
}

impl BeforeSearch {
    #[inline(always)]
    pub(crate) fn read(table: &Table, snapshot: &Snapshot) -> Self {
        let publication = table.publication();
        // In this order: a move is counted after its pending change has begun.
        let moves = publication.context.tier_moves();
        let pending = publication.pending.read();
        Self {
            moves,
            pending,
            is_latest: publication.is_latest(snapshot),
        }
    }

    /// Whether a relay has moved to another tier since, which the search may have passed.
    #[inline(always)]
    pub(crate) fn has_moved(&self, table: &Table) -> bool {
        table.publication().context.tier_moves() != self.moves
    }

    /// Whether the summaries lacked no change, and no relay has moved.
    #[inline(always)]
    fn has_all(&self, table: &Table) -> bool {
        self.pending.is_none() && self.is_latest && !self.has_moved(table)
    }
}

impl<'g> Search<'g> {
    /// One of the best relays in the simplest case: nothing is known of the pair, the best
    /// relay by the summaries is eligible, and it is not on trial.
    #[inline(always)]
    pub(crate) fn fast_path<'s>(
        table: &'g Table,
        criteria: &Criteria<'_>,
        snapshot: &'s Snapshot,
        guard: &'g Guard,
    ) -> Option<Candidate<'g>> {
        let lowest = |part: &'s Leaves| Some(&part.all.lowest);
        let record = table.resolve(best_relay(snapshot, criteria.tick, lowest)?, guard)?;
        // The time of the measurement is read last.
        record.prefetch_extra();
        let best = criteria.if_eligible_at_all(&record)?;
        let lapsed = record.has_lapsed(criteria.tick);
        (!best.is_on_trial() && !lapsed).then_some(best)
    }

    /// The same for a call with a filter that has trees, or one that a higher tier answers.
    ///
    /// A relay of a higher tier is the answer only if the summaries say that no relay of a
    /// lower one is eligible, and do not lag behind: see [`best_eligible`](Self::best_eligible).
    pub(crate) fn fast_path_by_tiers(
        table: &'g Table,
        criteria: &Criteria<'_>,
        snapshot: &Snapshot,
        guard: &'g Guard,
    ) -> Option<Candidate<'g>> {
        let before = BeforeSearch::read(table, snapshot);
        let are_due = snapshot.are_due(criteria.tick);
        let mut tiers = table.publication().context.tiers();
        let tier = tiers.find(|&tier| !snapshot.is_empty(tier, criteria.filter))?;
        let trees = |part| Some(Leaves::tier(part, tier, criteria.filter)?.trees);
        let record = table.resolve(best_relay(snapshot, criteria.tick, trees)?, guard)?;
        let best = criteria.if_eligible_at_all(&record)?.in_tier(tier);
        let is_lowest = tier == 0 || (before.has_all(table) && !are_due);
        let is_best = is_lowest && record.tier() == tier && !best.is_on_trial();
        (is_best && !record.has_lapsed(criteria.tick)).then_some(best)
    }

    /// The best relay, as far as summaries tell scores apart; `None` if none is eligible.
    pub(crate) fn best(&self) -> Option<Candidate<'g>> {
        self.first_claimed(|candidate| self.claim(candidate).then_some(*candidate))
    }

    /// The units that the call asks for, of the best relay that has as many.
    pub(crate) fn lease(&self) -> Option<(Candidate<'g>, Units)> {
        self.first_claimed(|candidate| {
            let units = self.scope.criteria.units();
            let leased = candidate.record.lease(units, Some(self.snapshot));
            let (units, record) = leased.ok()?;
            // It may have been renewed since it was evaluated.
            self.scope.criteria.options.check_terms(&record).ok()?;
            self.claim(candidate)
                .then_some((candidate.with_record(record), units))
        })
    }

    /// The result of `claim` for the first candidate for which it succeeds.
    ///
    /// Lock-free: a claim fails only if another call claimed the relay, or the relay changed.
    fn first_claimed<T>(&self, claim: impl Fn(&Candidate<'g>) -> Option<T>) -> Option<T> {
        let mut refreshed = 0;
        while let Some(chosen) = self.choose().or_else(|| self.last_resort()) {
            if refreshed < REFRESHED_AT_ONCE && self.refresh_lapsed_rtt(&chosen) {
                refreshed += 1;
                continue;
            }
            if let Some(claimed) = claim(&chosen) {
                return Some(claimed);
            }
            chosen.record.refresh(false);
        }
        None
    }

    /// Refreshes a relay if its round trip has lapsed; whether that changed anything.
    pub(crate) fn refresh_lapsed_rtt(&self, candidate: &Candidate<'g>) -> bool {
        let now = self.scope.criteria.tick;
        candidate.record.has_lapsed(now) && candidate.record.refresh_rtt(now).is_change()
    }

    /// The relay to hand out, unless another call claims it first.
    fn choose(&self) -> Option<Candidate<'g>> {
        let best = self.best_eligible()?;
        let kept = self.preferred_over(&best);
        Some(kept.unwrap_or(best))
    }

    /// The best relay of the lowest tier that has any; `None` only if no relay is eligible
    /// throughout the call, and one of a higher tier only if none of a lower one is.
    ///
    /// A summary lags behind its record while a change is under way. So:
    ///
    /// 1. Read the pending changes. A change that made a relay eligible before the call is
    ///    among them, or in the summaries of the current snapshot.
    /// 2. Search the snapshot that the call has loaded. That is enough if it is the current one,
    ///    and its summaries have every suspension that has ended. Else search the current one.
    /// 3. Check the records of the pending changes. A relay that is eligible throughout the
    ///    call is so at this moment, too.
    ///
    /// Step 2 alone is enough if it finds a relay of the lowest tier. If a relay has moved to
    /// another tier meanwhile, the search may have passed it: then all is done again.
    pub(crate) fn best_eligible(&self) -> Option<Candidate<'g>> {
        let table = self.scope.table;
        loop {
            let before = BeforeSearch::read(table, self.snapshot);
            // Before the search, which may miss relays that other threads refresh meanwhile.
            let are_all_refreshed =
                self.refresh_ended_suspensions(self.snapshot, REFRESHED_AT_ONCE);
            let mut best = self.best_in(self.snapshot, None);
            if best.is_some_and(|best| best.tier == 0) {
                return best;
            }
            if !(before.is_latest && are_all_refreshed) {
                best = self.best_in_current(best);
            }
            if let Some(pending) = &before.pending {
                best = self.best_pending(pending, best);
            }
            if !before.has_moved(table) {
                return best;
            }
        }
    }

    /// The best relay of the current snapshot, after all suspended relays that are due there
    /// were refreshed; or `other`, unless that is of a higher tier.
    #[cold]
    fn best_in_current(&self, other: Option<Candidate<'g>>) -> Option<Candidate<'g>> {
        let snapshot = self.scope.table.publication().load();
        self.refresh_ended_suspensions(&snapshot, usize::MAX);
        self.best_in(&snapshot, other)
    }

    /// The best of the relays with pending changes; or `other`, unless that is of a higher
    /// tier.
    #[cold]
    fn best_pending(
        &self,
        pending: &PendingSet,
        other: Option<Candidate<'g>>,
    ) -> Option<Candidate<'g>> {
        let pending = self.pending_candidates(pending);
        let best = pending.min_by(Candidate::by_tier_and_score);
        match (best, other) {
            (Some(best), Some(other)) if best.tier >= other.tier => Some(other),
            (best, other) => best.or(other),
        }
    }

    /// The eligible ones of the relays with pending changes.
    pub(crate) fn pending_candidates(
        &self,
        pending: &PendingSet,
    ) -> impl Iterator<Item = Candidate<'g>> {
        // Changes without a slot may be of any record.
        let all = match pending.has_overflowed() {
            true => 0..self.scope.table.high_water(),
            false => 0..0,
        };
        pending.indices().chain(all).filter_map(|index| {
            let record = self.scope.table.record_at(index, self.scope.guard)?;
            let candidate = self.scope.criteria.candidate(record)?;
            Some(candidate.in_tier(record.tier()))
        })
    }

    /// Refreshes relays whose suspension has ended, up to so many in each part; whether
    /// these were all.
    #[inline]
    pub(crate) fn refresh_ended_suspensions(&self, snapshot: &Snapshot, most: usize) -> bool {
        let tick = self.scope.criteria.tick;
        if !snapshot.are_due(tick) {
            return true;
        }
        self.scope
            .table
            .refresh_ended_suspensions(snapshot, tick, most);
        !snapshot.are_due(tick)
    }

    /// The best relay of a snapshot in the lowest tier that has any; or `other`, unless that
    /// is of a higher tier.
    fn best_in(&self, snapshot: &Snapshot, other: Option<Candidate<'g>>) -> Option<Candidate<'g>> {
        if let Some(candidate) = self.best_in_tier(snapshot, 0) {
            return Some(candidate);
        }
        let context = &self.scope.table.publication().context;
        match context.has_higher_tiers() {
            true => self.best_above(snapshot, other),
            false => other,
        }
    }

    #[cold]
    fn best_above(
        &self,
        snapshot: &Snapshot,
        other: Option<Candidate<'g>>,
    ) -> Option<Candidate<'g>> {
        let tiers = self.scope.table.publication().context.tiers().skip(1);
        for tier in tiers {
            if other.as_ref().is_some_and(|other| other.tier <= tier) {
                break;
            }
            if let Some(candidate) = self.best_in_tier(snapshot, tier) {
                return Some(candidate.in_tier(tier));
            }
        }
        other
    }

    fn best_in_tier(&self, snapshot: &Snapshot, tier: u8) -> Option<Candidate<'g>> {
        // Without views the roots alone say whether any relay is eligible.
        let is_plain = self.scope.criteria.views.is_none();
        if is_plain && snapshot.is_empty(tier, self.scope.criteria.filter) {
            return None;
        }
        if self.scope.criteria.is_home() {
            return home::best(self, snapshot, tier);
        }
        let best_so_far = Best::new(snapshot.base.leaves.precision.bins);
        self.collect(snapshot, tier, best_so_far, false).found
    }

    /// Searches a tier until no further relay can be better: best first in all parts together,
    /// or depth first in each.
    pub(crate) fn collect<C: BestSoFar<'g>>(
        &self,
        snapshot: &Snapshot,
        tier: u8,
        best_so_far: C,
        is_best_first: bool,
    ) -> C {
        let scope = &self.scope;
        let parts = snapshot.tier(tier, scope.criteria.filter);
        match scope.criteria.views {
            None => {
                let mut plain = Plain { scope, best_so_far };
                self.search_parts(&mut plain, parts, is_best_first);
                plain.best_so_far
            }
            Some(views) => {
                let mut pair = Pair::new(scope, views, tier, best_so_far, !is_best_first);
                pair.visit_published();
                if pair.may_find_more() {
                    self.search_parts(&mut pair, parts, is_best_first);
                }
                pair.best_so_far
            }
        }
    }

    /// Searches parts for relays with as many free units as the call asks for.
    pub(crate) fn search_parts<'a, O: Objective>(
        &self,
        objective: &mut O,
        parts: impl Iterator<Item = TierPart<'a>>,
        is_best_first: bool,
    ) {
        let criteria = &self.scope.criteria;
        match criteria.asks_for_several() {
            false => search_parts(objective, parts, is_best_first),
            true => {
                let mut several = EnoughUnits::new(objective, criteria, Wanted::Eligible);
                search_parts(&mut several, parts, is_best_first);
            }
        }
    }

    /// The preferred relay, if it is eligible, not of a higher tier than `best`, and `best` is
    /// not sufficiently better.
    pub(crate) fn preferred_over(&self, best: &Candidate<'g>) -> Option<Candidate<'g>> {
        let preference = self.scope.criteria.options.preference.as_ref()?;
        let record = self.scope.table.find(&preference.relay, self.scope.guard)?;
        if self.scope.criteria.is_home() {
            return home::kept(&self.scope.criteria, preference, record, best);
        }
        let preferred = self.scope.criteria.candidate(record)?;
        let criteria = &self.scope.criteria;
        let (preferred_micros, best_micros) = criteria.known_micros(&preferred, best);
        let is_kept = record.tier() <= best.tier
            && !preferred.is_on_trial()
            && !preferred.is_busy()
            && !preference.is_worth_leaving(preferred_micros, best_micros);
        is_kept.then_some(preferred)
    }

    /// Claims the trial of a relay that is on trial or a last resort, so that no other call
    /// gets the relay before the trial is over. True for any other eligible relay.
    #[inline]
    pub(crate) fn claim(&self, candidate: &Candidate<'g>) -> bool {
        match candidate.circuit.access(self.scope.criteria.tick) {
            Ok(Access::Free) => true,
            Ok(Access::OnTrial) => self.begin_trial(candidate),
            Err(Rejection::BackingOff) if candidate.is_last_resort => self.begin_trial(candidate),
            // The home relay of a call that has the trial already.
            Err(Rejection::BackingOff) => {
                self.scope.criteria.is_home() && candidate.circuit.is_trial_under_way()
            }
            Err(_) => false,
        }
    }

    #[cold]
    fn begin_trial(&self, candidate: &Candidate<'g>) -> bool {
        let SearchScope {
            table, criteria, ..
        } = &self.scope;
        let back_off = table.back_off(&candidate.record, criteria.tick);
        candidate.record.claim_trial(candidate.circuit, back_off)
    }

    /// If no relay is eligible to this call: one that backs off and is rejected for nothing
    /// else. If all of them back off, the fault is probably that of this node. If every
    /// relay may be ejected, there is no last resort.
    #[cold]
    pub(crate) fn last_resort(&self) -> Option<Candidate<'g>> {
        let context = &self.scope.table.publication().context;
        if !context.may_have_suspended() || self.max_ejected_share >= 1.0 {
            return None;
        }
        last_resort(&self.scope, self.snapshot)
    }

    /// How many relays are not eligible for which reason.
    pub(crate) fn rejections(&self) -> Rejections {
        rejections::count(&self.scope, self.snapshot)
    }

    /// The records of all relays in the snapshot; a relay that returned meanwhile may be met
    /// in two generations.
    pub(crate) fn records(&self) -> impl Iterator<Item = RecordRef<'g>> {
        let SearchScope { table, guard, .. } = self.scope;
        let relays = self.snapshot.iter();
        relays.filter_map(move |relay| table.resolve(relay, guard))
    }
}

fn search_parts<'a, O: Objective>(
    objective: &mut O,
    parts: impl Iterator<Item = TierPart<'a>>,
    is_best_first: bool,
) {
    match is_best_first {
        true => best_first(objective, parts),
        false => parts.for_each(|part| depth_first(objective, part)),
    }
}

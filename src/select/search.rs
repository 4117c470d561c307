//! One caller's search: choosing, and taking what was chosen.

use crate::Rejections;
use crate::select::criteria::{Candidate, Criteria, Rejection};
use crate::select::explore::{Objective, explore, explore_in_order};
use crate::select::last_resort::LastResort;
use crate::select::pair::Pair;
use crate::select::plain::{Plain, best_relay};
use crate::select::rejections;
use crate::select::spread::spread;
use crate::select::top_k::{FEW, TopK};
use crate::simd::{Lanes, splats};
use crate::sync::epoch::Guard;
use crate::table::record::{Access, BackOff};
use crate::table::snapshot::{Bins, Class, Figures, Leaves, PendingSet, Snapshot, SummaryWord};
use crate::table::{RecordRef, Table, Unit};
use std::collections::HashSet;

/// How many relays whose back-off or ban is over one call makes available before it
/// chooses; and of how many it notices that their round trip has lapsed.
const WOKEN_AT_ONCE: usize = 8;

/// One call for one relay, or several.
pub(crate) struct Search<'g> {
    pub(crate) scope: SearchScope<'g>,
    /// As it was when the call began.
    pub(crate) snapshot: &'g Snapshot,
    /// Up to this share of relays may be backing off before they are a last resort.
    pub(crate) max_ejected_share: f64,
}

/// The relays as one caller sees them.
pub(crate) struct SearchScope<'g> {
    pub(crate) table: &'g Table,
    pub(crate) guard: &'g Guard,
    pub(crate) criteria: Criteria<'g>,
    pub(crate) reach: Reach,
}

/// How far relays may be, as their summaries tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// The rank of the longest round trip that will do; 0 if any will.
    near: u16,
    unmeasured: bool,
}

/// What becomes of the relays that a search comes upon.
pub(crate) trait Collector<'g> {
    /// Only relays whose score may be below this are of interest.
    fn limit(&self) -> f32;

    /// Whether a relay of this score is of interest; one that is not counts as looked at.
    fn wants(&mut self, score: f32) -> bool;

    /// Takes in a relay that may be handed out.
    fn offer(&mut self, candidate: Candidate<'g>);
}

/// Keeps the best relay, and is content with one that is about as good.
struct Best<'g> {
    found: Option<Candidate<'g>>,
    score: f32,
    limit: f32,
    bins: Bins,
    /// How many relays are still compared exactly.
    exact: usize,
}

/// So many relays are compared exactly before what summaries tell apart is enough.
const EXACT: usize = 8;

impl<'g> Best<'g> {
    fn new(bins: Bins) -> Self {
        Self {
            found: None,
            score: f32::INFINITY,
            limit: f32::INFINITY,
            bins,
            exact: EXACT,
        }
    }

    fn count_one(&mut self) {
        self.exact = self.exact.saturating_sub(1);
        // The bounds of scores are too low by that share at most.
        self.limit = match self.exact {
            0 => self.score / (1.0 + self.bins.width()),
            _ => self.score,
        };
    }
}

impl<'g> Collector<'g> for Best<'g> {
    fn limit(&self) -> f32 {
        self.limit
    }

    fn wants(&mut self, score: f32) -> bool {
        let is_wanted = score < self.score;
        if !is_wanted {
            self.count_one();
        }
        is_wanted
    }

    fn offer(&mut self, candidate: Candidate<'g>) {
        if candidate.worth.score < self.score {
            self.score = candidate.worth.score;
            self.found = Some(candidate);
        }
        self.count_one();
    }
}

impl Reach {
    pub(crate) fn of(criteria: &Criteria<'_>) -> Self {
        let options = criteria.options;
        // Whose leg the requester measured is judged for each by itself.
        let is_own_leg = criteria.requester().is_none();
        match options.max_latency.filter(|_| is_own_leg) {
            Some(limit) => Self {
                near: Bins::FINE.rank(crate::rtt::micros_at_most(limit) as f32),
                unmeasured: options.allow_unmeasured,
            },
            None => Self {
                near: 0,
                unmeasured: true,
            },
        }
    }

    /// A bound where there may be a relay within reach, as summaries say; infinite where
    /// there is none.
    #[inline(always)]
    pub(crate) fn within<L: Lanes>(self, said: &Figures<L>, bound: L) -> L {
        let [longest, infinite] = splats(&[self.longest(), f32::INFINITY]);
        let unmeasured = match self.unmeasured {
            true => said.unmeasured.if_below(infinite, bound, infinite),
            false => infinite,
        };
        said.near.if_below(longest, bound, unmeasured)
    }

    /// The figure after the longest round trip that will do.
    #[inline(always)]
    fn longest(self) -> f32 {
        match self.near {
            0 => f32::INFINITY,
            near => f32::from_bits(Bins::FINE.least(near).to_bits() + 1),
        }
    }

    /// Whether every relay is within reach.
    #[inline(always)]
    pub(crate) fn is_unlimited(self) -> bool {
        self.near == 0 && self.unmeasured
    }

    /// Whether there may be a relay within reach where a summary says this.
    #[inline(always)]
    pub(crate) fn admits(self, said: SummaryWord) -> bool {
        said.near() >= self.near || (self.unmeasured && said.has_unmeasured())
    }
}

impl<'g> SearchScope<'g> {
    /// The record of the relay at a place; where that is gone, its summary is mended.
    pub(crate) fn resolve(&self, part: &Leaves, place: usize) -> Option<RecordRef<'g>> {
        let relay = part.at(place)?;
        let record = self.table.resolve(relay, self.guard);
        if record.is_none() {
            self.table.refresh(relay);
        }
        record
    }

    /// Offers a relay at the end of a path, if it may be handed out and is good
    /// enough.
    #[inline]
    pub(crate) fn consider(
        &self,
        record: &RecordRef<'g>,
        path_micros: u32,
        sink: &mut impl Collector<'g>,
    ) {
        let (worth, load) = self.criteria.evaluate(record, path_micros);
        if !sink.wants(worth.score) && load.refusal().is_none() {
            return;
        }
        match self.criteria.judge_path(record, path_micros) {
            Ok(candidate) => sink.offer(candidate),
            Err(rejection) => self.repair_summary(record, rejection),
        }
    }

    /// Brings the summary of a relay in line that is available to no caller.
    #[cold]
    pub(crate) fn repair_summary(&self, record: &RecordRef<'g>, rejection: Rejection) {
        match rejection {
            Rejection::Excluded | Rejection::TooFar => return,
            Rejection::Unmeasured if !record.has_lapsed(self.criteria.tick) => return,
            Rejection::Unmeasured => {
                record.refresh_rtt(self.criteria.tick);
                return;
            }
            Rejection::Departed => self
                .table
                .publication()
                .context
                .judge_at(self.criteria.tick),
            _ => {}
        }
        record.refresh(false);
    }
}

impl<'g> Search<'g> {
    /// One of the best relays, where that is beyond doubt: its summary says that it
    /// is, nothing is known of the pair, and it may be handed out to any number of
    /// callers.
    #[inline(always)]
    pub(crate) fn fast_path(
        table: &'g Table,
        criteria: &Criteria<'_>,
        snapshot: &Snapshot,
        guard: &'g Guard,
    ) -> Option<Candidate<'g>> {
        let record = table.resolve(best_relay(snapshot, criteria.tick)?, guard)?;
        // What it was measured at is asked for in the end.
        record.prefetch_extra();
        let best = criteria.candidate(record)?;
        let lapsed = record.has_lapsed(criteria.tick);
        (!best.is_on_trial() && !lapsed).then_some(best)
    }

    /// The best relay, within what summaries tell apart; `None` only if there is
    /// none.
    pub(crate) fn best(&self) -> Option<Candidate<'g>> {
        self.first_taken(|candidate| self.claim(candidate).then_some(*candidate))
    }

    /// Takes a unit of the best relay that gives one.
    pub(crate) fn lease(&self) -> Option<(Candidate<'g>, Unit)> {
        self.first_taken(|candidate| {
            let (unit, record) = candidate.record.lease(Some(self.snapshot)).ok()?;
            self.claim(candidate)
                .then_some((candidate.judged_by(record), unit))
        })
    }

    /// Lock-free: an attempt fails only because another caller took the relay, or it
    /// changed.
    fn first_taken<T>(&self, take: impl Fn(&Candidate<'g>) -> Option<T>) -> Option<T> {
        let mut resettled = 0;
        while let Some(chosen) = self.choose().or_else(|| self.last_resort()) {
            if resettled < WOKEN_AT_ONCE && self.settles(&chosen) {
                resettled += 1;
                continue;
            }
            if let Some(taken) = take(&chosen) {
                return Some(taken);
            }
            chosen.record.refresh(false);
        }
        None
    }

    /// Where the round trip of a relay has lapsed, has that taken into account.
    fn settles(&self, candidate: &Candidate<'g>) -> bool {
        let now = self.scope.criteria.tick;
        candidate.record.has_lapsed(now) && candidate.record.refresh_rtt(now).is_change()
    }

    /// What to hand out, unless another caller takes it first.
    fn choose(&self) -> Option<Candidate<'g>> {
        let best = self.best_available()?;
        Some(self.preferred_over(&best).unwrap_or(best))
    }

    /// The best relay, if there is any that is available throughout the call.
    ///
    /// A summary lags behind its record while a change is under way. So the notes are
    /// read before the summaries that are believed: a change that made a relay
    /// available before the call is noted, or in the summaries of the snapshot in
    /// force. Where no back-off is over that is not in the summaries, and the snapshot is
    /// in force, one look at them is enough. The relays that were noted are looked at
    /// after that: one that is available throughout the call is so then, too.
    fn best_available(&self) -> Option<Candidate<'g>> {
        let publication = self.scope.table.publication();
        let noted = publication.upcoming.read();
        let is_latest = publication.is_latest(self.snapshot);
        // Before the scope: what another thread makes available during it may be missed.
        let is_settled = self.wake(self.snapshot, WOKEN_AT_ONCE);
        let found = self.best_in(self.snapshot);
        let found = match is_latest && is_settled {
            true => found,
            false => found.or_else(|| self.best_in_force()),
        };
        match noted.are_none() {
            true => found,
            false => found.or_else(|| self.best_noted(&noted)),
        }
    }

    /// The best relay of the snapshot in force, with all whose back-off is over.
    #[cold]
    fn best_in_force(&self) -> Option<Candidate<'g>> {
        let snapshot = self.scope.table.publication().load();
        self.wake(&snapshot, usize::MAX);
        self.best_in(&snapshot)
    }

    /// The best of the relays that were just becoming available.
    #[cold]
    fn best_noted(&self, noted: &PendingSet) -> Option<Candidate<'g>> {
        let judge = |index| {
            let record = self.scope.table.record_at(index, self.scope.guard)?;
            self.scope.criteria.candidate(record)
        };
        // Of more than there are slots for, there is no telling which.
        if noted.are_more() {
            let all = 0..self.scope.table.reach();
            return all.filter_map(judge).min_by(Candidate::by_score);
        }
        let noted = noted.indices().filter_map(judge);
        noted.min_by(Candidate::by_score)
    }

    /// Makes relays available whose back-off or ban is over, so many at most in each
    /// part; whether that were all.
    #[inline]
    fn wake(&self, snapshot: &Snapshot, most: usize) -> bool {
        let tick = self.scope.criteria.tick;
        if !snapshot.are_due(tick) {
            return true;
        }
        self.scope.table.wake_due(snapshot, tick, most);
        !snapshot.are_due(tick)
    }

    fn best_in(&self, snapshot: &Snapshot) -> Option<Candidate<'g>> {
        // Without views the roots alone say whether any relay may be handed out.
        let is_plain = self.scope.criteria.views.is_none();
        if is_plain && snapshot.parts().all(|part| part.root().merit == 0) {
            return None;
        }
        let sink = Best::new(snapshot.base.leaves.bins);
        self.gather(snapshot, sink, false).found
    }

    /// Goes through the relays until the sink wants no more: the best first within
    /// each node, or in all.
    fn gather<S: Collector<'g>>(&self, snapshot: &Snapshot, sink: S, in_order: bool) -> S {
        let scope = &self.scope;
        match scope.criteria.views {
            None => {
                let mut plain = Plain { scope, sink };
                go_through(&mut plain, snapshot, in_order);
                plain.sink
            }
            Some(views) => {
                let mut pair = Pair::new(scope, views, sink, !in_order);
                pair.look_at_published();
                if pair.may_find_more() {
                    go_through(&mut pair, snapshot, in_order);
                }
                pair.sink
            }
        }
    }

    /// The best `count` relays, best first and distinct; fewer only if there
    /// are no more.
    ///
    /// Only the first may be on trial, as long as there are enough others.
    pub(crate) fn best_of(&self, count: usize) -> Vec<Candidate<'g>> {
        match count {
            0 => return Vec::new(),
            1 => return self.best().into_iter().collect(),
            _ => {}
        }
        // As many as are asked for, also of those whose back-off is just over.
        let mut are_awake = self.wake(self.snapshot, count);
        let max_spread_cost = self.scope.criteria.options.max_spread_cost;
        let gather = || {
            let pool = TopK::new(count, max_spread_cost);
            self.gather(self.snapshot, pool, true).into_list()
        };
        let mut pool = gather();
        // Some of those whose back-off is over may be full, or drain.
        while pool.len() < count && !are_awake {
            are_awake = self.wake(self.snapshot, count);
            pool = gather();
        }
        let settled = pool.iter().filter(|candidate| self.settles(candidate));
        if settled.take(WOKEN_AT_ONCE).count() > 0 {
            pool = gather();
        }
        if pool.is_empty() {
            pool.extend(self.best_available());
        }
        while pool.first().is_some_and(|first| !self.claim(first)) {
            pool.remove(0);
        }
        match self.spread(pool, count) {
            none if none.is_empty() => self.best().into_iter().collect(),
            chosen => chosen,
        }
    }

    /// Chooses from relays, the best first, so that where it costs little no two
    /// fail together.
    pub(crate) fn spread(&self, mut pool: Vec<Candidate<'g>>, count: usize) -> Vec<Candidate<'g>> {
        if count > FEW {
            keep_distinct(&mut pool);
            pool.truncate(count);
            return pool;
        }
        spread(&pool, count, self.scope.criteria.options.max_spread_cost)
    }

    /// The relay that the requester would rather keep, if `best` is not so much
    /// better, and if it could be had as well as any.
    pub(crate) fn preferred_over(&self, best: &Candidate<'g>) -> Option<Candidate<'g>> {
        let preference = self.scope.criteria.options.preference.as_ref()?;
        let record = self.scope.table.find(&preference.relay, self.scope.guard)?;
        let current = self.scope.criteria.candidate(record)?;
        let (current_micros, best_micros) = self.scope.criteria.known_micros(&current, best);
        let keeps = !current.is_on_trial()
            && !current.is_busy()
            && !preference.is_worth_leaving(current_micros, best_micros);
        keeps.then_some(current)
    }

    /// Makes sure that a relay on trial, or of last resort, is handed out to no
    /// other caller before the trial is over.
    #[inline]
    fn claim(&self, candidate: &Candidate<'g>) -> bool {
        match candidate.circuit.access(self.scope.criteria.tick) {
            Access::Free => true,
            Access::OnTrial => self.begin_trial(candidate),
            Access::BackingOff if candidate.is_last_resort => self.begin_trial(candidate),
            Access::BackingOff | Access::Banned => false,
        }
    }

    #[cold]
    fn begin_trial(&self, candidate: &Candidate<'g>) -> bool {
        let record = candidate.record;
        record.claim_trial(candidate.circuit, self.back_off(&record))
    }

    fn back_off(&self, record: &RecordRef<'_>) -> BackOff {
        self.scope.table.back_off(record, self.scope.criteria.tick)
    }

    /// When no other relay is eligible to this call, so that all that would be are backing
    /// off: the preferred one, or the one that has been for longest.
    ///
    /// So many that it may well be our own fault, unless any share may back off.
    #[cold]
    pub(crate) fn last_resort(&self) -> Option<Candidate<'g>> {
        let publication = self.scope.table.publication();
        if !publication.context.may_wait() || self.max_ejected_share >= 1.0 {
            return None;
        }
        let preferred = self.preferred_resort();
        preferred.or_else(|| match publication.is_latest(self.snapshot) {
            true => self.longest_waiting(self.snapshot),
            false => self.longest_waiting(&publication.load()),
        })
    }

    /// The relay that the requester would rather keep, if it is backing off.
    fn preferred_resort(&self) -> Option<Candidate<'g>> {
        let preference = self.scope.criteria.options.preference.as_ref()?;
        let record = self.scope.table.find(&preference.relay, self.scope.guard)?;
        self.scope.criteria.judge_as_last_resort(&record).ok()
    }

    fn longest_waiting(&self, snapshot: &Snapshot) -> Option<Candidate<'g>> {
        if snapshot.counts()[Class::BackingOff as usize] == 0 {
            return None;
        }
        let mut resort = LastResort::new(&self.scope);
        match self.scope.criteria.measured_by_requester() {
            Some(measured) => measured.for_each(|index| resort.consider(index)),
            None => snapshot.parts().for_each(|part| resort.search(part)),
        }
        resort.found
    }

    /// How many relays are passed over for which reason, as it is known without a
    /// look at them.
    pub(crate) fn rejections(&self) -> Rejections {
        rejections::count(&self.scope, self.snapshot)
    }

    /// Has every round trip that has lapsed taken into account.
    pub(crate) fn settle_all(&self) {
        let now = self.scope.criteria.tick;
        for relay in self.snapshot.iter() {
            let record = self.scope.table.resolve(relay, self.scope.guard);
            if let Some(record) = record.filter(|record| record.has_lapsed(now)) {
                record.refresh_rtt(now);
            }
        }
    }

    /// Sorts all that will do, exactly.
    pub(crate) fn sorted(&self) -> Vec<Candidate<'g>> {
        let SearchScope { table, guard, .. } = self.scope;
        let records = self.snapshot.iter();
        let records = records.filter_map(|relay| table.resolve(relay, guard));
        let judge = |record| self.scope.criteria.candidate(record);
        let mut all: Vec<_> = records.filter_map(judge).collect();
        all.sort_by(Candidate::by_score);
        keep_distinct(&mut all);
        put_trials_last(&mut all);
        all
    }
}

fn go_through<G: Objective>(guide: &mut G, snapshot: &Snapshot, in_order: bool) {
    match in_order {
        true => explore_in_order(guide, snapshot.parts()),
        false => snapshot.parts().for_each(|part| explore(guide, part)),
    }
}

/// Of a relay that left and came back meanwhile, and was met in both lives, the first.
fn keep_distinct(candidates: &mut Vec<Candidate<'_>>) {
    let mut seen = HashSet::with_capacity(candidates.len());
    candidates.retain(|candidate| seen.insert(candidate.record.identity()));
}

/// Puts those on trial behind the others, but for the best of all.
fn put_trials_last(best_first: &mut [Candidate<'_>]) {
    if let [_, others @ ..] = best_first {
        others.sort_by_key(Candidate::is_on_trial);
    }
}

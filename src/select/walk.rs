//! One caller's look at the relays: choosing, and taking what was chosen.

use crate::PassedOver;
use crate::record::{Access, BackOff};
use crate::select::course::Course;
use crate::select::criteria::{Candidate, Criteria, Rejection};
use crate::select::search::{BEYOND, Search};
use crate::select::snapshot::Snapshot;
use crate::select::spread::spread;
use crate::sync::epoch::Guard;
use crate::table::{Handle, Table, Unit};
use crate::time::Tick;
use std::collections::HashSet;

/// Up to so many results are kept in order during the walk.
const FEW: usize = 32;
/// So many more than asked for are looked at, for the sake of other domains.
const TO_CHOOSE_FROM: usize = 48;
/// Choices lost to other callers before the first relay that fits is taken.
const LOST_CHOICES: usize = 4;

/// One call's look at one snapshot.
pub(crate) struct Walk<'g> {
    pub(crate) table: &'g Table,
    pub(crate) guard: &'g Guard,
    pub(crate) snapshot: &'g Snapshot,
    pub(crate) criteria: Criteria<'g>,
    pub(crate) tick_nanos: u64,
    /// Up to this share of relays may be backing off before the first of them
    /// are a last resort.
    pub(crate) max_ejected: f64,
}

impl<'g> Walk<'g> {
    /// The best relay, exactly or nearly so; `None` only if there is none.
    #[inline]
    pub(crate) fn best(&self) -> Option<Candidate<'g>> {
        let chosen = self.choose()?;
        if self.claim(&chosen) {
            return Some(chosen);
        }
        self.best_not_taken()
    }

    /// The same, where another caller took the trial of the relay chosen.
    #[cold]
    fn best_not_taken(&self) -> Option<Candidate<'g>> {
        self.first_taken(|candidate| self.claim(candidate).then_some(*candidate))
    }

    /// Takes a unit of the best relay that gives one.
    pub(crate) fn lease(&self) -> Option<(Candidate<'g>, Unit)> {
        self.first_taken(|candidate| {
            let unit = candidate.record.lease().ok()?;
            self.claim(candidate).then_some((*candidate, unit))
        })
    }

    /// The best `count` relays, best first and distinct; fewer only if there
    /// are no more.
    ///
    /// Only the first may be on trial, as long as there are enough others.
    pub(crate) fn best_of(&self, count: usize) -> Vec<Candidate<'g>> {
        let mut pool = match count {
            0 => return Vec::new(),
            1 => return self.best().into_iter().collect(),
            _ if count <= FEW => self.complete(count + TO_CHOOSE_FROM),
            _ => self.sorted(),
        };
        put_trials_last(&mut pool);
        while pool.first().is_some_and(|first| !self.claim(first)) {
            pool.remove(0);
        }
        let best = self.spread(pool, count);
        if best.is_empty() {
            return self.best().into_iter().collect();
        }
        best
    }

    /// Counts why each relay is passed over.
    pub(crate) fn passed_over(&self) -> PassedOver {
        let mut passed_over = PassedOver::default();
        for relay in self.snapshot.iter() {
            if let Err(rejection) = self.judge_announced(relay) {
                rejection.count_in(&mut passed_over);
            }
        }
        passed_over
    }

    #[inline]
    fn first_taken<T>(&self, take: impl Fn(&Candidate<'g>) -> Option<T>) -> Option<T> {
        for _ in 0..LOST_CHOICES {
            if let Some(taken) = take(&self.choose()?) {
                return Some(taken);
            }
        }
        // Others keep taking what we choose: take what comes first.
        self.snapshot
            .iter()
            .find_map(|relay| take(&self.judge_announced(relay).ok()?))
            .or_else(|| self.take_last_resort(take))
    }

    /// Whenever another caller takes the one that was about to be taken, it has
    /// come that much further, so this ends.
    #[cold]
    fn take_last_resort<T>(&self, take: impl Fn(&Candidate<'g>) -> Option<T>) -> Option<T> {
        loop {
            if let Some(taken) = take(&self.last_resort()?) {
                return Some(taken);
            }
        }
    }

    /// What to hand out, unless somebody takes it first.
    #[inline]
    fn choose(&self) -> Option<Candidate<'g>> {
        let best = match Search::new(self).some() {
            Some(best) if best.is_confirmed() => best,
            _ => self.best_of_all()?,
        };
        if self.criteria.options.preference.is_some() {
            return Some(self.preferred_over(&best).unwrap_or(best));
        }
        Some(best)
    }

    #[cold]
    fn best_of_all(&self) -> Option<Candidate<'g>> {
        let best = Search::new(self).everything();
        best.or_else(|| self.last_resort())
    }

    /// The relay that the requester would rather keep, if `best` is not so much
    /// better, and if it could be had as well as any.
    pub(crate) fn preferred_over(&self, best: &Candidate<'g>) -> Option<Candidate<'g>> {
        let preference = self.criteria.options.preference.as_ref()?;
        let record = self.table.find(&preference.relay, self.guard)?;
        let current = self.criteria.judge_announced(record).ok()?;
        let (current_micros, best_micros) = self.criteria.known_micros(&current, best);
        let keeps = !current.is_on_trial()
            && !current.is_busy()
            && !preference.is_worth_leaving(current_micros, best_micros);
        keeps.then_some(current)
    }

    /// Makes sure that a relay on trial, or of last resort, is handed out to no
    /// other caller before the trial is over.
    #[inline]
    fn claim(&self, candidate: &Candidate<'g>) -> bool {
        if !candidate.is_on_trial() {
            return true;
        }
        let record = candidate.record;
        record.claim_trial(candidate.circuit, self.back_off(record.index()))
    }

    /// When so many relays are backing off that it may well be our own fault:
    /// the one that has been for longest.
    #[cold]
    pub(crate) fn last_resort(&self) -> Option<Candidate<'g>> {
        let tick = self.criteria.tick;
        let (mut live, mut ejected) = (0_usize, 0_usize);
        let mut oldest: Option<(Tick, Candidate<'g>)> = None;
        for relay in self.snapshot.iter() {
            let Some(record) = self.table.resolve(relay, self.guard) else {
                continue;
            };
            if !record.lifecycle().is_live_at(tick) {
                continue;
            }
            live += 1;
            if record.circuit().access(tick) != Access::BackingOff {
                continue;
            }
            ejected += 1;
            let Ok(candidate) = self.criteria.judge_as_last_resort(record) else {
                continue;
            };
            let since = candidate.circuit.ejected_at(self.back_off(relay.index));
            if oldest.is_none_or(|(before, _)| since < before) {
                oldest = Some((since, candidate));
            }
        }
        let too_many = ejected as f64 > self.max_ejected * live as f64;
        oldest.filter(|_| too_many).map(|(_, candidate)| candidate)
    }

    fn back_off(&self, index: u32) -> BackOff {
        BackOff {
            now: self.criteria.tick,
            tick_nanos: self.tick_nanos,
            jitter: self.table.jitter(index),
        }
    }

    #[inline]
    pub(crate) fn judge(&self, relay: Handle) -> Result<Candidate<'g>, Rejection> {
        let record = self.table.resolve(relay, self.guard);
        self.criteria.judge(record.ok_or(Rejection::Departed)?)
    }

    /// The same of the record at an index, found there under this guard.
    pub(crate) fn judge_at(&self, index: u32) -> Result<Candidate<'g>, Rejection> {
        let record = self.table.occupant(index, self.guard);
        self.criteria.judge(record.ok_or(Rejection::Departed)?)
    }

    pub(crate) fn judge_announced(&self, relay: Handle) -> Result<Candidate<'g>, Rejection> {
        let record = self.table.resolve(relay, self.guard);
        self.criteria
            .judge_announced(record.ok_or(Rejection::Departed)?)
    }

    /// All relays, by the round trip from this node.
    #[inline]
    pub(crate) fn main_course(&self) -> Course<'g> {
        self.snapshot.base.course(&self.criteria)
    }

    /// The best relays for where the peers are, if that has been prepared.
    #[inline]
    pub(crate) fn detours(&self) -> [Option<Course<'g>>; 2] {
        match self.criteria.views {
            None => [None, None],
            Some(views) => self.snapshot.base.detours(views),
        }
    }

    /// Looks at everything in order until no better can come, or until it has
    /// `count` and has gone some way beyond.
    fn complete(&self, count: usize) -> Vec<Candidate<'g>> {
        let mut best = Best::new(count);
        let arrivals = self.snapshot.runs.iter().flat_map(|run| run.iter());
        arrivals.for_each(|relay| best.keep(self.judge_announced(relay)));
        if let Some(views) = self.criteria.views {
            for index in views.published() {
                best.keep(self.judge_at(index));
            }
        }
        for course in self.detours().iter().flatten() {
            self.follow(course, &mut best);
        }
        if best.worst_score().is_none() || self.detours().iter().all(Option::is_none) {
            self.follow(&self.main_course(), &mut best);
        }
        best.kept
    }

    fn follow(&self, course: &Course<'_>, best: &mut Best<'g>) {
        let mut beyond = 0;
        for entry in &course.order.entries {
            if let Some(worst) = best.worst_score() {
                beyond += 1;
                if beyond > BEYOND || course.least_score(entry) >= worst {
                    break;
                }
            }
            best.keep(self.judge_announced(entry.relay));
        }
    }

    /// Sorts all that will do: for an answer so long that keeping it in order
    /// all the while would cost more.
    pub(crate) fn sorted(&self) -> Vec<Candidate<'g>> {
        let relays = self.snapshot.iter();
        let mut all: Vec<_> = relays
            .filter_map(|relay| self.judge_announced(relay).ok())
            .collect();
        all.sort_by(|one, other| one.score.total_cmp(&other.score));
        let mut seen = HashSet::with_capacity(all.len());
        all.retain(|candidate| seen.insert(candidate.record.identity()));
        all
    }

    /// Chooses from relays, the best first, so that where it costs little no two
    /// fail together.
    pub(crate) fn spread(&self, mut pool: Vec<Candidate<'g>>, count: usize) -> Vec<Candidate<'g>> {
        let cost = self.criteria.options.spread_cost;
        if cost > 0.0 && count <= FEW {
            pool.truncate(count + TO_CHOOSE_FROM);
            return spread(pool, count, cost);
        }
        pool.truncate(count);
        pool
    }
}

/// Puts those on trial behind the others, but for the best of all.
pub(crate) fn put_trials_last(best_first: &mut [Candidate<'_>]) {
    if let [_, others @ ..] = best_first {
        others.sort_by_key(Candidate::is_on_trial);
    }
}

/// The best of what was looked at, in order.
struct Best<'g> {
    kept: Vec<Candidate<'g>>,
    count: usize,
}

impl<'g> Best<'g> {
    fn new(count: usize) -> Self {
        Self {
            kept: Vec::with_capacity(count),
            count,
        }
    }

    /// The score to beat, once there are enough.
    fn worst_score(&self) -> Option<f32> {
        let last = self.kept.get(self.count - 1)?;
        Some(last.score)
    }

    /// Inserts a candidate in its order, if it is one of the best.
    ///
    /// A relay that left and came back during the walk may be met in both lives.
    fn keep(&mut self, judged: Result<Candidate<'g>, Rejection>) {
        let Ok(candidate) = judged else {
            return;
        };
        let place = self
            .kept
            .partition_point(|better| better.score <= candidate.score);
        let id = candidate.record.identity();
        if place < self.count && !self.kept.iter().any(|kept| kept.record.is_of(&id)) {
            self.kept.truncate(self.count - 1);
            self.kept.insert(place, candidate);
        }
    }
}

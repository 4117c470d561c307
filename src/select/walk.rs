//! One caller's look at the relays: choosing, and taking what was chosen.

use crate::PassedOver;
use crate::record::{Access, BackOff};
use crate::select::course::Course;
use crate::select::criteria::{Candidate, Rejection};
use crate::select::look::Look;
use crate::select::pool::{FEW, Pool, TO_CHOOSE_FROM};
use crate::select::search::{BEYOND, Search};
use crate::select::spread::spread;
use crate::table::{Handle, RecordRef, Unit};
use crate::time::Tick;
use std::collections::HashSet;

/// How much further a walk for several goes once it has enough: so much, and so
/// much more for each relay asked for.
const FURTHER: (usize, usize) = (16, 4);
/// Choices lost to other callers before the first relay that fits is taken.
const LOST_CHOICES: usize = 4;

/// One call for one relay, or several.
pub(crate) struct Walk<'g> {
    pub(crate) look: Look<'g>,
    pub(crate) tick_nanos: u64,
    /// Up to this share of relays may be backing off before the first of them
    /// are a last resort.
    pub(crate) max_ejected: f64,
}

impl<'g> Walk<'g> {
    /// The best relay, exactly or nearly so; `None` only if there is none.
    pub(crate) fn best(&self) -> Option<Candidate<'g>> {
        self.first_taken(|candidate| self.claim(candidate).then_some(*candidate))
    }

    /// Takes a unit of the best relay that gives one.
    pub(crate) fn lease(&self) -> Option<(Candidate<'g>, Unit)> {
        self.first_taken(|candidate| {
            let (unit, word) = candidate.record.lease().ok()?;
            self.claim(candidate)
                .then_some((candidate.judged_by(word), unit))
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
            _ if count <= FEW => self.complete(count),
            _ => self.sorted(),
        };
        while pool.first().is_some_and(|first| !self.claim(first)) {
            pool.remove(0);
        }
        let wanted = count.min(pool.len());
        let mut best = self.spread(pool, count);
        if best.is_empty() {
            return self.best().into_iter().collect();
        }
        if best.len() < wanted {
            self.fill_up(&mut best, wanted);
        }
        best
    }

    /// Replaces those that were chosen by a capacity that is no longer announced.
    #[cold]
    fn fill_up(&self, best: &mut Vec<Candidate<'g>>, count: usize) {
        for candidate in self.sorted() {
            if best.len() == count {
                return;
            }
            let id = candidate.record.identity();
            if !best.iter().any(|other| other.record.is_of(&id)) {
                best.push(candidate);
            }
        }
    }

    /// Counts why each relay is passed over.
    pub(crate) fn passed_over(&self) -> PassedOver {
        let mut passed_over = PassedOver::default();
        for relay in self.look.snapshot.iter() {
            if let Err(rejection) = self.look.judge_announced(relay) {
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
        self.look
            .snapshot
            .iter()
            .find_map(|relay| take(&self.look.candidate(relay)?))
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
        let best = match Search::some(&self.look) {
            Some(best) if best.is_confirmed() => best,
            _ => self.best_of_all()?,
        };
        if self.look.criteria.options.preference.is_some() {
            return Some(self.preferred_over(&best).unwrap_or(best));
        }
        Some(best)
    }

    #[cold]
    fn best_of_all(&self) -> Option<Candidate<'g>> {
        let best = Search::new(&self.look).everything();
        best.or_else(|| self.last_resort())
    }

    /// The relay that the requester would rather keep, if `best` is not so much
    /// better, and if it could be had as well as any.
    pub(crate) fn preferred_over(&self, best: &Candidate<'g>) -> Option<Candidate<'g>> {
        let preference = self.look.criteria.options.preference.as_ref()?;
        let record = self.look.table.find(&preference.relay, self.look.guard)?;
        let worth = self.look.criteria.judge_announced(&record).ok()?;
        let current = Candidate::new(record, worth);
        let (current_micros, best_micros) = self.look.criteria.known_micros(&current, best);
        let keeps = !current.is_on_trial()
            && !current.is_busy()
            && !preference.is_worth_leaving(current_micros, best_micros);
        keeps.then_some(current)
    }

    /// Makes sure that a relay on trial, or of last resort, is handed out to no
    /// other caller before the trial is over.
    #[inline]
    fn claim(&self, candidate: &Candidate<'g>) -> bool {
        match candidate.circuit.access(self.look.criteria.tick) {
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

    /// When so many relays are backing off that it may well be our own fault:
    /// the one that has been for longest.
    #[cold]
    pub(crate) fn last_resort(&self) -> Option<Candidate<'g>> {
        let tick = self.look.criteria.tick;
        let (mut live, mut ejected) = (0_usize, 0_usize);
        let mut oldest: Option<(Tick, Candidate<'g>)> = None;
        for relay in self.look.snapshot.iter() {
            let Some(record) = self.look.table.resolve(relay, self.look.guard) else {
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
            let Ok(worth) = self.look.criteria.judge_as_last_resort(&record) else {
                continue;
            };
            let candidate = Candidate::last_resort(record, worth);
            let since = candidate.circuit.ejected_at(self.back_off(&record));
            if oldest.is_none_or(|(before, _)| since < before) {
                oldest = Some((since, candidate));
            }
        }
        let too_many = ejected as f64 > self.max_ejected * live as f64;
        oldest.filter(|_| too_many).map(|(_, candidate)| candidate)
    }

    fn back_off(&self, record: &RecordRef<'_>) -> BackOff {
        let now = self.look.criteria.tick;
        self.look.table.back_off(record, now, self.tick_nanos)
    }

    /// Looks at everything in order until nothing can come that would be in an
    /// answer of `count`, or until it has that and has gone some way further.
    fn complete(&self, count: usize) -> Vec<Candidate<'g>> {
        let criteria = &self.look.criteria;
        let mut pool = Pool::new(count, criteria.options.spread_cost);
        let arrivals = self.look.snapshot.runs.iter().flat_map(|run| run.iter());
        arrivals.for_each(|relay| self.offer(relay, &mut pool));
        let Some(views) = criteria.views else {
            self.follow(&self.look.main_course(), &mut pool);
            return pool.into_list();
        };
        // What is near the peers may be in several orders.
        pool.expect_repetitions();
        for index in views.published() {
            let record = self.look.table.revisit(index, self.look.guard);
            self.offer(record.handle(), &mut pool);
        }
        let detours = self.look.detours();
        for course in detours.iter().flatten() {
            self.follow(course, &mut pool);
        }
        if !pool.is_full() || detours.iter().all(Option::is_none) {
            self.follow(&self.look.main_course(), &mut pool);
        }
        pool.into_list()
    }

    fn follow(&self, course: &Course<'_>, pool: &mut Pool<'g>) {
        let most = BEYOND.min(FURTHER.0 + FURTHER.1 * pool.count());
        let mut further = 0;
        for entry in &course.order.entries {
            if pool.is_full() {
                further += 1;
                if further > most || !pool.is_wanted(course.least_score(entry)) {
                    break;
                }
            }
            self.offer(entry.relay, pool);
        }
    }

    /// Whether a relay may be handed out need not be known of one that is worse
    /// than those that are kept.
    #[inline]
    fn offer(&self, relay: Handle, pool: &mut Pool<'g>) {
        let Some(record) = self.look.table.resolve(relay, self.look.guard) else {
            return;
        };
        let criteria = &self.look.criteria;
        let (worth, load) = criteria.appraise(&record, criteria.path_micros(&record));
        if !pool.is_wanted(worth.score) && load.refusal().is_none() {
            return;
        }
        let judged = match criteria.admits(&record, &worth, load) {
            Ok(()) => Ok(worth),
            // It may have announced more room just now.
            Err(Rejection::Full) => criteria.judge_announced(&record),
            Err(rejection) => Err(rejection),
        };
        if let Some(worth) = judged.ok().filter(|worth| pool.is_wanted(worth.score)) {
            pool.keep(Candidate::new(record, worth));
        }
    }

    /// Sorts all that will do: for an answer so long that keeping it in order
    /// all the while would cost more.
    pub(crate) fn sorted(&self) -> Vec<Candidate<'g>> {
        let relays = self.look.snapshot.iter();
        let mut all: Vec<_> = relays
            .filter_map(|relay| self.look.candidate(relay))
            .collect();
        all.sort_by(Candidate::by_score);
        let mut seen = HashSet::with_capacity(all.len());
        all.retain(|candidate| seen.insert(candidate.record.identity()));
        put_trials_last(&mut all);
        all
    }

    /// Chooses from relays, the best first, so that where it costs little no two
    /// fail together.
    pub(crate) fn spread(&self, mut pool: Vec<Candidate<'g>>, count: usize) -> Vec<Candidate<'g>> {
        let cost = self.look.criteria.options.spread_cost;
        if count > FEW {
            pool.truncate(count);
            return pool;
        }
        pool.truncate(count + TO_CHOOSE_FROM);
        spread(&pool, count, cost)
    }
}

/// Puts those on trial behind the others, but for the best of all.
fn put_trials_last(best_first: &mut [Candidate<'_>]) {
    if let [_, others @ ..] = best_first {
        others.sort_by_key(Candidate::is_on_trial);
    }
}

//! Finding the best relay without looking at all of them.
//!
//! The base is in ascending order of round-trip time, and no relay scores below
//! its path, so a walk that has found one may stop at the first entry whose
//! path alone is worse: exact, and short when loads come from elsewhere.
//!
//! It is long when the registry itself makes the loads, for its choices even
//! out all scores; and it would lead every caller to the same relay wherever
//! many are equally far. So beyond a small table the walk takes
//!
//! - from each *band* of practically equal entries, a few at random, of which
//!   the least loaded wins (Mitzenmacher's power of d choices), and all of a
//!   band that is small;
//! - after a dozen entries, a few more spread evenly over the rest of what
//!   could still win;
//! - a few of the arrivals that no merge has sorted yet.
//!
//! All that is for speed. When nothing was found, and only then, everything is
//! looked at in order, so that the answer "none" is never wrong.

use crate::PassedOver;
use crate::select::criteria::{Candidate, Criteria, Rejection};
use crate::select::snapshot::Snapshot;
use crate::sync::epoch::Guard;
use crate::sync::random_below;
use crate::table::{Handle, Table, Unit};
use std::collections::HashSet;
use std::ops::Range;

/// Up to so many entries or arrivals are all looked at.
const EXACT: usize = 64;
/// Entries looked at before the rest is only sampled.
const HEAD: usize = 12;
/// Eligible relays wanted from each band, and how many entries they may cost.
const PER_BAND: usize = 4;
const TRIES_PER_BAND: usize = 8;
/// Entries sampled from the rest that could still win.
const TAIL: usize = 4;
/// Arrivals looked at, when there are many.
const ARRIVALS: usize = 6;
/// Entries tried anywhere before everything is looked at.
const ANYWHERE: usize = 64;
/// Up to so many results are kept in order during the walk.
const FEW: usize = 32;
/// How much further a walk goes once it has enough to answer with.
const BEYOND: usize = 64;
/// Choices lost to other callers before the first relay that fits is taken.
const LOST_CHOICES: usize = 4;

/// One call's look at one snapshot.
pub(crate) struct Walk<'g> {
    pub(crate) table: &'g Table,
    pub(crate) guard: &'g Guard,
    pub(crate) snapshot: &'g Snapshot,
    pub(crate) criteria: Criteria<'g>,
}

/// The best of what was looked at.
struct Search<'w, 'g> {
    walk: &'w Walk<'g>,
    best: Option<Candidate<'g>>,
    /// How many have scored as the best does.
    ties: u32,
    looked_at: usize,
}

impl<'g> Walk<'g> {
    /// The best relay, exactly or nearly so; `None` only if there is none.
    pub(crate) fn best(&self) -> Option<Candidate<'g>> {
        let mut search = Search::new(self);
        search.arrivals();
        search.base();
        if search.best.is_none() {
            search.anywhere();
        }
        search
            .best
            .filter(Candidate::is_confirmed)
            .or_else(|| Search::new(self).everything())
    }

    /// The best `count` relays, best first and distinct; fewer only if there
    /// are no more.
    pub(crate) fn best_of(&self, count: usize) -> Vec<Candidate<'g>> {
        match count {
            0 => Vec::new(),
            1 => self.best().into_iter().collect(),
            _ if count <= FEW => self.complete(count),
            _ => self.sorted(count),
        }
    }

    /// Takes a unit of the best relay that gives one.
    pub(crate) fn lease(&self) -> Option<(Candidate<'g>, Unit)> {
        for _ in 0..LOST_CHOICES {
            let best = self.best()?;
            if let Ok(unit) = best.record.lease() {
                return Some((best, unit));
            }
        }
        // Others keep taking what we choose: take what comes first.
        self.snapshot.iter().find_map(|relay| {
            let candidate = self.judge_announced(relay).ok()?;
            let unit = candidate.record.lease().ok()?;
            Some((candidate, unit))
        })
    }

    /// Counts why each relay is passed over.
    pub(crate) fn passed_over(&self) -> PassedOver {
        let mut passed_over = PassedOver::default();
        for relay in self.snapshot.iter() {
            match self.judge_announced(relay) {
                Ok(_) => continue,
                Err(Rejection::Departed) => passed_over.departed += 1,
                Err(Rejection::Excluded) => passed_over.excluded += 1,
                Err(Rejection::Draining) => passed_over.draining += 1,
                Err(Rejection::Full) => passed_over.full += 1,
                Err(Rejection::TooFar) => passed_over.too_far += 1,
                Err(Rejection::Unmeasured) => passed_over.unmeasured += 1,
            }
        }
        passed_over
    }

    #[inline]
    fn judge(&self, relay: Handle) -> Result<Candidate<'g>, Rejection> {
        let record = self.table.resolve(relay, self.guard);
        self.criteria.judge(record.ok_or(Rejection::Departed)?)
    }

    fn judge_announced(&self, relay: Handle) -> Result<Candidate<'g>, Rejection> {
        let record = self.table.resolve(relay, self.guard);
        self.criteria
            .judge_announced(record.ok_or(Rejection::Departed)?)
    }

    /// Looks at everything in order until no better can come, or until it has
    /// `count` and has gone some way beyond.
    fn complete(&self, count: usize) -> Vec<Candidate<'g>> {
        let mut best: Vec<Candidate<'g>> = Vec::with_capacity(count);
        let mut keep = |relay| {
            if let Ok(candidate) = self.judge_announced(relay) {
                keep_best(&mut best, candidate, count);
            }
            (best.len() == count).then(|| best[count - 1].score)
        };
        let arrivals = self.snapshot.runs.iter().flat_map(|run| run.iter());
        let mut worst_kept = arrivals.fold(None, |_, relay| keep(relay));
        let mut beyond = 0;
        for entry in &self.snapshot.base.entries {
            if let Some(worst) = worst_kept {
                beyond += 1;
                if beyond > BEYOND || self.criteria.least_score(entry.rtt_micros) >= worst {
                    break;
                }
            }
            worst_kept = keep(entry.relay);
        }
        best
    }

    /// Sorts all that will do: for an answer so long that keeping it in order
    /// all the while would cost more.
    fn sorted(&self, count: usize) -> Vec<Candidate<'g>> {
        let relays = self.snapshot.iter();
        let mut all: Vec<_> = relays
            .filter_map(|relay| self.judge_announced(relay).ok())
            .collect();
        all.sort_by(|one, other| one.score.total_cmp(&other.score));
        let mut seen = HashSet::with_capacity(all.len());
        all.retain(|candidate| seen.insert(candidate.record.identity()));
        all.truncate(count);
        all
    }
}

/// Inserts a candidate in its order among the best, if it is one of them.
///
/// A relay that left and came back during the walk may be met in both lives.
fn keep_best<'g>(best: &mut Vec<Candidate<'g>>, candidate: Candidate<'g>, count: usize) {
    let place = best.partition_point(|better| better.score <= candidate.score);
    let id = candidate.record.identity();
    if place < count && !best.iter().any(|kept| kept.record.is_of(&id)) {
        best.truncate(count - 1);
        best.insert(place, candidate);
    }
}

impl<'w, 'g> Search<'w, 'g> {
    fn new(walk: &'w Walk<'g>) -> Self {
        Self {
            walk,
            best: None,
            ties: 0,
            looked_at: 0,
        }
    }
}

impl<'g> Search<'_, 'g> {
    /// Looks at one relay; whether it is eligible.
    #[inline]
    fn consider(&mut self, relay: Handle) -> bool {
        self.looked_at += 1;
        self.keep_better(self.walk.judge(relay))
    }

    #[inline]
    fn keep_better(&mut self, judged: Result<Candidate<'g>, Rejection>) -> bool {
        let Ok(candidate) = judged else {
            return false;
        };
        let best_score = self.best_score();
        if candidate.score < best_score {
            self.best = Some(candidate);
            self.ties = 1;
        } else if candidate.score == best_score {
            // Each of those that tie is taken as likely as any other.
            self.ties += 1;
            if random_below(self.ties) == 0 {
                self.best = Some(candidate);
            }
        }
        true
    }

    #[inline]
    fn best_score(&self) -> f32 {
        self.best.map_or(f32::INFINITY, |best| best.score)
    }

    /// Whether an entry at this place of the base could win, or tie.
    #[inline]
    fn could_win(&self, place: usize) -> bool {
        let rtt_micros = self.walk.snapshot.base.entries[place].rtt_micros;
        self.walk.criteria.least_score(rtt_micros) <= self.best_score()
    }

    fn consider_entry(&mut self, place: usize) -> bool {
        self.consider(self.walk.snapshot.base.entries[place].relay)
    }

    fn arrivals(&mut self) {
        for run in &self.walk.snapshot.runs {
            let arrivals = run.len();
            if arrivals <= EXACT {
                run.iter().for_each(|relay| _ = self.consider(relay));
            } else {
                for _ in 0..ARRIVALS {
                    let place = random_below(arrivals as u32) as usize;
                    run.get(place).map(|relay| self.consider(relay));
                }
            }
        }
    }

    fn base(&mut self) {
        let base = &self.walk.snapshot.base;
        if base.entries.len() <= EXACT {
            return self.all_of(0..base.entries.len());
        }
        self.looked_at = 0;
        for band in base.bands() {
            if !self.could_win(band.start) {
                return;
            }
            if self.looked_at >= HEAD {
                return self.tail(band.start);
            }
            if band.len() <= TRIES_PER_BAND {
                self.all_of(band);
            } else {
                self.some_of(band);
            }
        }
    }

    /// All entries of a range, as long as they could win.
    fn all_of(&mut self, range: Range<usize>) {
        for place in range {
            if !self.could_win(place) {
                return;
            }
            self.consider_entry(place);
        }
    }

    /// A few eligible entries of a range, at random.
    fn some_of(&mut self, range: Range<usize>) {
        let mut eligible = 0;
        for _ in 0..TRIES_PER_BAND {
            let place = range.start + random_below(range.len() as u32) as usize;
            eligible += usize::from(self.consider_entry(place));
            if eligible == PER_BAND {
                return;
            }
        }
    }

    /// A few entries spread over all from `start` that could win.
    fn tail(&mut self, start: usize) {
        let entries = &self.walk.snapshot.base.entries[start..];
        let best_score = self.best_score();
        let promising = entries
            .partition_point(|entry| self.walk.criteria.least_score(entry.rtt_micros) < best_score);
        for stratum in 0..TAIL {
            let from = promising * stratum / TAIL;
            let len = promising * (stratum + 1) / TAIL - from;
            if len > 0 {
                self.consider_entry(start + from + random_below(len as u32) as usize);
            }
        }
    }

    /// All arrivals, and the base until some way beyond the first that will do;
    /// by what the relays announce.
    fn everything(mut self) -> Option<Candidate<'g>> {
        let snapshot = self.walk.snapshot;
        for run in &snapshot.runs {
            for relay in run.iter() {
                self.keep_better(self.walk.judge_announced(relay));
            }
        }
        let mut beyond = 0;
        for (place, entry) in snapshot.base.entries.iter().enumerate() {
            beyond += usize::from(self.best.is_some());
            if beyond > BEYOND || !self.could_win(place) {
                break;
            }
            self.keep_better(self.walk.judge_announced(entry.relay));
        }
        self.best
    }

    /// Entries from anywhere in the base, until one is eligible.
    fn anywhere(&mut self) {
        let entries = self.walk.snapshot.base.entries.len() as u32;
        if entries as usize <= EXACT {
            return;
        }
        for _ in 0..ANYWHERE {
            if self.consider_entry(random_below(entries) as usize) {
                return;
            }
        }
    }
}

//! Finding the best relay without looking at all of them.
//!
//! An order of relays is ascending in length, and no relay scores below its
//! path, so a search that has found one may stop at the first entry whose path
//! alone is worse: exact, and short when loads come from elsewhere.
//!
//! It is long when the registry itself makes the loads, for its choices even
//! out all scores; and it would lead every caller to the same relay wherever
//! many are equally far. So beyond a small table the search takes
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

use crate::select::course::Course;
use crate::select::criteria::{Candidate, Rejection, Worth};
use crate::select::legs::Views;
use crate::select::look::Look;
use crate::select::order::EXACT;
use crate::select::score::least_score;
use crate::sync::random_below;
use crate::table::Handle;
use std::ops::Range;

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
/// How much further a search goes once it has enough to answer with.
pub(crate) const BEYOND: usize = 64;

/// The best of what was looked at.
pub(crate) struct Search<'l, 'g> {
    look: &'l Look<'g>,
    best: Option<Best>,
    /// How many have scored as the best does.
    ties: u32,
    looked_at: usize,
}

/// Where the best is, and what it is worth.
#[derive(Clone, Copy)]
struct Best {
    index: u32,
    worth: Worth,
}

impl<'l, 'g> Search<'l, 'g> {
    pub(crate) fn new(look: &'l Look<'g>) -> Self {
        Self {
            look,
            best: None,
            ties: 0,
            looked_at: 0,
        }
    }
}

impl<'g> Search<'_, 'g> {
    /// The best relay by a look at some, if any of those will do.
    pub(crate) fn some(mut self) -> Option<Candidate<'g>> {
        self.arrivals();
        self.published();
        if !self.detours() || self.best.is_none() {
            self.main_course();
        }
        if self.best.is_none() {
            self.anywhere();
        }
        self.found()
    }

    /// The best of all arrivals, and of the base until some way beyond the
    /// first that will do; by what the relays announce.
    pub(crate) fn everything(mut self) -> Option<Candidate<'g>> {
        let snapshot = self.look.snapshot;
        for run in &snapshot.runs {
            for relay in run.iter() {
                self.keep_better(relay.index, self.look.judge_announced(relay));
            }
        }
        let course = self.look.main_course();
        let mut beyond = 0;
        for (place, entry) in course.order.entries.iter().enumerate() {
            beyond += usize::from(self.best.is_some());
            if beyond > BEYOND || !self.could_win(&course, place) {
                break;
            }
            self.keep_better(entry.relay.index, self.look.judge_announced(entry.relay));
        }
        self.found()
    }

    #[inline]
    fn found(&self) -> Option<Candidate<'g>> {
        let best = self.best?;
        let record = self.look.table.revisit(best.index, self.look.guard);
        Some(Candidate::new(record, best.worth))
    }

    /// Looks at one relay; whether it is eligible.
    #[inline]
    fn consider(&mut self, relay: Handle) -> bool {
        self.looked_at += 1;
        self.keep_better(relay.index, self.look.judge(relay))
    }

    #[inline(always)]
    fn keep_better(&mut self, index: u32, judged: Result<Worth, Rejection>) -> bool {
        let Ok(worth) = judged else {
            return false;
        };
        let best_score = self.best_score();
        if worth.score < best_score {
            self.best = Some(Best { index, worth });
            self.ties = 1;
        } else if worth.score == best_score {
            // Each of those that tie is taken as likely as any other.
            self.ties += 1;
            if random_below(self.ties) == 0 {
                self.best = Some(Best { index, worth });
            }
        }
        true
    }

    #[inline]
    fn best_score(&self) -> f32 {
        self.best.map_or(f32::INFINITY, |best| best.worth.score)
    }

    /// Whether an entry at this place could win, or tie.
    #[inline]
    fn could_win(&self, course: &Course<'_>, place: usize) -> bool {
        course.least_score(&course.order.entries[place]) <= self.best_score()
    }

    fn arrivals(&mut self) {
        for run in &self.look.snapshot.runs {
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

    /// The relays that either peer knows to be near.
    #[inline]
    fn published(&mut self) {
        if let Some(views) = self.look.criteria.views {
            for index in views.published() {
                self.keep_better(index, self.look.judge_at(index));
            }
        }
    }

    fn main_course(&mut self) {
        let course = self.look.main_course();
        match self.look.criteria.views {
            Some(views) if !course.head.is_empty() => self.best_estimates(views, &course),
            _ => self.follow(&course),
        }
    }

    /// Follows the orders prepared for where the peers are, if there are any.
    #[inline]
    fn detours(&mut self) -> bool {
        let Some(views) = self.look.criteria.views else {
            return false;
        };
        let detours = self.look.snapshot.base.detours(views);
        for course in detours.iter().flatten() {
            self.best_estimates(views, course);
        }
        detours.iter().any(Option::is_some)
    }

    /// The first entries of an order, those with the shortest estimated path
    /// first, as long as they could win; and a few of the others, if none of
    /// them stands out.
    fn best_estimates(&mut self, views: &Views<'_>, course: &Course<'_>) {
        let mut estimates = [u32::MAX; EXACT];
        for (estimate, relay) in estimates.iter_mut().zip(course.head) {
            *estimate = views.estimate(relay, self.look.criteria.assumed_rtt_micros);
        }
        for _ in course.head {
            let (place, path_micros) = shortest(&estimates);
            if least_score(path_micros) > self.best_score() {
                return;
            }
            estimates[place] = u32::MAX;
            self.consider(course.order.entries[place].relay);
        }
        self.tail(course, course.head.len());
    }

    fn follow(&mut self, course: &Course<'_>) {
        let order = course.order;
        if order.entries.len() <= EXACT {
            return self.all_of(course, 0..order.entries.len());
        }
        self.looked_at = 0;
        for band in order.bands() {
            if !self.could_win(course, band.start) {
                return;
            }
            if self.looked_at >= HEAD {
                return self.tail(course, band.start);
            }
            if band.len() <= TRIES_PER_BAND {
                self.all_of(course, band);
            } else {
                self.some_of(course, band);
            }
        }
    }

    /// All entries of a range, as long as they could win.
    fn all_of(&mut self, course: &Course<'_>, range: Range<usize>) {
        for place in range {
            if !self.could_win(course, place) {
                return;
            }
            self.consider(course.order.entries[place].relay);
        }
    }

    /// A few eligible entries of a range, at random.
    fn some_of(&mut self, course: &Course<'_>, range: Range<usize>) {
        let mut eligible = 0;
        for _ in 0..TRIES_PER_BAND {
            let place = range.start + random_below(range.len() as u32) as usize;
            eligible += usize::from(self.consider(course.order.entries[place].relay));
            if eligible == PER_BAND {
                return;
            }
        }
    }

    /// A few entries spread over all from `start` that could win.
    fn tail(&mut self, course: &Course<'_>, start: usize) {
        let entries = &course.order.entries[start..];
        let best_score = self.best_score();
        let promising = entries.partition_point(|entry| course.least_score(entry) < best_score);
        for stratum in 0..TAIL {
            let from = promising * stratum / TAIL;
            let len = promising * (stratum + 1) / TAIL - from;
            if len > 0 {
                let place = from + random_below(len as u32) as usize;
                self.consider(entries[place].relay);
            }
        }
    }

    /// Entries from anywhere in the base, until one is eligible.
    fn anywhere(&mut self) {
        let entries = &self.look.snapshot.base.order.entries;
        if entries.len() <= EXACT {
            return;
        }
        for _ in 0..ANYWHERE {
            let place = random_below(entries.len() as u32) as usize;
            if self.consider(entries[place].relay) {
                return;
            }
        }
    }
}

fn shortest(paths_micros: &[u32; EXACT]) -> (usize, u32) {
    let least = paths_micros.iter().copied().fold(u32::MAX, u32::min);
    let place = paths_micros.iter().position(|&path| path == least);
    (place.unwrap_or(0), least)
}

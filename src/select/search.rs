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

use crate::rtt::{Ascending, Places};
use crate::select::chance::{Chance, Window};
use crate::select::course::Course;
use crate::select::criteria::{Candidate, Rejection, Worth};
use crate::select::legs::Views;
use crate::select::look::Look;
use crate::select::order::EXACT;
use crate::select::recent::{Best, Near};
use crate::select::score::about;
use crate::sync::random_below;
use crate::table::{Handle, RecordRef};
use std::ops::Range;

/// Entries looked at before the rest is only sampled.
const HEAD: usize = 12;
/// Eligible relays wanted from each band, and how many entries they may cost.
const PER_BAND: usize = 4;
const TRIES_PER_BAND: usize = 8;
/// Entries sampled from the rest that could still win.
const TAIL: usize = 4;
/// Searches after which what is prepared will be looked at.
const AHEAD: usize = 4;
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
    /// That of the best, or else infinite.
    best_score: f32,
    near: Near,
    /// How many have scored as the best does.
    ties: u32,
    looked_at: usize,
    chance: Chance,
}

impl<'l, 'g> Search<'l, 'g> {
    #[inline]
    pub(crate) fn new(look: &'l Look<'g>) -> Self {
        Self {
            look,
            best: None,
            best_score: f32::INFINITY,
            near: Near::default(),
            ties: 0,
            looked_at: 0,
            chance: Chance::default(),
        }
    }
}

impl<'l, 'g> Search<'l, 'g> {
    /// The best relay by a look at some, if any of those will do.
    pub(crate) fn some(look: &'l Look<'g>) -> Option<Candidate<'g>> {
        let Some(views) = look.criteria.views else {
            let best = Self::glance(look).map(|(best, _)| look.candidate_of(&best));
            return best.or_else(|| Self::new(look).anywhere());
        };
        let mut search = Self::new(look);
        search.arrivals();
        search.pair(views);
        search.found().or_else(|| search.anywhere())
    }

    /// The best of those in the order of the round trip from this node, and what
    /// is about as good: all that most calls need.
    #[inline(always)]
    pub(crate) fn glance(look: &'l Look<'g>) -> Option<(Best, Near)> {
        let mut search = match look.snapshot.arrivals() {
            0 => Self::new(look),
            _ => Self::of_arrivals(look),
        };
        search.follow(&look.main_course());
        search.best.map(|best| (best, search.near))
    }

    #[inline(never)]
    fn of_arrivals(look: &'l Look<'g>) -> Self {
        let mut search = Self::new(look);
        search.arrivals();
        search
    }
}

impl<'g> Search<'_, 'g> {
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
        for entry in &course.order.entries {
            beyond += usize::from(self.best.is_some());
            if beyond > BEYOND || course.least_score(entry) > self.best_score {
                break;
            }
            self.keep_better(entry.relay.index, self.look.judge_announced(entry.relay));
        }
        self.found()
    }

    #[inline(always)]
    fn found(&self) -> Option<Candidate<'g>> {
        self.best.map(|best| self.look.candidate_of(&best))
    }

    /// Looks at one relay; false if it turns out that it is not eligible.
    #[inline(always)]
    fn consider(&mut self, relay: Handle) -> bool {
        self.looked_at += 1;
        match self.look.table.resolve(relay, self.look.guard) {
            Some(record) => self.weigh(relay, &record, self.look.criteria.path_micros(&record)),
            None => false,
        }
    }

    /// Looks at one relay by what is estimated of the peers' legs to it. Those
    /// that they published have been looked at.
    #[inline(always)]
    fn consider_estimated(&mut self, views: &Views<'_>, relay: Handle, legs_micros: f32) {
        if views.measured(relay.index) {
            return;
        }
        if let Some(record) = self.look.table.resolve(relay, self.look.guard) {
            let own = match views.requester() {
                None => self.look.criteria.own_micros(&record),
                Some(_) => 0,
            };
            self.weigh(relay, &record, own + legs_micros as u32);
        }
    }

    /// Whether a relay is eligible need not be known of one that is clearly worse
    /// than the best, as most are.
    #[inline(always)]
    fn weigh(&mut self, relay: Handle, record: &RecordRef<'_>, path_micros: u32) -> bool {
        let criteria = &self.look.criteria;
        let (worth, load) = criteria.appraise(record, path_micros);
        if worth.score > about(self.best_score) {
            return true;
        }
        let admitted = criteria.admits(record, &worth, load);
        if admitted.is_ok() {
            self.near.note(relay, worth.score);
            self.keep(record.index(), worth);
        }
        admitted.is_ok()
    }

    fn keep_better(&mut self, index: u32, judged: Result<Worth, Rejection>) {
        if let Ok(worth) = judged {
            self.keep(index, worth);
        }
    }

    #[inline(always)]
    fn keep(&mut self, index: u32, worth: Worth) {
        if worth.score < self.best_score {
            self.ties = 1;
        } else if worth.score == self.best_score {
            // Each of those that tie is taken as likely as any other.
            self.ties += 1;
            if self.chance.below(self.ties) != 0 {
                return;
            }
        } else {
            return;
        }
        self.best = Some(Best { index, worth });
        self.best_score = worth.score;
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

    /// By what is known of the peers: the relays that either knows to be near,
    /// and the orders prepared for where they are, or else all.
    fn pair(&mut self, views: &Views<'_>) {
        for index in views.published() {
            let record = self.look.table.revisit(index, self.look.guard);
            let path_micros = self.look.criteria.path_micros(&record);
            self.weigh(record.handle(), &record, path_micros);
        }
        let detours = self.look.snapshot.base.detours(views);
        for course in detours.iter().flatten() {
            self.best_estimates(views, course);
        }
        if self.best.is_none() || detours.iter().all(Option::is_none) {
            let course = self.look.main_course();
            if course.head.is_empty() {
                self.follow(&course);
            } else {
                self.best_estimates(views, &course);
            }
        }
    }

    /// The first entries of an order, those with the shortest estimated path
    /// first, as long as they could win; and a few of the others, if none of
    /// them stands out.
    fn best_estimates(&mut self, views: &Views<'_>, course: &Course<'_>) {
        let assumed_micros = self.look.criteria.assumed_rtt_micros;
        let mut stands_out = false;
        for (relays, entries) in course
            .head
            .iter()
            .zip(course.order.entries.chunks(Places::MANY))
        {
            let legs = views.estimates(&relays.places, assumed_micros);
            stands_out = Ascending::new(&relays.paths(views, &legs)).any(|(place, micros)| {
                let cannot_win = micros > self.best_score;
                if !cannot_win {
                    self.consider_estimated(views, entries[place].relay, legs[place]);
                }
                cannot_win
            });
        }
        if !stands_out {
            self.tail(course, course.head.len() * Places::MANY);
        }
    }

    #[inline(always)]
    fn follow(&mut self, course: &Course<'_>) {
        let order = course.order;
        if order.entries.len() <= EXACT {
            return self.all_of(course, 0..order.entries.len());
        }
        self.looked_at = 0;
        for (band, micros) in order.bands() {
            if course.least_score_from(micros) > self.best_score {
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
    #[inline(always)]
    fn all_of(&mut self, course: &Course<'_>, range: Range<usize>) {
        for entry in &course.order.entries[range] {
            if course.least_score(entry) > self.best_score {
                return;
            }
            self.consider(entry.relay);
        }
    }

    /// A few eligible entries of a range, at random.
    #[inline(always)]
    fn some_of(&mut self, course: &Course<'_>, range: Range<usize>) {
        let window = self.chance.window(range);
        if window.is_moving() {
            self.prepare(course, &window);
        }
        let mut eligible = 0;
        for _ in 0..TRIES_PER_BAND {
            let place = self.chance.place_in(&window);
            eligible += usize::from(self.consider(course.order.entries[place].relay));
            if eligible == PER_BAND {
                return;
            }
        }
    }

    /// Has what will be in the window soon brought near.
    #[inline(always)]
    fn prepare(&self, course: &Course<'_>, window: &Window) {
        let entrant = |searches| course.order.entries[window.entrant(searches)].relay;
        self.look.table.prefetch(entrant(2 * AHEAD));
        self.look.table.prefetch_announcement(entrant(AHEAD));
    }

    /// A few entries spread over all from `start` that could win.
    #[inline(always)]
    fn tail(&mut self, course: &Course<'_>, start: usize) {
        let best_score = self.best_score;
        let wanted = |micros| course.least_score_from(micros) < best_score;
        let promising = course.order.count_while(wanted).saturating_sub(start);
        for stratum in 0..TAIL {
            let from = start + promising * stratum / TAIL;
            let end = start + promising * (stratum + 1) / TAIL;
            if from < end {
                let window = self.chance.window(from..end);
                if window.is_moving() {
                    self.prepare(course, &window);
                }
                let place = self.chance.place_in(&window);
                self.consider(course.order.entries[place].relay);
            }
        }
    }

    /// Entries from anywhere in the base, until one is eligible.
    #[cold]
    fn anywhere(mut self) -> Option<Candidate<'g>> {
        let entries = &self.look.snapshot.base.order.entries;
        if entries.len() <= EXACT {
            return None;
        }
        (0..ANYWHERE).find(|_| {
            let place = random_below(entries.len() as u32) as usize;
            self.consider(entries[place].relay)
        });
        self.found()
    }
}

//! What a search keeps of the relays that it visits: the best one, or the best few.

use crate::select::candidate::Candidate;
use crate::select::spread::is_one_machine;
use crate::table::record::Announcement;
use crate::table::snapshot::Bins;
use std::collections::BinaryHeap;

/// The best of the candidates that a search has visited.
pub(crate) trait BestSoFar<'g> {
    /// Nodes whose lower bound is not below this are pruned.
    fn limit(&self) -> f32;

    /// Whether a relay with this score would be kept. One that would not counts as visited.
    fn wants(&mut self, score: f32) -> bool;

    /// Adds a candidate.
    fn offer(&mut self, candidate: Candidate<'g>);
}

/// Keeps the best relay. After [`EXACT`] relays it accepts one that is as good as the
/// summaries tell scores apart.
pub(crate) struct Best<'g> {
    pub(crate) found: Option<Candidate<'g>>,
    score: f32,
    limit: f32,
    /// By this factor, lower bounds of scores are too low at most.
    slack: f32,
    /// How many more relays are compared exactly.
    exact: usize,
}

/// How many relays are compared exactly.
const EXACT: usize = 8;

impl<'g> Best<'g> {
    pub(crate) fn new(bins: Bins) -> Self {
        Self::within(1.0 + bins.width())
    }

    /// For lower bounds that are too low by this factor at most.
    pub(crate) fn within(slack: f32) -> Self {
        Self {
            found: None,
            score: f32::INFINITY,
            limit: f32::INFINITY,
            slack,
            exact: EXACT,
        }
    }

    fn count_one(&mut self) {
        self.exact = self.exact.saturating_sub(1);
        self.limit = match self.exact {
            0 => self.score / self.slack,
            _ => self.score,
        };
    }
}

impl<'g> BestSoFar<'g> for Best<'g> {
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
        if candidate.evaluation.score < self.score {
            self.score = candidate.evaluation.score;
            self.found = Some(candidate);
        }
        self.count_one();
    }
}

/// The longest answer that is spread over failure domains.
pub(crate) const FEW: usize = 32;
/// How many more relays than asked for are visited: 16, and 4 for each relay asked for.
const EXTRA: (usize, usize) = (16, 4);
const EXTRA_AT_MOST: usize = 64;
/// So many of these are visited although they are worse than a standby may be, until as many
/// machines are met as there are relays in the answer, or this many.
const EXTRA_FOR_MACHINES: usize = 16;
const MACHINES: usize = 4;

/// Keeps the best few relays, and some more, so that an answer can be
/// [spread](super::spread): over machines, and over failure domains where that costs little.
/// Relays on trial are kept apart, for they come last in an answer.
pub(crate) struct TopK<'g> {
    /// In no order.
    kept: Vec<Candidate<'g>>,
    on_trial: Vec<Candidate<'g>>,
    count: usize,
    /// The `count` best scores of those kept, as bits. The worst of these is on top.
    scores: BinaryHeap<u32>,
    machines: Machines<'g>,
    /// While machines are lacking, the search goes on if more than so many extra relays may be
    /// kept.
    extra_for_slack: usize,
    limit: f32,
    /// The factor by which a further relay may be worse than the last of the best.
    slack: f32,
    /// How many more relays than asked for may still be kept.
    extra: usize,
    /// How many more relays on trial may be kept before they count as others do.
    trials_left: usize,
}

/// Some of the machines that the relays kept are on.
struct Machines<'g> {
    /// The relay that was met first.
    first: Option<&'g Announcement>,
    /// Relays on other machines.
    others: [Option<&'g Announcement>; MACHINES - 1],
    /// How many more machines are noted, and looked for.
    lacking: usize,
    /// Whether any of them has further endpoints. Then two of those that share a machine with
    /// the first may share none with each other.
    have_further: bool,
}

impl<'g> Machines<'g> {
    fn wanted(wanted: usize) -> Self {
        Self {
            first: None,
            others: [None; MACHINES - 1],
            lacking: wanted.min(MACHINES),
            have_further: false,
        }
    }

    /// Whether they may be several.
    fn are_several(&self) -> bool {
        self.others[0].is_some() || self.have_further
    }

    #[inline]
    fn note(&mut self, candidate: &Candidate<'g>) {
        if self.lacking > 0 {
            let of = candidate.record.announcement();
            self.have_further |= !of.also_at().is_empty();
            match self.first {
                Some(first) if is_one_machine(first, of) => {}
                Some(_) => self.note_other(of),
                None => {
                    self.first = Some(of);
                    self.lacking -= 1;
                }
            }
        }
    }

    /// Of a relay that is on another machine than the first.
    fn note_other(&mut self, of: &'g Announcement) {
        for place in &mut self.others {
            match place {
                Some(known) if is_one_machine(known, of) => return,
                Some(_) => {}
                None => {
                    *place = Some(of);
                    self.lacking -= 1;
                    return;
                }
            }
        }
    }
}

impl<'g> TopK<'g> {
    /// For an answer of `count` relays, at least 1, beside those that were `chosen`.
    pub(crate) fn new(count: usize, max_spread_cost: f64, chosen: &[Candidate<'g>]) -> Self {
        let mut machines = match count {
            ..=FEW if max_spread_cost > 0.0 => Machines::wanted(count + chosen.len()),
            _ => Machines::wanted(0),
        };
        chosen.iter().for_each(|candidate| machines.note(candidate));
        let (some, for_each) = EXTRA;
        let extra = match count {
            ..=FEW => (some + for_each * count).min(EXTRA_AT_MOST),
            _ => 0,
        };
        Self {
            kept: Vec::with_capacity(count.min(FEW) + extra),
            on_trial: Vec::new(),
            count,
            scores: BinaryHeap::with_capacity(count.min(FEW)),
            machines,
            extra_for_slack: extra.saturating_sub(EXTRA_FOR_MACHINES),
            limit: f32::INFINITY,
            slack: 1.0 + max_spread_cost as f32,
            extra,
            trials_left: count.saturating_add(EXTRA_AT_MOST),
        }
    }

    /// Best first. Relays on trial are last, unless one of them is the best of all and the list
    /// begins the answer.
    pub(crate) fn into_list(mut self, begins_answer: bool) -> Vec<Candidate<'g>> {
        self.kept = sorted(&self.kept);
        self.on_trial.sort_by(Candidate::by_score);
        let best = self
            .kept
            .first()
            .map_or(f32::INFINITY, |best| best.evaluation.score);
        let is_best = |first: &Candidate<'_>| begins_answer && first.evaluation.score < best;
        if self.on_trial.first().is_some_and(is_best) {
            self.kept.insert(0, self.on_trial.remove(0));
        }
        self.kept.append(&mut self.on_trial);
        self.kept
    }

    fn keep(&mut self, candidate: Candidate<'g>) {
        let score = bits(&candidate);
        self.machines.note(&candidate);
        self.kept.push(candidate);
        if self.scores.len() < self.count {
            return self.scores.push(score);
        }
        self.extra = self.extra.saturating_sub(1);
        if let Some(mut last) = self.scores.peek_mut().filter(|last| score < **last) {
            *last = score;
        }
    }

    fn lacks_machines(&self) -> bool {
        self.machines.lacking > 0 && self.extra > self.extra_for_slack
    }

    /// Whether the relays kept that do not fail are on several machines, where that matters.
    pub(crate) fn has_machines(&self) -> bool {
        self.machines.are_several()
    }

    fn current_limit(&self) -> f32 {
        if self.scores.len() < self.count {
            return if self.trials_left > 0 {
                f32::INFINITY
            } else {
                0.0
            };
        }
        match self.scores.peek() {
            Some(_) if self.lacks_machines() => f32::INFINITY,
            Some(&last) if self.extra > 0 => {
                // The next float, so that a score equal to the limit is below it.
                f32::from_bits((f32::from_bits(last) * self.slack).to_bits() + 1)
            }
            Some(&last) if self.count > FEW => f32::from_bits(last),
            _ => 0.0,
        }
    }
}

/// Scores are not negative, so their bits are in the same order.
fn bits(candidate: &Candidate<'_>) -> u32 {
    candidate.evaluation.score.to_bits()
}

/// Best first; equal ones stay in their order. This sorts one word for each candidate, since
/// a candidate is as long as a cache line.
fn sorted<'g>(candidates: &[Candidate<'g>]) -> Vec<Candidate<'g>> {
    let word = |(at, candidate)| u64::from(bits(candidate)) << 32 | at;
    let mut words: Vec<u64> = (0..).zip(candidates).map(word).collect();
    words.sort_unstable();
    let place = |word: u64| word as u32 as usize;
    let sorted = words.into_iter().map(|word| candidates[place(word)]);
    sorted.collect()
}

impl<'g> BestSoFar<'g> for TopK<'g> {
    #[inline]
    fn limit(&self) -> f32 {
        self.limit
    }

    fn wants(&mut self, score: f32) -> bool {
        score < self.limit()
    }

    fn offer(&mut self, candidate: Candidate<'g>) {
        if candidate.is_on_trial() {
            self.trials_left = self.trials_left.saturating_sub(1);
            self.on_trial.push(candidate);
        } else {
            self.keep(candidate);
        }
        self.limit = self.current_limit();
    }
}

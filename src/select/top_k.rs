//! The best of what a search comes upon, for an answer of several.
//!
//! An answer needs the best few, and more to choose from for the sake of other
//! [domains](super::spread), as long as those do not cost too much. Relays on trial
//! are kept apart, for they come last. After the first few the search goes on for a
//! bounded number of relays.

use crate::select::criteria::Candidate;
use crate::select::search::Collector;
use std::collections::BinaryHeap;

/// The longest answer that is spread over failure domains.
pub(crate) const FEW: usize = 32;
/// How many relays are looked at beyond those asked for: so many, and so many more
/// for each.
const FURTHER: (usize, usize) = (16, 4);
const FURTHER_AT_MOST: usize = 64;

/// See the module's description.
pub(crate) struct TopK<'g> {
    /// In no order.
    kept: Vec<Candidate<'g>>,
    on_trial: Vec<Candidate<'g>>,
    count: usize,
    /// The best scores of those kept, as bits: the worst of these on top.
    scores: BinaryHeap<u32>,
    /// Only scores below are of interest.
    limit: f32,
    /// How much worse than the last of the best a standby may be, as a factor.
    slack: f32,
    /// Relays that may come beyond those asked for.
    further: usize,
    /// Relays on trial that may come before they make up for others.
    trials_left: usize,
}

impl<'g> TopK<'g> {
    /// For an answer of `count`, at least 1.
    pub(crate) fn new(count: usize, max_spread_cost: f64) -> Self {
        let (some, for_each) = FURTHER;
        let further = match count {
            ..=FEW => (some + for_each * count).min(FURTHER_AT_MOST),
            _ => 0,
        };
        Self {
            kept: Vec::with_capacity(count.min(FEW) + further),
            on_trial: Vec::new(),
            count,
            scores: BinaryHeap::with_capacity(count.min(FEW)),
            limit: f32::INFINITY,
            slack: 1.0 + max_spread_cost as f32,
            further,
            trials_left: count.saturating_add(FURTHER_AT_MOST),
        }
    }

    /// Best first; those on trial last, but for the best of all.
    pub(crate) fn into_list(mut self) -> Vec<Candidate<'g>> {
        self.kept = sorted(&self.kept);
        self.on_trial.sort_by(Candidate::by_score);
        let best = self
            .kept
            .first()
            .map_or(f32::INFINITY, |best| best.worth.score);
        let is_best = |first: &Candidate<'_>| first.worth.score < best;
        if self.on_trial.first().is_some_and(is_best) {
            self.kept.insert(0, self.on_trial.remove(0));
        }
        self.kept.append(&mut self.on_trial);
        self.kept
    }

    fn keep(&mut self, candidate: Candidate<'g>) {
        let score = bits(&candidate);
        self.kept.push(candidate);
        if self.scores.len() < self.count {
            return self.scores.push(score);
        }
        self.further = self.further.saturating_sub(1);
        if let Some(mut last) = self.scores.peek_mut().filter(|last| score < **last) {
            *last = score;
        }
    }

    fn limit_by_now(&self) -> f32 {
        if self.scores.len() < self.count {
            return if self.trials_left > 0 {
                f32::INFINITY
            } else {
                0.0
            };
        }
        match self.scores.peek() {
            Some(&last) if self.further > 0 => {
                // The next float: one that is as good as the limit is wanted.
                f32::from_bits((f32::from_bits(last) * self.slack).to_bits() + 1)
            }
            Some(&last) if self.count > FEW => f32::from_bits(last),
            _ => 0.0,
        }
    }
}

/// Scores are not negative, so their bits are in their order.
fn bits(candidate: &Candidate<'_>) -> u32 {
    candidate.worth.score.to_bits()
}

/// Best first; those that are equal stay in their order. What is moved about is a word
/// for each and not the candidates, which are a cache line long.
fn sorted<'g>(candidates: &[Candidate<'g>]) -> Vec<Candidate<'g>> {
    let word = |(at, candidate)| u64::from(bits(candidate)) << 32 | at;
    let mut words: Vec<u64> = (0..).zip(candidates).map(word).collect();
    words.sort_unstable();
    let place = |word: u64| word as u32 as usize;
    let sorted = words.into_iter().map(|word| candidates[place(word)]);
    sorted.collect()
}

impl<'g> Collector<'g> for TopK<'g> {
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
        self.limit = self.limit_by_now();
    }
}

//! The best of what a walk for several came upon, and what may stand in for them.

use crate::select::criteria::Candidate;

/// The longest answer that is kept in order during the walk.
pub(crate) const FEW: usize = 32;
/// So many more than asked for are kept at most, for the sake of other domains.
pub(crate) const TO_CHOOSE_FROM: usize = 48;
/// How many come in before the worst are let go again.
const SLOP: usize = 16;

/// See the module's description.
pub(crate) struct Pool<'g> {
    /// In no order.
    kept: Vec<Candidate<'g>>,
    /// Best first.
    on_trial: Vec<Candidate<'g>>,
    count: usize,
    /// The best scores of those kept, in order; infinite where there is none yet.
    scores: [f32; FEW],
    /// How much worse than the last of the best a standby may be, as a factor.
    slack: f32,
    /// No relay of a higher score could be in the answer.
    limit: f32,
    has_repetitions: bool,
}

impl<'g> Pool<'g> {
    /// For an answer of `count`, 1 to [`FEW`].
    pub(crate) fn new(count: usize, spread_cost: f64) -> Self {
        Self {
            kept: Vec::with_capacity(count + TO_CHOOSE_FROM + SLOP),
            on_trial: Vec::new(),
            count,
            scores: [f32::INFINITY; FEW],
            slack: 1.0 + spread_cost as f32,
            limit: f32::INFINITY,
            has_repetitions: false,
        }
    }

    /// From now on a relay may be offered more than once.
    pub(crate) fn expect_repetitions(&mut self) {
        self.has_repetitions = true;
    }

    /// How many relays are asked for.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Whether there is enough for an answer.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.scores[self.count - 1] < f32::INFINITY
    }

    /// Whether a relay of this score could be in the answer.
    #[inline]
    pub(crate) fn is_wanted(&self, score: f32) -> bool {
        score <= self.limit
    }

    pub(crate) fn keep(&mut self, candidate: Candidate<'g>) {
        if candidate.is_on_trial() {
            insert(&mut self.on_trial, candidate, self.count);
            return;
        }
        if self.has_repetitions && holds(&self.kept, &candidate) {
            return;
        }
        self.note(candidate.worth.score);
        self.kept.push(candidate);
        if self.kept.len() == self.count + TO_CHOOSE_FROM + SLOP {
            self.let_go();
        }
    }

    fn note(&mut self, score: f32) {
        let best = &mut self.scores[..self.count];
        let mut next = score;
        for kept in best.iter_mut().filter(|kept| score < **kept) {
            std::mem::swap(&mut next, kept);
        }
        self.limit = self.limit.min(best[best.len() - 1] * self.slack);
    }

    /// Lets go of all but as many as may be kept.
    #[cold]
    fn let_go(&mut self) {
        let most = self.count + TO_CHOOSE_FROM;
        let (_, last, _) = self
            .kept
            .select_nth_unstable_by(most - 1, Candidate::by_score);
        self.limit = self.limit.min(last.worth.score);
        self.kept.truncate(most);
    }

    /// Those kept that could be in the answer.
    fn best_first(&self) -> Vec<Candidate<'g>> {
        let mut keys = [0; FEW + TO_CHOOSE_FROM + SLOP];
        let mut len = 0;
        for (place, candidate) in self.kept.iter().enumerate() {
            if self.is_wanted(candidate.worth.score) {
                keys[len] = key(candidate.worth.score, place);
                len += 1;
            }
        }
        keys[..len].sort_unstable();
        let most = len.min(self.count + TO_CHOOSE_FROM);
        let at = |&key: &u64| self.kept[key as u32 as usize];
        keys[..most].iter().map(at).collect()
    }

    /// Best first; those on trial last, but for the best of all.
    pub(crate) fn into_list(self) -> Vec<Candidate<'g>> {
        let mut kept = self.best_first();
        let mut on_trial = self.on_trial.into_iter().peekable();
        let best = kept.first().map_or(f32::INFINITY, |best| best.worth.score);
        if let Some(first) = on_trial.next_if(|first| first.worth.score < best) {
            kept.insert(0, first);
        }
        kept.extend(on_trial);
        kept
    }
}

/// A key that sorts by score, which is never negative, and names a place.
fn key(score: f32, place: usize) -> u64 {
    u64::from(score.to_bits()) << 32 | place as u64
}

fn holds(candidates: &[Candidate<'_>], candidate: &Candidate<'_>) -> bool {
    let index = candidate.record.index();
    candidates.iter().any(|kept| kept.record.index() == index)
}

/// Inserts a candidate among the best in its order, unless it is there.
fn insert<'g>(best_first: &mut Vec<Candidate<'g>>, candidate: Candidate<'g>, most: usize) {
    let score = candidate.worth.score;
    let place = best_first.partition_point(|better| better.worth.score <= score);
    if !holds(best_first, &candidate) {
        best_first.insert(place, candidate);
        best_first.truncate(most);
    }
}

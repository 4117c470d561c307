//! How many relays are not eligible for which reason, counted without a visit to each.
//!
//! The trees count their leaves by state, whenever one changes. Other reasons are those of the
//! call. Its exclusions are looked up one by one. Since the call found no relay, all relays
//! that are otherwise eligible do not meet a condition of the call. If it has several, some
//! relays are [sampled](count_by_sample).

use crate::errors::Rejections;
use crate::relay::{NodeId, Rejection};
use crate::select::branch_and_bound::{Bounds, Objective, depth_first};
use crate::select::criteria::Criteria;
use crate::select::scope::SearchScope;
use crate::table::RecordRef;
use crate::table::snapshot::{LeafState, Leaves, Snapshot, SummaryWord, TierPart};

/// The counts for a call that found no relay.
pub(crate) fn count(scope: &SearchScope<'_>, snapshot: &Snapshot) -> Rejections {
    let counts = snapshot.counts();
    let mut rejections = Rejections::default();
    for &reason in Rejection::ALL {
        *rejections.count_mut(reason) = counts.rejected(reason);
    }
    match conditions(&scope.criteria) {
        Conditions::None => {}
        Conditions::Units => rejections.full += counts.eligible(),
        Conditions::Latency => {
            rejections.too_far = counts.of(LeafState::Measured);
            rejections.unmeasured = counts.of(LeafState::Unmeasured);
            count_by_requester(scope, &mut rejections);
        }
        Conditions::Several if scope.criteria.is_beyond_all(snapshot) => {
            rejections.full += counts.eligible();
        }
        Conditions::Several => {
            count_by_sample(scope, snapshot, counts.eligible(), &mut rejections);
        }
    }
    // Without a condition of the call, relays that are eligible by now have become so since.
    count_excluded(scope, &mut rejections);
    rejections
}

/// Which conditions a call has that other callers do not have.
enum Conditions {
    None,
    Units,
    Latency,
    /// These and others, or what relays announce.
    Several,
}

fn conditions(criteria: &Criteria<'_>) -> Conditions {
    let (options, several) = (criteria.options, criteria.asks_for_several());
    match (options.is_filtered(), options.max_latency.is_some()) {
        (false, false) if several => Conditions::Units,
        (false, false) => Conditions::None,
        (false, true) if !several => Conditions::Latency,
        _ => Conditions::Several,
    }
}

/// If the requester is another node, relays that it did not publish are unmeasured.
fn count_by_requester(scope: &SearchScope<'_>, rejections: &mut Rejections) {
    let Some(requester) = scope.criteria.requester() else {
        return;
    };
    let eligible = rejections.too_far + rejections.unmeasured;
    let too_far = requester.published_indices().filter(|&index| {
        let record = scope.table.record_seen_at(index, scope.guard);
        // Those that the call excludes as well: they are taken out below.
        scope.criteria.check_unexcluded(&record) == Err(Rejection::TooFar)
    });
    rejections.too_far = too_far.count().min(eligible);
    rejections.unmeasured = eligible - rejections.too_far;
}

/// If more relays are eligible to other callers, some leaves are sampled: about so many, all
/// over the order of each part.
const EXACT: usize = 128;
const SAMPLED: usize = 256;

/// Counts the relays that are eligible to other callers by the condition that each does not
/// meet. If they are many, some are looked at, and the others are counted in the same
/// proportion.
fn count_by_sample(
    scope: &SearchScope<'_>,
    snapshot: &Snapshot,
    eligible: usize,
    rejections: &mut Rejections,
) {
    let mut sample = Sample {
        scope,
        counts: Rejections::default(),
        left: EXACT,
    };
    match eligible {
        ..=EXACT => {
            let context = &scope.table.publication().context;
            let parts = context.tiers().flat_map(|tier| snapshot.tier(tier, None));
            parts.for_each(|part| depth_first(&mut sample, part));
        }
        _ => snapshot.parts().for_each(|part| sample.add_some(part)),
    }
    let mut sampled = sample.counts;
    let all = CONDITIONS.map(|reason| *sampled.count_mut(reason));
    let all: usize = all.iter().sum();
    let mut left = eligible;
    for reason in CONDITIONS {
        let share = *sampled.count_mut(reason) as u128 * eligible as u128;
        let share = (share / all.max(1) as u128) as usize;
        *rejections.count_mut(reason) += share;
        left -= share;
    }
    // What is lost by rounding.
    let most = CONDITIONS
        .into_iter()
        .max_by_key(|&it| *sampled.count_mut(it));
    *rejections.count_mut(most.unwrap_or(Rejection::Full)) += left;
}

/// The reasons that follow from conditions of the call.
const CONDITIONS: [Rejection; 6] = [
    Rejection::Full,
    Rejection::Excluded,
    Rejection::Labels,
    Rejection::Family,
    Rejection::TooFar,
    Rejection::Unmeasured,
];

/// The reasons of some relays that are eligible to other callers.
struct Sample<'l, 'g> {
    scope: &'l SearchScope<'g>,
    counts: Rejections,
    /// How many more are visited.
    left: usize,
}

impl Sample<'_, '_> {
    fn add_some(&mut self, part: &Leaves) {
        let slots = (0..part.len()).step_by(part.len().div_ceil(SAMPLED));
        let eligible = slots.filter(|&slot| part.state_at(slot).is_eligible());
        eligible.for_each(|slot| self.add(part, slot));
    }

    fn add(&mut self, part: &Leaves, slot: usize) {
        if let Some(record) = self.scope.resolve(part, slot) {
            let reason = reason_without_exclusion(self.scope, &record);
            *self.counts.count_mut(reason) += 1;
        }
    }
}

/// Visits all that are eligible, in order.
impl Objective for Sample<'_, '_> {
    type Bound = f32;

    const IS_RANDOM: bool = false;

    fn lower_bounds(&mut self, part: TierPart<'_>, level: usize, node: usize) -> Bounds<f32> {
        let words = part.trees.summaries.words(level, node);
        words.map(|word| match SummaryWord(word).score_rank() {
            0 => f32::INFINITY,
            _ => 0.0,
        })
    }

    fn limit(&self) -> f32 {
        match self.left {
            0 => 0.0,
            _ => f32::INFINITY,
        }
    }

    fn visit_leaf(&mut self, part: TierPart<'_>, slot: usize) {
        self.left -= 1;
        self.add(part.leaves, slot);
    }
}

/// Counts the relays that the call excludes under that reason, and no longer under another.
fn count_excluded(scope: &SearchScope<'_>, rejections: &mut Rejections) {
    let criteria = &scope.criteria;
    let target = criteria.target;
    let local = criteria.local.filter(|&local| Some(local) != target);
    let is_other = |id: &&NodeId| Some(*id) != target && Some(*id) != local;
    let requester = criteria.requester.filter(is_other);
    // These are sorted, and distinct.
    let listed = criteria.options.exclude.iter();
    let listed = listed.filter(|id| is_other(id) && Some(*id) != requester);
    let named = target.into_iter().chain(local).chain(requester);
    for id in named.chain(listed) {
        if let Some(other) = other_reason(scope, id) {
            let count = rejections.count_mut(other);
            *count = count.saturating_sub(1);
            rejections.excluded += 1;
        }
    }
}

/// The reason under which the trees count a relay that the call excludes, if it is live.
fn other_reason(scope: &SearchScope<'_>, id: &NodeId) -> Option<Rejection> {
    let record = scope.table.find(id, scope.guard)?;
    if !record.lifecycle().is_live_at(scope.criteria.tick) {
        return None;
    }
    Some(reason_without_exclusion(scope, &record))
}

/// The reason under which a relay counts if the call does not exclude it.
fn reason_without_exclusion(scope: &SearchScope<'_>, record: &RecordRef<'_>) -> Rejection {
    match scope.criteria.check_unexcluded(record) {
        Err(reason) => reason,
        Ok(()) => match conditions(&scope.criteria) {
            // It is among those that were counted for too few free units.
            Conditions::Units => Rejection::Full,
            _ => scope.criteria.out_of_reach(record),
        },
    }
}

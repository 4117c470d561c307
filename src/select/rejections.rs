//! How many relays are not eligible for which reason, counted without a visit to each.
//!
//! The trees count their leaves by state, whenever one changes. The other reasons are those of
//! the call. Its exclusions are looked up one by one. Since the call found no relay, all relays
//! that are otherwise eligible do not pass its filter, or are beyond its maximum latency, or in
//! domains that it excludes. A relay to which several of these apply counts under the first.

use crate::errors::Rejections;
use crate::relay::{NodeId, Rejection};
use crate::select::criteria::Criteria;
use crate::select::scope::SearchScope;
use crate::table::snapshot::{LeafState, Snapshot, StateCounts};

/// The counts for a call that found no relay.
pub(crate) fn count(scope: &SearchScope<'_>, snapshot: &Snapshot) -> Rejections {
    let counts = snapshot.counts();
    let mut rejections = Rejections::default();
    for &reason in Rejection::ALL {
        *rejections.count_mut(reason) = counts.rejected(reason);
    }
    // Without restrictions, relays that are eligible by now have become so since.
    if scope.criteria.options.is_restricted() {
        count_restricted(scope, snapshot, counts, &mut rejections);
    }
    count_excluded(scope, &mut rejections);
    rejections
}

/// Counts the relays that are eligible to other calls: first those that do not pass the
/// filter, if there is a forest for it; then those beyond the maximum latency; else those of
/// excluded domains.
fn count_restricted(
    scope: &SearchScope<'_>,
    snapshot: &Snapshot,
    counts: StateCounts,
    rejections: &mut Rejections,
) {
    let Criteria {
        options, filter, ..
    } = &scope.criteria;
    let mut passing = counts;
    if let Some(wanted) = &options.filter {
        let counted = filter.and_then(|filter| snapshot.counts_of(filter));
        passing = counted.unwrap_or_default();
        let others = counts.eligible().saturating_sub(passing.eligible());
        *match wanted.has_labels() {
            true => &mut rejections.labels,
            false => &mut rejections.family,
        } = others;
    }
    if options.max_latency.is_some() {
        rejections.too_far = passing.of(LeafState::Measured);
        rejections.unmeasured = passing.of(LeafState::Unmeasured);
        count_by_requester(scope, rejections);
    } else {
        rejections.excluded = passing.eligible();
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
        scope.criteria.evaluate(&record).err() == Some(Rejection::TooFar)
    });
    rejections.too_far = too_far.count().min(eligible);
    rejections.unmeasured = eligible - rejections.too_far;
}

/// Counts the relays that the call excludes under that reason, and no longer under another.
fn count_excluded(scope: &SearchScope<'_>, rejections: &mut Rejections) {
    let criteria = &scope.criteria;
    let local = criteria.local.filter(|&local| local != criteria.target);
    let is_other = |id: &&NodeId| *id != criteria.target && Some(*id) != local;
    // These are sorted, and distinct.
    let listed = criteria.options.exclude.iter().filter(is_other);
    for id in std::iter::once(criteria.target).chain(local).chain(listed) {
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
    Some(match scope.criteria.check_unexcluded(&record) {
        Err(reason) => reason,
        Ok(()) => scope.criteria.out_of_reach(&record),
    })
}

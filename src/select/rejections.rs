//! How many relays are not eligible for which reason, counted without a visit to each.
//!
//! The trees count their leaves by state, whenever one changes. Two reasons are those of the
//! call. Its exclusions are looked up one by one. Since the call found no relay, all relays
//! that are otherwise eligible are beyond its maximum latency.

use crate::errors::Rejections;
use crate::relay::{NodeId, Rejection};
use crate::select::scope::SearchScope;
use crate::table::snapshot::{LeafState, Snapshot};

/// The counts for a call that found no relay.
pub(crate) fn count(scope: &SearchScope<'_>, snapshot: &Snapshot) -> Rejections {
    let counts = snapshot.counts();
    let mut rejections = Rejections::default();
    for &reason in Rejection::ALL {
        *rejections.count_mut(reason) = counts.rejected(reason);
    }
    // Without a maximum latency, relays that are eligible by now have become so since.
    if scope.criteria.options.max_latency.is_some() {
        rejections.too_far = counts.of(LeafState::Measured);
        rejections.unmeasured = counts.of(LeafState::Unmeasured);
        count_by_requester(scope, &mut rejections);
    }
    count_excluded(scope, &mut rejections);
    rejections
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
    Some(match scope.criteria.check_unexcluded(&record) {
        Err(reason) => reason,
        Ok(()) => scope.criteria.out_of_reach(&record),
    })
}

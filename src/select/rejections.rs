//! Why relays were passed over, counted without a look at them.
//!
//! The trees count their leaves by class whenever one changes. What is left are the
//! relays that this very call excludes, which are looked up, and its limit on
//! latency: where nothing was found, every relay that is otherwise available is
//! beyond that.

use crate::Rejections;
use crate::relay::NodeId;
use crate::select::criteria::Rejection;
use crate::select::search::SearchScope;
use crate::table::snapshot::{Class, Snapshot};

/// The reasons of a call that found nothing.
pub(crate) fn count(scope: &SearchScope<'_>, snapshot: &Snapshot) -> Rejections {
    let counts = snapshot.counts();
    let count = |class| counts[class as usize];
    let mut rejections = Rejections {
        departed: count(Class::Departed),
        full: count(Class::Full),
        draining: count(Class::Draining),
        backing_off: count(Class::BackingOff) + count(Class::NoResort),
        banned: count(Class::Banned),
        excluded: 0,
        too_far: count(Class::Measured),
        unmeasured: count(Class::Unmeasured),
    };
    if scope.criteria.options.max_latency.is_none() {
        // Those that became available since.
        (rejections.too_far, rejections.unmeasured) = (0, 0);
    } else {
        by_requester(scope, &mut rejections);
    }
    exclusions(scope, &mut rejections);
    rejections
}

/// Where the requester is another node, only what it published is measured.
fn by_requester(scope: &SearchScope<'_>, rejections: &mut Rejections) {
    let Some(requester) = scope.criteria.requester() else {
        return;
    };
    let available = rejections.too_far + rejections.unmeasured;
    let too_far = requester.published_indices().filter(|&index| {
        let record = scope.table.record_seen_at(index, scope.guard);
        scope.criteria.judge_announced(&record).err() == Some(Rejection::TooFar)
    });
    rejections.too_far = too_far.count().min(available);
    rejections.unmeasured = available - rejections.too_far;
}

/// Counts those that the call excludes as such, and not by what else they are.
fn exclusions(scope: &SearchScope<'_>, rejections: &mut Rejections) {
    let criteria = &scope.criteria;
    let local = criteria.local.filter(|&local| local != criteria.target);
    let is_other = |id: &&NodeId| *id != criteria.target && Some(*id) != local;
    // These are sorted, and each is there once.
    let listed = criteria.options.exclude.iter().filter(is_other);
    for id in std::iter::once(criteria.target).chain(local).chain(listed) {
        if is_excluded(scope, id, rejections) {
            rejections.excluded += 1;
        }
    }
}

fn is_excluded(scope: &SearchScope<'_>, id: &NodeId, rejections: &mut Rejections) -> bool {
    let Some(record) = scope.table.find(id, scope.guard) else {
        return false;
    };
    if !record.lifecycle().is_live_at(scope.criteria.tick) {
        return false;
    }
    let counted = match scope.criteria.judge_without_exclusions(&record) {
        Err(counted) => counted,
        // Available, it was taken to be beyond reach.
        Ok(()) => scope.criteria.unreached(&record),
    };
    let place = counted.place_in(rejections);
    *place = place.saturating_sub(1);
    true
}

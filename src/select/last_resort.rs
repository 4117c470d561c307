//! The search for a last resort: of the relays that back off and are rejected for nothing
//! else, the one that has done so longest.

use crate::relay::Rejection;
use crate::select::branch_and_bound::{Bounds, Objective, depth_first};
use crate::select::candidate::Candidate;
use crate::select::scope::SearchScope;
use crate::select::units::EnoughUnits;
use crate::table::RecordRef;
use crate::table::snapshot::{Earliest, FANOUT, Leaves, Snapshot, TierPart, Wanted};
use crate::time::Tick;

/// The preferred relay if it is a last resort, else the one that has backed off longest.
pub(crate) fn last_resort<'g>(
    scope: &SearchScope<'g>,
    snapshot: &Snapshot,
) -> Option<Candidate<'g>> {
    let publication = scope.table.publication();
    let preferred = preferred(scope);
    preferred.or_else(|| match publication.is_latest(snapshot) {
        true => longest(scope, snapshot),
        false => longest(scope, &publication.load()),
    })
}

/// The preferred relay, if it backs off and is rejected for nothing else.
fn preferred<'g>(scope: &SearchScope<'g>) -> Option<Candidate<'g>> {
    let preference = scope.criteria.options.preference.as_ref()?;
    let record = scope.table.find(&preference.relay, scope.guard)?;
    scope.criteria.evaluate_as_last_resort(&record).ok()
}

fn longest<'g>(scope: &SearchScope<'g>, snapshot: &Snapshot) -> Option<Candidate<'g>> {
    let has_any = |part: &Leaves| {
        let suspended = part.suspended();
        suspended.is_some_and(|suspended| suspended.earliest() != Earliest::NEVER)
    };
    if !snapshot.parts().any(has_any) {
        return None;
    }
    let mut search = LastResort {
        scope,
        found: None,
        limit: Earliest::NEVER,
    };
    match scope.criteria.measured_by_requester() {
        Some(measured) => measured.for_each(|index| search.visit_measured(index)),
        // The trees of suspensions have relays of all tiers.
        None => snapshot.tier(0, None).for_each(|part| search.search(part)),
    }
    search.found
}

/// See the module's description.
struct LastResort<'l, 'g> {
    scope: &'l SearchScope<'g>,
    found: Option<Candidate<'g>>,
    limit: u64,
}

impl<'g> LastResort<'_, 'g> {
    /// Searches a part: first the relay that the words name, then by branch and bound, which
    /// is needed if that relay is not eligible or words are out of date.
    fn search(&mut self, part: TierPart<'_>) {
        let Some(suspended) = part.leaves.suspended() else {
            return;
        };
        let earliest = suspended.earliest();
        let is_any =
            !self.scope.criteria.asks_for_several() && self.scope.latency_limit.is_unlimited();
        if earliest < self.limit && is_any {
            self.visit_leaf(part, suspended.longest(part.leaves.top()));
        }
        if earliest < self.limit {
            self.search_whole(part);
        }
    }

    fn search_whole(&mut self, part: TierPart<'_>) {
        let criteria = &self.scope.criteria;
        match criteria.asks_for_several() {
            false => depth_first(self, part),
            true => {
                let mut several = EnoughUnits::new(self, criteria, Wanted::LastResort);
                depth_first(&mut several, part);
            }
        }
    }

    /// Visits a relay that the requester measured.
    fn visit_measured(&mut self, index: u32) {
        let record = self.scope.table.record_seen_at(index, self.scope.guard);
        let access = record.circuit().access(self.scope.criteria.tick);
        if access == Err(Rejection::BackingOff) {
            self.visit(record);
        }
    }

    /// Keeps a relay if it may be a last resort, and has backed off for longer than the one
    /// found before.
    fn visit(&mut self, record: RecordRef<'g>) {
        let candidate = match self.scope.criteria.evaluate_as_last_resort(&record) {
            Ok(candidate) => candidate,
            Err(reason) => return self.scope.refresh_rejected(&record, reason),
        };
        let now = self.scope.criteria.tick;
        let Tick(since) = candidate
            .circuit
            .ejected_at(self.scope.table.back_off(&record, now));
        if since < self.limit {
            (self.found, self.limit) = (Some(candidate), since);
        }
    }
}

impl Objective for LastResort<'_, '_> {
    type Bound = u64;

    const IS_RANDOM: bool = false;

    #[inline]
    fn lower_bounds(&mut self, part: TierPart<'_>, level: usize, node: usize) -> Bounds<u64> {
        let Some(suspended) = part.leaves.suspended() else {
            return [Earliest::NEVER; FANOUT];
        };
        let since = suspended.since.words(level, node).map(Earliest::number);
        let limit = self.scope.latency_limit;
        if limit.is_unlimited() {
            return since;
        }
        let mut bounds = [Earliest::NEVER; FANOUT];
        for summaries in part.leaves.summaries_of_tiers(level, node) {
            for (at, summary) in summaries.into_iter().enumerate() {
                if limit.admits(summary) {
                    bounds[at] = since[at];
                }
            }
        }
        bounds
    }

    fn limit(&self) -> u64 {
        self.limit
    }

    fn visit_leaf(&mut self, part: TierPart<'_>, slot: usize) {
        if let Some(record) = self.scope.resolve(part.leaves, slot) {
            self.visit(record);
        }
    }
}

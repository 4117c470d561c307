//! The guide to a last resort: of the relays that are left alone, the one that has
//! been for longest.

use crate::select::criteria::Candidate;
use crate::select::explore::{Keys, Objective, explore};
use crate::select::search::SearchScope;
use crate::table::RecordRef;
use crate::table::record::Access;
use crate::table::snapshot::{Earliest, FANOUT, Leaves, SummaryWord};
use crate::time::Tick;

/// See the module's description.
pub(crate) struct LastResort<'l, 'g> {
    scope: &'l SearchScope<'g>,
    pub(crate) found: Option<Candidate<'g>>,
    limit: u64,
}

impl<'l, 'g> LastResort<'l, 'g> {
    pub(crate) fn new(scope: &'l SearchScope<'g>) -> Self {
        Self {
            scope,
            found: None,
            limit: Earliest::NEVER,
        }
    }

    /// Goes through a part: straight to the relay that its words name, unless that one
    /// will not do, or words say more than is the case.
    pub(crate) fn search(&mut self, part: &Leaves) {
        let Some(waiting) = part.waiting() else {
            return;
        };
        let earliest = waiting.earliest();
        if earliest < self.limit && self.scope.reach.is_unlimited() {
            self.visit_leaf(part, waiting.longest(part.summaries.top()));
        }
        if earliest < self.limit {
            explore(self, part);
        }
    }

    /// Looks at a relay that the requester measured, whether or not it is backing off.
    pub(crate) fn consider(&mut self, index: u32) {
        let record = self.scope.table.record_seen_at(index, self.scope.guard);
        if record.circuit().access(self.scope.criteria.tick) == Access::BackingOff {
            self.consider_record(record);
        }
    }

    /// Keeps a relay that will do, if it has been left alone for longer than the one found.
    fn consider_record(&mut self, record: RecordRef<'g>) {
        let candidate = match self.scope.criteria.judge_as_last_resort(&record) {
            Ok(candidate) => candidate,
            Err(rejection) => return self.scope.repair_summary(&record, rejection),
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
    type Key = u64;

    const IS_FAIR: bool = false;

    #[inline]
    fn keys(&mut self, part: &Leaves, level: usize, node: usize) -> Keys<u64> {
        let Some(waiting) = part.waiting() else {
            return [Earliest::NEVER; FANOUT];
        };
        let since = waiting.since.words(level, node).map(Earliest::number);
        let reach = self.scope.reach;
        if reach.is_unlimited() {
            return since;
        }
        let said = part.summaries.words(level, node);
        std::array::from_fn(|at| match reach.admits(SummaryWord(said[at])) {
            true => since[at],
            false => Earliest::NEVER,
        })
    }

    fn limit(&self) -> u64 {
        self.limit
    }

    fn visit_leaf(&mut self, part: &Leaves, place: usize) {
        if let Some(record) = self.scope.resolve(part, place) {
            self.consider_record(record);
        }
    }
}

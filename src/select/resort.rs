//! The guide to a last resort: of the relays that are left alone, the one that has
//! been for longest.

use crate::record::Access;
use crate::select::criteria::Candidate;
use crate::select::explore::{Guide, Keys, explore};
use crate::select::search::Look;
use crate::snapshot::{Earliest, FANOUT, Leaves, Said};
use crate::table::RecordRef;
use crate::time::Tick;

/// See the module's description.
pub(crate) struct LastResort<'l, 'g> {
    look: &'l Look<'g>,
    pub(crate) found: Option<Candidate<'g>>,
    limit: u64,
}

impl<'l, 'g> LastResort<'l, 'g> {
    pub(crate) fn new(look: &'l Look<'g>) -> Self {
        Self {
            look,
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
        if earliest < self.limit && self.look.reach.is_unlimited() {
            self.land(part, waiting.longest(part.summaries.top()));
        }
        if earliest < self.limit {
            explore(self, part);
        }
    }

    /// Looks at a relay that the requester measured, whether or not it is backing off.
    pub(crate) fn consider(&mut self, index: u32) {
        let record = self.look.table.revisit(index, self.look.guard);
        if record.circuit().access(self.look.criteria.tick) == Access::BackingOff {
            self.weigh(record);
        }
    }

    /// Keeps a relay that will do, if it has been left alone for longer than the one found.
    fn weigh(&mut self, record: RecordRef<'g>) {
        let worth = match self.look.criteria.judge_as_last_resort(&record) {
            Ok(worth) => worth,
            Err(rejection) => return self.look.mend(&record, rejection),
        };
        let candidate = Candidate::last_resort(record, worth);
        let now = self.look.criteria.tick;
        let Tick(since) = candidate
            .circuit
            .ejected_at(self.look.table.back_off(&record, now));
        if since < self.limit {
            (self.found, self.limit) = (Some(candidate), since);
        }
    }
}

impl Guide for LastResort<'_, '_> {
    type Key = u64;

    const IS_FAIR: bool = false;

    #[inline]
    fn keys(&mut self, part: &Leaves, level: usize, node: usize) -> Keys<u64> {
        let Some(waiting) = part.waiting() else {
            return [Earliest::NEVER; FANOUT];
        };
        let since = waiting.since.words(level, node).map(Earliest::number);
        let reach = self.look.reach;
        if reach.is_unlimited() {
            return since;
        }
        let said = part.summaries.words(level, node);
        std::array::from_fn(|at| match reach.admits(Said(said[at])) {
            true => since[at],
            false => Earliest::NEVER,
        })
    }

    fn limit(&self) -> u64 {
        self.limit
    }

    fn land(&mut self, part: &Leaves, place: usize) {
        if let Some(record) = self.look.resolve(part, place) {
            self.weigh(record);
        }
    }
}

//! One caller's look at one snapshot: what each relay in it is worth, and in
//! which order to look.

use crate::select::course::Course;
use crate::select::criteria::{Candidate, Criteria, Rejection, Worth};
use crate::select::recent::Best;
use crate::select::snapshot::Snapshot;
use crate::sync::epoch::Guard;
use crate::table::{Handle, Table};

/// See the module's description.
pub(crate) struct Look<'g> {
    pub(crate) table: &'g Table,
    pub(crate) guard: &'g Guard,
    pub(crate) snapshot: &'g Snapshot,
    pub(crate) criteria: Criteria<'g>,
}

impl<'g> Look<'g> {
    pub(crate) fn judge_announced(&self, relay: Handle) -> Result<Worth, Rejection> {
        let record = self.table.resolve(relay, self.guard);
        self.criteria
            .judge_announced(&record.ok_or(Rejection::Departed)?)
    }

    #[inline]
    pub(crate) fn candidate_of(&self, best: &Best) -> Candidate<'g> {
        Candidate::new(self.table.revisit(best.index, self.guard), best.worth)
    }

    pub(crate) fn candidate(&self, relay: Handle) -> Option<Candidate<'g>> {
        let worth = self.judge_announced(relay).ok()?;
        let record = self.table.revisit(relay.index, self.guard);
        Some(Candidate::new(record, worth))
    }

    /// All relays, by the round trip from this node.
    #[inline]
    pub(crate) fn main_course(&self) -> Course<'g> {
        self.snapshot.base.course(&self.criteria)
    }

    /// The best relays for where the peers are, if that has been prepared.
    #[inline]
    pub(crate) fn detours(&self) -> [Option<Course<'g>>; 2] {
        match self.criteria.views {
            None => [None, None],
            Some(views) => self.snapshot.base.detours(views),
        }
    }
}

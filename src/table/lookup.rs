//! Which record a look-up in the index accepts: five conditions.

use crate::relay::NodeId;
use crate::sync::epoch::Guard;
use crate::table::Table;
use crate::table::index::Accept;
use crate::table::record::Lifecycle;

/// The live record of an id; for a pinned thread.
pub(super) struct LiveOf<'a> {
    pub(super) id: &'a NodeId,
    pub(super) guard: &'a Guard,
}

impl Accept<Table> for LiveOf<'_> {
    #[inline(always)]
    fn accepts(&self, index: u32, table: &Table) -> bool {
        let record = table.at(index, self.guard);
        record.lifecycle().is_live() && record.is_of(self.id)
    }
}

/// The record of an id, in any state but vacant and staged; for a pinned thread.
pub(super) struct AnyOf<'a>(pub(super) LiveOf<'a>);

impl Accept<Table> for AnyOf<'_> {
    fn accepts(&self, index: u32, table: &Table) -> bool {
        let record = table.at(index, self.0.guard);
        record.lifecycle().is_known() && record.is_of(self.0.id)
    }
}

/// A record of the id, except the one at an index.
pub(super) struct Other<'a> {
    pub(super) any: AnyOf<'a>,
    pub(super) ignored_index: Option<u32>,
}

impl Accept<Table> for Other<'_> {
    fn accepts(&self, index: u32, table: &Table) -> bool {
        Some(index) != self.ignored_index && self.any.accepts(index, table)
    }
}

/// The live record of an id, whose announcement is prefetched.
pub(super) struct ToRenew<'a>(pub(super) LiveOf<'a>);

impl Accept<Table> for ToRenew<'_> {
    #[inline(always)]
    fn accepts(&self, index: u32, table: &Table) -> bool {
        table.store.prefetch_announcement(index);
        self.0.accepts(index, table)
    }
}

/// The record of an id whose lifecycle `accept` accepts; for a thread that is not pinned.
pub(super) struct UnpinnedMatch<'a, F> {
    pub(super) id: &'a NodeId,
    pub(super) accept: F,
}

impl<F: Fn(Lifecycle) -> bool> Accept<Table> for UnpinnedMatch<'_, F> {
    #[inline(always)]
    fn accepts(&self, index: u32, table: &Table) -> bool {
        let record = table.store.record(index);
        let extra = || table.store.extra(index);
        record
            .lifecycle_if_named(extra, self.id, &self.accept)
            .is_some()
    }
}

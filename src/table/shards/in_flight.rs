//! Deadlines that are on their way to the inbox of a shard.
//!
//! Most deadlines need no count: see `registry/expiry.rs`. A call that cannot choose
//! another deadline counts itself as in flight, by a read-modify-write before it reads the tick,
//! and a sweep reads the counts by one each. So if all are zero, each such deadline up to the tick
//! of the sweep is in an inbox.

use crate::sync::{AtomicU32, Ordering, Touch};
use crate::table::Table;
use crate::table::index::Hash;

/// Keeps sweeps from being declared complete while a deadline is on its way to the inbox.
pub(crate) struct InFlight<'a>(&'a AtomicU32);

impl Table {
    /// To be held from before the tick is read for the deadline of an id until its record is in
    /// the inbox.
    pub(crate) fn in_flight(&self, hash: Hash) -> InFlight<'_> {
        let in_flight = &self.store.shards.of_hash(hash).in_flight;
        // Acquire: if a sweep has counted before this, this thread sees the tick of that sweep.
        // Release is not needed here.
        in_flight.fetch_add(1, Ordering::AcqRel);
        InFlight(in_flight)
    }

    /// Whether the inboxes have every deadline up to the current tick by now that is counted: a
    /// call that begins later sees that tick.
    pub(crate) fn none_in_flight(&self) -> bool {
        let mut shards = self.store.shards.iter();
        // Read-modify-writes, so that they and those of calls have one order. Acquire:
        // sees the deadlines of those that ended before. Release: those that begin after see
        // the tick that this thread read.
        shards.all(|(_, shard)| shard.in_flight.touch() == 0)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        // Release: a sweep that counts after this sees the deadline in the inbox. Acquire is not
        // needed here.
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::table::shards::ShardLayout;

    #[test]
    fn a_deadline_on_its_way_to_the_inbox_of_any_shard_counts() {
        let table = Table::for_tests_in(ShardLayout::TWO, 1);
        for hash in [Hash(0), Hash(u64::MAX)] {
            assert!(table.none_in_flight());
            let first = table.in_flight(hash);
            let second = table.in_flight(hash);
            drop(first);
            assert!(!table.none_in_flight());
            drop(second);
        }
        assert!(table.none_in_flight());
    }
}

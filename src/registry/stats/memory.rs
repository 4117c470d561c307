//! [`MemoryStats`]: what a registry takes in memory.

use crate::footprint::Footprint;
use crate::registry::inner::Inner;
use crate::table::TableFootprint;

/// Memory of a registry, in bytes, by what it is for.
///
/// Tables for [as many relays as there may be](crate::RegistryBuilder::max_relays) are
/// allocated when the registry is built, but the system gives memory for them only as they
/// fill. So each figure counts what was used at any time; it is used again, and not given back.
/// Two tables are filled all over, and count as a whole: the index, and that of the views of
/// peers.
///
/// An estimate: with what the allocator adds, and with the figures of less than a few KiB that
/// are left out, the memory that is allocated is within 5 % of [`reserved`](Self::reserved).
/// The DHT, the stacks of threads, and what the epoch collector holds for all registries of the
/// process are not part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct MemoryStats {
    /// Ids, states and measurements of relays, also of those that are remembered or await
    /// reclamation.
    pub records: usize,
    /// What relays announced, with labels, payloads, names and further endpoints.
    pub announcements: usize,
    /// Where the record of an id is.
    pub index: usize,
    /// The [search trees](crate::guide::choosing#search-trees).
    pub search_trees: usize,
    /// When relays expire, and which are gone.
    pub expiry: usize,
    /// The [views of peers](crate::Registry::update_peer).
    pub peers: usize,
    /// All else: counters, positions of relays, circuits of relays that are forgotten, which
    /// relays were probed lately, and who is at which endpoint.
    pub other: usize,
    /// All that was allocated, used or not: those above, and address space for relays and peers
    /// to come.
    pub reserved: usize,
}

impl MemoryStats {
    /// The bytes used, for all purposes.
    #[must_use]
    pub fn total(&self) -> usize {
        let &Self {
            records,
            announcements,
            index,
            search_trees,
            expiry,
            peers,
            other,
            reserved: _,
        } = self;
        records + announcements + index + search_trees + expiry + peers + other
    }
}

impl Inner {
    /// `details` is of what announcements point to, and `expiry` of the wheel.
    pub(super) fn memory(&self, details: Footprint, expiry: Footprint) -> MemoryStats {
        let TableFootprint {
            records,
            announcements,
            index,
            snapshots,
        } = self.relays.table.footprint();
        let announcements = announcements + details;
        let peers = self.peers.footprint();
        let other = self.other_memory();
        let all = [
            records,
            announcements,
            index,
            snapshots,
            expiry,
            peers,
            other,
        ];
        MemoryStats {
            records: records.used,
            announcements: announcements.used,
            index: index.used,
            search_trees: snapshots.used,
            expiry: expiry.used,
            peers: peers.used,
            other: other.used,
            reserved: all.into_iter().sum::<Footprint>().reserved,
        }
    }

    fn other_memory(&self) -> Footprint {
        Footprint::of::<Self>()
            + self.relays.counters.footprint()
            + self.coordinates.footprint()
            + self.relays.reputation.footprint()
            + self.probes.footprint()
            + self.endpoint_owners.footprint()
    }
}

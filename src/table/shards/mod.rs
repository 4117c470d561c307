//! The shards of a table. The upper bits of a hash choose the shard of an id. What a
//! registration or a departure writes besides the record, it writes in that shard: so threads
//! that are busy with relays of different shards write no word in common there.
//!
//! | a shard has | for |
//! |---|---|
//! | the [admission word](admission_word) | which record enters or leaves; its [places] |
//! | vacant records and announcements | the [slabs](super::slab): every so many indices belong to one shard |
//! | retired and reclaimable ones | [reclamation](super::reclaim) |
//! | an inbox | the wheel |
//!
//! The buckets of the [index](super::index) are one array, in the order of the hashes. So each
//! shard has a part of them, and a look-up does not ask for the shard.

pub(super) mod admission_word;
mod in_flight;
#[cfg(all(test, relay_loom))]
mod models;
pub(super) mod places;

use crate::sync::{AtomicBool, AtomicU32, Ordering, Padded};
use crate::table::index::Hash;
use crate::table::stack::{Stack, TaggedStack};
use crate::wheel::Inbox;
use admission_word::AdmissionWord;
use places::Pool;
use std::thread::available_parallelism;

/// Which shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShardId(u8);

/// How many shards there are at most.
pub(super) const MAX_SHARDS: usize = if cfg!(relay_loom) {
    2
} else {
    1 << ShardId::BITS
};

/// Shards for each core, so that two threads seldom meet in one.
const PER_CORE: usize = 4;

/// A shard is for so many relays at least, as a power of two.
const RELAYS_LOG2: u32 = 9;

/// So many consecutive indices belong to one shard, as a power of two.
const CHUNK_LOG2: u32 = if cfg!(relay_loom) { 1 } else { 6 };

impl ShardId {
    const BITS: u32 = 6;

    #[cfg(test)]
    pub(super) const FIRST: Self = Self(0);

    pub(super) fn of_bits(bits: u64) -> Self {
        Self(bits as u8 & ((1 << Self::BITS) - 1))
    }

    pub(super) fn bits(self) -> u64 {
        self.0.into()
    }

    /// As an index, below the number of shards.
    pub(super) fn at(self) -> usize {
        self.0.into()
    }
}

/// See the module's description.
pub(super) struct Shards {
    shards: Box<[Padded<Shard>]>,
    layout: ShardLayout,
    pool: Pool,
}

/// Which shard hashes and indices belong to.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShardLayout {
    log2: u32,
}

/// What the relays of one shard have in common. What each registration and departure writes comes
/// first, on one line.
#[repr(C, align(64))]
pub(super) struct Shard {
    pub(super) admission: AdmissionWord,
    pub(super) records: FreeItems,
    pub(super) announcements: FreeItems,
    pub(super) retired_records: Stack,
    pub(super) inbox: Inbox,
    /// Deadlines that are counted because they may not be in the inbox yet.
    in_flight: AtomicU32,
    /// Records retired and neither freed yet nor left to their leases, except for [some of the
    /// latest](super::store::not_in_awaiting).
    pub(super) awaiting: AtomicU32,
    /// How many records are gone, without those exempt.
    pub(super) remembered: AtomicU32,
    /// Records that are exempt from the [bound](super::bounds).
    exempt: AtomicU32,
    /// Announcements that no lifecycle word names any more and that are not yet freed.
    pub(super) superseded: AtomicU32,
    /// Whether a round of reclamation is under way.
    pub(super) round: AtomicBool,
    pub(super) retired_announcements: Stack,
    /// What no thread can reach any more, to be freed in batches.
    pub(super) reclaimable_records: TaggedStack,
    pub(super) reclaimable_announcements: TaggedStack,
    /// Vacant ones beyond the first segment.
    further_records: TaggedStack,
    further_announcements: TaggedStack,
}

#[cfg(not(relay_loom))]
const _: () = assert!(std::mem::offset_of!(Shard, exempt) == 64);

/// Where items of a slab are taken from: a shard, and what is free there.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) shard: ShardId,
    pub(super) free: &'a FreeItems,
    /// Vacant ones beyond the first segment.
    pub(super) further: &'a TaggedStack,
}

/// The items of a slab that a shard may take.
#[derive(Debug, Default)]
pub(super) struct FreeItems {
    pub(super) vacant: TaggedStack,
    /// How many of its items were ever taken.
    pub(super) used: AtomicU32,
}

impl ShardLayout {
    #[cfg(all(test, not(relay_loom)))]
    pub(super) const ONE: Self = Self { log2: 0 };

    #[cfg(test)]
    pub(super) const TWO: Self = Self { log2: 1 };

    /// For a table of so many relays on this machine.
    pub(super) fn for_relays(max_relays: usize) -> Self {
        let cores = available_parallelism().map_or(1, |cores| cores.get());
        Self::new(max_relays, cores)
    }

    fn new(max_relays: usize, cores: usize) -> Self {
        let wanted = (cores * PER_CORE)
            .min(MAX_SHARDS)
            .next_power_of_two()
            .ilog2();
        let most = (max_relays >> RELAYS_LOG2).checked_ilog2().unwrap_or(0);
        Self {
            log2: wanted.min(most),
        }
    }

    pub(super) fn count(self) -> usize {
        1 << self.log2
    }

    #[inline]
    pub(super) fn of_hash(self, Hash(hash): Hash) -> ShardId {
        // In two steps: with one shard, all bits are shifted out.
        ShardId((hash >> 1 >> (u64::BITS - 1 - self.log2)) as u8)
    }

    #[inline]
    pub(super) fn of_index(self, index: u32) -> ShardId {
        ShardId((index >> CHUNK_LOG2 & ((1 << self.log2) - 1)) as u8)
    }

    /// The index of the `nth` item of a shard.
    pub(super) fn index(self, ShardId(shard): ShardId, nth: u32) -> u32 {
        let (chunk, place) = (nth >> CHUNK_LOG2, nth & ((1 << CHUNK_LOG2) - 1));
        (chunk << self.log2 | u32::from(shard)) << CHUNK_LOG2 | place
    }

    /// One more than the highest index that a shard ever took.
    pub(super) fn high_water(self, shard: ShardId, items: &FreeItems) -> u32 {
        // Acquire: the segments of all indices below exist.
        let used = items.used.load(Ordering::Acquire);
        used.checked_sub(1)
            .map_or(0, |last| self.index(shard, last) + 1)
    }

    /// So many items, shared out evenly; and more, because shards do not have the same number of
    /// relays. The number of relays of a shard has a variance below its mean. Eight standard
    /// deviations are exceeded by less than one shard in 10^14.
    pub(super) fn share_of(self, items: u32) -> u32 {
        let share = items.div_ceil(1 << self.log2);
        match self.log2 {
            0 => share,
            _ => share.saturating_add(8 * share.isqrt() + (1 << CHUNK_LOG2)),
        }
    }

    /// How many indices there must be for each shard to have an even share of so many items.
    pub(super) fn indices_for(self, items: u32) -> u32 {
        match self.log2 {
            0 => items,
            log2 => items.div_ceil(1 << CHUNK_LOG2 << log2) << CHUNK_LOG2 << log2,
        }
    }
}

impl Shards {
    pub(super) fn new(max_relays: u32, layout: ShardLayout) -> Self {
        // With one shard that has all places, the pool is not needed.
        let is_small = layout.log2 == 0 && max_relays <= places::MOST_IN_ONE;
        let (in_shard, in_pool) = match is_small {
            true => (max_relays, 0),
            false => (0, max_relays),
        };
        let shard = |_| Padded(Shard::new(in_shard));
        Self {
            shards: (0..layout.count()).map(shard).collect(),
            layout,
            pool: Pool::new(in_pool),
        }
    }

    /// Two shards with so many places each, and so many in the pool.
    #[cfg(test)]
    fn with_places(in_shards: [u32; 2], in_pool: u32) -> Self {
        let shard = |places| Padded(Shard::new(places));
        Self {
            shards: in_shards.into_iter().map(shard).collect(),
            layout: ShardLayout::TWO,
            pool: Pool::new(in_pool),
        }
    }

    pub(super) fn layout(&self) -> ShardLayout {
        self.layout
    }

    #[inline]
    pub(super) fn get(&self, shard: ShardId) -> &Shard {
        &self.shards[shard.at()]
    }

    /// The shard of the record or announcement at an index.
    #[inline]
    pub(super) fn of_index(&self, index: u32) -> &Shard {
        self.get(self.layout.of_index(index))
    }

    #[inline]
    pub(super) fn of_hash(&self, hash: Hash) -> &Shard {
        self.get(self.layout.of_hash(hash))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ShardId, &Shard)> {
        let shards = (0..).map(ShardId).zip(&self.shards);
        shards.map(|(id, shard)| (id, &**shard))
    }

    /// The sum of a count of all shards.
    pub(super) fn sum(&self, count: impl Fn(&Shard) -> &AtomicU32) -> usize {
        // Relaxed: counts that carry nothing but themselves.
        let count = |(_, shard)| count(shard).load(Ordering::Relaxed) as usize;
        self.iter().map(count).sum()
    }
}

impl Shard {
    fn new(places: u32) -> Self {
        Self {
            admission: AdmissionWord::with_places(places),
            records: FreeItems::default(),
            announcements: FreeItems::default(),
            inbox: Inbox::default(),
            remembered: AtomicU32::default(),
            in_flight: AtomicU32::default(),
            exempt: AtomicU32::default(),
            awaiting: AtomicU32::default(),
            superseded: AtomicU32::default(),
            round: AtomicBool::default(),
            retired_records: Stack::default(),
            retired_announcements: Stack::default(),
            reclaimable_records: TaggedStack::default(),
            reclaimable_announcements: TaggedStack::default(),
            further_records: TaggedStack::default(),
            further_announcements: TaggedStack::default(),
        }
    }

    /// The records that this shard, whose id it is, may take.
    pub(super) fn free_records(&self, id: ShardId) -> Source<'_> {
        Source {
            shard: id,
            free: &self.records,
            further: &self.further_records,
        }
    }

    /// The same for announcements.
    pub(super) fn free_announcements(&self, id: ShardId) -> Source<'_> {
        Source {
            shard: id,
            free: &self.announcements,
            further: &self.further_announcements,
        }
    }

    /// How many records are exempt from the bound. It is below zero for a moment, if the last
    /// lease of a record is released before the record is counted.
    pub(super) fn exempt(&self) -> i32 {
        // Relaxed, here and below: a count that carries nothing but itself.
        self.exempt.load(Ordering::Relaxed) as i32
    }

    pub(super) fn exempt_one(&self) {
        self.exempt.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn exempt_one_less(&self) {
        self.exempt.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const LAYOUTS: std::ops::RangeInclusive<u32> = 0..=ShardId::BITS;

    /// Numbers of a fixed sequence, as evenly spread as hashes are.
    fn hashes() -> impl Iterator<Item = Hash> {
        let mut state = 7_u64;
        std::iter::repeat_with(move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            Hash(mixed ^ mixed >> 31)
        })
    }

    #[test]
    fn the_upper_bits_of_a_hash_choose_its_shard() {
        for log2 in LAYOUTS {
            let layout = ShardLayout { log2 };
            let shard = |hash| layout.of_hash(Hash(hash)).at();
            assert_eq!((shard(0), shard(u64::MAX)), (0, layout.count() - 1));
            let part = u64::MAX / layout.count() as u64;
            for nth in 0..layout.count() {
                assert_eq!(shard(part * nth as u64 + part / 2), nth);
            }
        }
    }

    #[test]
    fn each_index_belongs_to_the_shard_that_takes_it() {
        for log2 in LAYOUTS {
            let layout = ShardLayout { log2 };
            let mut indices = BTreeSet::new();
            for shard in (0..layout.count() as u8).map(ShardId) {
                let items = FreeItems::default();
                assert_eq!(layout.high_water(shard, &items), 0);
                for nth in 0..200 {
                    let index = layout.index(shard, nth);
                    assert_eq!(layout.of_index(index), shard);
                    assert!(indices.insert(index));
                    items.used.store(nth + 1, Ordering::Relaxed);
                    assert_eq!(layout.high_water(shard, &items), index + 1);
                }
            }
        }
    }

    #[test]
    fn a_table_has_shards_for_its_cores_if_it_is_large() {
        let shards = |max_relays, cores| ShardLayout::new(max_relays, cores).count();
        assert_eq!(shards(1, 64), 1);
        assert_eq!(shards(1023, 64), 1);
        assert_eq!(shards(1024, 64), 2);
        assert_eq!(shards(1 << 20, 1), PER_CORE);
        assert_eq!(shards(1 << 20, 3), 4 * PER_CORE);
        assert_eq!(shards(1 << 20, 1_000), MAX_SHARDS);
    }

    /// The smallest table with so many shards is that in which they differ most.
    #[test]
    fn a_share_suffices_for_each_shard() {
        let mut hashes = hashes();
        for log2 in LAYOUTS {
            let layout = ShardLayout { log2 };
            let items = 1 << (RELAYS_LOG2 + log2);
            let mut most = 0;
            for _ in 0..50 {
                let mut taken = [0; MAX_SHARDS];
                for hash in hashes.by_ref().take(items as usize) {
                    taken[layout.of_hash(hash).at()] += 1;
                }
                most = most.max(taken.into_iter().max().unwrap_or(0));
            }
            assert!(most <= layout.share_of(items), "{most} of {items}");
            assert!(layout.share_of(items) <= 2 * (items >> log2));
        }
    }

    #[test]
    fn there_are_indices_for_an_even_share_of_each_shard() {
        for log2 in LAYOUTS {
            let layout = ShardLayout { log2 };
            for items in [1_u32, 63, 64, 65, 1_000, 12_345, 1 << 20] {
                let last = ShardId((layout.count() - 1) as u8);
                let share = items.div_ceil(layout.count() as u32);
                let highest = layout.index(last, share - 1);
                assert!(highest < layout.indices_for(items), "{items}");
            }
        }
    }
}

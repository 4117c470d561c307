//! A run of recent arrivals: append-only, readable while it grows.
//!
//! An arrival claims a slot by one atomic addition, and then fills it by one compare-and-swap.
//! When its relay departs, the slot is [*vacated*](super::vacant_slots), and the next arrival by
//! the same thread, or of the same shard, takes it. So relays that come and go in turns use the
//! same slots again and again, and neither make the run grow nor cause merges. In a long run a
//! thread claims several slots at a time, and those that it does not need yet are vacant. When all
//! slots are claimed, it takes those that other threads have vacated.
//!
//! A merge *seals* the run: a bit in the claim counter stops further claims, and slots that
//! were claimed but are empty are closed. If an arrival finds its slot closed, or the run sealed
//! or full, it goes to the next run. So a merge neither loses an arrival nor waits for one. A slot
//! that is vacated after the seal has passed it is not used again: of the two read-modify-writes
//! of the slot, that of the seal came first, so the thread that vacates it sees the seal.
//!
//! Slots are numbered through all runs. A record keeps the number of its slot, by which that is
//! found until the run is merged.

use crate::footprint::Footprint;
use crate::sync::{AtomicU64, Ordering, Padded};
use crate::table::record::{Extra, Handle};
use crate::table::shards::ShardId;
use crate::table::snapshot::filters::FilterId;
use crate::table::snapshot::leaves::{Leaves, Precision};
use crate::table::snapshot::tree::FANOUT;
use crate::table::snapshot::vacant_slots::VacantSlots;

/// The bit of the claim counter that stops claims.
const SEALED: u64 = 1 << 63;

/// There are no more stripes than these: a power of two, as the number of shards is.
const MOST_STRIPES: usize = 16;

/// So many slots a thread claims at a time.
const CLAIMED_AT_ONCE: u32 = 8;

/// The bytes of memory that the system gives at a time.
const PAGE: usize = 4096;

/// See the module's description.
pub(crate) struct Run {
    claimed: Padded<AtomicU64>,
    vacant: VacantSlots,
    /// How many slots may be claimed.
    capacity: u32,
    /// How many a thread claims at a time: all stripes together leave few unused.
    claimed_at_once: u32,
    /// The number of the first slot.
    first: u32,
    /// Nodes of leaves, as a power of two.
    nodes_log2: u32,
    pub(crate) leaves: Leaves,
}

impl Run {
    /// With a forest for each of these filters, for a table of so many shards.
    pub(crate) fn new(
        capacity: u32,
        first: u32,
        shards: usize,
        precision: Precision,
        filters: impl Iterator<Item = FilterId>,
    ) -> Self {
        let nodes = capacity.div_ceil(FANOUT as u32).next_power_of_two();
        // A find that finds none reads all of them.
        let stripes = shards.min(MOST_STRIPES);
        let claimed_at_once = (capacity / (8 * stripes as u32)).clamp(1, CLAIMED_AT_ONCE);
        Self {
            claimed: Padded(AtomicU64::default()),
            vacant: VacantSlots::new(nodes as usize * FANOUT, stripes, claimed_at_once),
            capacity,
            claimed_at_once,
            first,
            nodes_log2: nodes.ilog2(),
            leaves: Leaves::new(nodes as usize * FANOUT, precision, filters, None, stripes),
        }
    }

    /// Arrivals are spread over it: each one uses a page of the slots, and one of the trees.
    pub(super) fn footprint(&self) -> Footprint {
        let Footprint { used, reserved } = self.leaves.footprint();
        let used = used.min(self.len() * 2 * PAGE);
        Footprint::of::<Self>() + self.vacant.footprint() + Footprint { used, reserved }
    }

    pub(super) fn stripes(&self) -> usize {
        self.vacant.stripes()
    }

    /// Grows with each slot that is filled.
    pub(super) fn fillings(&self) -> u64 {
        self.len() as u64 + self.vacant.taken()
    }

    /// The number after the last one of this run.
    pub(crate) fn next_number(&self) -> u32 {
        self.first.wrapping_add(self.leaves.len() as u32)
    }

    /// Adds an arrival of a shard, by the thread with a number, to a slot that was vacated, or one
    /// that was never used. Returns the slot; `None` if it must go to another run.
    #[inline(always)]
    pub(in crate::table) fn push(
        &self,
        (thread, shard): (usize, ShardId),
        arrival: Handle,
        extra: &Extra,
    ) -> Option<usize> {
        let slot = self.vacant.take(thread, shard);
        let slot = slot
            .or_else(|| self.claim(thread, shard))
            .or_else(|| self.vacant.take_from_any())?;
        extra.set_arrival(self.first.wrapping_add(slot));
        self.leaves
            .put(slot as usize, arrival)
            .then_some(slot as usize)
    }

    /// Claims some slots that were never used: the first for the caller, the others for later.
    #[cold]
    fn claim(&self, thread: usize, shard: ShardId) -> Option<u32> {
        // Relaxed: readers synchronise with the slot itself. The load before the addition
        // keeps the counter of a finished run from growing on.
        if self.is_finished(self.claimed.load(Ordering::Relaxed)) {
            return None;
        }
        let at_once = self.claimed_at_once;
        let first = self.claimed.fetch_add(at_once.into(), Ordering::Relaxed);
        if self.is_finished(first) {
            return None;
        }
        let first = first as u32;
        let end = first.saturating_add(at_once).min(self.capacity);
        let others = (first + 1..end).map(|claim| self.slot(claim));
        self.vacant.add_each(thread, shard, others);
        self.prefetch(first + 1);
        Some(self.slot(first))
    }

    /// Takes a relay of a shard that has departed out of its slot, by the thread with a number. An
    /// arrival then uses the slot.
    #[inline(always)]
    pub(super) fn vacate(&self, (thread, shard): (usize, ShardId), slot: usize, relay: Handle) {
        if !self.leaves.vacate(slot, relay) {
            return;
        }
        // Relaxed: if the slot was to be closed before it was vacated, this thread knows.
        if !self.is_sealed() {
            self.vacant.add(thread, shard, slot as u32);
        }
    }

    /// Prefetches the slot of the next arrival, which is mostly far from that of this one.
    fn prefetch(&self, claim: u32) {
        if claim < self.capacity {
            self.leaves.prefetch(self.slot(claim) as usize);
        }
    }

    fn is_finished(&self, claimed: u64) -> bool {
        claimed >= u64::from(self.capacity)
    }

    /// Stops arrivals for good. Afterwards the content does not change.
    pub(crate) fn seal(&self) {
        // Read-modify-writes of a word have one order, so a claim comes before the seal and its
        // slot is closed below, or after it and sees it. AcqRel orders nothing more.
        let claimed = self.claimed.fetch_or(SEALED, Ordering::AcqRel);
        for claim in 0..self.bounded(claimed) {
            self.leaves.close(self.slot(claim) as usize);
        }
    }

    /// Whether a merge has stopped arrivals; perhaps not seen yet, if it has just done so.
    pub(super) fn is_sealed(&self) -> bool {
        // Relaxed: a thread that has seen what came after the seal sees it.
        self.claimed.load(Ordering::Relaxed) & SEALED != 0
    }

    /// Whether this run came into a snapshot after another one.
    pub(super) fn is_later_than(&self, other: &Self) -> bool {
        // Numbers wrap around.
        let ahead = self.first.wrapping_sub(other.first);
        (1..1 << (u32::BITS - 1)).contains(&ahead)
    }

    /// How many slots are claimed; some may be vacant or closed.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        // Acquire: pairs with the seal. An arrival that this thread has seen elsewhere is
        // counted in any case: its claim happened before this load.
        self.bounded(self.claimed.load(Ordering::Acquire)) as usize
    }

    /// All arrivals so far.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Handle> {
        (0..self.len() as u32).filter_map(|claim| self.leaves.at(self.slot(claim) as usize))
    }

    /// The slot with a number, if it is in this run and has this relay.
    #[inline]
    pub(crate) fn slot_of(&self, number: u32, handle: Handle) -> Option<usize> {
        // Numbers wrap around, and a slot is used again, so the handle is compared, too.
        let slot = number.wrapping_sub(self.first) as usize;
        (self.leaves.at(slot) == Some(handle)).then_some(slot)
    }

    /// The slot of a claim. Consecutive claims are spread evenly over the nodes and within
    /// each, so that arrivals are equally likely to be chosen.
    fn slot(&self, claim: u32) -> u32 {
        let (node, child) = (
            claim & ((1 << self.nodes_log2) - 1),
            claim >> self.nodes_log2,
        );
        let node = reversed(node, self.nodes_log2);
        node * FANOUT as u32 + reversed(child, FANOUT.ilog2())
    }

    #[inline]
    fn bounded(&self, claimed: u64) -> u32 {
        ((claimed & !SEALED) as u32).min(self.capacity)
    }
}

/// The lowest bits of a number in reverse order.
fn reversed(number: u32, bits: u32) -> u32 {
    match bits {
        0 => 0,
        _ => number.reverse_bits() >> (u32::BITS - bits),
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::sync::Zeroable;
    use crate::table::snapshot::score::Bins;
    use std::collections::BTreeSet;

    const PRECISION: Precision = Precision {
        bins: Bins::FINE,
        most_free_units: 1,
    };

    /// The first thread, and the first shard.
    const OURS: (usize, ShardId) = (0, ShardId::FIRST);

    /// One thread has relays come, and another one has them go. Each arrival claimed a slot.
    #[test]
    fn a_run_does_not_grow_if_others_vacate_its_slots() {
        let run = Run::new(4_096, 0, 8, PRECISION, std::iter::empty());
        for index in 0..10_000 {
            let arrival = Handle {
                index,
                generation: 1,
            };
            let shard = ShardId::of_bits((index % 8).into());
            let extra = Extra::vacant();
            let slot = run.push((0, shard), arrival, &extra);
            run.vacate((1, shard), slot.expect("there is room"), arrival);
        }
        assert!(run.len() < 150, "{}", run.len());
    }

    #[test]
    fn slots_are_distinct_and_spread() {
        for capacity in [1, 3, 64, 65, 256, 1_000, 5_000] {
            let run = Run::new(capacity, 7, 1, PRECISION, std::iter::empty());
            let slots: BTreeSet<_> = (0..capacity).map(|claim| run.slot(claim)).collect();
            assert_eq!(slots.len(), capacity as usize);
            assert!(slots.iter().all(|&slot| (slot as usize) < run.leaves.len()));
        }
        let run = Run::new(256, 0, 1, PRECISION, std::iter::empty());
        let nodes: BTreeSet<_> = (0..4)
            .map(|claim| run.slot(claim) / FANOUT as u32)
            .collect();
        assert_eq!(nodes.len(), 4);
    }

    #[test]
    fn an_arrival_is_found_by_the_number_of_its_slot() {
        let run = Run::new(2, u32::MAX, 1, PRECISION, std::iter::empty());
        let handles = [1, 2].map(|index| Handle {
            index,
            generation: 9,
        });
        let extras = [Extra::vacant(), Extra::vacant()];
        for (handle, extra) in handles.iter().zip(&extras) {
            let slot = run.push(OURS, *handle, extra);
            assert!(slot.is_some());
            assert_eq!(run.slot_of(extra.arrival(), *handle), slot);
            let other = Handle {
                generation: 8,
                ..*handle
            };
            assert_eq!(run.slot_of(extra.arrival(), other), None);
        }
        let refused = run.push(OURS, handles[0], &Extra::vacant());
        assert_eq!(refused, None, "it is full");
        assert_eq!(run.iter().count(), 2);
        assert_eq!(run.next_number(), u32::MAX.wrapping_add(FANOUT as u32));
    }

    /// Also one in a slot that was used before.
    #[test]
    fn each_arrival_is_a_filling() {
        let run = Run::new(64, 0, 2, PRECISION, std::iter::empty());
        let mut fillings = run.fillings();
        for index in 0..90 {
            let arrival = Handle {
                index,
                generation: 1,
            };
            let shard = ShardId::of_bits((index % 2).into());
            let (ours, extra) = ((index as usize % 3, shard), Extra::vacant());
            assert!(run.push(ours, arrival, &extra).is_some(), "{index}");
            assert!(run.fillings() > fillings);
            fillings = run.fillings();
            let slot = run.slot_of(extra.arrival(), arrival).unwrap();
            if index % 3 != 0 {
                run.vacate(ours, slot, arrival);
                assert_eq!(run.slot_of(extra.arrival(), arrival), None);
            }
        }
    }
}

//! How many units relays have free, for calls that ask for more than one.
//!
//! A summary word says that a relay has at least one unit free. A call for several units
//! would visit every relay that has some, but too few. So a further tree has the number of
//! free units of each relay, and a search prunes children below which no relay has enough.
//! A word has two numbers, each joined by the maximum:
//!
//! ```text
//!  63     40 39                  20 19              0
//! +---------+----------------------+-----------------+
//! | version | possible last resort |    eligible     |
//! +---------+----------------------+-----------------+
//! ```
//!
//! # What it counts up to
//!
//! A tree counts up to the most units that calls had asked for when it was made, rounded up to
//! a power of two. So a lease or release on a relay that has more than that free changes
//! neither the leaf nor anything else here. Of a tree that counts up to fewer than a call asks
//! for, the highest number says only that a relay may have enough.
//!
//! # When it is made
//!
//! No call makes a tree: finds do not allocate. While calls ask for one unit, there is none. A
//! call that asks for more than any before [says so](UnitsAsked::ask), and maintenance makes
//! the tree with the next base:
//!
//! 1. A maintenance pass defers a function until no thread is pinned any more that was pinned
//!    then ([`UnitsAsked::begin_grace`]).
//! 2. When that has run, a merge is [wanted](UnitsAsked::settled), which gives the next base
//!    and the next run their trees. It computes the leaves from the records, as it does those
//!    of the other trees.
//!
//! Until then the search judges each relay by its record alone.
//!
//! # Why no relay is hidden
//!
//! A release can give a relay enough units for some call though it was eligible to others
//! before. So a change of load is pending until the root has it, if the free units rise, as
//! counted up to the most that was [asked for](UnitsAsked::most). The thread reads that before
//! it changes the load. If it read a smaller number than the new tree counts up to, its change
//! would not be pending, and a search of the new tree could miss the relay. That cannot be:
//! the thread is pinned while it changes the load. If it was pinned in step 1, it has finished
//! before step 2. If it was pinned later, it read what step 1 had read.

use crate::footprint::Footprint;
use crate::limits::MAX_CAPACITY;
use crate::sync::epoch::Guard;
use crate::sync::{Arc, AtomicU32, Ordering};
use crate::table::record::Load;
use crate::table::snapshot::leaf_state::LeafState;
use crate::table::snapshot::tree::{FANOUT, Join, Tree};

/// The join of words that hold two numbers: the maximum of each.
pub(crate) enum TwoGreatest {}

const NUMBER_BITS: u32 = 20;
const NUMBER: u64 = (1 << NUMBER_BITS) - 1;

const _: () = assert!(MAX_CAPACITY as u64 <= NUMBER);

impl Join for TwoGreatest {
    const FIELDS: u64 = (1 << (2 * NUMBER_BITS)) - 1;

    fn join_two(one: u64, other: u64) -> u64 {
        let most = |shift: u32| (one >> shift & NUMBER).max(other >> shift & NUMBER);
        most(NUMBER_BITS) << NUMBER_BITS | most(0)
    }
}

/// Which relays a search is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Eligible,
    LastResort,
}

/// See the module's description.
pub(crate) struct FreeUnits {
    /// What it counts up to.
    most: u32,
    tree: Tree<TwoGreatest>,
}

impl FreeUnits {
    pub(super) fn new(leaves: usize, most: u32) -> Self {
        Self {
            most,
            tree: Tree::new(leaves, false),
        }
    }

    pub(super) fn footprint(&self) -> Footprint {
        Footprint::of::<Self>() + self.tree.footprint()
    }

    #[cfg(all(test, not(relay_loom)))]
    pub(super) fn tree(&self) -> &Tree<TwoGreatest> {
        &self.tree
    }

    /// The fields of the leaf of a relay in this state, with this load.
    ///
    /// The two may have been read one after the other. If a relay is eligible to a call
    /// throughout, each of them says so.
    pub(super) fn fields(&self, state: LeafState, load: Load) -> u64 {
        let free = u64::from(load.free_units(self.most));
        match state {
            LeafState::Measured | LeafState::Unmeasured => free,
            LeafState::LastResort => free << NUMBER_BITS,
            LeafState::Vacant | LeafState::Rejected(_) => 0,
        }
    }

    /// Recomputes a leaf, and the words above; up to the root if `to_root`.
    pub(super) fn update(&self, slot: usize, to_root: bool, fields: impl Fn() -> Option<u64>) {
        self.tree.update(slot, to_root, fields);
    }

    /// Recomputes a leaf of a tree whose nodes are [joined](Self::join_all) later.
    pub(super) fn set(&self, slot: usize, fields: impl Fn() -> Option<u64>) {
        self.tree.set(slot, fields);
    }

    pub(super) fn join_all(&self) {
        self.tree.join_all();
    }

    /// A bit for each child of a node below which there may be a wanted relay that has so many
    /// units free.
    #[inline]
    pub(crate) fn children_with(
        &self,
        units: u32,
        wanted: Wanted,
        (level, node): (usize, usize),
    ) -> u32 {
        let enough = u64::from(units.min(self.most));
        let shift = match wanted {
            Wanted::Eligible => 0,
            Wanted::LastResort => NUMBER_BITS,
        };
        let words = self.tree.words(level, node);
        (0..FANOUT).fold(0, |mask, child| {
            mask | u32::from(words[child] >> shift & NUMBER >= enough) << child
        })
    }

    /// Whether any relay may be eligible to a call for so many units.
    pub(crate) fn may_have(&self, units: u32) -> bool {
        self.children_with(units, Wanted::Eligible, (self.tree.top(), 0)) != 0
    }
}

/// The most units that calls ask for at once.
#[derive(Debug)]
pub(crate) struct UnitsAsked {
    /// A power of two, or the greatest capacity.
    most: AtomicU32,
    /// The `most` for which a grace period has begun.
    begun: AtomicU32,
    /// The `most` that every thread read that may still change a load.
    settled: Arc<AtomicU32>,
}

impl Default for UnitsAsked {
    fn default() -> Self {
        Self {
            most: AtomicU32::new(1),
            begun: AtomicU32::new(1),
            settled: Arc::new(AtomicU32::new(1)),
        }
    }
}

impl UnitsAsked {
    /// The most units that any call has asked for, or a few more; 1 while none has asked for
    /// more than one. A thread that changes a load stays pinned from here until the leaf has
    /// that change.
    #[inline(always)]
    pub(crate) fn most(&self) -> u32 {
        // Relaxed: the grace period orders it; see the module's description. A thread that
        // reads too great a number does more than it has to.
        self.most.load(Ordering::Relaxed)
    }

    /// Notes that a call asks for so many units.
    #[inline]
    pub(crate) fn ask(&self, units: u32) {
        if units > self.most() && units <= MAX_CAPACITY {
            self.raise(units);
        }
    }

    #[cold]
    fn raise(&self, units: u32) {
        let most = units.next_power_of_two().min(MAX_CAPACITY);
        // Relaxed: the pass that begins a grace period publishes it.
        self.most.fetch_max(most, Ordering::Relaxed);
    }

    /// Step 1 of the module's description, unless it was done for this number; whether it is
    /// done now.
    pub(super) fn begin_grace(&self, guard: &Guard) -> bool {
        // Relaxed: a hint; the calls of this are as rare as calls that ask for more.
        if self.most() == self.begun.load(Ordering::Relaxed) {
            return false;
        }
        // A read-modify-write, so that this thread has written the number itself before it
        // defers the function: to a thread that is pinned after the grace period has begun,
        // the number is visible as what is unlinked is in other uses of epochs. AcqRel: it
        // takes over the number from the call that asked.
        let most = self.most.fetch_max(1, Ordering::AcqRel);
        // Relaxed: only one of several threads begins it.
        if self.begun.fetch_max(most, Ordering::Relaxed) >= most {
            return false;
        }
        let settled = Arc::clone(&self.settled);
        guard.defer(move || settle(&settled, most));
        true
    }

    /// Up to how many units a tree may count that is made now.
    pub(super) fn settled(&self) -> u32 {
        // Acquire: what threads did that were pinned before is seen.
        self.settled.load(Ordering::Acquire)
    }

    /// Stands in for the collector, which the mock of it does not run.
    #[cfg(test)]
    pub(crate) fn settle_now(&self) {
        settle(&self.settled, self.most());
    }
}

fn settle(settled: &AtomicU32, most: u32) {
    // Release: pairs with `settled`.
    settled.fetch_max(most, Ordering::Release);
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_joined_apart() {
        let mut words = [0; FANOUT];
        (words[1], words[3]) = (9 << NUMBER_BITS | 2, 5 << NUMBER_BITS | NUMBER | 1 << 63);
        assert_eq!(TwoGreatest::join(|at| words[at]), 9 << NUMBER_BITS | NUMBER);
        assert_eq!(TwoGreatest::join(|_| 0), 0);
    }

    #[test]
    fn the_most_that_was_asked_for_is_rounded_up_and_never_lowered() {
        let asked = UnitsAsked::default();
        for (units, most) in [(1, 1), (2, 2), (5, 8), (3, 8), (8, 8)] {
            asked.ask(units);
            assert_eq!(asked.most(), most, "after {units}");
        }
        asked.ask(MAX_CAPACITY + 1);
        assert_eq!(asked.most(), 8, "no relay has so many");
        asked.ask(MAX_CAPACITY - 1);
        assert_eq!(asked.most(), MAX_CAPACITY);
        assert_eq!(asked.settled(), 1, "no grace period was over");
    }

    #[test]
    fn children_with_too_few_units_are_told_from_others() {
        let free = FreeUnits::new(FANOUT * FANOUT, 8);
        let load = Load::idle(20);
        let states = [
            (0, LeafState::Measured, load.with_report(15)),
            (FANOUT, LeafState::LastResort, load.with_report(13)),
            (2 * FANOUT, LeafState::Unmeasured, load),
            (2 * FANOUT + 1, LeafState::Vacant, load),
        ];
        for (slot, state, load) in states {
            free.update(slot, false, || Some(free.fields(state, load)));
        }
        let root = |units, wanted| free.children_with(units, wanted, (1, 0));
        assert_eq!(root(5, Wanted::Eligible), 0b101);
        assert_eq!(root(6, Wanted::Eligible), 0b100);
        assert_eq!(root(9, Wanted::Eligible), 0b100, "it may have");
        assert_eq!(root(7, Wanted::LastResort), 0b010);
        assert_eq!(root(8, Wanted::LastResort), 0);
        assert_eq!(free.children_with(1, Wanted::Eligible, (0, 2)), 1);
        assert!(free.may_have(8));
    }
}

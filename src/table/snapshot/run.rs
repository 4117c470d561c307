//! A run of recent arrivals: append-only, readable while it grows.
//!
//! An arrival claims the next place with one atomic addition and then fills it
//! with one compare-and-swap. A merge *seals* the run: a bit in the claim
//! counter stops further claims, and places that were claimed but are still
//! empty are closed. An arrival that finds its place closed, or the run sealed
//! or full, goes to the next run; so a merge neither loses an arrival nor waits
//! for one.
//!
//! Arrivals are numbered through all runs. A record keeps the number of its own, by
//! which its place is found as long as the run is not merged.

use crate::sync::{AtomicU64, Ordering, Padded};
use crate::table::record::{Extra, Handle};
use crate::table::snapshot::bins::Bins;
use crate::table::snapshot::leaves::Leaves;
use crate::table::snapshot::tree::FANOUT;

/// The bit of the claim counter that stops claims.
const SEALED: u64 = 1 << 63;

/// See the module's description.
pub(crate) struct Run {
    claimed: Padded<AtomicU64>,
    capacity: u32,
    /// The number of the first arrival.
    first: u32,
    /// Nodes of leaves, as a power of two.
    nodes_log2: u32,
    pub(crate) leaves: Leaves,
}

impl Run {
    pub(crate) fn new(capacity: u32, first: u32, bins: Bins) -> Self {
        let nodes = capacity.div_ceil(FANOUT as u32).next_power_of_two();
        Self {
            claimed: Padded(AtomicU64::default()),
            capacity,
            first,
            nodes_log2: nodes.ilog2(),
            leaves: Leaves::new(nodes as usize * FANOUT, bins),
        }
    }

    /// The number after the last of this run.
    pub(crate) fn next_number(&self) -> u32 {
        self.first.wrapping_add(self.capacity)
    }

    /// Adds an arrival; false when it must go to another run.
    pub(in crate::table) fn push(&self, arrival: Handle, extra: &Extra) -> bool {
        // Relaxed: the place itself is what readers synchronise with. The
        // first look keeps the counter from running on in a finished run.
        if self.is_finished(self.claimed.load(Ordering::Relaxed)) {
            return false;
        }
        let claim = self.claimed.fetch_add(1, Ordering::Relaxed);
        if self.is_finished(claim) {
            return false;
        }
        extra.set_arrival(self.first.wrapping_add(claim as u32));
        self.prefetch(claim as u32 + 1);
        self.leaves.put(self.place(claim as u32), arrival)
    }

    /// Prefetches the place of an arrival to come, which is most often far from that of
    /// the one before.
    fn prefetch(&self, claim: u32) {
        if claim < self.capacity {
            self.leaves.prefetch(self.place(claim));
        }
    }

    fn is_finished(&self, claimed: u64) -> bool {
        claimed >= u64::from(self.capacity)
    }

    /// Stops arrivals for good. Afterwards the content does not change.
    pub(crate) fn seal(&self) {
        // AcqRel: claims come before or after, none at once.
        let claimed = self.claimed.fetch_or(SEALED, Ordering::AcqRel);
        for claim in 0..self.bounded(claimed) {
            self.leaves.close(self.place(claim));
        }
    }

    /// How many places are claimed; some may be empty or closed.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        // Acquire: an arrival that was seen elsewhere is counted.
        self.bounded(self.claimed.load(Ordering::Acquire)) as usize
    }

    /// All arrivals so far.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Handle> {
        (0..self.len() as u32).filter_map(|claim| self.leaves.at(self.place(claim)))
    }

    /// The place of the arrival with a number, if it is of this run.
    pub(crate) fn place_of(&self, number: u32, handle: Handle) -> Option<usize> {
        let claim = number.wrapping_sub(self.first);
        let place = (claim < self.capacity).then(|| self.place(claim))?;
        // Numbers come around in the end.
        (self.leaves.at(place) == Some(handle)).then_some(place)
    }

    /// Spread evenly over the nodes and within each, so that one arrival is as likely
    /// to be chosen as another.
    fn place(&self, claim: u32) -> usize {
        let (node, slot) = (
            claim & ((1 << self.nodes_log2) - 1),
            claim >> self.nodes_log2,
        );
        let node = reversed(node, self.nodes_log2);
        node * FANOUT + reversed(slot, FANOUT.ilog2())
    }

    #[inline]
    fn bounded(&self, claimed: u64) -> u32 {
        ((claimed & !SEALED) as u32).min(self.capacity)
    }
}

/// The lowest bits of a number, the lowest of them first.
fn reversed(number: u32, bits: u32) -> usize {
    match bits {
        0 => 0,
        _ => (number.reverse_bits() >> (u32::BITS - bits)) as usize,
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::sync::Zeroable;
    use std::collections::BTreeSet;

    #[test]
    fn places_are_distinct_and_spread() {
        for capacity in [1, 3, 64, 65, 256, 1_000, 5_000] {
            let run = Run::new(capacity, 7, Bins::FINE);
            let places: BTreeSet<_> = (0..capacity).map(|claim| run.place(claim)).collect();
            assert_eq!(places.len(), capacity as usize);
            assert!(places.iter().all(|&place| place < run.leaves.places()));
        }
        let run = Run::new(256, 0, Bins::FINE);
        let nodes: BTreeSet<_> = (0..4).map(|claim| run.place(claim) / FANOUT).collect();
        assert_eq!(nodes.len(), 4);
    }

    #[test]
    fn an_arrival_is_found_by_its_number() {
        let run = Run::new(2, u32::MAX, Bins::FINE);
        let handles = [1, 2].map(|index| Handle {
            index,
            generation: 9,
        });
        let extras = [Extra::vacant(), Extra::vacant()];
        for (handle, extra) in handles.iter().zip(&extras) {
            assert!(run.push(*handle, extra));
            assert!(run.place_of(extra.arrival(), *handle).is_some());
            let other = Handle {
                generation: 8,
                ..*handle
            };
            assert_eq!(run.place_of(extra.arrival(), other), None);
        }
        assert!(!run.push(handles[0], &Extra::vacant()), "it is full");
        assert_eq!(run.iter().count(), 2);
        assert_eq!(run.next_number(), 1);
    }
}

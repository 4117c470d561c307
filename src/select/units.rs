//! Calls for several units: which children of a node may have a relay with so many free.

use crate::limits::MAX_CAPACITY;
use crate::select::branch_and_bound::{Bound, Bounds};
use crate::select::criteria::Criteria;
use crate::table::snapshot::{Leaves, Snapshot, Wanted};
use std::num::NonZeroU32;

impl Criteria<'_> {
    /// How many units the call asks for.
    #[inline(always)]
    pub(crate) fn units(&self) -> NonZeroU32 {
        self.options.units
    }

    /// Whether relays may be too full for the call that are not full.
    #[inline(always)]
    pub(crate) fn asks_for_several(&self) -> bool {
        self.units() != NonZeroU32::MIN
    }

    /// The bounds of a node's children, without those below which no relay has enough units.
    #[inline(always)]
    pub(crate) fn with_enough_units<B: Bound>(
        &self,
        bounds: Bounds<B>,
        part: &Leaves,
        wanted: Wanted,
        at: (usize, usize),
    ) -> Bounds<B> {
        match self.asks_for_several() {
            false => bounds,
            true => self.restrict(bounds, part, wanted, at),
        }
    }

    #[inline(never)]
    fn restrict<B: Bound>(
        &self,
        mut bounds: Bounds<B>,
        part: &Leaves,
        wanted: Wanted,
        at: (usize, usize),
    ) -> Bounds<B> {
        let units = self.units().get();
        let enough = match &part.free_units {
            _ if units > MAX_CAPACITY => 0,
            // The records decide.
            None => return bounds,
            Some(free) => free.children_with(units, wanted, at),
        };
        for (child, bound) in bounds.iter_mut().enumerate() {
            if enough >> child & 1 == 0 {
                *bound = B::NEVER;
            }
        }
        bounds
    }

    /// Whether the trees say that no relay that is eligible to others has enough units.
    pub(crate) fn is_beyond_all(&self, snapshot: &Snapshot) -> bool {
        let units = self.units().get();
        let is_beyond = |part: &Leaves| {
            let free = part.free_units.as_ref();
            free.is_some_and(|free| !free.may_have(units))
        };
        units > MAX_CAPACITY || snapshot.parts().all(is_beyond)
    }
}

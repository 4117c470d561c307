//! Calls for several units: a search leaves out children of a node below which no relay has
//! so many free.
//!
//! This is an objective around another one, so that calls for one unit pay nothing for it.

use crate::limits::MAX_CAPACITY;
use crate::select::branch_and_bound::{Bound, Bounds, Objective};
use crate::select::criteria::Criteria;
use crate::table::snapshot::{Leaves, Snapshot, TierPart, TierTrees, Wanted};
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

    /// Whether the trees say that no relay that is eligible to others has enough units.
    pub(crate) fn is_beyond_all(&self, snapshot: &Snapshot) -> bool {
        let units = self.units().get();
        let is_beyond = |trees: &TierTrees| {
            let free = trees.free_units.as_ref();
            free.is_some_and(|free| !free.may_have(units))
        };
        let mut tiers = snapshot.parts().flat_map(Leaves::each_tier);
        units > MAX_CAPACITY || tiers.all(is_beyond)
    }
}

/// See the module's description.
pub(crate) struct EnoughUnits<'o, O> {
    objective: &'o mut O,
    units: u32,
    wanted: Wanted,
}

impl<'o, O: Objective> EnoughUnits<'o, O> {
    pub(crate) fn new(objective: &'o mut O, criteria: &Criteria<'_>, wanted: Wanted) -> Self {
        Self {
            objective,
            units: criteria.units().get(),
            wanted,
        }
    }

    /// A bit for each child of a node below which there may be a relay with enough units.
    fn children(&self, part: TierPart<'_>, at: (usize, usize)) -> u32 {
        match self.wanted {
            _ if self.units > MAX_CAPACITY => 0,
            Wanted::Eligible => self.children_in(part.trees, at),
            // Of any tier.
            Wanted::LastResort => {
                let tiers = part.leaves.each_tier();
                tiers.fold(0, |any, trees| any | self.children_in(trees, at))
            }
        }
    }

    fn children_in(&self, trees: &TierTrees, at: (usize, usize)) -> u32 {
        match &trees.free_units {
            // The records decide.
            None => u32::MAX,
            Some(free) => free.children_with(self.units, self.wanted, at),
        }
    }
}

impl<O: Objective> Objective for EnoughUnits<'_, O> {
    type Bound = O::Bound;

    const IS_RANDOM: bool = O::IS_RANDOM;

    fn lower_bounds(&mut self, part: TierPart<'_>, level: usize, node: usize) -> Bounds<O::Bound> {
        let mut bounds = self.objective.lower_bounds(part, level, node);
        let enough = self.children(part, (level, node));
        for (child, bound) in bounds.iter_mut().enumerate() {
            if enough >> child & 1 == 0 {
                *bound = O::Bound::NEVER;
            }
        }
        bounds
    }

    fn limit(&self) -> O::Bound {
        self.objective.limit()
    }

    fn visit_leaf(&mut self, part: TierPart<'_>, slot: usize) {
        self.objective.visit_leaf(part, slot);
    }
}

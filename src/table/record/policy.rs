//! How a relay is preferred to others: its tier, the factor on its score, which filters it
//! passes, and since when it ramps up.
//!
//! ```text
//!  63     48 47 45 44             31 30            17     16     15       8 7       0
//! +---------+-----+-----------------+----------------+----------+----------+---------+
//! | filters |     | operator's cost | announced cost | operator |operator's|announced|
//! |  passed |     |                 |                | has tier |   tier   |  tier   |
//! +---------+-----+-----------------+----------------+----------+----------+---------+
//! ```
//!
//! Costs are in thousandths, and zero if there is none. What the operator said overrides what
//! the relay announced.
//!
//! Most relays have none of this, and most registries none such relay. So policies are apart
//! from the records, in memory that is taken when the first relay needs it. All zeros: tier
//! 0, cost 1, no ramp.

use crate::footprint::Footprint;
use crate::relay::Cost;
use crate::sync::{AtomicU64, OnceBox, Ordering, Zeroable};
use crate::table::record::Announcement;
use crate::table::segments::Segments;
use crate::table::snapshot::{FilterId, Filters, SelectionSettings, Weight};
use crate::time::Tick;

/// The policy of one record.
#[repr(C, align(16))]
pub(in crate::table) struct Policy {
    word: AtomicU64,
    /// One more than the tick at which a newcomer arrived; zero if it does not ramp up.
    ramp: AtomicU64,
}

/// The policies of all records, once any record has one that is not the default.
pub(in crate::table) struct Policies(OnceBox<Segments<Policy>>);

impl Policies {
    pub(in crate::table) fn new() -> Self {
        Self(OnceBox::new())
    }

    /// Whether any record may have one that is not the default.
    #[inline]
    pub(in crate::table) fn are_any(&self) -> bool {
        self.0.get().is_some()
    }

    /// If so many records were used so far.
    pub(in crate::table) fn footprint(&self, used: u32) -> Footprint {
        let policies = self.0.get();
        policies.map_or_else(Footprint::default, |policies| policies.footprint(used))
    }

    /// The policy of a record; `None` if no memory was taken for it, which means the default.
    #[inline(always)]
    pub(in crate::table) fn get(&self, index: u32) -> Option<&Policy> {
        self.0.get()?.find(index)
    }

    /// The same, with room for one; `None` when the memory is not to be had. There is usually
    /// room for so many records.
    pub(in crate::table) fn ensure(&self, index: u32, usual: u32) -> Option<&Policy> {
        let policies = self.0.get_or_try_init(|| Segments::new(usual))?;
        policies.ensure(index)?;
        policies.find(index)
    }
}

/// Tier and cost of a relay, as it announced them and as the operator says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PolicyWord(u64);

const OPERATOR_TIER_SHIFT: u32 = 8;
const HAS_OPERATOR_TIER: u64 = 1 << 16;
const ANNOUNCED_COST_SHIFT: u32 = 17;
const OPERATOR_COST_SHIFT: u32 = 31;
const COST_MASK: u64 = (1 << (OPERATOR_COST_SHIFT - ANNOUNCED_COST_SHIFT)) - 1;
const FILTERS_SHIFT: u32 = 48;
/// What follows from the announcement.
const ANNOUNCED: u64 = 0xff | COST_MASK << ANNOUNCED_COST_SHIFT | u64::MAX << FILTERS_SHIFT;

const _: () = assert!(crate::limits::MAX_COST * 1000.0 <= COST_MASK as f64);
const _: () = assert!(Filters::MAX <= (u64::BITS - FILTERS_SHIFT) as usize);

// SAFETY: atomics of integers, for which all zeros are valid.
unsafe impl Zeroable for Policy {
    fn vacant() -> Self {
        Self {
            word: AtomicU64::default(),
            ramp: AtomicU64::default(),
        }
    }
}

impl PolicyWord {
    /// With what the relay announces.
    pub(in crate::table) fn with_announced(self, announced: Self) -> Self {
        Self(self.0 & !ANNOUNCED | announced.0 & ANNOUNCED)
    }

    /// What follows from an announcement.
    pub(in crate::table) fn announced(announcement: &Announcement, filters: &Filters) -> Self {
        let tier = u64::from(announcement.tier);
        let cost = Some(announcement.cost).filter(|&cost| cost != Cost::ONE);
        let cost = thousandths(cost) << ANNOUNCED_COST_SHIFT;
        let passed = match filters.are_any() {
            true => u64::from(filters.passed_by(announcement)) << FILTERS_SHIFT,
            false => 0,
        };
        Self(tier | cost | passed)
    }

    /// With the tier that the operator says, if any.
    pub(crate) fn with_tier(self, tier: Option<u8>) -> Self {
        let rest = self.0 & !(HAS_OPERATOR_TIER | 0xff << OPERATOR_TIER_SHIFT);
        Self(match tier {
            Some(tier) => rest | HAS_OPERATOR_TIER | u64::from(tier) << OPERATOR_TIER_SHIFT,
            None => rest,
        })
    }

    /// With the cost that the operator says, if any.
    pub(crate) fn with_cost(self, cost: Option<Cost>) -> Self {
        let rest = self.0 & !(COST_MASK << OPERATOR_COST_SHIFT);
        Self(rest | thousandths(cost) << OPERATOR_COST_SHIFT)
    }

    /// Without what the relay announced.
    pub(in crate::table) fn of_operator(self) -> Self {
        Self(self.0 & !ANNOUNCED)
    }

    /// Without what the operator said.
    pub(crate) fn without_operator(self) -> Self {
        Self(self.0 & ANNOUNCED)
    }

    pub(crate) fn is_default(self) -> bool {
        self == Self::default()
    }

    /// Whether the operator said anything of tier or cost.
    pub(crate) fn has_operator_setting(self) -> bool {
        !self.of_operator().is_default()
    }

    /// The tier and the cost that the operator said, if any.
    #[cfg(feature = "persistence")]
    pub(crate) fn said_by_operator(self) -> (Option<u8>, Option<Cost>) {
        let has_tier = self.0 & HAS_OPERATOR_TIER != 0;
        let tier = has_tier.then_some((self.0 >> OPERATOR_TIER_SHIFT) as u8);
        (tier, cost_at(self.0, OPERATOR_COST_SHIFT))
    }

    #[cold]
    pub(in crate::table) fn is_in(self, tier: u8, filter: Option<FilterId>) -> bool {
        self.tier() == tier && filter.is_none_or(|filter| self.passes(filter))
    }

    /// Whether the relay passes a filter.
    #[inline]
    pub(crate) fn passes(self, filter: FilterId) -> bool {
        self.0 >> FILTERS_SHIFT & u64::from(filter.bit()) != 0
    }

    #[inline]
    pub(crate) fn tier(self) -> u8 {
        match self.0 & HAS_OPERATOR_TIER {
            0 => self.0 as u8,
            _ => (self.0 >> OPERATOR_TIER_SHIFT) as u8,
        }
    }

    #[cold]
    pub(crate) fn tier_and_cost(self) -> (u8, Cost) {
        (self.tier(), self.cost())
    }

    #[inline]
    pub(crate) fn cost(self) -> Cost {
        let operators = cost_at(self.0, OPERATOR_COST_SHIFT);
        operators
            .or(cost_at(self.0, ANNOUNCED_COST_SHIFT))
            .unwrap_or(Cost::ONE)
    }
}

fn thousandths(cost: Option<Cost>) -> u64 {
    cost.map_or(0, |cost| cost.thousandths().into())
}

#[inline]
fn cost_at(word: u64, shift: u32) -> Option<Cost> {
    match word >> shift & COST_MASK {
        0 => None,
        thousandths => Some(Cost::from_thousandths(thousandths as u16)),
    }
}

impl Policy {
    #[inline]
    pub(in crate::table) fn word(&self) -> PolicyWord {
        // Acquire: sees the pending change that was opened before this word was changed.
        PolicyWord(self.word.load(Ordering::Acquire))
    }

    /// Sets it for a record that is private to this thread.
    pub(in crate::table) fn begin(&self, word: PolicyWord, arrived_at: Option<Tick>) {
        // Relaxed: published with the bucket entry or the handle.
        self.word.store(word.0, Ordering::Relaxed);
        self.ramp_up_from(arrived_at);
    }

    /// Begins a ramp, or ends it; only while the record is not admitted.
    pub(in crate::table) fn ramp_up_from(&self, arrived_at: Option<Tick>) {
        let ramp = arrived_at.map_or(0, |Tick(tick)| tick + 1);
        // Relaxed: published with the lifecycle word.
        self.ramp.store(ramp, Ordering::Relaxed);
    }

    /// Since when the relay ramps up.
    pub(in crate::table) fn arrived_at(&self) -> Option<Tick> {
        // Relaxed: published with the lifecycle word.
        self.ramp.load(Ordering::Relaxed).checked_sub(1).map(Tick)
    }

    /// Changes the word by what `next` makes of it; whether that is a change. `before_move` is
    /// called with the tier to which the relay moves, if it does.
    pub(in crate::table) fn change(
        &self,
        next: impl Fn(PolicyWord) -> PolicyWord,
        before_move: impl Fn(u8),
    ) -> bool {
        let mut seen = self.word();
        while next(seen) != seen {
            let wanted = next(seen);
            if wanted.tier() != seen.tier() {
                before_move(wanted.tier());
            }
            // AcqRel: publishes the pending change, and sees those of earlier events.
            match self.word.compare_exchange_weak(
                seen.0,
                wanted.0,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return true,
                Err(current) => seen = PolicyWord(current),
            }
        }
        false
    }

    /// What changes the score of the relay at a tick.
    pub(in crate::table) fn weight(&self, settings: &SelectionSettings, now: Tick) -> Weight {
        Weight {
            cost: self.word().cost().factor() as f32,
            share: self.arrived_at().map_or(1.0, |arrived_at| {
                settings.share_that_counts(arrived_at, now)
            }),
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_the_operator_says_goes_first_until_it_is_lifted() {
        let cost = Cost::new(0.5).unwrap();
        let other = Cost::new(10.0).unwrap();
        let announced = PolicyWord(0x07).with_cost(Some(other));
        assert_eq!((announced.tier(), announced.cost()), (7, other));
        let said = announced.with_tier(Some(0)).with_cost(Some(cost));
        assert_eq!((said.tier(), said.cost()), (0, cost));
        assert!(said.has_operator_setting());
        let lifted = said.with_tier(None).with_cost(None);
        assert_eq!((lifted.tier(), lifted.cost()), (7, Cost::ONE));
        assert!(!lifted.has_operator_setting());
        assert_eq!(said.of_operator().tier(), 0);
    }

    #[test]
    fn fields_hold_their_greatest_values_side_by_side() {
        let cost = Cost::new(crate::limits::MAX_COST).unwrap();
        let said = PolicyWord(0xff).with_tier(Some(254)).with_cost(Some(cost));
        assert_eq!((said.tier(), said.cost()), (254, cost));
        assert_eq!(said.with_tier(None).tier(), 255);
    }
}

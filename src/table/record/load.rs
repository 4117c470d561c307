//! The word that decides every reservation.
//!
//! ```text
//!  63       62       61          60     59      40 39      20 19       0
//! +--------+--------+-----------+------+----------+----------+----------+
//! |draining|detached|unreachable|closed| capacity | reported |  leases  |
//! +--------+--------+-----------+------+----------+----------+----------+
//! ```
//!
//! A lease is taken by one compare-and-swap of the whole word, so it is decided
//! at once against the last free unit, a renewal that lowers the capacity, a
//! fresh load report, draining, and the relay's departure. A lease has one or more
//! units. The lowest field counts the units of all leases: it is zero when no lease is left.

use crate::limits::MAX_CAPACITY;
use crate::relay::Rejection;
use std::fmt;

const FIELD_BITS: u32 = 20;
const FIELD_MASK: u64 = (1 << FIELD_BITS) - 1;
const REPORTED_SHIFT: u32 = FIELD_BITS;
const CAPACITY_SHIFT: u32 = 2 * FIELD_BITS;

const _: () = assert!(MAX_CAPACITY as u64 == FIELD_MASK);

/// Leases, reported load, capacity and flags of one relay.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load(u64);

impl Load {
    /// The relay is gone; no lease is given until it comes back.
    pub(in crate::table) const CLOSED: u64 = 1 << 60;
    /// Only leases refer to the record.
    pub(in crate::table) const UNREACHABLE: u64 = 1 << 61;
    /// The registry is gone; the last lease drops a reference to the store.
    pub(in crate::table) const DETACHED: u64 = 1 << 62;
    /// The relay takes no new leases.
    pub(in crate::table) const DRAINING: u64 = 1 << 63;
    #[inline]
    pub(in crate::table) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline]
    pub(in crate::table) fn bits(self) -> u64 {
        self.0
    }

    /// An idle relay of `capacity` units, at most [`MAX_CAPACITY`].
    #[inline]
    pub(in crate::table) fn idle(capacity: u32) -> Self {
        debug_assert!(capacity <= MAX_CAPACITY);
        Self(u64::from(capacity) << CAPACITY_SHIFT)
    }

    /// Units that this registry has leased out and that were not released yet.
    #[inline]
    pub(crate) fn leases(self) -> u32 {
        (self.0 & FIELD_MASK) as u32
    }

    /// Load that others put on the relay, as of its last report.
    #[inline]
    pub(crate) fn reported(self) -> u32 {
        (self.0 >> REPORTED_SHIFT & FIELD_MASK) as u32
    }

    #[inline]
    pub(crate) fn capacity(self) -> u32 {
        (self.0 >> CAPACITY_SHIFT & FIELD_MASK) as u32
    }

    /// The relay's whole load.
    #[inline]
    pub(crate) fn total(self) -> u32 {
        self.leases() + self.reported()
    }

    /// The share of the capacity that is in use; above one where a report or a
    /// lowered capacity says so.
    #[inline]
    pub(crate) fn utilisation(self) -> f32 {
        self.total() as f32 / self.capacity() as f32
    }

    #[inline]
    pub(crate) fn is_closed(self) -> bool {
        self.has(Self::CLOSED)
    }

    #[inline]
    pub(crate) fn is_draining(self) -> bool {
        self.has(Self::DRAINING)
    }

    #[inline]
    pub(in crate::table) fn has(self, flag: u64) -> bool {
        self.0 & flag != 0
    }

    /// Why a lease of one unit would be refused, if it would, by the capacity in the word.
    #[inline]
    pub(crate) fn rejection(self) -> Option<Rejection> {
        self.rejection_if(|| self.total() >= self.capacity())
    }

    /// The same for a lease of so many units.
    #[inline]
    pub(crate) fn rejection_of(self, units: u32) -> Option<Rejection> {
        self.rejection_at(units, self.capacity())
    }

    /// The same for a relay with this capacity.
    #[inline]
    pub(crate) fn rejection_at(self, units: u32, capacity: u32) -> Option<Rejection> {
        let wanted = || u64::from(self.total()) + u64::from(units);
        self.rejection_if(|| wanted() > u64::from(capacity))
    }

    #[inline(always)]
    fn rejection_if(self, is_full: impl FnOnce() -> bool) -> Option<Rejection> {
        if self.is_closed() {
            Some(Rejection::Departed)
        } else if self.is_draining() {
            Some(Rejection::Draining)
        } else if is_full() {
            Some(Rejection::Full)
        } else {
            None
        }
    }

    /// How many units a new lease could take, up to so many; 0 if any lease would be refused.
    #[inline]
    pub(crate) fn free_units(self, most: u32) -> u32 {
        if self.is_closed() || self.is_draining() {
            return 0;
        }
        self.capacity().saturating_sub(self.total()).min(most)
    }

    /// With a further lease of so many units, at least one, on a relay with this capacity.
    #[inline]
    pub(in crate::table) fn with_lease(self, units: u32, capacity: u32) -> Result<Self, Rejection> {
        match self.rejection_at(units, capacity) {
            // At most the capacity, so the count cannot leave its field.
            None => Ok(Self(self.0 + u64::from(units))),
            Some(reason) => Err(reason),
        }
    }

    /// Without a lease of so many units. `None` if the record is unreachable or detached: the
    /// caller has to use
    /// [`release_lease_of_removed`](super::Record::release_lease_of_removed), for the last
    /// lease then frees the record, or drops a reference to the store.
    #[inline]
    pub(in crate::table) fn without_lease(self, units: u32) -> Option<Self> {
        if self.has(Self::UNREACHABLE | Self::DETACHED) {
            return None;
        }
        Some(Self(self.0 - u64::from(units)))
    }

    /// With what the relay says of its total load: what exceeds this
    /// registry's own leases was put there by others.
    pub(in crate::table) fn with_report(self, total: u32) -> Self {
        self.with_report_of_others(total.saturating_sub(self.leases()))
    }

    /// With what the relay says that others put on it.
    pub(in crate::table) fn with_report_of_others(self, others: u32) -> Self {
        let others = u64::from(others.min(MAX_CAPACITY)) << REPORTED_SHIFT;
        Self(self.0 & !(FIELD_MASK << REPORTED_SHIFT) | others)
    }

    /// Of a relay that comes back, with that capacity.
    pub(in crate::table) fn reopened(self, capacity: u32) -> Self {
        Self(self.0 & !Self::CLOSED).with_capacity(capacity)
    }

    #[inline]
    pub(in crate::table) fn with_capacity(self, capacity: u32) -> Self {
        Self(self.0 & !(FIELD_MASK << CAPACITY_SHIFT) | Self::idle(capacity).0)
    }

    pub(in crate::table) fn with_draining(self, draining: bool) -> Self {
        if draining {
            Self(self.0 | Self::DRAINING)
        } else {
            Self(self.0 & !Self::DRAINING)
        }
    }
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load")
            .field("leases", &self.leases())
            .field("reported", &self.reported())
            .field("capacity", &self.capacity())
            .field("flags", &(self.0 >> 60))
            .finish()
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    #[test]
    fn leases_stop_at_the_capacity() {
        let mut load = Load::idle(2);
        load = load.with_lease(1, 2).unwrap().with_lease(1, 2).unwrap();
        assert_eq!(load.with_lease(1, 2), Err(Rejection::Full));
        assert_eq!(load.with_lease(1, 1), Err(Rejection::Full));
        assert_eq!(load.with_lease(1, 3).unwrap().leases(), 3);
        assert_eq!(load.rejection(), Some(Rejection::Full));
        assert_eq!(load.with_capacity(3).rejection(), None);
    }

    #[test]
    fn units_are_leased_together_or_not_at_all() {
        let load = Load::idle(5).with_report(1).with_lease(3, 5).unwrap();
        assert_eq!((load.leases(), load.total()), (3, 4));
        assert_eq!(load.with_lease(2, 5), Err(Rejection::Full));
        assert_eq!(load.rejection_of(2), Some(Rejection::Full));
        assert_eq!(load.rejection_of(1), None);
        for units in [MAX_CAPACITY, MAX_CAPACITY + 1, u32::MAX] {
            assert_eq!(load.with_lease(units, MAX_CAPACITY), Err(Rejection::Full));
        }
        assert_eq!(load.without_lease(3), Some(Load::idle(5).with_report(1)));
        let all = Load::idle(MAX_CAPACITY).with_lease(MAX_CAPACITY, MAX_CAPACITY);
        assert_eq!(all.unwrap().leases(), MAX_CAPACITY);
    }

    #[test]
    fn free_units_are_those_that_a_lease_could_take() {
        let load = Load::idle(5).with_report(1);
        assert_eq!((load.free_units(9), load.free_units(3)), (4, 3));
        assert_eq!(load.with_report(7).free_units(9), 0);
        assert_eq!(load.with_draining(true).free_units(9), 0);
        let closed = Load::from_bits(load.bits() | Load::CLOSED);
        assert_eq!(closed.free_units(9), 0);
    }

    #[test]
    fn fields_hold_their_maximum_side_by_side() {
        let mut load = Load::idle(MAX_CAPACITY).with_report(u32::MAX);
        assert_eq!(load.reported(), MAX_CAPACITY);
        load = load.with_report(0);
        for _ in 0..MAX_CAPACITY {
            load = load.with_lease(1, MAX_CAPACITY).unwrap();
        }
        assert_eq!(load.with_lease(1, MAX_CAPACITY), Err(Rejection::Full));
        load = load.with_report(u32::MAX);
        assert_eq!(
            (load.leases(), load.reported()),
            (MAX_CAPACITY, MAX_CAPACITY)
        );
        assert_eq!(load.capacity(), MAX_CAPACITY);
        assert!(!load.is_closed() && !load.is_draining());
    }

    #[test]
    fn a_report_counts_what_others_put_there() {
        let load = Load::idle(10).with_lease(1, 10).unwrap();
        assert_eq!(load.with_report(4).total(), 4);
        assert_eq!(load.with_report(0).total(), 1, "own leases always count");
        let later = load.with_report(4).with_lease(1, 10).unwrap();
        assert_eq!(later.total(), 5, "own picks since the report add up");
    }

    #[test]
    fn flags_refuse_in_the_order_of_finality() {
        let full = Load::idle(1).with_lease(1, 1).unwrap().with_draining(true);
        assert_eq!(full.rejection(), Some(Rejection::Draining));
        let closed = Load::from_bits(full.bits() | Load::CLOSED);
        assert_eq!(closed.rejection(), Some(Rejection::Departed));
        assert_eq!(full.with_draining(false).rejection(), Some(Rejection::Full));
    }
}

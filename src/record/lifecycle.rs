//! The word that decides whether a record lives, and on what terms.
//!
//! ```text
//!  63            40   39    38                     0
//! +----------------+-------+------------------------+
//! |  announcement  |pending|        deadline        |
//! +----------------+-------+------------------------+
//! ```
//!
//! The word names the announcement (endpoint, capacity, TTL, ..) that is in
//! force and the tick at which the relay expires, so that one load shows both
//! as they were set together, and one compare-and-swap decides a renewal against
//! an expiry, a departure or another renewal.
//!
//! A record starts *pending*, seen by nobody but registrants, and is *live* once
//! admitted. From then on it counts towards the bound on relays. Without a
//! deadline it is *departing*, dead but still counted, while the pending bit is
//! set, and *departed* (or vacant: not in use) when the word is zero.

use crate::time::Tick;
use std::fmt;

/// The state of a record, in one word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lifecycle(u64);

const DEADLINE_BITS: u32 = 39;
const PENDING: u64 = 1 << DEADLINE_BITS;
const ANNOUNCEMENT_SHIFT: u32 = DEADLINE_BITS + 1;
const DEADLINE_MASK: u64 = PENDING - 1;
/// Shifts the pending bit to where a number has its sign.
const SIGN_SHIFT: u32 = u64::BITS - ANNOUNCEMENT_SHIFT;

impl Lifecycle {
    pub(crate) const DEPARTED: Self = Self(0);

    /// The last tick that can be a deadline: 17 years of the shortest tick.
    pub(crate) const LAST_DEADLINE: Tick = Tick(DEADLINE_MASK);

    /// How many announcements can be told apart.
    pub(crate) const ANNOUNCEMENTS: usize = 1 << (u64::BITS - ANNOUNCEMENT_SHIFT);

    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline]
    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    /// A record that awaits admission.
    ///
    /// `deadline` is within 1 and [`LAST_DEADLINE`](Self::LAST_DEADLINE).
    pub(crate) fn pending(deadline: Tick, announcement: u32) -> Self {
        Self(Self::live(deadline, announcement).0 | PENDING)
    }

    /// A record in force.
    #[inline]
    pub(crate) fn live(deadline: Tick, announcement: u32) -> Self {
        debug_assert!((1..=DEADLINE_MASK).contains(&deadline.0));
        debug_assert!((announcement as usize) < Self::ANNOUNCEMENTS);
        Self(u64::from(announcement) << ANNOUNCEMENT_SHIFT | deadline.0)
    }

    /// The same record, admitted.
    #[inline]
    pub(crate) fn admitted(self) -> Self {
        Self(self.0 & !PENDING)
    }

    /// The same record with a deadline that is a tick earlier; a deadline at the first tick
    /// stays. Only a relay that is registered in the instant in which its registry is
    /// built, for a single tick, has that one.
    pub(crate) fn with_earlier_deadline(self) -> Self {
        let Tick(deadline) = self.deadline();
        Self(self.0 & !DEADLINE_MASK | deadline.saturating_sub(1).max(1))
    }

    /// The same record, dead, but still counted.
    pub(crate) fn departing(self) -> Self {
        Self(self.0 & !DEADLINE_MASK | PENDING)
    }

    /// Neither pending nor live any more.
    #[inline]
    pub(crate) fn is_over(self) -> bool {
        self.deadline() == Tick(0)
    }

    #[inline]
    pub(crate) fn is_departing(self) -> bool {
        self.is_over() && self.0 & PENDING != 0
    }

    #[inline]
    pub(crate) fn is_pending(self) -> bool {
        !self.is_over() && self.0 & PENDING != 0
    }

    /// Admitted and not departed; its deadline may have passed.
    #[inline]
    pub(crate) fn is_live(self) -> bool {
        !self.is_over() && self.0 & PENDING == 0
    }

    /// Live at `tick`.
    #[inline]
    pub(crate) fn is_live_at(self, tick: Tick) -> bool {
        // With the pending bit for a sign, what is pending precedes all ticks;
        // what is over has deadline 0, which no tick precedes.
        let deadline = (self.0 << SIGN_SHIFT) as i64 >> SIGN_SHIFT;
        deadline > tick.0 as i64
    }

    #[inline]
    pub(crate) fn deadline(self) -> Tick {
        Tick(self.0 & DEADLINE_MASK)
    }

    #[inline]
    pub(crate) fn announcement(self) -> u32 {
        (self.0 >> ANNOUNCEMENT_SHIFT) as u32
    }
}

impl fmt::Debug for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifecycle")
            .field("deadline", &self.deadline().0)
            .field("pending", &(self.0 & PENDING != 0))
            .field("announcement", &self.announcement())
            .finish()
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_touch_each_other() {
        let last = Lifecycle::LAST_DEADLINE;
        let announcement = (Lifecycle::ANNOUNCEMENTS - 1) as u32;
        for (deadline, announcement) in [(Tick(1), announcement), (last, 0), (last, announcement)] {
            let word = Lifecycle::pending(deadline, announcement);
            assert!(word.is_pending() && !word.is_live());
            let word = word.admitted();
            assert!(word.is_live());
            assert_eq!(word.deadline(), deadline);
            assert_eq!(word.announcement(), announcement);
            let word = word.departing();
            assert!(word.is_over() && word.is_departing());
            assert!(!word.is_live() && !word.is_pending());
            assert_eq!(word.announcement(), announcement);
        }
        assert!(Lifecycle::DEPARTED.is_over() && !Lifecycle::DEPARTED.is_departing());
    }

    #[test]
    fn a_record_dies_at_its_deadline_not_before() {
        let word = Lifecycle::live(Tick(5), 7);
        assert!(word.is_live_at(Tick(4)));
        assert!(!word.is_live_at(Tick(5)));
        assert!(!Lifecycle::DEPARTED.is_live_at(Tick(0)));
        assert!(!word.departing().is_live_at(Tick(0)));
        assert!(!Lifecycle::pending(Tick(5), 7).is_live_at(Tick(0)));
    }
}

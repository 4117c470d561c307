//! The word that says whether the relay of a record is registered, and on what terms.
//!
//! ```text
//!  63            39 38    37 36                     0
//! +----------------+--------+------------------------+
//! |  announcement  | state  |          tick          |
//! +----------------+--------+------------------------+
//! ```
//!
//! The word names the announcement (endpoint, capacity, TTL, ..) that is in
//! force and the tick at which the relay expires, so that one load shows both
//! as they were set together, and one compare-and-swap decides a renewal against
//! an expiry, a departure or another renewal.
//!
//! | state | tick | counted | which thread may change it |
//! |---|---|---|---|
//! | vacant | 0 | no | none while it is retired; then the one that takes it from the slab |
//! | staged | deadline | no | the registering one; any may finish its admission; no look-up accepts the record |
//! | live | deadline | yes | any, by a compare-and-swap |
//! | departing | 0 | yes | the departing one; any may count it out |
//! | closing | 0 | only during a restart | the one that closes it: after a departure, to forget it, or to replace it |
//! | gone | until when it is remembered | no | any, by a compare-and-swap |
//! | returning | deadline | no | the registering one; any may finish its admission |
//!
//! | from | to | by |
//! |---|---|---|
//! | vacant | staged | [`Table::stage`], `stage_placeholder` |
//! | staged | live | [`Staged::admit`], or a thread that helps |
//! | staged | gone | `create_placeholder`, or a thread that helps |
//! | staged | vacant | [`Staged::admit`], where the entry is withdrawn; [`Table::stage`], where there is no memory for its bucket |
//! | live | live | [`LiveRecord::renew`]; [`lifecycle_at`], which moves the deadline of an expired relay a tick back |
//! | live | departing | [`Table::depart`] |
//! | departing | closing | `count_out`, or a thread that helps |
//! | live, gone | closing | [`Table::close_live`], [`Table::close_gone`] |
//! | closing | gone | [`Closing::remember_until`], [`Closing::keep`] |
//! | closing | what it was | [`Closing::leave_as_it_was`] |
//! | closing | vacant | [`Closing::forget`] |
//! | gone | returning | [`Table::bring_back`] |
//! | returning | live | [`Returning::admit`], or a thread that helps |
//! | returning | gone | [`Returning::admit`], where the table is full |
//! | any | vacant | [`Record::vacate`], at the end of the registry |
//!
//! A record that is *gone* keeps what is known of its relay: leases, load, round trips,
//! circuit. It has no relay until a registration of the same id brings it back. A *kept*
//! record is remembered without regard to time, for its leases or for the operator's
//! settings; a *placeholder* exists only for such settings.
//!
//! [`Table::stage`]: crate::table::Table::stage
//! [`Table::depart`]: crate::table::Table::depart
//! [`Table::close_live`]: crate::table::Table::close_live
//! [`Table::close_gone`]: crate::table::Table::close_gone
//! [`Table::bring_back`]: crate::table::Table::bring_back
//! [`Staged::admit`]: crate::table::Staged::admit
//! [`Returning::admit`]: crate::table::returning::Returning::admit
//! [`LiveRecord::renew`]: crate::table::LiveRecord::renew
//! [`Closing::remember_until`]: crate::table::Closing::remember_until
//! [`Closing::keep`]: crate::table::Closing::keep
//! [`Closing::leave_as_it_was`]: crate::table::Closing::leave_as_it_was
//! [`Closing::forget`]: crate::table::Closing::forget
//! [`lifecycle_at`]: super::Record::lifecycle_at
//! [`Record::vacate`]: super::Record::vacate

use crate::limits::TICK_BITS;
use crate::time::Tick;
use std::fmt;

/// The state of a record, in one word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lifecycle(u64);

/// What a record is, as its lifecycle word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Vacant,
    Staged,
    Live,
    Departing,
    Closing,
    Gone,
    Returning,
}

const TICK_MASK: u64 = (1 << TICK_BITS) - 1;
const STATE_MASK: u64 = 0b11 << TICK_BITS;
const ANNOUNCEMENT_SHIFT: u32 = TICK_BITS + 2;
/// Tick and state.
const LOWER_MASK: u64 = STATE_MASK | TICK_MASK;

/// Staged; departing without a tick.
const STAGED: u64 = 0b01 << TICK_BITS;
const RETURNING: u64 = 0b10 << TICK_BITS;
/// Gone; closing without a tick.
const GONE: u64 = 0b11 << TICK_BITS;

/// Instead of a tick: as long as there is a reason.
const KEPT: u64 = TICK_MASK;
/// The same, for a placeholder.
const PLACEHOLDER: u64 = TICK_MASK - 1;

impl Lifecycle {
    pub(crate) const VACANT: Self = Self(0);

    /// The last tick that can be a deadline: 4 years of the shortest tick.
    pub(crate) const LAST_DEADLINE: Tick = Tick(TICK_MASK - 2);

    /// How many announcements can be told apart.
    pub(crate) const ANNOUNCEMENTS: usize = Self::NO_ANNOUNCEMENT as usize;

    /// Stands for none.
    const NO_ANNOUNCEMENT: u32 = (1 << (u64::BITS - ANNOUNCEMENT_SHIFT)) - 1;

    #[inline]
    pub(in crate::table) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline]
    pub(in crate::table) fn bits(self) -> u64 {
        self.0
    }

    fn new(announcement: u32, state: u64, tick: u64) -> Self {
        debug_assert!(announcement <= Self::NO_ANNOUNCEMENT && tick <= TICK_MASK);
        Self(u64::from(announcement) << ANNOUNCEMENT_SHIFT | state | tick)
    }

    /// A record that awaits admission.
    ///
    /// `deadline` is within 1 and [`LAST_DEADLINE`](Self::LAST_DEADLINE), here and below;
    /// another one is taken for the nearest of these.
    pub(in crate::table) fn staged(deadline: Tick, announcement: u32) -> Self {
        Self::new(announcement, STAGED, in_bounds(deadline))
    }

    /// A [placeholder](Self::placeholder) that awaits admission.
    pub(in crate::table) fn staged_placeholder() -> Self {
        Self::new(Self::NO_ANNOUNCEMENT, STAGED, 1)
    }

    /// A record in force.
    #[inline]
    pub(in crate::table) fn live(deadline: Tick, announcement: u32) -> Self {
        debug_assert!((announcement as usize) < Self::ANNOUNCEMENTS);
        Self(u64::from(announcement) << ANNOUNCEMENT_SHIFT | in_bounds(deadline))
    }

    /// A record that was gone, and awaits admission.
    pub(in crate::table) fn returning(deadline: Tick, announcement: u32) -> Self {
        Self::new(announcement, RETURNING, in_bounds(deadline))
    }

    /// The same record, admitted.
    #[inline]
    pub(in crate::table) fn admitted(self) -> Self {
        Self(self.0 & !STATE_MASK)
    }

    /// A record that exists only for an operator setting.
    pub(in crate::table) fn placeholder() -> Self {
        Self::new(Self::NO_ANNOUNCEMENT, GONE, PLACEHOLDER)
    }

    /// The same record with a deadline that is a tick earlier; a deadline at the first tick
    /// stays. Only a relay that is registered in the instant in which its registry is
    /// built, for a single tick, has that one.
    pub(in crate::table) fn with_earlier_deadline(self) -> Self {
        let Tick(deadline) = self.deadline();
        Self(self.0 & !TICK_MASK | deadline.saturating_sub(1).max(1))
    }

    /// The same record, departed, but still counted.
    pub(in crate::table) fn departing(self) -> Self {
        Self(self.0 & !LOWER_MASK | STAGED)
    }

    /// The same record, which belongs to the thread that closes it.
    pub(in crate::table) fn closing(self) -> Self {
        Self(self.0 & !LOWER_MASK | GONE)
    }

    /// The same record, remembered up to a tick.
    pub(in crate::table) fn gone_until(self, tick: Tick) -> Self {
        let tick = tick.0.clamp(1, Self::LAST_DEADLINE.0);
        Self(self.0 & !LOWER_MASK | GONE | tick)
    }

    /// A record that is remembered for as long as there is a reason, without an
    /// announcement.
    pub(in crate::table) fn kept() -> Self {
        Self::new(Self::NO_ANNOUNCEMENT, GONE, KEPT)
    }

    /// The same record without what it announced.
    pub(in crate::table) fn without_announcement(self) -> Self {
        Self::new(Self::NO_ANNOUNCEMENT, self.0 & LOWER_MASK, 0)
    }

    pub(crate) fn state(self) -> State {
        match (self.0 & STATE_MASK, self.0 & TICK_MASK) {
            (0, 0) => State::Vacant,
            (0, _) => State::Live,
            (STAGED, 0) => State::Departing,
            (STAGED, _) => State::Staged,
            (RETURNING, _) => State::Returning,
            (_, 0) => State::Closing,
            _ => State::Gone,
        }
    }

    /// Admitted and not departed; its deadline may have passed.
    #[inline]
    pub(crate) fn is_live(self) -> bool {
        self.is_live_at(Tick(0))
    }

    /// Live at `tick`.
    #[inline]
    pub(crate) fn is_live_at(self, tick: Tick) -> bool {
        // What is not live has a state above all ticks, or neither.
        let deadline = self.0 & LOWER_MASK;
        (deadline > tick.0) & (deadline <= TICK_MASK)
    }

    /// Whether a look-up by id, live or not, accepts the record: unless vacant or staged.
    pub(crate) fn is_known(self) -> bool {
        !matches!(self.state(), State::Vacant | State::Staged)
    }

    #[inline]
    pub(crate) fn is_staged(self) -> bool {
        self.state() == State::Staged
    }

    #[inline]
    pub(in crate::table) fn is_departing(self) -> bool {
        self.state() == State::Departing
    }

    pub(crate) fn is_gone(self) -> bool {
        self.state() == State::Gone
    }

    /// Whether it is gone, and remembered without regard to time. Then it is exempt from the
    /// [bound](crate::table::bounds).
    pub(crate) fn is_kept(self) -> bool {
        self.0 & TICK_MASK >= PLACEHOLDER && self.is_gone()
    }

    /// Whether its relay, which is live or gone, is live, or its grace has not ended at `now`.
    pub(crate) fn is_remembered_at(self, now: Tick) -> bool {
        !self.is_kept() && now < self.deadline()
    }

    /// Whether it exists only for an operator setting.
    pub(in crate::table) fn is_placeholder(self) -> bool {
        self.0 & TICK_MASK == PLACEHOLDER && self.is_gone()
    }

    /// The deadline, or until when it is remembered.
    #[inline]
    pub(crate) fn deadline(self) -> Tick {
        Tick(self.0 & TICK_MASK)
    }

    /// What it names; only where there [is one](Self::announced).
    #[inline]
    pub(in crate::table) fn announcement(self) -> u32 {
        (self.0 >> ANNOUNCEMENT_SHIFT) as u32
    }

    /// The announcement that it names, if there is one.
    pub(in crate::table) fn announced(self) -> Option<u32> {
        let index = self.announcement();
        (index != Self::NO_ANNOUNCEMENT && self != Self::VACANT).then_some(index)
    }
}

/// A deadline that leaves the other bits of the word alone: what they say decides which
/// memory is read.
#[inline]
fn in_bounds(Tick(deadline): Tick) -> u64 {
    debug_assert!((1..=Lifecycle::LAST_DEADLINE.0).contains(&deadline));
    deadline.clamp(1, Lifecycle::LAST_DEADLINE.0)
}

impl fmt::Debug for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifecycle")
            .field("state", &self.state())
            .field("tick", &self.deadline().0)
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
            let staged = Lifecycle::staged(deadline, announcement);
            let live = staged.admitted();
            let states = [
                (staged, State::Staged),
                (live, State::Live),
                (live.departing(), State::Departing),
                (live.departing().closing(), State::Closing),
                (live.closing().gone_until(deadline), State::Gone),
                (
                    Lifecycle::returning(deadline, announcement),
                    State::Returning,
                ),
            ];
            for (word, state) in states {
                assert_eq!(word.state(), state);
                assert_eq!(word.announcement(), announcement);
                assert_eq!(word.announced(), Some(announcement));
                assert_eq!(word.is_live(), state == State::Live);
                assert!(!word.is_kept());
                let has_tick = !matches!(state, State::Departing | State::Closing);
                assert_eq!(word.deadline(), if has_tick { deadline } else { Tick(0) });
            }
            assert_eq!(
                Lifecycle::returning(deadline, announcement).admitted(),
                live
            );
        }
    }

    #[test]
    fn what_is_kept_has_no_tick_and_no_announcement() {
        for word in [Lifecycle::kept(), Lifecycle::placeholder()] {
            assert_eq!(word.state(), State::Gone);
            assert!(word.is_kept() && word.announced().is_none());
            assert_eq!(word.closing().state(), State::Closing);
        }
        assert!(Lifecycle::placeholder().is_placeholder() && !Lifecycle::kept().is_placeholder());
        let gone = Lifecycle::live(Tick(4), 7)
            .closing()
            .gone_until(Tick(u64::MAX));
        assert!(!gone.is_kept());
        assert_eq!(gone.without_announcement().announced(), None);
        assert_eq!(
            gone.without_announcement().deadline(),
            Lifecycle::LAST_DEADLINE
        );
    }

    #[test]
    fn a_record_dies_at_its_deadline_not_before() {
        let word = Lifecycle::live(Tick(5), 7);
        assert!(word.is_live_at(Tick(4)));
        assert!(!word.is_live_at(Tick(5)));
        let others = [
            Lifecycle::VACANT,
            Lifecycle::staged(Tick(5), 7),
            Lifecycle::returning(Tick(5), 7),
            word.departing(),
            word.closing(),
            word.closing().gone_until(Tick(5)),
            Lifecycle::kept(),
        ];
        for other in others {
            assert!(!other.is_live_at(Tick(0)), "{other:?}");
        }
        let last = Lifecycle::live(Lifecycle::LAST_DEADLINE, 0);
        assert!(last.is_live_at(Tick(Lifecycle::LAST_DEADLINE.0 - 1)));
        for tick in [
            Lifecycle::LAST_DEADLINE.0,
            TICK_MASK,
            TICK_MASK + 1,
            u64::MAX >> 1,
        ] {
            assert!(!last.is_live_at(Tick(tick)), "{tick}");
            assert!(!Lifecycle::kept().is_live_at(Tick(tick)));
        }
    }
}

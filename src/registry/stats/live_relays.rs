//! [`RelayStates`], and what the live relays can carry and do carry.

use crate::footprint::Footprint;
use crate::registry::relays::Relays;
use crate::relay::Rejection;
use crate::table::LiveRecord;
use crate::time::Tick;

/// How many live relays are in which state. Each is in one: the first of these that holds.
///
/// 1. *banned*: an operator's [ban](crate::Registry::ban) is in force.
/// 2. *failing*: it backs off after failures, or is on trial, and no other caller is given it
///    meanwhile. (One that is due for a trial is not failing: the next caller may be given
///    it.)
/// 3. *draining*: it [takes no new leases](crate::Registry::set_draining).
/// 4. *full*: its load is at its capacity, or above.
/// 5. *eligible*: a call without options may be given it, unless it is the target of that call
///    or this node's own relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct RelayStates {
    /// A call without options may be given these.
    pub eligible: usize,
    /// Their load is at their capacity, or above.
    pub full: usize,
    /// They take no new leases.
    pub draining: usize,
    /// Banned by the operator.
    pub banned: usize,
    /// They back off after failures, or are on trial.
    pub failing: usize,
}

impl RelayStates {
    /// The relays in any state.
    #[must_use]
    pub fn total(&self) -> usize {
        let &Self {
            eligible,
            full,
            draining,
            banned,
            failing,
        } = self;
        eligible + full + draining + banned + failing
    }

    fn count(&mut self, rejection: Option<Rejection>) {
        *match rejection {
            None => &mut self.eligible,
            Some(Rejection::Banned) => &mut self.banned,
            Some(Rejection::BackingOff) => &mut self.failing,
            Some(Rejection::Draining) => &mut self.draining,
            Some(Rejection::Full) => &mut self.full,
            // It departs at this moment.
            Some(Rejection::Departed) => return,
            Some(
                Rejection::Excluded
                | Rejection::Labels
                | Rejection::Family
                | Rejection::TooFar
                | Rejection::Unmeasured
                | Rejection::Tier,
            ) => unreachable!("only calls have these reasons"),
        } += 1;
    }
}

/// Sums over all live relays.
#[derive(Default)]
pub(super) struct LiveRelays {
    pub(super) states: RelayStates,
    pub(super) capacity: u64,
    pub(super) load: u64,
    /// Of what their announcements point to.
    pub(super) details: Footprint,
}

impl LiveRelays {
    /// Visits all records, a thousand under one pin.
    pub(super) fn at(relays: &Relays, now: Tick) -> Self {
        let mut sums = Self::default();
        relays.for_each_live(now, |record| sums.add(&record, now));
        sums
    }

    fn add(&mut self, record: &LiveRecord<'_>, now: Tick) {
        let load = record.announced_load();
        let rejection = record.circuit().access(now).err();
        self.states.count(rejection.or_else(|| load.rejection()));
        self.capacity += u64::from(load.capacity());
        self.load += u64::from(load.total());
        self.details = self.details + record.announcement().footprint();
    }
}

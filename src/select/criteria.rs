//! Which relays are eligible to a call, and what they are worth to it.

use crate::relay::{NodeId, Rejection};
use crate::rtt::micros_at_most;
use crate::select::candidate::{Candidate, Evaluation};
use crate::select::options::FindOptions;
use crate::select::path::{Leg, Legs, ResolvedView, Views};
use crate::table::record::Load;
use crate::table::snapshot::FilterId;
use crate::table::{LiveRecord, RecordRef};
use crate::time::Tick;
use std::time::Duration;

/// What one call asks for.
#[derive(Clone, Copy)]
pub(crate) struct Criteria<'a> {
    /// `None` if this node asks for a home relay: then the path is its own leg alone.
    pub(crate) target: Option<&'a NodeId>,
    /// The peer that asks, if that is not this node and its id is known.
    pub(crate) requester: Option<&'a NodeId>,
    pub(crate) local: Option<&'a NodeId>,
    pub(crate) options: &'a FindOptions,
    /// The forests to search, if there are any for the filter of the options.
    pub(crate) filter: Option<FilterId>,
    /// What is known of the pair, if there is a view of either peer.
    pub(crate) views: Option<&'a Views<'a>>,
    /// Relays are eligible or not as of this tick.
    pub(crate) tick: Tick,
    /// What an unmeasured leg counts as.
    pub(crate) assumed_rtt_micros: u32,
    /// What the leg to the target counts as without views.
    pub(crate) target_leg_micros: u32,
    /// Whether any relay had a tier, a cost or a slow start when the call began. If not, a
    /// relay that gets one during the call may be evaluated without.
    pub(crate) has_policies: bool,
}

impl Criteria<'_> {
    /// The relay as a candidate, by the capacity that it announces, if it is eligible.
    /// Lifecycle, load and circuit allowed it at one moment; the round trip, and the circuit of
    /// the candidate, are read beside that.
    ///
    /// A renewal changes the announcement first, and then the capacity beside the load. In
    /// between these differ, and the announcement decides.
    #[inline(always)]
    pub(crate) fn evaluate<'g>(&self, record: &RecordRef<'g>) -> Result<Candidate<'g>, Rejection> {
        self.if_eligible(record, none_ignored, |live, load| {
            let path_micros = self.path_micros(record);
            Candidate::new(live, self.evaluation(record, path_micros, load))
        })
    }

    /// The relay as a candidate that is not evaluated, if it is eligible.
    #[inline(always)]
    pub(crate) fn if_eligible_at_all<'g>(&self, record: &RecordRef<'g>) -> Option<Candidate<'g>> {
        let candidate = |live, _| Candidate::new(live, Evaluation::NONE);
        self.if_eligible(record, none_ignored, candidate).ok()
    }

    /// [`evaluate`](Self::evaluate), also of a relay that is backing off.
    pub(crate) fn evaluate_as_last_resort<'g>(
        &self,
        record: &RecordRef<'g>,
    ) -> Result<Candidate<'g>, Rejection> {
        let ignores = |reason| reason == Rejection::BackingOff;
        self.if_eligible(record, ignores, |live, load| {
            let path_micros = self.path_micros(record);
            let evaluation = self.evaluation(record, path_micros, load);
            Candidate {
                is_last_resort: true,
                ..Candidate::new(live, evaluation)
            }
        })
    }

    /// [`evaluate`](Self::evaluate), also of a relay whose trial is under way.
    pub(crate) fn evaluate_on_trial<'g>(
        &self,
        record: &RecordRef<'g>,
    ) -> Result<Candidate<'g>, Rejection> {
        let candidate = self.evaluate_as_last_resort(record)?;
        Ok(Candidate {
            is_last_resort: false,
            ..candidate
        })
    }

    /// Passes the relay as a candidate to `act` if it is eligible, where the path is known.
    ///
    /// Not returned, for a reason in its place would lie in the middle of a field: the
    /// candidate would be copied by bytes.
    #[inline(always)]
    pub(crate) fn with_path<'g>(
        &self,
        record: &RecordRef<'g>,
        path_micros: u32,
        act: impl FnOnce(Candidate<'g>),
    ) -> Result<(), Rejection> {
        self.if_eligible(record, none_ignored, |live, load| {
            let evaluation = self.evaluation(record, path_micros, load);
            act(Candidate::new(live, evaluation));
        })
    }

    #[inline(always)]
    fn evaluation(&self, record: &RecordRef<'_>, path_micros: u32, load: Load) -> Evaluation {
        let weight = match self.has_policies {
            true => record.weight(),
            false => None,
        };
        Evaluation::new(path_micros, load, weight)
    }

    /// What a relay would be worth if it were eligible, from the first cache line of its
    /// record.
    #[inline(always)]
    pub(crate) fn estimate(&self, record: &RecordRef<'_>, path_micros: u32) -> (Evaluation, Load) {
        let load = record.load();
        (self.evaluation(record, path_micros, load), load)
    }

    /// The relay as a candidate, if it is eligible.
    #[inline(always)]
    pub(crate) fn candidate<'g>(&self, record: RecordRef<'g>) -> Option<Candidate<'g>> {
        self.evaluate(&record).ok()
    }

    /// Why a relay would not be eligible if the call did not exclude its id.
    pub(crate) fn check_unexcluded(&self, record: &RecordRef<'_>) -> Result<(), Rejection> {
        self.if_eligible(record, |reason| reason == Rejection::Excluded, |_, _| ())
    }

    /// Why a relay is counted as not eligible that is so but for the maximum latency of the
    /// call, or for its exclusions; or that has become so.
    pub(crate) fn out_of_reach(&self, record: &RecordRef<'_>) -> Rejection {
        match record.rtt_micros() {
            _ if self.options.max_latency.is_none() && self.asks_for_several() => Rejection::Full,
            Some(_) if self.requester().is_none() => Rejection::TooFar,
            _ => Rejection::Unmeasured,
        }
    }

    /// Whether a home relay for this node is asked for.
    #[inline(always)]
    pub(crate) fn is_home(&self) -> bool {
        self.target.is_none()
    }

    /// The view of the requester, unless that is this node.
    pub(crate) fn requester(&self) -> Option<&ResolvedView> {
        self.views?.requester()
    }

    /// If only relays are eligible that another node measured, which is the requester: the
    /// indices of these.
    pub(crate) fn measured_by_requester(&self) -> Option<impl Iterator<Item = u32>> {
        let is_limited = self.options.max_latency.is_some() && !self.options.allow_unmeasured;
        let requester = self.requester().filter(|_| is_limited)?;
        Some(requester.published_indices())
    }

    /// What `act` makes of the live record of a relay and its load, or why the relay is not
    /// eligible. `ignores` says which reasons do not count, of those that have to do with the
    /// call or the circuit.
    #[inline(always)]
    fn if_eligible<'g, R>(
        &self,
        record: &RecordRef<'g>,
        ignores: impl Fn(Rejection) -> bool,
        act: impl FnOnce(LiveRecord<'g>, Load) -> R,
    ) -> Result<R, Rejection> {
        loop {
            let Some(live) = record.observe().live_at(self.tick) else {
                return Err(Rejection::Departed);
            };
            let checked = self.check(record, &live, &ignores);
            // If the word differs, another thread has renewed or removed the relay.
            if live.is_current() {
                return checked.map(|load| act(live, load));
            }
        }
    }

    /// The load of a relay, or why it is not eligible.
    #[inline(always)]
    fn check(
        &self,
        record: &RecordRef<'_>,
        live: &LiveRecord<'_>,
        ignores: impl Fn(Rejection) -> bool,
    ) -> Result<Load, Rejection> {
        if !ignores(Rejection::Excluded) && self.excludes(record) {
            return Err(Rejection::Excluded);
        }
        if let Err(reason) = record.circuit().access(self.tick) {
            if !ignores(reason) {
                return Err(reason);
            }
        }
        let load = live.announced_load();
        if let Some(reason) = load.rejection_of(self.units().get()) {
            return Err(reason);
        }
        self.options.check_terms(live)?;
        if let Some(max_latency) = self.options.max_latency {
            self.check_latency(record, max_latency)?;
        }
        Ok(load)
    }

    /// The expected round trip of the path through a relay.
    #[inline(always)]
    pub(crate) fn path_micros(&self, record: &RecordRef<'_>) -> u32 {
        match self.views {
            None => self.own_micros(record) + self.target_leg_micros,
            Some(_) => self.legs(record).path_micros(),
        }
    }

    /// The round trip from this node.
    #[inline(always)]
    pub(crate) fn own_micros(&self, record: &RecordRef<'_>) -> u32 {
        record.rtt_micros().unwrap_or(self.assumed_rtt_micros)
    }

    /// The legs of the path through a relay, as far as they are known.
    pub(crate) fn legs(&self, record: &RecordRef<'_>) -> Legs {
        let own = || record.rtt_micros().map(Leg::Measured);
        let (requester, target) = match self.views {
            None => (own(), None),
            Some(views) => (
                views
                    .requester()
                    .map_or_else(own, |view| views.leg(view, record)),
                views.target().and_then(|view| views.leg(view, record)),
            ),
        };
        let assumed = Leg::Assumed(self.assumed_rtt_micros);
        Legs {
            requester: requester.unwrap_or(assumed),
            target: target.unwrap_or(assumed),
        }
    }

    /// The paths through two relays, without any leg that is assumed for both.
    pub(crate) fn known_micros(&self, one: &Candidate<'_>, other: &Candidate<'_>) -> (u32, u32) {
        let (one, other) = (self.legs(&one.record), self.legs(&other.record));
        let requester = without_assumed(one.requester, other.requester);
        let target = without_assumed(one.target, other.target);
        (requester.0 + target.0, requester.1 + target.1)
    }

    #[inline(always)]
    fn excludes(&self, record: &RecordRef<'_>) -> bool {
        self.target.is_some_and(|target| record.is_of(target))
            || self.requester.is_some_and(|peer| record.is_of(peer))
            || self.local.is_some_and(|local| record.is_of(local))
            || self.options.excludes(record)
    }

    #[cold]
    fn check_latency(
        &self,
        record: &RecordRef<'_>,
        max_latency: Duration,
    ) -> Result<(), Rejection> {
        let leg = match self.views {
            Some(views) if views.requester().is_some() => self.legs(record).requester.measured(),
            _ => record
                .rtt_micros()
                .filter(|_| !record.has_lapsed(self.tick)),
        };
        match leg {
            Some(rtt) if rtt <= micros_at_most(max_latency) => Ok(()),
            Some(_) => Err(Rejection::TooFar),
            None if self.options.allow_unmeasured => Ok(()),
            None => Err(Rejection::Unmeasured),
        }
    }
}

fn without_assumed(one: Leg, other: Leg) -> (u32, u32) {
    match (one, other) {
        (Leg::Assumed(_), Leg::Assumed(_)) => (0, 0),
        _ => (one.micros(), other.micros()),
    }
}

/// No reason of a circuit is ignored.
#[inline]
fn none_ignored(_: Rejection) -> bool {
    false
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::relay::Endpoint;
    use crate::sync::epoch;
    use crate::table::record::Announcement;
    use crate::table::{Before, Beginning, Table};
    use std::num::NonZeroU32;

    /// Runs a test with a table that has a relay of one unit, and criteria that it meets.
    fn with_a_relay(test: impl FnOnce(&Table, Criteria<'_>, RecordRef<'_>)) {
        let table = Table::for_tests(1);
        let guard = epoch::pin();
        let id = NodeId::from([1; 32]);
        let endpoint = Endpoint::from_name("relay.example", 1).unwrap();
        let announcement = Announcement::new(endpoint, 1, Duration::from_secs(1));
        let staged = table.stage(
            (&id, table.hash(&id)),
            announcement,
            Tick(2),
            Beginning::default(),
            &guard,
        );
        let staged = staged.unwrap();
        let record = staged.record();
        staged.admit(Before::Unknown);
        let target = NodeId::from([2; 32]);
        let criteria = Criteria {
            target: Some(&target),
            requester: None,
            local: None,
            options: &FindOptions::new(),
            filter: None,
            views: None,
            tick: Tick(1),
            assumed_rtt_micros: 1,
            target_leg_micros: 1,
            has_policies: true,
        };
        test(&table, criteria, record);
    }

    #[test]
    fn the_announcement_of_a_departed_relay_is_not_read() {
        with_a_relay(|table, criteria, record| {
            assert!(criteria.evaluate(&record).is_ok());
            let live = record.observe_live().unwrap();
            table.depart(live).unwrap().forget();
            let evaluated = criteria.evaluate(&record);
            assert_eq!(evaluated.map(|_| ()), Err(Rejection::Departed));
        });
    }

    /// It was full until its announcement changed: by the old one it had room at no time.
    #[test]
    fn a_relay_that_was_renewed_and_given_a_unit_back_is_not_confirmed_as_it_was() {
        with_a_relay(|_, criteria, record| {
            let (unit, live) = record.lease(NonZeroU32::MIN, None).unwrap();
            let endpoint = Endpoint::from_name("other.example", 1).unwrap();
            let other = Announcement::new(endpoint, 1, Duration::from_secs(1));
            assert_eq!(live.renew(Tick(2), Some(other)), Ok(true));
            drop(unit);
            assert!(!live.has_room(1));
            assert!(record.observe_live().unwrap().has_room(1));
            assert!(criteria.evaluate(&record).is_ok());
        });
    }

    /// This is the state between the two steps of a renewal that lowers the capacity.
    #[test]
    fn a_relay_with_room_by_its_load_alone_is_full() {
        with_a_relay(|_, criteria, record| {
            record.set_capacity(3);
            let (unit, _) = record.lease(NonZeroU32::MIN, None).unwrap();
            assert_eq!(record.load().rejection(), None);
            let evaluated = criteria.evaluate(&record);
            assert_eq!(evaluated.map(|_| ()), Err(Rejection::Full));
            drop(unit);
            assert!(criteria.evaluate(&record).is_ok());
        });
    }
}

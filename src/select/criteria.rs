//! Which relays may be handed out to a caller, and what they are worth to it.

use crate::errors::Rejections;
use crate::relay::NodeId;
use crate::rtt::micros_at_most;
use crate::select::FindOptions;
use crate::select::path::{Leg, Legs, View, Views};
use crate::table::record::{Access, Circuit, Load, Refusal};
use crate::table::snapshot::score;
use crate::table::{LiveRecord, RecordRef};
use crate::time::Tick;
use std::cmp::Ordering;
use std::time::Duration;

/// What one call asks for.
#[derive(Clone, Copy)]
pub(crate) struct Criteria<'a> {
    pub(crate) target: &'a NodeId,
    pub(crate) local: Option<&'a NodeId>,
    pub(crate) options: &'a FindOptions,
    /// What is known of the pair, where the options say anything.
    pub(crate) views: Option<&'a Views<'a>>,
    /// What was live at this tick is live.
    pub(crate) tick: Tick,
    /// What a leg that was not measured is ranked at.
    pub(crate) assumed_rtt_micros: u32,
}

/// What a relay that meets the criteria is worth; small, for searches keep
/// the best of many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evaluation {
    pub(crate) path_micros: u32,
    pub(crate) score: f32,
}

impl Evaluation {
    #[inline]
    pub(crate) fn new(path_micros: u32, load: Load) -> Self {
        Self {
            path_micros,
            score: score(path_micros, load),
        }
    }
}

/// A relay that may be handed out.
#[derive(Clone, Copy)]
pub(crate) struct Candidate<'g> {
    /// With its lifecycle when it was judged, which names what to hand out.
    pub(crate) record: LiveRecord<'g>,
    pub(crate) worth: Evaluation,
    /// Its circuit, which says whether it is on trial.
    pub(crate) circuit: Circuit,
    pub(crate) is_last_resort: bool,
}

/// A relay above this utilisation is not worth staying with.
const BUSY: f32 = 0.9;

impl<'g> Candidate<'g> {
    #[inline]
    fn new(record: LiveRecord<'g>, worth: Evaluation) -> Self {
        Self {
            record,
            worth,
            circuit: record.circuit(),
            is_last_resort: false,
        }
    }

    /// The same relay by another lifecycle of its.
    #[inline]
    pub(crate) fn judged_by(self, record: LiveRecord<'g>) -> Self {
        Self { record, ..self }
    }

    /// Whether it failed lately, so that it is handed out to one at a time.
    #[inline]
    pub(crate) fn is_on_trial(&self) -> bool {
        self.circuit.is_failing()
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.record.announced_load().utilisation() > BUSY
    }

    /// The better one first.
    pub(crate) fn by_score(&self, other: &Self) -> Ordering {
        self.worth.score.total_cmp(&other.worth.score)
    }

    /// Whether there is room also by what the relay announces, and that is what
    /// it was judged by.
    #[inline]
    pub(crate) fn is_confirmed(&self) -> bool {
        self.record.has_room()
    }
}

/// Why a relay is not handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    Departed,
    Excluded,
    Banned,
    BackingOff,
    Draining,
    Full,
    TooFar,
    Unmeasured,
}

impl Criteria<'_> {
    /// Whether a relay may be handed out, and how good it is, by the capacity that
    /// it announces: all as it was at one moment.
    ///
    /// A renewal changes that first, and the capacity beside the load after it; in
    /// between, the two differ.
    #[inline(always)]
    pub(crate) fn judge_announced<'g>(
        &self,
        record: &RecordRef<'g>,
    ) -> Result<Candidate<'g>, Rejection> {
        self.judge(record, check_access)
    }

    /// The same, whether or not it is backing off.
    pub(crate) fn judge_as_last_resort<'g>(
        &self,
        record: &RecordRef<'g>,
    ) -> Result<Candidate<'g>, Rejection> {
        let check = |access| match check_access(access) {
            Err(Rejection::BackingOff) => Ok(()),
            checked => checked,
        };
        let candidate = self.judge(record, check)?;
        Ok(Candidate {
            is_last_resort: true,
            ..candidate
        })
    }

    /// [`judge_announced`](Self::judge_announced) where the path is known.
    #[inline(always)]
    pub(crate) fn judge_path<'g>(
        &self,
        record: &RecordRef<'g>,
        path_micros: u32,
    ) -> Result<Candidate<'g>, Rejection> {
        let (record, load) = self.admit(record, check_access)?;
        Ok(Candidate::new(record, Evaluation::new(path_micros, load)))
    }

    /// A relay that is [judged](Self::judge_announced), if it may be handed out.
    #[inline(always)]
    pub(crate) fn candidate<'g>(&self, record: RecordRef<'g>) -> Option<Candidate<'g>> {
        self.judge_announced(&record).ok()
    }

    /// The reason under which a relay is counted that is available, where none is
    /// within reach.
    pub(crate) fn unreached(&self, record: &RecordRef<'_>) -> Rejection {
        match record.rtt_micros() {
            Some(_) if self.requester().is_none() => Rejection::TooFar,
            _ => Rejection::Unmeasured,
        }
    }

    /// Why a relay would not be handed out if it were not excluded, if so.
    pub(crate) fn judge_without_exclusions(&self, record: &RecordRef<'_>) -> Result<(), Rejection> {
        self.consistent(record, |live| self.check(live, check_access))
            .map(drop)
    }

    /// The view of the requester, unless that is this node.
    pub(crate) fn requester(&self) -> Option<&View> {
        self.views?.requester()
    }

    /// Where only relays will do that the requester measured, and that is not this node:
    /// those, by their index.
    pub(crate) fn measured_by_requester(&self) -> Option<impl Iterator<Item = u32>> {
        let is_limited = self.options.max_latency.is_some() && !self.options.allow_unmeasured;
        let requester = self.requester().filter(|_| is_limited)?;
        Some(requester.published_indices())
    }

    #[inline(always)]
    fn judge<'g>(
        &self,
        record: &RecordRef<'g>,
        check_access: impl Fn(Access) -> Result<(), Rejection>,
    ) -> Result<Candidate<'g>, Rejection> {
        let (live, load) = self.admit(record, check_access)?;
        let worth = Evaluation::new(self.path_micros(record), load);
        Ok(Candidate::new(live, worth))
    }

    /// What is read of a record while one lifecycle is in force.
    #[inline(always)]
    fn consistent<'g>(
        &self,
        record: &RecordRef<'g>,
        read: impl Fn(&LiveRecord<'g>) -> Result<Load, Rejection>,
    ) -> Result<(LiveRecord<'g>, Load), Rejection> {
        loop {
            let live = record.observe_live().ok_or(Rejection::Departed)?;
            let read = read(&live);
            // Else another thread renewed or removed it meanwhile.
            if live.is_current() {
                return read.map(|load| (live, load));
            }
        }
    }

    /// What a relay at the end of a path is worth, if it may be handed out; from
    /// its first cache line.
    #[inline(always)]
    pub(crate) fn evaluate(&self, record: &RecordRef<'_>, path_micros: u32) -> (Evaluation, Load) {
        let load = record.load();
        (Evaluation::new(path_micros, load), load)
    }

    /// The lifecycle and the load of a relay, or why it may not be handed out.
    #[inline(always)]
    fn admit<'g>(
        &self,
        record: &RecordRef<'g>,
        check_access: impl Fn(Access) -> Result<(), Rejection>,
    ) -> Result<(LiveRecord<'g>, Load), Rejection> {
        self.consistent(record, |live| {
            if !live.word().is_live_at(self.tick) {
                return Err(Rejection::Departed);
            }
            if self.excludes(record) {
                return Err(Rejection::Excluded);
            }
            self.check(live, &check_access)
        })
    }

    /// The load of a relay with this lifecycle, unless anything speaks against it
    /// besides its id.
    #[inline(always)]
    fn check(
        &self,
        record: &LiveRecord<'_>,
        check_access: impl FnOnce(Access) -> Result<(), Rejection>,
    ) -> Result<Load, Rejection> {
        check_access(record.circuit().access(self.tick))?;
        let load = record.announced_load();
        if let Some(refusal) = load.refusal() {
            return Err(refusal.into());
        }
        if let Some(max_latency) = self.options.max_latency {
            self.check_latency(record, max_latency)?;
        }
        Ok(load)
    }

    /// The expected round trip of the path through a relay.
    #[inline(always)]
    pub(crate) fn path_micros(&self, record: &RecordRef<'_>) -> u32 {
        match self.views {
            None => self.own_micros(record) + self.assumed_rtt_micros,
            Some(_) => self.legs(record).path_micros(),
        }
    }

    /// The round trip from this node.
    #[inline(always)]
    pub(crate) fn own_micros(&self, record: &RecordRef<'_>) -> u32 {
        record.rtt_micros().unwrap_or(self.assumed_rtt_micros)
    }

    /// What is known of the path through a relay.
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

    /// The paths through two relays, without a leg that is assumed for both.
    pub(crate) fn known_micros(&self, one: &Candidate<'_>, other: &Candidate<'_>) -> (u32, u32) {
        let (one, other) = (self.legs(&one.record), self.legs(&other.record));
        let requester = without_assumed(one.requester, other.requester);
        let target = without_assumed(one.target, other.target);
        (requester.0 + target.0, requester.1 + target.1)
    }

    #[inline(always)]
    fn excludes(&self, record: &RecordRef<'_>) -> bool {
        record.is_of(self.target)
            || self.local.is_some_and(|local| record.is_of(local))
            || self.options.excludes(record)
    }

    #[cold]
    fn check_latency(
        &self,
        record: &RecordRef<'_>,
        max_latency: Duration,
    ) -> Result<(), Rejection> {
        let is_own_leg = self.requester().is_none();
        let leg = match is_own_leg && record.has_lapsed(self.tick) {
            true => None,
            false => self.legs(record).requester.measured(),
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

#[inline]
fn check_access(access: Access) -> Result<(), Rejection> {
    match access {
        Access::Free | Access::OnTrial => Ok(()),
        Access::BackingOff => Err(Rejection::BackingOff),
        Access::Banned => Err(Rejection::Banned),
    }
}

impl Rejection {
    /// Where it is counted.
    pub(crate) fn place_in(self, rejections: &mut Rejections) -> &mut usize {
        match self {
            Self::Departed => &mut rejections.departed,
            Self::Excluded => &mut rejections.excluded,
            Self::Banned => &mut rejections.banned,
            Self::BackingOff => &mut rejections.backing_off,
            Self::Draining => &mut rejections.draining,
            Self::Full => &mut rejections.full,
            Self::TooFar => &mut rejections.too_far,
            Self::Unmeasured => &mut rejections.unmeasured,
        }
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Closed => Self::Departed,
            Refusal::Draining => Self::Draining,
            Refusal::Full => Self::Full,
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::relay::Endpoint;
    use crate::sync::epoch;
    use crate::table::Table;
    use crate::table::record::Announcement;
    use crate::table::snapshot::Terms;

    /// A table with a relay of one unit in it, and what every caller asks for.
    fn with_a_relay(test: impl FnOnce(&Table, Criteria<'_>, RecordRef<'_>)) {
        let table = Table::new(1, Terms::FOR_TESTS, crate::time::Timeline::for_tests()).unwrap();
        let guard = epoch::pin();
        let id = NodeId::from([1; 32]);
        let endpoint = Endpoint::from_name("relay.example", 1).unwrap();
        let announcement = Announcement::new(endpoint, 1, Duration::from_secs(1));
        let staged = table.stage((&id, table.hash(&id)), announcement, Tick(2), None, &guard);
        let staged = staged.unwrap();
        let record = staged.record();
        staged.admit(None);
        let criteria = Criteria {
            target: &NodeId::from([2; 32]),
            local: None,
            options: &FindOptions::new(),
            views: None,
            tick: Tick(1),
            assumed_rtt_micros: 1,
        };
        test(&table, criteria, record);
    }

    /// What is announced is not read any more once the relay has departed.
    #[test]
    fn of_a_relay_that_departs_during_the_look_nothing_more_is_read() {
        with_a_relay(|table, criteria, record| {
            assert!(criteria.judge_announced(&record).is_ok());
            let live = record.observe_live().unwrap();
            table.depart(live).unwrap().forget();
            let judged = criteria.judge_announced(&record);
            assert_eq!(judged.map(|_| ()), Err(Rejection::Departed));
        });
    }

    /// It was full until it had other terms: on the old ones there was room at no time.
    #[test]
    fn a_relay_that_was_renewed_and_given_a_unit_back_is_not_confirmed_as_it_was() {
        with_a_relay(|_, criteria, record| {
            let (unit, live) = record.lease(None).unwrap();
            let endpoint = Endpoint::from_name("other.example", 1).unwrap();
            let other = Announcement::new(endpoint, 1, Duration::from_secs(1));
            assert_eq!(live.renew(Tick(2), Some(other)), Ok(true));
            drop(unit);
            assert!(!live.has_room());
            assert!(record.observe_live().unwrap().has_room());
            assert!(criteria.judge_announced(&record).is_ok());
        });
    }

    /// As between the two steps of a renewal that lowers the capacity.
    #[test]
    fn a_relay_with_room_by_its_load_alone_is_full() {
        with_a_relay(|_, criteria, record| {
            record.set_capacity(3);
            let (unit, _) = record.lease(None).unwrap();
            assert_eq!(record.load().refusal(), None);
            let judged = criteria.judge_announced(&record);
            assert_eq!(judged.map(|_| ()), Err(Rejection::Full));
            drop(unit);
            assert!(criteria.judge_announced(&record).is_ok());
        });
    }
}

//! [`PublishProgress`]: the progress of one signed record. It is stored, then listed in the
//! directory, then the listing is rechecked, because a concurrent write of another node may undo
//! it.

use std::time::Duration;

use fastrand::Rng;

use super::Action;
use super::placement::{Placement, Upkeep};
use crate::dht::engine::{Put, ShardPath};
use crate::dht::record::{Announcement, SignedRecord};
use crate::dht::retry::with_jitter;

/// One signed record, and the steps of its publication.
#[derive(Clone, Debug)]
pub(super) struct PublishProgress {
    record: SignedRecord,
    signed_at: Duration,
    refresh_at: Duration,
    put: Step,
    join: Step,
    /// When to join again, in case the directory no longer lists this node.
    recheck_at: Option<Duration>,
    /// The number of joins that succeeded.
    rechecks: u32,
    /// The shards that a withdrawal has not left yet.
    to_leave: Vec<ShardPath>,
    /// Whether a record with a higher sequence is stored.
    is_superseded: bool,
    placement: Placement,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Pending,
    Done,
    Failed,
}

impl PublishProgress {
    /// An entry of the directory ends after `lifetime`.
    pub(super) fn new(
        record: SignedRecord,
        signed_at: Duration,
        refresh_at: Duration,
        lifetime: Duration,
        mut placement: Placement,
    ) -> Self {
        placement.begin(lifetime, signed_at);
        let mut to_leave = Vec::new();
        if record.is_tombstone() {
            to_leave = placement.to_leave();
        } else {
            placement.attempt(signed_at);
        }
        Self {
            record,
            signed_at,
            refresh_at,
            put: Step::Pending,
            join: Step::Pending,
            recheck_at: None,
            rechecks: 0,
            to_leave,
            is_superseded: false,
            placement,
        }
    }

    pub(super) fn announcement(&self) -> Option<&Announcement> {
        self.record.record().announcement()
    }

    pub(super) fn signed_at(&self) -> Duration {
        self.signed_at
    }

    pub(super) fn refresh_at(&self) -> Duration {
        self.refresh_at
    }

    /// Whether nothing is left to do for this record.
    pub(super) fn is_done(&self) -> bool {
        self.put != Step::Pending && self.pending_shard().is_none()
    }

    /// Whether the engine refused a step.
    pub(super) fn has_failed(&self) -> bool {
        self.put == Step::Failed || self.join == Step::Failed
    }

    /// Notes that a record with a higher sequence is stored. Another must be signed.
    pub(super) fn supersede(&mut self) {
        self.is_superseded = true;
    }

    pub(super) fn is_superseded(&self) -> bool {
        self.is_superseded
    }

    pub(super) fn placement(&self) -> &Placement {
        &self.placement
    }

    pub(super) fn into_placement(self) -> Placement {
        self.placement
    }

    pub(super) fn next(&self, now: Duration) -> Option<Action> {
        if self.is_superseded {
            return None;
        }
        if self.put == Step::Pending {
            return Some(Action::Put(self.record.clone()));
        }
        let record = self.record.clone();
        if let Some(path) = self.pending_shard() {
            return Some(match record.is_tombstone() {
                true => Action::Leave(path, record),
                false => Action::Join(path, record),
            });
        }
        let upkeep = self.placement.upkeep().filter(|_| !record.is_tombstone());
        match upkeep {
            Some(Upkeep::Climb(path)) => Some(Action::Join(path, record)),
            Some(Upkeep::Divide(path)) => Some(Action::Divide(path, record)),
            None => {
                let recheck = self.placement.path().filter(|_| self.is_recheck_due(now));
                recheck.map(|path| Action::Join(path, record))
            }
        }
    }

    /// The shard to join or leave next.
    fn pending_shard(&self) -> Option<ShardPath> {
        if self.join != Step::Pending {
            None
        } else if self.record.is_tombstone() {
            self.to_leave.first().copied()
        } else {
            self.placement.path()
        }
    }

    fn is_recheck_due(&self, now: Duration) -> bool {
        self.recheck_at.is_some_and(|at| at <= now)
    }

    /// Schedules the next recheck: after an eighth of the refresh, then at intervals that double,
    /// and not after the refresh itself.
    fn schedule_recheck(&mut self, now: Duration, random: &mut Rng) {
        let refresh = self.refresh_at.saturating_sub(self.signed_at);
        let wait = (refresh / 8).saturating_mul(1 << self.rechecks.min(3));
        let at = now.saturating_add(with_jitter(wait, random));
        self.rechecks = self.rechecks.saturating_add(1);
        self.recheck_at = (at < self.refresh_at).then_some(at);
    }

    pub(super) fn is_of(&self, action: &Action) -> bool {
        *action.target().1 == self.record
    }

    /// Whether the action keeps the directory in shape, and does not concern the present shard.
    fn is_upkeep(&self, action: &Action) -> bool {
        let upkeep = self.placement.upkeep();
        match action {
            Action::Join(path, _) => upkeep == Some(Upkeep::Climb(*path)),
            Action::Divide(path, _) => upkeep == Some(Upkeep::Divide(*path)),
            Action::Put(_) | Action::Leave(..) => false,
        }
    }

    pub(super) fn succeeded(
        &mut self,
        action: &Action,
        put: &Put,
        now: Duration,
        random: &mut Rng,
    ) {
        let is_upkeep = self.is_upkeep(action);
        match action {
            Action::Put(_) => self.put = Step::Done,
            Action::Join(..) if is_upkeep => self.placement.climbed(put, now, random),
            Action::Join(..) => {
                let is_refresh = self.rechecks == 0;
                self.placement.joined(put, is_refresh, now, random);
                self.join = Step::Done;
                self.schedule_recheck(now, random);
            }
            Action::Leave(shard, _) => self.to_leave.retain(|left| left != shard),
            Action::Divide(..) => self.placement.upkeep_ended(),
        }
    }

    /// Ends a step of which a retry would fail, too.
    pub(super) fn failed(&mut self, action: &Action) {
        let is_upkeep = self.is_upkeep(action);
        match action {
            Action::Put(_) => self.put = Step::Failed,
            Action::Join(..) if !is_upkeep => {
                self.join = Step::Failed;
                self.recheck_at = None;
            }
            Action::Leave(shard, _) => self.to_leave.retain(|left| left != shard),
            Action::Join(..) | Action::Divide(..) => self.placement.upkeep_ended(),
        }
    }

    /// Ends the record at this time, if it would not end before.
    pub(super) fn refresh_by(&mut self, at: Duration) {
        self.refresh_at = self.refresh_at.min(at);
    }

    /// Leaves the other shards before one that could not be left just now.
    pub(super) fn postpone(&mut self, action: &Action) {
        if let Action::Leave(shard, _) = action {
            if self.to_leave.first() == Some(shard) {
                self.to_leave.rotate_left(1);
            }
        }
    }

    /// Goes on to another shard, because this one is full. False if there is none.
    pub(super) fn move_on(&mut self, action: &Action, now: Duration) -> bool {
        if self.is_upkeep(action) {
            self.placement.upkeep_ended();
            return true;
        }
        self.join = Step::Pending;
        let has_next = self.placement.move_on();
        self.placement.attempt(now);
        has_next
    }
}

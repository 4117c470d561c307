//! One signed statement on its way: stored, then listed, then looked for in the
//! directory now and then, as others who write it at the same time may undo that.

use std::time::Duration;

use fastrand::Rng;

use super::Action;
use crate::dht::engine::Limits;
use crate::dht::record::{Announcement, SignedRecord};
use crate::dht::retry::a_little_less;
use crate::relay::NodeId;

/// Where in the directory this node is, or tries to be.
#[derive(Clone, Debug)]
pub(super) struct Shards {
    count: u16,
    current: Option<u16>,
    /// How many were found full, one after the other.
    full: u16,
    /// Those that may list this node, also after it left: a directory that others
    /// write can bring it back.
    joined: Vec<u16>,
}

impl Shards {
    pub(super) fn new(limits: Limits, own: &NodeId) -> Self {
        Self {
            count: limits.shards,
            current: limits.shard_of(own),
            full: 0,
            joined: Vec::new(),
        }
    }
}

/// A statement, and how far it has come.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    record: SignedRecord,
    signed_at: Duration,
    refresh_at: Duration,
    put: Step,
    list: Step,
    /// When to make sure that the directory still lists this node.
    recheck_at: Option<Duration>,
    /// How often that was done.
    rechecks: u32,
    /// The shards that a withdrawal has yet to leave.
    to_leave: Vec<u16>,
    void: bool,
    shards: Shards,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Open,
    Done,
    GivenUp,
}

impl Statement {
    pub(super) fn new(
        record: SignedRecord,
        signed_at: Duration,
        refresh_at: Duration,
        shards: Shards,
    ) -> Self {
        let mut shards = shards;
        shards.full = 0;
        if let (false, Some(current)) = (record.is_tombstone(), shards.current) {
            // From the first attempt on: one that failed may have worked.
            if !shards.joined.contains(&current) {
                shards.joined.push(current);
            }
        }
        let to_leave = if record.is_tombstone() {
            shards.joined.clone()
        } else {
            Vec::new()
        };
        Self {
            record,
            signed_at,
            refresh_at,
            put: Step::Open,
            list: Step::Open,
            recheck_at: None,
            rechecks: 0,
            to_leave,
            void: false,
            shards,
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

    pub(super) fn is_done(&self) -> bool {
        self.put != Step::Open && self.open_list().is_none()
    }

    /// Something newer is stored: another must be signed.
    pub(super) fn void(&mut self) {
        self.void = true;
    }

    pub(super) fn is_void(&self) -> bool {
        self.void
    }

    /// The shards that may list this node.
    pub(super) fn joined(&self) -> &[u16] {
        &self.shards.joined
    }

    pub(super) fn into_shards(self) -> Shards {
        self.shards
    }

    pub(super) fn next(&self, now: Duration) -> Option<Action> {
        if self.void {
            return None;
        }
        if self.put == Step::Open {
            return Some(Action::Put(self.record.clone()));
        }
        let recheck = || self.shards.current.filter(|_| self.is_recheck_due(now));
        let shard = self.open_list().or_else(recheck)?;
        Some(if self.record.is_tombstone() {
            Action::Leave(shard, self.record.clone())
        } else {
            Action::Join(shard, self.record.clone())
        })
    }

    /// The shard to join or leave next.
    fn open_list(&self) -> Option<u16> {
        if self.list != Step::Open {
            None
        } else if self.record.is_tombstone() {
            self.to_leave.first().copied()
        } else {
            self.shards.current
        }
    }

    fn is_recheck_due(&self, now: Duration) -> bool {
        self.recheck_at.is_some_and(|at| at <= now)
    }

    /// When to look again: soon, then ever more seldom, and no more when all is
    /// said again anyway.
    fn schedule_recheck(&mut self, now: Duration, random: &mut Rng) {
        let stands = self.refresh_at.saturating_sub(self.signed_at);
        let soon = (stands / 8).saturating_mul(1 << self.rechecks.min(3));
        let at = now.saturating_add(a_little_less(soon, random));
        self.rechecks = self.rechecks.saturating_add(1);
        self.recheck_at = (at < self.refresh_at).then_some(at);
    }

    pub(super) fn is_of(&self, action: &Action) -> bool {
        let (Action::Put(record) | Action::Join(_, record) | Action::Leave(_, record)) = action;
        *record == self.record
    }

    pub(super) fn succeeded(&mut self, action: &Action, now: Duration, random: &mut Rng) {
        match action {
            Action::Put(_) => self.put = Step::Done,
            Action::Join(..) => {
                self.list = Step::Done;
                self.schedule_recheck(now, random);
            }
            Action::Leave(shard, _) => self.to_leave.retain(|left| left != shard),
        }
    }

    pub(super) fn gave_up(&mut self, action: &Action) {
        match action {
            Action::Put(_) => self.put = Step::GivenUp,
            Action::Join(..) => {
                self.list = Step::GivenUp;
                self.recheck_at = None;
            }
            Action::Leave(shard, _) => self.to_leave.retain(|left| left != shard),
        }
    }

    /// The current shard is full: on to the next one, unless all were.
    pub(super) fn move_on(&mut self) -> bool {
        self.list = Step::Open;
        let Shards {
            count,
            current,
            full,
            joined,
        } = &mut self.shards;
        *full += 1;
        let Some(shard) = current.filter(|_| *full < *count) else {
            *full = 0;
            return false;
        };
        joined.retain(|joined| *joined != shard);
        let next = if shard + 1 < *count { shard + 1 } else { 0 };
        *current = Some(next);
        joined.push(next);
        true
    }
}

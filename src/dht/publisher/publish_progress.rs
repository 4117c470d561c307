//! [`PublishProgress`]: the progress of one signed record. It is stored, then listed in the
//! directory, then the listing is rechecked, because a concurrent write of another node may undo
//! it.

use std::time::Duration;

use fastrand::Rng;

use super::Action;
use crate::dht::engine::Limits;
use crate::dht::record::{Announcement, SignedRecord};
use crate::dht::retry::with_jitter;
use crate::relay::NodeId;

/// The shards of the directory that list this node, or may.
#[derive(Clone, Debug)]
pub(super) struct Shards {
    count: u16,
    /// The shard to join; none without a directory.
    current: Option<u16>,
    /// The number of full shards that were tried in a row.
    full: u16,
    /// The shards that may list this node, also after it left them: a concurrent write of
    /// another node can restore an entry.
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
    to_leave: Vec<u16>,
    /// Whether a record with a higher sequence is stored.
    is_superseded: bool,
    shards: Shards,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Pending,
    Done,
    Failed,
}

impl PublishProgress {
    pub(super) fn new(
        record: SignedRecord,
        signed_at: Duration,
        refresh_at: Duration,
        shards: Shards,
    ) -> Self {
        let mut shards = shards;
        shards.full = 0;
        if let (false, Some(current)) = (record.is_tombstone(), shards.current) {
            // Before the first attempt, because an attempt that fails may have had an effect.
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
            put: Step::Pending,
            join: Step::Pending,
            recheck_at: None,
            rechecks: 0,
            to_leave,
            is_superseded: false,
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
        self.put != Step::Pending && self.pending_shard().is_none()
    }

    /// Notes that a record with a higher sequence is stored. Another must be signed.
    pub(super) fn supersede(&mut self) {
        self.is_superseded = true;
    }

    pub(super) fn is_superseded(&self) -> bool {
        self.is_superseded
    }

    /// The shards that may list this node.
    pub(super) fn joined(&self) -> &[u16] {
        &self.shards.joined
    }

    pub(super) fn into_shards(self) -> Shards {
        self.shards
    }

    pub(super) fn next(&self, now: Duration) -> Option<Action> {
        if self.is_superseded {
            return None;
        }
        if self.put == Step::Pending {
            return Some(Action::Put(self.record.clone()));
        }
        let recheck = || self.shards.current.filter(|_| self.is_recheck_due(now));
        let shard = self.pending_shard().or_else(recheck)?;
        Some(if self.record.is_tombstone() {
            Action::Leave(shard, self.record.clone())
        } else {
            Action::Join(shard, self.record.clone())
        })
    }

    /// The shard to join or leave next.
    fn pending_shard(&self) -> Option<u16> {
        if self.join != Step::Pending {
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
        let (Action::Put(record) | Action::Join(_, record) | Action::Leave(_, record)) = action;
        *record == self.record
    }

    pub(super) fn succeeded(&mut self, action: &Action, now: Duration, random: &mut Rng) {
        match action {
            Action::Put(_) => self.put = Step::Done,
            Action::Join(..) => {
                self.join = Step::Done;
                self.schedule_recheck(now, random);
            }
            Action::Leave(shard, _) => self.to_leave.retain(|left| left != shard),
        }
    }

    /// Ends a step of which a retry would fail, too.
    pub(super) fn failed(&mut self, action: &Action) {
        match action {
            Action::Put(_) => self.put = Step::Failed,
            Action::Join(..) => {
                self.join = Step::Failed;
                self.recheck_at = None;
            }
            Action::Leave(shard, _) => self.to_leave.retain(|left| left != shard),
        }
    }

    /// Goes on to the next shard, because the current one is full. False if all shards were full.
    pub(super) fn try_next_shard(&mut self) -> bool {
        self.join = Step::Pending;
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

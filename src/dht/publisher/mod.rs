//! [`Publisher`]: when this node's record is signed, stored and listed.
//!
//! A node can sign only for itself. So the publisher publishes one relay: the one whose id is
//! the node id of the key, while it is registered locally. Its caller passes the present state
//! of that relay to [`observe`](Publisher::observe), any number of times. The publisher compares
//! states and queues no events, so no change is lost and no backlog builds up. It returns one
//! [action](Publisher::next) at a time; the caller reports
//! [how it ended](Publisher::action_finished).
//!
//! ```text
//! local relay ──debounce──> sign ──put──> stored ──join──> listed ─┐
//!                           ▲  ▲   └─ superseded: sign with a      │
//!                           │  └───── higher sequence              │
//!                           └────────── refresh, load ─────────────┘
//! ```

mod placement;
mod publish_progress;

use std::time::Duration;

use fastrand::Rng;

use super::backend::{LocalRelay, Now};
use super::engine::{DhtError, Limits, Put, ShardPath};
use super::record::{
    Announcement, MAX_SKEW, Network, RelayRecord, SecretKey, SignedRecord, next_sequence,
};
use super::retry::{RetryBackoff, with_jitter};
use crate::sync::Arc;
pub(super) use placement::Placement;
use publish_progress::PublishProgress;

#[cfg(all(test, not(relay_loom)))]
pub(super) use placement::Upkeep;

/// The longest delay before an attempt that may succeed.
const MAX_BACK_OFF: Duration = Duration::from_secs(300);

/// The intervals of publication.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intervals {
    /// The delay between a change and its publication.
    pub(super) debounce: Duration,
    /// The TTL of the records.
    pub(super) ttl: Duration,
    /// How often the record is signed and stored again.
    pub(super) refresh: Duration,
    /// The shortest interval between records that differ only in load.
    pub(super) load_interval: Duration,
    /// After this time, an action that has not ended no longer prevents the next.
    pub(super) timeout: Duration,
}

/// A request to the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Put(SignedRecord),
    Join(ShardPath, SignedRecord),
    Leave(ShardPath, SignedRecord),
    /// Renews the mark of a shard above the one that the record was listed in.
    Divide(ShardPath, SignedRecord),
}

impl Action {
    /// The shard of the directory, if it concerns one, and the record.
    pub(super) fn target(&self) -> (Option<ShardPath>, &SignedRecord) {
        match self {
            Self::Put(record) => (None, record),
            Self::Join(path, record) | Self::Leave(path, record) | Self::Divide(path, record) => {
                (Some(*path), record)
            }
        }
    }
}

/// The state and the schedule of publication.
#[derive(Debug)]
pub(super) struct Publisher {
    key: Arc<SecretKey>,
    network: Network,
    limits: Limits,
    intervals: Intervals,
    /// The relay as it is registered now.
    local: Option<LocalRelay>,
    /// Since when the local relay differs from the current record in more than its load. A
    /// relay that opens or closes counts as such a difference, although only the load shows it.
    changed_at: Option<Duration>,
    current: Option<PublishProgress>,
    /// Whether the relay was open when the current record was signed.
    current_is_open: bool,
    /// The latest record that the engine stored. It is in force until the current one is stored.
    stored: Option<SignedRecord>,
    /// Until when a withdrawn announcement may still be accepted by other nodes.
    withdrawn_until: Duration,
    /// How often the present withdrawal was signed.
    withdrawals: u32,
    last_sequence: Option<u64>,
    in_flight_since: Option<Duration>,
    not_before: Duration,
    back_off: RetryBackoff,
}

impl Publisher {
    pub(super) fn new(
        key: Arc<SecretKey>,
        network: Network,
        limits: Limits,
        intervals: Intervals,
    ) -> Self {
        Self {
            key,
            network,
            limits,
            intervals,
            local: None,
            changed_at: None,
            current: None,
            current_is_open: true,
            stored: None,
            withdrawn_until: Duration::ZERO,
            withdrawals: 0,
            last_sequence: None,
            in_flight_since: None,
            not_before: Duration::ZERO,
            back_off: RetryBackoff::new(Duration::from_secs(1), MAX_BACK_OFF),
        }
    }

    /// Updates the local relay; none if it is not registered.
    pub(super) fn observe(&mut self, local: Option<LocalRelay>, now: Duration) {
        self.local = local;
        let local = self.local.as_ref();
        let current = self
            .current
            .as_ref()
            .and_then(PublishProgress::announcement);
        let opens_or_closes = local.is_some_and(|local| local.is_open != self.current_is_open);
        let is_same = is_same_but_for_load(local.map(|local| &local.announcement), current);
        self.changed_at = if is_same && !opens_or_closes {
            None
        } else {
            // Further changes do not extend the delay.
            self.changed_at.or(Some(now))
        };
    }

    /// Whether the local relay is published or withdrawn as it is now, except for its load.
    pub(super) fn is_settled(&self) -> bool {
        let is_published = |current: &PublishProgress| current.is_done() && !current.has_failed();
        self.changed_at.is_none() && self.current.as_ref().is_none_or(is_published)
    }

    /// The latest record that the engine stored.
    pub(super) fn published(&self) -> Option<&SignedRecord> {
        self.stored.as_ref()
    }

    /// The highest sequence that was signed.
    #[cfg(feature = "persistence")]
    pub(super) fn last_sequence(&self) -> Option<u64> {
        self.last_sequence
    }

    /// A sequence that was signed by an earlier process: none that is not above it is signed.
    #[cfg(feature = "persistence")]
    pub(super) fn restore_sequence(&mut self, sequence: u64) {
        self.last_sequence = self.last_sequence.max(Some(sequence));
    }

    /// The action that is due, unless another is in flight. An action that has not ended after
    /// [`Intervals::timeout`] does not count as in flight.
    pub(super) fn next(&mut self, now: Now, random: &mut Rng) -> Option<Action> {
        let is_in_flight = self
            .in_flight_since
            .is_some_and(|since| now.at.saturating_sub(since) < self.intervals.timeout);
        if is_in_flight || now.at < self.not_before {
            return None;
        }
        if self.signing_due(now.at).is_some_and(|due| due <= now.at) {
            self.start_publication(now, random);
        }
        let action = self.current.as_ref()?.next(now.at);
        self.in_flight_since = action.is_some().then_some(now.at);
        action
    }

    /// When the next record is to be signed.
    fn signing_due(&self, now: Duration) -> Option<Duration> {
        if let Some(changed_at) = self.changed_at {
            return Some(changed_at.saturating_add(self.intervals.debounce));
        }
        let current = self.current.as_ref()?;
        if current.is_superseded() {
            return Some(Duration::ZERO);
        }
        let refresh_at = current.refresh_at();
        match &self.local {
            Some(local) if current.announcement() != Some(&local.announcement) => {
                let load_at = current
                    .signed_at()
                    .saturating_add(self.intervals.load_interval);
                Some(refresh_at.min(load_at))
            }
            Some(_) => Some(refresh_at),
            // A withdrawal is repeated while other nodes may still store the announcement.
            None => (now < self.withdrawn_until).then_some(refresh_at),
        }
    }

    fn start_publication(&mut self, now: Now, random: &mut Rng) {
        let placement = self.current.take().map(PublishProgress::into_placement);
        let own = self.key.node_id();
        let local = self.local.clone();
        let is_open = local.as_ref().is_none_or(|local| local.is_open);
        let announcement = local.map(|local| local.announcement);
        let Some(record) = self.sign(announcement, now.wall) else {
            // The wall clock is outside the range of records.
            self.not_before = now.at.saturating_add(self.intervals.refresh);
            return;
        };
        let refresh = with_jitter(self.next_refresh(now.at), random);
        self.changed_at = None;
        self.current_is_open = is_open;
        self.current = Some(PublishProgress::new(
            record,
            now.at,
            now.at.saturating_add(refresh),
            self.intervals.ttl.max(self.limits.refresh * 2),
            placement.unwrap_or_else(|| Placement::new(self.limits, &own)),
        ));
    }

    /// How soon the record that is signed now is signed again. A withdrawal is repeated after an
    /// eighth of a refresh, and then at intervals that double: a concurrent write of another
    /// node may have undone it.
    fn next_refresh(&mut self, now: Duration) -> Duration {
        let refresh = self.intervals.refresh;
        if self.local.is_some() {
            self.withdrawn_until = now.saturating_add(self.intervals.ttl);
            self.withdrawals = 0;
            return refresh;
        }
        let soon = (refresh / 8).saturating_mul(1 << self.withdrawals.min(3));
        self.withdrawals = self.withdrawals.saturating_add(1);
        soon
    }

    fn sign(&mut self, announcement: Option<Announcement>, wall: Duration) -> Option<SignedRecord> {
        let sequence = next_sequence(self.last_sequence, wall);
        let ttl = self.intervals.ttl;
        let record = match announcement {
            Some(announcement) => RelayRecord::announce(announcement, sequence, wall, ttl).ok()?,
            None => RelayRecord::withdraw(sequence, wall, ttl).ok()?,
        };
        let signed = SignedRecord::sign(&record, &self.key, &self.network).ok()?;
        self.last_sequence = Some(sequence);
        Some(signed)
    }

    /// Applies the outcome of an action.
    pub(super) fn action_finished(
        &mut self,
        action: &Action,
        outcome: &Result<Put, DhtError>,
        now: Now,
        random: &mut Rng,
    ) {
        self.in_flight_since = None;
        let current = self.current.as_mut();
        let Some(current) = current.filter(|current| current.is_of(action)) else {
            return;
        };
        match outcome {
            Ok(put) => {
                if let Action::Put(record) = action {
                    self.stored = Some(record.clone());
                }
                current.succeeded(action, put, now.at, random);
                self.back_off.reset();
                return;
            }
            Err(DhtError::Superseded { stored }) => {
                let max = max_credible_sequence(now.wall);
                let stored = stored.filter(|stored| *stored <= max);
                self.last_sequence = self.last_sequence.max(stored);
                current.supersede();
            }
            // Other nodes write the shard at the same time. Retry after a back-off.
            Err(DhtError::Conflict) if !matches!(action, Action::Put(_)) => {
                current.postpone(action);
            }
            Err(DhtError::Conflict) => current.supersede(),
            Err(DhtError::Full { .. })
                if matches!(action, Action::Join(..)) && current.move_on(action, now.at) =>
            {
                return;
            }
            Err(error) if error.is_transient() || *error == DhtError::Closed => {
                current.postpone(action);
            }
            // A retry would fail, too. The next record is another attempt: soon, if an operator may
            // have given the missing right.
            Err(error) => {
                current.failed(action);
                if matches!(error, DhtError::Rejected { .. }) {
                    current.refresh_by(now.at.saturating_add(MAX_BACK_OFF));
                }
            }
        }
        self.not_before = now.at.saturating_add(self.back_off.fail(random));
    }

    /// The tombstone to store and the shards to leave when the registry is dropped, unless
    /// nothing was published.
    pub(super) fn final_tombstone(
        &mut self,
        wall: Duration,
    ) -> Option<(SignedRecord, Vec<ShardPath>)> {
        let current = self.current.as_ref()?;
        if current.announcement().is_none() && current.is_done() {
            return None;
        }
        let shards = current.placement().to_leave();
        let tombstone = self.sign(None, wall)?;
        Some((tombstone, shards))
    }
}

fn is_same_but_for_load(one: Option<&Announcement>, other: Option<&Announcement>) -> bool {
    let without_load = |announcement: &Announcement| announcement.clone().with_load(None);
    one.map(without_load) == other.map(without_load)
}

/// The highest sequence that other nodes accept at `wall`.
fn max_credible_sequence(wall: Duration) -> u64 {
    u64::try_from(wall.saturating_add(MAX_SKEW).as_micros()).unwrap_or(u64::MAX)
}

#[cfg(all(test, not(relay_loom)))]
mod tests;

//! What this node says of itself, and when: an outbox of one latest value.
//!
//! A node can sign for itself only, so what it publishes is the relay whose id
//! is its key's, for as long as that is registered locally. [`Publisher`] is
//! told what the registry holds ([`observe`](Publisher::observe)), as often as
//! anybody likes: it looks at differences, not at events, and so none can be
//! lost and none piles up. It says what to do next ([`next`](Publisher::next)),
//! one thing at a time, and is told how that ended.
//!
//! ```text
//! wanted ──debounce──> signed statement ──put──> stored ──join──> listed ─┐
//!            ▲                 ▲  └──superseded: sign above it            │
//!            └── registry      └───────────── refresh, load ──────────────┘
//! ```

mod statement;

use std::time::Duration;

use fastrand::Rng;

use super::backend::{LocalRelay, Now};
use super::engine::{DhtError, Limits};
use super::record::{Announcement, MAX_SKEW, Network, SecretKey, SignedRecord};
use super::retry::{RetryBackoff, a_little_less};
use crate::sync::Arc;
use statement::Statement;

/// When things are said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intervals {
    /// How long a change rests before it is signed.
    pub(super) debounce: Duration,
    /// The TTL of what is signed.
    pub(super) ttl: Duration,
    /// How soon it is said again.
    pub(super) refresh: Duration,
    /// How often a changed load is reason enough.
    pub(super) load_every: Duration,
    /// An act that has taken this long no longer holds up the next.
    pub(super) time_limit: Duration,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Put(SignedRecord),
    Join(u16, SignedRecord),
    Leave(u16, SignedRecord),
}

/// The outbox and its schedule.
#[derive(Debug)]
pub(super) struct Publisher {
    key: Arc<SecretKey>,
    network: Network,
    limits: Limits,
    intervals: Intervals,
    /// What the registry holds.
    wanted: Option<LocalRelay>,
    /// Since when that differs from what was said, in more than the load. That a
    /// relay opens or closes is more, though the load is what says so.
    changed_at: Option<Duration>,
    said: Option<Statement>,
    /// Whether the relay was open when that was said.
    said_open: bool,
    /// The latest that was stored: while the next is on its way, it still counts.
    stored: Option<SignedRecord>,
    /// Until when something that is withdrawn could still be believed.
    withdrawn_until: Duration,
    /// How often the present withdrawal was said.
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
            wanted: None,
            changed_at: None,
            said: None,
            said_open: true,
            stored: None,
            withdrawn_until: Duration::ZERO,
            withdrawals: 0,
            last_sequence: None,
            in_flight_since: None,
            not_before: Duration::ZERO,
            back_off: RetryBackoff::new(Duration::from_secs(1), Duration::from_secs(300)),
        }
    }

    /// Takes in what the registry holds at `now`.
    pub(super) fn observe(&mut self, wanted: Option<LocalRelay>, now: Duration) {
        self.wanted = wanted;
        let wanted = self.wanted.as_ref();
        let said = self.said.as_ref().and_then(Statement::announcement);
        let opens_or_closes = wanted.is_some_and(|wanted| wanted.is_open != self.said_open);
        let is_alike = is_alike(wanted.map(|wanted| &wanted.announcement), said);
        self.changed_at = if is_alike && !opens_or_closes {
            None
        } else {
            // Further changes rest no longer for it.
            self.changed_at.or(Some(now))
        };
    }

    /// Whether everything that is to be said has been said.
    pub(super) fn is_settled(&self) -> bool {
        self.changed_at.is_none() && self.said.as_ref().is_none_or(Statement::is_done)
    }

    /// What was stored last.
    pub(super) fn published(&self) -> Option<&SignedRecord> {
        self.stored.as_ref()
    }

    /// What to do at `now`, if anything. There is another when this was
    /// [ended](Self::done), or an engine that never returns is waited for no more.
    pub(super) fn next(&mut self, now: Now, random: &mut Rng) -> Option<Action> {
        let is_held_up = self
            .in_flight_since
            .is_some_and(|since| now.at.saturating_sub(since) < self.intervals.time_limit);
        if is_held_up || now.at < self.not_before {
            return None;
        }
        if self.signing_due(now.at).is_some_and(|due| due <= now.at) {
            self.sign(now, random);
        }
        let action = self.said.as_ref()?.next(now.at);
        self.in_flight_since = action.is_some().then_some(now.at);
        action
    }

    /// When the next statement is due.
    fn signing_due(&self, now: Duration) -> Option<Duration> {
        if let Some(changed_at) = self.changed_at {
            return Some(changed_at.saturating_add(self.intervals.debounce));
        }
        let said = self.said.as_ref()?;
        if said.is_void() {
            return Some(Duration::ZERO);
        }
        match &self.wanted {
            Some(wanted) if said.announcement() != Some(&wanted.announcement) => Some(
                said.refresh_at()
                    .min(said.signed_at().saturating_add(self.intervals.load_every)),
            ),
            Some(_) => Some(said.refresh_at()),
            // A withdrawal is repeated while what it withdraws could turn up.
            None => (now < self.withdrawn_until).then_some(said.refresh_at()),
        }
    }

    fn sign(&mut self, now: Now, random: &mut Rng) {
        let shards = self.said.take().map(Statement::into_shards);
        let own = self.key.node_id();
        let wanted = self.wanted.clone();
        let is_open = wanted.as_ref().is_none_or(|wanted| wanted.is_open);
        let announcement = wanted.map(|wanted| wanted.announcement);
        let Some(record) = self.statement(announcement, now.wall) else {
            // The clocks are beyond what records can say: later, perhaps.
            self.not_before = now.at.saturating_add(self.intervals.refresh);
            return;
        };
        let refresh = a_little_less(self.next_refresh(now.at), random);
        self.changed_at = None;
        self.said_open = is_open;
        self.said = Some(Statement::new(
            record,
            now.at,
            now.at.saturating_add(refresh),
            shards.unwrap_or_else(|| statement::Shards::new(self.limits, &own)),
        ));
    }

    /// How long what is said now stands. A withdrawal is said again soon, then ever
    /// more seldom: what others wrote at the same time may have undone it.
    fn next_refresh(&mut self, now: Duration) -> Duration {
        let refresh = self.intervals.refresh;
        if self.wanted.is_some() {
            self.withdrawn_until = now.saturating_add(self.intervals.ttl);
            self.withdrawals = 0;
            return refresh;
        }
        let soon = (refresh / 8).saturating_mul(1 << self.withdrawals.min(3));
        self.withdrawals = self.withdrawals.saturating_add(1);
        soon
    }

    fn statement(
        &mut self,
        announcement: Option<Announcement>,
        wall: Duration,
    ) -> Option<SignedRecord> {
        let sequence = super::next_sequence(self.last_sequence, wall);
        let ttl = self.intervals.ttl;
        let record = match announcement {
            Some(announcement) => {
                super::RelayRecord::announce(announcement, sequence, wall, ttl).ok()?
            }
            None => super::RelayRecord::withdraw(sequence, wall, ttl).ok()?,
        };
        let signed = SignedRecord::sign(&record, &self.key, &self.network).ok()?;
        self.last_sequence = Some(sequence);
        Some(signed)
    }

    /// Takes in how `act` ended.
    pub(super) fn done(
        &mut self,
        action: &Action,
        outcome: &Result<(), DhtError>,
        now: Now,
        random: &mut Rng,
    ) {
        self.in_flight_since = None;
        let Some(said) = self.said.as_mut().filter(|said| said.is_of(action)) else {
            return;
        };
        match outcome {
            Ok(()) => {
                if let Action::Put(record) = action {
                    self.stored = Some(record.clone());
                }
                said.succeeded(action, now.at, random);
                self.back_off.reset();
                return;
            }
            Err(DhtError::Superseded { stored }) => {
                let latest = latest_credible(now.wall);
                let stored = stored.filter(|stored| *stored <= latest);
                self.last_sequence = self.last_sequence.max(stored);
                said.void();
            }
            // Others write the shard at the same time, which a pause ends.
            Err(DhtError::Conflict) if !matches!(action, Action::Put(_)) => {}
            Err(DhtError::Conflict) => said.void(),
            Err(DhtError::Full { .. }) if matches!(action, Action::Join(..)) && said.move_on() => {
                return;
            }
            Err(error) if error.is_transient() || *error == DhtError::Closed => {}
            // The same again would meet with the same: leave it until the next.
            Err(_) => said.gave_up(action),
        }
        self.not_before = now.at.saturating_add(self.back_off.fail(random));
    }

    /// The last word, if there is anything to take back: a tombstone, and the
    /// shards to leave.
    pub(super) fn final_tombstone(&mut self, wall: Duration) -> Option<(SignedRecord, Vec<u16>)> {
        let said = self.said.as_ref()?;
        if said.announcement().is_none() && said.is_done() {
            return None;
        }
        let shards = said.joined().to_vec();
        let tombstone = self.statement(None, wall)?;
        Some((tombstone, shards))
    }
}

/// Whether two say the same, but for the load.
fn is_alike(one: Option<&Announcement>, other: Option<&Announcement>) -> bool {
    let bare = |announcement: &Announcement| announcement.clone().with_load(None);
    one.map(bare) == other.map(bare)
}

/// The highest sequence that can be believed at `wall`.
fn latest_credible(wall: Duration) -> u64 {
    u64::try_from(wall.saturating_add(MAX_SKEW).as_micros()).unwrap_or(u64::MAX)
}

#[cfg(all(test, not(relay_loom)))]
mod tests;

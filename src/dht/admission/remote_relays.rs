//! The remote relays that are known, with indexes by what is due.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::probe_schedule::{ProbeSchedule, Relays};
use super::quotas::{PerPrefix, Prefix, Quotas};
use super::remote_relay::{History, Queue, RemoteRelay};
use crate::dht::engine::ShardPath;
use crate::dht::record::{Announcement, SignedRecord};
use crate::relay::{Endpoint, NodeId};

/// All candidates and all verified relays.
#[derive(Debug)]
pub(super) struct RemoteRelays {
    relays: Relays,
    schedule: ProbeSchedule,
    by_requery: BTreeSet<(Duration, NodeId)>,
    /// By the end of the record, since the Unix epoch.
    by_expiry: BTreeSet<(Duration, NodeId)>,
    quotas: Quotas,
    verified: usize,
    arrivals: u64,
}

impl RemoteRelays {
    pub(super) const fn new(per_prefix: PerPrefix, schedule: ProbeSchedule) -> Self {
        Self {
            relays: BTreeMap::new(),
            schedule,
            by_requery: BTreeSet::new(),
            by_expiry: BTreeSet::new(),
            quotas: Quotas::new(per_prefix),
            verified: 0,
            arrivals: 0,
        }
    }

    pub(super) fn get(&self, id: &NodeId) -> Option<&RemoteRelay> {
        self.relays.get(id)
    }

    /// For the fields that no index depends on.
    pub(super) fn get_mut(&mut self, id: &NodeId) -> Option<&mut RemoteRelay> {
        self.relays.get_mut(id)
    }

    pub(super) fn candidates(&self) -> usize {
        self.relays.len() - self.verified
    }

    pub(super) fn verified(&self) -> usize {
        self.verified
    }

    /// Whether the quota of the prefix of `endpoint` allows relay `id` there.
    pub(super) fn has_quota(&self, id: &NodeId, endpoint: &Endpoint) -> bool {
        let prefix = Prefix::of(endpoint);
        let is_there = |relay: &RemoteRelay| relay.prefix == prefix;
        self.relays.get(id).is_some_and(is_there) || self.quotas.has_room(&prefix)
    }

    /// Adds a relay that is not known, as a candidate whose first probe is due now.
    pub(super) fn insert(
        &mut self,
        record: &SignedRecord,
        endpoint: &Endpoint,
        history: History,
        now: Duration,
    ) {
        let id = record.node_id();
        let relay = RemoteRelay {
            record: record.clone(),
            prefix: Prefix::of(endpoint),
            is_verified: false,
            registered_until: Duration::ZERO,
            was_verified: history.was_verified,
            has_earned_priority: false,
            is_probing: false,
            was_probed: false,
            queue_key: self.schedule.queue_key(&id, now),
            queue: if history.has_priority {
                Queue::Returning
            } else {
                Queue::Unprobed
            },
            probe_at: now,
            due_since: now,
            requery_at: now,
            track_record: history.track_record,
            last_success: None,
            arrival: self.arrivals,
            shard: None,
        };
        self.arrivals += 1;
        self.add(id, relay);
    }

    /// Replaces the record of a relay whose endpoints and payload have not changed.
    pub(super) fn renew(&mut self, record: &SignedRecord) {
        let id = record.node_id();
        if let Some(before) = self.remove(&id) {
            let record = record.clone();
            self.add(id, RemoteRelay { record, ..before });
        }
    }

    /// Replaces the record of a relay whose endpoints or payload have changed. It is an unprobed
    /// candidate again, whatever its key did before, unless it has earned priority.
    pub(super) fn relocate(&mut self, record: &SignedRecord, endpoint: &Endpoint, now: Duration) {
        let id = record.node_id();
        let Some(before) = self.remove(&id) else {
            return;
        };
        let queue = match before.queue {
            Queue::Scheduled if before.has_earned_priority => Queue::Returning,
            Queue::Scheduled => Queue::Unprobed,
            waiting => waiting,
        };
        let queue_key = if before.queue == Queue::Unprobed {
            before.queue_key
        } else {
            self.schedule.queue_key(&id, now)
        };
        let relay = RemoteRelay {
            record: record.clone(),
            prefix: Prefix::of(endpoint),
            is_verified: false,
            has_earned_priority: false,
            is_probing: false,
            was_probed: false,
            queue_key,
            queue,
            probe_at: now,
            due_since: now,
            last_success: None,
            ..before
        };
        self.add(id, relay);
    }

    fn add(&mut self, id: NodeId, relay: RemoteRelay) {
        self.quotas.add(&relay.prefix);
        self.verified += usize::from(relay.is_verified);
        self.schedule.insert(&id, &relay);
        self.by_requery.insert((relay.requery_at, id));
        self.by_expiry
            .insert((relay.record.record().expires_at(), id));
        self.relays.insert(id, relay);
    }

    pub(super) fn remove(&mut self, id: &NodeId) -> Option<RemoteRelay> {
        let relay = self.relays.remove(id)?;
        self.schedule.remove(id, &relay);
        self.by_requery.remove(&(relay.requery_at, *id));
        self.by_expiry
            .remove(&(relay.record.record().expires_at(), *id));
        self.quotas.remove(&relay.prefix);
        self.verified -= usize::from(relay.is_verified);
        Some(relay)
    }

    /// Marks a relay as registered until then, by the registry's clock.
    pub(super) fn set_verified(&mut self, id: &NodeId, until: Duration) {
        self.update_schedule(id, |relay| {
            relay.is_verified = true;
            relay.registered_until = until;
            relay.was_verified = true;
            relay.has_earned_priority = true;
        });
    }

    /// Makes a verified relay a candidate again.
    pub(super) fn set_candidate(&mut self, id: &NodeId) {
        self.update_schedule(id, |relay| relay.is_verified = false);
    }

    /// Starts the next probe that is due.
    pub(super) fn begin_probe(&mut self, now: Duration) -> Option<(NodeId, Announcement)> {
        self.schedule
            .begin_probe(&mut self.relays, &self.quotas, now)
    }

    /// Limits further probes of a prefix in which a probe of a candidate failed.
    pub(super) fn drain_tokens(&mut self, endpoint: &Endpoint, now: Duration) {
        self.schedule.drain_tokens(endpoint, &self.quotas, now);
    }

    /// The number of candidates that wait for their first probe.
    pub(super) fn unprobed(&self) -> usize {
        self.schedule.unprobed()
    }

    /// Sets the time of a relay's next probe.
    pub(super) fn schedule_probe(&mut self, id: &NodeId, at: Duration) {
        self.update_schedule(id, |relay| {
            relay.queue = Queue::Scheduled;
            relay.is_probing = false;
            relay.probe_at = at;
            relay.due_since = at;
        });
    }

    /// Changes fields that the order of probes depends on.
    fn update_schedule(&mut self, id: &NodeId, change: impl FnOnce(&mut RemoteRelay)) {
        let Some(relay) = self.relays.get_mut(id) else {
            return;
        };
        self.schedule.remove(id, relay);
        self.verified -= usize::from(relay.is_verified);
        change(relay);
        self.verified += usize::from(relay.is_verified);
        self.schedule.insert(id, relay);
    }

    /// The relay whose record is to be requested again first, if that is due.
    pub(super) fn first_due_requery(&self, now: Duration) -> Option<NodeId> {
        let (_, id) = self.by_requery.first().filter(|(due, _)| *due <= now)?;
        Some(*id)
    }

    pub(super) fn set_requery(&mut self, id: &NodeId, at: Duration) {
        if let Some(relay) = self.relays.get_mut(id) {
            self.by_requery.remove(&(relay.requery_at, *id));
            relay.requery_at = at;
            self.by_requery.insert((at, *id));
        }
    }

    /// The relay whose record ends first, if it has ended at `wall`.
    pub(super) fn first_expired(&self, wall: Duration) -> Option<NodeId> {
        let (_, id) = self.by_expiry.first().filter(|(end, _)| *end <= wall)?;
        Some(*id)
    }

    /// The random rank of `id`, if it becomes a candidate now.
    pub(super) fn rank(&self, id: &NodeId, now: Duration) -> u64 {
        self.schedule.queue_key(id, now).rank
    }

    /// The relays that `shard` listed before, and that are not in `seen`.
    pub(super) fn missing(&self, shard: ShardPath, seen: &BTreeSet<NodeId>) -> Vec<NodeId> {
        self.relays
            .iter()
            .filter(|(id, relay)| relay.shard == Some(shard) && !seen.contains(id))
            .map(|(id, _)| *id)
            .collect()
    }

    /// The relays with ids in a range, in order.
    #[cfg(feature = "persistence")]
    pub(super) fn range(
        &self,
        ids: impl std::ops::RangeBounds<NodeId>,
    ) -> impl Iterator<Item = &RemoteRelay> {
        self.relays.range(ids).map(|(_, relay)| relay)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&NodeId, &RemoteRelay)> {
        self.relays.iter()
    }

    pub(super) fn iter_verified(&self) -> impl Iterator<Item = (&NodeId, &RemoteRelay)> {
        self.iter().filter(|(_, relay)| relay.is_verified)
    }
}

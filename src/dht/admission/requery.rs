//! When the records of known relays are requested again: they may have changed, or been
//! withdrawn.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Admission;
use crate::dht::backend::Now;
use crate::dht::engine::ShardPath;
use crate::dht::retry::with_jitter;
use crate::relay::NodeId;

/// The shortest interval between two requests for one relay, however short the refresh.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

impl Admission {
    /// The relay whose record is to be requested next, if that is due. The caller reports to
    /// [`requeried`](Self::requeried).
    pub(in crate::dht) fn next_requery(&mut self, now: Duration) -> Option<NodeId> {
        let id = self.remote.first_due_requery(now)?;
        // In case the request is never made, or never ends.
        self.requery_after(&id, now, self.policy.requery_interval / 2);
        Some(id)
    }

    /// Notes that the record of a relay was requested. It is complete if enough nodes answered
    /// to know the latest record.
    pub(in crate::dht) fn requeried(&mut self, id: &NodeId, is_complete: bool, now: Now) {
        if is_complete {
            self.schedule_requery(id, now);
        } else {
            self.requery_after(id, now.at, self.policy.requery_interval / 2);
        }
    }

    /// Schedules the next request: when half of the record's TTL has passed, because the relay
    /// should have refreshed it by then, and within the requery interval if the relay is
    /// verified.
    pub(super) fn schedule_requery(&mut self, id: &NodeId, now: Now) {
        let Some(relay) = self.remote.get(id) else {
            return;
        };
        let record = relay.record.record();
        let half = record.ttl() / 2;
        let wait = if relay.is_verified {
            let max = self.policy.requery_interval.min(half * 3 / 4);
            let refreshed_at = record.issued_at().saturating_add(half);
            refreshed_at.saturating_sub(now.wall).clamp(max / 8, max)
        } else {
            half
        };
        self.requery_after(id, now.at, wait);
    }

    fn requery_after(&mut self, id: &NodeId, now: Duration, wait: Duration) {
        let wait = with_jitter(wait, &mut self.random).max(MIN_INTERVAL);
        self.remote.set_requery(id, now.saturating_add(wait));
    }

    /// Notes the shard of the directory that lists a relay; `None` changes nothing.
    pub(in crate::dht) fn note_shard(&mut self, id: &NodeId, shard: Option<ShardPath>) {
        if let Some(relay) = self.remote.get_mut(id) {
            relay.shard = shard.or(relay.shard);
        }
    }

    /// Notes that a shard of the directory lists the relays `seen`. Returns those that it
    /// listed before and lists no longer.
    pub(in crate::dht) fn shard_read(
        &mut self,
        shard: ShardPath,
        seen: &BTreeSet<NodeId>,
    ) -> Vec<NodeId> {
        for id in seen {
            self.note_shard(id, Some(shard));
        }
        self.remote.missing(shard, seen)
    }
}

//! Copies of what records say: of one relay, of all, and how many there are.

use crate::registry::inner::Inner;
use crate::registry::relays::Relays;
use crate::relay::{Endpoint, NodeId, RelayInfo};
use crate::select::Candidate;
use crate::sync::Arc;
use crate::sync::epoch;
use crate::table::LiveRecord;
use crate::time::Tick;
use std::cmp::Reverse;

impl Relays {
    /// What the record says at `now`.
    #[inline(always)]
    pub(super) fn describe(&self, record: &LiveRecord<'_>, now: Tick) -> RelayInfo {
        record.describe(record.circuit(), false, now)
    }

    /// The same of a candidate, as it was judged.
    #[inline(always)]
    pub(super) fn describe_candidate(&self, candidate: &Candidate<'_>, now: Tick) -> RelayInfo {
        let is_last_resort = candidate.is_last_resort;
        candidate
            .record
            .describe(candidate.circuit, is_last_resort, now)
    }
}

impl Inner {
    /// The payload of a relay, if it is live and has one.
    pub(super) fn payload(&self, id: &NodeId) -> Option<Arc<[u8]>> {
        let (now, guard) = (self.relays.present(), epoch::pin());
        let record = self.relays.find_live(id, now, &guard)?;
        record.announcement().details.as_ref()?.payload.clone()
    }

    #[inline]
    pub(super) fn relay(&self, id: &NodeId) -> Option<RelayInfo> {
        let now = self.relays.present();
        let guard = epoch::pin();
        let record = self.relays.find_live(id, now, &guard)?;
        Some(self.relays.describe(&record, now))
    }

    pub(super) fn all_relays(&self) -> Vec<RelayInfo> {
        self.relays_at(self.relays.present())
    }

    fn relays_at(&self, now: Tick) -> Vec<RelayInfo> {
        let relays = &self.relays;
        let before = relays.publication().progress();
        let mut all = Vec::with_capacity(relays.table.estimate());
        relays.for_each_live(now, |record| {
            all.push(relays.describe(&record, now));
        });
        if relays.publication().progress() != before {
            keep_latest_of_each_id(&mut all);
        }
        all
    }

    /// The ids of the live relays at an endpoint, in order.
    pub(super) fn relays_with_endpoint(&self, endpoint: &Endpoint) -> Vec<NodeId> {
        let mut ids = Vec::new();
        self.relays.for_each_live(self.relays.present(), |record| {
            if record.announcement().is_at(endpoint) {
                ids.push(record.identity());
            }
        });
        ids.sort_unstable();
        // A relay that left and came back meanwhile may be met twice.
        ids.dedup();
        ids
    }

    pub(super) fn relay_count(&self) -> usize {
        self.relay_count_at(self.relays.present())
    }

    /// How many relays are live at `now`.
    pub(super) fn relay_count_at(&self, now: Tick) -> usize {
        let table = &self.relays.table;
        let is_swept = self.expiry.swept() >= now;
        if let Some(count) = is_swept.then(|| table.count(&epoch::pin())).flatten() {
            return count;
        }
        // Some that are counted may be due or departing: look at each.
        let before = self.relays.publication().progress();
        let mut count = 0;
        self.relays.for_each_live(now, |_| count += 1);
        if self.relays.publication().progress() == before {
            return count;
        }
        self.relays_at(now).len().min(table.max_relays())
    }
}

/// A relay that left and came back while all were visited may be seen twice.
fn keep_latest_of_each_id(relays: &mut Vec<RelayInfo>) {
    relays.sort_by_key(|relay| (relay.node_id, Reverse(relay.registered_at)));
    relays.dedup_by_key(|relay| relay.node_id);
}

//! Relays that are removed before their deadline: local ones that leave, and learned ones that
//! make room for local ones or that the DHT takes back.
//!
//! A learned relay is never renewed by a local registration: it departs, and the local one
//! takes over nothing that the other node claimed. It is removed by a compare-and-swap of
//! the lifecycle word that names its announcement, which says where the relay comes from.
//! So the removal cannot hit a local relay, whatever other threads do at the same time.

use crate::registry::inner::Inner;
use crate::relay::NodeId;
use crate::sync::epoch::{self, Guard};
use crate::table::record::Origin;
use crate::table::{Departure, LiveRecord, RecordRef};
use crate::time::Tick;

impl Inner {
    /// Removes a relay, learned or local; false if it is not live.
    pub(super) fn unregister(&self, id: &NodeId) -> bool {
        let _wakes = self.relays.events().subscribers_guard();
        let left = self.remove_live(id, self.relays.present(), |_| true);
        self.conclude_departure(id, left)
    }

    /// The same for a relay that is registered here, and not one that was learned. The caller wakes
    /// what waits for events.
    pub(super) fn unregister_local(&self, id: &NodeId, now: Tick) -> bool {
        let left = self.remove_live(id, now, |origin| origin == Origin::Local);
        self.conclude_departure(id, left)
    }

    fn conclude_departure(&self, id: &NodeId, left: bool) -> bool {
        if left {
            self.relays.counters.count_unregistration();
            self.link.notify_change(id);
        }
        left
    }

    /// Makes a relay depart that is live at `now`, if it comes from where `accept` says.
    #[inline(always)]
    fn remove_live(&self, id: &NodeId, now: Tick, accept: impl Fn(Origin) -> bool) -> bool {
        let relays = &self.relays;
        let hash = relays.table.hash(id);
        let guard = epoch::pin();
        while let Some(record) = relays.find_live_hashed((id, hash), now, &guard) {
            if !accept(record.announcement().origin) {
                return false;
            }
            if let Some(closing) = relays.table.depart(record) {
                closing.publish_departed(Departure::Left);
                self.expiry
                    .remember(relays, closing.with_hash(hash), now, false);
                return true;
            }
        }
        false
    }

    /// Removes a learned relay to make room for a local one; false if there is none. One
    /// without a recent round trip goes first, then the one of the lowest index.
    pub(super) fn evict_learned(&self, guard: &Guard) -> bool {
        if !self.link.is_connected() {
            return false;
        }
        let removed = self.learned_to_remove(0..self.relays.table.high_water(), guard);
        // One that left in between has made room, too.
        removed.map(|record| self.remove_learned(record)).is_some()
    }

    /// Which of the learned relays at these indices goes first.
    pub(super) fn learned_to_remove<'g>(
        &'g self,
        indices: impl Iterator<Item = u32>,
        guard: &'g Guard,
    ) -> Option<RecordRef<'g>> {
        let learned = |index: u32| {
            let record = self.relays.table.record_at(index, guard)?;
            learned(record).map(|_| record)
        };
        let mut first = None;
        for record in indices.filter_map(learned) {
            let is_unmeasured = record.rtt_micros().is_none();
            if first.is_none() || is_unmeasured {
                first = Some(record);
            }
            if is_unmeasured {
                break;
            }
        }
        first
    }

    /// Makes a relay depart, if it was learned.
    pub(super) fn remove_learned(&self, record: RecordRef<'_>) -> bool {
        let relays = &self.relays;
        loop {
            let Some(learned) = learned(record) else {
                return false;
            };
            if let Some(closing) = relays.table.depart(learned) {
                closing.publish_departed(Departure::Left);
                relays.counters.count_unregistration();
                let now = relays.timeline.tick();
                self.expiry.remember(relays, closing, now, false);
                return true;
            }
        }
    }
}

/// The record of a relay that is live and was learned.
fn learned(record: RecordRef<'_>) -> Option<LiveRecord<'_>> {
    record
        .observe_live()
        .filter(|live| live.announcement().origin == Origin::Learned)
}

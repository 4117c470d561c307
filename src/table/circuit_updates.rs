//! Changes of circuits: suspensions, and how they end.

use crate::sync::{Arc, epoch};
use crate::table::record::{BackOff, Circuit};
use crate::table::record_ref::RecordRef;
use crate::table::snapshot::Snapshot;
use crate::table::store::Store;
use crate::time::Tick;

impl Store {
    /// Recomputes the leaves of relays whose suspension (back-off or ban) has ended by `tick`,
    /// of at most `most` relays in each part of a snapshot.
    pub(super) fn refresh_ended_suspensions(&self, snapshot: &Snapshot, tick: Tick, most: usize) {
        if !self.publication.context.may_have_suspended() {
            return;
        }
        for part in snapshot.parts() {
            for _ in 0..most {
                // In this part, also if the snapshot is not in force any more: otherwise the
                // slot would stay due here for ever.
                let Some(slot) = part.due_at(tick) else {
                    break;
                };
                match part.at(slot) {
                    Some(relay) => {
                        let subject = self.subject(relay);
                        self.publication.refresh_leaf_at(part, slot, &subject, tick);
                    }
                    None => part.clear_vacant(slot),
                }
            }
        }
    }
}

impl RecordRef<'_> {
    /// Sets the circuit of a record that no search finds: before it is admitted, or after
    /// its relay is gone.
    pub(crate) fn begin_circuit(&self, next: impl Fn(Circuit) -> Circuit) {
        self.record.change_circuit(next);
    }

    /// Brings the circuit forward by one event; whether that changed anything.
    pub(crate) fn change_circuit(&self, next: impl Fn(Circuit) -> Circuit) -> bool {
        let circuit = self.record.circuit();
        if next(circuit) == circuit {
            return false;
        }
        let context = &self.store.publication.context;
        context.expect_suspended();
        let pending = self.begin_pending();
        let changed = self.record.change_circuit(next);
        self.refresh(true);
        drop(pending);
        if let Some(change) = changed {
            self.publish_circuit(change);
        }
        changed.is_some()
    }

    /// How long the relay backs off, counted from now.
    pub(crate) fn back_off(&self) -> BackOff {
        let context = &self.publication().context;
        context.settings.back_off(self.record, context.now())
    }

    /// Recomputes the leaves of relays whose suspension has ended, of at most `most` relays in
    /// each part of a snapshot.
    pub(crate) fn refresh_ended_suspensions(&self, snapshot: &Snapshot, most: usize) {
        let tick = self.publication().context.now();
        self.store.refresh_ended_suspensions(snapshot, tick, most);
    }

    /// Puts the relays on trial that failed in an outage which is over. Visits at most `most`
    /// suspended relays; whether those were all.
    pub(crate) fn end_outage(&self, most: usize) -> bool {
        end_outage(self.store, most)
    }

    /// Claims the trial that `seen` allows; false if the circuit has changed.
    pub(crate) fn claim_trial(&self, seen: Circuit, back_off: BackOff) -> bool {
        if seen.with_trial(back_off) == seen {
            // A last resort that was handed out in this tick before: neither its word nor its
            // leaf changes.
            return self.record.circuit() == seen;
        }
        // The trial may be over again before the leaf is refreshed.
        let _pending = self.begin_pending();
        let is_claimed = self.record.claim_trial(seen, back_off);
        self.refresh(false);
        is_claimed
    }
}

/// Puts the relays on trial that failed in an outage of this node, after that is over. Visits
/// at most `most` suspended relays; whether those were all.
pub(super) fn end_outage(store: &Arc<Store>, most: usize) -> bool {
    let snapshot = store.publication.load();
    let mut left = most;
    for part in snapshot.parts() {
        let mut from = 0;
        while let Some(slot) = part.suspended_from(from) {
            if left == 0 {
                return false;
            }
            (left, from) = (left - 1, slot + 1);
            let Some(relay) = part.at(slot) else {
                continue;
            };
            // Pinned anew for each, so that the epoch can advance in between.
            let guard = epoch::pin();
            if let Some(record) = RecordRef::resolve(store, relay, &guard) {
                let back_off = record.back_off();
                record.change_circuit(|circuit| circuit.with_outage_over(back_off));
            }
        }
    }
    true
}

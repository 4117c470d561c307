//! Changes of circuits: relays that are left alone, and how that ends.

use crate::sync::{Arc, epoch};
use crate::table::record::{BackOff, Circuit};
use crate::table::record_ref::RecordRef;
use crate::table::snapshot::Snapshot;
use crate::table::store::Store;
use crate::time::Tick;

impl Store {
    /// Makes relays available whose back-off or ban is over at `tick`, up to so many in
    /// each part of a snapshot.
    pub(super) fn refresh_ended_suspensions(&self, snapshot: &Snapshot, tick: Tick, most: usize) {
        if !self.publication.context.may_have_suspended() {
            return;
        }
        for part in snapshot.parts() {
            for _ in 0..most {
                // Not in the snapshot in force, which may be another by now: here it
                // would stay due for ever.
                let Some(slot) = part.due_at(tick) else {
                    break;
                };
                if let Some(relay) = part.at(slot) {
                    self.publication
                        .refresh_leaf_at(part, slot, &self.subject(relay), tick);
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
        let _pending = self.begin_pending();
        let has_changed = self.record.change_circuit(next);
        self.refresh(true);
        has_changed
    }

    /// How long the relay is left alone, counted from now.
    pub(crate) fn back_off(&self) -> BackOff {
        let context = &self.publication().context;
        context.settings.back_off(self.record, context.now())
    }

    /// Makes relays available whose back-off is over, up to so many in each part of a
    /// snapshot.
    pub(crate) fn refresh_ended_suspensions(&self, snapshot: &Snapshot, most: usize) {
        let tick = self.publication().context.now();
        self.store.refresh_ended_suspensions(snapshot, tick, most);
    }

    /// Puts relays on trial that failed in an outage which is over. At most so many are
    /// looked at; whether that were all.
    pub(crate) fn end_outage(&self, most: usize) -> bool {
        end_outage(self.store, most)
    }

    /// Claims the trial that `seen` allows; false if it is no longer so.
    pub(crate) fn claim_trial(&self, seen: Circuit, back_off: BackOff) -> bool {
        if seen.with_trial(back_off) == seen {
            // A last resort that was handed out in this tick before: of its word, and so
            // of the summaries, nothing changes.
            return self.record.circuit() == seen;
        }
        // Until this is in the summaries, the trial may be over again.
        let _pending = self.begin_pending();
        let is_claimed = self.record.claim_trial(seen, back_off);
        self.refresh(false);
        is_claimed
    }
}

/// Puts relays on trial that failed in an outage of our own, after that is over. At most
/// so many of those left alone are looked at; whether that were all.
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
            // For each anew, so that they may be many.
            let guard = epoch::pin();
            if let Some(record) = RecordRef::resolve(store, relay, &guard) {
                let back_off = record.back_off();
                record.change_circuit(|circuit| circuit.with_outage_over(back_off));
            }
        }
    }
    true
}

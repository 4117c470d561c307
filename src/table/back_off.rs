//! Relays that are left alone, and how that ends.

use crate::sync::{Arc, epoch};
use crate::table::record::Handle;
use crate::table::record_ref::RecordRef;
use crate::table::snapshot::{Snapshot, Subject};
use crate::table::store::Store;
use crate::time::Tick;

impl Store {
    pub(super) fn subject(&self, handle: Handle) -> Subject<'_> {
        Subject {
            record: self.record(handle.index),
            extra: self.extra(handle.index),
            handle,
        }
    }

    /// Makes relays available whose back-off or ban is over at `tick`, up to so many in
    /// each part of a snapshot.
    pub(crate) fn wake_due(&self, snapshot: &Snapshot, tick: Tick, most: usize) {
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
                        .wake(part, slot, &self.subject(relay), tick);
                }
            }
        }
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

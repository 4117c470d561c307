//! How a relay that is there stands: failing.

use crate::record::{BackOff, Failure};
use crate::registry::core::Core;
use crate::relay::NodeId;
use crate::table::RecordRef;

impl Core {
    pub(super) fn report_failure(&self, relay: &NodeId, failure: Failure) -> bool {
        self.with_live(relay, |record| {
            let back_off = self.back_off(&record);
            record.change_circuit(|circuit| circuit.with_failure(failure, back_off));
        })
    }

    pub(super) fn report_success(&self, relay: &NodeId) -> bool {
        self.with_live(relay, |record| {
            if record.circuit().is_failing() {
                let back_off = self.back_off(&record);
                record.change_circuit(|circuit| circuit.with_success(back_off));
            }
        })
    }

    fn back_off(&self, record: &RecordRef<'_>) -> BackOff {
        self.table.back_off(record, self.timeline.tick())
    }
}

//! How a relay that is there stands: failing.

use crate::record::Failure;
use crate::registry::core::Core;
use crate::relay::NodeId;
use crate::time::Tick;

impl Core {
    pub(super) fn report_failure(&self, relay: &NodeId, failure: Failure, now: Tick) -> bool {
        self.with_live(relay, now, |record| {
            let back_off = self.table.back_off(&record, now);
            record.change_circuit(|circuit| circuit.with_failure(failure, back_off));
        })
    }

    pub(super) fn report_success(&self, relay: &NodeId, now: Tick) -> bool {
        self.with_live(relay, now, |record| {
            if record.circuit().is_failing() {
                let back_off = self.table.back_off(&record, now);
                record.change_circuit(|circuit| circuit.with_success(back_off));
            }
        })
    }
}

//! How attempts to use relays went, and what follows from that.

use crate::registry::core::Core;
use crate::relay::NodeId;
use crate::table::RecordRef;
use crate::table::record::{BackOff, Circuit, Failure, Fault, Source};
use crate::table::snapshot::Class;
use crate::time::Tick;

/// So many relays whose time has come, or that failed in an outage, are seen to by the
/// call that finds out; the rest by the next pass.
const MAX_AT_ONCE: usize = 64;

impl Core {
    pub(super) fn report_failure(&self, relay: &NodeId, failure: Failure, now: Tick) -> bool {
        self.with_live(relay, now, |record| {
            note_failure(&record, failure, Source::Id);
        })
    }

    pub(super) fn report_success(&self, relay: &NodeId, now: Tick) -> bool {
        self.with_live(relay, now, |record| note_success(&record, Source::Id))
    }

    pub(super) fn reset_circuit(&self, relay: &NodeId) -> bool {
        let now = self.present();
        let is_known = self.change_each_record(relay, |record| {
            let was_failing = record.circuit().is_penalised();
            record.change_circuit(Circuit::with_reset);
            was_failing || record.lifecycle().is_live_at(now)
        });
        // After the record, for one that is being forgotten takes its circuit along.
        self.circuit_history.forget(relay) | is_known
    }

    pub(super) fn reset_circuits(&self) {
        self.publication().context.outage.end();
        self.resets.of_circuits(|| {
            self.for_each_known(|record, _| {
                record.change_circuit(Circuit::with_reset);
            });
            // After the records, for one that is being forgotten takes its circuit along.
            self.circuit_history.forget_all();
        });
    }
}

/// Takes in that an attempt to use a relay failed.
pub(super) fn note_failure(record: &RecordRef<'_>, failure: Failure, source: Source) {
    let back_off = record.back_off();
    let fault = |is_outage| Fault {
        failure,
        source,
        is_outage,
    };
    let circuit = record.circuit();
    if circuit.with_failure(fault(false), back_off) == circuit {
        return;
    }
    let fault = fault(is_outage(record, back_off));
    let counts = record.change_circuit(|circuit| circuit.with_failure(fault, back_off));
    if counts && fault.is_outage && record.publication().context.outage.is_over() {
        record.change_circuit(|circuit| circuit.with_outage_over(back_off));
    }
}

/// Takes in that a relay was used with success.
pub(super) fn note_success(record: &RecordRef<'_>, source: Source) {
    if !record.circuit().is_failing() {
        return;
    }
    let back_off = record.back_off();
    let counts = record.change_circuit(|circuit| circuit.with_success(source, back_off));
    let outage = &record.publication().context.outage;
    if counts && source != Source::Probe && outage.end() && !record.end_outage(MAX_AT_ONCE) {
        outage.leave_rest();
    }
}

/// Whether a failure of this relay is taken for an outage of our own.
fn is_outage(record: &RecordRef<'_>, back_off: BackOff) -> bool {
    let outage = &record.publication().context.outage;
    if is_beyond_share(record) {
        outage.goes_on(back_off.now);
        return true;
    }
    let lasts = back_off.back_off_range.nanos_per_level() / back_off.tick_nanos;
    outage.includes(back_off.now, lasts)
}

/// Whether with this relay, too many back off of those that are eligible to a call
/// without options, or would be.
fn is_beyond_share(record: &RecordRef<'_>) -> bool {
    let publication = record.publication();
    let snapshot = publication.load();
    record.wake_others(&snapshot, MAX_AT_ONCE);
    let counts = snapshot.counts();
    let count = |class: Class| counts[class as usize];
    let available = count(Class::Measured) + count(Class::Unmeasured);
    let backing_off = count(Class::BackingOff);
    let joins = snapshot.class_of(&record.subject()).is_available();
    let failing = backing_off + usize::from(joins);
    let all = backing_off + available;
    failing as f64 > publication.context.terms.max_ejected_share * all as f64
}

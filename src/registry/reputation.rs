//! What a relay has earned by its failures and successes, and what of that outlives its
//! departure.
//!
//! # What outlives a departure
//!
//! There is one map, the [table](crate::table): a relay that left or expired keeps its
//! record, and with it leases, load, round trips, circuit, ban and draining. Each
//! operation on an id looks there, whether the relay is live or gone. A ban or draining of an
//! id without a record makes one, which is gone from the start. A restart moves all but the
//! leases to another record.
//!
//! When a record is forgotten, it has no lease, ban or draining left. Only penalties of its
//! circuit remain, and they go to the [`CircuitHistory`], in eight bytes. Each record of the
//! same id that is made later begins with them. So these three steps are all there is:
//!
//! 1. [`Reputation::save`]: a record is being forgotten, and its circuit goes to the history.
//! 2. [`Reputation::restore`]: a record is being made, and takes its circuit from there.
//! 3. [`Reputation::discard`], [`Reputation::discard_all`]: circuits are reset. The records
//!    come first and the history second, since a record that is forgotten meanwhile moves
//!    its circuit from the first to the second.

use crate::footprint::Footprint;
use crate::registry::circuit_history::CircuitHistory;
use crate::relay::NodeId;
use crate::sync::{AtomicU32, Ordering, Touch};
use crate::table::RecordRef;
use crate::table::record::{BackOff, Circuit, Failure, Fault, Source};
use crate::table::snapshot::LeafState;

/// One call refreshes at most so many relays whose back-off has ended, in each part of the
/// snapshot, and visits at most so many suspended relays at the end of an outage. The next
/// maintenance pass does the rest.
const MAX_AT_ONCE: usize = 64;

/// The circuits of relays without a record, and how often all relays were reset.
pub(crate) struct Reputation {
    history: CircuitHistory,
    circuit_resets: ResetCount,
    rtt_resets: ResetCount,
}

impl Reputation {
    pub(super) fn footprint(&self) -> Footprint {
        self.history.footprint()
    }
}

/// How often something of all relays was reset at once.
///
/// A relay that restarts moves to another record, which takes over what is known of it. The
/// thread that admits it reads, before it takes that over, how many resets have ended, and
/// after the admission how many have begun. If the numbers differ, it resets the new record
/// itself. A thread that resets all relays counts the reset as begun, visits all records,
/// and counts it as ended. To count a reset as begun and to read that count are
/// read-modify-writes: of the two threads, either one sees the count or the other sees the
/// record.
#[derive(Debug, Default)]
struct ResetCount {
    begun: AtomicU32,
    ended: AtomicU32,
}

/// How many resets there were of each kind.
#[derive(Clone, Copy)]
pub(crate) struct Resets {
    pub(super) circuits: u32,
    pub(super) rtts: u32,
}

impl Reputation {
    /// `None` if there is not enough memory.
    pub(super) fn new() -> Option<Self> {
        Some(Self {
            history: CircuitHistory::new()?,
            circuit_resets: ResetCount::default(),
            rtt_resets: ResetCount::default(),
        })
    }

    /// Keeps the penalties of a record that is being forgotten.
    #[inline(always)]
    pub(super) fn save(&self, record: &RecordRef<'_>) {
        let circuit = record.circuit();
        // As a rule there is nothing to keep, and nothing to replace.
        if circuit == Circuit::CLOSED && !self.history.is_used() {
            return;
        }
        let circuit = circuit.with_outage_over(record.back_off());
        self.history.insert(&record.identity(), circuit);
    }

    /// Keeps the circuit of an id that has no record.
    #[cfg(feature = "persistence")]
    pub(super) fn keep(&self, relay: &NodeId, circuit: Circuit) {
        self.history.insert(relay, circuit);
    }

    /// The circuit that a new record of this id begins with.
    #[inline]
    pub(super) fn saved(&self, relay: &NodeId) -> Option<Circuit> {
        self.history.get(relay)
    }

    /// Gives a new record, which is not admitted yet, the circuit that was saved.
    pub(super) fn restore(&self, record: &RecordRef<'_>, relay: &NodeId) {
        if let Some(saved) = self.saved(relay) {
            record.publication().context.expect_suspended();
            record.begin_circuit(|_| saved);
        }
    }

    /// Drops what was saved of one relay; whether there was anything.
    pub(super) fn discard(&self, relay: &NodeId) -> bool {
        self.history.remove(relay)
    }

    /// Drops what was saved of all relays.
    pub(super) fn discard_all(&self) {
        self.history.clear();
    }

    /// The resets that have ended, for a thread that is about to take over what is known of
    /// a relay.
    pub(super) fn resets_ended(&self) -> Resets {
        Resets {
            circuits: self.circuit_resets.ended(),
            rtts: self.rtt_resets.ended(),
        }
    }

    /// The resets that have begun, for a thread that has admitted such a relay.
    pub(super) fn resets_begun(&self) -> Resets {
        Resets {
            circuits: self.circuit_resets.begun(),
            rtts: self.rtt_resets.begun(),
        }
    }

    /// Resets all circuits by what `reset` does.
    pub(super) fn reset_circuits(&self, reset: impl FnOnce()) {
        self.circuit_resets.during(reset);
    }

    /// Forgets all round trips by what `forget` does.
    pub(super) fn reset_rtts(&self, forget: impl FnOnce()) {
        self.rtt_resets.during(forget);
    }
}

impl ResetCount {
    fn ended(&self) -> u32 {
        // Acquire: what those resets changed is seen.
        self.ended.load(Ordering::Acquire)
    }

    fn begun(&self) -> u32 {
        // See `ResetCount`.
        self.begun.touch()
    }

    fn during(&self, visit: impl FnOnce()) {
        // AcqRel: see `ResetCount`.
        self.begun.fetch_add(1, Ordering::AcqRel);
        visit();
        // Release: see `ended`.
        self.ended.fetch_add(1, Ordering::Release);
    }
}

/// Applies a failed attempt to use the relay to its circuit.
pub(super) fn record_failure(record: &RecordRef<'_>, failure: Failure, source: Source) {
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

/// Applies a successful use of the relay to its circuit.
pub(super) fn record_success(record: &RecordRef<'_>, source: Source) {
    if !record.circuit().is_failing() {
        return;
    }
    let back_off = record.back_off();
    let counts = record.change_circuit(|circuit| circuit.with_success(source, back_off));
    let outage = &record.publication().context.outage;
    if counts && source != Source::Probe && outage.end() && !record.end_outage(MAX_AT_ONCE) {
        outage.defer_rest();
    }
}

/// Puts a returning relay that failed in an outage on trial, if the outage has ended since or
/// the relay is not remembered. For a record that is not admitted yet.
pub(super) fn apply_outage_end(record: &RecordRef<'_>, is_remembered: bool) {
    let context = &record.publication().context;
    if record.circuit() == Circuit::CLOSED {
        return;
    }
    context.expect_suspended();
    if !is_remembered || context.outage.is_over() {
        let back_off = record.back_off();
        record.begin_circuit(|circuit| circuit.with_outage_over(back_off));
    }
}

/// Looks at the outage again, after the relay was admitted: a thread that ended the outage
/// meanwhile may have looked for the relays that failed in it before this one could be found.
pub(super) fn recheck_outage_end(record: &RecordRef<'_>) {
    let back_off = record.back_off();
    let on_trial = |circuit: Circuit| circuit.with_outage_over(back_off);
    let circuit = record.circuit();
    if on_trial(circuit) != circuit && record.publication().context.outage.is_over() {
        record.change_circuit(on_trial);
    }
}

/// Whether a failure of this relay is due to an outage of this node's own network.
fn is_outage(record: &RecordRef<'_>, back_off: BackOff) -> bool {
    let outage = &record.publication().context.outage;
    if is_beyond_share(record) {
        outage.extend(back_off.now);
        return true;
    }
    let lasts = back_off.back_off_range.nanos_per_level() / back_off.tick_nanos;
    outage.includes(back_off.now, lasts)
}

/// Whether, with this relay, more than the allowed share back off of the relays that are
/// eligible to a call without options, or would be.
fn is_beyond_share(record: &RecordRef<'_>) -> bool {
    let publication = record.publication();
    let snapshot = publication.load();
    record.refresh_ended_suspensions(&snapshot, MAX_AT_ONCE);
    let counts = snapshot.counts();
    let available = counts.of(LeafState::Measured) + counts.of(LeafState::Unmeasured);
    let backing_off = counts.of(LeafState::LastResort);
    let joins = snapshot.state_of(&record.subject()).is_eligible();
    let failing = backing_off + usize::from(joins);
    let all = backing_off + available;
    failing as f64 > publication.context.settings.max_ejected_share * all as f64
}

//! How long the records of relays that are gone are kept, and when they are forgotten.

use crate::footprint::Footprint;
use crate::registry::relays::Relays;
use crate::table::record::{Announcement, Handle, Load, Origin};
use crate::table::{Closing, ObservedRecord, RecordRef};
use crate::time::Tick;
use std::collections::VecDeque;

/// Whether a relay was registered here, and its grace has not ended.
pub(super) fn is_local_in_grace(record: &ObservedRecord<'_>, now: Tick) -> bool {
    let word = record.word();
    let is_in_grace = word.is_gone() && word.is_remembered_at(now);
    let last = record.announcement();
    is_in_grace && last.is_some_and(|last| last.origin == Origin::Local)
}

/// For how long a relay is remembered that announced this, in nanoseconds.
pub(super) fn grace_of(relays: &Relays, announcement: &Announcement) -> u64 {
    let grace = relays.settings.return_grace_nanos;
    grace.unwrap_or(announcement.ttl_nanos)
}

/// Until when a relay with this grace is remembered that left or expired at `since`.
pub(super) fn remembered_until(relays: &Relays, grace: u64, since: Tick) -> Tick {
    Tick(since.0.saturating_add(relays.timeline.ticks_in(grace)))
}

/// Handles of relays that are gone, the longest gone first. Some entries are stale: their
/// relay came back, or is kept for a reason by now.
#[derive(Debug, Default)]
pub(crate) struct GoneQueue {
    handles: VecDeque<Handle>,
    /// The length after the last pruning.
    pruned_to: usize,
}

impl GoneQueue {
    /// Adds one, and drops the entries that `is_current` rejects, at a constant price on
    /// average.
    pub(super) fn push(&mut self, gone: Handle, mut is_current: impl FnMut(Handle) -> bool) {
        self.handles.push_back(gone);
        if self.handles.len() > 2 * self.pruned_to + 1024 {
            self.handles.retain(|&gone| is_current(gone));
            self.pruned_to = self.handles.len();
        }
    }

    pub(super) fn footprint(&self) -> Footprint {
        Footprint::of_items::<Handle>(self.handles.capacity())
    }

    pub(super) fn pop(&mut self) -> Option<Handle> {
        self.handles.pop_front()
    }
}

/// Why a record that is gone is kept: for its leases, or what the operator said.
struct Reasons {
    are_any: bool,
    /// When a ban ends.
    until: Option<Tick>,
}

/// Forgets a record that is gone, unless it has leases or operator settings; with
/// `in_grace_stays`, also unless its grace has not ended yet. When to look again.
pub(super) fn forget_unless_needed(
    relays: &Relays,
    record: RecordRef<'_>,
    tick: Tick,
    in_grace_stays: bool,
) -> Option<Tick> {
    loop {
        let gone = record.observe();
        let word = gone.word();
        if !word.is_gone() {
            // If it is gone again, the thread that owns it pushes it to the inbox.
            return None;
        }
        if in_grace_stays && !word.is_kept() && word.deadline() > tick {
            return Some(word.deadline());
        }
        let reasons = reasons_to_keep(&record, tick);
        if word.is_kept() && reasons.are_any {
            return reasons.until;
        }
        let Some(closing) = relays.table.close_gone(gone) else {
            continue;
        };
        // Once more: a thread may have given a reason before it could see that the record is
        // closing.
        if reasons_to_keep(&record, tick).are_any {
            closing.keep();
            continue;
        }
        relays.reputation.save(&record);
        closing.forget();
        return None;
    }
}

/// Forgets a record that has just departed, unless it has leases or operator settings.
#[inline(always)]
pub(super) fn forget_or_keep(relays: &Relays, closing: Closing<'_>, tick: Tick) {
    let record = closing.record();
    // The load was closed after the lifecycle had changed, which touches it.
    if Reasons::of(&record, record.load(), tick).are_any {
        closing.keep();
        // A reason may have ended before the record was kept.
        forget_unless_needed(relays, record, tick, true);
    } else {
        relays.reputation.save(&record);
        closing.forget();
    }
}

/// This touches the load (acquire and release), then loads the circuit and the policy. A thread
/// that gives a reason changes one of the three, touches the load, and then loads the lifecycle. If
/// its touch comes first, the reason is seen here. Otherwise that thread sees that the record
/// is closing, and repeats its update.
fn reasons_to_keep(record: &RecordRef<'_>, tick: Tick) -> Reasons {
    Reasons::of(record, record.touch_load(), tick)
}

impl Reasons {
    fn of(record: &RecordRef<'_>, load: Load, tick: Tick) -> Self {
        let circuit = record.circuit();
        let until = circuit.is_banned(tick).then(|| circuit.until());
        let is_said = load.is_draining() || record.policy_word().has_operator_setting();
        Self {
            are_any: load.leases() > 0 || is_said || until.is_some(),
            until,
        }
    }
}

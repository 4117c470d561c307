//! Relays that are gone: how long they are remembered, and how they come back.

use crate::registry::announcement::{self, amended};
use crate::registry::core::Core;
use crate::registry::request::{AttemptError, Registration, Request, check_reachable};
use crate::sync::epoch;
use crate::table::record::{Announcement, Circuit, Handle, Lifecycle, Load, Origin};
use crate::table::{Closing, RecordRef};
use crate::time::{Moment, Tick};
use crate::wheel::Wheel;
use std::collections::VecDeque;
use std::convert::Infallible;

/// Without a thread that keeps house, one registration or departure in about so many has
/// the wheel hear of the records announced to it.
const DRAIN_EVERY: usize = 64;

/// Whether the grace of a relay that is gone has not ended yet.
fn is_remembered(word: Lifecycle, now: Tick) -> bool {
    !word.is_kept() && now < word.deadline()
}

/// Why a record that is gone is kept: for its leases, or for what the operator said.
struct Reasons {
    are_any: bool,
    /// When a ban ends.
    until: Option<Tick>,
}

/// Handles of relays that are gone, the longest gone first. Some entries are stale: their
/// relay came back, or is kept by now.
#[derive(Debug, Default)]
pub(crate) struct GoneQueue {
    handles: VecDeque<Handle>,
    /// The length after the last pruning.
    pruned_to: usize,
}

impl GoneQueue {
    /// Adds one, and leaves out those that `stays` does not take, at a constant price on
    /// average.
    fn add(&mut self, gone: Handle, mut stays: impl FnMut(Handle) -> bool) {
        self.handles.push_back(gone);
        if self.handles.len() > 2 * self.pruned_to + 1024 {
            self.handles.retain(|&gone| stays(gone));
            self.pruned_to = self.handles.len();
        }
    }
}

impl Core {
    /// Has a relay remembered that left or expired at `since`; of one that `lapsed`, what
    /// it announced, too. One that was learned is remembered for its leases alone.
    pub(super) fn remember(&self, closing: Closing<'_>, since: Tick, lapsed: bool) {
        let record = closing.record();
        let now = self.timeline.tick();
        let said = closing.announcement();
        let local = said.filter(|said| said.origin == Origin::Local);
        match local.map(|said| self.remembered_until(said, since)) {
            Some(until) if until > now => {
                closing.remember_until(until, lapsed);
                self.drain_occasionally();
            }
            _ => {
                closing.keep();
                self.review_gone(record, now, true);
            }
        }
    }

    fn remembered_until(&self, said: &Announcement, since: Tick) -> Tick {
        let grace = self.settings.return_grace_nanos.unwrap_or(said.ttl_nanos);
        let ticks = grace.div_ceil(self.timeline.tick_nanos());
        Tick(since.0.saturating_add(ticks))
    }

    /// Lets a relay in that was gone: as what it was, if it is remembered.
    pub(super) fn come_back(
        &self,
        record: RecordRef<'_>,
        word: Lifecycle,
        request: &Request<'_>,
        now: Moment,
    ) -> Result<Registration, AttemptError> {
        let is_remembered = is_remembered(word, now.tick);
        if request.origin == Origin::Learned && self.is_late_local(&record, word, now.tick) {
            return Err(AttemptError::Conflict);
        }
        let announcement = self.announcement_of(&record, word, request, now, is_remembered);
        check_reachable(&announcement.endpoint, announcement.nat)?;
        let registration = match is_remembered {
            true => Registration::Returned,
            false => Registration::New,
        };
        if request.options.restarted && record.load().leases() > 0 {
            // Before anything changes: what is remembered outlasts a refusal.
            self.ensure_room(request, record.guard())?;
            let closing = self.table.close_gone(record, word);
            let closing = closing.ok_or(AttemptError::Conflict)?;
            if !is_remembered {
                record.forget_rtt(now.nanos);
            }
            self.replace(closing, request, now, announcement)?;
            return Ok(registration);
        }
        self.bring_back(record, word, request, now, announcement, is_remembered)?;
        Ok(registration)
    }

    /// Whether a relay was registered here, and is only late.
    pub(super) fn is_late_local(&self, record: &RecordRef<'_>, word: Lifecycle, now: Tick) -> bool {
        let announced = word.is_gone() && is_remembered(word, now) && word.announced().is_some();
        announced && record.announcement(word).origin == Origin::Local
    }

    /// What the relay announces from now on: what it did before it lapsed, but for what
    /// the request says.
    fn announcement_of(
        &self,
        record: &RecordRef<'_>,
        word: Lifecycle,
        request: &Request<'_>,
        now: Moment,
        is_remembered: bool,
    ) -> Announcement {
        let last = word.announced().map(|_| record.announcement(word));
        match last {
            Some(last) if is_remembered && request.origin == Origin::Local => {
                announcement::returned(last, request, now)
            }
            _ => announcement::first(request, now, self.settings.ttl),
        }
    }

    fn bring_back(
        &self,
        record: RecordRef<'_>,
        word: Lifecycle,
        request: &Request<'_>,
        now: Moment,
        announcement: Announcement,
        is_remembered: bool,
    ) -> Result<(), AttemptError> {
        let guard = record.guard();
        self.ensure_room(request, guard)?;
        let in_flight = self.in_flight();
        let deadline = self.deadline_ahead(now, announcement.ttl_nanos)?;
        let capacity = announcement.capacity;
        let returning = self
            .table
            .bring_back(record, word, announcement, deadline)?;
        let returning = returning.ok_or(AttemptError::Conflict)?;
        let loses_load = request.options.restarted || !is_remembered;
        let reopened = |load: Load| match load.reopened(capacity) {
            load if loses_load => load.with_report_of_others(0),
            load => load,
        };
        let Ok(_) = record.update_load(|load| Ok::<_, Infallible>(reopened(load)));
        if is_remembered {
            record.refresh_rtt(now.tick);
        } else {
            record.forget_rtt(now.nanos);
        }
        if let Some(seed) = request.rtt_seed {
            self.seed_rtt(&record, now.nanos, seed);
        }
        self.resume_circuit(&record, is_remembered);
        self.table.append(&record);
        self.table.announce_to_wheel(&record);
        let note = record.announce();
        if !returning.admit() {
            return Err(AttemptError::Conflict);
        }
        record.refresh(true);
        self.finish_outage(&record);
        drop((note, in_flight));
        Ok(())
    }

    /// Looks once more, after the relay can be found: a thread that has ended the outage
    /// meanwhile may have looked for those that failed in it before.
    pub(super) fn finish_outage(&self, record: &RecordRef<'_>) {
        let back_off = record.back_off();
        let on_trial = |circuit: Circuit| circuit.with_outage_over(back_off);
        let circuit = record.circuit();
        if on_trial(circuit) != circuit && self.publication().context.outage.is_over() {
            record.change_circuit(on_trial);
        }
    }

    /// A relay that failed in an outage is on trial if that is over since.
    pub(super) fn resume_circuit(&self, record: &RecordRef<'_>, is_remembered: bool) {
        let context = &self.publication().context;
        if record.circuit() == Circuit::CLOSED {
            return;
        }
        context.expect_waiting();
        if !is_remembered || context.outage.is_over() {
            let back_off = record.back_off();
            record.begin_circuit(|circuit| circuit.with_outage_over(back_off));
        }
    }

    /// Renews a relay that lost its sessions, and with them the leases that are held on it:
    /// these stay with the record that it had.
    pub(super) fn restart(
        &self,
        record: RecordRef<'_>,
        word: Lifecycle,
        request: &Request<'_>,
        now: Moment,
    ) -> Result<Registration, AttemptError> {
        let current = record.announcement(word);
        let announcement = amended(current, request).unwrap_or_else(|| current.clone());
        check_reachable(&announcement.endpoint, announcement.nat)?;
        self.deadline(now, announcement.ttl_nanos)?;
        let closing = self.table.close_live(record, word);
        let closing = closing.ok_or(AttemptError::Conflict)?;
        self.replace(closing, request, now, announcement)?;
        Ok(Registration::Renewed)
    }

    /// Lets a relay in, in a record without leases, with what is known of it; one that was
    /// live, in its own place. If that is refused, nothing has changed.
    ///
    /// Until then the record that it had is closing, so that others wait.
    fn replace(
        &self,
        closing: Closing<'_>,
        request: &Request<'_>,
        now: Moment,
        announcement: Announcement,
    ) -> Result<(), AttemptError> {
        let before = closing.record();
        // What the operator says later is said again: see `say_of_known`.
        before.touch_load();
        let guard = before.guard();
        let entered = loop {
            match self.enter(request, now, announcement.clone(), Some(&closing), guard) {
                // Another relay was admitted meanwhile.
                Err(AttemptError::Conflict) if self.is_ahead(now, &announcement) => {}
                entered => break entered,
            }
        };
        match entered {
            Ok(()) => closing.forget(),
            Err(_) => closing.leave_as_it_was(),
        }
        entered
    }

    fn is_ahead(&self, now: Moment, announcement: &Announcement) -> bool {
        self.deadline_ahead(now, announcement.ttl_nanos).is_ok()
    }

    /// Looks at a record that is gone: forgets it when its time is over, or in any case
    /// unless it is to be `spared`; but keeps it for its leases and for what the operator
    /// said. When to look again.
    pub(super) fn review_gone(
        &self,
        record: RecordRef<'_>,
        tick: Tick,
        spared: bool,
    ) -> Option<Tick> {
        loop {
            let word = record.lifecycle();
            if !word.is_gone() {
                // The thread that has it announces it, if it is gone again.
                return None;
            }
            if spared && !word.is_kept() && word.deadline() > tick {
                return Some(word.deadline());
            }
            let reasons = self.reasons_to_keep(&record, tick);
            if word.is_kept() && reasons.are_any {
                return reasons.until;
            }
            let Some(closing) = self.table.close_gone(record, word) else {
                continue;
            };
            // Once more, for what was said before others could see that it is closing.
            if self.reasons_to_keep(&record, tick).are_any {
                closing.keep();
                continue;
            }
            let circuit = record.circuit().with_outage_over(record.back_off());
            self.circuit_history.note(&record.identity(), circuit);
            closing.forget();
            return None;
        }
    }

    /// Touches the load, and so does a thread after it gave a reason and before it looks
    /// whether the record is closing: of the two, one sees what the other did.
    fn reasons_to_keep(&self, record: &RecordRef<'_>, tick: Tick) -> Reasons {
        let load = record.touch_load();
        let circuit = record.circuit();
        let until = circuit.is_banned(tick).then(|| circuit.until());
        Reasons {
            are_any: load.leases() > 0 || load.is_draining() || until.is_some(),
            until,
        }
    }

    /// Where no thread does so, has the wheel hear now and then of records announced to
    /// it, so that no call pays for many, and forgets relays if there are too many.
    pub(super) fn drain_occasionally(&self) {
        if self.settings.has_maintenance_thread {
            return;
        }
        let is_time = |count: usize| count % DRAIN_EVERY == 0;
        if self.table.is_to_forget()
            || is_time(self.table.remembered())
            || is_time(self.table.estimate())
        {
            self.take_in_surplus();
        }
    }

    /// Forgets relays if more are remembered than there should be: for a registration that
    /// finds no permit left.
    pub(super) fn forget_surplus(&self) {
        if !self.table.is_to_forget() {
            return;
        }
        self.take_in_surplus();
    }

    pub(super) fn take_in_surplus(&self) {
        // A thread that has the wheel does so at the end of its sweep.
        if let Some(mut wheel) = self.wheel.try_lock() {
            let tick = self.timeline.tick();
            self.take_in(&mut wheel, tick, &mut 0);
            self.forget_longest_gone(tick);
        }
    }

    /// Notes in which order relays went; for the thread that has the wheel.
    pub(super) fn enqueue_gone(&self, index: u32) {
        let guard = epoch::pin();
        let Some(record) = self.table.record_at(index, &guard) else {
            return;
        };
        let word = record.lifecycle();
        if word.is_gone() && !word.is_kept() {
            self.gone_queue.lock().add(record.handle(), |gone| {
                let record = self.table.resolve(gone, &guard);
                let word = record.map(|record| record.lifecycle());
                word.is_some_and(|word| word.is_gone() && !word.is_kept())
            });
        }
    }

    /// Forgets those that have been gone for longest, until no more are remembered than
    /// there should be; for the thread that has the wheel.
    pub(super) fn forget_longest_gone(&self, tick: Tick) {
        while self.table.is_to_forget() {
            let Some(gone) = self.gone_queue.lock().handles.pop_front() else {
                return;
            };
            let guard = epoch::pin();
            if let Some(record) = self.table.resolve(gone, &guard) {
                self.review_gone(record, tick, false);
            }
        }
    }

    /// Has the wheel hear of all records announced to it.
    pub(super) fn take_in(&self, wheel: &mut Wheel, tick: Tick, expired: &mut usize) {
        let mut announced = Vec::new();
        self.table.drain_inbox(|index| announced.push(index));
        // Those announced last come out first.
        for index in announced.into_iter().rev() {
            self.enqueue_gone(index);
            match self.visit(index, tick, expired) {
                Some(deadline) => wheel.schedule(index, deadline),
                None => wheel.cancel(index),
            }
        }
    }
}

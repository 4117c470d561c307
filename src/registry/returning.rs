//! Relays that are gone: how long they are remembered, and how they come back.

use crate::record::{Announcement, Circuit, Lifecycle, Load, Origin};
use crate::registry::core::Core;
use crate::registry::registration::{
    Obstacle, Registration, Request, check_reachable, first_announcement,
};
use crate::registry::renewal::amended;
use crate::sync::epoch;
use crate::table::{Closing, RecordRef};
use crate::time::{Moment, Tick};
use crate::wheel::Wheel;
use std::convert::Infallible;

/// Why a record that is gone is kept: for its leases, or for what the operator said.
struct Reasons {
    are_any: bool,
    /// When a ban ends.
    until: Option<Tick>,
}

impl Core {
    /// Has a relay remembered that left or expired at `since`; of one that `lapsed`, what
    /// it announced, too. One that was learned is remembered for its leases alone.
    pub(super) fn remember(&self, closing: Closing<'_>, since: Tick, lapsed: bool) {
        let record = closing.record();
        record.begin_circuit(Circuit::without_outage);
        let now = self.timeline.tick();
        let said = closing.announcement();
        let local = said.filter(|said| said.origin == Origin::Local);
        match local.map(|said| self.remembered_until(said, since)) {
            Some(until) if until > now => {
                closing.remember_until(until, lapsed);
                if !self.settings.has_keeper {
                    self.forget_surplus();
                }
            }
            _ => {
                closing.keep();
                self.look_at_gone(record, now, true);
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
    ) -> Result<Registration, Obstacle> {
        let is_remembered = !word.is_kept() && now.tick < word.deadline();
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
            let closing = closing.ok_or(Obstacle::Overtaken)?;
            if !is_remembered {
                record.forget_rtt(now.nanos);
            }
            self.replace(closing, request, now, announcement)?;
            return Ok(registration);
        }
        self.bring_back(record, word, request, now, announcement, is_remembered)?;
        Ok(registration)
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
            Some(last) if is_remembered && request.origin == Origin::Local => Announcement {
                registered_at: now.nanos,
                ..amended(last, request).unwrap_or_else(|| last.clone())
            },
            _ => first_announcement(request, now, self.settings.ttl),
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
    ) -> Result<(), Obstacle> {
        let guard = record.guard();
        self.ensure_room(request, guard)?;
        let in_flight = self.in_flight();
        let deadline = self.deadline_ahead(now, announcement.ttl_nanos)?;
        let capacity = announcement.capacity;
        let returning = self
            .table
            .bring_back(record, word, announcement, deadline)?;
        let returning = returning.ok_or(Obstacle::Overtaken)?;
        let loses_load = request.options.restarted || !is_remembered;
        let reopened = |load: Load| match load.reopened(capacity) {
            load if loses_load => load.with_report_of_others(0),
            load => load,
        };
        let Ok(_) = record.update_load(|load| Ok::<_, Infallible>(reopened(load)));
        if is_remembered {
            record.settle_rtt(now.tick);
        } else {
            record.forget_rtt(now.nanos);
        }
        if let Some(seed) = request.rtt_seed {
            self.seed_rtt(&record, now.nanos, seed);
        }
        if record.circuit() != Circuit::CLOSED {
            self.publication().context.expect_waiting();
        }
        self.table.append(&record);
        self.table.announce_to_wheel(&record);
        let note = record.announce();
        if !returning.admit() {
            return Err(Obstacle::Overtaken);
        }
        record.refresh(true);
        drop((note, in_flight));
        Ok(())
    }

    /// Renews a relay that lost its sessions, and with them the leases that are held on it:
    /// these stay with the record that it had.
    pub(super) fn restart(
        &self,
        record: RecordRef<'_>,
        word: Lifecycle,
        request: &Request<'_>,
        now: Moment,
    ) -> Result<Registration, Obstacle> {
        let current = record.announcement(word);
        let announcement = amended(current, request).unwrap_or_else(|| current.clone());
        check_reachable(&announcement.endpoint, announcement.nat)?;
        self.deadline(now, announcement.ttl_nanos)?;
        let closing = self.table.depart(record, word);
        let closing = closing.ok_or(Obstacle::Overtaken)?;
        self.replace(closing, request, now, announcement)?;
        Ok(Registration::Renewed)
    }

    /// Lets a relay in, in a record without leases, with what is known of it. If that is
    /// refused, the leases are not void, and the relay is what it was; one that was live has
    /// left.
    ///
    /// Until then the record that it had is closing, so that others wait.
    fn replace(
        &self,
        closing: Closing<'_>,
        request: &Request<'_>,
        now: Moment,
        announcement: Announcement,
    ) -> Result<(), Obstacle> {
        let before = closing.record();
        // By read-modify-writes: what the operator says later is said again.
        before.raise(0);
        before.settled_circuit();
        let guard = before.guard();
        let entered = loop {
            match self.enter(request, now, announcement.clone(), Some(before), guard) {
                // Another relay was admitted meanwhile.
                Err(Obstacle::Overtaken) if self.is_ahead(now, &announcement) => {}
                entered => break entered,
            }
        };
        match &entered {
            Ok(()) => closing.forget(),
            Err(_) if closing.was_live() => {
                self.counters.count_unregistration();
                self.remember(closing, self.timeline.tick(), false);
            }
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
    pub(super) fn look_at_gone(
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
            self.failures.note(&record.identity(), record.circuit());
            closing.forget();
            return None;
        }
    }

    /// By read-modify-writes, so that they and those of others are in one order.
    fn reasons_to_keep(&self, record: &RecordRef<'_>, tick: Tick) -> Reasons {
        let load = record.raise(0);
        let circuit = record.settled_circuit();
        let until = circuit.is_banned(tick).then(|| circuit.until());
        Reasons {
            are_any: load.leases() > 0 || load.is_draining() || until.is_some(),
            until,
        }
    }

    /// Forgets relays if more are remembered than there should be, where no thread does so:
    /// for a departure, or for a registration that finds no permit left.
    pub(super) fn forget_surplus(&self) {
        if !self.table.is_to_forget() {
            return;
        }
        // A thread that has the wheel does so at the end of its sweep.
        if let Some(mut wheel) = self.wheel.try_lock() {
            let tick = self.timeline.tick();
            self.take_in(&mut wheel, tick, &mut 0);
            self.forget_longest_gone(tick);
        }
    }

    /// Notes in which order relays went; for the thread that has the wheel.
    pub(super) fn note_gone(&self, index: u32) {
        let guard = epoch::pin();
        let Some(record) = self.table.occupant(index, &guard) else {
            return;
        };
        let word = record.lifecycle();
        if word.is_gone() && !word.is_kept() {
            let mut order = self.gone_in_order.lock();
            order.push_back(record.handle());
            // Those that came back are in it still.
            if order.len() > 2 * self.table.remembered() + 1024 {
                order.retain(|&gone| {
                    let record = self.table.resolve(gone, &guard);
                    record.is_some_and(|record| record.lifecycle().is_gone())
                });
            }
        }
    }

    /// Forgets those that have been gone for longest, until no more are remembered than
    /// there should be; for the thread that has the wheel.
    pub(super) fn forget_longest_gone(&self, tick: Tick) {
        while self.table.is_to_forget() {
            let Some(gone) = self.gone_in_order.lock().pop_front() else {
                return;
            };
            let guard = epoch::pin();
            if let Some(record) = self.table.resolve(gone, &guard) {
                self.look_at_gone(record, tick, false);
            }
        }
    }

    /// Has the wheel hear of all records announced to it.
    pub(super) fn take_in(&self, wheel: &mut Wheel, tick: Tick, expired: &mut usize) {
        let mut announced = Vec::new();
        self.table.drain_inbox(|index| announced.push(index));
        // Those announced last come out first.
        for index in announced.into_iter().rev() {
            self.note_gone(index);
            match self.visit(index, tick, expired) {
                Some(deadline) => wheel.schedule(index, deadline),
                None => wheel.cancel(index),
            }
        }
    }
}

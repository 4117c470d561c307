//! How relays leave the registry: at their deadline, before it, and for good.
//!
//! 1. A registration puts its record into the wheel's inbox, then the relay is admitted.
//! 2. A *sweep* drains the inbox into the wheel and visits the records that are due. It makes
//!    an expired relay depart, by a compare-and-swap of its lifecycle.
//! 3. A relay that departed is [remembered](Expiry::remember) until its grace ends, or kept
//!    for as long as it has leases, a ban or draining.
//! 4. The wheel visits it again at the end of its grace, and it is forgotten. If more are
//!    remembered than there should be, those that went first are forgotten early.
//!
//! The thread that holds the schedule makes sweeps. Registrations look at it only if it is
//! free; [`maintain`](crate::Registry::maintain) and [`stats`](crate::Registry::stats) wait.
//!
//! A sweep is *complete* if all that was due at its tick has departed. It then declares its tick
//! swept, by a `fetch_max` with release. Three kinds of deadline are not on the wheel in time:
//!
//! - A registration puts its record into the inbox, and then looks at the tick. If its deadline has
//!   passed, it begins again with a later one: `is_in_time` in `registry/admit.rs`.
//! - If a record was put there in time, but is not admitted yet when its deadline has passed,
//!   the sweep that visits it is not complete.
//! - Other deadlines count as [in flight](crate::table::Table::in_flight), beside which no sweep is
//!   complete: those that a renewal moves forward, those of relays that are restored, and those of
//!   relays that restart, in case they do not get a new record.

use crate::footprint::Footprint;
use crate::registry::counters::Occasion;
use crate::registry::forgetting::{self, GoneQueue};
use crate::registry::relays::Relays;
use crate::sync::{AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering, Padded, epoch};
use crate::table::record::{Lifecycle, Origin, State};
use crate::table::{Closing, Departure, LiveRecord};
use crate::time::Tick;
use crate::wheel::Wheel;

/// Without a maintenance thread, one departure in so many of a thread drains the inbox.
const DRAIN_EVERY: u64 = 64;

/// A thread that drains the inbox is pinned for so many records at a time.
const PINNED_AT_ONCE: usize = 16;

/// Which records may be due, and how far the registry has got with that.
pub(crate) struct Expiry {
    schedule: Mutex<Schedule>,
    /// All that was due at this tick has departed.
    swept: Padded<AtomicU64>,
    /// Where the next search for an expired relay begins.
    search_start: AtomicU32,
}

/// What a sweep has done so far.
struct Sweep {
    tick: Tick,
    expired: usize,
    /// Whether all that it visited and that was due has departed.
    is_complete: bool,
}

/// What a sweep reads and changes.
pub(crate) struct Schedule {
    wheel: Wheel,
    gone_queue: GoneQueue,
}

impl Expiry {
    pub(super) fn new() -> Self {
        Self {
            schedule: Mutex::new(Schedule {
                wheel: Wheel::new(),
                gone_queue: GoneQueue::default(),
            }),
            swept: Padded(AtomicU64::default()),
            search_start: AtomicU32::default(),
        }
    }

    /// The right to sweep, after waiting for the thread that has it.
    pub(super) fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock()
    }

    /// How many records are on the wheel, and what it and the relays that are gone take.
    pub(super) fn wheel_len_and_footprint(&self) -> (usize, Footprint) {
        let schedule = self.schedule.lock();
        let Schedule { wheel, gone_queue } = &*schedule;
        (wheel.len(), wheel.footprint() + gone_queue.footprint())
    }

    /// The tick up to which everything due has departed.
    pub(super) fn swept(&self) -> Tick {
        // Acquire: those departures are seen, too.
        Tick(self.swept.load(Ordering::Acquire))
    }

    /// Makes all that is due at `tick` depart; how many did.
    pub(super) fn sweep(&self, relays: &Relays, schedule: &mut Schedule, tick: Tick) -> usize {
        // If this thread was preempted, another one may have swept a later tick.
        let tick = tick.max(schedule.wheel.now());
        let mut sweep = Sweep::new(tick);
        sweep.is_complete = relays.table.none_in_flight();
        self.drain_inbox(relays, schedule, &mut sweep);
        let visit = |index| self.visit(relays, index, &mut sweep);
        schedule.wheel.advance(tick, visit);
        self.forget_longest_gone(relays, schedule, tick);
        if sweep.is_complete {
            // Release: see `swept`.
            self.swept.fetch_max(tick.0, Ordering::Release);
        }
        sweep.expired
    }

    /// When the wheel should visit this record again, if at all.
    fn visit(&self, relays: &Relays, index: u32, sweep: &mut Sweep) -> Option<Tick> {
        let (guard, tick) = (epoch::pin(), sweep.tick);
        loop {
            let record = relays.table.record_at(index, &guard)?;
            let record = record.observe();
            let word = record.word();
            if let Some(live) = record.live() {
                if word.deadline() > tick {
                    return Some(next_visit(&live, tick));
                }
                if self.expire(relays, live) {
                    sweep.expired += 1;
                }
                continue;
            }
            match word.state() {
                State::Staged | State::Returning if word.deadline() > tick => {
                    return Some(word.deadline());
                }
                State::Staged | State::Returning => {
                    // Due before it is decided whether it lives: the next sweep looks again.
                    sweep.is_complete = false;
                    relays.table.enqueue_for_wheel(&record);
                    return None;
                }
                State::Gone => {
                    return forgetting::forget_unless_needed(relays, *record, tick, true);
                }
                // The thread that has it puts it into the inbox once it is gone.
                State::Live | State::Departing | State::Closing | State::Vacant => return None,
            }
        }
    }

    /// Makes an expired record depart, unless another thread was faster.
    pub(super) fn expire(&self, relays: &Relays, record: LiveRecord<'_>) -> bool {
        // Before it departs: sweeps that end after that say nothing of its deadline.
        let since = self.expired_since(record.word());
        let departed = relays.table.depart(record);
        let expired = departed.is_some();
        if let Some(closing) = departed {
            closing.publish_departed(Departure::Expired);
            relays.counters.count_expiration();
            self.remember(relays, closing, since, true);
        }
        expired
    }

    /// Since when a relay is expired, give or take some ticks.
    ///
    /// What brings its leaves in line with that moves its deadline back, by a tick for each
    /// leaf. But it was not due when the last complete sweep ended.
    fn expired_since(&self, word: Lifecycle) -> Tick {
        let not_due_at = self.swept();
        word.deadline().max(Tick(not_due_at.0 + 1))
    }

    /// Remembers a relay that left or expired at `since`; of one that `lapsed`, also what
    /// it announced. One that was learned is remembered for its leases alone.
    #[inline(always)]
    pub(super) fn remember(
        &self,
        relays: &Relays,
        closing: Closing<'_>,
        since: Tick,
        lapsed: bool,
    ) {
        let now = relays.timeline.tick();
        let last = closing.announcement();
        let local = last.filter(|last| last.origin == Origin::Local);
        match local.map(|last| {
            let grace = forgetting::grace_of(relays, last);
            forgetting::remembered_until(relays, grace, since)
        }) {
            Some(until) if until > now => {
                closing.remember_until(until, lapsed);
                self.drain_occasionally(relays);
            }
            _ => forgetting::forget_or_keep(relays, closing, now),
        }
    }

    /// Makes relays that are past their deadline depart, at least one if there is any.
    pub(super) fn expire_due(&self, relays: &Relays, tick: Tick) {
        if self.swept() >= tick {
            return;
        }
        if let Some(mut schedule) = self.schedule.try_lock() {
            self.sweep(relays, &mut schedule, tick);
        }
        if self.swept() < tick {
            // Another thread is sweeping, or has a deadline in flight: free one place
            // beside it.
            self.expire_any(relays, tick);
        }
    }

    /// Goes on where the last search found one: while many are due, the next is
    /// near.
    fn expire_any(&self, relays: &Relays, tick: Tick) {
        let guard = epoch::pin();
        let high_water = relays.table.high_water();
        // Relaxed, here and below: a hint.
        let start = self.search_start.load(Ordering::Relaxed).min(high_water);
        let found = (start..high_water).chain(0..start).find(|&index| {
            relays.table.record_at(index, &guard).is_some_and(|record| {
                let live = record.observe_live();
                let late = live.filter(|live| !live.word().is_live_at(tick));
                late.is_some_and(|late| self.expire(relays, late))
            })
        });
        self.search_start
            .store(found.unwrap_or(0), Ordering::Relaxed);
    }

    /// After a departure: without a maintenance thread, drains the inbox now and then, so that no
    /// call pays for many records.
    fn drain_occasionally(&self, relays: &Relays) {
        let has_thread = relays.timeline.has_thread();
        if !has_thread && relays.counters.is_nth(DRAIN_EVERY, Occasion::Departure) {
            self.forget_excess(relays);
        }
    }

    /// Drains the inbox, and forgets relays if too many are remembered, unless another
    /// thread holds the schedule: that one does so at the end of its sweep.
    pub(super) fn forget_excess(&self, relays: &Relays) {
        if let Some(mut schedule) = self.schedule.try_lock() {
            let tick = relays.timeline.tick();
            self.drain_inbox(relays, &mut schedule, &mut Sweep::new(tick));
            self.forget_longest_gone(relays, &mut schedule, tick);
        }
    }

    /// Forgets those that have been gone for longest, until no more are remembered than
    /// there should be.
    fn forget_longest_gone(&self, relays: &Relays, schedule: &mut Schedule, tick: Tick) {
        while relays.table.is_to_forget() {
            let Some(gone) = schedule.gone_queue.pop() else {
                return;
            };
            let guard = epoch::pin();
            if let Some(record) = relays.table.resolve(gone, &guard) {
                forgetting::forget_unless_needed(relays, record, tick, false);
            }
        }
    }

    /// Schedules all records in the inbox.
    fn drain_inbox(&self, relays: &Relays, schedule: &mut Schedule, sweep: &mut Sweep) {
        let mut queued = Vec::new();
        relays.table.drain_inbox(|index| queued.push(index));
        // Those pushed last come out first.
        for some in queued.rchunks(PINNED_AT_ONCE) {
            // Around the pins of the steps below, which cost less then.
            let _guard = epoch::pin();
            for &index in some.iter().rev() {
                schedule.enqueue_gone(relays, index);
                match self.visit(relays, index, sweep) {
                    Some(deadline) => schedule.wheel.schedule(index, deadline),
                    None => schedule.wheel.cancel(index),
                }
            }
        }
    }
}

impl Sweep {
    fn new(tick: Tick) -> Self {
        Self {
            tick,
            expired: 0,
            is_complete: true,
        }
    }
}

impl Schedule {
    /// Keeps the order in which relays went.
    fn enqueue_gone(&mut self, relays: &Relays, index: u32) {
        let guard = epoch::pin();
        let Some(record) = relays.table.record_at(index, &guard) else {
            return;
        };
        let is_in_grace = |word: Lifecycle| word.is_gone() && !word.is_kept();
        if is_in_grace(record.lifecycle()) {
            self.gone_queue.push(record.handle(), |gone| {
                let record = relays.table.resolve(gone, &guard);
                record.is_some_and(|record| is_in_grace(record.lifecycle()))
            });
        }
    }
}

/// When the record is due, or what was measured lapses; what has lapsed is forgotten.
fn next_visit(record: &LiveRecord<'_>, tick: Tick) -> Tick {
    if record.has_lapsed(tick) {
        record.refresh_rtt(tick);
    }
    let step = record.continue_slow_start(tick);
    let deadline = record.word().deadline();
    let visits = record.lapse(tick).into_iter().chain(step);
    visits.min().unwrap_or(deadline).min(deadline)
}

//! Restoring: a registry that is just being built takes over what was saved.
//!
//! No other thread has the registry yet. Relays are registered by the path of every registration,
//! so each is checked as a registration is: addresses, capacity, labels, endpoints, room. In this
//! order:
//!
//! 1. Late relays: those that were remembered, and those whose time ended since the save. Each is
//!    registered, gets its round trips and circuit, and departs at once. The longest gone are
//!    first, as the first to be forgotten.
//! 2. Live relays. If there are more than fit, those go first that were registered first.
//! 3. What the operator said of other ids, and circuits of relays that nothing else is known of.
//! 4. Positions and views of peers.

use super::RestoreReport;
use super::fields::Kind;
use super::relay_entry::{Announced, RelayEntry, RoundTrip, Standing};
use super::saved::{Saved, Shift};
use crate::errors::RegisterError;
use crate::registry::forgetting::remembered_until;
use crate::registry::inner::Inner;
use crate::registry::request::{AttemptError, Request, Resumed, TimeSource, check};
use crate::relay::{Endpoint, NodeId, RegisterOptions};
use crate::sync::epoch;
use crate::table::record::{Circuit, Lifecycle, Origin, PolicyWord, RttUpdate};
use crate::table::{Placeholder, RecordRef, free_deferred};
use crate::time::{Moment, Tick, nanos};
use std::net::{Ipv4Addr, SocketAddr};

/// How often a relay is tried to be registered; after the first time, memory is reclaimed.
const MAX_ATTEMPTS: usize = 16;

/// So many relays are restored before memory is reclaimed.
const RECLAIM_EVERY: usize = 1024;

/// What becomes of the relays of a save: a place in it, and what orders them.
#[derive(Default)]
struct Plan {
    /// By the tick up to which they are remembered.
    late: Vec<(Tick, usize)>,
    /// By the time at which they were registered.
    live: Vec<(u64, usize)>,
    others: Vec<usize>,
}

/// Why a relay is not restored.
enum NotRestored {
    /// Its id is there already: it moved to another record during the save.
    Present,
    NoRoom,
    Refused(RegisterError),
}

/// One restoration.
pub(super) struct Restoration<'a> {
    pub(super) inner: &'a Inner,
    pub(super) saved: &'a Saved,
    pub(super) shift: Shift,
    pub(super) now: Moment,
    pub(super) report: RestoreReport,
    reclaimed_after: usize,
}

impl Inner {
    /// Takes over what was saved. Reads the clock.
    pub(super) fn restore(&self, saved: &Saved, shift: Shift) -> RestoreReport {
        let mut restoration = Restoration {
            inner: self,
            saved,
            shift,
            now: self.relays.timeline.advance(),
            report: shift.report(),
            reclaimed_after: 0,
        };
        restoration.restore_relays();
        restoration.restore_positions();
        restoration.restore_views();
        self.sweep(restoration.now.tick);
        self.sort();
        self.sorter.set_sorted_at(restoration.now.nanos);
        restoration.report
    }
}

impl Restoration<'_> {
    fn restore_relays(&mut self) {
        let mut plan = self.plan();
        plan.late.sort_unstable();
        plan.live.sort_unstable();
        // Of too many, those are forgotten that went first.
        let max_remembered = self.inner.relays.table.max_remembered();
        let excess = plan.late.len().saturating_sub(max_remembered);
        for (_, at) in plan.late.drain(..excess) {
            self.report.expired += 1;
            plan.others.push(at);
        }
        for (until, at) in plan.late {
            let is_there = self.restore_relay(at, |this, entry| this.remember(entry, until));
            self.report.remembered += usize::from(is_there);
        }
        for (_, at) in plan.live {
            let is_there = self.restore_relay(at, Self::register);
            self.report.live += usize::from(is_there);
        }
        for at in plan.others {
            if let Some(entry) = self.saved.relay_at(at) {
                self.restore_settings(&entry);
            }
        }
    }

    fn plan(&mut self) -> Plan {
        let mut plan = Plan::default();
        for (at, fields) in self.saved.of_kind(Kind::Relay) {
            let Ok(entry) = RelayEntry::decode(&fields) else {
                continue;
            };
            match self.remembered_until(&entry) {
                None => match (entry.standing, &entry.announced) {
                    (Standing::Live { .. }, Some(announced)) => {
                        plan.live.push((announced.registered_at, at));
                    }
                    _ => plan.others.push(at),
                },
                Some(until) if until > self.now.tick => plan.late.push((until, at)),
                Some(_) => {
                    self.report.expired += 1;
                    plan.others.push(at);
                }
            }
        }
        plan
    }

    /// Until when a relay is remembered that is late; `None` for another one.
    fn remembered_until(&self, entry: &RelayEntry) -> Option<Tick> {
        let (tick, relays) = (self.now.tick, &self.inner.relays);
        let announced = entry.announced.as_ref();
        let grace = relays.settings.return_grace_nanos;
        let grace = grace.or(announced.map(|announced| nanos(announced.ttl)));
        let latest = grace.map_or(Lifecycle::LAST_DEADLINE, |grace| {
            remembered_until(relays, grace, tick)
        });
        match entry.standing {
            Standing::Unknown => None,
            Standing::Gone { until } => Some(self.shift.tick(until).min(latest)),
            Standing::Live { deadline } => {
                let deadline = self.shift.tick(deadline);
                let until = remembered_until(relays, grace.unwrap_or(0), deadline);
                (deadline <= tick).then_some(until)
            }
        }
    }

    /// Restores a relay by what `restore` does. If that fails, what the operator said of it is
    /// kept all the same. Whether it is there.
    fn restore_relay(
        &mut self,
        at: usize,
        restore: impl FnOnce(&mut Self, &RelayEntry) -> Result<(), NotRestored>,
    ) -> bool {
        let Some(entry) = self.saved.relay_at(at) else {
            return false;
        };
        match restore(self, &entry) {
            Ok(()) => return true,
            Err(NotRestored::Present) => return false,
            Err(NotRestored::NoRoom) => self.report.no_room += 1,
            Err(NotRestored::Refused(reason)) => {
                self.report.refused += 1;
                self.report.first_refused.get_or_insert((entry.id, reason));
            }
        }
        self.restore_settings(&entry);
        false
    }

    /// Registers a relay that is live for what remains of its time.
    fn register(&mut self, entry: &RelayEntry) -> Result<(), NotRestored> {
        let (Standing::Live { deadline }, Some(announced)) = (entry.standing, &entry.announced)
        else {
            return Err(NotRestored::Present);
        };
        self.check(announced)?;
        self.forget_if_late(&entry.id);
        let timeline = &self.inner.relays.timeline;
        // What remains is no more than the whole.
        let latest = timeline.deadline(self.now, nanos(announced.ttl));
        let latest = latest.unwrap_or(Lifecycle::LAST_DEADLINE);
        let resumed = Resumed {
            registered_at: self.registered_at(announced),
            deadline: self.shift.tick(deadline).min(latest),
        };
        self.admit(&entry.id, &announced.endpoint, &announced.options, resumed)?;
        self.with_record(&entry.id, |this, record| this.apply(record, entry));
        Ok(())
    }

    /// Remembers a relay that is late up to a tick.
    fn remember(&mut self, entry: &RelayEntry, until: Tick) -> Result<(), NotRestored> {
        // It is live for as long as this takes.
        let deadline = Tick(self.now.tick.0 + 1);
        match &entry.announced {
            Some(announced) => {
                self.check(announced)?;
                let resumed = Resumed {
                    registered_at: self.registered_at(announced),
                    deadline,
                };
                self.admit(&entry.id, &announced.endpoint, &announced.options, resumed)?;
            }
            None => {
                // It left, so what it announced is not kept: see `remember_until`.
                let nowhere = Endpoint::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
                let resumed = Resumed {
                    registered_at: 0,
                    deadline,
                };
                self.admit(&entry.id, &nowhere, &RegisterOptions::new(), resumed)?;
            }
        }
        let has_lapsed = entry.announced.is_some();
        self.with_record(&entry.id, |this, record| {
            this.apply(record, entry);
            let live = record.observe_live();
            let departed = live.and_then(|live| this.inner.relays.table.depart(live));
            if let Some(closing) = departed {
                closing.remember_until(until, has_lapsed);
            }
        });
        Ok(())
    }

    /// Checks what a relay announced as a registration does that announces it.
    fn check(&self, announced: &Announced) -> Result<(), NotRestored> {
        let settings = &self.inner.relays.settings;
        match check(settings, &announced.endpoint, &announced.options) {
            Ok(_) => Ok(()),
            Err(reason) => Err(NotRestored::Refused(reason)),
        }
    }

    fn registered_at(&self, announced: &Announced) -> u64 {
        let at = self.shift.nanos(announced.registered_at).unwrap_or(0);
        at.min(self.now.nanos)
    }

    fn admit(
        &mut self,
        id: &NodeId,
        endpoint: &Endpoint,
        options: &RegisterOptions,
        resumed: Resumed,
    ) -> Result<(), NotRestored> {
        let (inner, relays) = (self.inner, &self.inner.relays);
        if self.is_known(id) {
            return Err(NotRestored::Present);
        }
        let claim = options.details.as_ref();
        let claim = claim.map(|details| inner.labels.claim_of(details, relays, self.time()));
        let _claim = claim.transpose().map_err(NotRestored::Refused)?;
        let request = Request {
            id,
            hash: relays.table.hash(id),
            endpoint,
            options,
            rtt_seed: None,
            origin: Origin::Local,
            is_whole: false,
            resumed: Some(resumed),
        };
        for _ in 0..MAX_ATTEMPTS {
            match inner.attempt(&request, self.now, None) {
                Ok(_) => {
                    self.reclaim_now_and_then();
                    inner.merge_if_due();
                    return Ok(());
                }
                Err(AttemptError::Rejected(RegisterError::Full { .. })) => break,
                Err(AttemptError::Rejected(reason)) => return Err(NotRestored::Refused(reason)),
                Err(_) => self.reclaim(),
            }
        }
        Err(NotRestored::NoRoom)
    }

    /// The reading with which the restoration began.
    fn time(&self) -> TimeSource {
        TimeSource::Reading(self.now)
    }

    fn reclaim_now_and_then(&mut self) {
        self.reclaimed_after += 1;
        if self.reclaimed_after >= RECLAIM_EVERY {
            self.reclaim();
        }
    }

    fn reclaim(&mut self) {
        self.reclaimed_after = 0;
        self.inner.relays.table.reclaim();
        free_deferred();
    }

    fn is_known(&self, id: &NodeId) -> bool {
        let (table, guard) = (&self.inner.relays.table, epoch::pin());
        table.find_known(table.hash(id), id, &guard).is_some()
    }

    /// Forgets a relay that was saved twice, and was restored as a late one.
    fn forget_if_late(&self, id: &NodeId) {
        self.with_record(id, |this, record| {
            if let Some(closing) = this.inner.relays.table.close_gone(record.observe()) {
                closing.forget();
            }
        });
    }

    fn with_record(&self, id: &NodeId, act: impl FnOnce(&Self, RecordRef<'_>)) {
        let (table, guard) = (&self.inner.relays.table, epoch::pin());
        if let Some(record) = table.find_known(table.hash(id), id, &guard) {
            act(self, record);
        }
    }

    /// Applies round trips, circuit and what the operator said to a relay that was registered.
    fn apply(&self, record: RecordRef<'_>, entry: &RelayEntry) {
        self.apply_round_trips(record, &entry.round_trips);
        if let Some(circuit) = self.circuit(entry) {
            record.change_circuit(|_| circuit);
        }
        if entry.said.is_draining {
            record.set_draining(true);
        }
        // Without memory for that, the relay is as it announced.
        let _ = record.change_policy(|word| entry.said.applied_to(word));
    }

    /// Takes the round trips in as if they were measured anew: those that were reported first, for
    /// they count only while there is no other, and then in the order of time.
    fn apply_round_trips(&self, record: RecordRef<'_>, round_trips: &[RoundTrip]) {
        let mut ordered: Vec<&RoundTrip> = round_trips.iter().collect();
        ordered.sort_by_key(|it| (!it.is_seed, it.second));
        for it in ordered {
            let saved = it.second.saturating_mul(1_000_000_000);
            let Some(at) = self.shift.nanos(saved).filter(|&at| at <= self.now.nanos) else {
                continue;
            };
            match it.is_seed {
                true => record.seed_rtt(at, it.micros),
                false => record.record_rtt(at, it.micros),
            };
        }
        record.refresh_rtt(self.now.tick);
        self.inner.relays.schedule_lapse(&record, RttUpdate::Begun);
    }

    fn circuit(&self, entry: &RelayEntry) -> Option<Circuit> {
        let saved = entry.circuit?;
        let until = self.shift.tick(saved.until);
        Some(Circuit::restored(saved.bits, until, self.now.tick))
    }

    /// Keeps what the operator said of an id that has no relay, and its circuit.
    fn restore_settings(&mut self, entry: &RelayEntry) {
        if self.is_known(&entry.id) {
            return;
        }
        let relays = &self.inner.relays;
        let circuit = self.circuit(entry).unwrap_or(Circuit::CLOSED);
        if !(entry.said.is_anything() || circuit.is_banned(self.now.tick)) {
            relays.reputation.keep(&entry.id, circuit);
            return;
        }
        let placeholder = Placeholder {
            circuit,
            is_draining: entry.said.is_draining,
            policy: entry.said.applied_to(PolicyWord::default()),
        };
        let named = (&entry.id, relays.table.hash(&entry.id));
        let created = relays
            .table
            .create_placeholder(named, placeholder, &epoch::pin());
        match created {
            Ok(()) => self.report.settings += 1,
            Err(_) => self.report.no_room += 1,
        }
    }
}

//! Registration, renewal, departure, expiry and return.

use super::address::{address_fault, can_relay};
use super::record::Window;
use super::tiers::is_valid_cost;
use super::{
    Address, Admission, CAPACITY_CEILING, Change, Circuit, DEFAULT_CAPACITY, Details, Gone,
    LAST_DEADLINE, Model, Rank, Record, Refusal, is_countable, is_sane, time_of, whole_micros,
};
use std::time::Duration;

/// A relay that expired may be remembered for this many ticks less than its grace: by one for each
/// time that its leaf is computed before a pass removes it. In a history without a pass, other
/// operations can do that often. `tests/faults/returning.rs` tests graces to the tick.
const SLACK: u64 = 64;

impl<K: Copy + Ord, E: Address> Model<K, E> {
    /// A refusal has all its reasons, because the registry may name any of them. `is_new` is the
    /// registry's answer, which decides where a relay may or may not be remembered.
    pub fn register(
        &mut self,
        now: Duration,
        id: K,
        endpoint: E,
        change: &Change<E>,
        is_new: bool,
    ) -> Result<Admission, Vec<Refusal>> {
        let faults = self.faults(&endpoint, change);
        if !faults.is_empty() {
            self.counters.refused += 1;
            return Err(faults);
        }
        let now = self.raise(now);
        self.sweep();
        // A find that meets a relay past its deadline can shorten its grace by some ticks.
        let is_remembered = self.gone.get(&id).is_some_and(|gone| {
            let may_be_new = gone.has_lapsed && self.tick + SLACK >= gone.until;
            self.tick < gone.until && !(may_be_new && is_new)
        });
        let obstacles = self.obstacles_to_registration(now, &id, &endpoint, change, is_remembered);
        if !obstacles.is_empty() {
            self.counters.refused += 1;
            return Err(obstacles);
        }
        if let Some(held) = self.relays.get(&id) {
            let ttl = change.ttl.unwrap_or(held.ttl);
            let oldest = self.oldest_sample(now);
            let deadline = self.deadline(now, ttl);
            let fresh = self.serials + 1;
            let record = self.relays.get_mut(&id).expect("just seen");
            record.renew(endpoint, change, (now.as_secs(), oldest), ttl, deadline);
            if change.restarted {
                self.restarts += u64::from(record.leases > 0);
                self.serials = fresh;
                (record.serial, record.leases, record.base) = (fresh, 0, 0);
            }
            self.counters.renewals += 1;
            return Ok(Admission::Renewed);
        }
        self.counters.registrations += 1;
        let Some(gone) = self.gone.remove(&id) else {
            let mut record = self.admit(now, endpoint, change);
            record.draining = self.draining.contains(&id);
            if let Some(&until) = self.bans.get(&id) {
                record.circuit.ban(until);
            }
            self.relays.insert(id, record);
            return Ok(Admission::New);
        };
        let record = self.restore(now, endpoint, change, gone, is_remembered);
        self.relays.insert(id, record);
        Ok(match is_remembered {
            true => Admission::Returned,
            false => Admission::New,
        })
    }

    /// Why a valid registration is refused, given the state of the registry and the relay.
    fn obstacles_to_registration(
        &self,
        now: Duration,
        id: &K,
        endpoint: &E,
        change: &Change<E>,
        is_remembered: bool,
    ) -> Vec<Refusal> {
        let held = self.relays.get(id);
        let lapsed = self
            .gone
            .get(id)
            .filter(|gone| is_remembered && gone.has_lapsed);
        let known = held.or(lapsed.map(|gone| &gone.record));
        let nat = change.nat.or(known.and_then(|record| record.nat));
        let ttl = change.ttl.or(known.map(|record| record.ttl));
        let deadline = self.deadline(now, ttl.unwrap_or(self.settings.ttl));
        let mut refusals = Vec::new();
        let unreachable = nat.filter(|&nat| !can_relay(nat, endpoint));
        refusals.extend(unreachable.map(Refusal::NotReachable));
        let is_full = held.is_none() && self.relays.len() >= self.settings.max_relays;
        refusals.extend(is_full.then_some(Refusal::Full));
        refusals.extend((deadline > LAST_DEADLINE).then_some(Refusal::ClockExhausted));
        refusals
    }

    fn restore(
        &mut self,
        now: Duration,
        endpoint: E,
        change: &Change<E>,
        gone: Gone<E>,
        is_remembered: bool,
    ) -> Record<E> {
        let before = gone.record;
        let change = match is_remembered && gone.has_lapsed {
            true => before.keeps(change),
            false => change.clone(),
        };
        let mut record = self.admit(now, endpoint, &change);
        record.circuit = before.circuit;
        if !is_remembered || self.outage.is_none() {
            record.circuit.end_outage(self.tick);
        }
        record.draining = before.draining;
        if !change.restarted {
            (record.serial, record.leases) = (before.serial, before.leases);
        }
        if is_remembered {
            record.arrived_at = before.arrived_at;
            let announced = record.seed.take();
            (record.seed, record.window) = (before.seed, before.window);
            record.forget_before(self.oldest_sample(time_of(self.settings.tick, self.tick)));
            let oldest = self.oldest_sample(now);
            let is_measured = record.window.latest().is_some_and(|it| it >= oldest);
            if announced.is_some() && !is_measured {
                (record.seed, record.window) = (announced, Window::default());
            }
            if !change.restarted {
                record.base = before.base;
            }
        }
        record
    }

    /// Moves the deadline, and changes nothing else.
    pub fn renew(&mut self, now: Duration, id: &K) -> bool {
        let now = self.raise(now);
        self.sweep();
        let Some(ttl) = self.relays.get(id).map(|relay| relay.ttl) else {
            return false;
        };
        let deadline = self.deadline(now, ttl);
        if deadline > LAST_DEADLINE {
            return false;
        }
        self.change(id, |relay| relay.deadline = deadline);
        self.counters.renewals += 1;
        true
    }

    /// Until which tick a relay is remembered that is gone since `since`.
    fn remembered_until(&self, record: &Record<E>, since: u64) -> u64 {
        let grace = self.settings.return_grace.unwrap_or(record.ttl);
        let ticks = grace.as_nanos().div_ceil(self.settings.tick.as_nanos());
        let until = since.saturating_add(u64::try_from(ticks).unwrap_or(u64::MAX));
        until.min(LAST_DEADLINE)
    }

    fn remember(&mut self, id: K, record: Record<E>, since: u64, has_lapsed: bool) {
        let until = self.remembered_until(&record, since);
        let gone = Gone {
            record,
            until,
            has_lapsed,
        };
        self.gone.insert(id, gone);
    }

    pub fn unregister(&mut self, id: &K) -> bool {
        let Some(record) = self.relays.remove(id) else {
            return false;
        };
        self.remember(*id, record, self.tick, false);
        self.counters.unregistrations += 1;
        true
    }

    /// Returns how many relays it removed.
    pub fn maintain(&mut self, now: Duration) -> usize {
        self.raise(now);
        self.sweep()
    }

    /// Removes the relays that are due.
    pub(super) fn sweep(&mut self) -> usize {
        let tick = self.tick;
        let due = self
            .relays
            .iter()
            .filter(|(_, relay)| relay.deadline <= tick);
        let due: Vec<K> = due.map(|(id, _)| *id).collect();
        for id in &due {
            let record = self.relays.remove(id).expect("just seen");
            let deadline = record.deadline;
            self.remember(*id, record, deadline, true);
        }
        self.counters.expirations += due.len() as u64;
        due.len()
    }

    fn faults(&self, endpoint: &E, change: &Change<E>) -> Vec<Refusal> {
        let mut faults = Vec::new();
        let address = address_fault(endpoint, self.settings.public_only);
        faults.extend(address.map(Refusal::Address));
        faults.extend(
            change
                .nat
                .filter(|&nat| !can_relay(nat, endpoint))
                .map(Refusal::NotReachable),
        );
        faults.extend(
            change
                .capacity
                .filter(|capacity| !(1..=CAPACITY_CEILING).contains(capacity))
                .map(Refusal::Capacity),
        );
        faults.extend(
            change
                .ttl
                .filter(|ttl| !is_countable(*ttl, self.settings.tick))
                .map(Refusal::Ttl),
        );
        faults.extend(
            change
                .latency
                .filter(|latency| !is_sane(*latency))
                .map(Refusal::Latency),
        );
        let cost = change.rank.cost.filter(|&cost| !is_valid_cost(cost));
        faults.extend(cost.map(|cost| Refusal::Cost(cost.to_bits())));
        let public_only = self.settings.public_only;
        faults.extend(change.details.faults(endpoint, public_only));
        faults
    }

    fn admit(&mut self, now: Duration, endpoint: E, change: &Change<E>) -> Record<E> {
        self.serials += 1;
        let ttl = change.ttl.unwrap_or(self.settings.ttl);
        let details = Details::default().changed(&change.details, &endpoint);
        Record {
            endpoint,
            capacity: change.capacity.unwrap_or(DEFAULT_CAPACITY),
            nat: change.nat,
            rank: Rank::default().changed(&change.rank),
            details,
            draining: false,
            circuit: Circuit::new(),
            registered: now,
            deadline: self.deadline(now, ttl),
            ttl,
            arrived_at: self.arrival(),
            serial: self.serials,
            leases: 0,
            base: 0,
            seed: change.latency.map(|rtt| (now.as_secs(), whole_micros(rtt))),
            window: Window::default(),
        }
    }
}

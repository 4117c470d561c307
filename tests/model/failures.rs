//! Failures, back-offs, outages, bans and draining.

use super::{Access, Address, Fault, Held, LAST_BAN, Model, Record, Source};
use std::collections::BTreeSet;
use std::time::Duration;

impl<K: Copy + Ord, E: Address> Model<K, E> {
    pub fn report_failure(&mut self, id: &K, fault: Fault) -> bool {
        self.fail(id, fault, Source::Id)
    }

    pub fn report_success(&mut self, id: &K) -> bool {
        self.succeed(id, Source::Id)
    }

    /// False once the relay has left since the lease was taken; also for successes.
    pub fn lease_failed(&mut self, held: &Held<K>, fault: Fault) -> bool {
        self.is_there(held) && self.fail(&held.id, fault, Source::Lease(held.failures))
    }

    pub fn lease_succeeded(&mut self, held: &Held<K>) -> bool {
        self.is_there(held) && self.succeed(&held.id, Source::Lease(held.failures))
    }

    fn is_there(&self, held: &Held<K>) -> bool {
        let relay = self.relays.get(&held.id);
        relay.is_some_and(|relay| relay.serial == held.serial)
    }

    fn fail(&mut self, id: &K, fault: Fault, source: Source) -> bool {
        let (tick, length) = (self.tick, self.settings.tick);
        let Some(relay) = self.relays.get(id) else {
            return false;
        };
        if relay.circuit.counts(source, tick) {
            let is_outage = self.is_outage(id);
            self.change(id, |relay| {
                relay.circuit.fail(fault, is_outage, tick, length)
            });
        }
        true
    }

    fn succeed(&mut self, id: &K, source: Source) -> bool {
        let (tick, length) = (self.tick, self.settings.tick);
        let Some(relay) = self.relays.get_mut(id) else {
            return false;
        };
        if relay.circuit.succeed(source, tick, length) && self.outage.take().is_some() {
            let relays = self.relays.values_mut();
            relays.for_each(|relay| relay.circuit.end_outage(tick));
        }
        true
    }

    /// Whether this failure is part of an outage: with it, the share of backing-off relays among those with
    /// room is beyond the limit, or it was within the last minute and there was no success since.
    fn is_outage(&mut self, id: &K) -> bool {
        let of_access = |accesses: &[Access]| {
            let has_room = |relay: &&Record<E>| !relay.draining && !relay.lacks(1);
            let relays = self.relays.iter();
            let counted = relays.filter(|(_, relay)| has_room(relay));
            let counted = counted
                .filter(|(_, relay)| accesses.contains(&relay.circuit.access(self.tick)))
                .map(|(id, _)| *id);
            counted.collect::<BTreeSet<K>>()
        };
        let backing_off = of_access(&[Access::BackingOff]);
        let available = of_access(&[Access::Free, Access::OnTrial]);
        let failing = backing_off.len() + usize::from(available.contains(id));
        let all = backing_off.len() + available.len();
        if failing as f64 > self.settings.max_ejected_share * all as f64 {
            self.outage = Some(self.tick);
            return true;
        }
        let minute = 60_000_000_000 / self.settings.tick.as_nanos() as u64;
        self.outage.is_some_and(|last| self.tick - last <= minute)
    }

    pub fn reset_circuit(&mut self, id: &K) -> bool {
        let is_held = self.relays.contains_key(id);
        let Some(record) = self.known(id) else {
            return false;
        };
        let had_failed = record.circuit.is_penalised();
        record.circuit.reset();
        is_held || had_failed
    }

    /// A find handed out the relay. If its back-off is over, this is its trial.
    pub fn hand_out(&mut self, id: &K) {
        let (tick, length) = (self.tick, self.settings.tick);
        self.change(id, |relay| relay.circuit.hand_out(tick, length));
    }

    /// Learns from an answer of the registry whether the relay is backing off.
    pub fn observe(&mut self, id: &K, is_backing_off: bool) {
        let tick = self.tick;
        self.change(id, |relay| relay.circuit.observe(tick, is_backing_off));
    }

    /// False if the ban would end after the last tick that can be stored.
    pub fn ban(&mut self, now: Duration, id: K, duration: Duration) -> bool {
        let now = self.raise(now);
        self.sweep();
        let until = self.deadline(now, duration);
        if until > LAST_BAN {
            return false;
        }
        if until > self.tick {
            self.bans.insert(id, until);
            if let Some(record) = self.known(&id) {
                record.circuit.ban(until);
            }
        } else {
            self.unban(&id);
        }
        true
    }

    pub fn unban(&mut self, id: &K) -> bool {
        let tick = self.tick;
        let was_banned = self.bans.remove(id).is_some();
        if let Some(record) = self.known(id) {
            record.circuit.lift_ban(tick);
        }
        was_banned
    }

    pub fn set_draining(&mut self, id: &K, draining: bool) {
        match draining {
            true => self.draining.insert(*id),
            false => self.draining.remove(id),
        };
        if let Some(record) = self.known(id) {
            record.draining = draining;
        }
    }

    /// Returns whether there was any word of the operator to lift.
    pub fn lift(&mut self, id: &K) -> bool {
        let was_draining = self.draining.contains(id);
        self.set_draining(id, false);
        self.unban(id) | was_draining | self.said.remove(id).is_some()
    }
}

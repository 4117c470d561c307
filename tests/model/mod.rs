//! The registry's rules, said as plainly as possible: one map, one clock reading at a time, no sharing.
//!
//! The model speaks in plain types only, so that it depends on nothing it is meant to judge.
//! Between two calls it holds live relays only: the tick rises in [`Model::register`] and
//! [`Model::maintain`] alone, and both sweep at once what has become due.

mod address;
mod circuit;
mod conversions;
mod operation;
mod record;
mod selection;
mod system;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use address::{Address, AddressFault, Nat};
use address::{address_fault, can_relay};
pub use circuit::{Access, Circuit, Fault, Source, Trust};
pub use operation::{NODES, Operation, Step, Wave, no_wishes, node};
pub use record::Record;
use record::{Window, second_of};
pub use system::System;

/// So many ticks, at most, a relay is remembered for less than its grace.
const SLACK: u64 = 8;

pub const DEFAULT_CAPACITY: u32 = 100;
pub const CAPACITY_CEILING: u32 = (1 << 20) - 1;
pub const RTT_CEILING: Duration = Duration::from_secs(10);

/// The last tick that can be a deadline.
const LAST_DEADLINE: u64 = (1 << 37) - 3;

/// The last tick at which a ban can end.
const LAST_BAN: u64 = (1 << 39) - 1;

#[derive(Clone, Debug)]
pub struct Settings<K> {
    pub max_relays: usize,
    pub ttl: Duration,
    pub tick: Duration,
    pub local: Option<K>,
    pub public_only: bool,
    pub assumed_rtt: Duration,
    pub rtt_lifetime: Duration,
    pub max_ejected_share: f64,
    /// By default the relay's own TTL.
    pub return_grace: Option<Duration>,
    pub clock_starts_at: Duration,
}

impl<K> Settings<K> {
    pub fn are_valid(&self) -> bool {
        self.max_relays > 0
            && self.tick >= Duration::from_millis(1)
            && is_countable(self.ttl, self.tick)
            && is_sane(self.assumed_rtt)
            && !self.assumed_rtt.is_zero()
    }

    /// What the clock says after a step, since the registry was built. It counts nanoseconds in 64 bits.
    pub fn after(&self, now: Duration, step: Duration) -> Duration {
        let last = Duration::from_nanos(u64::MAX);
        let origin = self.clock_starts_at.min(last);
        let reading = (origin + now).saturating_add(step);
        reading.min(last) - origin
    }
}

/// What a registration sets; `None` leaves the default or, on renewal, what was there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    pub capacity: Option<u32>,
    pub latency: Option<Duration>,
    pub nat: Option<Nat>,
    pub ttl: Option<Duration>,
    pub restarted: bool,
}

/// A relay that left or lapsed.
#[derive(Clone, Debug)]
struct Gone<E> {
    record: Record<E>,
    /// The tick up to which it is remembered.
    until: u64,
    has_lapsed: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Query<K> {
    pub max_results: usize,
    pub excluded: BTreeSet<K>,
    pub max_latency: Option<Duration>,
    pub allow_unmeasured: bool,
    /// Kept where a single relay is asked for, if the best is not much better.
    pub preferred: Option<K>,
    /// What the peers that ask and are asked for measured to relays.
    pub requester_view: Option<BTreeMap<K, Duration>>,
    pub target_view: Option<BTreeMap<K, Duration>>,
}

impl<K: Ord> Query<K> {
    pub fn has_views(&self) -> bool {
        self.requester_view.is_some() || self.target_view.is_some()
    }

    /// The round trip from the peer that asks.
    fn first_leg<E>(&self, id: &K, relay: &Record<E>) -> Option<Duration> {
        match &self.requester_view {
            Some(view) => view.get(id).copied(),
            None => relay.latency(),
        }
    }

    fn path<E>(&self, id: &K, relay: &Record<E>, assumed_rtt: Duration) -> Duration {
        let second = self.target_view.as_ref().and_then(|view| view.get(id));
        let first = self.first_leg(id, relay);
        first.unwrap_or(assumed_rtt) + second.copied().unwrap_or(assumed_rtt)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    New,
    Renewed,
    Returned,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    Full,
    NotReachable(Nat),
    Address(AddressFault),
    Capacity(u32),
    Ttl(Duration),
    Latency(Duration),
    ClockExhausted,
}

/// Why a live relay is not handed out, or not leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    Excluded,
    Banned,
    BackingOff,
    Draining,
    Full,
    TooFar,
    Unmeasured,
}

/// A lease is on the relay through all its registrations, until it says that it restarted.
#[derive(Clone, Debug)]
pub struct Held<K> {
    pub id: K,
    serial: u64,
    /// How many failures of the relay counted before it was taken.
    failures: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub registrations: u64,
    pub renewals: u64,
    pub unregistrations: u64,
    pub expirations: u64,
    pub refused: u64,
}

#[derive(Clone, Debug)]
pub struct Model<K, E> {
    settings: Settings<K>,
    tick: u64,
    relays: BTreeMap<K, Record<E>>,
    /// Until which tick who is banned, held or not.
    bans: BTreeMap<K, u64>,
    /// Who is draining, held or not.
    draining: BTreeSet<K>,
    gone: BTreeMap<K, Gone<E>>,
    /// The last failure beyond the share, in an outage of our own.
    outage: Option<u64>,
    serials: u64,
    restarts: u64,
    counters: Counters,
    has_lapsed: bool,
}

impl<K: Copy + Ord, E: Address> Model<K, E> {
    pub fn new(settings: Settings<K>) -> Self {
        Self {
            settings,
            tick: 0,
            relays: BTreeMap::new(),
            bans: BTreeMap::new(),
            draining: BTreeSet::new(),
            gone: BTreeMap::new(),
            outage: None,
            serials: 0,
            restarts: 0,
            counters: Counters::default(),
            has_lapsed: false,
        }
    }

    // --- changes -------------------------------------------------------------------------------

    /// All reasons for a refusal are returned, because which one is named first is not promised.
    /// `is_new` is what the registry answers, where a relay may just be remembered or not.
    pub fn register(
        &mut self,
        now: Duration,
        id: K,
        endpoint: E,
        change: &Change,
        is_new: bool,
    ) -> Result<Admission, Vec<Refusal>> {
        let faults = self.faults(&endpoint, change);
        if !faults.is_empty() {
            self.counters.refused += 1;
            return Err(faults);
        }
        let now = self.raise(now);
        self.sweep();
        // Finds that come upon a relay past its deadline may take ticks off its grace.
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
        let record = self.come_back(now, endpoint, change, gone, is_remembered);
        self.relays.insert(id, record);
        Ok(match is_remembered {
            true => Admission::Returned,
            false => Admission::New,
        })
    }

    /// What forbids a registration that is valid in itself, in view of what is known of the relay.
    fn obstacles_to_registration(
        &self,
        now: Duration,
        id: &K,
        endpoint: &E,
        change: &Change,
        is_remembered: bool,
    ) -> Vec<Refusal> {
        let held = self.relays.get(id);
        let lapsed = self
            .gone
            .get(id)
            .filter(|gone| is_remembered && gone.has_lapsed);
        let known = held.or(lapsed.map(|gone| &gone.record));
        let nat = change.nat.or(known.and_then(|record| record.nat));
        let told = change.ttl.or(known.map(|record| record.ttl));
        let deadline = self.deadline(now, told.unwrap_or(self.settings.ttl));
        let mut refusals = Vec::new();
        let unreachable = nat.filter(|&nat| !can_relay(nat, endpoint));
        refusals.extend(unreachable.map(Refusal::NotReachable));
        let is_full = held.is_none() && self.relays.len() >= self.settings.max_relays;
        refusals.extend(is_full.then_some(Refusal::Full));
        refusals.extend((deadline > LAST_DEADLINE).then_some(Refusal::ClockExhausted));
        refusals
    }

    fn come_back(
        &mut self,
        now: Duration,
        endpoint: E,
        change: &Change,
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
            let told = record.seed.take();
            (record.seed, record.window) = (before.seed, before.window);
            record.forget_before(self.oldest_sample(time_of(self.settings.tick, self.tick)));
            if told.is_some() {
                record.window.forget_before(self.oldest_sample(now));
            }
            if record.window.minimum().is_none() {
                record.seed = told.or(record.seed);
            }
            if !change.restarted {
                record.base = before.base;
            }
        }
        record
    }

    /// The deadline moves, nothing else.
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

    /// The tick up to which a relay is remembered that is gone since that tick.
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

    pub fn record_rtt(&mut self, id: &K, rtt: Duration) -> bool {
        if !is_sane(rtt) {
            return false;
        }
        let second = second_of(self.settings.tick, self.tick);
        let oldest = self.oldest_sample(time_of(self.settings.tick, self.tick));
        self.change(id, |relay| {
            relay.window.sample(second, whole_micros(rtt), oldest);
        })
    }

    pub fn forget_rtt(&mut self, id: &K) -> bool {
        if let Some(record) = self.known(id) {
            record.forget_rtt();
        }
        self.relays.contains_key(id)
    }

    pub fn forget_rtts(&mut self) {
        let gone = self.gone.values_mut().map(|gone| &mut gone.record);
        let all = self.relays.values_mut().chain(gone);
        all.for_each(Record::forget_rtt);
    }

    /// Whether any round trip has lapsed since this was asked.
    pub fn take_lapsed(&mut self) -> bool {
        std::mem::take(&mut self.has_lapsed)
    }

    pub fn report_load(&mut self, id: &K, total: u32) -> bool {
        self.change(id, |relay| {
            relay.base = total.saturating_sub(relay.leases).min(CAPACITY_CEILING)
        })
    }

    pub fn report_load_of_others(&mut self, id: &K, others: u32) -> bool {
        self.change(id, |relay| relay.base = others.min(CAPACITY_CEILING))
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

    /// Whether there was anything to lift.
    pub fn lift(&mut self, id: &K) -> bool {
        let was_draining = self.draining.contains(id);
        self.set_draining(id, false);
        self.unban(id) | was_draining
    }

    /// The record of a relay that is held, or was.
    fn known(&mut self, id: &K) -> Option<&mut Record<E>> {
        let gone = self.gone.get_mut(id).map(|gone| &mut gone.record);
        self.relays.get_mut(id).or(gone)
    }

    pub fn report_failure(&mut self, id: &K, fault: Fault) -> bool {
        self.fail(id, fault, Source::Id)
    }

    pub fn report_success(&mut self, id: &K) -> bool {
        self.succeed(id, Source::Id)
    }

    /// False, here and below, once the relay that the lease was taken on has left.
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
        if relay.circuit.heeds(source, tick) {
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

    /// Whether with this one more than the share back off, of those that are eligible to a call without
    /// options, or would be; or that was so within a minute, and no success came since.
    fn is_outage(&mut self, id: &K) -> bool {
        let of_access = |accesses: &[Access]| {
            let has_room = |relay: &&Record<E>| !relay.draining && !relay.is_full();
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

    /// A find handed out the relay, on trial if its back-off is over.
    pub fn hand_out(&mut self, id: &K) {
        let (tick, length) = (self.tick, self.settings.tick);
        self.change(id, |relay| relay.circuit.hand_out(tick, length));
    }

    /// Takes in what the registry gave away of a relay's back-off.
    pub fn observe(&mut self, id: &K, is_backing_off: bool) {
        let tick = self.tick;
        self.change(id, |relay| relay.circuit.observe(tick, is_backing_off));
    }

    /// False if the ban would be longer than can be told.
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

    /// Takes one unit, or says everything that stands in the way; nothing at all for an unknown relay.
    pub fn lease(&mut self, id: &K) -> Result<Held<K>, Vec<Obstacle>> {
        let tick = self.tick;
        let Some(relay) = self.relays.get_mut(id) else {
            return Err(Vec::new());
        };
        let mut obstacles = Vec::new();
        let is_banned = relay.circuit.is_banned_at(tick);
        obstacles.extend(is_banned.then_some(Obstacle::Banned));
        obstacles.extend(relay.draining.then_some(Obstacle::Draining));
        obstacles.extend(relay.is_full().then_some(Obstacle::Full));
        if !obstacles.is_empty() {
            return Err(obstacles);
        }
        relay.leases += 1;
        Ok(Held {
            id: *id,
            serial: relay.serial,
            failures: relay.circuit.failures(),
        })
    }

    pub fn release(&mut self, held: &Held<K>) {
        if let Some(relay) = self.known(&held.id) {
            if relay.serial == held.serial {
                relay.leases -= 1;
            }
        }
    }

    /// Returns how many relays it removed.
    pub fn maintain(&mut self, now: Duration) -> usize {
        self.raise(now);
        self.sweep()
    }

    // --- questions -----------------------------------------------------------------------------

    pub fn relay(&self, id: &K) -> Option<&Record<E>> {
        self.relays.get(id)
    }

    pub fn relays(&self) -> &BTreeMap<K, Record<E>> {
        &self.relays
    }

    /// How often leases became void under a relay that was held.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    pub fn tick(&self) -> u64 {
        self.tick
    }

    // --- rules ---------------------------------------------------------------------------------

    fn faults(&self, endpoint: &E, change: &Change) -> Vec<Refusal> {
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
        faults
    }

    /// Raises the tick and returns the clock's reading, or the tick's time if the clock went backward.
    fn raise(&mut self, now: Duration) -> Duration {
        let reading = (now.as_nanos() / self.settings.tick.as_nanos()) as u64;
        self.tick = self.tick.max(reading);
        self.bans.retain(|_, until| *until > self.tick);
        self.forget_lapsed();
        now.max(time_of(self.settings.tick, self.tick))
    }

    /// The first second of which a sample counts.
    fn oldest_sample(&self, now: Duration) -> u64 {
        now.saturating_sub(self.settings.rtt_lifetime).as_secs()
    }

    fn forget_lapsed(&mut self) {
        let oldest = self.oldest_sample(time_of(self.settings.tick, self.tick));
        for relay in self.relays.values_mut() {
            self.has_lapsed |= relay.forget_before(oldest);
        }
    }

    fn sweep(&mut self) -> usize {
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

    fn deadline(&self, now: Duration, ttl: Duration) -> u64 {
        // The clock counts nanoseconds in 64 bits.
        let end = now.as_nanos() + ttl.as_nanos().min(u64::MAX.into());
        u64::try_from(end).map_or(u64::MAX, |end| {
            end.div_ceil(self.settings.tick.as_nanos() as u64)
        })
    }

    fn admit(&mut self, now: Duration, endpoint: E, change: &Change) -> Record<E> {
        self.serials += 1;
        let ttl = change.ttl.unwrap_or(self.settings.ttl);
        Record {
            endpoint,
            capacity: change.capacity.unwrap_or(DEFAULT_CAPACITY),
            nat: change.nat,
            draining: false,
            circuit: Circuit::new(),
            registered: now,
            deadline: self.deadline(now, ttl),
            ttl,
            serial: self.serials,
            leases: 0,
            base: 0,
            seed: change.latency.map(|rtt| (now.as_secs(), whole_micros(rtt))),
            window: Window::default(),
        }
    }

    fn change(&mut self, id: &K, apply: impl FnOnce(&mut Record<E>)) -> bool {
        self.relays.get_mut(id).map(apply).is_some()
    }
}

/// The time at which a tick begins.
pub fn time_of(tick_length: Duration, tick: u64) -> Duration {
    nanoseconds(tick_length.as_nanos() * u128::from(tick))
}

fn nanoseconds(total: u128) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    Duration::new((total / SECOND) as u64, (total % SECOND) as u32)
}

/// Whether so long a TTL can be told, and is within half of what the clock can count.
fn is_countable(ttl: Duration, tick: Duration) -> bool {
    let is_told = ttl.as_nanos() < u64::MAX.into();
    is_told && ttl >= tick && ttl.as_nanos() / tick.as_nanos() <= u128::from(LAST_DEADLINE / 2)
}

fn is_sane(rtt: Duration) -> bool {
    rtt <= RTT_CEILING
}

fn whole_micros(rtt: Duration) -> u64 {
    (rtt.as_nanos().div_ceil(1_000) as u64).max(1)
}

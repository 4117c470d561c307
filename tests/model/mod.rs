//! A sequential model of the registry's rules: one map, one thread, one clock reading at a time.
//!
//! The model uses no type of the library, so it shares no fault with it. Between two calls it has live
//! relays only, because each call that raises the tick also removes the relays that are due.

mod address;
mod call;
mod circuit;
mod conversions;
mod details;
mod failures;
mod filters;
mod home;
mod membership;
mod newcomers;
mod operation;
mod peers;
mod record;
mod selection;
mod system;
mod tiers;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use address::{Address, AddressFault, Nat};
pub use call::{Call, Leg, Legs, Query};
pub use circuit::{Access, Circuit, Fault, Source, Trust};
pub use details::{DetailChange, Details};
pub use filters::{Family, Filter};
pub use operation::{NODES, Operation, Step, Wave, node, unconditional};
use peers::Remembered;
pub use peers::View;
pub use record::Record;
use record::second_of;

use selection::Candidate;
pub use selection::Obstacle;
pub use system::System;
pub use tiers::{Rank, RankChange};

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
    pub max_peers: usize,
    pub peer_ttl: Duration,
    pub slow_start: Duration,
}

impl<K> Settings<K> {
    pub fn are_valid(&self) -> bool {
        self.max_relays > 0
            && self.tick >= Duration::from_millis(1)
            && is_countable(self.ttl, self.tick)
            && is_sane(self.assumed_rtt)
            && !self.assumed_rtt.is_zero()
            && !self.peer_ttl.is_zero()
            && is_countable(self.peer_ttl.max(self.tick), self.tick)
    }

    /// The clock's reading after a step, since the registry was built. The clock has 64 bits of nanoseconds.
    pub fn after(&self, now: Duration, step: Duration) -> Duration {
        let last = Duration::from_nanos(u64::MAX);
        let origin = self.clock_starts_at.min(last);
        let reading = (origin + now).saturating_add(step);
        reading.min(last) - origin
    }
}

/// What a registration sets. `None` means the default or, for a renewal, the current value.
#[derive(Clone, Debug, PartialEq)]
pub struct Change<E> {
    pub capacity: Option<u32>,
    pub latency: Option<Duration>,
    pub nat: Option<Nat>,
    pub ttl: Option<Duration>,
    pub restarted: bool,
    pub rank: RankChange,
    pub details: DetailChange<E>,
}

impl<E> Default for Change<E> {
    fn default() -> Self {
        Self {
            capacity: None,
            latency: None,
            nat: None,
            ttl: None,
            restarted: false,
            rank: RankChange::default(),
            details: DetailChange::default(),
        }
    }
}

/// A relay that left or lapsed.
#[derive(Clone, Debug)]
struct Gone<E> {
    record: Record<E>,
    /// The tick up to which it is remembered.
    until: u64,
    has_lapsed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    New,
    Renewed,
    Returned,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    Full,
    NotReachable(Nat),
    Address(AddressFault),
    Capacity(u32),
    Ttl(Duration),
    Latency(Duration),
    /// The bits of a cost, for what is not a number equals nothing.
    Cost(u64),
    Label(String),
    TooManyLabels(usize),
    FurtherAddress(AddressFault),
    TooManyEndpoints(usize),
    /// The length of an invalid name.
    Domain(usize),
    ClockExhausted,
}

/// A lease. It is valid through all registrations of its relay, until that registers as restarted.
#[derive(Clone, Debug)]
pub struct Held<K> {
    pub id: K,
    pub units: u32,
    serial: u64,
    /// How many failures of the relay counted before the lease was taken.
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
    /// Until which tick a relay is banned, held or not.
    bans: BTreeMap<K, u64>,
    /// The relays that are draining, held or not.
    draining: BTreeSet<K>,
    /// What the operator says of tiers and costs, of relays held or not.
    said: BTreeMap<K, RankChange>,
    gone: BTreeMap<K, Gone<E>>,
    /// The peers whose views are remembered, the one that was updated longest ago first.
    peers: Vec<Remembered<K>>,
    keeps_positions: bool,
    /// The tick of the last failure beyond the limit, during an outage of this node's network.
    outage: Option<u64>,
    serials: u64,
    restarts: u64,
    counters: Counters,
    has_lapsed: bool,
}

impl<K: Copy + Ord, E: Address> Model<K, E> {
    /// The assumed round trip is kept to the microsecond.
    pub fn new(mut settings: Settings<K>) -> Self {
        settings.assumed_rtt = Duration::from_micros(whole_micros(settings.assumed_rtt));
        Self {
            settings,
            tick: 0,
            relays: BTreeMap::new(),
            bans: BTreeMap::new(),
            draining: BTreeSet::new(),
            said: BTreeMap::new(),
            gone: BTreeMap::new(),
            peers: Vec::new(),
            keeps_positions: false,
            outage: None,
            serials: 0,
            restarts: 0,
            counters: Counters::default(),
            has_lapsed: false,
        }
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

    /// Whether a round trip has lapsed since the last call.
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

    /// The record of a relay that is held, or that is gone and remembered.
    fn known(&mut self, id: &K) -> Option<&mut Record<E>> {
        let gone = self.gone.get_mut(id).map(|gone| &mut gone.record);
        self.relays.get_mut(id).or(gone)
    }

    /// Takes so many units, or returns every reason for a refusal; none for an unknown relay.
    pub fn lease(&mut self, id: &K, units: u32) -> Result<Held<K>, Vec<Obstacle>> {
        let tick = self.tick;
        let Some(relay) = self.relays.get_mut(id) else {
            return Err(Vec::new());
        };
        let mut obstacles = Vec::new();
        let is_banned = relay.circuit.is_banned_at(tick);
        obstacles.extend(is_banned.then_some(Obstacle::Banned));
        obstacles.extend(relay.draining.then_some(Obstacle::Draining));
        obstacles.extend(relay.lacks(units).then_some(Obstacle::Full));
        if !obstacles.is_empty() {
            return Err(obstacles);
        }
        relay.leases += units;
        Ok(Held {
            id: *id,
            units,
            serial: relay.serial,
            failures: relay.circuit.failures(),
        })
    }

    pub fn release(&mut self, held: &Held<K>) {
        if let Some(relay) = self.known(&held.id) {
            if relay.serial == held.serial {
                relay.leases -= held.units;
            }
        }
    }

    pub fn relay(&self, id: &K) -> Option<&Record<E>> {
        self.relays.get(id)
    }

    pub fn relays(&self) -> &BTreeMap<K, Record<E>> {
        &self.relays
    }

    /// How often a restart made leases of a held relay void.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    pub fn assumed_rtt(&self) -> Duration {
        self.settings.assumed_rtt
    }

    pub fn tick(&self) -> u64 {
        self.tick
    }

    /// Raises the tick and returns the clock's reading, or the tick's time if the clock went backward.
    fn raise(&mut self, now: Duration) -> Duration {
        let reading = (now.as_nanos() / self.settings.tick.as_nanos()) as u64;
        self.tick = self.tick.max(reading);
        self.bans.retain(|_, until| *until > self.tick);
        self.forget_lapsed();
        now.max(time_of(self.settings.tick, self.tick))
    }

    /// The second of the oldest sample that counts.
    fn oldest_sample(&self, now: Duration) -> u64 {
        now.saturating_sub(self.settings.rtt_lifetime).as_secs()
    }

    fn forget_lapsed(&mut self) {
        let oldest = self.oldest_sample(time_of(self.settings.tick, self.tick));
        for relay in self.relays.values_mut() {
            self.has_lapsed |= relay.forget_before(oldest);
        }
    }

    fn deadline(&self, now: Duration, ttl: Duration) -> u64 {
        // The clock counts nanoseconds in 64 bits.
        let end = now.as_nanos() + ttl.as_nanos().min(u64::MAX.into());
        u64::try_from(end).map_or(u64::MAX, |end| {
            end.div_ceil(self.settings.tick.as_nanos() as u64)
        })
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

/// Whether the TTL is within its bounds: one tick, and half of the clock's range.
fn is_countable(ttl: Duration, tick: Duration) -> bool {
    let fits_clock = ttl.as_nanos() < u64::MAX.into();
    fits_clock && ttl >= tick && ttl.as_nanos() / tick.as_nanos() <= u128::from(LAST_DEADLINE / 2)
}

fn is_sane(rtt: Duration) -> bool {
    rtt <= RTT_CEILING
}

fn whole_micros(rtt: Duration) -> u64 {
    (rtt.as_nanos().div_ceil(1_000) as u64).max(1)
}

//! One relay, as the model has it.

use super::{Change, Circuit, Nat, time_of, whole_micros};
use std::collections::BTreeMap;
use std::time::Duration;

/// The window of an RTT minimum: three pairs of slices of fifty seconds, the last begun.
const SLICE: Duration = Duration::from_secs(50);
const PAIRS: u64 = 3;

#[derive(Clone, Debug)]
pub struct Record<E> {
    pub endpoint: E,
    pub capacity: u32,
    pub nat: Option<Nat>,
    pub draining: bool,
    pub circuit: Circuit,
    /// The clock's reading when this record was first registered.
    pub registered: Duration,
    /// The tick from which on the relay is dead.
    pub deadline: u64,
    pub(super) ttl: Duration,
    pub(super) serial: u64,
    pub(super) leases: u32,
    /// What the relay reported beyond our own leases.
    pub(super) base: u32,
    pub(super) seed: Option<u64>,
    pub(super) window: Window,
}

impl<E> Record<E> {
    pub fn load(&self) -> u32 {
        self.leases.saturating_add(self.base)
    }

    pub fn leases(&self) -> u32 {
        self.leases
    }

    pub fn latency(&self) -> Option<Duration> {
        let micros = self.window.minimum().or(self.seed);
        micros.map(Duration::from_micros)
    }

    pub(super) fn is_full(&self) -> bool {
        self.load() >= self.capacity
    }

    pub(super) fn renew(&mut self, endpoint: E, change: &Change, ttl: Duration, deadline: u64) {
        self.endpoint = endpoint;
        self.ttl = ttl;
        self.deadline = deadline;
        self.capacity = change.capacity.unwrap_or(self.capacity);
        self.nat = change.nat.or(self.nat);
        self.seed = change.latency.map(whole_micros).or(self.seed);
    }

    /// Lower is better; only asked of relays that are not full.
    pub fn score(&self, assumed_rtt: Duration) -> f64 {
        let path = self.latency().unwrap_or(assumed_rtt) + assumed_rtt;
        let utilisation = f64::from(self.load()) / f64::from(self.capacity);
        path.as_secs_f64() / (1.0 - utilisation.powi(4))
    }
}

/// The minimum of recent round trips; it slides when a sample arrives, not when time passes.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    minima: BTreeMap<u64, u64>,
}

impl Window {
    pub(super) fn sample(&mut self, slice: u64, micros: u64) {
        let minimum = self.minima.entry(slice).or_insert(micros);
        *minimum = micros.min(*minimum);
        self.minima.retain(|&s, _| s / 2 + PAIRS > slice / 2);
    }

    fn minimum(&self) -> Option<u64> {
        self.minima.values().min().copied()
    }
}

/// The slice of the window that a tick is in.
pub(super) fn slice_of(tick_length: Duration, tick: u64) -> u64 {
    (time_of(tick_length, tick).as_nanos() / SLICE.as_nanos()) as u64
}

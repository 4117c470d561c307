//! The model of one relay.

use super::{Address, Change, Circuit, Details, Nat, Rank, RankChange, time_of, whole_micros};
use std::collections::BTreeMap;
use std::time::Duration;

/// The window of round trips: three slices of a hundred seconds, of which the last is not complete.
const SLICE: u64 = 100;
const SLICES: u64 = 3;

#[derive(Clone, Debug)]
pub struct Record<E> {
    pub endpoint: E,
    pub capacity: u32,
    pub nat: Option<Nat>,
    /// As it announced it.
    pub(super) rank: Rank,
    pub details: Details<E>,
    pub draining: bool,
    pub circuit: Circuit,
    /// The clock's reading when this record was first registered.
    pub registered: Duration,
    /// The first tick at which the relay is no longer live.
    pub deadline: u64,
    pub ttl: Duration,
    /// The tick at which it arrived, while it starts slowly.
    pub(super) arrived_at: Option<u64>,
    pub(super) serial: u64,
    pub(super) leases: u32,
    /// The reported load, without our own leases.
    pub(super) base: u32,
    /// The announced round trip, and in which second.
    pub(super) seed: Option<(u64, u64)>,
    pub(super) window: Window,
}

impl<E: Address> Record<E> {
    pub fn load(&self) -> u32 {
        self.leases.saturating_add(self.base)
    }

    /// The units of its leases.
    pub fn leases(&self) -> u32 {
        self.leases
    }

    pub fn latency(&self) -> Option<Duration> {
        let announced = self.seed.map(|(_, micros)| micros);
        self.window
            .minimum()
            .or(announced)
            .map(Duration::from_micros)
    }

    /// Whether fewer units are free.
    pub(super) fn lacks(&self, units: u32) -> bool {
        self.load().saturating_add(units) > self.capacity
    }

    pub(super) fn renew(
        &mut self,
        endpoint: E,
        change: &Change<E>,
        (second, oldest): (u64, u64),
        ttl: Duration,
        deadline: u64,
    ) {
        self.details = self.details.changed(&change.details, &endpoint);
        self.endpoint = endpoint;
        self.ttl = ttl;
        self.deadline = deadline;
        self.capacity = change.capacity.unwrap_or(self.capacity);
        self.nat = change.nat.or(self.nat);
        self.rank = self.rank.changed(&change.rank);
        if let Some(rtt) = change.latency {
            if self.window.latest().is_none_or(|latest| latest < oldest) {
                self.window = Window::default();
                self.seed = Some((second, whole_micros(rtt)));
            }
        }
    }

    /// The announcement of a relay that returns after an expiry: the old one with this change.
    pub(super) fn keeps(&self, change: &Change<E>) -> Change<E> {
        Change {
            capacity: change.capacity.or(Some(self.capacity)),
            nat: change.nat.or(self.nat),
            ttl: change.ttl.or(Some(self.ttl)),
            rank: RankChange {
                tier: change.rank.tier.or(Some(self.rank.tier)),
                cost: change.rank.cost.or(Some(self.rank.cost)),
            },
            details: self.details.kept(&change.details),
            ..change.clone()
        }
    }

    pub(super) fn forget_rtt(&mut self) {
        self.seed = None;
        self.window = Window::default();
    }

    /// Forgets samples from before this second. Returns whether there were any.
    pub(super) fn forget_before(&mut self, oldest: u64) -> bool {
        let has_lapsed = self.latest_sample().is_some_and(|latest| latest < oldest);
        if has_lapsed {
            self.forget_rtt();
        }
        has_lapsed
    }

    /// In which second the round trip was measured last, or announced.
    pub fn latest_sample(&self) -> Option<u64> {
        self.window.latest().or(self.seed.map(|(second, _)| second))
    }

    /// The score before the cost, if this share of the capacity counts: lower is better. Must not be called
    /// for a full relay.
    pub fn score(&self, path: Duration, share: f64) -> f64 {
        const MOST: f64 = 1.0 - 1.0 / 256.0;
        let whole = f64::from(self.load()) / f64::from(self.capacity);
        let utilisation = (whole / share).min(MOST).max(whole);
        path.as_secs_f64() / (1.0 - utilisation.powi(4))
    }
}

/// The minimum of recent round trips. The window moves when a sample arrives, not when time passes: until
/// the latest sample lapses, it counts as a whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    /// For each slice, the minimum and the second of the latest sample.
    slices: BTreeMap<u64, (u64, u64)>,
}

impl Window {
    /// Adds a sample; older ones count only from the second `oldest` on.
    pub(super) fn sample(&mut self, second: u64, micros: u64, oldest: u64) {
        self.forget_before(oldest);
        let slice = second / SLICE;
        let (minimum, latest) = self.slices.entry(slice).or_insert((micros, second));
        (*minimum, *latest) = (micros.min(*minimum), second);
        self.slices.retain(|&s, _| s + SLICES > slice);
    }

    fn forget_before(&mut self, oldest: u64) {
        self.slices.retain(|_, (_, latest)| *latest >= oldest);
    }

    pub(super) fn minimum(&self) -> Option<u64> {
        self.slices.values().map(|(minimum, _)| *minimum).min()
    }

    pub(super) fn latest(&self) -> Option<u64> {
        self.slices.values().map(|(_, latest)| *latest).max()
    }
}

/// The second that a tick is in.
pub(super) fn second_of(tick_length: Duration, tick: u64) -> u64 {
    time_of(tick_length, tick).as_secs()
}

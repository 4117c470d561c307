//! The true state of the relays, whatever the registries know.

use super::queue::{Micros, SECOND};

/// A relay at this share of its capacity or more is saturated.
const SATURATED_PERCENT: u64 = 95;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Serving, and renewing in time.
    Up,
    /// Unregistered: finishes its sessions, and accepts no others.
    Left,
    /// Stopped without notice: its sessions have ended. The registries notice when the TTL is over.
    Down,
}

#[derive(Debug, Clone)]
pub struct TrueRelay {
    pub capacity: u32,
    pub presence: Presence,
    /// How often it started, so that events of an earlier stay are ignored.
    pub stay: u32,
    /// When its last registration expires.
    pub deadline: Micros,
    load: u32,
    settled: Micros,
    meter: Meter,
}

/// Sums over relays and time, in relay-microseconds while up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meter {
    up: u64,
    saturated: u64,
    load: u64,
    capacity: u64,
}

impl TrueRelay {
    /// A relay that has not started yet.
    pub fn new(capacity: u32) -> Self {
        Self {
            capacity,
            presence: Presence::Left,
            stay: 0,
            deadline: 0,
            load: 0,
            settled: 0,
            meter: Meter::default(),
        }
    }

    /// The sessions of all nodes.
    pub fn load(&self) -> u32 {
        self.load
    }

    pub fn is_up(&self) -> bool {
        self.presence == Presence::Up
    }

    pub fn is_full(&self) -> bool {
        self.load >= self.capacity
    }

    pub fn take_session(&mut self, now: Micros) {
        self.settle(now);
        self.load += 1;
    }

    pub fn end_session(&mut self, now: Micros) {
        self.settle(now);
        self.load -= 1;
    }

    pub fn come_up(&mut self, now: Micros) {
        self.settle(now);
        self.presence = Presence::Up;
        self.stay += 1;
    }

    pub fn go(&mut self, now: Micros, presence: Presence) {
        self.settle(now);
        self.presence = presence;
    }

    /// What was measured since the last call.
    pub fn read_meter(&mut self, now: Micros) -> Meter {
        self.settle(now);
        std::mem::take(&mut self.meter)
    }

    /// Adds the time since the last change, with the load of that time.
    fn settle(&mut self, now: Micros) {
        let passed = now - self.settled;
        self.settled = now;
        if !self.is_up() {
            return;
        }
        let (load, capacity) = (u64::from(self.load), u64::from(self.capacity));
        self.meter.up += passed;
        self.meter.load += passed * load;
        self.meter.capacity += passed * capacity;
        if load * 100 >= capacity * SATURATED_PERCENT {
            self.meter.saturated += passed;
        }
    }
}

impl Meter {
    pub fn add(&mut self, other: Self) {
        self.up += other.up;
        self.saturated += other.saturated;
        self.load += other.load;
        self.capacity += other.capacity;
    }

    /// Relay-microseconds spent saturated.
    pub fn saturated(&self) -> u64 {
        self.saturated
    }

    /// The share of relay-time spent saturated.
    pub fn saturated_share(&self) -> f64 {
        self.saturated as f64 / self.up as f64
    }

    /// Load over capacity, on average.
    pub fn utilisation(&self) -> f64 {
        self.load as f64 / self.capacity as f64
    }

    /// The mean number of running relays in this time.
    pub fn mean_up(&self, seconds: f64) -> f64 {
        self.up as f64 / SECOND as f64 / seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_counted_with_the_load_of_that_time() {
        let mut relay = TrueRelay::new(20);
        relay.come_up(10);
        for _ in 0..19 {
            relay.take_session(10);
        }
        relay.end_session(30);
        relay.go(70, Presence::Left);
        let meter = relay.read_meter(1000);
        assert_eq!(meter.saturated_share(), 20.0 / 60.0);
        assert_eq!(meter.utilisation(), (20.0 * 19.0 + 40.0 * 18.0) / 1200.0);
        assert_eq!(relay.read_meter(2000), Meter::default());
    }
}

//! The options of a call, for the registry and for the scene.

use crate::common::*;
use crate::scene::Relay;
use relay_registry::{FindOptions, NodeId};
use std::time::Duration;

/// The assumed round trip of an unmeasured leg: the registry's default.
pub const ASSUMED_MICROS: u32 = 100_000;

/// A target and options, with the relays that they admit and their paths.
#[derive(Clone)]
pub struct Question {
    pub target: NodeId,
    pub options: FindOptions,
    excluded: Vec<u32>,
    max_latency: Option<Duration>,
    /// The whole path over each relay in microseconds, where it is more than
    /// this node's leg.
    paths: Option<Vec<u32>>,
}

impl Question {
    /// Any relay, by this node's leg alone.
    pub fn plain() -> Self {
        Self {
            target: non_relay(),
            options: FindOptions::new().max_spread_cost(0.0),
            excluded: Vec::new(),
            max_latency: None,
            paths: None,
        }
    }

    /// For a pair of peers: views are in the options, and these are the paths
    /// that follow from them.
    pub fn pair(options: FindOptions, paths: Vec<u32>) -> Self {
        Self {
            options: options.max_spread_cost(0.0),
            paths: Some(paths),
            ..Self::plain()
        }
    }

    /// The target is itself a relay, which must not be handed out.
    pub fn towards_relay(n: u32) -> Self {
        Self {
            target: id(n),
            excluded: vec![n],
            ..Self::plain()
        }
    }

    pub fn excluding(mut self, numbers: &[u32]) -> Self {
        self.options = self.options.exclude(numbers.iter().copied().map(id));
        self.excluded.extend(numbers);
        self
    }

    pub fn within(mut self, max_latency: Duration) -> Self {
        self.options = self.options.max_latency(max_latency);
        self.max_latency = Some(max_latency);
        self
    }

    pub fn of_many(mut self, count: usize) -> Self {
        self.options = self.options.max_results(count);
        self
    }

    /// The score of a relay, or `None` if it must not be handed out.
    pub fn score(&self, n: u32, relay: &Relay) -> Option<f64> {
        if relay.load >= relay.capacity || relay.is_out || !self.admits(n, relay) {
            return None;
        }
        let utilisation = f64::from(relay.load) / f64::from(relay.capacity);
        Some(self.path(n, relay) / (1.0 - utilisation.powi(4)))
    }

    fn admits(&self, n: u32, relay: &Relay) -> bool {
        let is_near = |max: Duration| {
            let rtt = relay.rtt_micros.map(u64::from).map(Duration::from_micros);
            rtt.is_some_and(|rtt| rtt <= max)
        };
        !self.excluded.contains(&n) && self.max_latency.is_none_or(is_near)
    }

    fn path(&self, n: u32, relay: &Relay) -> f64 {
        let plain = relay.rtt_micros.unwrap_or(ASSUMED_MICROS) + ASSUMED_MICROS;
        f64::from(self.paths.as_ref().map_or(plain, |paths| paths[n as usize]))
    }
}

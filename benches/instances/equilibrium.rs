//! Loads that the registry's own choices made: sessions come and go until what
//! is measured no longer depends on how they began.

use super::random_id;
use fastrand::Rng;
use relay_registry::{FindOptions, Lease, Registry};

/// How often each session is replaced, on average.
const TURNOVERS: usize = 2;

/// Leases held, for targets drawn at random.
#[derive(Default)]
pub struct Sessions(Vec<Lease>);

impl Sessions {
    /// Takes so many leases, and then replaces one drawn at random by another,
    /// again and again: sessions of exponential length.
    pub fn settle(registry: &Registry, wanted: usize, rng: &mut Rng) -> Self {
        let mut sessions = Self(Vec::with_capacity(wanted));
        for _ in 0..wanted {
            sessions.begin_one(registry, rng);
        }
        for _ in 0..wanted * TURNOVERS {
            sessions.end_one(rng);
            sessions.begin_one(registry, rng);
        }
        sessions
    }

    fn begin_one(&mut self, registry: &Registry, rng: &mut Rng) {
        let lease = registry.reserve(&random_id(rng), &FindOptions::new());
        self.0.push(lease.expect("capacity is left"));
    }

    fn end_one(&mut self, rng: &mut Rng) {
        let ended = rng.usize(..self.0.len());
        drop(self.0.swap_remove(ended));
    }
}

/// The share of relays that are at least 95 % full.
pub fn share_full(registry: &Registry) -> f64 {
    let relays = registry.relays();
    let is_full = |load: u32, capacity: u32| u64::from(load) * 100 >= u64::from(capacity) * 95;
    let full = relays
        .iter()
        .filter(|relay| is_full(relay.current_load(), relay.capacity()));
    full.count() as f64 / relays.len() as f64
}

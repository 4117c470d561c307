//! Loads of the registry's own choices: sessions begin and end until the measurement no longer depends on
//! the initial state.

use super::random_id;
use fastrand::Rng;
use relay_registry::{FindOptions, Lease, Registry};

/// How often each session is replaced on average; less often if there are so many that it would take
/// minutes.
fn turnovers(sessions: usize) -> f64 {
    match sessions {
        0..=300_000 => 2.0,
        300_001..=1_000_000 => 1.0,
        _ => 0.25,
    }
}

/// The held leases, for random targets.
#[derive(Default)]
pub struct Sessions(Vec<Lease>);

impl Sessions {
    /// Takes leases, then repeatedly replaces a random one by another, as with sessions of exponential
    /// length.
    pub fn settle(registry: &Registry, wanted: usize, rng: &mut Rng) -> Self {
        let options = FindOptions::new();
        Self::settle_by(wanted, rng, |rng| {
            let lease = registry.reserve(&random_id(rng), &options);
            lease.expect("capacity is left")
        })
    }

    /// The same, with leases from `take`.
    pub fn settle_by(wanted: usize, rng: &mut Rng, take: impl Fn(&mut Rng) -> Lease) -> Self {
        let mut sessions = Self((0..wanted).map(|_| take(rng)).collect());
        for _ in 0..(wanted as f64 * turnovers(wanted)) as usize {
            sessions.end_one(rng);
            sessions.0.push(take(rng));
        }
        sessions
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

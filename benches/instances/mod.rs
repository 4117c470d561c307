//! The registries that benches ask: how many relays, how far away, how loaded
//! and by whom. All is drawn from seeds, so an instance can be made again.

// Each bench uses a part of it.
#![allow(dead_code, unused_imports)]

mod equilibrium;
pub mod geography;

pub use equilibrium::{Sessions, share_full};

use fastrand::Rng;
use relay_registry::{
    Endpoint, Maintenance, ManualClock, NodeId, RegisterOptions, Registry, RegistryBuilder,
};
use std::net::SocketAddr;
use std::time::Duration;

/// A registry on a clock that stands, and what is in it.
pub struct Instance {
    pub registry: Registry,
    pub ids: Vec<NodeId>,
    /// The sessions that make up the load, where the registry made it.
    pub sessions: Sessions,
}

/// What an instance is like.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    pub relays: usize,
    pub capacity: u32,
    pub round_trips: RoundTrips,
    pub loads: Loads,
    /// The share of relays above which those that fail are last resorts.
    pub max_ejected_share: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RoundTrips {
    /// None was measured.
    Unmeasured,
    /// All measured, all the same.
    Equal,
    /// From 1 to 300 ms, evenly.
    Measured,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loads {
    /// Made elsewhere: spread evenly around this share of the capacity, as
    /// widely as that goes.
    Independent(f64),
    /// Made by the registry's own reservations, which even out all scores, up
    /// to this share of the capacity.
    Equilibrium(f64),
    /// No capacity left, but on so many relays, which are idle.
    FullBut(usize),
}

impl Recipe {
    /// Loads from elsewhere, at 0.6 of the capacity.
    pub const fn new(relays: usize, round_trips: RoundTrips) -> Self {
        Self {
            relays,
            capacity: 100,
            round_trips,
            loads: Loads::Independent(0.6),
            max_ejected_share: 0.5,
        }
    }

    pub const fn loads(mut self, loads: Loads) -> Self {
        self.loads = loads;
        self
    }

    pub const fn capacity(mut self, capacity: u32) -> Self {
        self.capacity = capacity;
        self
    }

    pub const fn max_ejected_share(mut self, share: f64) -> Self {
        self.max_ejected_share = share;
        self
    }

    pub fn build(&self, seed: u64) -> Instance {
        let mut rng = Rng::with_seed(seed);
        let registry = standing_still(self.relays)
            .max_ejected_share(self.max_ejected_share)
            .build()
            .expect("valid settings");
        let ids = random_ids(self.relays, &mut rng);
        let options = RegisterOptions::new().capacity(self.capacity);
        for id in &ids {
            registry
                .register_with(*id, endpoint(), &options)
                .expect("there is room");
            if let Some(rtt) = self.round_trips.draw(&mut rng) {
                registry.record_rtt(id, rtt);
            }
        }
        registry.maintain();
        let mut sessions = Sessions::default();
        match self.loads {
            Loads::Independent(share) => self.load_from_elsewhere(share, &registry, &ids, &mut rng),
            Loads::Equilibrium(share) => {
                let wanted = self.relays as f64 * f64::from(self.capacity) * share;
                sessions = Sessions::settle(&registry, wanted as usize, &mut rng);
            }
            // Ids are random, so the last ones lie anywhere.
            Loads::FullBut(spared) => {
                for id in &ids[..ids.len() - spared] {
                    registry.report_load(id, self.capacity);
                }
            }
        }
        Instance {
            registry,
            ids,
            sessions,
        }
    }

    fn load_from_elsewhere(&self, share: f64, registry: &Registry, ids: &[NodeId], rng: &mut Rng) {
        let spread = share.min(1.0 - share);
        let capacity = f64::from(self.capacity);
        for id in ids {
            let load = capacity * (share + spread * (2.0 * rng.f64() - 1.0));
            registry.report_load(id, load as u32);
        }
    }
}

impl RoundTrips {
    pub fn draw(self, rng: &mut Rng) -> Option<Duration> {
        match self {
            Self::Unmeasured => None,
            Self::Equal => Some(Duration::from_millis(20)),
            Self::Measured => Some(Duration::from_micros(rng.u64(1_000..300_000))),
        }
    }
}

/// Room for so many, on a clock that stands.
pub fn empty_registry(relays: usize) -> Registry {
    standing_still(relays).build().expect("valid settings")
}

/// Room for so many, sorted only by explicit passes, on a clock that
/// the benchmark may move. Every call reads that clock.
pub fn empty_registry_on(clock: ManualClock, relays: usize) -> Registry {
    Registry::builder()
        .max_relays(relays)
        .maintenance(Maintenance::Manual)
        .clock(clock)
        .build()
        .expect("valid settings")
}

/// It has threads of its own, as by default, so that calls load the tick and do not
/// read the clock. These threads do nothing but sort arrivals: a tick is a day.
fn standing_still(relays: usize) -> RegistryBuilder {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    Registry::builder()
        .max_relays(relays)
        .tick(DAY)
        .ttl(30 * DAY)
        .clock(ManualClock::new())
}

pub fn endpoint() -> Endpoint {
    SocketAddr::from(([192, 0, 2, 1], 4433)).into()
}

pub fn random_ids(count: usize, rng: &mut Rng) -> Vec<NodeId> {
    (0..count).map(|_| random_id(rng)).collect()
}

/// Targets that are no relays in any instance.
pub fn target_ids() -> Vec<NodeId> {
    random_ids(1_024, &mut Rng::with_seed(u64::MAX))
}

pub fn random_id(rng: &mut Rng) -> NodeId {
    let mut id = [0; 32];
    rng.fill(&mut id);
    id.into()
}

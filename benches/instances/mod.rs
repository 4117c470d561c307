//! The registries of the benchmarks: the number of relays, their round trips and their loads. All random
//! values are from seeds, so an instance can be made again.

// Each benchmark uses a part of this.
#![allow(dead_code, unused_imports)]

mod equilibrium;
pub mod topology;

pub use equilibrium::{Sessions, share_full};

use fastrand::Rng;
use relay_registry::{
    Endpoint, Maintenance, ManualClock, NodeId, RegisterOptions, Registry, RegistryBuilder,
};
use std::net::SocketAddr;
use std::time::Duration;

/// A registry on a stopped clock, with its relays.
pub struct Instance {
    pub registry: Registry,
    pub ids: Vec<NodeId>,
    /// The sessions that are the load, if the registry chose for them.
    pub sessions: Sessions,
}

/// How an instance is made.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    pub relays: usize,
    pub capacity: u32,
    pub round_trips: RoundTrips,
    pub loads: Loads,
    /// The share of backing-off relays above which they are last resorts.
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
    /// Of other nodes: spread evenly around this share of the capacity, as widely as possible.
    Independent(f64),
    /// Of the registry's own reservations, up to this share of the capacity. They make all scores
    /// similar.
    Equilibrium(f64),
    /// All relays are full, except this many, which are idle.
    FullBut(usize),
}

impl Recipe {
    /// Loads of other nodes, at 0.6 of the capacity.
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
            // Ids are random, so the last ones can be anywhere in the registry.
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

/// A registry with room for this many relays, on a stopped clock.
pub fn empty_registry(relays: usize) -> Registry {
    standing_still(relays).build().expect("valid settings")
}

/// The same, but relays are forgotten once they have left.
pub fn forgetful_registry(relays: usize) -> Registry {
    let builder = standing_still(relays).return_grace(Duration::ZERO);
    builder.build().expect("valid settings")
}

/// A registry with room for this many relays and manual maintenance, on a clock that the benchmark moves.
/// Every call reads that clock.
pub fn empty_registry_on(clock: ManualClock, relays: usize) -> Registry {
    Registry::builder()
        .max_relays(relays)
        .maintenance(Maintenance::Manual)
        .clock(clock)
        .build()
        .expect("valid settings")
}

/// It has a maintenance thread, as by default, so calls load the tick and do not read the clock. The thread
/// only sorts arrivals, because a tick is one day.
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

/// Ids of targets that are relays in no instance.
pub fn target_ids() -> Vec<NodeId> {
    random_ids(1_024, &mut Rng::with_seed(u64::MAX))
}

pub fn random_id(rng: &mut Rng) -> NodeId {
    let mut id = [0; 32];
    rng.fill(&mut id);
    id.into()
}

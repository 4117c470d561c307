//! A registry is saved, and another one goes on from there.
//!
//! A process has a monotonic clock of its own, which begins anew with each process, and the
//! calendar of its machine.

#[path = "../common/mod.rs"]
mod common;

mod any;
mod beside;
mod damage;
#[cfg(feature = "dht")]
mod dht;
mod files;
mod kept;
mod kill;
mod limits;
mod time;

use common::World;
use relay_registry::{Maintenance, ManualClock, Registry, RegistryBuilder, RelayInfo};
use std::time::Duration;

/// When the tests begin, since the Unix epoch.
pub const EPOCH: Duration = Duration::from_secs(1_800_000_000);

/// A machine on which one process runs after another.
pub struct Machine {
    pub wall: ManualClock,
}

/// A process with a registry.
pub struct Process {
    pub world: World,
    pub wall: ManualClock,
}

impl std::ops::Deref for Process {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl Default for Machine {
    fn default() -> Self {
        let wall = ManualClock::new();
        wall.advance(EPOCH);
        Self { wall }
    }
}

impl Machine {
    pub fn new() -> Self {
        Self::default()
    }

    /// A builder for a process that begins now, and its clock.
    pub fn builder(&self) -> (RegistryBuilder, ManualClock) {
        let clock = ManualClock::new();
        let builder = Registry::builder()
            .maintenance(Maintenance::Manual)
            .clock(clock.clone())
            .wall_clock(self.wall.clone());
        (builder, clock)
    }

    /// A process that begins now.
    pub fn start(&self, configure: impl FnOnce(RegistryBuilder) -> RegistryBuilder) -> Process {
        let (builder, clock) = self.builder();
        let registry = configure(builder).build().expect("a valid registry");
        Process {
            world: World { registry, clock },
            wall: self.wall.clone(),
        }
    }

    /// A process that begins now from a save.
    pub fn restore(&self, save: &[u8]) -> Process {
        self.start(|builder| builder.restore(save).expect("a whole save"))
    }

    /// The process ends now, and another one begins.
    pub fn restart(&self, process: &Process) -> Process {
        self.restore(&saved(process))
    }
}

impl Process {
    /// Lets time pass, by both clocks.
    pub fn wait(&self, time: Duration) {
        self.world.clock.advance(time);
        self.wall.advance(time);
    }
}

pub fn saved(registry: &Registry) -> Vec<u8> {
    let mut save = Vec::new();
    registry.save(&mut save).expect("memory takes all");
    save
}

/// All that is said of the relays, but for their load, in the order of their ids.
pub fn said(registry: &Registry) -> Vec<String> {
    let mut relays = registry.relays();
    relays.sort_by_key(RelayInfo::node_id);
    relays.iter().map(said_of).collect()
}

pub fn said_of(relay: &RelayInfo) -> String {
    format!(
        "{} {:?}",
        relay.node_id(),
        (
            (relay.endpoint(), relay.also_at(), relay.capacity()),
            (relay.nat(), relay.tier(), relay.cost()),
            (relay.labels().collect::<Vec<_>>(), relay.failure_domain()),
            (relay.payload(), relay.ttl(), relay.expires_in()),
            (relay.registered_at(), relay.expires_at()),
            (relay.latency(), relay.latency_age(), relay.coordinate()),
            (relay.is_draining(), relay.is_banned(), relay.circuit()),
        )
    )
}

//! Faults and attacks: late heartbeats, restarts, outages, changes of network, hostile nodes. Each test is named
//! after the guarantee that must hold.

#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "conformance")]
#[path = "../dht/world.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod world;

mod coordinates;
#[cfg(feature = "conformance")]
mod hostile_storage;
mod lateness;
mod measurements;
mod operators;
mod outages;
#[cfg(feature = "conformance")]
mod probe_limits;
#[cfg(feature = "conformance")]
mod remote_relays;
mod restarts;
mod retention;
mod returning;

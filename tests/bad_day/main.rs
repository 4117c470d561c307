//! Faults and attacks: late heartbeats, restarts, outages, changes of network, hostile nodes. Each test is named
//! after the guarantee that must hold.

#[path = "../common/mod.rs"]
mod common;
#[path = "../dht/world.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod world;

mod coordinates;
mod hostile_storage;
mod lateness;
mod measurements;
mod operators;
mod outages;
mod probe_limits;
mod remote_relays;
mod returning;

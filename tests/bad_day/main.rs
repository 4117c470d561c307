//! Bad days: late heartbeats, restarts, outages, changes of network, attacks. Each test is named after
//! the promise that holds all the same.

#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "conformance")]
#[path = "../dht/world.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod world;

mod coordinates;
mod lateness;
mod measurements;
mod operators;
mod outages;
mod refused;
mod returning;
#[cfg(feature = "conformance")]
mod strangers;

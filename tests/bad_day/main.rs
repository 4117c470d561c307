//! What is promised for a bad day: late heartbeats, restarts, outages, changes of network, attacks.

#[path = "../common/mod.rs"]
mod common;

mod outages;

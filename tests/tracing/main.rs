//! The feature `tracing`: what a subscriber is told, when, and from where.

#[path = "../common/mod.rs"]
mod common;
mod dht;
#[path = "../dht/world.rs"]
#[allow(dead_code, reason = "these tests use their own part of the world")]
mod dht_world;
mod recorder;
mod silence;
mod subscribers;
mod warnings;

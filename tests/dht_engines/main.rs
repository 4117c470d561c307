//! Every engine of the crate passes the conformance suite.
//!
//! Needs the feature `conformance`; with `mainline` as well, BitTorrent's DHT
//! is among them, on a network of its own on this machine.

mod conformance;
mod faults;
mod lists;
#[cfg(feature = "mainline")]
mod mainline;
#[cfg(feature = "mainline")]
mod many;
mod mutants;
#[cfg(all(feature = "redis", unix))]
mod redis;
mod relays;
mod validating;

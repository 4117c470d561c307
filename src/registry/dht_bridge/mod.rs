//! Connects the registry and its DHT. No other part of `registry/` works with [`crate::dht`].
//! (`Stats` and `BuildError`, which are public, have a field and a variant with a type of it.)
//!
//! The rest of the registry uses three types of this module: [`DhtSetup`] holds the engine and the
//! options that the builder got, [`DhtLink`] notifies the DHT of changes, and [`DhtHandle`] owns
//! the running DHT. Without the feature they are empty and their methods do nothing, so that no
//! caller needs a `cfg`.

#[cfg(feature = "dht")]
mod backend;
#[cfg(feature = "dht")]
mod learned;
#[cfg(feature = "dht")]
mod link;
#[cfg(feature = "dht")]
mod methods;
#[cfg(all(test, relay_loom, feature = "dht"))]
mod models;
#[cfg(feature = "dht")]
mod publishable;
#[cfg(all(feature = "dht", feature = "persistence"))]
mod saved;
#[cfg(not(feature = "dht"))]
mod without;

#[cfg(all(feature = "dht", feature = "persistence"))]
pub(super) use link::DhtMemory;
#[cfg(feature = "dht")]
pub(super) use link::{DhtHandle, DhtLink, DhtSetup};
#[cfg(all(feature = "dht", feature = "persistence"))]
pub(super) use saved::check_saved;
#[cfg(not(feature = "dht"))]
pub(super) use without::{DhtHandle, DhtLink, DhtSetup};
#[cfg(all(not(feature = "dht"), feature = "persistence"))]
pub(super) use without::{DhtMemory, check_saved};

//! What a registry and its DHT know of each other: the only part of `registry/` that names
//! either [`crate::dht`] or its feature.
//!
//! The rest of the registry has three types of this module, and they are always there:
//! [`DhtLink`] tells the DHT of changes, [`DhtSetup`] is what the builder was given, and
//! [`DhtHandle`] owns the running DHT. Without the feature `dht` they are empty and their
//! methods do nothing, so that no caller needs a `cfg`.

#[cfg(feature = "dht")]
mod backend;
#[cfg(feature = "dht")]
mod link;
#[cfg(feature = "dht")]
mod methods;
#[cfg(all(test, relay_loom, feature = "dht"))]
mod models;
#[cfg(all(test, not(relay_loom), feature = "dht"))]
mod tests;
#[cfg(not(feature = "dht"))]
mod without;

#[cfg(feature = "dht")]
pub(super) use link::{DhtHandle, DhtLink, DhtSetup};
#[cfg(not(feature = "dht"))]
pub(super) use without::{DhtHandle, DhtLink, DhtSetup};

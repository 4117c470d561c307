//! What a registry says to the subscriber of the crate `tracing`: spans and events off the hot
//! path, and warnings of which each kind is limited to one a minute.
//!
//! A subscriber is the embedder's code. It may take long, panic, or call the registry, so it is
//! never called while an epoch is pinned or a lock is held. What happens inside a call is *noted*
//! there, in atomics or under the lock that is held anyway. The next maintenance pass says what
//! the registry noted, and the next step of the DHT what the DHT noted; both say it at their end.
//! All calls of the subscriber go through `Subscriber`, which catches panics.
//!
//! | part | holds | says it |
//! |---|---|---|
//! | [`Noted`] | how often a thing happened since it was last said, and the latest figure | |
//! | [`RegistryTrace`] | what the registry noted | after each maintenance pass |
//! | `DhtNotes` | what the DHT noted, under its lock | |
//! | `DhtTrace` | limits | after each step of the DHT |
//!
//! Without the feature `tracing` these types are empty and their methods do nothing. So no other
//! file has a `cfg` for it, and nothing is left in the code of their callers.

#[cfg(feature = "tracing")]
mod limiter;
#[cfg(feature = "tracing")]
mod noted;
#[cfg(feature = "tracing")]
mod registry;
#[cfg(feature = "tracing")]
mod subscriber;
#[cfg(all(test, feature = "tracing", not(relay_loom)))]
mod tests;
#[cfg(feature = "tracing")]
pub(crate) use {noted::Noted, registry::RegistryTrace};

#[cfg(not(feature = "tracing"))]
mod without;
#[cfg(not(feature = "tracing"))]
pub(crate) use without::{Noted, RegistryTrace};

#[cfg(all(feature = "tracing", feature = "dht"))]
mod dht;
#[cfg(all(feature = "tracing", feature = "dht"))]
mod skew;
#[cfg(all(feature = "tracing", feature = "dht"))]
pub(crate) use dht::{DhtNotes, DhtTrace};

#[cfg(all(not(feature = "tracing"), feature = "dht"))]
mod without_dht;
#[cfg(all(not(feature = "tracing"), feature = "dht"))]
pub(crate) use without_dht::{DhtNotes, DhtTrace};

/// When a record of another relay was issued, and what is known of that relay.
#[cfg(feature = "dht")]
#[cfg_attr(not(feature = "tracing"), allow(dead_code))]
#[derive(Clone, Debug)]
pub(crate) struct Issue {
    /// The network prefix of the announced endpoint.
    pub(crate) prefix: crate::dht::Prefix,
    /// Whether a probe of that endpoint succeeded.
    pub(crate) is_proven: bool,
    /// Since the Unix epoch, by the clock of the relay.
    pub(crate) issued_at: std::time::Duration,
    /// The same for the end of its TTL.
    pub(crate) expires_at: std::time::Duration,
}
